"""The endpoint's state machine, both sides, joined in memory. RFC 6455 §5 to §7."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.connection import (
    Closed,
    ConnectionStateError,
    Event,
    Failed,
    Ping,
    Pong,
    State,
    WebSocketConnection,
)
from lane_kernel.wire.frames import Frame, FrameError, Opcode, apply_mask, close_frame
from lane_kernel.wire.rules import ProtocolError
from lane_kernel.wire.spans import Span
from tests.vectors import broken_frames as vectors
from tests.wire.ends import KEY, SIDES, Pair, comparable, from_peer, make, receive, sent
from tests.wire.helpers import PLACES, WAYS, cut


@SIDES
def test_messages_both_ways(side: Side):
    """RFC 6455 §5.6: text and binary arrive as they were sent, a client's masked."""
    pair = Pair()
    pair[side].send(Frame(Opcode.TEXT, "hé".encode()))
    pair[side].send(Frame(Opcode.BINARY, b"\xff" * 70_000))
    pair[side.peer].send(Frame(Opcode.TEXT))
    pair.run()
    assert pair.events[side.peer] == ["hé", b"\xff" * 70_000]
    assert pair.events[side] == [""]


def test_only_a_client_masks():
    """RFC 6455 §5.1: with a fresh key from the seam, or the frame's own."""
    client, server = make(Side.CLIENT), make(Side.SERVER)
    for end in (client, server):
        end.send(Frame(1, b"Hello"))
    assert client.data_to_send() == b"\x81\x85" + KEY + apply_mask(KEY, b"Hello")
    assert server.data_to_send() == b"\x81\x05Hello"
    client.send(Frame(1, b"Hello", masking_key=b"abcd"))
    assert client.data_to_send() == b"\x81\x85abcd" + apply_mask(b"abcd", b"Hello")
    assert client.data_to_send() == b""


def test_a_clients_keys_differ():
    """RFC 6455 §5.3: a fresh masking-key for each frame."""
    client = WebSocketConnection(Side.CLIENT)
    for _ in range(50):
        client.send(Frame(1))
    data = client.data_to_send()
    assert len({data[at + 2 : at + 6] for at in range(0, len(data), 6)}) == 50


@SIDES
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_fragments_with_control_frames_between(side: Side, way):
    """RFC 6455 §5.4: control frames stand between fragments, also within a character."""
    euro = "€".encode()
    data = from_peer(
        side,
        Frame(1, euro[:1], fin=False),
        Frame(9, b"ping"),
        Frame(0, b"", fin=False),
        Frame(10, b"pong"),
        Frame(0, euro[1:2], fin=False),
        Frame(0, euro[2:]),
        Frame(2, b"next"),
    )
    connection = make(side)
    assert receive(connection, way(data)) == [
        Ping(b"ping"), Pong(b"pong"), "€", b"next",
    ]  # fmt: skip
    assert sent(connection) == [(Opcode.PONG, b"ping", side is Side.CLIENT)]


@SIDES
def test_ping_is_answered_with_its_payload(side: Side):
    """RFC 6455 §5.5.2, §5.5.3."""
    pair = Pair()
    pair[side].send(Frame(9, b"a" * 125))
    pair[side].send(Frame(9))
    pair.run()
    assert pair.events[side.peer] == [Ping(b"a" * 125), Ping(b"")]
    assert pair.events[side] == [Pong(b"a" * 125), Pong(b"")]


@SIDES
def test_closing_handshake(side: Side):
    """RFC 6455 §7.1.2, §7.1.5: both ends know code and reason of the other's Close."""
    pair = Pair()
    pair[side].close(4000, "enough")
    assert pair[side].state is State.CLOSING
    pair.run()
    for end in (pair[side], pair[side.peer]):
        assert end.state is State.CLOSED
        assert end.is_finished
        assert end.close_code == 4000
        assert end.failure is None
    assert pair.events[side.peer] == [Closed(4000, "enough")]
    assert pair.events[side] == [Closed(4000, "")]
    assert pair[side.peer].close_reason == "enough"


