"""Event streams as Chromium's own `EventSource` reads them. WHATWG HTML §9.2."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import sync_playwright

from lane_kernel.wire.eventstream import Event, EventStreamParser
from lane_kernel.wire.eventstream_lines import BOM
from tests.vectors.event_streams import CASES
from tests.vectors.random_event_streams import random_streams

pytestmark = pytest.mark.browser

COUNT = 800
# Left out, where Chromium (156) departs from the standard: a line end right after the byte order mark, which it takes
# for the beginning of the next line, so that it does not know that line's field.
STREAMS = [
    stream
    for stream in [case.wire for case in CASES] + random_streams(COUNT)
    if not stream.startswith((BOM + b"\r", BOM + b"\n"))
]

# Six at a time, since a browser opens no more connections to one host. A stream's end is an `error` event, after which
# the source would connect again if it were not closed.
_READ = """async ({ count, types }) => {
    const read = (number) => new Promise((resolve) => {
        const seen = [];
        const source = new EventSource(`/${number}`);
        for (const type of types)
            source.addEventListener(type, (event) => seen.push([event.type, event.data, event.lastEventId]));
        source.onerror = () => { source.close(); resolve(seen); };
    });
    const results = [];
    let next = 0;
    const work = async () => { while (next < count) { const number = next++; results[number] = await read(number); } };
    await Promise.all(Array.from({ length: 6 }, work));
    return JSON.stringify(results);
}"""


class _Handler(BaseHTTPRequestHandler):
    """Answers `/` with a page and `/N` with the bytes of stream N, in two writes."""

    def do_GET(self) -> None:
        number = self.path[1:]
        is_stream = number.isdigit()
        body = STREAMS[int(number)] if is_stream else b"<!doctype html><title>streams</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if is_stream else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = int(number) % (len(body) + 1) if is_stream else 0
        for part in (body[:half], body[half:]):
            self.wfile.write(part)
            self.wfile.flush()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
        pass


@contextmanager
def _serving() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def _ours(stream: bytes) -> list[Event]:
    return [block.event for block in EventStreamParser().feed(stream) if block.event is not None]


def test_the_same_events_as_chromium(chromium: str):
    """WHATWG HTML §9.2.6: type, data and last event ID of every event, in order."""
    ours = [_ours(stream) for stream in STREAMS]
    types = sorted({"message"} | {event.type for events in ours for event in events})
    assert not {"error", "open"} & set(types)  # the source's own events have these names
    with _serving() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        results = json.loads(page.evaluate(_READ, {"count": len(STREAMS), "types": types}))
        browser.close()
    assert len(STREAMS) >= 500
    assert sum(map(len, results)) > len(STREAMS)
    differing = [
        (stream, theirs, mine)
        for stream, theirs, mine in zip(STREAMS, results, ours, strict=True)
        if [tuple(event) for event in theirs] != mine
    ]
    assert differing == []
