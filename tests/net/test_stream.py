"""What a recorded stream records is what crossed the socket."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest

from lane_kernel.capture import Chunk, Note
from lane_kernel.net import stream as stream_module
from lane_kernel.net.stream import ConnectionLostError, StreamClosedError, unmask
from lane_kernel.sides import Direction
from lane_kernel.wire.frames import apply_mask
from tests.net.test_heads import pair


async def test_every_chunk_is_recorded_as_the_socket_took_or_gave_it() -> None:
    stream, peer = await pair()
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    payload = random.Random(0).randbytes(3_000_000)

    async def drain() -> bytes:
        got = bytearray()
        while len(got) < len(payload):
            got += await loop.sock_recv(peer, 65536)
        return bytes(got)

    draining = asyncio.create_task(drain())
    stream.send(payload)
    await stream.flush(10)
    assert await draining == payload
    await loop.sock_sendall(peer, b"answer")
    assert await stream.read_bytes(6) == b"answer"
    peer.close()
    with pytest.raises(StreamClosedError):
        await stream.read_bytes(1)
    chunks = [record for record in stream.store.records() if isinstance(record, Chunk)]
    out = [chunk for chunk in chunks if chunk.direction is Direction.TO_CLIENT]
    assert b"".join(chunk.data for chunk in out) == payload
    assert len(out) > 1, "a small socket buffer does not take 3 MB at once"
    assert stream.store.read(stream.record, Direction.TO_SERVER, 0, 6) == b"answer"
    notes = [record.text for record in stream.store.records() if isinstance(record, Note)]
    assert notes == ["opened", "closed by the peer"]


async def test_a_peer_that_does_not_read_ends_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_WRITE_BUFFER", 100_000)
    stream, peer = await pair()

    def write_on() -> None:
        for _ in range(1000):
            stream.send(b"x" * 50_000)

    with pytest.raises(ConnectionLostError, match="does not read"):
        write_on()
    assert stream.closed()
    peer.close()


async def test_a_flush_that_takes_too_long_ends_the_connection() -> None:
    stream, peer = await pair()
    stream.send(b"x" * 10_000_000)
    with pytest.raises(ConnectionLostError, match=r"within 0\.05 s"):
        await stream.flush(0.05)
    assert stream.closed()
    peer.close()


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1000])
def test_tornados_unmasking_is_wires(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert unmask(b"\x01\x80\xff\x00", data) == apply_mask(b"\x01\x80\xff\x00", data)
