"""Reading that goes on after a broken rule, and each politeness switched off. RFC 6455 §5 to §7."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.connection import Closed, ConnectionStateError, Event, Failed, Ping, Pong, State
from lane_kernel.wire.frames import Frame, FrameError, Opcode
from lane_kernel.wire.policy import POLITE, Policy
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span
from tests.vectors import broken_frames as vectors
from tests.wire.ends import KEY, SIDES, comparable, from_peer, make, receive, sent
from tests.wire.helpers import PLACES, WAYS, cut

LENIENT = Policy(is_strict=False)
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def split(events: list[Event]) -> tuple[list[Finding], list[Event]]:
    """Findings, and what else happened."""
    found = [event for event in events if isinstance(event, Finding)]
    return found, [event for event in events if not isinstance(event, Finding)]


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{case.rule}-{number}") for number, case in enumerate(vectors.BROKEN)]
)
@ways
def test_a_lenient_reader_finds_and_goes_on(case: vectors.Broken, way):
    """The rule, the blamed bytes, and all that still makes sense; the bounds hold (RFC 6455 §10.4)."""
    connection = make(case.side, 1000, vectors.BOUND, policy=LENIENT)
    found, rest = split(receive(connection, way(case.wire + from_peer(case.side, Frame(9, b"after")))))
    span = Span(1000 + case.span.start, 1000 + case.span.stop)
    if case.lenient is None:
        (failed,) = rest
        assert isinstance(failed, Failed)
        assert failed.error.rule is rules.MESSAGE_TOO_BIG
        assert failed.error.span == span
        assert connection.state is State.CLOSED
        assert {finding.rule.id for finding in found} == {case.rule} - {"message-too-big"}
        return
    assert [(finding.rule.id, finding.span) for finding in found] == [(case.rule, span)]
    assert connection.failure is None
    if any(isinstance(event, Closed) for event in case.lenient):
        assert tuple(rest) == case.lenient
        assert connection.is_finished
    else:
        assert tuple(rest) == (*case.lenient, Ping(b"after"))
        assert connection.state is State.OPEN


@given(
    st.lists(
        st.builds(
            Frame,
            opcode=st.sampled_from([0, 0, 1, 1, 2, 3, 8, 9, 10, 11]),
            payload=st.sampled_from(
                [b"", b"\x03\xe8", b"\x03\xed", "é€".encode(), b"\xc3", b"\xa9", b"\xed\xa0", b"x" * 130]
            ),
            fin=st.sampled_from([True, True, False]),
            rsv1=st.sampled_from([False] * 4 + [True]),
        ),
        max_size=8,
    ),
    PLACES,
    st.sampled_from(Side),
    st.builds(Policy, st.just(False), st.booleans(), st.booleans(), st.booleans(), st.booleans()),
)  # fmt: skip
def test_any_chunking_gives_the_same(frames: list[Frame], places: list[int], side: Side, policy: Policy):
    """Whatever is wrong and whatever is switched off: the same events and the same answers, however it comes."""
    data = from_peer(side, *frames)
    one, other = (make(side, max_message=140, policy=policy) for _ in range(2))
    assert comparable(receive(one, [data])) == comparable(receive(other, cut(data, places)))
    assert one.data_to_send() == other.data_to_send()
    assert (one.state, one.close_code) == (other.state, other.close_code)


@given(st.binary(max_size=80), st.sampled_from(Side))
def test_any_bytes_raise_nothing(data: bytes, side: Side):
    """What is blamed has arrived."""
    for event in make(side, policy=LENIENT).receive_data(data):
        if isinstance(event, Finding):
            assert 0 <= event.span.start < event.span.stop <= len(data)


def test_several_rules_in_one_frame():
    """Each has its finding, in the order of the frame."""
    events = make(Side.SERVER, policy=LENIENT).receive_data(b"\x7f\x7f" + bytes(8))
    assert [event.rule.id for event in events if isinstance(event, Finding)] == [
        "reserved-bit", "reserved-opcode", "control-fragmented", "unmasked-client-frame", "length-not-minimal",
    ]  # fmt: skip


def test_a_control_frame_is_bounded():
    """However lenient: what is held whole has a bound; and its Pong is one that may be sent (RFC 6455 §5.5)."""
    server = make(Side.SERVER, policy=LENIENT)
    found, rest = split(server.receive_data(from_peer(Side.SERVER, Frame(9, bytes(0xFFFF)))))
    assert [finding.rule for finding in found] == [rules.CONTROL_TOO_LONG]
    assert rest == [Ping(bytes(0xFFFF))]
    assert sent(server) == [(Opcode.PONG, bytes(125), False)]
    found, (failed,) = split(server.receive_data(from_peer(Side.SERVER, Frame(9, declared_length=0x10000))))
    assert [finding.rule for finding in found] == [rules.CONTROL_TOO_LONG]
    assert isinstance(failed, Failed)
    assert failed.error.rule is rules.CONTROL_TOO_LONG


@ways
def test_what_comes_after_a_close(way):
    """RFC 6455 §5.5.1: a reader that neither fails nor answers sees each frame after it, and blames those of data."""
    policy = Policy(is_strict=False, echoes_close=False)
    server = make(Side.SERVER, policy=policy)
    wire = from_peer(
        Side.SERVER,
        Frame(8, b"\x03\xe8bye"), Frame(1, b"hi"), Frame(9, b"?"), Frame(2, b"a", fin=False), Frame(0, b"b"),
        Frame(8, b"\x03\xe9"),
    )  # fmt: skip
    found, rest = split(receive(server, way(wire)))
    assert rest == [Closed(1000, "bye"), "hi", Ping(b"?"), b"ab", Closed(1001, "")]
    # The Close is 11 bytes, a Ping between "hi" and "a" 7: only a data frame is forbidden after it.
    assert [(finding.rule, finding.span.start) for finding in found] == [
        (rules.DATA_AFTER_CLOSE, 11),
        (rules.DATA_AFTER_CLOSE, 26),
        (rules.DATA_AFTER_CLOSE, 33),
    ]
    assert (server.close_code, server.close_reason, server.state) == (1000, "bye", State.CLOSING)
    server.close(1000)
    assert server.is_finished
    assert server.receive_data(wire) == []


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000])
def test_a_forbidden_code_is_not_echoed(code: int):
    """RFC 6455 §7.4: what is never sent is never sent as an answer either."""
    server = make(Side.SERVER, policy=LENIENT)
    server.receive_data(from_peer(Side.SERVER, Frame(8, code.to_bytes(2, "big"))))
    assert sent(server) == [(Opcode.CLOSE, (1002).to_bytes(2, "big"), False)]
    assert server.close_code == code


def test_broken_after_the_peers_close():
    """RFC 6455 §7.1.5: the close code stays that of the peer's Close, whatever breaks afterwards."""
    server = make(Side.SERVER, max_message=4, policy=Policy(is_strict=False, echoes_close=False))
    server.receive_data(from_peer(Side.SERVER, Frame(8, b"\x03\xe8")))
    found, (failed,) = split(server.receive_data(from_peer(Side.SERVER, Frame(2, b"abcde"))))
    assert [finding.rule for finding in found] == [rules.DATA_AFTER_CLOSE]
    assert isinstance(failed, Failed)
    assert server.close_code == 1000
    ((opcode, payload, _),) = sent(server)
    assert (opcode, payload[:2]) == (Opcode.CLOSE, (1009).to_bytes(2, "big"))
    assert server.is_finished


