"""Connections that agreed on permessage-deflate, both sides. RFC 7692 §6 and §7.2."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.connection import Closed, Event, Failed, Ping, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters, Deflater
from lane_kernel.wire.frames import Frame
from lane_kernel.wire.policy import Policy
from lane_kernel.wire.rules import Finding, Rule
from lane_kernel.wire.spans import Span
from tests.vectors import deflate as vectors
from tests.wire.ends import KEY, SIDES, Pair, comparable, from_peer, make, receive, sent_frames
from tests.wire.helpers import PLACES, WAYS, byte_by_byte, cut

PLAIN = DeflateParameters()
HELLO = bytes.fromhex("f248cdc9c90700")
NO_TEXT = Deflater(PLAIN, Side.CLIENT).deflate(b"ab\xffcd")
PARAMETERS = st.builds(DeflateParameters, st.booleans(), st.booleans(), st.integers(9, 15), st.integers(8, 15))
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def failure(events: list[Event]) -> tuple[Rule, Span]:
    """What the last event says of a broken rule."""
    assert isinstance(events[-1], Failed)
    return events[-1].error.rule, events[-1].error.span


@SIDES
def test_messages_both_ways(side: Side):
    """RFC 7692 §6.1: RSV1 on the first frame alone; each message is inflated as it was."""
    pair = Pair(PLAIN)
    for message in ("Hello", b"Hello" * 1000, "", "Hello"):
        pair[side].send_message(message)
    pair[side.peer].send_message("hé")
    pair.run()
    assert pair.events[side.peer] == ["Hello", b"Hello" * 1000, "", "Hello"]
    assert pair.events[side] == ["hé"]


def test_what_goes_over():
    """RFC 7692 §7.2.3.1, §7.2.3.2: the examples, from a server."""
    server = make(Side.SERVER, deflate=PLAIN)
    server.send_message("Hello")
    server.send_message("Hello")
    assert server.data_to_send() == bytes.fromhex("c107f248cdc9c90700 c105f200110000")


@pytest.mark.parametrize("case", vectors.MESSAGES, ids=lambda case: case.id)
@ways
def test_the_examples(case: vectors.MessageCase, way):
    """RFC 7692 §7.2.3: each as one frame, and each with one byte in a frame."""
    parameters = DeflateParameters(client_no_context_takeover=not case.keeps)
    wire = from_peer(Side.SERVER, *(Frame(2, data, rsv1=True) for data in case.compressed))
    assert receive(make(Side.SERVER, deflate=parameters), way(wire)) == list(case.inflated)
    frames = [
        Frame(2 if not at else 0, byte, at == len(data) - 1, rsv1=not at)
        for data in case.compressed
        for at, byte in enumerate(byte_by_byte(data))
    ]
    wire = from_peer(Side.SERVER, *frames)
    assert receive(make(Side.SERVER, deflate=parameters), way(wire)) == list(case.inflated)


def test_control_frames_and_plain_messages_between():
    """RFC 7692 §6: control frames stand between the fragments; a message without RSV1 leaves the windows alone."""
    server = make(Side.SERVER, deflate=PLAIN)
    wire = from_peer(
        Side.SERVER,
        Frame(1, HELLO[:3], fin=False, rsv1=True), Frame(9, b"?"), Frame(0, HELLO[3:]),
        Frame(1, b"plain"), Frame(2, b"plain" * 100),
        Frame(1, bytes.fromhex("f200110000"), rsv1=True),
        Frame(8),
    )  # fmt: skip
    assert server.receive_data(wire) == [Ping(b"?"), "Hello", "plain", b"plain" * 100, "Hello", Closed(1005, "")]


_script = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.text(max_size=40) | st.binary(max_size=200) | st.just("Hello" * 400),
        st.none() | st.booleans(),
        st.none() | st.integers(1, 50),
    ),
    max_size=8,
)


@settings(max_examples=150)
@given(PARAMETERS, _script, PLACES)
def test_any_conversation_arrives(parameters: DeflateParameters, script, places: list[int]):
    """All parameters, compressed or not, whole or in fragments, in any pieces; with a window of 8 bits uncompressed."""
    ends = {side: make(side, deflate=parameters) for side in Side}
    for side, message, is_compressed, size in script:
        ends[side].send_message(message, is_compressed=is_compressed, fragment_size=size)
        data = ends[side].data_to_send()
        frames = sent_frames(data)
        assert frames[0].rsv1 == (is_compressed is not False and parameters.max_window_bits(side) > 8)
        assert not any(frame.rsv1 for frame in frames[1:])
        assert size is None or all(len(frame.payload) <= size for frame in frames)
        assert receive(ends[side.peer], cut(data, places)) == [message]


@SIDES
def test_the_policy_compresses_or_not(side: Side):
    """By default all messages, or none, and each one as it is said for it."""
    for compresses in (True, False):
        end = make(side, deflate=PLAIN, policy=Policy(compresses=compresses))
        for is_compressed in (None, True, False):
            end.send_message("Hello", is_compressed=is_compressed)
        assert [frame.rsv1 for frame in sent_frames(end.data_to_send())] == [compresses, True, False]
    end = make(side)
    end.send_message("Hello", is_compressed=True)
    assert [frame.rsv1 for frame in sent_frames(end.data_to_send())] == [False]


@pytest.mark.parametrize("as_is", [True, False])
def test_a_message_compressed_by_hand(as_is: bool):
    """RFC 7692 §7.2.1: it enters the peer's window and not ours, so ours begins anew."""
    pair = Pair(PLAIN)
    for message in ("Hello, world, and all that", "of the world"):
        pair[Side.CLIENT].send_message(message)
        by_hand = Frame(1, HELLO, rsv1=True, masking_key=KEY)
        (pair[Side.CLIENT].send_as_is if as_is else pair[Side.CLIENT].send)(by_hand)
    pair[Side.CLIENT].send_message("Hello, world, and all that")
    pair.run()
    assert pair.events[Side.SERVER] == [
        "Hello, world, and all that", "Hello", "of the world", "Hello", "Hello, world, and all that",
    ]  # fmt: skip


