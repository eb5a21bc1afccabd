"""From the chunks of one connection to rows: where each head, frame, event and body begins and ends.

It is lenient: what breaks a rule is still shown, with a finding. Each direction is read by a small reader that knows
what stands there now; the answer to a request decides what follows.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple, Protocol

from lane_kernel.sides import Direction, Side
from lane_kernel.wire import rules
from lane_kernel.wire.eventstream import Block, EventStreamError, EventStreamParser
from lane_kernel.wire.frames import FrameHeader, Opcode, decode_header, judge_header
from lane_kernel.wire.handshake import is_upgrade
from lane_kernel.wire.http1 import ChunkedDecoder, ChunkError, Head, find_head_end, parse_head
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span

_MAX_HEAD = 256 * 1024
_START_LINE = re.compile(rb"[A-Z]{3,20} \S{1,8192} HTTP/1\.\d\r?\n|HTTP/1\.\d \d{3}[ \r\n]")


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


class _Reader(Protocol):
    """Reads one direction while one thing stands there."""

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        """Yield the rows that data completes."""

    def finish(self, at: int) -> Iterator[Row]:
        """Yield what is left when the direction ends."""


class ConnectionDissector:
    """Both directions of one connection, read together."""

    def __init__(self) -> None:
        """Begin before the first request."""
        self._readers: dict[Direction, _Reader] = {
            Direction.TO_SERVER: _HeadReader(Direction.TO_SERVER, self._request),
            Direction.TO_CLIENT: _HeadReader(Direction.TO_CLIENT, self._response),
        }
        self._ends = dict.fromkeys(Direction, 0)
        self._requests: deque[Head] = deque()
        # What a reader left for its successor. A queue, not a call within the call: one chunk may hold 3,000 requests.
        self._rest: deque[tuple[Direction, bytes, int]] = deque()

    def feed(self, direction: Direction, data: bytes, at: int) -> Iterator[Row]:
        """Read the next bytes of one direction.

        Args:
            direction: Which way they travelled.
            data: The bytes.
            at: Where they begin in that direction's stream; those that are passed over have been forgotten.
        """
        if not data:
            return
        if at > self._ends[direction]:
            yield from self._lose(direction, at)
        self._ends[direction] = at + len(data)
        self._rest.append((direction, data, at))
        while self._rest:
            way, rest, place = self._rest.popleft()
            if isinstance(self._readers[way], _LostReader):
                self._find_again(way, rest)
            yield from self._readers[way].feed(rest, place)

    def finish(self, ends: dict[Direction, int]) -> Iterator[Row]:
        """Say that the connection has ended, and yield what was cut short.

        Args:
            ends: How long each direction's stream is.
        """
        for direction, end in ends.items():
            if end > self._ends[direction]:
                yield from self._lose(direction, end)
                self._ends[direction] = end
            yield from self._readers[direction].finish(end)

    def _lose(self, way: Direction, at: int) -> Iterator[Row]:
        """Pass over forgotten bytes; only a frame that reaches over them is not lost with them."""
        reader, end = self._readers[way], self._ends[way]
        if isinstance(reader, _FrameReader) and reader.reaches(at):
            return
        yield from reader.finish(end)
        yield Row(Kind.BODY, way, end, at, f"{at - end:,} bytes, forgotten before they were read")
        self._readers[way] = _LostReader(way)
        held = self._readers[Direction.TO_SERVER]
        if way is Direction.TO_CLIENT and isinstance(held, _Held):
            self._switch(Direction.TO_SERVER, _LostReader(Direction.TO_SERVER), *held.take())

    def _find_again(self, way: Direction, data: bytes) -> None:
        """Go on where a chunk begins with a head, or is whole frames that break no rule."""
        if _START_LINE.match(data):
            self._readers[way] = _HeadReader(way, self._request if way is Direction.TO_SERVER else self._response)
        elif _are_frames(data, way.sender):
            self._readers[way] = _FrameReader(way, message_open=None)

    def _switch(self, direction: Direction, reader: _Reader, rest: bytes, at: int) -> None:
        self._readers[direction] = reader
        if rest:
            self._rest.append((direction, rest, at))

    def _request(self, head: Head, rest: bytes) -> Iterator[Row]:
        self._requests.append(head)
        way = Direction.TO_SERVER
        reader = _Held() if _asks_for_upgrade(head) else self._body(way, head, self._request, until_close=False)
        self._switch(way, reader, rest, head.span.stop)
        return iter(())

    def _response(self, head: Head, rest: bytes) -> Iterator[Row]:
        way, at = Direction.TO_CLIENT, head.span.stop
        if head.status == 101:
            yield from self._upgrade()
            self._switch(way, _FrameReader(way), rest, at)
            return
        if 100 <= head.status < 200:
            self._switch(way, _HeadReader(way, self._response), rest, at)
            return
        request = self._requests.popleft() if self._requests else None
        held = self._readers[Direction.TO_SERVER]
        if isinstance(held, _Held) and not any(map(_asks_for_upgrade, self._requests)):
            after = _HeadReader(Direction.TO_SERVER, self._request)
            self._switch(Direction.TO_SERVER, after, *held.take())
        bodiless = head.status in (204, 304) or (request is not None and request.method == "HEAD")
        reader = (
            _HeadReader(way, self._response) if bodiless else self._body(way, head, self._response, until_close=True)
        )
        self._switch(way, reader, rest, at)

    def _upgrade(self) -> Iterator[Row]:
        way = Direction.TO_SERVER
        reader = self._readers[way]
        if isinstance(reader, _FrameReader):
            return
        data, at = b"", self._ends[way]
        if isinstance(reader, _Held):
            data, at = reader.take()
        else:
            yield from reader.finish(at)
        self._switch(way, _FrameReader(way), data, at)

    def _body(self, way: Direction, head: Head, then: _Then, *, until_close: bool) -> _Reader:
        after = _HeadReader(way, then)
        is_events = (head.first("content-type") or "").split(";")[0].strip().lower() == "text/event-stream"
        content = _EventReader(way) if is_events else None
        length = (head.first("content-length") or "").strip()
        if "chunked" in (head.first("transfer-encoding") or "").lower():
            return _ChunkedReader(way, content, lambda rest, at: self._switch(way, after, rest, at))
        if length.isascii() and length.isdigit():
            size = int(length.lstrip("0")[:18] or "0")
            if not size:
                return after
            return _LengthReader(way, content, size, lambda rest, at: self._switch(way, after, rest, at))
        if not until_close:
            return after
        return content or _RawReader(way)


_Then = Callable[[Head, bytes], Iterator[Row]]
_Next = Callable[[bytes, int], None]


def _asks_for_upgrade(head: Head) -> bool:
    return is_upgrade([(line.name, line.value) for line in head.headers])


def _are_frames(data: bytes, sender: Side) -> bool:
    position = 0
    while (header := decode_header(data, position)) is not None:
        if any(True for _ in judge_header(header, sender)):
            return False
        position += header.size + header.length
    return position == len(data)


class _HeadReader:
    def __init__(self, direction: Direction, then: _Then) -> None:
        self._direction = direction
        self._then = then
        self._pending = bytearray()
        self._at = 0

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        if not self._pending:
            self._at = at
        searched = len(self._pending)
        self._pending += data
        end = find_head_end(self._pending, searched)
        if end is None:
            if len(self._pending) > _MAX_HEAD:
                yield from self.finish(self._at + len(self._pending))
            return
        head = parse_head(bytes(self._pending[:end]), self._at)
        kind = Kind.REQUEST if self._direction is Direction.TO_SERVER else Kind.RESPONSE
        yield Row(kind, self._direction, self._at, self._at + end, _summary(head))
        rest = bytes(self._pending[end:])
        self._pending.clear()
        yield from self._then(head, rest)

    def finish(self, at: int) -> Iterator[Row]:
        if self._pending:
            yield Row(Kind.BODY, self._direction, self._at, at, "not a whole HTTP head")
            self._pending.clear()


def _summary(head: Head) -> str:
    return f"{head.status} {head.reason}" if head.is_response else f"{head.method} {head.target}"


class _Held:
    """Keeps what follows an upgrade's request until the answer says what it is."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        if not self._data:
            self._at = at
        self._data += data
        return iter(())

    def take(self) -> tuple[bytes, int]:
        return bytes(self._data), self._at

    def finish(self, at: int) -> Iterator[Row]:
        if self._data:
            yield Row(Kind.BODY, Direction.TO_SERVER, self._at, at, "sent before the upgrade was answered")
            self._data.clear()