# Each switch


@SIDES
def test_pings_unanswered(side: Side):
    """RFC 6455 §5.5.2, left out on purpose; a program may answer by itself."""
    connection = make(side, policy=Policy(answers_pings=False))
    assert connection.receive_data(from_peer(side, Frame(9, b"?"))) == [Ping(b"?")]
    assert connection.data_to_send() == b""
    connection.send(Frame(10, b"?"))
    assert sent(connection) == [(Opcode.PONG, b"?", side is Side.CLIENT)]


@SIDES
def test_close_unanswered(side: Side):
    """RFC 6455 §5.5.1, left out on purpose; until a program answers, it may still send."""
    connection = make(side, policy=Policy(echoes_close=False))
    wire = from_peer(side, Frame(8, b"\x0f\xa0enough"), Frame(1, b"unread"))
    assert connection.receive_data(wire) == [Closed(4000, "enough")]
    assert (connection.state, connection.data_to_send()) == (State.CLOSING, b"")
    assert connection.receive_data(from_peer(side, Frame(1, b"unread"))) == []
    connection.send_message("last words")
    connection.close(4000)
    assert connection.is_finished
    assert [frame.payload for frame in sent(connection)] == [b"last words", b"\x0f\xa0"]
    with pytest.raises(ConnectionStateError):
        connection.send_message("no")


