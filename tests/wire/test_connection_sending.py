"""What an end sends, or refuses to; and an end that waits until what came before it has been dealt with."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.connection import Closed, ConnectionStateError, Event, Failed, Ping, State
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, FrameError, close_frame
from lane_kernel.wire.policy import Policy
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span
from tests.wire.ends import KEY, SIDES, Pair, from_peer, make, receive, sent, sent_frames
from tests.wire.helpers import WAYS, byte_by_byte

ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
EURO = "€".encode()

FORBIDDEN = [
    ([Frame(1, rsv1=True)], "RSV1 set without an extension"),
    ([Frame(2, rsv2=True)], "RSV2"),
    ([Frame(2, rsv3=True)], "RSV3"),
    *(([Frame(opcode)], f"reserved opcode 0x{opcode:x}") for opcode in (*range(3, 8), *range(11, 16))),
    ([Frame(9, fin=False)], "without FIN"),
    ([Frame(9, bytes(126))], "a control frame of 126 bytes"),
    ([Frame(2, b"hi", length_bits=16)], "length 2 in the 16-bit form"),
    ([Frame(2, b"hi", length_bits=64)], "length 2 in the 64-bit form"),
    ([Frame(2, b"hi", declared_length=3)], "declares 3 bytes of payload data, there are 2"),
    ([Frame(0)], "a continuation frame outside a message"),
    ([Frame(1, b"a", False), Frame(1, b"b")], "a new message inside an unfinished one"),
    ([Frame(2, b"a", False), Frame(2, b"b", False)], "a new message inside an unfinished one"),
    ([Frame(1, b"a", False), Frame(0, b"b"), Frame(0, b"c")], "a continuation frame outside a message"),
    ([Frame(8, b"\x03")], "a Close body of 1 byte"),
    *(([Frame(8, code.to_bytes(2, "big"))], f"close code {code}") for code in (0, 999, 1004, 1005, 1006, 1015, 5000)),
    ([Frame(8, b"\x03\xe8\xff")], "a Close reason that is not UTF-8"),
    ([Frame(1, b"ab\xff")], "not UTF-8"),
    ([Frame(1, b"\xc3")], "not UTF-8"),
    ([Frame(1, b"\xed\xa0", False)], "not UTF-8"),
    ([Frame(1, b"\xc3", False), Frame(0)], "not UTF-8"),
    ([Frame(1, EURO[:1], False), Frame(0, EURO[1:2], False), Frame(0, b"(")], "not UTF-8"),
    ([Frame(1, b"", False), Frame(0, b"", False), Frame(0, b"\xac", False)], "not UTF-8"),
]


@SIDES
@pytest.mark.parametrize(("frames", "text"), FORBIDDEN)
def test_send_refuses_what_a_peer_would_fail_the_connection_for(side: Side, frames: list[Frame], text: str):
    """RFC 6455 §5 to §8: nothing forbidden goes out by accident; on purpose it does, and our own reader says why."""
    end = make(side)
    *before, last = frames
    for frame in before:
        end.send(frame)
    wire = end.data_to_send()
    with pytest.raises(FrameError, match=text):
        end.send(last)
    assert end.data_to_send() == b""
    key = KEY if side is Side.CLIENT else None
    end.send_as_is(Frame(last.opcode, last.payload, last.fin, last.rsv1, last.rsv2, last.rsv3, key,
                         last.declared_length, last.length_bits))  # fmt: skip
    wire += end.data_to_send()
    if last.declared_length is None:
        assert isinstance(receive(make(side.peer), [wire])[-1], Failed)


@SIDES
def test_after_a_refusal_the_message_goes_on(side: Side):
    """RFC 6455 §5.4: what is refused has not been sent."""
    pair = Pair()
    pair[side].send(Frame(1, EURO[:1], False))
    for wrong in (Frame(1), Frame(0, b"("), Frame(0), Frame(0, EURO[1:2], rsv2=True)):
        with pytest.raises(FrameError):
            pair[side].send(wrong)
    pair[side].send(Frame(9, b"?"))
    pair[side].send(Frame(0, EURO[1:2], False))
    pair[side].send(Frame(0, EURO[2:]))
    pair[side].send_message("next")
    pair.run()
    assert pair.events[side.peer] == [Ping(b"?"), "€", "next"]


def test_text_is_not_judged_where_it_cannot_be_read():
    """RFC 6455 §8.1: nor is what goes on after text that was wrong on purpose, binary data, or compressed text."""
    server = make(Side.SERVER, deflate=DeflateParameters())
    server.send_as_is(Frame(1, b"\xff", False))
    server.send(Frame(0, b"\xff"))
    server.send(Frame(2, b"\xff", False))
    server.send(Frame(0, b"\xff"))
    server.send(Frame(1, b"\xff", False, rsv1=True))
    server.send(Frame(0, b"\xff"))
    assert len(sent_frames(server.data_to_send())) == 6


def test_masks_as_they_have_to_be():
    """RFC 6455 §5.1."""
    with pytest.raises(FrameError, match="a server masks no frame"):
        make(Side.SERVER).send(Frame(1, masking_key=KEY))


def test_one_masking_key_for_each_frame():
    """RFC 6455 §5.3: a fresh key for each frame, and none thrown away."""
    numbers = itertools.count(1)
    client = make(Side.CLIENT, make_masking_key=lambda: next(numbers).to_bytes(4, "big"))
    client.send(Frame(1, b"a"))
    client.send_message("b")
    client.send_message("cd", fragment_size=1)
    client.receive_data(Frame(9).encode())
    client.send(Frame(1, masking_key=KEY))
    client.close()
    keys = [frame.masking_key for frame in sent_frames(client.data_to_send())]
    assert keys == [*(number.to_bytes(4, "big") for number in range(1, 6)), KEY, (6).to_bytes(4, "big")]


@SIDES
@pytest.mark.parametrize(
    ("message", "size", "payloads"),
    [
        ("", 1, [b""]),
        (b"", None, [b""]),
        ("abc", None, [b"abc"]),
        ("abc", 3, [b"abc"]),
        ("abcd", 3, [b"abc", b"d"]),
        (b"abcdef", 2, [b"ab", b"cd", b"ef"]),
        ("€", 1, [b"\xe2", b"\x82", b"\xac"]),
    ],
)
def test_send_message(side: Side, message: str | bytes, size: int | None, payloads: list[bytes]):
    """RFC 6455 §5.4, §5.6: the opcode on the first fragment, FIN on the last, cut anywhere."""
    pair = Pair()
    pair[side].send_message(message, fragment_size=size)
    data = pair[side].data_to_send()
    frames = sent_frames(data)
    assert [frame.payload for frame in frames] == payloads
    assert [frame.opcode for frame in frames] == [1 if isinstance(message, str) else 2, *[0] * (len(frames) - 1)]
    assert [frame.fin for frame in frames] == [*[False] * (len(frames) - 1), True]
    assert pair[side.peer].receive_data(data) == [message]


@pytest.mark.parametrize("size", [0, -1])
def test_a_fragment_has_at_least_a_byte(size: int):
    with pytest.raises(FrameError, match=f"at least 1 byte, not {size}"):
        make(Side.SERVER).send_message("abc", fragment_size=size)


def test_no_message_inside_an_unfinished_one():
    """RFC 6455 §5.4."""
    server = make(Side.SERVER)
    server.send(Frame(1, b"a", False))
    with pytest.raises(FrameError, match="send its last fragment first"):
        server.send_message("b")
    server.send(Frame(0))
    server.send_message("b")
    assert [frame.payload for frame in sent(server)] == [b"a", b"", b"b"]


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "ab\udcff"])
def test_a_lone_surrogate_is_refused(text: str):
    """RFC 3629 §3: UTF-8 has no bytes for it; the error says where it stands, and nothing is sent."""
    server = make(Side.SERVER, deflate=DeflateParameters())
    with pytest.raises(FrameError, match=rf"at character {len(text) - 1}"):
        server.send_message(text)
    with pytest.raises(FrameError, match="UTF-8"):
        server.close(1000, text)
    with pytest.raises(FrameError, match="UTF-8"):
        close_frame(1000, text)
    assert server.data_to_send() == b""
    assert server.state is State.OPEN


def test_a_surrogate_that_stands_for_no_byte_is_refused_in_any_case():
    """Without the check only what `surrogateescape` made can become bytes again."""
    server = make(Side.SERVER, policy=Policy(checks_utf8=False))
    with pytest.raises(FrameError, match="at character 0"):
        server.send_message("\ud800")


@SIDES
def test_no_message_after_a_close(side: Side):
    """RFC 6455 §5.5.1."""
    end = make(side)
    end.close()
    with pytest.raises(ConnectionStateError):
        end.send_message("no")


@given(st.lists(st.text(max_size=5) | st.binary(max_size=5), max_size=5))
def test_all_that_waits_is_taken_at_once(messages: list[str | bytes]):
    """In order, and once."""
    client = make(Side.CLIENT)
    for message in messages:
        client.send_message(message)
    assert make(Side.SERVER).receive_data(client.data_to_send()) == messages
    assert client.data_to_send() == b""


# Text, byte by byte


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize(
    ("text", "where"),
    [(b"ab\xffcd", 2), (b"\xe2\x82(\xac", 2), (b"\xed\xa0\x80", 1), (b"\xf4\x90\x80\x80", 1), (b"ok\xc0\xaf", 2)],
)
def test_text_fails_at_its_first_wrong_byte(text: bytes, where: int, fin: bool):
    """RFC 6455 §8.1: inside a frame that has not fully arrived, with the byte itself and not before."""
    wire = from_peer(Side.SERVER, Frame(1, text + b"x" * 200, fin))
    header = 8
    server = make(Side.SERVER)
    assert server.receive_data(wire[: header + where]) == []
    (failed,) = server.receive_data(wire[header + where : header + where + 1])
    assert isinstance(failed, Failed)
    assert (failed.error.rule, failed.error.span) == (rules.INVALID_UTF8, Span(header + where, header + where + 1))


# An end that waits

BEFORE = (Frame(1, b"one"), Frame(9, b"?"), Frame(2, b"a", fin=False), Frame(0, b"b"))
HELD: list[Event] = ["one", Ping(b"?"), b"ab"]


@SIDES
@ways
def test_a_close_waits_for_the_next_call(side: Side, way):
    """The messages before it can still be answered; then it is as if it had come a moment later."""
    end = make(side, holds_end=True)
    events = receive(end, way(from_peer(side, *BEFORE, Frame(8, b"\x0f\xa0bye"))))
    if way is not WAYS[2]:
        assert events == HELD
        assert end.is_holding
        assert end.state is State.OPEN
        end.send_message("answer")
        events += end.receive_data(b"")
        assert [frame.payload for frame in sent(end)] == [b"?", b"answer", b"\x0f\xa0"]
    assert events == [*HELD, Closed(4000, "bye")]
    assert not end.is_holding
    assert end.is_finished
    assert end.receive_eof() == []


@SIDES
@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (Frame(3), rules.RESERVED_OPCODE),
        (Frame(1, b"\xff"), rules.INVALID_UTF8),
        (Frame(8, b"\x03"), rules.CLOSE_ONE_BYTE),
        (Frame(2, declared_length=1 << 62), rules.MESSAGE_TOO_BIG),
    ],
)
def test_a_broken_rule_waits_for_the_next_call(side: Side, wrong: Frame, rule: rules.Rule):
    """RFC 6455 §7.1.7, a moment later."""
    end = make(side, holds_end=True)
    assert end.receive_data(from_peer(side, *BEFORE, wrong) + b"\0" * 20) == HELD
    assert end.is_holding
    assert end.failure is None
    end.send_message("answer")
    (failed,) = end.receive_data(b"more")
    assert isinstance(failed, Failed)
    assert failed.error.rule is rule
    pong, answer, close = sent(end)
    assert (pong.payload, answer.payload, close.opcode) == (b"?", b"answer", 8)
    assert end.close_code == 1006
    assert end.receive_eof() == []


@SIDES
def test_the_stream_ends_while_a_close_waits(side: Side):
    """RFC 6455 §7.1.5: the code is the Close's."""
    end = make(side, holds_end=True)
    end.receive_data(from_peer(side, Frame(8, b"\x0f\xa0bye")))
    assert end.receive_eof() == [Closed(4000, "bye")]
    assert (end.close_code, end.close_reason, end.is_holding) == (4000, "bye", False)
    assert end.receive_eof() == []