BROKEN = [
    (rules.RSV1_ON_CONTINUATION, [Frame(1, HELLO[:3], False, rsv1=True), Frame(0, HELLO[3:], rsv1=True)], Span(9, 15)),
    (rules.RSV1_ON_CONTINUATION, [Frame(1, b"a", False), Frame(0, b"b", rsv1=True)], Span(7, 13)),
    (rules.RSV1_ON_CONTROL, [Frame(9, HELLO, rsv1=True)], Span(0, 6)),
    (rules.RSV1_ON_CONTROL, [Frame(8, b"\x03\xe8", rsv1=True)], Span(0, 6)),
    (rules.RESERVED_BIT, [Frame(1, HELLO, rsv1=True, rsv2=True)], Span(0, 6)),
    (rules.RESERVED_BIT, [Frame(1, b"a", rsv3=True)], Span(0, 6)),
    *((rules.INFLATE_FAILED, [Frame(2, data, rsv1=True)], Span(6, 6 + len(data))) for data in vectors.CORRUPT),
    (rules.INVALID_UTF8, [Frame(1, NO_TEXT, rsv1=True)], Span(6, 6 + len(NO_TEXT))),
    (rules.INVALID_UTF8, [Frame(1, bytes.fromhex("3a0c00"), rsv1=True)], Span(6, 9)),
]


def _id(value: object) -> str | None:
    return value.id if isinstance(value, Rule) else None


