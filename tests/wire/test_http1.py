"""HTTP/1.1 heads and chunked bodies with the place of every part. RFC 9112."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.wire.http1 import (
    ChunkedDecoder,
    ChunkError,
    describe_chunk_framing,
    describe_chunked,
    describe_head,
    find_head_end,
    is_secret,
    parse_head,
    redact_head,
)
from lane_kernel.wire.spans import Span
from tests.vectors import heads as vectors
from tests.wire.helpers import PLACES, WAYS, assert_tiles, cut

heads = pytest.mark.parametrize("case", vectors.HEADS, ids=lambda case: case.id)
bodies = pytest.mark.parametrize("case", vectors.BODIES, ids=lambda case: case.id)
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@heads
def test_parse(case: vectors.HeadCase):
    """RFC 9112 §3 to §5: texts, and the bytes that they stand in."""
    head = parse_head(case.wire, 500)
    assert tuple(text for text, _ in head.parts) == case.parts
    assert [(line.name, line.value) for line in head.headers] == list(case.headers)
    assert head.span == Span(500, 500 + len(case.wire))
    places = [*head.parts, *((line.name, line.name_span) for line in head.headers)]
    places += [(line.value, line.value_span) for line in head.headers]
    for text, span in places:
        assert case.wire[span.start - 500 : span.stop - 500].decode("latin-1") == text


@heads
@pytest.mark.parametrize("after", [b"", b"\x81\x00", b"\r\n\r\n"])
def test_find_end(case: vectors.HeadCase, after: bytes):
    """RFC 9112 §2.1: the empty line, found with its last byte and not moved by what follows, however it is searched."""
    data = case.wire + after
    assert find_head_end(data) == len(case.wire)
    for size in range(len(case.wire)):
        assert find_head_end(bytearray(data[:size])) is None
        assert find_head_end(data, size) == len(case.wire)


@heads
def test_describe(case: vectors.HeadCase):
    fields = describe_head(case.wire, 500)
    assert_tiles(fields, Span(500, 500 + len(case.wire)))
    for field in fields:
        raw = case.wire[field.span.start - 500 : field.span.stop - 500]
        assert field.value == (raw if isinstance(field.value, bytes) else raw.decode("latin-1"))


def test_describe_names():
    """RFC 9112 §3: the fields of a request, as a person reads them."""
    fields = describe_head(b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n")
    assert [(field.name, field.text, field.clause) for field in fields] == [
        ("method", "GET", "RFC 9112 §3"),
        ("space", "' '", "RFC 9112 §2.1"),
        ("target", "/a", "RFC 9112 §3"),
        ("space", "' '", "RFC 9112 §2.1"),
        ("version", "HTTP/1.1", "RFC 9112 §3"),
        ("end of line", r"'\r\n'", "RFC 9112 §2.1"),
        ("field name", "Host", "RFC 9112 §5"),
        ("colon", "': '", "RFC 9112 §2.1"),
        ("Host", "b", "RFC 9110 §7.2"),
        ("end of head", r"'\r\n\r\n'", "RFC 9112 §2.1"),
    ]


def test_head_of_a_request():
    head = parse_head(vectors.HEADS[0].wire)
    assert not head.is_response
    assert (head.method, head.target) == ("GET", "/chat")
    assert head.first("SEC-WEBSOCKET-VERSION") == "13"
    assert head.first("Cookie") is None


def test_head_of_a_response():
    head = parse_head(vectors.HEADS[1].wire)
    assert head.is_response
    assert (head.status, head.reason) == (101, "Switching Protocols")
    assert parse_head(b"HTTP/1.1 2x0 OK\r\n\r\n").status == 0
    assert parse_head("HTTP/1.1 ²00 OK\r\n\r\n".encode("latin-1")).status == 0


_pieces = st.lists(st.sampled_from([b"A", b":", b" ", b"\t", b"\r", b"\n", b"\r\n"])).map(b"".join)


@given(st.binary(max_size=120) | _pieces, st.integers(0, 1000))
def test_any_bytes_are_described(data: bytes, offset: int):
    """Whatever stands there gets a place."""
    assert_tiles(describe_head(data, offset), Span(offset, offset + len(data)))


def test_secrets():
    """RFC 6265 §4, RFC 9110 §11: what gives access is not shown unasked."""
    assert all(map(is_secret, ("Cookie", "set-cookie", "AUTHORIZATION", "Proxy-Authorization")))
    assert not any(map(is_secret, ("Host", "Sec-WebSocket-Key", "Origin")))


# Chunked bodies


def decode(pieces: list[bytes], offset: int = 0) -> tuple[ChunkedDecoder, list[tuple[int, bytes]], int]:
    """Feed pieces; answer the decoder, the data with its places, and how much was taken in all."""
    decoder, found, taken = ChunkedDecoder(), [], 0
    at = offset
    for piece in pieces:
        found += decoder.feed(piece, at)
        at += len(piece)
        taken += decoder.consumed
    return decoder, found, taken


@bodies
@ways
@pytest.mark.parametrize("after", [b"", b"GET / HTTP/1.1\r\n\r\n"])
def test_chunked(case: vectors.BodyCase, way, after: bytes):
    """RFC 9112 §7.1: the data, where it stands, and where the body ends."""
    wire = case.wire + after
    decoder, found, taken = decode(way(wire), 300)
    assert b"".join(data for _, data in found) == case.data
    for at, data in found:
        assert wire[at - 300 : at - 300 + len(data)] == data
    assert decoder.is_finished
    assert taken == len(case.wire)


@bodies
def test_chunked_cut_short(case: vectors.BodyCase):
    """It is finished with its last byte and not before."""
    for size in range(len(case.wire)):
        decoder, found, _ = decode([case.wire[:size]])
        assert not decoder.is_finished
        assert case.data.startswith(b"".join(data for _, data in found))


@pytest.mark.parametrize("case", vectors.BROKEN_BODIES, ids=lambda case: case.id)
def test_chunked_broken(case: vectors.BodyCase):
    """RFC 9112 §7.1: an error, and what came before it is not lost, however it arrives."""
    with pytest.raises(ChunkError) as error:
        ChunkedDecoder().feed(case.wire, 40)
    assert b"".join(data for _, data in error.value.pieces) == case.data
    assert all(case.wire[at - 40 :].startswith(data) for at, data in error.value.pieces)
    decoder, found = ChunkedDecoder(), []
    *before, last = range(len(case.wire))
    for at in before:
        found += decoder.feed(case.wire[at : at + 1], at)
    with pytest.raises(ChunkError) as error:
        decoder.feed(case.wire[last:], last)
    assert b"".join(data for _, data in (*found, *error.value.pieces)) == case.data


@bodies
def test_every_byte_of_a_chunked_body_has_a_name(case: vectors.BodyCase):
    """RFC 9112 §7.1: whole, or cut anywhere."""
    for size in range(len(case.wire) + 1):
        fields = describe_chunked(case.wire[:size], 70)
        assert_tiles(fields, Span(70, 70 + size))
    data = b"".join(field.value for field in fields if field.name == "chunk data" and isinstance(field.value, bytes))
    assert data == case.data
    assert [field.name for field in fields][-2:] == ["end of line", "end of line"]


@pytest.mark.parametrize("case", vectors.BROKEN_BODIES, ids=lambda case: case.id)
def test_every_byte_of_a_broken_chunked_body_has_a_name(case: vectors.BodyCase):
    assert_tiles(describe_chunked(case.wire), Span(0, len(case.wire)))


def test_the_names_of_chunk_framing():
    """RFC 9112 §7.1."""
    fields = describe_chunk_framing(b'\r\nA;b="c"\r\n')
    assert [(field.name, field.meaning) for field in fields] == [
        ("end of line", ""), ("chunk size", "10 bytes of data follow"), ("chunk extension", "for whoever knows it"),
        ("end of line", ""),
    ]  # fmt: skip
    last = describe_chunk_framing(b"\r\n000\r\nA: b\r\n\r\n")
    assert [field.text for field in last if field.name == "trailer"] == ["'A: b'"]
    assert [field.meaning for field in last if field.name == "chunk size"] == ["the last chunk"]


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), PLACES)
def test_any_chunking_gives_the_same(chunks: list[bytes], places: list[int]):
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    decoder, found, taken = decode(cut(wire, places))
    assert b"".join(data for _, data in found) == b"".join(chunks)
    assert all(wire[at:].startswith(data) for at, data in found)
    assert decoder.is_finished
    assert taken == len(wire)


def test_secrets_are_overwritten_in_place():
    """Cookies and credentials are not shown; every byte keeps its place."""
    head = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: a=b\r\nauthorization:  Basic x \r\nX: Cookie\r\n\r\n"
    assert redact_head(head) == (
        b"GET / HTTP/1.1\r\nHost: h\r\nCookie: ***\r\nauthorization:  ******* \r\nX: Cookie\r\n\r\n"
    )