@SIDES
def test_close_without_a_code(side: Side):
    """RFC 6455 §7.1.5: 1005 where the Close carries no code; the answer carries none, too."""
    connection = make(side)
    assert connection.receive_data(from_peer(side, Frame(8))) == [Closed(1005, "")]
    assert sent(connection) == [(Opcode.CLOSE, b"", side is Side.CLIENT)]
    pair = Pair()
    pair[side].close(None)
    pair.run()
    assert (pair[side].close_code, pair[side.peer].close_code) == (1005, 1005)


def test_both_ends_close_at_once():
    """RFC 6455 §7.1.2: each takes the other's Close for the answer."""
    pair = Pair()
    pair[Side.CLIENT].close(1000)
    pair[Side.SERVER].close(1001)
    pair.run()
    assert pair[Side.CLIENT].close_code == 1001
    assert pair[Side.SERVER].close_code == 1000
    assert pair[Side.CLIENT].state is pair[Side.SERVER].state is State.CLOSED


@SIDES
def test_messages_arrive_until_the_peers_close(side: Side):
    """RFC 6455 §5.5.1, §5.5.2: who has sent a Close still reads, and answers a Ping until the peer's Close comes."""
    connection = make(side)
    connection.close()
    connection.data_to_send()
    data = from_peer(side, Frame(1, b"late"), Frame(9, b"?"), Frame(8, b"\x03\xe8"))
    assert connection.receive_data(data) == ["late", Ping(b"?"), Closed(1000, "")]
    assert sent(connection) == [(Opcode.PONG, b"?", side is Side.CLIENT)]


@SIDES
def test_nothing_is_read_after_the_peers_close(side: Side):
    """RFC 6455 §5.5.1."""
    connection = make(side)
    assert connection.receive_data(from_peer(side, Frame(8, b"\x03\xe8"), Frame(1, b"no"))) == [Closed(1000, "")]
    assert connection.receive_data(from_peer(side, Frame(1, b"no"))) == []
    assert connection.receive_eof() == []
    assert connection.close_code == 1000


@SIDES
def test_nothing_is_sent_after_a_close(side: Side):
    """RFC 6455 §5.5.1."""
    connection = make(side)
    connection.close()
    with pytest.raises(ConnectionStateError, match="nothing follows a Close"):
        connection.send(Frame(1, b"no"))
    connection.close(1001)
    assert sent(connection) == [(Opcode.CLOSE, b"\x03\xe8", side is Side.CLIENT)]
    connection.receive_eof()
    with pytest.raises(ConnectionStateError):
        connection.send(Frame(1, b"no"))
    connection.close()
    assert connection.data_to_send() == b""


def test_a_close_that_cannot_be_sent_changes_nothing():
    """RFC 6455 §7.4.1."""
    connection = make(Side.SERVER)
    with pytest.raises(FrameError):
        connection.close(1006)
    assert connection.state is State.OPEN
    assert connection.data_to_send() == b""


def test_send_as_is():
    """Against the rules, on purpose: no mask is added, nothing is refused, and a Close still begins the closing."""
    client = make(Side.CLIENT)
    client.send_as_is(Frame(3, b"x", rsv2=True))
    assert client.data_to_send() == b"\xa3\x01x"
    client.send_as_is(Frame(8, b"\x03\xed"))
    assert client.state is State.CLOSING
    client.send_as_is(Frame(1, b"after"))
    assert client.data_to_send() == b"\x88\x02\x03\xed\x81\x05after"
    assert client.receive_data(Frame(8).encode()) == [Closed(1005, "")]
    assert client.is_finished
    client.send_as_is(Frame(8))
    assert client.data_to_send() == b"\x88\x00"
    assert client.is_finished


broken = pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case.rule}-{number}") for number, case in enumerate(vectors.BROKEN)]
)


