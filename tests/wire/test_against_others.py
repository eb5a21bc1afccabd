"""The same bytes into other people's readers: `websockets`, wsproto, httpx-sse's decoder, Tornado's heads."""

from __future__ import annotations

import pytest
from httpx_sse._decoders import SSEDecoder, SSELineDecoder
from hypothesis import given, settings
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders, HTTPInputError, parse_request_start_line, parse_response_start_line
from websockets.extensions.permessage_deflate import PerMessageDeflate
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate

from lane_kernel.sides import Side
from lane_kernel.wire.connection import Closed, Failed, Ping, Pong, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters, Deflater
from lane_kernel.wire.eventstream import EventStreamParser
from lane_kernel.wire.frames import Frame
from lane_kernel.wire.http1 import parse_head
from tests.vectors import deflate as deflate_vectors
from tests.vectors import heads as vectors
from tests.wire.peers import Seen, answers, read_with_websockets, read_with_wsproto

BOUND = 10_000
KEY = b"\x0a\x0b\x0c\x0d"


def ours(side: Side, data: bytes, deflate: DeflateParameters | None = None) -> Seen:
    """What our machine makes of bytes: what arrived, the code of its Close, the Pongs it sent."""
    connection = WebSocketConnection(side, max_message=BOUND, deflate=deflate)
    seen: list[object] = []
    for event in connection.receive_data(data):
        match event:
            case str():
                seen.append((1, event.encode()))
            case bytes():
                seen.append((2, event))
            case Ping() | Pong():
                seen.append((type(event).__name__, event.payload))
            case Closed():
                seen.append(("Close", event.code, event.reason))
            case Failed():
                seen.append("failed")
    return seen, *answers(connection.data_to_send())


def _encode(frames: list[Frame], side: Side) -> bytes:
    return b"".join(
        Frame(
            frame.opcode, frame.payload, frame.fin, frame.rsv1, frame.rsv2, frame.rsv3,
            (frame.masking_key or KEY) if side is Side.SERVER else frame.masking_key,
        ).encode()
        for frame in frames
    )  # fmt: skip


_payloads = st.sampled_from(
    [b"", b"a", "hé€𝄞".encode(), b"\xe2\x82", b"\xac", b"\xff", b"x" * 125, b"y" * 126, b"z" * 300]
)
_data = st.builds(Frame, st.sampled_from([1, 1, 2]), _payloads, st.sampled_from([True, False]))
_more = st.builds(Frame, st.just(0), _payloads, st.sampled_from([True, False]))
_control = st.builds(Frame, st.sampled_from([9, 10]), st.binary(max_size=125))
_close = st.builds(
    lambda code, reason: Frame(8, code.to_bytes(2, "big") + reason if code else reason),
    st.sampled_from([0, 1000, 1001, 1004, 1005, 1006, 1014, 1015, 2999, 3000, 4999, 5000]),
    st.sampled_from([b"", "adieu €".encode(), b"\xff", b"x"]),
).filter(lambda frame: frame.payload[2:] != b"\xff" or frame.payload[:2] in (b"\x03\xe8", b"\x03\xe9"))
"""Closes with at most one fault: of two, either may be blamed."""
_wrong = st.sampled_from(
    [
        Frame(3), Frame(11, b"x"), Frame(9, fin=False), Frame(9, b"x" * 126), Frame(1, b"x", rsv1=True),
        Frame(2, b"x", rsv2=True), Frame(10, rsv3=True), Frame(8, b"\x03"),
    ]
)  # fmt: skip


def _messages(fragments: list[bytes], text: bool) -> list[Frame]:
    last = len(fragments) - 1
    return [Frame((1 if text else 2) if not at else 0, part, at == last) for at, part in enumerate(fragments)]


_valid = st.lists(
    st.builds(_messages, st.lists(st.sampled_from([b"", b"a", "é€".encode()]), min_size=1, max_size=4), st.booleans())
    | _control.map(lambda frame: [frame]),
    max_size=6,
).map(lambda groups: [frame for group in groups for frame in group])
_any = st.lists(st.one_of(_data, _more, _control, _control, _wrong), max_size=8)


def _message_is_open(frames: list[Frame]) -> bool:
    return next((not frame.fin for frame in reversed(frames) if frame.opcode < 3), False)


