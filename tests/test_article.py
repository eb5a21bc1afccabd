"""The article's snippets, line by line in Python, run on a real server and asserted on the wire, byte by byte."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import lane_kernel as lane
from lane_kernel.capture import Store
from tests import article
from tests.server.raw import HANDSHAKE, Raw, raw, until

ROOT = Path(__file__).resolve().parents[1]

SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n"
)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: keep-alive\r\n\r\n"
EVENTS = b"".join(b"data:%d\r\n\r\n" % i for i in range(10))
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[lane.Server]:
    async with lane.Server(request.node.name, store=Store()) as running:
        yield running
        running.check()


def masked(message: bytes) -> bytes:
    """The frame of a short text message, masked as a client's is (RFC 6455 §5.3)."""
    return lane.Frame(lane.Opcode.TEXT, message, masking_key=b"\x37\xfa\x21\x3d").encode()


def run(server: lane.Server, source: str, **names: Any) -> None:
    """Run a snippet's lines as a cell does."""
    server.apply("/snippet", source, {"lane": lane, **names})


async def upgrade(peer: Raw, path: bytes) -> None:
    await peer.send(HANDSHAKE % path)
    assert await peer.head() == SWITCHING


async def test_basic_websocket_handler(server: lane.Server) -> None:
    run(server, article.BASIC_HANDLER.python)
    async with raw(server) as peer:
        await upgrade(peer, b"/ws_upgrade_type")
        await peer.send(masked(b"Hello Server!"))
        assert await peer.exactly(15) == b"\x81\x0dHello Server!"
        await peer.send(masked(b"again"))
        assert await peer.exactly(7) == b"\x81\x05again"
        await peer.send(lane.Frame(lane.Opcode.CLOSE, b"\x03\xe8", masking_key=b"\0\0\0\0").encode())
        assert await peer.rest() == b"\x88\x02\x03\xe8"


async def test_attribute_macros_for_sending(server: lane.Server) -> None:
    """Each sends the built response; then the connection ends, although the client would keep it."""
    body = '@server.route("/snippet")\n{}\nasync def handle(stream, ctx):\n    return lane.Status.CONTINUE'
    run(server, body.format(article.SENDING_ATTRIBUTES.python))
    async with raw(server) as peer:
        await peer.send(GET % b"/snippet")
        assert await peer.rest() == ANSWER * 2


@pytest.mark.parametrize(("rust", "attribute"), article.SENDING_ATTRIBUTES.pairs)
async def test_each_of_them_alone(server: lane.Server, rust: str, attribute: str) -> None:
    run(server, f'@server.route("/snippet")\n{attribute}\nasync def handle(stream, ctx):\n    pass')
    async with raw(server) as peer:
        await peer.send(GET % b"/snippet")
        assert await peer.exactly(len(ANSWER)) == ANSWER
        await peer.send(LAST % b"/snippet")
        more = await peer.rest()
    # `closed` alone ends the connection after its request; what nobody sent is sent by the server.
    assert more == (b"" if rust == "#[closed]" else ANSWER.replace(b"keep-alive", b"close"))


@pytest.mark.parametrize(
    ("body", "frames"),
    [
        ("Hi", [b"\x81\x02Hi"]),
        (b"\xc3\xa9", [b"\x81\x02\xc3\xa9"]),
        (b"\xff", [b"\x82\x01\xff"]),
        ("", [b"\x81\x00"]),
        (b"x" * 126, [b"\x81\x7e\x00\x7e" + b"x" * 126]),
        (b"\xff" * 65_536, [b"\x02\x7e\xff\xff" + b"\xff" * 65_535, b"\x80\x01\xff"]),
    ],
)
async def test_creating_and_sending_frame_lists(server: lane.Server, body: str | bytes, frames: list[bytes]) -> None:
    lines = f"{article.FRAME_LIST.python}\n    {article.SEND_LIST.python}"
    source = f'@server.route("/snippet")\n@lane.is_ws_upgrade_type\nasync def handle(stream, ctx):\n    {lines}'
    run(server, source, body=body)
    wanted = b"".join(frames)
    async with raw(server) as peer:
        await upgrade(peer, b"/snippet")
        assert await peer.exactly(len(wanted)) == wanted


