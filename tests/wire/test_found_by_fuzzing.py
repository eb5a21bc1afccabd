"""What `tests.conformance.fuzz` found: each once, as small as it could be made."""

from __future__ import annotations

import pytest

from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.connection import Closed, Event, Failed, State, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, FrameError, payload_of
from lane_kernel.wire.policy import POLITE, Policy
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span
from tests.wire.helpers import WAYS

LENIENT = Policy(is_strict=False)


@pytest.mark.parametrize(
    ("body", "answer"),
    [(b"\x03\xed", b"\x03\xea"), (b"\x00\x00", b"\x03\xea"), (b"\x03\xe8", b"\x03\xe8"), (b"\x03", b""), (b"", b"")],
)
def test_a_lenient_reader_answers_no_close_with_a_code_that_nobody_sends(body: bytes, answer: bytes):
    """RFC 6455 §5.5.1, §7.4: the answer repeats the code, unless it is one that is never sent: then it is 1002."""
    client = WebSocketConnection(Side.CLIENT, policy=LENIENT)
    *_, closed = client.receive_data(bytes((0x88, len(body))) + body)
    assert isinstance(closed, Closed)
    assert closed.code == (int.from_bytes(body, "big") if len(body) == 2 else 1005)
    assert payload_of(client.data_to_send()) == answer
    assert client.state is State.CLOSED


def _read_compressed(pieces: list[bytes], policy: Policy) -> list[Event]:
    client = WebSocketConnection(Side.CLIENT, policy=policy, deflate=DeflateParameters())
    return [event for piece in pieces for event in client.receive_data(piece)]


# A stored block with the byte FF, which is no text, and then a block of the reserved type.
_WRONG_TWICE = bytes.fromhex("c107 00 0100 feff ff 06")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_is_wrong_with_a_compressed_frame_does_not_depend_on_the_reads(way):
    """RFC 7692 §7.2.2: zlib gave the text before the wrong block where the reads were small, else nothing of it."""
    (failed,) = _read_compressed(way(_WRONG_TWICE), POLITE)
    assert isinstance(failed, Failed)
    assert (failed.error.rule, failed.error.span) == (rules.INFLATE_FAILED, Span(2, 9))
    (not_inflated,) = _read_compressed(way(_WRONG_TWICE), LENIENT)
    assert isinstance(not_inflated, Finding)
    assert (not_inflated.rule, not_inflated.span) == (rules.INFLATE_FAILED, Span(2, 9))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_compressed_frame_that_is_not_whole_is_not_judged(way):
    """RFC 7692 §7.2.2: the whole of its payload data is to blame, and that must have come."""
    assert _read_compressed(way(_WRONG_TWICE[:-1]), POLITE) == []


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_short_message_after_the_close_is_found(way):
    """RFC 6455 §5.5.1: also where it comes whole, and could have been read by the quick loop."""
    client = WebSocketConnection(Side.CLIENT, policy=Policy(is_strict=False, echoes_close=False))
    closed, found, message = [event for piece in way(b"\x88\x00\x81\x01a") for event in client.receive_data(piece)]
    assert closed == Closed(1005, "")
    assert isinstance(found, Finding)
    assert (found.rule, found.span) == (rules.DATA_AFTER_CLOSE, Span(2, 4))
    assert message == "a"


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        ([], Frame(1, b"ab\xffcd")),
        ([], Frame(1, b"\xe2\x82")),
        ([], Frame(1, b"\xff", fin=False)),
        ([Frame(1, b"\xe2", fin=False)], Frame(0, b"\x41")),
        ([Frame(1, b"\xe2", fin=False), Frame(9), Frame(0, b"\x82", fin=False)], Frame(0)),
    ],
)
def test_no_text_is_sent_by_the_rules_that_is_not_utf8(before: list[Frame], wrong: Frame):
    """RFC 6455 §8.1: the peer would have to fail the connection; also where a character is cut by a fragment's end."""
    server = WebSocketConnection(Side.SERVER)
    for frame in before:
        server.send(frame)
    sent = server.data_to_send()
    with pytest.raises(FrameError, match="UTF-8"):
        server.send(wrong)
    assert server.data_to_send() == b""
    assert sent == b"".join(frame.encode() for frame in before)
    server.send_as_is(wrong)
    WebSocketConnection(Side.SERVER, policy=Policy(checks_utf8=False)).send(Frame(1, b"\xff"))


def test_text_in_fragments_is_sent_by_the_rules():
    """RFC 6455 §5.4, §8.1: a character may be cut; what is binary, or compressed already, is no text."""
    server = WebSocketConnection(Side.SERVER, deflate=DeflateParameters())
    frames = [Frame(1, b"\xe2", fin=False), Frame(10, b"\xff"), Frame(0, b"\x82", fin=False), Frame(0, b"\xac")]
    frames += [Frame(2, b"\xff", fin=False), Frame(0, b"\xff"), Frame(1, b"\xff", rsv1=True)]
    frames += [Frame(1, b"\xff", rsv1=True, fin=False), Frame(0, b"\xff"), Frame(1, b"a")]
    for frame in frames:
        server.send(frame)
    assert server.data_to_send() == b"".join(frame.encode() for frame in frames)


def test_after_wrong_text_was_sent_on_purpose_its_rest_is_not_judged():
    """RFC 6455 §8.1: whoever sent it as it is may finish it by the rules."""
    server = WebSocketConnection(Side.SERVER)
    server.send_as_is(Frame(1, b"\xff", fin=False))
    server.send(Frame(0, b"\xff"))
    with pytest.raises(FrameError):
        server.send(Frame(1, b"\xff"))
