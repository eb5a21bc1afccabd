"""The event stream: bytes to events, events to bytes, and the name of every byte.

Source: WHATWG HTML §9.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lane_kernel.errors import LaneError
from lane_kernel.wire.http1 import fill_gaps
from lane_kernel.wire.spans import Family, Field, Span

MAX_EVENT = 1024 * 1024
"""Default bound on one event, and so on one line, in bytes."""

_MAX_DIGITS = 15
"""Digits of a reconnection time that are read; more would be over 30,000 years."""
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_MEANINGS = {
    "data": "added to the data buffer, with a line break",
    "event": "sets the event's type",
    "id": "sets the last event ID",
    "retry": "sets the reconnection time, in milliseconds",
}


class EventStreamError(LaneError):
    """An event stream cannot be written as asked, or is over a bound."""


@dataclass(frozen=True, slots=True)
class Event:
    """A dispatched event.

    Attributes:
        type: The event's type, "message" unless the stream named another.
        data: Its data, lines joined by line feeds.
        last_event_id: The last event ID at its dispatch.
    """

    type: str
    data: str
    last_event_id: str


@dataclass(frozen=True, slots=True)
class Block:
    """The lines up to and with an empty line.

    Attributes:
        span: From the block's first byte to the end of its empty line.
        event: What was dispatched, or None where the block has no data.
        comments: Its comments.
        retry: The reconnection time it set, in milliseconds, or None.
    """

    span: Span
    event: Event | None
    comments: tuple[str, ...] = ()
    retry: int | None = None


class EventStreamParser:
    """An incremental reader of an event stream.

    Chunks may end anywhere: in a line, in a character, between CR and LF.

    Source: WHATWG HTML §9.2.6.

    Attributes:
        last_event_id: The last event ID, as a reconnection would send it.
        retry: The reconnection time in milliseconds, or None while the stream has not set it.
    """

    def __init__(self, last_event_id: str = "", max_event: int = MAX_EVENT) -> None:
        """Begin at the first byte of a response's body.

        Args:
            last_event_id: The last event ID kept from an earlier connection.
            max_event: The bound on one event in bytes.
        """
        self.last_event_id = last_event_id
        self.retry: int | None = None
        self._max_event = max_event
        self._id_buffer = last_event_id
        self._pending = b""
        self._pending_at = 0
        self._position = 0
        self._at_start = True
        self._after_cr = False
        self._begin_block(0)

    def _begin_block(self, at: int) -> None:
        self._block_at = at
        self._block_size = 0
        self._data: list[str] = []
        self._type = ""
        self._comments: list[str] = []
        self._block_retry: int | None = None

    def feed(self, data: bytes, offset: int | None = None) -> list[Block]:
        """Read the next bytes of the stream.

        Args:
            data: The bytes.
            offset: Where they begin in the connection's stream; right after the last ones by default.

        Returns:
            The blocks that ended, each with its event if it has one.

        Raises:
            EventStreamError: An event is over the bound.
        """
        at = self._position if offset is None else offset
        self._position = at + len(data)
        if not self._pending:
            self._pending_at = at
            if self._is_between_blocks() and not self._after_cr:
                self._block_at = at
        buffer = self._pending + data
        seam = len(self._pending)

        def place(index: int) -> int:
            return self._pending_at + index if index < seam else at + index - seam

        start = 0
        if self._at_start and (start := self._skip_bom(buffer)) < 0:
            self._pending = buffer
            return []
        blocks: list[Block] = []
        if self._after_cr and buffer[start:]:
            if buffer[start : start + 1] == b"\n":
                start += 1
            self._after_cr = False
            if self._is_between_blocks():
                self._block_at = place(start)
        for match in _LINE_END.finditer(buffer, max(start, seam)):
            line = buffer[start : match.start()]
            stop = match.end()
            if match.group() == b"\r" and stop == len(buffer):
                self._after_cr = True
            self._block_size += stop - start
            start = stop
            if line:
                self._take_line(line)
            else:
                blocks.append(self._end_block(place(stop - 1) + 1))
        self._keep(buffer, start, place(start) if start < len(buffer) else self._position)
        return blocks

    def _is_between_blocks(self) -> bool:
        return not self._block_size

    def _skip_bom(self, buffer: bytes) -> int:
        """The index after a byte order mark, or -1 where it is too early to say."""
        if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
            return -1
        self._at_start = False
        return len(_BOM) if buffer.startswith(_BOM) else 0

    def _keep(self, buffer: bytes, start: int, at: int) -> None:
        self._pending = buffer[start:]
        self._pending_at = at
        if self._block_size + len(self._pending) > self._max_event:
            raise EventStreamError(f"an event is longer than the bound of {self._max_event:,} bytes")

    def _take_line(self, line: bytes) -> None:
        text = line.decode(errors="replace")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self._comments.append(value)
        elif name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id_buffer = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self._block_retry = self.retry = int(value[-_MAX_DIGITS:])

    def _end_block(self, stop: int) -> Block:
        self.last_event_id = self._id_buffer
        event = Event(self._type or "message", "\n".join(self._data), self.last_event_id) if self._data else None
        block = Block(Span(self._block_at, stop), event, tuple(self._comments), self._block_retry)
        self._begin_block(stop)
        return block


def encode_event(
    data: str | None = None,
    *,
    event: str | None = None,
    id: str | int | None = None,
    retry: int | None = None,
    comment: str | None = None,
) -> bytes:
    """Encode one event, so that no field or event can be smuggled in.

    Args:
        data: The event's data; each of its lines becomes a data line. Without it, nothing will be dispatched.
        event: The event's type.
        id: The event's ID.
        retry: The reconnection time in milliseconds.
        comment: A comment, each of its lines on one of its own.

    Raises:
        EventStreamError: A line break or NUL in the type or the ID, or a negative time.

    Source: WHATWG HTML §9.2.5.
    """
    lines: list[str] = []
    if comment is not None:
        lines += [f": {line}" if line else ":" for line in _split_lines(comment)]
    if event is not None:
        lines.append(f"event: {_one_line('event type', event)}")
    if id is not None:
        lines.append(f"id: {_one_line('event ID', str(id))}")
    if retry is not None:
        if retry < 0:
            raise EventStreamError(f"a reconnection time is not negative: {retry}")
        lines.append(f"retry: {retry:d}")
    if data is not None:
        lines += [f"data: {line}" for line in _split_lines(data)]
    return ("\n".join(lines) + "\n\n").encode()


def _split_lines(text: str) -> list[str]:
    return re.split(r"\r\n|\n|\r", text)


def _one_line(what: str, value: str) -> str:
    if any(character in value for character in "\r\n\0"):
        raise EventStreamError(
            f"an {what} has no line break and no NUL, {value!r} has: a reader would see another field"
        )
    return value


def describe_event_stream(data: bytes, offset: int = 0) -> tuple[Field, ...]:
    """Name every byte of some lines of an event stream; the fields' spans tile them without gap or overlap.

    Args:
        data: Whole lines.
        offset: Where they begin in their direction's stream.
    """
    fields: list[Field] = []
    start = len(_BOM) if data.startswith(_BOM) else 0
    if start:
        meaning = "byte order mark, skipped"
        fields.append(
            Field(
                "BOM", Span(offset, offset + 3), data[:3], "ef bb bf", meaning, "WHATWG HTML §9.2.5", Family.DELIMITER
            )
        )
    while start < len(data):
        match = _LINE_END.search(data, start)
        stop, after = (len(data), len(data)) if match is None else (match.start(), match.end())
        fields.extend(_describe_line(data[start:stop], offset + start))
        if after > stop:
            fields.append(_line_end(data[stop:after], offset + stop, is_empty=stop == start))
        start = after
    return fill_gaps(fields, data, offset)


def _describe_line(line: bytes, at: int) -> list[Field]:
    if not line:
        return []
    name, colon, rest = line.partition(b":")
    text = name.decode(errors="replace")
    value = rest.removeprefix(b" ")
    value_at = at + len(line) - len(value)
    fields: list[Field] = []
    shown = value.decode(errors="replace")
    if not name:
        fields.append(_field("colon", at, b":", ":", "begins a comment", Family.EVENT_NAME))
        meaning, label = "a comment, ignored", "comment"
    else:
        meaning, label = _MEANINGS.get(text, "an unknown field, ignored"), text
        fields.append(_field("field name", at, name, text, "", Family.EVENT_NAME))
        if colon:
            separator = line[len(name) : len(line) - len(value)]
            said = "one space after the colon is removed" if len(separator) > 1 else ""
            fields.append(
                _field("colon", at + len(name), separator, separator.decode().replace(" ", "␠"), said, Family.DELIMITER)
            )
    if value:
        fields.append(_field(label, value_at, value, shown, meaning, Family.EVENT_VALUE))
    return fields


def _line_end(raw: bytes, at: int, *, is_empty: bool) -> Field:
    shown = raw.decode().replace("\r", "␍").replace("\n", "␊")
    meaning = "an empty line: dispatches the event" if is_empty else "ends the line"
    return _field("end of line", at, raw, shown, meaning, Family.DELIMITER)


def _field(name: str, at: int, raw: bytes, text: str, meaning: str, family: Family) -> Field:
    return Field(name, Span(at, at + len(raw)), raw, text, meaning, "WHATWG HTML §9.2.6", family)