@SIDES
def test_the_stream_ends_while_a_broken_rule_waits(side: Side):
    """RFC 6455 §7.1.7."""
    end = make(side, holds_end=True)
    end.receive_data(from_peer(side, Frame(3)))
    (failed,) = end.receive_eof()
    assert isinstance(failed, Failed)
    assert end.close_code == 1006
    assert end.receive_eof() == []


@SIDES
def test_our_close_first_while_the_peers_waits(side: Side):
    """RFC 6455 §7.1.2: the one that waited is the answer."""
    end = make(side, holds_end=True)
    end.receive_data(from_peer(side, Frame(8, b"\x03\xe8")))
    end.close(1001)
    assert end.state is State.CLOSING
    assert end.receive_data(b"") == [Closed(1000, "")]
    assert end.is_finished
    assert [frame.payload for frame in sent(end)] == [b"\x03\xe9"]


def test_a_lenient_reader_that_waits_loses_nothing():
    """What stands behind the Close that waited is read with it, also where the stream ends meanwhile."""
    policy = Policy(is_strict=False, echoes_close=False)
    wire = from_peer(Side.SERVER, Frame(8, b"\x03\xe8"), Frame(1, b"late"))
    for has_ended in (False, True):
        end = make(Side.SERVER, policy=policy, holds_end=True)
        assert end.receive_data(wire) == []
        closed, finding, message = end.receive_eof() if has_ended else end.receive_data(b"")
        assert (closed, message) == (Closed(1000, ""), "late")
        assert isinstance(finding, Finding)
        assert finding.rule is rules.DATA_AFTER_CLOSE