class _FrameReader:
    """Finds frames; of a frame that is not whole yet it keeps only its header.

    Whether a message is unfinished is True, False, or None where nobody knows.
    """

    def __init__(self, direction: Direction, message_open: bool | None = False) -> None:
        self._direction = direction
        self._sender: Side = direction.sender
        self._pending = b""
        self._pending_at = 0
        self._open: tuple[int, int, FrameHeader] | None = None
        self._message_open = message_open
        self._closed = False

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        end = at + len(data)
        position = 0
        if self._open is not None:
            start, stop, opened = self._open
            if end < stop:
                return
            self._open = None
            yield self._row(start, stop, opened)
            position = stop - at
        elif self._pending:
            at = self._pending_at
            data = self._pending + data
            self._pending = b""
        while (header := decode_header(data, position)) is not None:
            start, stop = at + position, at + position + header.size + header.length
            if stop > end:
                self._open = (start, stop, header)
                return
            yield self._row(start, stop, header)
            position = stop - at
        self._pending, self._pending_at = data[position:], at + position

    def reaches(self, at: int) -> bool:
        """Whether an unfinished frame ends there or later."""
        return self._open is not None and self._open[1] >= at

    def finish(self, at: int) -> Iterator[Row]:
        if self._open is not None:
            start, _, header = self._open
            yield self._row(start, at, header)
            self._open = None
        elif self._pending:
            yield Row(Kind.BODY, self._direction, self._pending_at, at, "a frame header cut short")
            self._pending = b""

    def _row(self, start: int, stop: int, header: FrameHeader) -> Row:
        span = Span(start, start + header.size)
        found = [Finding(rule, span, text) for rule, text in judge_header(header, self._sender)]
        if self._closed:
            found.append(Finding(rules.DATA_AFTER_CLOSE, span, "a frame after a Close"))
        if header.opcode < 8:
            if header.opcode == Opcode.CONTINUATION and self._message_open is False:
                found.append(Finding(rules.UNEXPECTED_CONTINUATION, span, "a continuation frame outside a message"))
            if header.opcode != Opcode.CONTINUATION and self._message_open:
                found.append(Finding(rules.DATA_INSIDE_MESSAGE, span, "a new message inside an unfinished one"))
            self._message_open = not header.fin
        self._closed = self._closed or header.opcode == Opcode.CLOSE
        return Row(Kind.FRAME, self._direction, start, stop, None, tuple(found))


