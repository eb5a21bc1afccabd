"""Sessions: fragments, back-pressure, sending without waiting, and what leaves in one write."""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from lane_kernel.capture import Chunk, Store
from lane_kernel.client import connect
from lane_kernel.net.config import Config
from lane_kernel.net.session import ConnectionClosedError, WriteBufferFullError
from lane_kernel.net.stream import ConnectionLostError
from lane_kernel.server import Server
from lane_kernel.server.sessions import StopIterationError, WebSocket
from lane_kernel.sides import Direction, Side
from lane_kernel.timeline import EntryKind
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, FrameError, Opcode
from tests.server.raw import HANDSHAKE, Raw, raw, until

KEY = b"\x01\x02\x03\x04"


def masked(payload: bytes, opcode: Opcode = Opcode.TEXT) -> bytes:
    return Frame(opcode, payload, masking_key=KEY).encode()


def add_echo(server: Server) -> None:
    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)


def frames_to_server(server: Server) -> list[tuple[int, bytes, bool]]:
    return [
        (entry.header.opcode, entry.payload or b"", entry.header.fin)
        for entry in server.timeline
        if entry.kind is EntryKind.FRAME and entry.direction is Direction.TO_SERVER and entry.header is not None
    ]


def writes(server: Server) -> list[bytes]:
    records = server.capture.records()
    found = [one.data for one in records if isinstance(one, Chunk) and one.direction is Direction.TO_CLIENT]
    return [data for data in found if not data.startswith(b"HTTP/")]


# Fragments


async def generate(*parts: str) -> AsyncIterator[str]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


async def test_fragments_go_one_by_one_and_control_frames_between_them(server: Server) -> None:
    """RFC 6455 §5.4."""
    add_echo(server)
    async with connect(server.url("/echo"), store=Store()) as ws:
        async with ws.message() as message:
            await message.send("fräg")
            assert await ws.ping(b"between") >= 0
            await message.send("mented")
        assert await ws.receive() == "frägmented"
        await ws.send_fragments([b"\xff", b"", b"\x00"])
        assert await ws.receive() == b"\xff\x00"
        await ws.send_fragments(generate("a", "b"))
        assert await ws.receive() == "ab"
        async with ws.message():
            pass
        await ws.send("whole")
        assert await ws.receive() == "whole"
    assert frames_to_server(server)[:4] == [
        (Opcode.TEXT, "fräg".encode(), False),
        (Opcode.PING, b"between", True),
        (Opcode.CONTINUATION, b"mented", False),
        (Opcode.CONTINUATION, b"", True),
    ]


async def test_another_message_meanwhile_is_refused_clearly(server: Server) -> None:
    add_echo(server)
    async with connect(server.url("/echo"), store=Store()) as ws:
        async with ws.message() as message:
            await message.send("un")
            with pytest.raises(FrameError, match="a message is unfinished"):
                await ws.send("whole")
            with pytest.raises(FrameError, match="a message is unfinished"):
                ws.post("whole")
            assert not ws.offer(masked(b"whole"))
            async with ws.message() as other:
                with pytest.raises(FrameError, match="inside an unfinished one"):
                    await other.send("x")
            with pytest.raises(TypeError, match="first one's kind, not bytes"):
                await message.send(b"bytes")
            await message.send("finished")
        assert await ws.receive() == "unfinished"