@broken
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_broken_rule_fails_the_connection(case: vectors.Broken, way):
    """RFC 6455 §7.1.7: the rule, the blamed bytes, the close code, one Close, and nothing read after it."""
    connection = make(case.side, offset=1000, max_message=vectors.BOUND)
    *before, failed = receive(connection, way(case.wire + b"\x00" * 9))
    assert tuple(before) == case.before
    assert isinstance(failed, Failed)
    error = failed.error
    assert connection.failure is error
    assert (error.rule.id, error.close_code) == (case.rule, case.code)
    assert error.span == Span(1000 + case.span.start, 1000 + case.span.stop)
    assert case.rule in rules.RULES
    assert error.rule.clause in str(error)
    assert str(case.code) in str(error)
    assert (connection.state, connection.close_code) == (State.CLOSED, 1006)
    ((opcode, payload, masked),) = sent(connection)
    assert (opcode, int.from_bytes(payload[:2], "big"), masked) == (8, case.code, case.side is Side.CLIENT)
    assert payload[2:].decode().startswith(f"{case.rule}: ")
    assert connection.receive_data(from_peer(case.side, Frame(1, b"no"))) == []
    assert connection.receive_eof() == []


def test_every_rule_of_the_strict_machine_is_shown():
    """All that fail a connection, but the one that a strict reader never meets, and those of permessage-deflate."""
    failing = {rule.id for rule in rules.RULES.values() if rule.close_code is not None}
    compressed = {"rsv1-on-continuation", "rsv1-on-control", "inflate-failed", "inflated-too-big"}
    assert {case.rule for case in vectors.BROKEN} == failing - compressed - {"data-after-close"}


def test_failing_while_closing_sends_no_second_close():
    """RFC 6455 §5.5.1."""
    server = make(Side.SERVER)
    server.close()
    server.data_to_send()
    (failed,) = server.receive_data(b"\x81\x00")
    assert isinstance(failed, Failed)
    assert server.data_to_send() == b""
    assert server.state is State.CLOSED


def test_failure_after_its_header_alone():
    """A frame that is refused by its header is not waited for."""
    server = make(Side.SERVER)
    (failed,) = server.receive_data(vectors.client("89ff0000000000010000"))
    assert isinstance(failed, Failed)
    assert failed.error.rule is rules.CONTROL_TOO_LONG


@SIDES
def test_max_message(side: Side):
    """RFC 6455 §10.4: a message of exactly the bound passes, whole or in fragments, and the next one anew."""
    connection = make(side, max_message=4)
    data = from_peer(side, Frame(2, b"abcd"), Frame(2, b"abc", fin=False), Frame(0, b"d"), Frame(2, b"efgh"))
    assert connection.receive_data(data) == [b"abcd", b"abcd", b"efgh"]
    (failed,) = connection.receive_data(from_peer(side, Frame(2, b"abcde")))
    assert isinstance(failed, Failed)
    assert failed.error.rule is rules.MESSAGE_TOO_BIG


@SIDES
def test_max_frame(side: Side):
    """A frame of exactly the bound passes, also as a fragment; a longer one is refused by its header alone."""
    for size in (4, 200, 70_000):
        data = b"x" * size
        connection = make(side, max_frame=size)
        frames = from_peer(side, Frame(2, data), Frame(2, data, fin=False), Frame(0, data))
        assert connection.receive_data(frames) == [data, data * 2]
        header = from_peer(side, Frame(2, declared_length=size + 1))
        (failed,) = connection.receive_data(header)
        assert isinstance(failed, Failed)
        assert failed.error.rule is rules.MESSAGE_TOO_BIG
        assert f"a frame of {size + 1:,} bytes" in failed.error.text


def test_control_frames_do_not_count():
    """The bound is a message's."""
    server = make(Side.SERVER, max_message=4)
    data = from_peer(Side.SERVER, Frame(2, b"ab", fin=False), Frame(9, b"abcdefgh"), Frame(0, b"cd"))
    assert server.receive_data(data) == [Ping(b"abcdefgh"), b"abcd"]


_CONVERSATION = (Frame(1, b"Hello"), Frame(2, b"ab", fin=False), Frame(9, b"x"), Frame(0, b"cd"), Frame(8, b"\x03\xe9"))


