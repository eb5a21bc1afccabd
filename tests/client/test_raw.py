"""The raw connection: every byte is a person's, in as many writes as asked for."""

from __future__ import annotations

import asyncio

import pytest

from lane_kernel.capture import Chunk, Store
from lane_kernel.client import ReceiveError, connect_raw
from lane_kernel.client import raw as raw_module
from lane_kernel.net.dial import DialError
from lane_kernel.net.stream import ConnectionLostError
from lane_kernel.sides import Direction
from lane_kernel.timeline import Timeline
from lane_kernel.wire.frames import FrameError
from lane_kernel.wire.handshake import accept_key
from tests.peers import Talk, peer
from tests.tls import websockets_echo

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def saying(*parts: bytes | asyncio.Event) -> Talk:
    """Say the parts, waiting where there is an event; then read to the end, and answer with it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            if isinstance(part, asyncio.Event):
                await part.wait()
            else:
                writer.write(part)
                await writer.drain()
        writer.write(await reader.read())
        await writer.drain()

    return talk


def sent(store: Store) -> list[bytes]:
    records = [record for record in store.records() if isinstance(record, Chunk)]
    return [record.data for record in records if record.direction is Direction.TO_SERVER]


async def test_nothing_is_sent_that_a_person_does_not_send() -> None:
    store = Store()
    async with peer(saying()) as port, connect_raw(f"http://127.0.0.1:{port}/", store=store) as raw:
        raw.end_writing()
        assert await raw.receive() == b""
        assert await raw.receive_all() == b""
        assert not raw.is_open
    assert sent(store) == []
    assert [entry.what for entry in Timeline(store)] == ["opened", "closed by the peer"]


async def test_a_handshake_by_hand_byte_by_byte_with_a_real_server() -> None:
    store = Store()
    async with websockets_echo(None) as port, connect_raw(f"ws://127.0.0.1:{port}", store=store) as raw:
        await raw.send(HANDSHAKE, chop=1)
        head = await raw.receive_until(b"\r\n\r\n")
        assert accept_key("dGhlIHNhbXBsZSBub25jZQ==").encode() in head
        await raw.send(b"\x81\x82\0\0\0\0hi", chop=3)
        assert await raw.receive(4) == b"\x81\x02hi"
        await raw.send(b"\x88\x80\0\0\0\0")
        assert await raw.receive_all() == b"\x88\x00"
    assert sent(store) == [*(bytes([byte]) for byte in HANDSHAKE), b"\x81\x82\0", b"\0\0\0", b"hi", b"\x88\x80\0\0\0\0"]


async def test_a_pause_stands_between_two_writes() -> None:
    store = Store()
    async with peer(saying()) as port, connect_raw(f"http://127.0.0.1:{port}", store=store) as raw:
        await raw.send(b"abc", chop=2, pause=0.02)
        raw.end_writing()
        assert await raw.receive(3) == b"abc"
    chunks = [record for record in store.records() if isinstance(record, Chunk)][:2]
    assert chunks[1].time_ns - chunks[0].time_ns >= 0.02e9


@pytest.mark.parametrize("chop", [0, -1])
async def test_a_piece_has_a_byte(chop: int) -> None:
    async with peer(saying()) as port, connect_raw(f"http://127.0.0.1:{port}", store=Store()) as raw:
        with pytest.raises(FrameError, match="at least 1 byte"):
            await raw.send(b"x", chop=chop)


async def test_what_came_before_a_wait_was_given_up_is_kept() -> None:
    more = asyncio.Event()
    async with peer(saying(b"one", more, b" two\n")) as port:
        raw = await connect_raw(f"http://127.0.0.1:{port}", store=Store())
        assert await raw.receive(1) == b"o"
        with pytest.raises(ReceiveError, match=r"10 bytes did not come within 0\.05 s; 2 bytes came, b'ne'"):
            await raw.receive(10, timeout=0.05)
        more.set()
        assert await raw.receive_until(b"\n") == b"ne two\n"
        await raw.close()


async def test_an_end_too_early_says_what_came() -> None:
    async with peer(saying(b"one")) as port, connect_raw(f"http://127.0.0.1:{port}", store=Store()) as raw:
        raw.end_writing()
        with pytest.raises(ReceiveError, match="ended its direction before 4 bytes came; 3 bytes came, b'one'"):
            await raw.receive(4)
        with pytest.raises(ReceiveError, match=r"before b'\\r\\n' came"):
            await raw.receive_until(b"\r\n")
        assert await raw.receive() == b"one"


async def test_what_is_kept_for_a_mark_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_module, "MAX_HELD", 100_000)
    async with peer(saying(b"x" * 300_000)) as port, connect_raw(f"http://127.0.0.1:{port}", store=Store()) as raw:
        with pytest.raises(ReceiveError, match="did not come within 100,000 bytes"):
            await raw.receive_until(b"y")
        for _ in range(2):
            assert await raw.receive(100_000) == b"x" * 100_000
        raw.end_writing()
        assert len(await raw.receive_all()) == 100_000


async def test_nothing_is_a_piece_too() -> None:
    async with peer(saying()) as port:
        raw = await connect_raw(f"http://127.0.0.1:{port}", store=Store())
        await raw.send(b"")
        await raw.close()
        with pytest.raises(ConnectionLostError):
            await raw.send(b"")


async def test_close_ends_a_wait_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with peer(saying()) as port:
        raw = await connect_raw(f"http://127.0.0.1:{port}", store=Store())
        with pytest.raises(ReceiveError, match="nothing came"):
            await raw.receive(timeout=0.01)
        await raw.close()
        await raw.close()
        assert asyncio.all_tasks() - before <= {task for task in asyncio.all_tasks() if "talk" in repr(task)}
        with pytest.raises(ConnectionLostError):
            await raw.send(b"late")
        assert await raw.receive() == b""


async def test_nobody_listening_is_told_clearly() -> None:
    with pytest.raises(DialError, match="is the server started"):
        await connect_raw("http://127.0.0.1:1")
