"""Frames with their bytes: each drives the reader, the writer and the inspector.

The bytes are written out by hand, header and payload apart, so that no codec of ours made them.
"""

from __future__ import annotations

from dataclasses import dataclass

from lane_kernel.wire.frames import Frame

KEY = bytes.fromhex("37fa213d")


@dataclass(frozen=True)
class Case:
    """A frame and its bytes.

    Attributes:
        id: The case's name.
        frame: The frame.
        wire: Its bytes.
        rules: The ids of the rules that it breaks by itself, sent by a client where it is masked, else by a server.
    """

    id: str
    frame: Frame
    wire: bytes
    rules: tuple[str, ...] = ()


def _xor(data: bytes, key: bytes = KEY) -> bytes:
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


# RFC 6455 §5.7, the examples in their order.
EXAMPLES = (
    Case("hello-unmasked", Frame(1, b"Hello"), bytes.fromhex("810548656c6c6f")),
    Case("hello-masked", Frame(1, b"Hello", masking_key=KEY), bytes.fromhex("818537fa213d7f9f4d5158")),
    Case("fragment-first", Frame(1, b"Hel", fin=False), bytes.fromhex("010348656c")),
    Case("fragment-last", Frame(0, b"lo"), bytes.fromhex("80026c6f")),
    Case("ping-unmasked", Frame(9, b"Hello"), bytes.fromhex("890548656c6c6f")),
    Case("pong-masked", Frame(10, b"Hello", masking_key=KEY), bytes.fromhex("8a8537fa213d7f9f4d5158")),
    Case("binary-256", Frame(2, b"\xfe" * 256), bytes.fromhex("827e0100") + b"\xfe" * 256),
    Case("binary-64k", Frame(2, b"\xfe" * 65536), bytes.fromhex("827f0000000000010000") + b"\xfe" * 65536),
)

_LENGTHS = {
    0: ("00", "80"),
    1: ("01", "81"),
    125: ("7d", "fd"),
    126: ("7e007e", "fe007e"),
    127: ("7e007f", "fe007f"),
    65535: ("7effff", "feffff"),
    65536: ("7f0000000000010000", "ff0000000000010000"),
}

BOUNDARIES = tuple(
    case
    for length, (plain, masked) in _LENGTHS.items()
    for case in (
        Case(f"length-{length}", Frame(2, b"\xa5" * length), b"\x82" + bytes.fromhex(plain) + b"\xa5" * length),
        Case(
            f"length-{length}-masked",
            Frame(2, b"\xa5" * length, masking_key=KEY),
            b"\x82" + bytes.fromhex(masked) + KEY + _xor(b"\xa5" * length),
        ),
    )
)

OPCODES = tuple(
    Case(f"opcode-{opcode:x}", Frame(opcode, b"\x03\xe8"), bytes((0x80 | opcode, 2)) + b"\x03\xe8", rules)
    for opcode in range(16)
    for rules in [("reserved-opcode",) if opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15) else ()]
    if opcode != 1  # b"\x03\xe8" is no text
)

WRONG = (
    Case("rsv1", Frame(2, b"a", rsv1=True), bytes.fromhex("c20161"), ("reserved-bit",)),
    Case("rsv2", Frame(2, b"a", rsv2=True), bytes.fromhex("a20161"), ("reserved-bit",)),
    Case("rsv3", Frame(2, b"a", rsv3=True), bytes.fromhex("920161"), ("reserved-bit",)),
    Case("ping-fragment", Frame(9, fin=False), bytes.fromhex("0900"), ("control-fragmented",)),
    Case("ping-126", Frame(9, b"a" * 126), bytes.fromhex("897e007e") + b"a" * 126, ("control-too-long",)),
    Case("length-5-in-16", Frame(2, b"Hello", length_bits=16), b"\x82\x7e\x00\x05Hello", ("length-not-minimal",)),
    Case("length-5-in-64", Frame(2, b"Hello", length_bits=64), b"\x82\x7f" + bytes(7) + b"\x05Hello",
         ("length-not-minimal",)),
    Case("length-126-in-64", Frame(2, b"a" * 126, length_bits=64), b"\x82\x7f" + bytes(7) + b"\x7e" + b"a" * 126,
         ("length-not-minimal",)),
    Case("text-not-utf8", Frame(1, b"ab\xffcd"), b"\x81\x05ab\xffcd", ("invalid-utf8",)),
    Case("close-1-byte", Frame(8, b"\x03"), b"\x88\x01\x03", ("close-one-byte",)),
    Case("close-1005", Frame(8, b"\x03\xed"), b"\x88\x02\x03\xed", ("close-code-forbidden",)),
    Case("close-999", Frame(8, b"\x03\xe7"), b"\x88\x02\x03\xe7", ("close-code-forbidden",)),
    Case("close-reason", Frame(8, b"\x03\xe8\xff"), b"\x88\x03\x03\xe8\xff", ("close-reason-utf8",)),
    Case("everything", Frame(0xF, rsv1=True, rsv2=True, rsv3=True, fin=False, length_bits=64), b"\x7f\x7f" + bytes(8),
         ("reserved-bit", "reserved-opcode", "control-fragmented", "length-not-minimal")),
)  # fmt: skip

CASES = (*EXAMPLES, *BOUNDARIES, *OPCODES, *WRONG)
