"""Requests over real sockets: keep-alive, pipelining, wrong requests, wrong upgrades, who may ask."""

from __future__ import annotations

import re

import pytest

from lane_kernel.capture import Store
from lane_kernel.client import connect
from lane_kernel.net.dial import DialError
from lane_kernel.net.heads import parse_request_head
from lane_kernel.server import Request, Server, ServerHook, Status
from lane_kernel.wire.http1 import parse_head
from tests.server.raw import HANDSHAKE, raw, until

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def pages(server: Server) -> Server:
    @server.route("/hello")
    class Hello(ServerHook):
        async def handle(self, stream, ctx):
            await stream.send(ctx.response.set_body("hello").build())
            return Status.CONTINUE

    @server.route("/body")
    async def body(stream, ctx):
        ctx.response.set_body(ctx.request.body)

    @server.route("/fail")
    async def fail(stream, ctx):
        raise KeyError("missing")

    @server.websocket("/ws")
    async def ws(ws):
        await ws.send("hi")

    return server


async def test_many_requests_on_one_connection_pipelined(pages: Server) -> None:
    """RFC 9112 §9.3.2."""
    async with raw(pages) as peer:
        await peer.send(GET % b"/hello" * 3)
        for _ in range(3):
            head = parse_head(await peer.head())
            assert (head.status, head.first("Content-Length")) == (200, "5")
            assert await peer.exactly(5) == b"hello"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /hello HTTP/1.0\r\n\r\n",
    ],
    ids=["close", "HTTP/1.0"],
)
async def test_a_client_that_wants_no_more_gets_the_end(pages: Server, request_bytes: bytes) -> None:
    """RFC 9112 §9.3."""
    async with raw(pages) as peer:
        await peer.send(request_bytes)
        assert (await peer.rest()).endswith(b"hello")


async def test_what_a_handler_does_not_send_is_sent_for_it(pages: Server) -> None:
    async with raw(pages) as peer:
        await peer.send(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")
        await peer.head()
        assert await peer.exactly(3) == b"abc"
        chunked = b"POST /body HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked += b"2\r\nde\r\n1;x=y\r\nf\r\n0\r\n\r\n"
        await peer.send(chunked + GET % b"/hello")
        await peer.head()
        assert await peer.exactly(3) == b"def"
        await peer.head()
        assert await peer.exactly(5) == b"hello"


@pytest.mark.parametrize(
    ("request_bytes", "status", "word"),
    [
        pytest.param(b"nonsense\r\n\r\n", 400, "malformed", id="no request"),
        pytest.param(b"GET /hello HTTP/1.1\r\n\r\n", 400, "Host", id="no Host"),
        pytest.param(b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host", id="two Hosts"),
        pytest.param(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX y\r\n\r\n", 400, "malformed", id="no colon"),
        pytest.param(b"GET /hello HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, "HTTP/1.1", id="HTTP/2"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000, 431, "bound", id="large head"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n", 413, "bound", id="large body"
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400, "number", id="length x"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "not both",
            id="two framings",
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "gzip", id="unknown coding"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "hexadecimal",
            id="chunk",
        ),
    ],
)
async def test_a_malformed_request_is_answered_clearly_and_harms_nobody(
    pages: Server, request_bytes: bytes, status: int, word: str
) -> None:
    async with raw(pages) as neighbour, raw(pages) as peer:
        await neighbour.send(GET % b"/hello")
        assert (await neighbour.head()).startswith(b"HTTP/1.1 200")
        await peer.send(request_bytes)
        answer = await peer.rest()
        assert int(answer.split(b" ")[1]) == status
        assert word in answer.decode()
        await neighbour.exactly(5)
        assert await neighbour.status(GET % b"/hello") == 200
    assert word in pages.log.records[-1].text
    pages.check()


async def test_a_client_that_speaks_tls_is_told_at_once(pages: Server) -> None:
    """A ClientHello is no request, and has no end that a head has; the client's own error says what to do, too."""
    with pytest.raises(DialError, match="does not answer in TLS: for a server in plain text the URL begins with ws://"):
        await connect(pages.url("/ws").replace("ws://", "wss://"), store=Store(), timeout=60)
    [record] = pages.log.records
    assert record.text == "400: this is TLS; the server speaks plain HTTP: use ws:// or http://"
    pages.check()


@pytest.mark.parametrize(
    ("old", "new", "status", "word"),
    [
        (b"Upgrade: websocket\r\n", b"", 426, "WebSocket"),
        (b"GET", b"POST", 405, "GET"),
        (b"Connection: Upgrade\r\n", b"", 400, "Connection"),
        (b"Version: 13", b"Version: 8", 426, "13"),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"", 400, "Key"),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"short", 400, "base64"),
        (b"HTTP/1.1", b"HTTP/1.0", 505, "HTTP/1.1"),
    ],
)
async def test_a_wrong_upgrade_says_what_is_wrong(
    pages: Server, old: bytes, new: bytes, status: int, word: str
) -> None:
    """RFC 6455 §4.2.1 and §4.4."""
    async with raw(pages) as peer:
        await peer.send((HANDSHAKE % b"/ws").replace(old, new))
        answer = (await peer.rest()).decode()
        assert int(answer.split(" ")[1]) == status
        assert word in answer
        if status == 426:
            assert "Upgrade: websocket" in answer


async def test_an_unknown_path_names_the_routes(pages: Server) -> None:
    async with raw(pages) as peer:
        await peer.send(GET % b"/nowhere")
        head = parse_head(await peer.head())
        body = await peer.exactly(int(head.first("Content-Length") or 0))
        assert head.status == 404
        assert b"/hello" in body


async def test_a_handler_that_raises_is_answered_with_500(pages: Server) -> None:
    async with raw(pages) as peer:
        await peer.send(GET % b"/fail")
        assert b" 500 " in await peer.rest()
    with pytest.raises(ExceptionGroup, match="1 failure"):
        pages.check()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Host: localhost:1", 200),
        (b"Host: [::1]:80", 200),
        (b"Host: 192.168.0.7", 200),
        (b"Host: evil.example", 403),
        (b"Host: localhost:80\r\nOrigin: http://localhost:80", 200),
        (b"Host: localhost\r\nOrigin: http://127.0.0.1:8888", 403),
        (b"Host: localhost\r\nOrigin: https://evil.example", 403),
        (b"Host: localhost\r\nOrigin: null", 403),
        (b"Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
    ],
    ids=str,
)
async def test_only_pages_that_belong_here_may_ask(pages: Server, headers: bytes, status: int) -> None:
    async with raw(pages) as peer:
        assert await peer.status(b"GET /hello HTTP/1.1\r\n" + headers + b"\r\n\r\n") == status


