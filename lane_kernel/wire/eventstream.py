"""The event stream: bytes to events, and events to bytes.

What each byte is, is said by `eventstream_fields`; what the reader does, step by step, by `eventstream_steps`; what is
wrong, by `eventstream_findings`. What a line means is laid down once for all of them, in `eventstream_lines`.

Source: WHATWG HTML §9.2.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from lane_kernel.errors import LaneError
from lane_kernel.wire.eventstream_lines import BOM, LINE_END, MAX_RETRY, Effect, read_line, read_retry
from lane_kernel.wire.rules import EVENT_TOO_BIG, Finding
from lane_kernel.wire.spans import Span

MAX_EVENT = 1024 * 1024
"""Default bound on the lines of one event, and so on one line, in bytes."""


class EventStreamError(LaneError):
    """An event stream cannot be written as asked, or is over a bound.

    Attributes:
        blocks: What the same bytes gave before they went over the bound.
        finding: Which bytes went over the bound; None where nothing was read.
    """

    def __init__(self, text: str, blocks: tuple[Block, ...] = (), finding: Finding | None = None) -> None:
        super().__init__(text)
        self.blocks = blocks
        self.finding = finding


class Event(NamedTuple):
    """A dispatched event.

    Attributes:
        type: The event's type, "message" unless the stream named another.
        data: Its data, lines joined by line feeds.
        last_event_id: The last event ID at its dispatch.
    """

    type: str
    data: str
    last_event_id: str


class Block(NamedTuple):
    """The lines up to and with an empty line, and the event that they are, if they are one.

    One flat value: a reader makes one for each event, and making two would double its work.

    An event is dispatched at the CR of an empty line, without waiting to see whether an LF follows; such an LF, where
    it comes with the next bytes, belongs to the next block.

    Attributes:
        start: The block's first byte.
        stop: One past the last byte of its empty line.
        type: The event's type; where nothing is dispatched, the type that the block set, or "".
        data: The event's data, or None where the block has none and so dispatches nothing.
        last_event_id: The last event ID at the block's end.
        retry: The reconnection time it set, in milliseconds, or None.
        comments: Its comments.
        lead: How many bytes stand before its first line: 3 of a byte order mark, 1 of an LF that ends the block before.
        holes: Bytes in its span that are not the stream's, such as the framing between the chunks of a chunked body.
    """

    start: int
    stop: int
    type: str = ""
    data: str | None = None
    last_event_id: str = ""
    retry: int | None = None
    comments: tuple[str, ...] = ()
    lead: int = 0
    holes: tuple[Span, ...] = ()

    @property
    def span(self) -> Span:
        """From the block's first byte to the end of its empty line."""
        return Span(self.start, self.stop)

    @property
    def event(self) -> Event | None:
        """What was dispatched, or None where the block has no data."""
        return None if self.data is None else Event(self.type, self.data, self.last_event_id)


_SHAPES = re.compile(
    r"((?:event: ?+(.*)\n|id: ?+([^\n\0]+)\n)*data: ?+(.*(?:\ndata: .*)*)\n\n)"  # type and ID if any, then data
    r"|(\n|.(?s:.*?)\n\n)"  # or any other block
)
_new_block = tuple.__new__  # Block(…) would do the same in twice the time


def _size(text: str) -> int:
    """How many bytes the text was."""
    return len(text.encode())


def _size_with_cr(text: str) -> int:
    """How many bytes the text was where each of its lines ended with CR LF."""
    return len(text.encode()) + text.count("\n")


