"""Event streams made at random, of everything that a reader can meet; the same for the same seed."""

from __future__ import annotations

import random

_ENDS = (b"\n", b"\r", b"\r\n")
_VALUES = (
    b"", b" ", b"a", b" a", b"  a", b"a:b", b":", b"two words", "é€𝄞".encode(), b"a\0b", b"\0", b"\xff", b"\xe2\x82",
    b"\xf0\x9d\x84", b"\xed\xa0\x80", b"\xc0\xaf", b"\xef\xbb\xbf", "\u2028\x85\x0b\x0c".encode(), b"\t", b"x" * 300,
)  # fmt: skip
_TYPES = (b"", b"add", b"tick", b"message", b" spaced", b"a:b", "é".encode(), b"bad\xff", b"nul\0", b"data")
_IDS = (b"", b"1", b"2 ", b" 3", b"a\0", b"\0", "é".encode(), b"id\xff", b"x:y")
_RETRIES = (b"", b"0", b"10", b"007", b"1s", b"-1", b"+1", b"1.5", b" 1", "١".encode(), b"9" * 40, b"1\0")
_FIELDS = {b"data": _VALUES, b"event": _TYPES, b"id": _IDS, b"retry": _RETRIES, b"": _VALUES}
_ODD = (
    b"Data: a", b"data : a", b" data: a", b"unknown: a", b"unknown", b"data", b"event", b"id", b"retry",
    b"\xef\xbb\xbf", b"\xef\xbb\xbfdata: a", b"\xff: a", b"\0", b"dat\xc3\xa9: a", b"\xef\xbb", b"\xef",
)  # fmt: skip


def _line(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.25:
        return b""
    if kind < 0.37:
        return chance.choice(_ODD)
    name = b"data" if kind < 0.65 else chance.choice(list(_FIELDS))
    return name + chance.choice((b":", b": ", b": ")) + chance.choice(_FIELDS[name])


def random_stream(chance: random.Random) -> bytes:
    """Make one stream: with or without a byte order mark, its line ends alike or mixed, its end anywhere."""
    ends = chance.choice((*([end] for end in _ENDS), *([_ENDS] * 3)))
    lines = b"".join(_line(chance) + chance.choice(ends) for _ in range(chance.randrange(40)))
    start = chance.choice((b"", b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef\xbb"))
    end = chance.choice((b"", b"\n\n", b"\r\r", b"data: cut", b"data: cut\n", b"data: cut\r\n\r", b"id: 9\n", b"\xef"))
    return start + lines + end


def random_streams(count: int, seed: int = 2026) -> list[bytes]:
    """Make some streams."""
    chance = random.Random(seed)
    return [random_stream(chance) for _ in range(count)]
