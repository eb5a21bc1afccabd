"""The WebSocket frame: one header decoder for the hot path and the inspector, and a value that can be wrong on purpose.

Source: RFC 6455 §5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import NamedTuple

from lane_kernel.errors import LaneError
from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.rules import Finding, Rule
from lane_kernel.wire.spans import Family, Field, Span
from lane_kernel.wire.utf8 import first_wrong_byte

Buffer = bytes | bytearray | memoryview
Unmask = Callable[[bytes, bytes], bytes]
"""Takes a masking-key of 4 bytes and payload data; answers the data XORed with the key."""


class Opcode(IntEnum):
    """What a frame is.

    Source: RFC 6455 §5.2.
    """

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA

    @property
    def is_control(self) -> bool:
        """Whether it speaks of the connection rather than carrying data."""
        return self >= 0x8


class CloseCode(IntEnum):
    """Why a connection was closed.

    Source: RFC 6455 §7.4.1 and the IANA registry it set up.
    """

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RECEIVED = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_PAYLOAD_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


_MEANINGS = {
    Opcode.CONTINUATION: "continues the message begun before",
    Opcode.TEXT: "text",
    Opcode.BINARY: "binary data",
    Opcode.CLOSE: "begins or answers the closing handshake",
    Opcode.PING: "asks for a Pong with the same payload",
    Opcode.PONG: "answers a Ping, or a heartbeat of its own",
}


LEAST_LENGTH = {7: 0, 16: 126, 64: 0x10000}
"""The least length that each form of it, by its bits, may be used for.