async def test_individual_sending(server: lane.Server) -> None:
    run(server, article.INDIVIDUAL_SENDING.handler("/snippet"), frame_list=[b"\x81\x01a", b"\x82\x01b"])
    async with raw(server) as peer:
        await peer.send(GET % b"/snippet")
        wanted = ANSWER + ANSWER + b"\x81\x01a\x82\x01b"
        assert await peer.exactly(len(wanted)) == wanted


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("await stream.try_send(data)", ANSWER),
        ("await stream.send(data)", ANSWER),
        ("await stream.send_list(frame_list)", b"\x81\x01a\x82\x01b"),
        ("await stream.try_send_list(frame_list)", b"\x81\x01a\x82\x01b"),
        ("await stream.try_flush()", ANSWER),
    ],
)
async def test_each_form_of_sending_alone(server: lane.Server, line: str, sent: bytes) -> None:
    """A flush alone sends nothing, so the server sends the response."""
    source = f'@server.route("/snippet")\nasync def handle(stream, ctx):\n    data = ctx.response.build()\n    {line}'
    run(server, source + "\n    stream.set_closed(True)", frame_list=[b"\x81\x01a", b"\x82\x01b"])
    async with raw(server) as peer:
        await peer.send(GET % b"/snippet")
        assert await peer.rest() == sent


async def test_set_closed(server: lane.Server) -> None:
    run(server, article.SET_CLOSED.handler("/snippet"))
    async with raw(server) as peer:
        await peer.send(GET % b"/snippet" * 2)
        assert await peer.rest() == ANSWER


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("asked", [GET, LAST])
async def test_is_keep_alive(server: lane.Server, asked: bytes, is_closed: bool) -> None:
    run(
        server,
        article.KEEP_ALIVE.handler("/snippet").replace("keep_alive =", f"stream.set_closed({is_closed}); keep_alive =")
        + "\n    await stream.send(str(keep_alive))\n    stream.set_closed(True)",
    )
    async with raw(server) as peer:
        await peer.send(asked % b"/snippet")
        assert await peer.rest() == str(asked is GET and not is_closed).encode()


async def test_a_loop_over_requests(server: lane.Server) -> None:
    """It reads the further requests, up to one that wants no more; the server answers the first at the end."""
    run(server, article.REQUEST_LOOP.handler("/snippet"))
    async with raw(server) as peer:
        await peer.send(GET % b"/snippet" + GET % b"/a" + LAST % b"/b" + GET % b"/never")
        assert await peer.rest() == ANSWER


@pytest.mark.parametrize("more", [b"", GET % b"/a"])
async def test_a_loop_over_requests_ends_with_the_connection(server: lane.Server, more: bytes) -> None:
    run(server, article.REQUEST_LOOP.handler("/snippet"))
    async with raw(server) as peer:
        await peer.send(GET % b"/snippet" + more)
        peer.writer.write_eof()
        assert await peer.rest() == b""
    await until(lambda: not server.connections)


async def test_setting_up_the_sse_response(server: lane.Server) -> None:
    run(server, article.SSE_RESPONSE.handler("/sse"))
    async with raw(server) as peer:
        await peer.send(GET % b"/sse")
        assert await peer.rest() == STREAM_HEAD


def sse(server: lane.Server) -> None:
    handler = article.Snippet("SSE", article.SSE_RESPONSE.pairs + article.SSE_EVENTS.pairs)
    run(server, handler.handler("/sse"))


async def test_sending_sse_events(server: lane.Server) -> None:
    sse(server)
    async with raw(server) as peer:
        await peer.send(GET % b"/sse")
        assert await peer.rest() == STREAM_HEAD + EVENTS
    async with lane.EventSource(server.url("/sse")) as source:
        events = await source.take(10, timeout=5)
    assert [event.data for event in events] == [str(i) for i in range(10)]


