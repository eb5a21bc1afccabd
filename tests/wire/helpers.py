"""Ways to cut bytes, and what holds of every list of fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from hypothesis import strategies as st

from lane_kernel.wire.spans import Field, Span


def whole(data: bytes) -> list[bytes]:
    """All at once."""
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    """One byte at a time."""
    return [data[at : at + 1] for at in range(len(data))]


def with_empty_reads(data: bytes) -> list[bytes]:
    """In two halves with nothing before, between and after them."""
    half = len(data) // 2
    return [b"", data[:half], b"", data[half:], b""]


WAYS: tuple[Callable[[bytes], list[bytes]], ...] = (whole, byte_by_byte, with_empty_reads)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut data at some places, those outside it left out."""
    edges = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


PLACES = st.lists(st.integers(0, 400), max_size=12)
"""Where to cut."""


def assert_tiles(fields: Sequence[Field], span: Span) -> None:
    """Fields cover a span without gap or overlap; fields of bits cover the bits of their bytes."""
    position = span.start * 8
    for field in fields:
        if field.bit_offset is None:
            start, stop = field.span.start * 8, field.span.stop * 8
        else:
            assert field.bit_length is not None
            start = field.span.start * 8 + field.bit_offset
            stop = start + field.bit_length
            assert stop <= field.span.stop * 8, f"{field.name} is longer than its span"
        assert start == position, f"{field.name} begins at bit {start}, not {position}"
        assert stop > start, f"{field.name} is empty"
        position = stop
    assert position == span.stop * 8, f"the fields end at bit {position}, the span at {span.stop * 8}"
