"""The pages that belong here: the server's own, the Jupyter page that embeds it, and none from elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lane_kernel.server import Response, Server, guard, pages
from lane_kernel.server.pages import JupyterPages
from lane_kernel.wire.http1 import parse_head
from tests.server.raw import HANDSHAKE, raw

ASK = b"GET %s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\n\r\n"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> JupyterPages:
    """The kernel's pages, none of them known."""
    made = JupyterPages()
    monkeypatch.setattr(guard, "jupyter_pages", made)
    return made


@pytest.fixture
def clock(server: Server) -> Server:
    @server.events("/clock")
    async def clock(events):
        await events.send("now")

    @server.websocket("/echo")
    async def echo(ws):
        pass

    return server


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A running Jupyter server as its file tells of it, the parent of this kernel."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getpid()))
    told = {"pid": os.getpid(), "url": "http://localhost:8899/base/", "port": 8899}
    (tmp_path / "jpserver-1.json").write_text(json.dumps(told), encoding="utf-8")
    other = {"pid": os.getppid(), "url": "http://localhost:8877/", "port": 8877}
    (tmp_path / "jpserver-2.json").write_text(json.dumps(other), encoding="utf-8")
    return "http://localhost:8899"


@pytest.mark.parametrize("path", [b"/clock", b"/echo"])
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (b"127.0.0.1:1", b"https://evil.example"),
        (b"127.0.0.1:1", b"http://localhost:3000"),
        (b"127.0.0.1:1", b"null"),
        (b"evil.example:1", b"http://evil.example:1"),
    ],
    ids=["a foreign page", "another page of this machine", "null", "a name that was made to point here"],
)
async def test_a_page_from_elsewhere_is_told_how_to_be_allowed(
    clock: Server, known: JupyterPages, path: bytes, host: bytes, origin: bytes
) -> None:
    async with raw(clock) as peer:
        await peer.send((HANDSHAKE % path).replace(b"Host: 127.0.0.1", b"Host: %s\r\nOrigin: %s" % (host, origin)))
        head = parse_head(await peer.head())
        body = (await peer.rest()).decode()
    assert head.status == 403
    assert head.first("Access-Control-Allow-Origin") is None
    named = "evil.example" if host.startswith(b"evil") else origin.decode()
    assert named in body
    assert "server.allowed_" in body
    assert "403" in clock.log.records[-1].text


@pytest.mark.parametrize("host", [b"Host:\r\n", b""], ids=["an empty Host", "none"])
async def test_null_is_not_the_host_of_a_request_without_one(clock: Server, known: JupyterPages, host: bytes) -> None:
    async with raw(clock) as peer:
        assert await peer.status(b"GET /clock HTTP/1.0\r\n" + host + b"Origin: null\r\n\r\n") == 403


async def test_a_link_on_another_site_is_told_what_can_be_done(clock: Server, known: JupyterPages) -> None:
    async with raw(clock) as peer:
        await peer.send(b"GET /clock HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\n\r\n")
        answer = await peer.rest()
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"server.allowed_origins.add" in answer


async def test_the_line_that_the_refusal_names_allows_it(clock: Server, known: JupyterPages) -> None:
    clock.allowed_origins.add("null")
    async with raw(clock) as peer:
        assert await peer.status(ASK % (b"/clock", b"127.0.0.1", b"null")) == 200


async def test_a_page_that_shows_a_panel_may_ask(clock: Server, known: JupyterPages) -> None:
    known.tell("http://localhost:8888")
    async with raw(clock) as peer:
        await peer.send(ASK % (b"/clock", b"127.0.0.1:1", b"http://localhost:8888"))
        head = parse_head(await peer.head())
    assert head.status == 200
    assert head.first("Access-Control-Allow-Origin") == "http://localhost:8888"
    assert head.first("Access-Control-Allow-Credentials") == "true"


async def test_a_page_behind_a_proxy_may_ask_by_the_proxys_host(clock: Server, known: JupyterPages) -> None:
    known.tell("https://hub.example")
    async with raw(clock) as peer:
        assert await peer.status(ASK % (b"/clock", b"hub.example", b"https://hub.example")) == 200
    async with raw(clock) as peer:
        assert await peer.status(ASK % (b"/clock", b"hub.example", b"https://evil.example")) == 403


async def test_the_jupyter_server_of_this_kernel_is_found(clock: Server, known: JupyterPages, jupyter: str) -> None:
    for origin, status in ((jupyter, 200), ("http://127.0.0.1:8899", 200), ("http://localhost:8877", 403)):
        async with raw(clock) as peer:
            assert await peer.status(ASK % (b"/clock", b"127.0.0.1:1", origin.encode())) == status


@pytest.mark.parametrize("origin", ["null", "", "file:", "http://[", "nonsense"])
def test_what_is_no_origin_of_a_page_is_not_remembered(origin: str) -> None:
    known = JupyterPages()
    known.tell(origin)
    assert not known.has_origin(origin)


def test_no_more_than_a_number_of_origins_are_remembered() -> None:
    known = JupyterPages()
    for number in range(pages.MAX_TOLD + 1):
        known.tell(f"http://localhost:{number + 1}")
    assert known.has_origin("http://localhost:1")
    assert not known.has_origin(f"http://localhost:{pages.MAX_TOLD + 1}")


async def test_a_preflight_is_answered_for_an_allowed_origin(clock: Server, known: JupyterPages) -> None:
    """Fetch, "CORS-preflight request"; a reconnecting EventSource sends a Last-Event-ID."""
    ask = (
        b"OPTIONS /clock HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://lab.example\r\n"
        b"Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: last-event-id\r\n\r\n"
    )
    async with raw(clock) as peer:
        assert await peer.status(ask) == 403
    clock.allowed_origins.add("http://lab.example")
    async with raw(clock) as peer:
        await peer.send(ask + ASK % (b"/clock", b"127.0.0.1", b"http://lab.example"))
        head = parse_head(await peer.head())
        assert head.status == 204
        assert head.first("Content-Length") is None
        assert head.first("Access-Control-Allow-Origin") == "http://lab.example"
        assert head.first("Access-Control-Allow-Headers") == "last-event-id"
        assert (await peer.head()).startswith(b"HTTP/1.1 200")


async def test_a_further_request_that_a_handler_reads_is_asked_the_same(server: Server, known: JupyterPages) -> None:
    @server.route("/loop")
    async def loop(stream, ctx):
        await stream.send(ctx.response.build())
        async for request in stream.requests():
            await stream.send(Response(request).set_body("again").build())

    async with raw(server) as peer:
        ask = b"GET /loop HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        await peer.send(ask + ask)
        for _ in range(2):
            assert (await peer.head()).startswith(b"HTTP/1.1 200")
        await peer.exactly(5)
        await peer.send(ask.replace(b"127.0.0.1", b"evil.example"))
        assert (await peer.rest()).startswith(b"HTTP/1.1 403")