Source: RFC 6455 §5.2.
"""

LONG, LONGER = 0x7E, 0x7F
"""In the table of `quick_heads`: the length stands in the 2, or the 8, bytes after the first two."""

SLOW = 0xFF
"""In the table of `quick_heads`: no whole message, or one that breaks a rule."""


class FrameError(LaneError):
    """A frame cannot be encoded as it was asked for."""


class FrameHeader(NamedTuple):
    """A decoded frame header.

    Attributes:
        fin: Whether the frame is the last of its message.
        rsv: RSV1, RSV2, RSV3 as a number from 0 to 7, RSV1 being 4.
        opcode: The opcode, 0 to 15, reserved ones included.
        length: The declared length of the payload data in bytes.
        masking_key: The 4 bytes of the masking-key, or None where MASK is 0.
        size: Bytes in the header itself.
        length_bits: Which form the length has: 7, 16 or 64.
    """

    fin: bool
    rsv: int
    opcode: int
    length: int
    masking_key: bytes | None
    size: int
    length_bits: int


def apply_mask(masking_key: bytes, data: bytes) -> bytes:
    """XOR data with a masking-key; masking and unmasking are the same.

    This is the standard library's way; `lane_kernel.net` hands Tornado's C function to whoever reads a socket.

    Source: RFC 6455 §5.3.
    """
    if not data:
        return b""
    size = len(data)
    key = (masking_key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def decode_header(buffer: Buffer, offset: int = 0) -> FrameHeader | None:
    """Decode the frame header that begins at an offset.

    Nothing is judged here: any bits make a header. `judge_header` says which rules they break.

    Args:
        buffer: Bytes of one direction of a connection.
        offset: Where in the buffer the header begins.

    Returns:
        The header, or None where the buffer ends before the header does.

    Source: RFC 6455 §5.2.
    """
    available = len(buffer) - offset
    if available < 2:
        return None
    first, second = buffer[offset], buffer[offset + 1]
    length = second & 0x7F
    size, length_bits = 2, 7
    if length >= 126:
        size, length_bits = (4, 16) if length == 126 else (10, 64)
        if available < size:
            return None
        length = int.from_bytes(buffer[offset + 2 : offset + size], "big")
    masking_key = None
    if second & 0x80:
        if available < size + 4:
            return None
        masking_key = bytes(buffer[offset + size : offset + size + 4])
        size += 4
    return FrameHeader(first >= 0x80, first >> 4 & 0x7, first & 0xF, length, masking_key, size, length_bits)


def judge_header(header: FrameHeader, sender: Side, rsv_allowed: int = 0) -> Iterator[tuple[Rule, str]]:
    """Yield each rule that a frame header breaks by itself, with what was seen.

    Args:
        header: The header.
        sender: Who sent it.
        rsv_allowed: The RSV bits that a negotiated extension has taken, RSV1 being 4.
    """
    if header.rsv & ~rsv_allowed:
        bits = ", ".join(f"RSV{n}" for n in (1, 2, 3) if header.rsv & ~rsv_allowed & 8 >> n)
        yield rules.RESERVED_BIT, f"{bits} set without an extension"
    if header.rsv & rsv_allowed & 4 and header.opcode == Opcode.CONTINUATION:
        yield rules.RSV1_ON_CONTINUATION, "RSV1 set on a continuation frame"
    if header.rsv & rsv_allowed & 4 and header.opcode >= 8:
        yield rules.RSV1_ON_CONTROL, "RSV1 set on a control frame"
    if 3 <= header.opcode <= 7 or header.opcode >= 0xB:
        yield rules.RESERVED_OPCODE, f"reserved opcode 0x{header.opcode:x}"
    if header.opcode >= 8 and not header.fin:
        yield rules.CONTROL_FRAGMENTED, "a control frame without FIN"
    if header.opcode >= 8 and header.length > 125:
        yield rules.CONTROL_TOO_LONG, f"a control frame of {header.length:,} bytes"
    if sender is Side.CLIENT and header.masking_key is None:
        yield rules.UNMASKED_CLIENT_FRAME, "a client's frame without a masking-key"
    if sender is Side.SERVER and header.masking_key is not None:
        yield rules.MASKED_SERVER_FRAME, "a server's frame with a masking-key"
    if header.length >> 63:
        yield rules.LENGTH_TOP_BIT, "a length with the top bit set"
    if header.length < LEAST_LENGTH[header.length_bits]:
        yield rules.LENGTH_NOT_MINIMAL, f"length {header.length} in the {header.length_bits}-bit form"


@cache
def quick_heads(sender: Side, bound: int = 125) -> bytes:
    """The payload length by the first two bytes of a frame that is a whole message and breaks no rule so far.

    What has to be quick looks here first. `decode_header` and `judge_header` fill it, so that nothing can disagree with
    them.

    Args:
        sender: Who sends.
        bound: The greatest length that is given, at most 125.

    Returns:
        A byte for each two bytes of a header, taken as a number in network order: a length up to the bound; `LONG`
        and `LONGER` where more bytes say the length; `SLOW` for every other frame.
    """
    table = bytearray([SLOW]) * 0x10000
    for opcode in (Opcode.TEXT, Opcode.BINARY):
        for second in range(0x100):
            head = bytes((0x80 | opcode, second))
            # After them, a length that is right in either longer form, and whatever masking-key.
            header = decode_header(head + b"\x00" + b"\xff" * 11)
            if header is None or any(True for _ in judge_header(header, sender)):
                continue
            length = {7: header.length, 16: LONG, 64: LONGER}[header.length_bits]
            if length > 125 or length <= bound:
                table[int.from_bytes(head, "big")] = length
    return bytes(table)


def judge_close(payload: bytes) -> Iterator[tuple[Rule, Span, str]]:
    """Yield each rule that the body of a Close frame breaks; spans count from the body's first byte.

    Source: RFC 6455 §5.5.1 and §7.4.
    """
    if len(payload) == 1:
        yield rules.CLOSE_ONE_BYTE, Span(0, 1), "a Close body of 1 byte"
    if len(payload) < 2:
        return
    code = int.from_bytes(payload[:2], "big")
    if not is_close_code_allowed(code):
        yield rules.CLOSE_CODE_FORBIDDEN, Span(0, 2), f"close code {code}"
    where = first_wrong_byte(payload[2:])
    if where is not None:
        yield rules.CLOSE_REASON_UTF8, Span(2 + where, 3 + where), "a Close reason that is not UTF-8"


def is_close_code_allowed(code: int) -> bool:
    """Whether a Close frame may carry this code.

    Source: RFC 6455 §7.4.
    """
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, right or wrong: any bits, any declared length, any masking-key or none.

    Attributes:
        opcode: 0 to 15, reserved ones included.
        payload: The payload data, unmasked.
        fin: Whether it is the last frame of its message.
        rsv1: The first reserved bit.
        rsv2: The second reserved bit.
        rsv3: The third reserved bit.
        masking_key: The 4 bytes to mask with, or None for MASK 0.
        declared_length: The length to write in the header, where it is to lie.
        length_bits: The form to write the length in, 7, 16 or 64; None for the shortest.

    Source: RFC 6455 §5.2.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv1: bool = False
    rsv2: bool = False
    rsv3: bool = False
    masking_key: bytes | None = None
    declared_length: int | None = None
    length_bits: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no bits can hold."""
        if not isinstance(self.payload, bytes):
            raise FrameError(f"payload data is bytes, not {type(self.payload).__name__}: encode text first")
        if not 0 <= self.opcode <= 15:
            raise FrameError(f"opcode {self.opcode} does not fit in 4 bits: give a number from 0 to 15")
        if self.masking_key is not None and len(self.masking_key) != 4:
            raise FrameError(f"a masking-key has 4 bytes, not {len(self.masking_key)}")
        if self.length_bits not in (None, 7, 16, 64):
            raise FrameError(f"length_bits is 7, 16 or 64, not {self.length_bits}")
        if self.length < 0 or self.length >= 1 << 64:
            raise FrameError(f"a length of {self.length} does not fit in 64 bits")
        if self.length_bits is not None and self.length >= {7: 126, 16: 1 << 16, 64: 1 << 64}[self.length_bits]:
            raise FrameError(f"a length of {self.length} does not fit the {self.length_bits}-bit form")

    @property
    def length(self) -> int:
        """The length that the header declares."""
        return len(self.payload) if self.declared_length is None else self.declared_length

    @property
    def header(self) -> FrameHeader:
        """Its header as `decode_header` reads it."""
        bits = self.length_bits or (7 if self.length < 126 else 16 if self.length < 0x10000 else 64)
        size = {7: 2, 16: 4, 64: 10}[bits] + (0 if self.masking_key is None else 4)
        rsv = self.rsv1 << 2 | self.rsv2 << 1 | self.rsv3
        return FrameHeader(self.fin, rsv, self.opcode, self.length, self.masking_key, size, bits)

    def encode(self, mask: Unmask = apply_mask) -> bytes:
        """Encode the frame.

        Args:
            mask: The function that masks the payload, where there is a masking-key.

        Returns:
            The header and the payload data as they go on the wire.
        """
        first = self.fin << 7 | self.rsv1 << 6 | self.rsv2 << 5 | self.rsv3 << 4 | self.opcode
        if self.masking_key is None:
            return _encode_head(first, 0, self.length, self.length_bits) + self.payload
        head = _encode_head(first, 0x80, self.length, self.length_bits)
        return head + self.masking_key + mask(self.masking_key, self.payload)