async def test_a_message_that_cannot_be_finished_closes_with_1011(server: Server) -> None:
    add_echo(server)
    ws = await connect(server.url("/echo"), store=Store())

    async def send() -> None:
        async with ws.message() as message:
            await message.send("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await send()
    assert (ws.close_code, ws.closed_first) == (1011, Side.CLIENT)


async def test_fragments_are_not_compressed_and_messages_around_them_are(server: Server) -> None:
    server.deflate = DeflateParameters()
    add_echo(server)
    async with connect(server.url("/echo"), store=Store(), deflate=DeflateParameters()) as ws:
        assert ws.deflate is not None
        for _ in range(2):
            await ws.send("x" * 1000)
            assert await ws.receive() == "x" * 1000
            await ws.send_fragments(["y" * 1000, "z"])
            assert await ws.receive() == "y" * 1000 + "z"


# Back-pressure


async def stuck(server: Server, config: Config) -> tuple[socket.socket, WebSocket]:
    """A peer that does not read, with small buffers, and the server's end."""
    server.config = config

    @server.websocket("/stuck")
    async def wait(ws):
        async for _ in ws:
            pass

    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(peer, ("127.0.0.1", server.port))
    await loop.sock_sendall(peer, HANDSHAKE % b"/stuck")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await loop.sock_recv(peer, 1)
    await until(lambda: server.websockets)
    return peer, server.websockets[0]


async def fill(ws: WebSocket) -> int:
    """Send until it waits; answer how many were sent."""
    count = 0
    while True:
        try:
            await asyncio.wait_for(ws.send(b"x" * 10_000), 0.05)
        except TimeoutError:
            return count
        count += 1


async def test_send_waits_for_a_peer_that_does_not_read_and_goes_on_when_it_does(server: Server) -> None:
    peer, ws = await stuck(server, Config(max_write_buffer=50_000))
    count = await fill(ws)
    stream = ws._transport.stream
    assert 50_000 < stream.waiting <= 50_000 + 10_004
    with pytest.raises(WriteBufferFullError, match="over 50,000 bytes wait"):
        ws.post("x")
    with pytest.raises(WriteBufferFullError):
        ws.post_ping()
    assert not ws.offer(b"\x81\x00")
    waiting = [asyncio.create_task(ws.send(b"y" * 10_000)) for _ in range(20)]
    await asyncio.sleep(0)
    assert stream.waiting <= 60_004, "what waits to be sent is not buffered"
    expected = (count + 20) * 10_004
    got = bytearray()
    while len(got) < expected:
        got += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 1 << 20), 5)
    await asyncio.gather(*waiting)
    assert got == (b"\x82\x7e\x27\x10" + b"x" * 10_000) * count + (b"\x82\x7e\x27\x10" + b"y" * 10_000) * 20
    ws.post("again")
    peer.close()


async def test_a_peer_that_never_reads_is_ended_after_the_time_out(server: Server) -> None:
    peer, ws = await stuck(server, Config(max_write_buffer=50_000, send_timeout=0.2))
    with pytest.raises(ConnectionLostError, match=r"not read everything within 0\.2 s"):
        await fill_on(ws)
    assert not ws.is_open
    with pytest.raises(ConnectionLostError):
        ws.post("x")
    await until(lambda: not server.connections)
    peer.close()


async def fill_on(ws: WebSocket) -> None:
    while True:
        await ws.send(b"x" * 10_000)


async def test_pings_of_a_peer_that_reads_no_pong_are_not_answered_without_bound(server: Server) -> None:
    peer, ws = await stuck(server, Config(max_write_buffer=20_000))
    await fill(ws)
    loop = asyncio.get_running_loop()
    ping = masked(b"p" * 125, Opcode.PING)

    async def ping_on() -> None:
        while True:
            await loop.sock_sendall(peer, ping * 20)

    with pytest.raises(OSError, match=r"reset|pipe|forcibly"):
        await asyncio.wait_for(ping_on(), 5)
    await until(lambda: not server.connections)
    assert any("bytes of Pongs wait for a peer that does not read" in one.text for one in server.log.records)
    peer.close()


# One write


async def shake(server: Server, peer: Raw, path: bytes, more: bytes = b"") -> None:
    await peer.send(HANDSHAKE % path)
    await peer.head()
    await peer.send(more)


async def test_the_answers_to_one_read_leave_in_one_write(server: Server) -> None:
    add_echo(server)
    async with raw(server) as peer:
        await shake(server, peer, b"/echo", masked(b"p", Opcode.PING) + b"".join(masked(b"%d" % n) for n in range(5)))
        wanted = b"\x8a\x01p" + b"".join(b"\x81\x01%d" % n for n in range(5))
        assert await peer.exactly(len(wanted)) == wanted
        assert writes(server) == [wanted]