@SIDES
def test_eof_at_any_point(side: Side):
    """RFC 6455 §7.1.5: 1006 wherever the stream ends before the Close is whole, and no event twice."""
    data = from_peer(side, *_CONVERSATION)
    everything = make(side).receive_data(data)
    assert everything[-1] == Closed(1001, "")
    for size in range(len(data) + 1):
        connection = make(side)
        events = connection.receive_data(data[:size])
        assert events == everything[: len(events)]
        if size < len(data):
            assert connection.receive_eof() == [Closed(1006, "")]
            assert connection.close_code == 1006
        else:
            assert connection.receive_eof() == []
            assert connection.close_code == 1001
        assert connection.receive_eof() == []
        assert connection.is_finished


def test_eof_while_closing():
    """RFC 6455 §7.1.5: our Close without an answer is no clean end."""
    client = make(Side.CLIENT)
    client.close()
    assert client.receive_eof() == [Closed(1006, "")]


_frames = st.builds(
    Frame,
    opcode=st.sampled_from([0, 0, 1, 1, 2, 8, 9, 10, 3]),
    payload=st.binary(max_size=6) | st.sampled_from([b"\x03\xe8", "é€".encode(), b"\xc3", b"\xa9", b"x" * 130]),
    fin=st.sampled_from([True, True, False]),
    rsv1=st.sampled_from([False] * 9 + [True]),
)


@given(st.lists(_frames, max_size=8), PLACES, st.sampled_from(Side))
def test_any_chunking_gives_the_same(frames: list[Frame], places: list[int], side: Side):
    """Right or wrong, whole or cut: the same events, the same answers, the same end."""
    data = from_peer(side, *frames)
    one, other = make(side, max_message=140), make(side, max_message=140)
    assert comparable(receive(one, [data])) == comparable(receive(other, cut(data, places)))
    assert one.data_to_send() == other.data_to_send()
    assert (one.state, one.close_code, one.close_reason) == (other.state, other.close_code, other.close_reason)


@given(st.lists(st.tuples(st.sampled_from(Side), st.binary(max_size=300), st.integers(1, 4)), max_size=8))
def test_any_conversation_arrives(script: list[tuple[Side, bytes, int]]):
    """Messages of both ends, in any number of fragments, arrive whole and in order."""
    pair = Pair()
    wanted: dict[Side, list[Event]] = {side: [] for side in Side}
    for side, payload, count in script:
        size = len(payload) // count + 1
        parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        for number, part in enumerate(parts):
            pair[side].send(Frame(0 if number else 2, part, fin=number == len(parts) - 1))
        wanted[side.peer].append(payload)
        pair.run()
    assert pair.events == wanted


@given(st.binary(max_size=80), st.sampled_from(Side))
def test_any_bytes_raise_nothing(data: bytes, side: Side):
    """Whatever arrives becomes events; what is blamed has arrived."""
    connection = make(side)
    for event in connection.receive_data(data):
        if isinstance(event, Failed):
            assert isinstance(event.error, ProtocolError)
            assert 0 <= event.error.span.start < event.error.span.stop <= len(data)


def test_a_message_in_many_reads_costs_no_more_than_its_size():
    """A frame that arrives in small reads is not copied for each of them: 4 MiB in 16,384 reads."""
    server = make(Side.SERVER)
    data = Frame(2, bytes(4 << 20), masking_key=KEY).encode()
    assert receive(server, [data[at : at + 256] for at in range(0, len(data), 256)]) == [bytes(4 << 20)]


def test_close_frame_echo_keeps_the_code():
    """RFC 6455 §5.5.1: the answer typically echoes the code."""
    for code in (1000, 1011, 3000, 4999):
        server = make(Side.SERVER)
        server.receive_data(from_peer(Side.SERVER, close_frame(code, "reason")))
        assert sent(server) == [(8, code.to_bytes(2, "big"), False)]
        assert server.close_reason == "reason"
