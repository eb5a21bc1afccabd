"""What a recorded stream records is what crossed the socket."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import struct
import time
from pathlib import Path

import pytest

from lane_kernel.capture import Chunk, Note, Store
from lane_kernel.net import stream as stream_module
from lane_kernel.net.stream import ConnectionLostError, RecordedStream, StreamClosedError, unmask
from lane_kernel.sides import Direction, Side
from lane_kernel.wire.frames import apply_mask
from tests.net.test_heads import pair
from tests.server.raw import until
from tests.tls import Authority


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


class Reader:
    """What is told of a direct read."""

    def __init__(self, stream: RecordedStream) -> None:
        self.got = bytearray()
        self.chunks: list[bytes] = []
        self.ended = asyncio.Event()
        stream.read_directly(self.take, self.ended.set)

    def take(self, data: bytes) -> None:
        self.chunks.append(data)
        self.got += data

    async def has(self, count: int) -> None:
        await until(lambda: len(self.got) >= count)


def sent_chunks(stream: RecordedStream) -> list[bytes]:
    records = stream.store.records()
    return [one.data for one in records if isinstance(one, Chunk) and one.direction is Direction.TO_CLIENT]


async def test_a_direct_read_begins_with_what_the_stream_holds() -> None:
    stream, peer = await pair()
    peer.sendall(b"head|first")
    assert await stream.read_until(b"|") == b"head|"
    reader = Reader(stream)
    peer.sendall(b" second")
    await reader.has(12)
    assert reader.chunks[0] == b"first"
    peer.close()
    await asyncio.wait_for(reader.ended.wait(), 5)
    assert bytes(reader.got) == b"first second"
    assert stream.saw_eof
    assert stream.store.read(stream.record, Direction.TO_SERVER, 0, 100) == b"head|first second"


async def test_while_reading_is_paused_nothing_comes() -> None:
    stream, peer = await pair()
    reader = Reader(stream)
    stream.pause_reading()
    peer.sendall(b"x")
    await asyncio.sleep(0.02)
    assert not reader.got
    assert stream.received() == 0
    stream.resume_reading()
    await reader.has(1)
    stream.close()
    await asyncio.wait_for(reader.ended.wait(), 5)
    peer.close()


async def test_a_full_socket_is_written_on_when_the_peer_reads() -> None:
    """Before and after the reads are direct, the bytes and the record are the same."""
    stream, peer = await pair()
    payload = random.Random(0).randbytes(8_000_000)
    stream.send(payload[:4_000_000])
    assert stream.writing()
    reader = Reader(stream)
    stream.send(payload[4_000_000:])
    drained = asyncio.Event()
    stream.when_drained(drained.set)
    assert stream.waiting
    peer.setblocking(False)
    got = bytearray()
    while len(got) < len(payload):
        got += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(peer, 1 << 20), 5)
    await asyncio.wait_for(drained.wait(), 5)
    assert got == payload
    assert b"".join(sent_chunks(stream)) == payload
    assert (stream.waiting, stream.writing()) == (0, False)
    peer.sendall(b"still read")
    await reader.has(10)
    stream.close()
    peer.close()


async def test_what_follows_in_one_turn_is_joined() -> None:
    stream, peer = await pair()
    for part in (b"a", b"b", b"c"):
        stream.send(part)
    await stream.flush(5)
    assert sent_chunks(stream) == [b"a", b"bc"]
    await asyncio.sleep(0)
    for part in (b"d", b"e"):
        stream.send(part)
    await asyncio.sleep(0)
    stream.send(b"f")
    assert sent_chunks(stream)[2:] == [b"d", b"e", b"f"]
    stream.send(b"g")
    stream.close()
    assert peer.recv(100) == b"abcdefg"
    peer.close()


async def test_a_handler_that_blocks_between_its_writes_is_not_joined() -> None:
    stream, peer = await pair()
    stream.send(b"a")
    time.sleep(2 * stream_module.JOIN_SECONDS)  # noqa: ASYNC251 - it is what such a handler does
    stream.send(b"b")
    assert sent_chunks(stream) == [b"a", b"b"]
    stream.close()
    peer.close()


async def test_a_reset_is_told_to_who_sends_and_who_reads() -> None:
    stream, peer = await pair()
    reader = Reader(stream)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()

    def send_on() -> None:
        for _ in range(1000):
            stream.send(b"x")

    with pytest.raises(ConnectionLostError, match="is gone"):
        send_on()
    await asyncio.wait_for(reader.ended.wait(), 5)
    assert stream.closed()
    notes = [record.text for record in stream.store.records() if isinstance(record, Note)]
    assert notes[-1].startswith("closed by the peer: ")


async def tls_pair(folder: Path) -> tuple[RecordedStream, ssl.SSLSocket]:
    """A recorded stream over TLS, its handshake done, and the blocking TLS socket at its other end."""
    authority = Authority(folder)
    listener = socket.create_server(("127.0.0.1", 0))
    plain = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    listener.close()
    context = authority.client_context()
    shaking = asyncio.to_thread(context.wrap_socket, plain, server_hostname="localhost")
    accepting = asyncio.to_thread(authority.server_context("localhost").wrap_socket, accepted, server_side=True)
    peer, ours = await asyncio.gather(shaking, accepting)
    peer.settimeout(5)
    return RecordedStream(ours, Store(), Side.SERVER), peer


async def test_over_tls_all_is_read_and_written_and_recorded_in_the_clear(tmp_path: Path) -> None:
    """Also what TLS has decrypted while nobody read, of which no event of the socket tells."""
    stream, peer = await tls_pair(tmp_path)
    peer.sendall(b"head|held " + b"x" * 16_000)
    assert await stream.read_until(b"|") == b"head|"
    reader = Reader(stream)
    await reader.has(16_005)
    stream.pause_reading()
    sending = asyncio.create_task(asyncio.to_thread(peer.sendall, bytes(3_000_000)))
    await asyncio.sleep(0)
    stream.resume_reading()
    await reader.has(3_016_005)
    await sending

    def drain() -> bytes:
        got = bytearray()
        while len(got) < len(payload):
            got += peer.recv(65536)
        return bytes(got)

    payload = random.Random(0).randbytes(6_000_000)
    stream.send(payload)
    assert stream.writing()
    draining = asyncio.create_task(asyncio.to_thread(drain))
    await stream.flush(5)
    assert await draining == payload
    assert b"".join(sent_chunks(stream)) == payload
    peer.close()
    await asyncio.wait_for(reader.ended.wait(), 5)


async def test_the_bound_holds_where_what_comes_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "MAX_WRITE_BUFFER", 100_000)
    stream, peer = await pair()
    stream.forget_what_comes()

    def write_on() -> None:
        for _ in range(1000):
            stream.send(b"x" * 50_000)
            stream.write_joined()

    with pytest.raises(ConnectionLostError, match="does not read"):
        write_on()
    peer.close()
