"""The event stream: bytes to events, events to bytes, and the name of every byte.

Source: WHATWG HTML §9.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lane_kernel.errors import LaneError
from lane_kernel.wire.http1 import visible
from lane_kernel.wire.spans import Family, Field, Span

MAX_EVENT = 1024 * 1024
"""Default bound on one event, and so on one line, in bytes."""

_MAX_DIGITS = 15
"""Digits of a reconnection time that are read; more stand for 10 to that power, over 30,000 years."""
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_MEANINGS = {
    "data": "added to the data buffer, with a line break",
    "event": "sets the event's type",
    "id": "sets the last event ID",
    "retry": "sets the reconnection time, in milliseconds",
}


class EventStreamError(LaneError):
    """An event stream cannot be written as asked, or is over a bound.

    Attributes:
        blocks: What the same bytes gave before they went over the bound.
    """

    def __init__(self, text: str, blocks: tuple[Block, ...] = ()) -> None:
        super().__init__(text)
        self.blocks = blocks


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

    An event is dispatched at the CR of an empty line, without waiting to see whether an LF follows; such an LF, where
    it comes with the next bytes, belongs to the next block.

    Attributes:
        span: From the block's first byte to the end of its empty line.
        event: What was dispatched, or None where the block has no data.
        comments: Its comments.
        retry: The reconnection time it set, in milliseconds, or None.
        lead: How many bytes stand before its first line: 3 of a byte order mark, 1 of an LF that ends the block before.
        holes: Bytes in its span that are not the stream's, such as the framing between the chunks of a chunked body.
    """

    span: Span
    event: Event | None
    comments: tuple[str, ...] = ()
    retry: int | None = None
    lead: int = 0
    holes: tuple[Span, ...] = ()


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
        self._pending = bytearray()
        self._position = 0
        self._at_start = True
        self._after_cr = False
        self._begin_block(None)

    @property
    def unfinished(self) -> Span | None:
        """The bytes after the last block that ended, or None where there are none."""
        return None if self._block_at is None else Span(self._block_at, self._position)

    def _begin_block(self, at: int | None) -> None:
        self._block_at = at
        self._block_size = 0
        self._lead = 0
        self._holes: list[Span] = []
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
        blocks: list[Block] = []
        if data:
            at = self._position if offset is None else offset
            is_new = self._block_at is None
            if is_new:
                self._block_at = at
            elif at > self._position:
                self._holes.append(Span(self._position, at))
            self._position = at + len(data)
            try:
                self._feed(data, at, blocks, is_new=is_new)
            except EventStreamError as error:
                error.blocks = tuple(blocks)
                raise
        return blocks

    def _feed(self, data: bytes, at: int, blocks: list[Block], *, is_new: bool) -> None:
        if self._pending and not self._at_start and _LINE_END.search(data) is None:
            self._pending += data
            self._check_size(len(self._pending))
            return
        seam = len(self._pending)
        buffer = bytes(self._pending) + data
        start = 0
        if self._at_start:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._pending += data
                return
            self._at_start = False
            self._lead = start = len(_BOM) if buffer.startswith(_BOM) else 0
        elif self._after_cr and buffer[0] == 0x0A:
            start = 1
            self._lead = int(is_new)
        self._after_cr = False
        for match in _LINE_END.finditer(buffer, max(start, seam)):
            line = buffer[start : match.start()]
            start = match.end()
            if line:
                self._check_size(len(line))
                self._block_size += len(line)
                self._take_line(line)
            else:
                blocks.append(self._end_block(at + start - seam, is_last=start == len(buffer)))
        self._after_cr = start == len(buffer) and buffer[-1] == 0x0D
        self._pending = bytearray(buffer[start:])
        self._check_size(len(self._pending))

    def _check_size(self, more: int) -> None:
        if self._block_size + more > self._max_event:
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
            digits = value.lstrip("0")
            self._block_retry = self.retry = int(digits or "0") if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS

    def _end_block(self, stop: int, *, is_last: bool) -> Block:
        self.last_event_id = self._id_buffer
        event = Event(self._type or "message", "\n".join(self._data), self.last_event_id) if self._data else None
        at = stop if self._block_at is None else self._block_at
        span, comments, holes = Span(at, stop), tuple(self._comments), tuple(self._holes)
        block = Block(span, event, comments, self._block_retry, self._lead, holes)
        self._begin_block(None if is_last else stop)
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
        EventStreamError: A line break or NUL in the type or the ID, a negative time, or a lone surrogate anywhere.

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
    try:
        return "".join(f"{line}\n" for line in (*lines, "")).encode()
    except UnicodeEncodeError as error:
        raise EventStreamError(
            f"an event stream is UTF-8, which has no {error.object[error.start]!r}, half of a surrogate pair"
        ) from error