async def test_the_refusal_says_how_to_allow_an_origin(pages: Server) -> None:
    request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nOrigin: https://lab.example\r\n\r\n"
    async with raw(pages) as peer:
        await peer.send(request)
        assert b"server.allowed_origins.add('https://lab.example')" in await peer.rest()
    pages.allowed_origins.add("https://lab.example")
    async with raw(pages) as peer:
        await peer.send(request)
        assert parse_head(await peer.head()).first("Access-Control-Allow-Origin") == "https://lab.example"


async def test_head_gets_no_body(server: Server) -> None:
    """RFC 9110 §9.3.2: not of a page that is there, not of one that is not, and the next answer follows at once."""

    @server.route("/page")
    async def page(stream, ctx):
        ctx.response.set_body("a body")

    @server.events("/stream")
    async def stream(events):
        raise AssertionError("nothing is streamed to HEAD")

    async with raw(server) as peer:
        for path, status in (("/page", b"200"), ("/nope", b"404"), ("/page", b"200")):
            await peer.send(f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = await peer.head()
            assert head.startswith(b"HTTP/1.1 " + status)
            assert re.search(rb"Content-Length: [1-9]", head)
        await peer.send(b"HEAD /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"text/event-stream" in await peer.head()
        assert await peer.rest() == b""
    server.check()


async def test_absolute_form(server: Server) -> None:
    """RFC 9112 §3.2.2: a server takes it."""

    @server.route("/page")
    async def page(stream, ctx):
        ctx.response.set_body(f"{ctx.request.path} {ctx.request.queries}")

    async with raw(server) as peer:
        await peer.send(b"GET http://127.0.0.1/page?a=b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert (await peer.rest()).endswith(b"/page {'a': 'b'}")
        assert Request(parse_request_head(b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n")).raw_path == "/"


@pytest.mark.parametrize(
    ("request_head", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", b"Connection: close"),
        (b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", b"Connection: close"),
        (b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n", b"Connection: keep-alive"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"Connection: keep-alive"),
    ],
)
async def test_the_answer_says_whether_the_connection_stays(server: Server, request_head: bytes, said: bytes) -> None:
    """RFC 9112 §9.6."""
    async with raw(server) as peer:
        await peer.send(request_head)
        assert said in await peer.head()


async def test_426_names_the_option_that_upgrade_belongs_to(server: Server) -> None:
    """RFC 9110 §7.8 and §15.5.22."""

    @server.websocket("/ws")
    async def ws(ws):
        """Do nothing."""

    async with raw(server) as peer:
        await peer.send(b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await peer.head()
        assert head.startswith(b"HTTP/1.1 426")
        assert b"Connection: Upgrade, close" in head


async def test_expect_100_continue(server: Server) -> None:
    """RFC 9110 §10.1.1: the client waits for the interim answer before it sends the body."""

    @server.route("/post")
    async def post(stream, ctx):
        ctx.response.set_body(ctx.request.body)

    async with raw(server) as peer:
        await peer.send(
            b"POST /post HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert await peer.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"hi")
        assert (await peer.rest()).endswith(b"\r\n\r\nhi")


async def test_a_request_cut_by_the_end_is_answered_and_logged(server: Server) -> None:
    """RFC 9112 §8: an incomplete request; the client may still read."""
    async with raw(server) as peer:
        await peer.send(b"GET / HT")
        peer.writer.write_eof()
        await peer.rest()
        await until(lambda: server.log.records)
    assert "400: the client ended the connection inside the head of a request" in server.log.records[-1].text


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_has_none(server: Server, status: int) -> None:
    """RFC 9110 §15.3.5 and §15.4.5."""

    @server.route("/none")
    async def none(stream, ctx):
        ctx.response.set_status(status).set_body("hello")

    async with raw(server) as peer:
        await peer.send(GET % b"/none" * 2)
        for _ in range(2):
            assert parse_head(await peer.head()).status == status


async def test_every_connection_line_counts(server: Server) -> None:
    """RFC 9110 §5.3: several lines are one list."""

    @server.route("/hello")
    async def hello(stream, ctx):
        pass

    async with raw(server) as peer:
        await peer.send(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nConnection: foo\r\n\r\n")
        assert b"Connection: close" in await peer.rest()
