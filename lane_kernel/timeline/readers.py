"""Small readers, each of which knows what stands in one direction now: heads, frames, bodies, event streams.

They are lenient: what breaks a rule is still shown, with a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple, Protocol

from lane_kernel.sides import Direction, Side
from lane_kernel.timeline.conversation import Conversation
from lane_kernel.wire import rules
from lane_kernel.wire.eventstream import Block, EventStreamError, EventStreamParser
from lane_kernel.wire.frames import FrameHeader, decode_header, quick_heads
from lane_kernel.wire.heads import judge_head
from lane_kernel.wire.http1 import ChunkedDecoder, ChunkError, Head, find_head_end, parse_head
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span

CHUNKED, CUT_CHUNKED, FRAMING = "chunked body", "chunked body, cut short", "chunk framing"
"""What rows of chunked bodies are called."""

_MAX_HEAD = 256 * 1024


class Kind(IntEnum):
    """What a row is, as the timeline's column holds it."""

    CONNECTION = 0
    REQUEST = 1
    RESPONSE = 2
    BODY = 3
    FRAME = 4
    EVENT = 5
    COMMENT = 6
    LOG = 7
    CLOSE = 8
    BLOCKED = 9
    FAULT = 10


class Row(NamedTuple):
    """One thing found in one direction of a connection.

    Attributes:
        kind: What it is.
        direction: Which way it travelled.
        start: Its first byte.
        stop: One past its last byte.
        detail: What cannot be had again from the bytes alone, or None.
        findings: What is wrong with it at first sight.
    """

    kind: Kind
    direction: Direction
    start: int
    stop: int
    detail: object = None
    findings: tuple[Finding, ...] = ()


class Reader(Protocol):
    """Reads one direction while one thing stands there."""

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        """Yield the rows that data completes."""

    def finish(self, at: int) -> Iterator[Row]:
        """Yield what is left when the direction ends."""


class Unfinished(NamedTuple):
    """What an event stream ends with that no empty line has ended.

    Attributes:
        text: What it is, in a few words.
        block: Where it stands.
    """

    text: str
    block: Block


Then = Callable[[Head, bytes], Iterator[Row]]
"""Told of a head and of the bytes after it; decides what stands there."""

Next = Callable[[bytes, int], None]
"""Told of the bytes after a body, and of where they begin."""

Judge = Callable[[Head], Iterable[Finding]]
"""Says what is wrong with a head where it stands in the conversation."""


class HeadReader:
    """Reads one head, and hands over to what follows it."""

    def __init__(self, direction: Direction, judge: Judge, then: Then) -> None:
        """Begin before a head.

        Args:
            direction: Which way it travels.
            judge: Says what is wrong with it where it stands.
            then: Decides what follows.
        """
        self._direction = direction
        self._judge = judge
        self._then = then
        self._pending = bytearray()
        self._at = 0

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        """Yield the rows that data completes."""
        if not self._pending:
            self._at = at
        searched = len(self._pending)
        self._pending += data
        end = find_head_end(self._pending, searched)
        if end is None:
            if len(self._pending) > _MAX_HEAD:
                yield from self.finish(self._at + len(self._pending))
            return
        raw = bytes(self._pending[:end])
        head = parse_head(raw, self._at)
        is_response = self._direction is Direction.TO_CLIENT
        found = (*judge_head(raw, head, is_response=is_response), *self._judge(head))
        kind = Kind.RESPONSE if is_response else Kind.REQUEST
        yield Row(kind, self._direction, self._at, self._at + end, _summary(head), found)
        rest = bytes(self._pending[end:])
        self._pending.clear()
        yield from self._then(head, rest)

    def finish(self, at: int) -> Iterator[Row]:
        """Yield what is left when the direction ends."""
        if self._pending:
            yield Row(Kind.BODY, self._direction, self._at, at, "not a whole HTTP head")
            self._pending.clear()


def _summary(head: Head) -> str:
    return f"{head.status} {head.reason}" if head.is_response else f"{head.method} {head.target}"


