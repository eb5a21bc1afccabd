"""The frame: header decoder, encoder, inspector. RFC 6455 §5."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.util import _websocket_mask

from lane_kernel.sides import Side
from lane_kernel.wire.frames import (
    Frame,
    FrameError,
    Opcode,
    apply_mask,
    close_code_name,
    close_frame,
    decode_header,
    describe_frame,
    encode_whole,
    is_close_code_allowed,
    judge_close,
    judge_frame,
    opcode_name,
    payload_of,
    split_frames,
)
from lane_kernel.wire.spans import Span
from tests.vectors import frames as vectors
from tests.wire.helpers import assert_tiles

cases = pytest.mark.parametrize("case", vectors.CASES, ids=lambda case: case.id)


def read_frame(data: bytes) -> Frame:
    """Read one frame back into the value that would write it."""
    header = decode_header(data)
    assert header is not None
    shortest = 7 if header.length < 126 else 16 if header.length < 0x10000 else 64
    payload = payload_of(data)
    return Frame(
        header.opcode,
        payload,
        header.fin,
        bool(header.rsv & 4),
        bool(header.rsv & 2),
        bool(header.rsv & 1),
        header.masking_key,
        None if header.length == len(payload) else header.length,
        None if header.length_bits == shortest else header.length_bits,
    )


def sender_of(frame: Frame) -> Side:
    return Side.SERVER if frame.masking_key is None else Side.CLIENT


@cases
def test_write(case: vectors.Case):
    """RFC 6455 §5.2, §5.7."""
    assert case.frame.encode() == case.wire


@cases
def test_read_whole(case: vectors.Case):
    """RFC 6455 §5.2, §5.7."""
    assert read_frame(case.wire) == case.frame


@cases
def test_read_with_trailing_bytes(case: vectors.Case):
    """What follows a frame is not looked at."""
    assert read_frame(case.wire + b"\xff" * 20) == case.frame
    assert judge_frame(case.wire + b"\xff" * 20, sender_of(case.frame)) == judge_frame(case.wire, sender_of(case.frame))


@cases
def test_read_header_byte_by_byte(case: vectors.Case):
    """A header is decoded exactly when its last byte is there, in any kind of buffer and at any offset."""
    header = decode_header(case.wire)
    assert header is not None
    assert len(case.wire) == header.size + header.length
    for size in range(header.size):
        assert decode_header(case.wire[:size]) is None
    assert decode_header(case.wire[: header.size]) == header
    assert decode_header(bytearray(b"xyz" + case.wire), 3) == header
    assert decode_header(memoryview(case.wire)) == header


@cases
def test_judge(case: vectors.Case):
    """RFC 6455 §5.1, §5.2, §5.5: what a frame breaks by itself."""
    assert tuple(finding.rule.id for finding in judge_frame(case.wire, sender_of(case.frame))) == case.rules


@cases
def test_judge_wrong_side(case: vectors.Case):
    """RFC 6455 §5.1: a client masks every frame, a server none."""
    wrong = sender_of(case.frame).peer
    rule = "unmasked-client-frame" if wrong is Side.CLIENT else "masked-server-frame"
    header = decode_header(case.wire)
    assert header is not None
    found = {finding.rule.id: finding for finding in judge_frame(case.wire, wrong, 100)}
    assert set(found) == {*case.rules, rule}
    assert found[rule].span == Span(100, 100 + header.size)


@cases
def test_describe(case: vectors.Case):
    """Every bit of the frame has a name; names stand in the order of RFC 6455 §5.2."""
    fields = describe_frame(case.wire, 1000)
    assert_tiles(fields, Span(1000, 1000 + len(case.wire)))
    values = {field.name: field.value for field in fields}
    assert [field.name for field in fields[:7]] == ["FIN", "RSV1", "RSV2", "RSV3", "opcode", "MASK", "payload length"]
    assert (values["FIN"], values["opcode"]) == (case.frame.fin, case.frame.opcode)
    assert (values["RSV1"], values["RSV2"], values["RSV3"]) == (case.frame.rsv1, case.frame.rsv2, case.frame.rsv3)
    assert values.get("masking-key") == case.frame.masking_key
    assert values.get("extended payload length", values["payload length"]) == len(case.frame.payload)


@cases
def test_describe_cut_short(case: vectors.Case):
    """As far as the frame is there, and never beyond."""
    header = decode_header(case.wire)
    assert header is not None
    for size in range(min(len(case.wire), 40)):
        fields = describe_frame(case.wire[:size], 7)
        if size < header.size:
            assert fields == ()
        else:
            assert_tiles(fields, Span(7, 7 + size))


def test_describe_says_what_is_missing():
    assert describe_frame(b"\x81\x05Hel")[-1].meaning == "3 bytes of valid UTF-8; 2 more declared but not there"
    assert describe_frame(b"\x82\x02a")[-1].meaning == "1 byte; 1 more declared but not there"
    assert describe_frame(b"\x88\x05\x03\xe8")[-1].meaning == "normal closure; 3 more declared but not there"
    assert describe_frame(b"\x88\x05\x03\xe8a")[-1].meaning == "for people; 2 more declared but not there"


def test_describe_close():
    """RFC 6455 §5.5.1."""
    code, reason = describe_frame(bytes.fromhex("88060bb8") + b"bye!")[-2:]
    assert (code.name, code.value, code.meaning) == ("close code", 3000, "registered by a library or framework")
    assert (reason.name, reason.value, reason.span) == ("close reason", "bye!", Span(4, 8))


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (1000, "normal closure"),
        (1015, "tls handshake"),
        (3999, "registered by a library or framework"),
        (4000, "private use"),
        (4999, "private use"),
        (5000, "not defined"),
        (999, "not defined"),
    ],
)
def test_close_code_name(code: int, name: str):
    """RFC 6455 §7.4.1, §7.4.2."""
    assert close_code_name(code) == name


def test_opcode_name():
    """RFC 6455 §11.8."""
    assert [opcode_name(opcode) for opcode in (0, 1, 2, 3, 8, 9, 10, 15)] == [
        "CONTINUATION", "TEXT", "BINARY", "RESERVED 0x3", "CLOSE", "PING", "PONG", "RESERVED 0xF",
    ]  # fmt: skip
    assert [opcode for opcode in Opcode if opcode.is_control] == [Opcode.CLOSE, Opcode.PING, Opcode.PONG]


def test_close_codes_allowed():
    """RFC 6455 §7.4: and 1012 to 1014 of the registry."""
    allowed = {code for code in range(0x10000) if is_close_code_allowed(code)}
    assert allowed == {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


def test_length_top_bit():
    """RFC 6455 §5.2: the most significant bit of a 64-bit length must be 0."""
    data = Frame(2, declared_length=1 << 63).encode()
    assert [finding.rule.id for finding in judge_frame(data, Side.SERVER)] == ["length-top-bit"]
    assert [
        finding.rule.id for finding in judge_frame(Frame(2, declared_length=(1 << 63) - 1).encode(), Side.SERVER)
    ] == []


def test_judge_rsv_allowed():
    """RFC 6455 §5.2: an extension may give an RSV bit a meaning."""
    data = Frame(1, b"\xff", rsv1=True, rsv3=True).encode()
    (finding,) = judge_frame(data, Side.SERVER, rsv_allowed=4)
    assert finding.text == "RSV3 set without an extension"
    assert judge_frame(Frame(1, b"\xff", rsv1=True).encode(), Side.SERVER, rsv_allowed=4) == ()


def test_judge_says_where():
    """RFC 6455 §8.1: the byte that is no UTF-8, in the stream's own count, unmasked first."""
    (finding,) = judge_frame(Frame(1, b"ab\xffcd", masking_key=b"\1\2\3\4").encode(), Side.CLIENT, 50)
    assert finding.span == Span(50 + 6 + 2, 50 + 6 + 3)
    (finding,) = judge_frame(Frame(8, b"\x03\xe8a\xff").encode(), Side.SERVER, 50)
    assert finding.span == Span(55, 56)
    (finding,) = judge_frame(Frame(8, b"\x03\xed").encode(), Side.SERVER, 50)
    assert finding.span == Span(52, 54)


