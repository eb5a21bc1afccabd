"""From the chunks of one connection to rows: where each head, frame, event and body begins and ends.

It is lenient: what breaks a rule is still shown, with a finding. Each direction is read by a small reader that knows
what stands there now; the answer to a request decides what follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple, Protocol

from lane_kernel.sides import Direction, Side
from lane_kernel.wire import rules
from lane_kernel.wire.eventstream import EventStreamError, EventStreamParser
from lane_kernel.wire.frames import FrameHeader, Opcode, decode_header, judge_header
from lane_kernel.wire.handshake import is_upgrade
from lane_kernel.wire.http1 import ChunkedDecoder, ChunkError, Head, find_head_end, parse_head
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span

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
        self._requests: deque[Head] = deque()

    def feed(self, direction: Direction, data: bytes, at: int) -> Iterator[Row]:
        """Read the next bytes of one direction.

        Args:
            direction: Which way they travelled.
            data: The bytes.
            at: Where they begin in that direction's stream.
        """
        yield from self._readers[direction].feed(data, at)

    def finish(self, ends: dict[Direction, int]) -> Iterator[Row]:
        """Say that the connection has ended, and yield what was cut short.

        Args:
            ends: How long each direction's stream is.
        """
        for direction, reader in self._readers.items():
            yield from reader.finish(ends[direction])

    def _switch(self, direction: Direction, reader: _Reader, rest: bytes, at: int) -> Iterator[Row]:
        self._readers[direction] = reader
        if rest:
            yield from reader.feed(rest, at)

    def _request(self, head: Head, rest: bytes) -> Iterator[Row]:
        self._requests.append(head)
        way, at = Direction.TO_SERVER, head.span.stop
        if is_upgrade([(line.name, line.value) for line in head.headers]):
            yield from self._switch(way, _Held(), rest, at)
        else:
            yield from self._switch(way, self._body(way, head, self._request, until_close=False), rest, at)

    def _response(self, head: Head, rest: bytes) -> Iterator[Row]:
        way, at = Direction.TO_CLIENT, head.span.stop
        if head.status == 101:
            yield from self._upgrade()
            yield from self._switch(way, _FrameReader(way), rest, at)
            return
        if 100 <= head.status < 200:
            yield from self._switch(way, _HeadReader(way, self._response), rest, at)
            return
        request = self._requests.popleft() if self._requests else None
        yield from self._refuse_upgrade()
        bodiless = head.status in (204, 304) or (request is not None and request.method == "HEAD")
        reader = (
            _HeadReader(way, self._response) if bodiless else self._body(way, head, self._response, until_close=True)
        )
        yield from self._switch(way, reader, rest, at)

    def _upgrade(self) -> Iterator[Row]:
        held = self._readers[Direction.TO_SERVER]
        data, at = held.take() if isinstance(held, _Held) else (b"", 0)
        yield from self._switch(Direction.TO_SERVER, _FrameReader(Direction.TO_SERVER), data, at)

    def _refuse_upgrade(self) -> Iterator[Row]:
        held = self._readers[Direction.TO_SERVER]
        if isinstance(held, _Held):
            data, at = held.take()
            yield from self._switch(Direction.TO_SERVER, _HeadReader(Direction.TO_SERVER, self._request), data, at)

    def _body(self, way: Direction, head: Head, then: _Then, *, until_close: bool) -> _Reader:
        after = _HeadReader(way, then)
        is_events = (head.first("content-type") or "").split(";")[0].strip().lower() == "text/event-stream"
        content = _EventReader(way) if is_events else None
        length = (head.first("content-length") or "").strip()
        if "chunked" in (head.first("transfer-encoding") or "").lower():
            return _ChunkedReader(way, content, lambda rest, at: self._switch(way, after, rest, at))
        if length.isascii() and length.isdigit():
            if int(length[:18]) == 0:
                return after
            return _LengthReader(way, content, int(length[:18]), lambda rest, at: self._switch(way, after, rest, at))
        if not until_close:
            return after
        return content or _RawReader(way)


_Then = Callable[[Head, bytes], Iterator[Row]]
_Next = Callable[[bytes, int], Iterator[Row]]


class _HeadReader:
    def __init__(self, direction: Direction, then: _Then) -> None:
        self._direction = direction
        self._then = then
        self._pending = b""
        self._at = 0

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        if not self._pending:
            self._at = at
        self._pending += data
        end = find_head_end(self._pending)
        if end is None:
            if len(self._pending) > _MAX_HEAD:
                yield from self.finish(self._at + len(self._pending))
            return
        head = parse_head(self._pending[:end], self._at)
        kind = Kind.REQUEST if self._direction is Direction.TO_SERVER else Kind.RESPONSE
        yield Row(kind, self._direction, self._at, self._at + end, _summary(head))
        rest, self._pending = self._pending[end:], b""
        yield from self._then(head, rest)

    def finish(self, at: int) -> Iterator[Row]:
        if self._pending:
            yield Row(Kind.BODY, self._direction, self._at, at, "not a whole HTTP head")
            self._pending = b""


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


class _FrameReader:
    """Finds frames; of a frame that is not whole yet it keeps only its header."""

    def __init__(self, direction: Direction) -> None:
        self._direction = direction
        self._sender: Side = direction.sender
        self._pending = b""
        self._pending_at = 0
        self._open: tuple[int, int, FrameHeader] | None = None
        self._message_open = False
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
            if header.opcode == Opcode.CONTINUATION and not self._message_open:
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
        self._after = -1

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        if self._after < 0:
            self._after = at
        if self._raw is not None:
            yield from self._raw.feed(data, at)
            return
        try:
            blocks = self._parser.feed(data, at)
        except EventStreamError as error:
            self._raw = _RawReader(self._direction)
            yield Row(Kind.BODY, self._direction, at, at + len(data), str(error))
            return
        for block in blocks:
            kind = Kind.COMMENT if block.event is None else Kind.EVENT
            self._after = block.span.stop
            yield Row(kind, self._direction, block.span.start, block.span.stop, block)

    def finish(self, at: int) -> Iterator[Row]:
        if self._raw is None and 0 <= self._after < at:
            yield Row(Kind.BODY, self._direction, self._after, at, "an event without its empty line: not dispatched")


class _RawReader:
    """A body that lasts until the connection ends: a row for each chunk."""

    def __init__(self, direction: Direction) -> None:
        self._direction = direction

    def feed(self, data: bytes, at: int) -> Iterator[Row]:
        yield Row(Kind.BODY, self._direction, at, at + len(data), "body")

    def finish(self, at: int) -> Iterator[Row]:  # noqa: ARG002 - a reader's signature; each chunk was a row already
        return iter(())


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
        yield from self._then(rest, stop)

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
            pieces = self._decoder.feed(data, at)
        except ChunkError as error:
            self._broken = True
            yield Row(Kind.BODY, self._direction, at, at + len(data), str(error))
            return
        if self._content is not None:
            for place, piece in pieces:
                yield from self._content.feed(piece, place)
        if not self._decoder.is_finished:
            return
        stop = at + self._decoder.consumed
        if self._content is None:
            yield Row(Kind.BODY, self._direction, self._start, stop, "chunked body")
        yield from self._then(data[self._decoder.consumed :], stop)

    def finish(self, at: int) -> Iterator[Row]:
        if self._content is None and not self._broken and 0 <= self._start < at:
            yield Row(Kind.BODY, self._direction, self._start, at, "chunked body, cut short")
