"""The lines of an event stream, and what becomes of each: what the reader, its steps, fields and findings share.

Source: WHATWG HTML §9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
"""The byte order mark, skipped at a stream's first byte."""

LINE_END = re.compile(rb"\r\n|\n|\r")
"""What ends a line."""

MAX_RETRY = 10**15
"""The longest reconnection time in milliseconds, over 30,000 years; what is longer is read as this."""


class Effect(Enum):
    """What becomes of a line that is not empty.

    Source: WHATWG HTML §9.2.6.
    """

    COMMENT = "a comment, ignored"
    ADD_DATA = "added to the data buffer, with a line break"
    SET_TYPE = "sets the event's type"
    SET_ID = "sets the last event ID"
    SET_RETRY = "sets the reconnection time, in milliseconds"
    UNKNOWN_FIELD = "an unknown field, ignored"
    ID_WITH_NUL = "an ID that holds NUL, ignored"
    RETRY_NOT_DIGITS = "a reconnection time that is not only ASCII digits, ignored"


class Line(NamedTuple):
    """A line that is not empty, read.

    Attributes:
        name: The field's name; "" for a comment.
        value: The field's value or the comment, without the one space that is removed.
        has_colon: Whether a colon stands between them; otherwise the whole line is the name.
        has_space: Whether one space after the colon was removed.
        effect: What becomes of it.
    """

    name: str
    value: str
    has_colon: bool
    has_space: bool
    effect: Effect


def read_line(line: bytes) -> Line:
    """Read a line as a field or a comment.

    Args:
        line: The line's bytes without its end, at least one.

    Source: WHATWG HTML §9.2.6.
    """
    name, colon, value = line.decode(errors="replace").partition(":")
    has_space = value.startswith(" ")
    if has_space:
        value = value[1:]
    return Line(name, value, bool(colon), has_space, _effect(name, value))


def _effect(name: str, value: str) -> Effect:
    match name:
        case "data":
            return Effect.ADD_DATA
        case "":
            return Effect.COMMENT
        case "event":
            return Effect.SET_TYPE
        case "id":
            return Effect.ID_WITH_NUL if "\0" in value else Effect.SET_ID
        case "retry":
            return Effect.SET_RETRY if value.isascii() and value.isdigit() else Effect.RETRY_NOT_DIGITS
        case _:
            return Effect.UNKNOWN_FIELD


def read_retry(value: str) -> int:
    """Read the digits of a reconnection time as milliseconds."""
    digits = value.lstrip("0")
    return int(digits or "0") if len(digits) < len(str(MAX_RETRY)) else MAX_RETRY


def split_lines(data: bytes, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """Split bytes into lines, the last of which may have no end.

    Args:
        data: The bytes.
        start: Where the first line begins in them.

    Yields:
        Where each line begins, where it ends, and where the one after it begins.

    Source: WHATWG HTML §9.2.6.
    """
    for match in LINE_END.finditer(data, start):
        yield start, match.start(), match.end()
        start = match.end()
    if start < len(data):
        yield start, len(data), len(data)


def lead_of(data: bytes) -> int:
    """How many bytes of a byte order mark stand at a stream's beginning: 3 or none."""
    return len(BOM) if data.startswith(BOM) else 0