@pytest.mark.parametrize("data", [b"", b"\x81", b"\x81\x05h\xc3", b"\x88\x10\x03", b"\x88\x10\x03\xe8\xc3"])
def test_a_cut_frame_is_not_blamed_for_what_is_missing(data: bytes):
    """A character or a close code that the cut tears is no fault of the sender."""
    assert judge_frame(data, Side.SERVER) == ()


def test_a_cut_text_is_blamed_for_what_is_there():
    assert [finding.span for finding in judge_frame(b"\x81\x05h\xff\xc3", Side.SERVER)] == [Span(3, 4)]


def test_judge_close_finds_code_and_reason():
    """RFC 6455 §5.5.1: both at once."""
    assert [rule.id for rule, _, _ in judge_close(b"\x03\xed\xff")] == ["close-code-forbidden", "close-reason-utf8"]
    assert list(judge_close(b"")) == []


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Frame(16), "opcode 16 does not fit"),
        (lambda: Frame(1, "text"), "bytes, not str: encode text first"),  # type: ignore[arg-type]
        (lambda: Frame(-1), "opcode -1 does not fit"),
        (lambda: Frame(1, masking_key=b"abc"), "4 bytes, not 3"),
        (lambda: Frame(1, length_bits=8), "7, 16 or 64, not 8"),
        (lambda: Frame(1, declared_length=-1), "-1 does not fit in 64 bits"),
        (lambda: Frame(1, declared_length=1 << 64), "does not fit in 64 bits"),
        (lambda: Frame(1, b"a" * 126, length_bits=7), "does not fit the 7-bit form"),
        (lambda: Frame(1, declared_length=65536, length_bits=16), "does not fit the 16-bit form"),
        (lambda: close_frame(None, "why"), "without a code has no reason"),
        (lambda: close_frame(1005), "1005 is never sent"),
        (lambda: close_frame(1000, "€" * 42), "at most 123 bytes as UTF-8, this one has 126"),
    ],
)
def test_refused(make, text: str):
    """What no bits can hold, and what is never sent by accident (RFC 6455 §5.5.1, §7.4)."""
    with pytest.raises(FrameError, match=text):
        make()