def _encode_head(first: int, masked: int, length: int, bits: int | None) -> bytes:
    """Encode a header up to its masking-key."""
    bits = bits or (7 if length < 126 else 16 if length < 0x10000 else 64)
    if bits == 7:
        return bytes((first, masked | length))
    if bits == 16:
        return bytes((first, masked | 126)) + length.to_bytes(2, "big")
    return bytes((first, masked | 127)) + length.to_bytes(8, "big")


_SHORT_HEADS = {
    opcode: tuple(_encode_head(0x80 | opcode, 0, length, None) for length in range(126))
    for opcode in (Opcode.TEXT, Opcode.BINARY)
}


def encode_whole(opcode: Opcode, payload: bytes) -> bytes:
    """Encode an unmasked frame that is a whole message: the case that has to be quick.

    Args:
        opcode: TEXT or BINARY.
        payload: The message.
    """
    length = len(payload)
    if length < 126:
        return _SHORT_HEADS[opcode][length] + payload
    return _encode_head(0x80 | opcode, 0, length, None) + payload


def encode_text(text: str, errors: str = "strict") -> bytes:
    """Encode text as UTF-8.

    Args:
        text: The text.
        errors: What becomes of lone surrogates, which UTF-8 has no bytes for.

    Raises:
        FrameError: It cannot be encoded.

    Source: RFC 6455 §5.6; RFC 3629 §3.
    """
    try:
        return text.encode(errors=errors)
    except UnicodeEncodeError as error:
        raise FrameError(
            f"text is sent as UTF-8, which has no {error.object[error.start]!r} (at character {error.start})"
        ) from error