class Held:
    """Keeps what follows an upgrade's request until the answer says what it is."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._data = bytearray()
        self._at = 0

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        """Yield the rows that data completes."""
        if not self._data:
            self._at = at
        self._data += data
        return iter(())

    def take(self) -> tuple[bytes, int]:
        """Give what was kept, and where it begins."""
        return bytes(self._data), self._at

    def finish(self, at: int) -> Iterator[Row]:
        """Yield what is left when the direction ends."""
        if self._data:
            yield Row(Kind.BODY, Direction.TO_SERVER, self._at, at, "sent before the upgrade was answered")
            self._data.clear()


class FrameReader:
    """Finds frames; of a frame that is not whole yet it keeps only its header.

    Whether a message is unfinished is True, False, or None where nobody knows.
    """

    def __init__(
        self, direction: Direction, conversation: Conversation, message_open: bool | None = False, early: int = 0
    ) -> None:
        """Begin between two frames.

        Args:
            direction: Which way they travel.
            conversation: Judges them together with the other direction's.
            message_open: Whether a message is unfinished.
            early: Up to where the client sent before its handshake was answered.
        """
        self._direction = direction
        self._conversation = conversation
        self._pending = b""
        self._pending_at = 0
        self._open: tuple[int, int, FrameHeader] | None = None
        self._message_open = message_open
        self._wants = False
        self._early = early
        self._heads = quick_heads(direction.sender)
        self._head_size = 6 if direction.sender is Side.CLIENT else 2

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        """Yield the frames that data completes."""
        end = at + len(data)
        position = 0
        if self._open is not None:
            start, stop, opened = self._open
            position = min(stop, end) - at
            self._take(opened, start, data[:position])
            if end < stop:
                return
            self._open = None
            yield self._row(start, stop, opened)
        elif self._pending:
            at = self._pending_at
            data = self._pending + data
            self._pending = b""
        while True:
            rows, position = self._short_messages(data, position, at)
            yield from rows
            header = decode_header(data, position)
            if header is None:
                break
            start, stop = at + position, at + position + header.size + header.length
            self._begin(header, start)
            self._take(header, start, data[position + header.size : stop - at])
            if stop > end:
                self._open = (start, stop, header)
                return
            yield self._row(start, stop, header)
            position = stop - at
        self._pending, self._pending_at = data[position:], at + position

    def _short_messages(self, data: bytes, position: int, at: int) -> tuple[list[Row], int]:
        """Take the whole short messages that break no rule, which are nearly all there is; the others go the long way.

        Returns:
            Their rows, and where the first byte stands in data that was not taken.
        """
        way, conversation = self._direction, self._conversation
        rows: list[Row] = []
        if self._message_open is not False or not conversation.is_plain(way) or at + position < self._early:
            return rows, position
        heads, key = self._heads, conversation.last_key(way)
        size, head_size = len(data), self._head_size
        last = size - head_size
        while position <= last:
            length = heads[data[position] << 8 | data[position + 1]]
            stop = position + head_size + length
            if length > 125 or stop > size:
                break
            if head_size > 2:
                fresh = data[position + 2 : position + 6]
                if fresh == key:
                    break
                key = fresh
            rows.append(Row(Kind.FRAME, way, at + position, at + stop))
            position = stop
        conversation.note_key(way, key)
        return rows, position

    def reaches(self, at: int) -> bool:
        """Whether an unfinished frame ends there or later, and nobody asks for its bytes."""
        return self._open is not None and self._open[1] >= at and not self._wants

    def finish(self, at: int) -> Iterator[Row]:
        """Yield the frame that was cut short."""
        if self._open is not None:
            start, _, header = self._open
            yield self._row(start, at, header)
            self._open = None
        elif self._pending:
            yield Row(Kind.BODY, self._direction, self._pending_at, at, "a frame header cut short")
            self._pending = b""

    def _begin(self, header: FrameHeader, start: int) -> None:
        self._wants = self._conversation.begin(self._direction, header, start, message_open=self._message_open)
        if header.opcode < 8:
            self._message_open = not header.fin

    def _take(self, header: FrameHeader, start: int, data: bytes) -> None:
        if self._wants:
            self._conversation.feed(self._direction, header, start + header.size, data)

    def _row(self, start: int, stop: int, header: FrameHeader) -> Row:
        found = self._conversation.finish(self._direction, header, Span(start, stop))
        if start < self._early:
            span = Span(start, min(stop, self._early))
            found += (Finding(rules.FRAME_BEFORE_ANSWER, span, "sent before the handshake was answered"),)
        # What RSV1 means is known here, and asked again when someone looks at the frame.
        detail = self._conversation.rsv_allowed if header.rsv else None
        return Row(Kind.FRAME, self._direction, start, stop, detail, found)


class EventReader:
    """Reads an event stream: a row for each event, and for each block that has none."""

    def __init__(self, direction: Direction) -> None:
        """Begin at the first byte of a body."""
        self._direction = direction
        self._parser = EventStreamParser()
        self._raw: RawReader | None = None
        self._last = b""

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        """Yield the rows that data completes."""
        if self._raw is not None:
            yield from self._raw.feed(data, at)
            return
        self._last = data
        try:
            yield from self._rows(self._parser.feed(data, at))
        except EventStreamError as error:
            yield from self._rows(error.blocks)
            yield from self._unfinished(str(error), error.finding)
            self._raw = RawReader(self._direction)

    def finish(self, at: int) -> Iterator[Row]:  # noqa: ARG002 - a reader's signature; a chunked body's framing may follow
        """Yield what is left when the direction ends."""
        if self._raw is not None:
            return
        span = self._parser.unfinished
        is_line_feed = span is not None and len(span) == 1 and self._last == b"\n"
        yield from self._unfinished(
            "the LF of the last CR LF" if is_line_feed else "an event without its empty line: not dispatched"
        )
        self._raw = RawReader(self._direction)

    def _rows(self, blocks: Iterable[Block]) -> Iterator[Row]:
        for block in blocks:
            kind = Kind.COMMENT if block.data is None else Kind.EVENT
            yield Row(kind, self._direction, block.start, block.stop, block)

    def _unfinished(self, text: str, finding: Finding | None = None) -> Iterator[Row]:
        if (block := self._parser.unfinished_block) is not None:
            found = () if finding is None else (finding,)
            yield Row(Kind.BODY, self._direction, block.start, block.stop, Unfinished(text, block), found)


class RawReader:
    """A body that lasts until the connection ends: a row for each chunk."""

    text = "body"

    def __init__(self, direction: Direction) -> None:
        """Begin anywhere."""
        self._direction = direction

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        """Yield the rows that data completes."""
        yield Row(Kind.BODY, self._direction, at, at + len(data), self.text)

    def finish(self, at: int) -> Iterator[Row]:  # noqa: ARG002 - a reader's signature; each chunk was a row already
        """Yield what is left when the direction ends."""
        return iter(())


class LostReader(RawReader):
    """What follows forgotten bytes, until something shows again what it is."""

    text = "bytes after forgotten ones"


class LengthReader:
    """A body with a Content-Length: one row, or an event stream's rows."""

    def __init__(self, direction: Direction, content: EventReader | None, length: int, then: Next) -> None:
        """Begin at the first byte of a body; `then` is told what follows it."""
        self._direction = direction
        self._content = content
        self._left = length
        self._start = -1
        self._then = then

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        """Yield the rows that data completes."""
        if self._start < 0:
            self._start = at
        mine, rest = data[: self._left], data[self._left :]
        self._left -= len(mine)
        stop = at + len(mine)
        if self._content is not None:
            yield from self._content.feed(mine, at)
        if self._left:
            return
        if self._content is None:
            yield Row(Kind.BODY, self._direction, self._start, stop, "body")
        else:
            yield from self._content.finish(stop)
        self._then(rest, stop)

    def finish(self, at: int) -> Iterator[Row]:
        """Yield what is left when the direction ends."""
        if self._content is not None:
            yield from self._content.finish(at)
        elif 0 <= self._start < at:
            text = f"body, {self._left:,} bytes short"
            found = Finding(rules.BODY_SHORT, Span(self._start, at), text)
            yield Row(Kind.BODY, self._direction, self._start, at, text, (found,))


