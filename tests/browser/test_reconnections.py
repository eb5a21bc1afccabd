"""What an EventSource asks for, connection by connection: this package's and Chromium's own. WHATWG HTML §9.2."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from playwright.sync_api import sync_playwright

from lane_kernel.capture import Store
from lane_kernel.client import EventSource, EventSourceError

pytestmark = pytest.mark.browser

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
STOP = b"HTTP/1.1 204 No Content\r\n\r\n"


def stream(body: str, framing: str = "") -> bytes:
    return STREAM + framing.encode() + b"\r\n" + body.encode()


def redirect(status: int, place: str) -> bytes:
    return f"HTTP/1.1 {status} x\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()


# What each path is answered, time after time; at the end with 204.
CASES: dict[str, dict[str, list[bytes]]] = {
    "the stream ends": {
        "/s": [stream("retry: 30\nid: 1\ndata: a\n\n"), stream("data: b\n\nid\ndata: c\n\n"), stream("data: d\n\n")]
    },
    "an event is cut": {"/s": [stream("retry: 30\n\nid: 1\ndata: a\n\nid: 2\ndata: cut"), stream("data: b\n\n")]},
    "an id alone": {"/s": [stream("retry: 30\n\nid: 1\n\nid: 2"), stream("data: b\n\n")]},
    "an id that is not ASCII": {"/s": [stream("retry: 30\nid: é€\ndata: a\n\n")]},
    "204 at once": {"/s": []},
    "404": {
        "/s": [stream("retry: 30\ndata: a\n\n"), b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n", stream("data: b\n\n")]
    },
    "another content type": {
        "/s": [stream("retry: 30\ndata: a\n\n"), b"HTTP/1.1 200 x\r\nContent-Type: text/plain\r\n\r\ndata: b\n\n"]
    },
    "a body cut short": {
        "/s": [stream("retry: 30\nid: 1\ndata: a\n\n", "Content-Length: 999\r\n"), stream("data: b\n\n")]
    },
    "no answer": {"/s": [stream("retry: 30\nid: 1\ndata: a\n\n"), b"nonsense", stream("data: b\n\n")]},
    **{
        f"{status}": {
            "/s": [redirect(status, "/t")],
            "/t": [stream("retry: 30\nid: 1\ndata: a\n\n"), stream("data: b\n\n")],
        }
        for status in (301, 302, 303, 307, 308)
    },
}

_READ = """(path) => new Promise((resolve) => {
    const seen = [];
    const source = new EventSource(path);
    source.onmessage = (event) => seen.push([event.data, event.lastEventId]);
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve(JSON.stringify(seen)); };
})"""


class _Handler(BaseHTTPRequestHandler):
    """Answers from the case's script and ends the connection; writes down what it was asked."""

    left: ClassVar[dict[str, list[bytes]]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.close_connection = True
        if self.path in ("/", "/favicon.ico"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx")
            return
        self.asked.append((self.path, self.headers.get("Last-Event-ID")))
        answers = self.left.get(self.path)
        self.wfile.write(answers.pop(0) if answers else STOP)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
        pass


@contextlib.contextmanager
def _serving() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _begin(case: str) -> list[tuple[str, str | None]]:
    _Handler.left = {path: list(answers) for path, answers in CASES[case].items()}
    _Handler.asked = []
    return _Handler.asked


async def _ours(url: str) -> list[list[str]]:
    seen: list[list[str]] = []
    async with EventSource(url, store=Store(), timeout=5) as source:
        # Chromium, too, says no more than that it is closed.
        with contextlib.suppress(EventSourceError):
            async for event in source:
                seen.append([event.data, event.last_event_id])  # noqa: PERF401 - what came before a failure counts
    return seen


def test_the_same_requests_and_events_as_chromium(chromium: str) -> None:
    """WHATWG HTML §9.2.3: which URL is asked when, with which Last-Event-ID, and what ends it."""
    theirs, ours = {}, {}
    with _serving() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{address}/")
        for case in CASES:
            asked = _begin(case)
            theirs[case] = json.loads(page.evaluate(_READ, "/s")), asked
        browser.close()
    with _serving() as address:
        for case in CASES:
            asked = _begin(case)
            ours[case] = asyncio.run(_ours(f"{address}/s")), asked
    assert ours == theirs
    assert sum(len(asked) for _, asked in theirs.values()) > 2 * len(CASES)