class _EventReader:
    def __init__(self, direction: Direction) -> None:
        self._direction = direction
        self._parser = EventStreamParser()
        self._raw: _RawReader | None = None
        self._last = b""

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        if self._raw is not None:
            yield from self._raw.feed(data, at)
            return
        self._last = data
        try:
            yield from self._rows(self._parser.feed(data, at))
        except EventStreamError as error:
            yield from self._rows(error.blocks)
            yield from self._unfinished(str(error))
            self._raw = _RawReader(self._direction)

    def finish(self, at: int) -> Iterator[Row]:  # noqa: ARG002 - a reader's signature; a chunked body's framing may follow
        if self._raw is not None:
            return
        span = self._parser.unfinished
        is_line_feed = span is not None and len(span) == 1 and self._last == b"\n"
        yield from self._unfinished(
            "the LF of the last CR LF" if is_line_feed else "an event without its empty line: not dispatched"
        )
        self._raw = _RawReader(self._direction)

    def _rows(self, blocks: Iterable[Block]) -> Iterator[Row]:
        for block in blocks:
            kind = Kind.COMMENT if block.event is None else Kind.EVENT
            yield Row(kind, self._direction, block.span.start, block.span.stop, block)

    def _unfinished(self, text: str) -> Iterator[Row]:
        if (span := self._parser.unfinished) is not None:
            yield Row(Kind.BODY, self._direction, span.start, span.stop, text)


class _RawReader:
    """A body that lasts until the connection ends: a row for each chunk."""

    text = "body"

    def __init__(self, direction: Direction) -> None:
        self._direction = direction

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        yield Row(Kind.BODY, self._direction, at, at + len(data), self.text)

    def finish(self, at: int) -> Iterator[Row]:  # noqa: ARG002 - a reader's signature; each chunk was a row already
        return iter(())


class _LostReader(_RawReader):
    """What follows forgotten bytes, until something shows again what it is."""

    text = "bytes after forgotten ones"


class _LengthReader:
    """A body with a Content-Length: one row, or an event stream's rows."""

    def __init__(self, direction: Direction, content: _EventReader | None, length: int, then: _Next) -> None:
        self._direction = direction
        self._content = content
        self._left = length
        self._start = -1
        self._then = then

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
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
        if self._content is not None:
            yield from self._content.finish(at)
        elif 0 <= self._start < at:
            yield Row(Kind.BODY, self._direction, self._start, at, f"body, {self._left:,} bytes short")


class _ChunkedReader:
    """A chunked body: one row, or an event stream's rows."""

    def __init__(self, direction: Direction, content: _EventReader | None, then: _Next) -> None:
        self._direction = direction
        self._content = content
        self._decoder = ChunkedDecoder()
        self._start = -1
        self._broken = False
        self._then = then

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        if self._start < 0:
            self._start = at
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
                yield from self._content.finish(at)
                start = at if not error.pieces else error.pieces[-1][0] + len(error.pieces[-1][1])
            yield Row(Kind.BODY, self._direction, start, at + len(data), str(error))
            return
        if not self._decoder.is_finished:
            return
        stop = at + self._decoder.consumed
        if self._content is None:
            yield Row(Kind.BODY, self._direction, self._start, stop, "chunked body")
        else:
            yield from self._content.finish(stop)
        self._then(data[self._decoder.consumed :], stop)

    def _events(self, pieces: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
        if self._content is not None:
            for place, piece in pieces:
                yield from self._content.feed(piece, place)

    def finish(self, at: int) -> Iterator[Row]:
        if self._content is not None:
            yield from self._content.finish(at)
        elif not self._broken and 0 <= self._start < at:
            yield Row(Kind.BODY, self._direction, self._start, at, "chunked body, cut short")