async def test_an_answer_waits_for_no_other_that_takes_longer(server: Server) -> None:
    go = asyncio.Event()

    @server.websocket("/slow")
    async def slow(ws):
        async for message in ws:
            await ws.send(message)
            await go.wait()

    async with raw(server) as peer:
        await shake(server, peer, b"/slow", masked(b"1") + masked(b"2"))
        assert await peer.exactly(3) == b"\x81\x011"
        go.set()
        assert await peer.exactly(3) == b"\x81\x012"


# A function for messages


def bad(ws: WebSocket, message: str) -> None:
    if message == "raise":
        raise ZeroDivisionError("by intent")
    if message == "stop":
        raise StopIteration
    ws.post(message)


async def test_a_function_is_called_for_each_message_and_its_answers_are_one_write(server: Server) -> None:
    rooms = []

    def answer(ws, message, room):
        rooms.append(room)
        ws.post(message)
        ws.post(bytearray(b"!"))

    server.websocket("/rooms/{room}", on_message=answer)
    async with raw(server) as peer:
        await shake(server, peer, b"/rooms/a", masked(b"1") + masked(b"2"))
        wanted = b"\x81\x011\x82\x01!\x81\x012\x82\x01!"
        assert await peer.exactly(len(wanted)) == wanted
        assert writes(server) == [wanted]
    assert rooms == ["a", "a"]
    await until(lambda: not server.connections)
    server.check()


class Answer:
    """What can be called as a coroutine function can, and is none."""

    async def __call__(self, ws: WebSocket, message: str) -> None:
        await answer_late(ws, message)


async def answer_late(ws: WebSocket, message: str) -> None:
    await asyncio.sleep(0.01 if message == "1" else 0)
    await ws.send(message)


@pytest.mark.parametrize("answer", [answer_late, Answer(), partial(Answer())])
async def test_a_coroutine_function_is_awaited_message_by_message(server: Server, answer: Any) -> None:
    server.websocket("/ordered", on_message=answer)
    async with connect(server.url("/ordered"), store=Store()) as ws:
        for message in "123":
            await ws.send(message)
        assert [await ws.receive() for _ in "123"] == ["1", "2", "3"]


@pytest.mark.parametrize(("message", "error"), [("raise", ZeroDivisionError), ("stop", StopIterationError)])
async def test_a_function_that_raises_is_a_handler_that_raises(server: Server, message: str, error: type) -> None:
    server.websocket("/bad", on_message=bad)
    async with connect(server.url("/bad"), store=Store()) as ws:
        await ws.send("fine")
        assert await ws.receive() == "fine"
        await ws.send(message)
        with pytest.raises(ConnectionClosedError, match="closed with 1011"):
            await ws.receive()
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    (failure,) = group.value.exceptions
    cause = failure.__cause__
    assert isinstance(failure, error)
    (record,) = (one for one in server.log.records if one.level == "error")
    lines, first = inspect.getsourcelines(bad)
    assert lines[(record.line or 0) - 1].strip().startswith("raise")
    assert f"line {first + (record.line or 0) - 1}, in bad" in str(record.traceback)
    if message == "stop":
        assert isinstance(cause, StopIteration)
        assert "bad raised StopIteration" in record.text


async def test_a_function_is_replaced_on_an_open_connection_and_no_message_is_lost(server: Server) -> None:
    server.websocket("/swap", on_message=lambda ws, message: ws.post("old " + message))
    async with connect(server.url("/swap"), store=Store()) as ws:
        await ws.send("1")
        assert await ws.receive() == "old 1"
        for number in range(50):
            await ws.send(str(number))
        server.websocket("/swap", on_message=lambda ws, message: ws.post("new " + message))
        got = [str(await ws.receive()) for _ in range(50)]
        assert [one.split()[1] for one in got] == [str(number) for number in range(50)]
        await ws.send("2")
        assert await ws.receive() == "new 2"


@pytest.mark.parametrize("wrong", [lambda: None, lambda ws: None, 5])
def test_what_cannot_be_called_with_a_message_is_refused_where_it_is_written(wrong: object) -> None:
    with pytest.raises(TypeError, match="/x"):
        Server("wrong", store=Store()).websocket("/x", on_message=wrong)  # type: ignore[call-overload]
