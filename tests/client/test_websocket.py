"""The WebSocket client against the `websockets` library's server, and against servers that answer wrongly."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection, serve

from lane_kernel.capture import Store
from lane_kernel.client import connect
from lane_kernel.net.dial import DialError
from lane_kernel.net.heads import ResponseError
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.net.stream import ConnectionLostError
from lane_kernel.sides import Side
from lane_kernel.timeline import EntryKind, Timeline
from lane_kernel.wire.connection import ConnectionStateError
from lane_kernel.wire.frames import Frame
from lane_kernel.wire.handshake import HandshakeError, accept_key
from tests.peers import Talk, peer


async def echo(ws: ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


async def test_it_speaks_with_the_websockets_library() -> None:
    store = Store()
    async with serve(echo, "127.0.0.1", 0, compression=None) as peer:
        port = peer.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/x?y=1", store=store) as ws:
            for message in ("", "hi", "é" * 70_000, b"", b"\xff" * 70_000):
                await ws.send(message)
                assert await ws.receive() == message
            await ws.ping(b"p")
            await ws.send("after the ping")
            assert await ws.receive() == "after the ping"
    assert (ws.close_code, ws.closed_first) == (1000, Side.CLIENT)
    entries = list(Timeline(store))
    assert entries[1].what == "GET /x?y=1"
    sent = [entry for entry in entries if entry.kind is EntryKind.FRAME and entry.direction is Side.CLIENT.outgoing]
    assert all(entry.header and entry.header.masking_key for entry in sent)
    assert not any(entry.findings for entry in entries)


async def test_several_tasks_may_wait_for_messages() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        ws = await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        waiting = [asyncio.create_task(ws.receive()) for _ in range(3)]
        await ws.send("one")
        done, _ = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == ["one"]
        await ws.close()
        ends = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
        assert sorted(map(type, ends), key=str) == [ConnectionClosedError, ConnectionClosedError, str]


async def test_the_servers_close_is_answered_and_told() -> None:
    async def leave(ws: ServerConnection) -> None:
        await ws.close(4001, "go away")

    async with serve(leave, "127.0.0.1", 0) as peer:
        ws = await connect(f"ws://127.0.0.1:{peer.sockets[0].getsockname()[1]}/")
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.receive()
        assert (caught.value.code, caught.value.reason) == (4001, "go away")
        assert ws.closed_first is Side.SERVER
        with pytest.raises((ConnectionLostError, ConnectionStateError)):
            await ws.send("too late")
        await ws.close()


def answering(response: bytes) -> Talk:
    """Answer every request with the same bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()
        await reader.read()

    return talk


OK = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", HandshakeError, "403 Forbidden"),
        (OK.format("x").encode(), HandshakeError, "Sec-WebSocket-Accept is x"),
        (b"HTTP/1.1 101 x\r\n\r\n", HandshakeError, "lacks Upgrade"),
        (b"nonsense\r\n\r\n", ResponseError, "does not answer in HTTP/1"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000, ResponseError, "larger than the bound"),
    ],
)
async def test_a_wrong_answer_is_refused_and_nothing_stays_open(response: bytes, error: type, message: str) -> None:
    """RFC 6455 §4.1."""
    store = Store()
    async with peer(answering(response)) as port:
        with pytest.raises(error, match=message):
            await connect(f"ws://127.0.0.1:{port}/", store=store)
    assert [entry.what for entry in Timeline(store)][-1] == "closed by the client"


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(silence) as port:
        with pytest.raises(ResponseError, match="did not answer within"):
            await connect(f"ws://127.0.0.1:{port}/", timeout=0.05, store=Store())


@pytest.mark.parametrize("url", ["echo", "wss://x/", "ws:///x", "ws://h:99999/", "ws://h/a b", "ws://h/\r\nX: y"])
async def test_a_wrong_url_says_so(url: str) -> None:
    with pytest.raises(DialError, match=r"not a URL|percent-encode"):
        await connect(url)


async def test_nobody_listening_is_told_clearly() -> None:
    with pytest.raises(DialError, match="is the server started"):
        await connect("ws://127.0.0.1:1/")


async def test_a_message_is_str_or_bytes() -> None:
    async with (
        serve(echo, "127.0.0.1", 0) as server,
        connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as ws,
    ):
        with pytest.raises(TypeError, match="not int"):
            await ws.send(5)  # type: ignore[arg-type]


async def test_any_frame_and_any_bytes_can_be_sent() -> None:
    received = bytearray()
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
        writer.write(OK.format(accept_key(key.decode())).encode())
        received.extend(await reader.read(100))
        done.set()

    async with peer(talk) as port:
        ws = await connect(f"ws://127.0.0.1:{port}/")
        await ws.send_frame(Frame(0xF, b"abc", fin=False, rsv2=True, declared_length=5))
        await asyncio.wait_for(done.wait(), 5)
        assert received == b"\x2f\x05abc"
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.receive()
        assert caught.value.code == 1006
        await ws.close()