def _split_lines(text: str) -> list[str]:
    return re.split(r"\r\n|\n|\r", text)


def _one_line(what: str, value: str) -> str:
    if any(character in value for character in "\r\n\0"):
        raise EventStreamError(
            f"an {what} has no line break and no NUL, {value!r} has: a reader would see another field"
        )
    return value


def describe_block(data: bytes, block: Block) -> tuple[Field, ...]:
    """Name every byte of a block; the fields' spans tile it without gap or overlap.

    A field that a hole cuts is two fields with the same value.

    Args:
        data: The bytes of the block's span, those of its holes included.
        block: The block.
    """
    at, stop = block.span.start, block.span.stop
    if not block.holes:
        return describe_event_stream(data, at, block.lead)
    edges = [at, *(edge for hole in block.holes for edge in (hole.start, hole.stop)), stop]
    pieces = [Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)]
    whole = describe_event_stream(b"".join(data[p.start - at : p.stop - at] for p in pieces), 0, block.lead)
    fields: list[Field] = []
    done = 0
    for piece, hole in zip(pieces, (*block.holes, None), strict=True):
        shift = piece.start - done
        for field in whole:
            span = Span(max(field.span.start, done) + shift, min(field.span.stop, done + len(piece)) + shift)
            if span.start < span.stop:
                fields.append(replace(field, span=span))
        done += len(piece)
        if hole is not None:
            raw = data[hole.start - at : hole.stop - at]
            meaning = "stands between two chunks of the body, no part of the event stream"
            text = visible(raw)
            fields.append(Field("chunk framing", hole, raw, text, meaning, "RFC 9112 §7.1", Family.DELIMITER))
    return tuple(fields)


def describe_event_stream(data: bytes, offset: int = 0, lead: int | None = None) -> tuple[Field, ...]:
    """Name every byte of some lines of an event stream; the fields' spans tile them without gap or overlap.

    Args:
        data: Whole lines.
        offset: Where they begin in their direction's stream.
        lead: How many bytes stand before the first line, as `Block.lead` says; where it is left out, a byte order mark
            is taken for one.
    """
    fields: list[Field] = []
    start = lead if lead is not None else len(_BOM) if data.startswith(_BOM) else 0
    if start == 1:
        meaning = "the LF of the CR LF that ends the line before"
        fields.append(_field("end of line", offset, data[:1], visible(data[:1]), meaning, Family.DELIMITER))
    elif start:
        fields.append(_field("BOM", offset, data[:3], "ef bb bf", "byte order mark, skipped", Family.DELIMITER))
    while start < len(data):
        match = _LINE_END.search(data, start)
        stop, after = (len(data), len(data)) if match is None else (match.start(), match.end())
        fields.extend(_describe_line(data[start:stop], offset + start))
        if after > stop:
            fields.append(_line_end(data[stop:after], offset + stop, is_empty=stop == start))
        start = after
    return tuple(fields)


def _describe_line(line: bytes, at: int) -> list[Field]:
    if not line:
        return []
    name, colon, rest = line.partition(b":")
    text = name.decode(errors="replace")
    value = rest.removeprefix(b" ")
    value_at = at + len(line) - len(value)
    fields: list[Field] = []
    shown = value.decode(errors="replace")
    if name:
        meaning, label = _MEANINGS.get(text, "an unknown field, ignored"), text
        fields.append(_field("field name", at, name, text, "", Family.EVENT_NAME))
    else:
        meaning, label = "a comment, ignored", "comment"
    if colon:
        separator = line[len(name) : len(line) - len(value)]
        said = ["" if name else "begins a comment", "one space after it is removed" if len(separator) > 1 else ""]
        shown_colon, family = visible(separator), Family.DELIMITER if name else Family.EVENT_NAME
        fields.append(_field("colon", at + len(name), separator, shown_colon, "; ".join(filter(None, said)), family))
    if value:
        fields.append(_field(label, value_at, value, shown, meaning, Family.EVENT_VALUE))
    return fields


def _line_end(raw: bytes, at: int, *, is_empty: bool) -> Field:
    meaning = "an empty line: dispatches the event" if is_empty else "ends the line"
    return _field("end of line", at, raw, visible(raw), meaning, Family.DELIMITER)


def _field(name: str, at: int, raw: bytes, text: str, meaning: str, family: Family) -> Field:
    return Field(name, Span(at, at + len(raw)), raw, text, meaning, "WHATWG HTML §9.2.6", family)