@SIDES
def test_close_unanswered_and_the_end(side: Side):
    """RFC 6455 §7.1.5: the code is that of the peer's Close, answered or not."""
    connection = make(side, policy=Policy(echoes_close=False))
    connection.receive_data(from_peer(side, Frame(8)))
    assert connection.receive_eof() == []
    assert (connection.close_code, connection.is_finished) == (1005, True)


@ways
def test_utf8_unchecked(way):
    """RFC 6455 §8.1, left out on purpose: no byte is lost, in what comes, what goes, and a Close's reason."""
    policy = Policy(checks_utf8=False)
    server, client = make(Side.SERVER, policy=policy), make(Side.CLIENT, policy=policy)
    client.send_message("ab\udcff\udcc3")
    client.send(Frame(1, b"\xff", fin=False))
    client.send(Frame(0, b"\xa9"))
    client.send(Frame(8, b"\x03\xe8\xff"))
    events = receive(server, way(client.data_to_send()))
    assert events == ["ab\udcff\udcc3", "\udcff\udca9", Closed(1000, "\udcff")]
    assert server.close_reason == "\udcff"


@pytest.mark.parametrize("side", list(Side))
@ways
def test_masks_unchecked(side: Side, way):
    """RFC 6455 §5.1, left out on purpose: messages arrive masked or not, mixed, short and long."""
    connection = make(side, policy=Policy(checks_masks=False))
    wire = b"".join(
        Frame(1, payload, masking_key=key).encode() for payload in (b"hi", b"x" * 300) for key in (None, KEY, None)
    )
    assert receive(connection, way(wire)) == ["hi"] * 3 + ["x" * 300] * 3


def test_a_client_without_masks():
    """RFC 6455 §5.1, left out on purpose: in messages, Pongs, Closes and single frames; a key of its own is used."""
    client = make(Side.CLIENT, policy=Policy(masks=False))
    client.receive_data(Frame(9, b"?").encode())
    client.send_message("hi")
    client.send(Frame(2, b"a"))
    client.send(Frame(2, b"b", masking_key=KEY))
    client.close()
    assert [(frame.payload, frame.is_masked) for frame in sent(client)] == [
        (b"?", False), (b"hi", False), (b"a", False), (b"b", True), (b"\x03\xe8", False),
    ]  # fmt: skip
    with pytest.raises(FrameError, match="a server masks no frame"):
        make(Side.SERVER, policy=Policy(masks=False)).send(Frame(1, masking_key=KEY))


def test_polite_is_all_of_it():
    """RFC 6455: what an endpoint does unless it is told otherwise."""
    assert replace(POLITE) == Policy()
    assert all(getattr(POLITE, name) for name in Policy.__slots__)
    server = make(Side.SERVER)
    assert server.policy is POLITE
    assert server.receive_data(from_peer(Side.SERVER, Frame(10))) == [Pong(b"")]