@pytest.mark.parametrize(("rule", "frames", "span"), BROKEN, ids=_id)
@ways
def test_a_broken_rule_fails_the_connection(rule: Rule, frames: list[Frame], span: Span, way):
    """RFC 7692 §6.1, §7.2.2; RFC 6455 §8.1: of compressed text all the frame's bytes are to blame."""
    server = make(Side.SERVER, offset=50, deflate=PLAIN)
    seen, where = failure(receive(server, way(from_peer(Side.SERVER, *frames))))
    assert seen is rule
    assert where == Span(50 + span.start, 50 + span.stop)
    (close,) = sent_frames(server.data_to_send())
    assert (close.opcode, close.rsv1, close.payload[:2]) == (8, False, (rule.close_code or 0).to_bytes(2, "big"))


def test_a_character_that_no_frame_ends():
    """RFC 6455 §8.1: an empty last frame has only its header to blame."""
    frames = [Frame(1, Deflater(PLAIN, Side.CLIENT).deflate(b"a\xc3"), False, rsv1=True), Frame(0, b"")]
    wire = from_peer(Side.SERVER, *frames)
    assert failure(make(Side.SERVER, deflate=PLAIN).receive_data(wire)) == (
        rules.INVALID_UTF8, Span(len(wire) - 1, len(wire)),
    )  # fmt: skip


def test_text_that_only_the_tail_gives():
    """RFC 7692 §7.2.2: what inflates from the 4 bytes that nobody sent is blamed on the last that somebody did."""
    # A stored block of 4 bytes, which are the tail's.
    frames = [Frame(1, bytes.fromhex("000400fbff"), False, rsv1=True), Frame(0, b"")]
    wire = from_peer(Side.SERVER, *frames)
    assert failure(make(Side.SERVER, deflate=PLAIN).receive_data(wire)) == (
        rules.INVALID_UTF8, Span(len(wire) - 1, len(wire)),
    )  # fmt: skip


@ways
@pytest.mark.parametrize("data", vectors.CORRUPT[:-1], ids=bytes.hex)
def test_a_lenient_reader_passes_over_what_cannot_be_inflated(way, data: bytes):
    """Nothing of it arrives, of no fragment; the next message begins with an empty window."""
    server = make(Side.SERVER, deflate=PLAIN, max_message=32, policy=Policy(is_strict=False))
    frames = [Frame(1, data, False, rsv1=True), Frame(9), Frame(0, bytes(20), False), Frame(0, bytes(1000))]
    wire = from_peer(Side.SERVER, *frames, Frame(1, HELLO, rsv1=True))
    finding, *events = receive(server, way(wire))
    assert isinstance(finding, Finding)
    assert (finding.rule, finding.span) == (rules.INFLATE_FAILED, Span(6, 6 + len(data)))
    assert events == [Ping(b""), "Hello"]


@ways
def test_a_lenient_reader_goes_on(way):
    """RFC 7692 §6.1: RSV1 where it has no meaning changes nothing."""
    server = make(Side.SERVER, deflate=PLAIN, policy=Policy(is_strict=False))
    wire = from_peer(
        Side.SERVER,
        Frame(9, b"?", rsv1=True),
        Frame(1, HELLO[:3], False, rsv1=True), Frame(0, HELLO[3:], rsv1=True),
        Frame(0, b"stray", rsv1=True),
        Frame(1, NO_TEXT, rsv1=True),
    )  # fmt: skip
    events = receive(server, way(wire))
    found = [event.rule for event in events if isinstance(event, Finding)]
    assert [event for event in events if not isinstance(event, Finding)] == [
        Ping(b"?"), "Hello", b"stray", "ab\udcffcd",
    ]  # fmt: skip
    assert found == [
        rules.RSV1_ON_CONTROL, rules.RSV1_ON_CONTINUATION, rules.RSV1_ON_CONTINUATION, rules.UNEXPECTED_CONTINUATION,
        rules.INVALID_UTF8,
    ]  # fmt: skip