def test_close_frame():
    """RFC 6455 §5.5.1."""
    assert close_frame(None).encode() == b"\x88\x00"
    assert close_frame(1001, "gone").encode() == b"\x88\x06\x03\xe9gone"
    assert len(close_frame(4999, "a" * 123).payload) == 125


@pytest.mark.parametrize("size", [0, 1, 125, 126, 0xFFFF, 0x10000])
def test_a_whole_message_is_encoded_as_any_frame(size: int):
    for opcode in (Opcode.TEXT, Opcode.BINARY):
        assert encode_whole(opcode, b"x" * size) == Frame(opcode, b"x" * size).encode()


def test_declared_length_may_lie():
    """A frame may be wrong on purpose."""
    assert Frame(2, b"abc", declared_length=5).encode() == b"\x82\x05abc"
    assert Frame(2, b"abc", declared_length=5, length_bits=16).encode() == b"\x82\x7e\x00\x05abc"


@given(key=st.binary(min_size=4, max_size=4), data=st.binary(max_size=300))
def test_mask(key: bytes, data: bytes):
    """RFC 6455 §5.3: byte i XORed with key byte i mod 4; twice is nothing; the same as Tornado's."""
    masked = apply_mask(key, data)
    assert masked == bytes(byte ^ key[index % 4] for index, byte in enumerate(data))
    assert masked == bytes(_websocket_mask(key, data))
    assert apply_mask(key, masked) == data


frames = st.builds(
    Frame,
    opcode=st.integers(0, 15),
    payload=st.binary(max_size=200),
    fin=st.booleans(),
    rsv1=st.booleans(),
    rsv2=st.booleans(),
    rsv3=st.booleans(),
    masking_key=st.none() | st.binary(min_size=4, max_size=4),
)


@given(frames, st.sampled_from([None, 16, 64]))
def test_any_frame_is_read_as_written(frame: Frame, bits: int | None):
    """Encode ∘ decode is identity, and so is decode ∘ encode."""
    data = replace(frame, length_bits=bits).encode()
    back = read_frame(data)
    assert (back.opcode, back.payload, back.fin, back.masking_key) == (
        frame.opcode, frame.payload, frame.fin, frame.masking_key,
    )  # fmt: skip
    assert (back.rsv1, back.rsv2, back.rsv3) == (frame.rsv1, frame.rsv2, frame.rsv3)
    assert back.encode() == data


@given(st.binary(max_size=60), st.integers(0, 10_000), st.sampled_from(Side))
def test_any_bytes_are_described(data: bytes, offset: int, sender: Side):
    """Fields tile whatever begins with a header; findings lie in the frame."""
    header = decode_header(data)
    fields = describe_frame(data, offset)
    if header is None:
        assert fields == ()
        return
    size = min(len(data), header.size + header.length)
    assert_tiles(fields, Span(offset, offset + size))
    for finding in judge_frame(data, sender, offset):
        assert offset <= finding.span.start < finding.span.stop <= offset + size
        assert str(finding).endswith(f"({finding.clause}: {finding.rule.text})")


@pytest.mark.parametrize("rest", [b"", b"\x82", b"\x82\x05cut"])
def test_frames_are_split_and_what_is_no_whole_frame_comes_last(rest: bytes):
    frames = [Frame(1, b"a").encode(), Frame(2, b"x" * 200, masking_key=b"abcd").encode(), Frame(9).encode()]
    assert list(split_frames(b"".join(frames) + rest)) == frames + [rest] * bool(rest)