# Bounds


@pytest.mark.parametrize("opcode", [1, 2])
def test_empty_fragments_take_no_memory(opcode: int):
    """RFC 6455 §10.4: a message of any number of empty frames and reads stays as small as it is."""
    server = make(Side.SERVER)
    server.receive_data(from_peer(Side.SERVER, Frame(opcode, b"a", fin=False)))
    wire = from_peer(Side.SERVER, *[Frame(0, fin=False)] * 1000)
    tracemalloc.start()
    try:
        for _ in range(20):
            assert server.receive_data(wire) == []
            assert server.receive_data(b"") == []
        current, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < 50_000
    (message,) = server.receive_data(from_peer(Side.SERVER, Frame(0, b"b")))
    assert message in ("ab", b"ab")


@pytest.mark.parametrize("size", [126, 127, 1000, 65535, 65536, 70_000])
@SIDES
def test_long_messages(size: int, side: Side):
    """RFC 6455 §5.2: both longer forms of the length, text and binary, whole, one after the other and cut anywhere."""
    wire = from_peer(side, Frame(1, b"a" * size), Frame(2, b"b" * size), Frame(1, "é".encode() * (size // 2)))
    wanted = ["a" * size, b"b" * size, "é" * (size // 2)]
    assert make(side).receive_data(wire) == wanted
    for at in (1, 2, 3, 4, 9, 10, 14, 15, size, len(wire) - 1):
        assert receive(make(side), [wire[:at], wire[at:]]) == wanted
    assert receive(make(side), [*byte_by_byte(wire[:300]), wire[300:]]) == wanted
    (failed,) = make(side, max_message=size - 1).receive_data(wire)
    assert isinstance(failed, Failed)
    assert failed.error.rule is rules.MESSAGE_TOO_BIG


@SIDES
def test_a_message_that_is_sent_in_fragments_is_unfinished_until_its_last(side: Side):
    """RFC 6455 §5.4."""
    connection = make(side)
    seen = [connection.is_fragmenting]
    for frame in (Frame(1, b"a", fin=False), Frame(9), Frame(0, b"b", fin=False), Frame(0, b"c")):
        connection.send(frame)
        seen.append(connection.is_fragmenting)
    assert seen == [False, True, True, True, False]
