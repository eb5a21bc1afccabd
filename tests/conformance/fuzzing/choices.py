"""How an input of the fuzzer is read: its first bytes choose, the rest are the bytes that are read.

Inputs that are too short choose 0: every byte string is an input, and a small change of one changes little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.spans import Span
from tests.wire.helpers import byte_by_byte, cut

T = TypeVar("T")


class Choices:
    """Takes an input's bytes from its front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        """The next byte, or 0."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def flags(self, count: int) -> list[bool]:
        """The lowest bits of the next byte."""
        number = self.number()
        return [bool(number >> bit & 1) for bit in range(count)]

    def one_of(self, options: Sequence[T]) -> T:
        """One of some values."""
        return options[self.number() % len(options)]

    def places(self) -> list[int]:
        """Three places to cut at."""
        return [self.number() for _ in range(3)]

    def deflate(self) -> DeflateParameters | None:
        """What permessage-deflate may be agreed on, or None."""
        is_agreed, server_no_takeover, client_no_takeover = self.flags(3)
        bits = self.number()
        if not is_agreed:
            return None
        return DeflateParameters(server_no_takeover, client_no_takeover, 15 - bits % 8, 15 - bits // 8 % 8)

    def rest(self) -> bytes:
        """What is left."""
        return self._data[self._at :]


def chunkings(data: bytes, places: Sequence[int]) -> list[list[bytes]]:
    """The same bytes whole, byte by byte, and cut at some places, with an empty read first."""
    return [[data], byte_by_byte(data), [b"", *cut(data, places)]]


def assert_within(span: Span, whole: Span) -> None:
    """A span lies within another."""
    assert whole.start <= span.start <= span.stop <= whole.stop, f"{span} is not within {whole}"


def assert_tile(spans: Sequence[Span], whole: Span) -> None:
    """Spans cover another without gap or overlap."""
    position = whole.start
    for span in spans:
        assert span.start == position, f"{span} does not begin at {position}"
        assert span.stop > span.start, f"{span} is empty"
        position = span.stop
    assert position == whole.stop, f"the spans end at {position}, not at {whole.stop}"
