"""Heads read with a bound: Tornado's strict parsing and wire's lenient one agree."""

from __future__ import annotations

import asyncio
import socket

import pytest

from lane_kernel.capture import Store
from lane_kernel.net.config import Config
from lane_kernel.net.heads import RequestError, parse_request_head, read_request_head
from lane_kernel.net.stream import RecordedStream
from lane_kernel.sides import Side
from lane_kernel.wire.http1 import parse_head

HEADS = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nX:  spaced \t\r\nx: again\r\nEmpty:\r\n\r\n",
    b"POST /caf%C3%A9 HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nX: ü\r\n\r\n".encode("latin-1"),
    b"GET / HTTP/1.1\nHost: h\n\n",
]


@pytest.mark.parametrize("raw", HEADS)
def test_the_strict_and_the_lenient_reader_agree(raw: bytes) -> None:
    strict, lenient = parse_request_head(raw), parse_head(raw)
    assert (strict.method, strict.target, strict.version) == tuple(text for text, _ in lenient.parts)
    assert sorted((name.lower(), value) for name, value in strict.lines) == sorted(
        (line.name.lower(), line.value) for line in lenient.headers
    )


async def pair() -> tuple[RecordedStream, socket.socket]:
    """A recorded stream and the plain socket at its other end, over loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    peer = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    listener.close()
    ours.setblocking(False)
    return RecordedStream(ours, Store(), Side.SERVER), peer


async def test_a_head_may_come_byte_by_byte() -> None:
    stream, peer = await pair()
    reading = asyncio.ensure_future(read_request_head(stream))
    for byte in HEADS[1]:
        peer.send(bytes([byte]))
        await asyncio.sleep(0)
    head = await asyncio.wait_for(reading, 5)
    assert head is not None
    assert head.target == "/a?b=c"
    stream.close()
    peer.close()


async def test_a_head_of_just_the_bound_is_taken_and_what_follows_stays() -> None:
    stream, peer = await pair()
    raw = b"GET / HTTP/1.1\r\nHost: h\r\nX: "
    raw += b"x" * (200 - len(raw) - 4) + b"\r\n\r\n"
    peer.send(raw + b"y" * 500)
    assert await read_request_head(stream, Config(max_head=200)) is not None
    assert await stream.read_bytes(500) == b"y" * 500
    stream.close()
    peer.close()


async def test_a_head_over_the_bound_is_431_and_the_stream_stays_open() -> None:
    stream, peer = await pair()
    peer.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 400 + b"\r\n\r\n")
    with pytest.raises(RequestError) as caught:
        await read_request_head(stream, Config(max_head=200))
    assert caught.value.status == 431
    assert not stream.closed()
    stream.close()
    peer.close()


async def test_half_a_head_is_408_and_silence_is_the_end() -> None:
    stream, peer = await pair()
    assert await read_request_head(stream, Config(head_timeout=0.02)) is None
    stream.close()
    peer.close()
    stream, peer = await pair()
    peer.send(b"GET / HT")
    with pytest.raises(RequestError) as caught:
        await read_request_head(stream, Config(head_timeout=0.05))
    assert caught.value.status == 408
    stream.close()
    peer.close()


@pytest.mark.parametrize(
    ("first", "word"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "this is TLS; the server speaks plain HTTP: use ws:// or http://"),
        (b"\x00", "no request begins with byte 0x00"),
        (b"\x80\x2e", "no request begins with byte 0x80"),
        (b" ", "no request begins with byte 0x20"),
        (b"\x16\x03\x01\n\n", "this is TLS"),
    ],
)
async def test_what_no_request_begins_with_is_400_at_once(first: bytes, word: str) -> None:
    """RFC 9112 §3: a method is a token. The rest of such a head may never come, so that nobody waits for it."""
    stream, peer = await pair()
    peer.send(first)
    with pytest.raises(RequestError, match=word) as caught:
        await asyncio.wait_for(read_request_head(stream, Config(head_timeout=60)), 5)
    assert caught.value.status == 400
    assert not stream.closed()
    stream.close()
    peer.close()


async def test_an_empty_line_may_come_before_a_request() -> None:
    """RFC 9112 §2.2."""
    stream, peer = await pair()
    peer.send(b"\r\n" + HEADS[0])
    head = await asyncio.wait_for(read_request_head(stream), 5)
    assert head is not None
    assert head.target == "/"
    stream.close()
    peer.close()