class EventStreamParser:
    """An incremental reader of an event stream.

    Chunks may end anywhere: in a line, in a character, between CR and LF.

    There is one reader of lines, `_take_lines`, that reads everything. Ahead of it goes a fast path for whole blocks of
    the common shapes, `_take_whole_blocks`: it hands each block that is not of these shapes to the reader of lines, and
    leaves to it the bytes that it cannot measure: wrong UTF-8, mixed line ends, blocks near a bound.

    Source: WHATWG HTML §9.2.6.

    Attributes:
        last_event_id: The last event ID, as a reconnection would send it.
        retry: The reconnection time in milliseconds, or None while the stream has not set it.
    """

    def __init__(self, last_event_id: str = "", max_event: int = MAX_EVENT, *, max_line: int | None = None) -> None:
        """Begin at the first byte of a response's body.

        Args:
            last_event_id: The last event ID kept from an earlier connection.
            max_event: The bound on the lines of one event in bytes, their ends not counted.
            max_line: The bound on one line in bytes; that of an event by default.
        """
        self.last_event_id = last_event_id
        self.retry: int | None = None
        self._max_event = max_event
        self._max_line = max_event if max_line is None else max_line
        self._id_buffer = last_event_id
        self._failure = ""
        self._pending = bytearray()  # a line that has not ended
        self._position = 0
        self._at_start = True
        self._after_cr = False
        self._begin_block(0)

    @property
    def unfinished(self) -> Span | None:
        """The bytes after the last block that ended, or None where there are none."""
        return None if self._block_at == self._position else Span(self._block_at, self._position)

    @property
    def unfinished_block(self) -> Block | None:
        """The same bytes as a block that has no event, to be described and judged; or None."""
        if self.unfinished is None:
            return None
        return Block(self._block_at, self._position, lead=self._lead, holes=tuple(self._holes))

    def _begin_block(self, at: int) -> None:
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
            EventStreamError: A line or an event is over its bound; nothing more can be read.
        """
        if self._failure:
            raise EventStreamError(self._failure)
        blocks: list[Block] = []
        if data:
            at = self._position if offset is None else offset
            if self._block_at == self._position:
                self._block_at = at
            elif at > self._position:
                self._holes.append(Span(self._position, at))
            self._position = at + len(data)
            try:
                self._read(data, at, blocks)
            except EventStreamError as error:
                self._failure = str(error)
                error.blocks = tuple(blocks)
                raise
        return blocks

    def _read(self, data: bytes, at: int, blocks: list[Block]) -> None:
        seam = len(self._pending)
        base = at - seam
        if seam and not self._at_start and LINE_END.search(data) is None:
            self._pending += data
            self._check_size(len(self._pending), base)
            return
        buffer = bytes(self._pending) + data if seam else data
        start = self._skip_lead(buffer, is_new=self._block_at == base)
        if self._at_start:
            self._pending += data
            return
        if self._block_at != base + start:
            start = self._take_lines(buffer, start, max(start, seam), base, blocks, is_one=True)
        while (stop := self._take_whole_blocks(buffer, start, base, blocks)) > start:
            start = stop
        start = self._take_lines(buffer, start, max(start, seam), base, blocks)
        self._after_cr = start == len(buffer) and buffer[-1] == 0x0D
        self._pending = bytearray(buffer[start:])
        self._check_size(len(self._pending), base + start)

    def _skip_lead(self, buffer: bytes, *, is_new: bool) -> int:
        """Where the first line begins: after a byte order mark, or the LF of a CR LF whose CR was read before."""
        if self._at_start:
            self._at_start = len(buffer) < len(BOM) and BOM.startswith(buffer)
            self._lead = len(BOM) if buffer.startswith(BOM) else 0
            return self._lead
        if self._after_cr and buffer[0] == 0x0A:
            self._lead = max(self._lead, int(is_new))
            return 1
        return 0

    def _take_whole_blocks(self, buffer: bytes, start: int, base: int, blocks: list[Block]) -> int:
        """Read whole blocks from the beginning of one, and answer where they end; where they cannot be, that is start.

        This is the hot path. A block is cheap where few steps of the interpreter are spent on it: one line of data
        takes the splitting of the text and the making of one tuple, a type and an ID take one match more. So the text
        is decoded and cut at once, and no part of it is longer than the bounds, which need no look at each block then.
        """
        line_feed = buffer.find(b"\n", start)
        end_of_line = b"\r\n" if line_feed > start and buffer[line_feed - 1] == 0x0D else b"\n"
        bound = min(self._max_event, self._max_line)
        last = buffer.rfind(end_of_line * 2, start, start + bound)
        if last < 0:
            return start
        end = last + 2 * len(end_of_line)
        try:
            text = str(memoryview(buffer)[start:end], "utf-8")
        except UnicodeDecodeError:
            return start
        size = size_of_lines = len if text.isascii() else _size
        if end_of_line == b"\r\n":
            long, text = text, text.replace("\r\n", "\n")
            if text.count("\n") != len(long) - len(text):
                return start
            size_of_lines = _size_with_cr
        if "\r" in text:
            return start
        # Here a line ends with LF alone, so that two of them end a block, and what follows them begins one.
        if not text.startswith("\n\ndata: ", text.find("\n")):
            self._take_shapes(text, buffer, base, blocks, size_of_lines)
            return end
        first, *pieces = text[:-2].split("\n\ndata: ")
        self._take_shapes(first + "\n\n", buffer, base, blocks, size_of_lines)
        around = len("data: ") + 2 * len(end_of_line)
        append, at, last_event_id = blocks.append, self._block_at, self.last_event_id
        for piece in pieces:
            if "\n" in piece:
                self._block_at = at
                self._take_shapes(f"data: {piece}\n\n", buffer, base, blocks, size_of_lines)
                at, last_event_id = self._block_at, self.last_event_id
            else:
                stop = at + size(piece) + around
                append(_new_block(Block, (at, stop, "message", piece, last_event_id, None, (), 0, ())))
                at = stop
        self._block_at = at
        return end

    def _take_shapes(
        self, text: str, buffer: bytes, base: int, blocks: list[Block], size: Callable[[str], int]
    ) -> None:
        """Read whole blocks from where the last one ended; text is what stands there, without its CRs."""
        append, at, last_event_id = blocks.append, self._block_at, self.last_event_id
        for block, type_, id_, data, other in _SHAPES.findall(text):
            if other:
                self._block_at, self._id_buffer = at, last_event_id
                self._take_lines(buffer, at - base, at - base, base, blocks, is_one=True)
                at, last_event_id = self._block_at, self.last_event_id
                continue
            if id_:
                last_event_id = id_
            if "\n" in data:
                data = data.replace("\ndata: ", "\n")
            stop = at + size(block)
            append(_new_block(Block, (at, stop, type_ or "message", data, last_event_id, None, (), 0, ())))
            at = stop
        self._block_at, self._id_buffer, self.last_event_id = at, last_event_id, last_event_id

    def _take_lines(
        self, buffer: bytes, start: int, searched: int, base: int, blocks: list[Block], *, is_one: bool = False
    ) -> int:
        """Read the lines that have ended, and answer where the first one begins that has not.

        Args:
            buffer: The bytes.
            start: Where the first line begins in them.
            searched: How far no line ends.
            base: Where the buffer begins in the connection's stream.
            blocks: Takes the blocks that ended.
            is_one: Stop after the first block.
        """
        for match in LINE_END.finditer(buffer, searched):
            stop, after = match.span()
            if stop > start:
                self._check_size(stop - start, base + start)
                self._block_size += stop - start
                self._take_line(buffer[start:stop])
                start = after
                continue
            start = after
            blocks.append(self._end_block(base + after))
            if is_one:
                break
        return start

    def _check_size(self, size: int, at: int) -> None:
        """Check that a line that begins at a place may have so many bytes."""
        room = self._max_event - self._block_size
        if size <= room and size <= self._max_line:
            return
        is_line = self._max_line < room
        what, bound = ("a line", self._max_line) if is_line else ("an event", self._max_event)
        text = f"{what} is longer than the bound of {bound:,} bytes"
        span = Span(self._block_at, at + min(room, self._max_line) + 1)
        raise EventStreamError(text, finding=Finding(EVENT_TOO_BIG, span, text))

    def _take_line(self, raw: bytes) -> None:
        line = read_line(raw)
        match line.effect:
            case Effect.ADD_DATA:
                self._data.append(line.value)
            case Effect.COMMENT:
                self._comments.append(line.value)
            case Effect.SET_TYPE:
                self._type = line.value
            case Effect.SET_ID:
                self._id_buffer = line.value
            case Effect.SET_RETRY:
                self._block_retry = self.retry = read_retry(line.value)

    def _end_block(self, stop: int) -> Block:
        self.last_event_id = self._id_buffer
        data = "\n".join(self._data) if self._data else None
        block = Block(
            self._block_at,
            stop,
            self._type if data is None else self._type or "message",
            data,
            self.last_event_id,
            self._block_retry,
            tuple(self._comments),
            self._lead,
            tuple(self._holes),
        )
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
        EventStreamError: A line break or NUL in the type or the ID, a time out of bounds, or a lone surrogate anywhere.

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
        lines.append(f"retry: {_whole_milliseconds(retry)}")
    if data is not None:
        lines += [f"data: {line}" for line in _split_lines(data)]
    lines.append("\n")
    try:
        return "\n".join(lines).encode()
    except UnicodeEncodeError as error:
        raise EventStreamError(
            f"an event stream is UTF-8, which has no {error.object[error.start]!r}, half of a surrogate pair"
        ) from error


def _whole_milliseconds(retry: int) -> int:
    try:
        whole = operator.index(retry)
    except TypeError:
        whole = -1
    if not 0 <= whole <= MAX_RETRY:
        raise EventStreamError(f"a reconnection time is whole milliseconds from 0 to {MAX_RETRY:,}")
    return whole


def _split_lines(text: str) -> list[str]:
    return re.split(r"\r\n|\n|\r", text) if "\n" in text or "\r" in text else [text]


def _one_line(what: str, value: str) -> str:
    if any(character in value for character in "\r\n\0"):
        raise EventStreamError(
            f"an {what} has no line break and no NUL, {value!r} has: a reader would see another field"
        )
    return value