@settings(max_examples=400)
@given(frames=_valid | _any, close=st.none() | _close, side=st.sampled_from(Side))
def test_the_same_conversation_as_websockets(frames: list[Frame], close: Frame | None, side: Side):
    """RFC 6455 §5 to §7: the same messages, Pongs and close codes.

    Left out, where `websockets` differs: a Close inside an unfinished message, which it fails with 1002 although
    §5.4 lets control frames stand there; and lengths that are not minimal, which it takes although §5.2 does not.
    """
    if close is not None and not _message_is_open(frames):
        frames = [*frames, close]
    data = _encode(frames, side)
    assert ours(side, data) == read_with_websockets(side, data, BOUND)


@settings(max_examples=300)
@given(frames=_valid | _any, close=st.none() | _close, side=st.sampled_from(Side))
def test_the_same_conversation_as_wsproto(frames: list[Frame], close: Frame | None, side: Side):
    """RFC 6455 §5 to §7: the same messages, Pongs and close codes, a Close inside an unfinished message, too.

    Left out, where wsproto differs: close code 1014, which the registry of §7.4.1 got later, and which it refuses.
    """
    if close is not None and close.payload[:2] != (1014).to_bytes(2, "big"):
        frames = [*frames, close]
    data = _encode(frames, side)
    assert ours(side, data) == read_with_wsproto(side, data)


def _compressed(message: bytes, opcode: int, at: int) -> list[Frame]:
    """A compressed message in one frame, or in two where a place to cut is inside it."""
    data = Deflater(DeflateParameters(), Side.SERVER).deflate(message)
    if not 0 < at < len(data):
        return [Frame(opcode, data, rsv1=True)]
    return [Frame(opcode, data[:at], False, rsv1=True), Frame(0, data[at:])]


_compressed_messages = st.builds(
    _compressed,
    st.sampled_from([b"", b"a", "hé€𝄞".encode(), b"ab\xff", b"ab\xe2\x82", b"x" * 3000]),
    st.sampled_from([1, 2]),
    st.integers(0, 9),
)
_with_deflate = st.lists(
    _compressed_messages
    | _compressed_messages
    | st.builds(_messages, st.lists(st.sampled_from([b"", b"a", "é€".encode()]), min_size=1, max_size=4), st.booleans())
    | _control.map(lambda frame: [frame])
    | st.sampled_from(
        [
            [Frame(9, rsv1=True)], [Frame(0, rsv1=True)], [Frame(1, b"a", False), Frame(0, rsv1=True)],
            [Frame(1, b"\x00", False, rsv1=True), Frame(0, rsv1=True)], [Frame(1, b"\x00", rsv1=True, rsv2=True)],
        ]
    ),
    max_size=6,
).map(lambda groups: [frame for group in groups for frame in group])  # fmt: skip


@settings(max_examples=200)
@given(frames=_with_deflate, side=st.sampled_from(Side), own=st.booleans())
def test_the_same_compressed_messages_as_websockets(frames: list[Frame], side: Side, own: bool):
    """RFC 7692 §6 and §7.2: the same messages and close codes, with the sender's window taken over or not.

    Left out, where `websockets` differs: data that cannot be inflated, which it fails with 1002 and not with 1007; and
    blocks with BFINAL (§7.2.3.4), after which it reads no more.
    """
    data = _encode(frames, side)
    theirs = PerMessageDeflate(own, False, 15, 15)
    assert ours(side, data, DeflateParameters(own, own)) == read_with_websockets(side, data, BOUND, theirs)


@settings(max_examples=200)
@given(frames=_with_deflate, side=st.sampled_from(Side), own=st.booleans())
def test_the_same_compressed_messages_as_wsproto(frames: list[Frame], side: Side, own: bool):
    """RFC 7692 §6 and §7.2.

    Left out, where wsproto differs: control frames between the fragments of a compressed message, after which it takes
    the rest for uncompressed, although RFC 6455 §5.4 lets them stand there; and blocks with BFINAL.
    """
    data = _encode(frames, side)
    theirs = WsprotoDeflate(client_no_context_takeover=own, server_no_context_takeover=own)
    theirs.finalize("permessage-deflate")
    assert ours(side, data, DeflateParameters(own, own)) == read_with_wsproto(side, data, theirs)