class ChunkedReader:
    """A chunked body: one row, or an event stream's rows."""

    def __init__(self, direction: Direction, content: EventReader | None, then: Next) -> None:
        """Begin at the first byte of a body; `then` is told what follows it."""
        self._direction = direction
        self._content = content
        self._decoder = ChunkedDecoder()
        self._start = -1
        self._told = -1
        self._broken = False
        self._then = then

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        """Yield the rows that data completes."""
        if self._start < 0:
            self._start = self._told = at
        if self._broken:
            yield Row(Kind.BODY, self._direction, at, at + len(data), "after a broken chunk")
            return
        try:
            yield from self._events(self._decoder.feed(data, at))
        except ChunkError as error:
            self._broken = True
            yield from self._events(error.pieces)
            start = self._start
            if self._content is not None:
                yield from self._with_framing(self._content.finish(at))
                start = self._told
            found = Finding(rules.CHUNK_MALFORMED, Span(start, at + len(data)), str(error))
            yield Row(Kind.BODY, self._direction, start, at + len(data), str(error), (found,))
            return
        if not self._decoder.is_finished:
            return
        stop = at + self._decoder.consumed
        if self._content is None:
            yield Row(Kind.BODY, self._direction, self._start, stop, CHUNKED)
        else:
            yield from self._with_framing(self._content.finish(stop))
            yield from self._framing(stop)
        self._then(data[self._decoder.consumed :], stop)

    def _events(self, pieces: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
        if self._content is not None:
            for place, piece in pieces:
                yield from self._with_framing(self._content.feed(piece, place))

    def _with_framing(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows of an event stream, and before each the framing between the chunks that it does not hold."""
        for row in rows:
            yield from self._framing(row.start)
            self._told = row.stop
            yield row

    def _framing(self, stop: int) -> Iterator[Row]:
        if stop > self._told:
            yield Row(Kind.BODY, self._direction, self._told, stop, FRAMING)
            self._told = stop

    def finish(self, at: int) -> Iterator[Row]:
        """Yield what is left when the direction ends."""
        if self._content is not None:
            yield from self._with_framing(self._content.finish(at))
            if self._start >= 0 and not self._broken:
                yield from self._framing(at)
        elif not self._broken and 0 <= self._start < at:
            found = Finding(rules.BODY_SHORT, Span(self._start, at), "a chunked body without its last chunk")
            yield Row(Kind.BODY, self._direction, self._start, at, CUT_CHUNKED, (found,))