@ways
@pytest.mark.parametrize("size", [4, 1000])
def test_exactly_the_bound(way, size: int):
    """RFC 6455 §10.4: a message's bound is on what it inflates to, also where its bytes are more; one over it fails."""
    noise = bytes((at * 89 + at // 7) % 256 for at in range(size))
    for payload in (noise, bytes(size)):
        compressed = Deflater(PLAIN, Side.CLIENT).deflate(payload)
        wire = from_peer(Side.SERVER, Frame(2, compressed, rsv1=True))
        assert receive(make(Side.SERVER, max_message=size, deflate=PLAIN), way(wire)) == [payload]
        frames = [Frame(2, compressed[:4], False, rsv1=True), Frame(0, b"", False), Frame(0, compressed[4:])]
        assert receive(
            make(Side.SERVER, max_message=size, deflate=PLAIN), way(from_peer(Side.SERVER, *frames))
        ) == [payload]  # fmt: skip
        events = receive(make(Side.SERVER, max_message=size - 1, deflate=PLAIN), way(wire))
        assert failure(events) == (rules.INFLATED_TOO_BIG, Span(len(wire) - len(compressed), len(wire)))


@pytest.mark.parametrize("policy", [Policy(), Policy(is_strict=False)])
def test_a_bomb(policy: Policy):
    """RFC 6455 §10.4: 64 MiB in a frame of 64 KiB, read in small pieces; the bound holds, and so does memory."""
    compressor = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(64)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    wire = from_peer(Side.SERVER, Frame(2, bomb, rsv1=True))
    tracemalloc.start()
    try:
        server = make(Side.SERVER, max_message=1 << 20, deflate=PLAIN, policy=policy)
        events = receive(server, [wire[at : at + 4096] for at in range(0, len(wire), 4096)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert failure(events)[0] is rules.INFLATED_TOO_BIG
    assert peak < 8 << 20


_frames = st.builds(
    Frame,
    opcode=st.sampled_from([0, 0, 1, 1, 2, 8, 9]),
    payload=st.sampled_from(
        [b"", b"a", HELLO, HELLO[:3], HELLO[3:], NO_TEXT, b"\x00", bytes.fromhex("f200110000"), b"\xff", b"\x07" * 40,
         Deflater(PLAIN, Side.CLIENT).deflate(b"x" * 200)]
    ),
    fin=st.sampled_from([True, True, False]),
    rsv1=st.booleans(),
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(_frames, max_size=6), PLACES, st.booleans(), st.booleans())
def test_any_chunking_gives_the_same(frames: list[Frame], places: list[int], is_strict: bool, own: bool):
    """Right or wrong, strict or lenient: the same events and answers.

    But for what is blamed where a compressed text is wrong in two ways: of a piece that is no DEFLATE data, or too
    much, nothing is inflated that could be seen to be no text.
    """
    wire = from_peer(Side.SERVER, *frames)
    policy = Policy(is_strict=is_strict)
    one, other = (
        make(Side.SERVER, max_message=150, deflate=DeflateParameters(own, own), policy=policy) for _ in range(2)
    )
    events, others = comparable(receive(one, [wire])), comparable(receive(other, cut(wire, places)))
    if str(rules.INVALID_UTF8) in str(others) and events != others:
        assert any(str(rule) in str(events) for rule in (rules.INFLATE_FAILED, rules.INFLATED_TOO_BIG))
        return
    assert events == others
    assert one.data_to_send() == other.data_to_send()
    assert (one.state, one.close_code) == (other.state, other.close_code)


@pytest.mark.parametrize("side", list(Side))
def test_what_was_agreed_is_known(side: Side):
    """A connection tells its parameters; without them RSV1 is a reserved bit (RFC 6455 §5.2)."""
    assert make(side, deflate=PLAIN).deflate == PLAIN
    plain = WebSocketConnection(side)
    assert plain.deflate is None
    assert failure(plain.receive_data(from_peer(side, Frame(1, HELLO, rsv1=True))))[0] is rules.RESERVED_BIT