@pytest.mark.parametrize("data", deflate_vectors.CORRUPT, ids=bytes.hex)
@pytest.mark.parametrize("side", list(Side))
def test_what_cannot_be_inflated_as_wsproto(data: bytes, side: Side):
    """RFC 7692 §7.2.2: 1007."""
    theirs = WsprotoDeflate()
    theirs.finalize("permessage-deflate")
    wire = _encode([Frame(2, data, rsv1=True)], side)
    seen = ours(side, wire, DeflateParameters())
    assert seen == read_with_wsproto(side, wire, theirs) == (["failed"], 1007, [])


@pytest.mark.parametrize("side", list(Side))
def test_too_big_as_websockets(side: Side):
    """RFC 6455 §7.4.1, 1009: exactly at the bound, one over it, and one over it in fragments."""
    for frames in (
        [Frame(2, b"a" * BOUND)],
        [Frame(2, b"a" * (BOUND + 1))],
        [Frame(2, b"a" * BOUND, fin=False), Frame(0, b"")],
        [Frame(2, b"a" * BOUND, fin=False), Frame(0, b"b")],
    ):
        data = _encode(frames, side)
        assert ours(side, data) == read_with_websockets(side, data, BOUND)


@pytest.mark.parametrize("side", list(Side))
def test_wrong_masking_as_websockets(side: Side):
    """RFC 6455 §5.1."""
    data = Frame(1, b"hi", masking_key=None if side is Side.SERVER else KEY).encode()
    assert ours(side, data) == read_with_websockets(side, data, BOUND) == (["failed"], 1002, [])


_values = st.text(st.sampled_from(list("ab: 19é€\0\x0b\x85\u2028")), max_size=6)
_lines = st.one_of(
    st.tuples(
        st.sampled_from(["event", "id", "retry", "", "unknown", "Data"]), st.sampled_from([":", ": "]), _values
    ).map("".join),
    st.integers(0, 99999).map("retry: {}".format),
    st.sampled_from(["id", "event", "data", "data:", "retry"]),
)
_blocks = st.lists(
    st.tuples(st.lists(_lines, max_size=4), _values.map("data: x{}".format), st.lists(_lines, max_size=2)), max_size=5
)


@settings(max_examples=400)
@given(blocks=_blocks, breaks=st.sampled_from(["\n", "\r\n", "\r"]), is_cut=st.booleans())
def test_the_same_events_as_httpx_sse(blocks, breaks: str, is_cut: bool):
    """WHATWG HTML §9.2.6.

    Left out, where httpx-sse departs from the standard: it dispatches blocks without data that have a type, an ID or a
    retry, or follow an ID; it keeps a byte order mark at the start as a part of the first field's name; it takes for a
    retry whatever `int` takes; and it dispatches an event that a lone CR ends with the next bytes only. Its own text
    decoder stands before it, so that wrong UTF-8 is not its affair.
    """
    lines = [line for before, data, after in blocks for line in (*before, data, *after, "")]
    text = "".join(line + breaks for line in (lines[:-1] if is_cut else lines))
    line_decoder, decoder = SSELineDecoder(), SSEDecoder()
    theirs = [event for line in line_decoder.decode(text) + line_decoder.flush() if (event := decoder.decode(line))]
    parser = EventStreamParser()
    ours = [block.event for block in parser.feed(text.encode()) if block.event is not None]
    assert [(event.type, event.data, event.last_event_id) for event in ours] == [
        (event.event, event.data, event.id) for event in theirs
    ]


@pytest.mark.parametrize("case", vectors.HEADS, ids=lambda case: case.id)
def test_heads_as_tornado_reads_them(case: vectors.HeadCase):
    """RFC 9112 §3 to §5: what a strict parser takes, ours reads alike; what it refuses, ours still places."""
    start_line, _, rest = case.wire.lstrip(b"\r\n").decode("latin-1").partition("\n")
    parse_start = parse_response_start_line if case.parts[0].startswith("HTTP/") else parse_request_start_line
    try:
        line = parse_start(start_line.rstrip("\r"))
        headers = HTTPHeaders.parse(rest.rstrip("\r\n"))
    except HTTPInputError:
        assert not case.is_strict
        return
    assert case.is_strict
    head = parse_head(case.wire)
    assert tuple(str(part or "") for part in line) == tuple(text for text, _ in head.parts)
    assert [(name.lower(), value) for name, value in headers.get_all()] == [
        (line.name.lower(), line.value) for line in head.headers
    ]
