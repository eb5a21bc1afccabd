"""UTF-8 in pieces. RFC 3629 §4; RFC 6455 §8.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.wire.utf8 import Utf8Checker, first_wrong_byte
from tests.wire.helpers import PLACES, cut

CASES = [
    (b"", None),
    (b"abc", None),
    ("hé€𝄞".encode(), None),
    (b"\xff", 0),
    (b"ab\x80", 2),
    (b"ab\xc3", 2),
    (b"ab\xe2\x82", 3),
    (b"ab\xed\xa0\x80", 3),
    (b"ab\xed\xa0", 3),
    (b"\xed\xbf", 1),
    (b"\xf4\x90\x80\x80", 1),
    (b"\xe2\x82\xff", 2),
    (b"\xe2(\x82", 1),
    (b"a\xc0\xaf", 1),
    (b"\xe0\x80\x80", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xf5\x80\x80\x80", 0),
]


@pytest.mark.parametrize(("data", "where"), CASES)
def test_first_wrong_byte(data: bytes, where: int | None):
    """RFC 3629 §4: no surrogates, nothing over U+10FFFF, nothing overlong; the byte itself, not a character's first."""
    assert first_wrong_byte(data) == where


@pytest.mark.parametrize(("data", "where"), CASES)
def test_it_fails_at_the_first_wrong_byte(data: bytes, where: int | None):
    """RFC 6455 §8.1: the byte after which no text could follow is the one that is blamed, when it comes."""
    checker = Utf8Checker()
    for place in range(len(data)):
        if checker.check(data[place : place + 1]) is not None:
            assert place == where
            return
    assert where is None or not checker.is_whole


@given(st.binary(max_size=20))
def test_a_part_is_blamed_where_nothing_could_make_it_text(data: bytes):
    """Exactly where no continuation could make the text valid."""
    where = first_wrong_byte(data, is_whole=False)
    tails = [
        bytes([a, b, c])[:size] for size in range(4) for a in (0x80, 0x90, 0xA0, 0xBF) for b in (0x80,) for c in (0x80,)
    ]
    assert (where is None) == any(_is_text(data + tail) for tail in tails)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.binary(max_size=30) | st.text(max_size=12).map(str.encode), PLACES)
def test_any_cutting_blames_the_same_byte(data: bytes, places: list[int]):
    """However the text comes, the same byte is wrong, or none."""
    checker = Utf8Checker()
    start, found = 0, None
    for piece in cut(data, places):
        where = checker.check(piece)
        if where is not None:
            found = start + where
            break
        start += len(piece)
    assert found == first_wrong_byte(data, is_whole=False)
