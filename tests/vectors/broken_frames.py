"""Frames that break a rule, and which bytes of them are to blame.

Source: RFC 6455 §5 to §8.
"""

from __future__ import annotations

from dataclasses import dataclass

from lane_kernel.sides import Side
from lane_kernel.wire.connection import Closed, Event, Ping
from lane_kernel.wire.frames import apply_mask
from lane_kernel.wire.spans import Span

KEY = b"\x01\x02\x03\x04"
BOUND = 512
"""The bound on a message that the table is for."""


@dataclass(frozen=True)
class Broken:
    """Bytes that break a rule.

    Attributes:
        rule: Its id.
        wire: What a peer of a server sends.
        span: The bytes that are blamed.
        code: The close code that the connection is failed with.
        before: What still arrives.
        side: Who reads it.
        lenient: What arrives where reading goes on, besides the finding; None where a bound ends it all the same.
    """

    rule: str
    wire: bytes
    span: Span
    code: int = 1002
    before: tuple[Event, ...] = ()
    side: Side = Side.SERVER
    lenient: tuple[Event, ...] | None = ("hi",)


def client(text: str, payload: bytes = b"") -> bytes:
    """A header as hexadecimal digits, KEY, and a payload masked with it."""
    return bytes.fromhex(text) + KEY + apply_mask(KEY, payload)


_HI = client("8182", b"hi")

BROKEN = (
    Broken("unmasked-client-frame", b"\x81\x02hi", Span(0, 2)),
    Broken("unmasked-client-frame", _HI + b"\x81\x02hi", Span(8, 10), before=("hi",), lenient=("hi", "hi")),
    Broken("masked-server-frame", _HI, Span(0, 6), side=Side.CLIENT),
    Broken("reserved-bit", client("c182", b"hi"), Span(0, 6)),
    Broken("reserved-bit", client("a182", b"hi"), Span(0, 6)),
    Broken("reserved-bit", b"\x91\x02hi", Span(0, 2), side=Side.CLIENT),
    *(Broken("reserved-opcode", client(f"8{opcode:x}80"), Span(0, 6), lenient=(b"",)) for opcode in range(3, 8)),
    *(Broken("reserved-opcode", client(f"8{opcode:x}80"), Span(0, 6), lenient=()) for opcode in range(11, 16)),
    Broken("length-not-minimal", client("82fe0002", b"hi"), Span(0, 8), lenient=(b"hi",)),
    Broken("length-not-minimal", client("82ff0000000000000002", b"hi"), Span(0, 14), lenient=(b"hi",)),
    Broken("length-not-minimal", client("82ff000000000000ffff"), Span(0, 14), lenient=None),
    Broken("length-top-bit", client("82ff8000000000000000"), Span(0, 14), lenient=None),
    Broken("control-fragmented", client("0980"), Span(0, 6), lenient=(Ping(b""),)),
    Broken("control-fragmented", client("0880"), Span(0, 6), lenient=(Closed(1005, ""),)),
    Broken("control-too-long", client("89fe007e", b"a" * 126), Span(0, 8), lenient=(Ping(b"a" * 126),)),
    Broken("unexpected-continuation", client("8082", b"hi"), Span(0, 6), lenient=(b"hi",)),
    Broken("unexpected-continuation", _HI + client("0082", b"hi"), Span(8, 14), before=("hi",), lenient=("hi",)),
    Broken("data-inside-message", client("0182", b"hi") + _HI, Span(8, 14)),
    Broken("data-inside-message", client("0282", b"hi") + client("0282", b"hi"), Span(8, 14), lenient=()),
    Broken("invalid-utf8", client("8185", b"ab\xffcd"), Span(8, 9), 1007, lenient=("ab\udcffcd",)),
    Broken("invalid-utf8", client("8182", b"a\xc3"), Span(7, 8), 1007, lenient=("a\udcc3",)),
    Broken("invalid-utf8", client("8183", b"\xed\xa0\x80"), Span(7, 8), 1007, lenient=("\udced\udca0\udc80",)),
    Broken("invalid-utf8", client("0181", b"\xc3") + client("8082", b"(x"), Span(13, 14), 1007, lenient=("\udcc3(x",)),
    Broken("invalid-utf8", client("0182", b"a\xc3") + client("8080"), Span(13, 14), 1007, lenient=("a\udcc3",)),
    Broken("invalid-utf8", client("0181", b"\xff"), Span(6, 7), 1007, lenient=()),
    Broken("close-one-byte", client("8881", b"\x03"), Span(6, 7), lenient=(Closed(1005, ""),)),
    *(
        Broken("close-code-forbidden", client("8882", code.to_bytes(2, "big")), Span(6, 8), lenient=(Closed(code, ""),))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    ),
    Broken("close-reason-utf8", client("8884", b"\x03\xe8a\xff"), Span(9, 10), 1007,
           lenient=(Closed(1000, "a\udcff"),)),
    Broken("message-too-big", client("82fe0201"), Span(0, 8), 1009, lenient=None),
    Broken("message-too-big", client("02fe0200", bytes(512)) + client("8081", b"b"), Span(520, 526), 1009,
           lenient=None),
    Broken("message-too-big", client("82ff7fffffffffffffff"), Span(0, 14), 1009, lenient=None),
)  # fmt: skip