def close_frame(code: int | None, reason: str = "", masking_key: bytes | None = None) -> Frame:
    """Make a Close frame that the RFC allows.

    Raises:
        FrameError: The code is one that is never sent; or the reason is longer than 123 bytes, or has none in UTF-8.

    Source: RFC 6455 §5.5.1.
    """
    if code is None:
        if reason:
            raise FrameError("a Close without a code has no reason: give a code, such as 1000")
        return Frame(Opcode.CLOSE, masking_key=masking_key)
    if not is_close_code_allowed(code):
        raise FrameError(f"close code {code} is never sent: use 1000 to 1014 without 1004 to 1006, or 3000 to 4999")
    body = code.to_bytes(2, "big") + encode_text(reason)
    if len(body) > 125:
        raise FrameError(f"a Close reason has at most 123 bytes as UTF-8, this one has {len(body) - 2}")
    return Frame(Opcode.CLOSE, body, masking_key=masking_key)


def opcode_name(opcode: int) -> str:
    """The name of an opcode in capitals, or "RESERVED 0x3"."""
    try:
        return Opcode(opcode).name
    except ValueError:
        return f"RESERVED 0x{opcode:X}"


def judge_frame(data: bytes, sender: Side, offset: int = 0, rsv_allowed: int = 0) -> tuple[Finding, ...]:
    """List the rules that one frame breaks by itself, whatever came before it.

    Args:
        data: The frame's bytes; what stands after them is not looked at.
        sender: Who sent it.
        offset: Where the frame begins in its direction's stream.
        rsv_allowed: The RSV bits that a negotiated extension has taken, RSV1 being 4.
    """
    header = decode_header(data)
    if header is None:
        return ()
    whole = Span(offset, offset + header.size)
    found = [Finding(rule, whole, text) for rule, text in judge_header(header, sender, rsv_allowed)]
    payload = _payload(data, header)
    is_whole = len(payload) == header.length
    if header.opcode == Opcode.CLOSE and header.length <= 125 and is_whole:
        body = offset + header.size
        for rule, span, text in judge_close(payload):
            found.append(Finding(rule, Span(body + span.start, body + span.stop), text))
    elif header.opcode == Opcode.TEXT and header.fin and not header.rsv:
        where = first_wrong_byte(payload, is_whole=is_whole)
        if where is not None:
            at = offset + header.size + where
            found.append(Finding(rules.INVALID_UTF8, Span(at, at + 1), f"byte {where} of the text is not UTF-8"))
    return tuple(found)


def _payload(data: bytes, header: FrameHeader) -> bytes:
    payload = bytes(data[header.size : header.size + header.length])
    return payload if header.masking_key is None else apply_mask(header.masking_key, payload)


def payload_of(data: bytes) -> bytes:
    """The payload data of the frame that data begins with, unmasked, as far as it is there."""
    header = decode_header(data)
    return b"" if header is None else _payload(data, header)


def split_frames(data: bytes) -> Iterator[bytes]:
    """Yield the frames of a byte string, each with its header; what is no whole frame comes last, as it is.

    Args:
        data: Frames, one after the other.
    """
    position = 0
    while (header := decode_header(data, position)) is not None:
        stop = position + header.size + header.length
        yield data[position:stop]
        position = stop
    if position < len(data):
        yield data[position:]


