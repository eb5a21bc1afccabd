"""Over each bound: the right status or close code, one line in the log, and nobody else notices."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from lane_kernel.net.config import Config
from lane_kernel.server import Server
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, Opcode, decode_header
from tests.server.raw import HANDSHAKE, Raw, raw, until

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
KEY = b"\x01\x02\x03\x04"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


@dataclass(frozen=True)
class Over:
    """Something over a bound."""

    config: Config
    send: Callable[[Raw], Awaitable[object]]
    status: int | None = None
    close_code: int | None = None
    word: str = ""


def says(data: bytes) -> Callable[[Raw], Awaitable[object]]:
    return lambda peer: peer.send(data)


def frames(*sent: Frame, extensions: bytes = b"") -> Callable[[Raw], Awaitable[object]]:
    async def send(peer: Raw) -> None:
        await peer.send((HANDSHAKE % b"/echo").replace(b"Upgrade: w", extensions + b"Upgrade: w"))
        await peer.head()
        await peer.send(b"".join(frame.encode() for frame in sent))

    return send


def masked(opcode: Opcode, payload: bytes, **bits: bool) -> Frame:
    return Frame(opcode, payload, masking_key=KEY, **bits)


def squeezed(payload: bytes) -> bytes:
    compressor = zlib.compressobj(9, wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def header(name: bytes, value: bytes) -> bytes:
    return GET % (b"/", b"%b: %b\r\n" % (name, value))


OVER = {
    "path": Over(Config(max_path=50), says(GET % (b"/" + b"a" * 50, b"")), status=414, word="target"),
    "header count": Over(Config(max_header_count=2), says(GET % (b"/", b"A: 1\r\nB: 2\r\n")), status=431, word="lines"),
    "header name": Over(
        Config(max_header_name=20), says(GET % (b"/", b"A" * 21 + b": 1\r\n")), status=431, word="name"
    ),
    "header value": Over(
        Config(max_header_value=20), says(GET % (b"/", b"A: %b\r\n" % (b"1" * 21))), status=431, word="A"
    ),
    "head": Over(Config(max_head=200), says(header(b"A", b"1" * 300)), status=431, word="head"),
    "body": Over(Config(max_body=10), says(GET % (b"/", b"Content-Length: 11\r\n")), status=413, word="body"),
    "chunked body": Over(
        Config(max_body=10),
        says(GET % (b"/", b"Transfer-Encoding: chunked\r\n") + b"6\r\n123456\r\n6\r\n123456\r\n0\r\n\r\n"),
        status=413,
        word="body",
    ),
    "slow head": Over(Config(head_timeout=0.1), says(b"GET / HTTP/1.1\r\nHost: lo"), status=408, word="head"),
    "slow body": Over(
        Config(body_timeout=0.1), says(GET % (b"/", b"Content-Length: 5\r\n") + b"123"), status=408, word="body"
    ),
    "frame": Over(Config(max_frame=100), frames(masked(Opcode.TEXT, b"a" * 101)), close_code=1009, word="frame"),
    "message": Over(
        Config(max_message=100),
        frames(masked(Opcode.TEXT, b"a" * 60, fin=False), masked(Opcode.CONTINUATION, b"a" * 60)),
        close_code=1009,
        word="message",
    ),
    "inflated message": Over(
        Config(max_message=1000),
        frames(masked(Opcode.TEXT, squeezed(b"a" * 1001), rsv1=True), extensions=DEFLATE),
        close_code=1009,
        word="inflated",
    ),
}


@pytest.fixture
def pages(server: Server) -> Server:
    server.deflate = DeflateParameters()

    @server.route("/")
    async def page(stream, ctx):
        ctx.response.set_body("fine")

    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    return server


@pytest.mark.parametrize("over", OVER.values(), ids=OVER.keys())
async def test_over_a_bound(pages: Server, over: Over) -> None:
    async with raw(pages) as neighbour:
        await neighbour.send(HANDSHAKE % b"/echo")
        await neighbour.head()
        pages.config = over.config
        async with raw(pages) as peer:
            await over.send(peer)
            answer = await peer.rest()
        if over.status is not None:
            assert int(answer.split(b" ")[1]) == over.status
        else:
            header = decode_header(answer)
            assert header is not None
            assert (header.opcode, int.from_bytes(answer[2:4], "big")) == (Opcode.CLOSE, over.close_code)
        lines = [record for record in pages.log.records if record.level == "warning"]
        assert len(lines) == 1
        assert over.word in lines[0].text
        await neighbour.send(masked(Opcode.TEXT, b"still here").encode())
        assert (await neighbour.exactly(12))[2:] == b"still here"
    pages.check()


async def test_a_silent_connection_ends_without_a_line(pages: Server) -> None:
    pages.config = Config(head_timeout=0.05)
    async with raw(pages) as peer:
        assert await peer.rest() == b""
    assert not pages.log.records


async def test_a_reader_that_stops_is_let_go(pages: Server) -> None:
    """Its connection ends after the time-out, the handler is told, and others go on."""
    pages.config = Config(send_timeout=0.2, max_write_buffer=64 * 1024)
    sent: list[int] = []

    @pages.websocket("/flood")
    async def flood(ws):
        while True:
            await ws.send(b"x" * 10_000)
            sent.append(1)

    async with raw(pages) as neighbour, raw(pages) as peer:
        await neighbour.send(HANDSHAKE % b"/echo")
        await neighbour.head()
        await peer.send(HANDSHAKE % b"/flood")
        await peer.head()
        await until(lambda: any("read" in record.text for record in pages.log.records), 10)
        await until(lambda: len(pages.connections) == 1, 10)
        await neighbour.send(masked(Opcode.TEXT, b"still here").encode())
        assert (await neighbour.exactly(12))[2:] == b"still here"
    pages.check()


BOMB = """
import asyncio
import resource, zlib
import lane_kernel as lane

async def main():
    server = lane.Server("bomb", deflate=lane.DeflateParameters(), store=lane.Store(4 << 20))
    @server.websocket("/")
    async def sink(ws):
        async for message in ws:
            pass
    await server.start()
    compressor = zlib.compressobj(9, wbits=-15)
    parts = [compressor.compress(bytes(1 << 20)) for _ in range(1024)]
    bomb = b"".join(parts) + compressor.flush(zlib.Z_SYNC_FLUSH)
    ws = await lane.connect(server.url("/"), deflate=lane.DeflateParameters(), store=lane.Store(4 << 20))
    await ws.send("warm")
    await asyncio.sleep(0.1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await ws.send_frame(lane.Frame(lane.Opcode.BINARY, bomb[:-4], rsv1=True, masking_key=b"abcd"))
    try:
        await asyncio.wait_for(ws.receive(), 30)
    except lane.ConnectionClosedError as error:
        print(error.code, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
    await server.stop()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of resident memory in Linux's unit")
def test_a_bomb_of_1_gib_costs_under_20_mb() -> None:
    """Client, server, both captures and the compressed bytes themselves included."""
    printed = subprocess.run(
        [sys.executable, "-c", BOMB], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    code, cost = map(int, printed.split())
    assert code == 1009
    assert cost < 20_000_000