BROADCASTING = """\
streams = set()

async def leave(stream, ctx):
    streams.remove(stream)

@server.route("/broadcast")
class Everybody(lane.ServerHook):
    def __init__(self, stream, ctx):
        streams.add(stream)

    @lane.epilogue_hooks(leave)
    @lane.try_get_websocket_request("body")
    async def handle(self, stream, ctx, body):
        for each in streams:
            await each.try_send_list(lane.WebSocketFrame.create_frame_list(body))
        return lane.Status.CONTINUE
"""


async def test_broadcasting_by_a_collection_of_streams(server: lane.Server) -> None:
    """The article's words: a collection of connected streams, iterated over to send messages."""
    run(server, BROADCASTING)
    async with raw(server) as one, raw(server) as other:
        for peer in (one, other):
            await upgrade(peer, b"/broadcast")
        await until(lambda: sum(route.open for route in server.routes) == 2)
        await one.send(masked(b"all"))
        for peer in (one, other):
            assert await peer.exactly(5) == b"\x81\x03all"
        other.writer.close()
        await until(lambda: sum(route.open for route in server.routes) == 1)
        await one.send(masked(b"one"))
        assert await one.exactly(5) == b"\x81\x03one"


def in_port(script: str, server: lane.Server) -> str:
    assert "localhost:8080" in script
    return script.replace("localhost:8080", f"localhost:{server.port}")


@pytest.mark.browser
async def test_the_clients_in_a_page(server: lane.Server, chromium: str) -> None:
    """Both of the article's scripts in a real Chromium, in a page of the same server."""
    from playwright.async_api import async_playwright

    @server.route("/page")
    @lane.response_header({"Content-Type": "text/html"})
    @lane.response_body("<!doctype html><title>article</title>")
    async def page_of_its_own(stream, ctx):
        pass

    run(server, article.BASIC_HANDLER.python)
    sse(server)
    said: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "log" else None)
        await page.goto(f"http://localhost:{server.port}/page")
        await page.add_script_tag(content=in_port(article.WEBSOCKET_CLIENT, server))
        async with asyncio.timeout(10):
            while "Received: Hello Server!" not in said:
                await page.wait_for_timeout(10)
        await page.evaluate("ws.close()")
        async with asyncio.timeout(10):
            while "WebSocket disconnected" not in said:
                await page.wait_for_timeout(10)
        assert said == ["WebSocket connected", "Received: Hello Server!", "WebSocket disconnected"]
        said.clear()
        await page.add_script_tag(content=in_port(article.SSE_CLIENT, server))
        async with asyncio.timeout(10):
            while "SSE connection error, reconnecting..." not in said:
                await page.wait_for_timeout(10)
        await page.evaluate("eventSource.close()")
        await browser.close()
    assert said[:11] == [*(f"SSE Event: {i}" for i in range(10)), "SSE connection error, reconnecting..."]


def tables() -> list[tuple[str, str]]:
    """The rows of every table Rust line → Python line in the README and the lessons."""
    texts = {"README.md": (ROOT / "README.md").read_text(encoding="utf-8")}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts[path.name] = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    rows = []
    for name, text in texts.items():
        for table in re.findall(r"^\| Rust \| Python \|\n\|[ |-]+\|\n((?:\|.*\n?)+)", text, re.MULTILINE):
            rows += [(name, row) for row in table.strip().splitlines()]
    return rows


@pytest.mark.parametrize(("name", "row"), tables())
def test_what_a_table_says_in_python_is_what_runs_here(name: str, row: str) -> None:
    python = re.findall(r"`([^`]+)`", row.split(" | ")[1])
    assert python
    lines = [line for _, line in article.PAIRS]
    assert [code for code in python if not any(code in line for line in lines)] == []