def describe_frame(data: bytes, offset: int = 0) -> tuple[Field, ...]:
    """Name every bit of the frame that data begins with.

    The fields' spans tile the frame without gap or overlap. Where data ends in the payload, the last field says how
    much is missing; where it ends in the header, there are no fields.

    Args:
        data: The frame's bytes.
        offset: Where the frame begins in its direction's stream.

    Source: RFC 6455 §5.2.
    """
    header = decode_header(data)
    if header is None:
        return ()
    first, second = Span(offset, offset + 1), Span(offset + 1, offset + 2)
    masked = header.masking_key is not None
    fields = [
        _bit("FIN", first, 0, header.fin, "last frame of its message" if header.fin else "more frames follow"),
        *(
            _bit(
                f"RSV{n}",
                first,
                n,
                bool(header.rsv & 8 >> n),
                "an extension's bit" if header.rsv & 8 >> n else "unused",
            )
            for n in (1, 2, 3)
        ),
        _opcode_field(header.opcode, first),
        _bit("MASK", second, 0, masked, "masked, as from a client" if masked else "not masked, as from a server"),
        *_length_fields(data[1] & 0x7F, header, second),
    ]
    position = offset + (header.size - 4 if masked else header.size)
    if header.masking_key is not None:
        key = header.masking_key
        span = Span(position, position + 4)
        meaning = "payload byte i is XORed with byte i mod 4"
        fields.append(Field("masking-key", span, key, key.hex(" "), meaning, "RFC 6455 §5.3", Family.MASK))
    fields.extend(_payload_fields(data, header, offset + header.size))
    return tuple(fields)


def _bit(name: str, span: Span, offset: int, value: bool, meaning: str) -> Field:
    return Field(name, span, int(value), str(int(value)), meaning, "RFC 6455 §5.2", Family.CONTROL, offset, 1)


def _opcode_field(opcode: int, span: Span) -> Field:
    try:
        meaning = _MEANINGS[Opcode(opcode)]
    except ValueError:
        meaning = "reserved"
    text = f"0x{opcode:x} {opcode_name(opcode)}"
    return Field("opcode", span, opcode, text, meaning, "RFC 6455 §5.2", Family.OPCODE, 4, 4)


def _length_fields(short: int, header: FrameHeader, span: Span) -> list[Field]:
    meaning = {
        7: "bytes of payload data",
        16: "the next 16 bits hold the length",
        64: "the next 64 bits hold the length",
    }
    fields = [
        Field(
            "payload length", span, short, str(short), meaning[header.length_bits], "RFC 6455 §5.2", Family.LENGTH, 1, 7
        )
    ]
    if header.length_bits > 7:
        extended = Span(span.stop, span.stop + header.length_bits // 8)
        text = f"{header.length:,}"
        name = "extended payload length"
        fields.append(
            Field(name, extended, header.length, text, "bytes of payload data", "RFC 6455 §5.2", Family.LENGTH)
        )
    return fields


def _payload_fields(data: bytes, header: FrameHeader, start: int) -> list[Field]:
    payload = _payload(data, header)
    if not payload:
        return []
    missing = header.length - len(payload)
    cut = f"; {missing:,} more declared but not there" if missing else ""
    if header.opcode == Opcode.CLOSE and len(payload) >= 2:
        code = int.from_bytes(payload[:2], "big")
        name = close_code_name(code) + (cut if len(payload) == 2 else "")
        fields = [Field("close code", Span(start, start + 2), code, str(code), name, "RFC 6455 §7.4", Family.CLOSE)]
        if len(payload) > 2:
            reason = payload[2:].decode(errors="replace")
            span = Span(start + 2, start + len(payload))
            fields.append(
                Field("close reason", span, reason, repr(reason), "for people" + cut, "RFC 6455 §7.1.6", Family.CLOSE)
            )
        return fields
    span = Span(start, start + len(payload))
    size = f"{len(payload):,} byte{'' if len(payload) == 1 else 's'}"
    if header.opcode == Opcode.TEXT and first_wrong_byte(payload) is None:
        text = payload.decode()
        return [
            Field(
                "payload data", span, text, repr(text), f"{size} of valid UTF-8{cut}", "RFC 6455 §5.6", Family.PAYLOAD
            )
        ]
    clause = "RFC 6455 §5.5" if header.opcode >= 8 else "RFC 6455 §5.6"
    return [Field("payload data", span, payload, payload.hex(" "), size + cut, clause, Family.PAYLOAD)]


def close_code_name(code: int) -> str:
    """What a close code says, in lower case."""
    try:
        return CloseCode(code).name.lower().replace("_", " ")
    except ValueError:
        if 3000 <= code <= 3999:
            return "registered by a library or framework"
        return "private use" if 4000 <= code <= 4999 else "not defined"
