"""The store of captured bytes: rows in columns, bytes in arenas, both in segments that are forgotten oldest first."""

from __future__ import annotations

import bisect
import threading
import time
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lane_kernel.sides import Direction, Side

BUDGET = 256 * 1024 * 1024
"""Default bound on the bytes that a store keeps."""

_SEGMENT = 1024 * 1024
_SEGMENT_RECORDS = 16 * 1024
_BYTES_PER_RECORD = 64
"""A record costs about 36 bytes besides its data, a note more: small ones are bounded by their number."""

_NOTE = 0xFFFFFFFF

_TO_CLIENT = Direction.TO_CLIENT  # an enum's member costs more to look up than the rest of a comparison


@dataclass(frozen=True, slots=True)
class Connection:
    """One end's view of one connection.

    A connection with both ends in this kernel is two of these, with their addresses swapped.

    Attributes:
        number: Its number in the store, from 1.
        side: The end that observes.
        local: The observer's address as "host:port".
        peer: The other end's address.
        name: Whose connection it is, such as the server's name.
        opened_ns: When it was opened, in nanoseconds since the store began.
    """

    number: int
    side: Side
    local: str
    peer: str
    name: str
    opened_ns: int


class NoteKind(Enum):
    """What a note tells."""

    OPENED = "opened"
    CLOSED = "closed"
    LOG = "log"
    BLOCKED = "blocked"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is not bytes, in its place among them.

    Attributes:
        sequence: Its number in the store's one order.
        kind: What it tells.
        connection: The connection it belongs to, or None.
        time_ns: Nanoseconds since the store began.
        text: The note in one line.
        detail: What a reader may want besides, by name.
    """

    sequence: int
    kind: NoteKind
    connection: Connection | None
    time_ns: int
    text: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes as they were read from or written to a socket at once.

    Attributes:
        sequence: Its number in the store's one order.
        connection: Which end saw it.
        direction: Which way it travelled.
        offset: Where it begins in that direction's stream.
        time_ns: Nanoseconds since the store began.
        data: The bytes.
    """

    sequence: int
    connection: Connection
    direction: Direction
    offset: int
    time_ns: int
    data: bytes


Record = Chunk | Note


class _Segment:
    """A run of records: columns of numbers and one arena, of which the first `used` bytes hold data.

    Its size is that and the bytes in its notes.
    """

    __slots__ = ("arena", "first", "noted", "notes", "offsets", "size", "starts", "times", "tracks", "used")

    def __init__(self, first: int, arena: memoryview) -> None:
        self.first = first
        self.tracks = array("I")
        self.times = array("q")
        self.offsets = array("Q")
        self.starts = array("Q")
        self.arena = arena
        self.used = self.size = 0
        self.notes: dict[int, Note] = {}
        self.noted = 0

    def __len__(self) -> int:
        return len(self.tracks)

    def data(self, row: int, start: int = 0, stop: int | None = None) -> bytes:
        """A chunk's bytes, or a range of them; no more of it is copied."""
        first = self.starts[row]
        last = self.starts[row + 1] if row + 1 < len(self.starts) else self.used
        if stop is not None:
            last = min(last, first + stop)
        return bytes(self.arena[first + start : last])


def _arena(size: int) -> memoryview:
    return memoryview(bytearray(size))


class Store:
    """An append-only, bounded record of bytes and notes, in one order.

    One thread writes it, until `share` says that there are others, or another one opens a connection.

    Attributes:
        budget: How many bytes are kept at the most, and so many records as 64 bytes each would fill it; the oldest go
            first, some together. A chunk that is larger than this by itself is not kept. 0 switches recording off:
            bytes are counted and not kept.
        started_ns: The monotonic clock when the store began.
        started_wall_ns: The wall clock then, in nanoseconds since 1970.
        next: The sequence number of the next record.
        size: Bytes held, those in notes included.
        dropped: Chunks forgotten to keep the budget.
        dropped_bytes: Their bytes.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        """Begin empty.

        Args:
            budget: How many bytes are kept at the most; 0 to count them only.
        """
        self.budget = budget
        self.started_ns = time.monotonic_ns()
        self.started_wall_ns = time.time_ns()
        self.next = 0
        self.size = 0
        self.dropped = 0
        self.dropped_bytes = 0
        # Reentrant, since the collector may run inside, and a task that it finds may have a failure to note.
        self._lock = threading.RLock()
        self._is_shared = False
        self._thread_id = threading.get_ident()
        self._segment_size = min(_SEGMENT, budget // 8)
        self._max_records = max(budget // _BYTES_PER_RECORD, 8)
        self._segment_records = min(_SEGMENT_RECORDS, self._max_records // 8)
        self._segment = _Segment(0, _arena(self._segment_size))
        self._spare: memoryview | None = None
        self._segments: deque[_Segment] = deque([self._segment])
        self._connections: list[Connection] = []
        self._by_address: dict[tuple[str, str], list[Connection]] = {}
        self._lengths = array("Q")
        self._tracks: list[array[int]] = []

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Every connection ever opened, in order of their numbers."""
        return tuple(self._connections)

    def connection(self, number: int) -> Connection:
        """The connection of a number."""
        return self._connections[number - 1]

    @property
    def first(self) -> int:
        """The sequence number of the oldest record held."""
        return self._segments[0].first

    def now_ns(self) -> int:
        """Nanoseconds since the store began."""
        return time.monotonic_ns() - self.started_ns

    def share(self) -> None:
        """Let other threads write, too, from now on; call it on the thread that has written so far."""
        self._is_shared = True

    def open(self, side: Side, local: str, peer: str, name: str = "") -> Connection:
        """Begin to record a connection.

        Args:
            side: The end that observes.
            local: The observer's address as "host:port".
            peer: The other end's address.
            name: Whose connection it is.
        """
        if threading.get_ident() != self._thread_id:
            self.share()
        with self._lock:
            connection = Connection(len(self._connections) + 1, side, local, peer, name, self.now_ns())
            self._connections.append(connection)
            self._by_address.setdefault((local, peer), []).append(connection)
            self._lengths.extend((0, 0))
            self._tracks.extend((array("Q"), array("Q")))
            self.note(NoteKind.OPENED, connection, "opened")
            return connection

    def append(self, connection: Connection, direction: Direction, data: bytes | memoryview) -> None:
        """Record bytes as they crossed the socket.

        Args:
            connection: Who saw them.
            direction: Which way they went.
            data: The bytes; they are copied.
        """
        track = connection.number * 2 - 2 + (direction is _TO_CLIENT)
        length = len(data)
        if not self.budget:
            # Nothing is recorded; lengths are counted all the same.
            self._lengths[track] += length
            self.dropped += 1
            self.dropped_bytes += length
            return
        # An idle lock would cost a fourth of all this.
        is_shared = self._is_shared
        if is_shared:
            self._lock.acquire()
        try:
            segment = self._segment
            if segment.size + length > self._segment_size or len(segment.tracks) >= self._segment_records:
                segment = self._roomy_segment(length)
            start = segment.used
            segment.used = stop = start + length
            segment.tracks.append(track)
            segment.times.append(time.monotonic_ns() - self.started_ns)
            segment.offsets.append(self._lengths[track])
            segment.starts.append(start)
            segment.arena[start:stop] = data
            segment.size += length
            self._tracks[track].append(self.next)
            self._lengths[track] += length
            self.next += 1
            self.size += length
            if self.size > self.budget:
                self._forget()
        finally:
            if is_shared:
                self._lock.release()

    def note(self, kind: NoteKind, connection: Connection | None, text: str, **detail: Any) -> None:
        """Record something that is not bytes.

        Args:
            kind: What it tells.
            connection: The connection it belongs to, or None.
            text: The note in one line.
            detail: What a reader may want besides; bytes in it count for the budget.
        """
        noted = sum(len(value) for value in detail.values() if isinstance(value, bytes))
        with self._lock:
            segment = self._roomy_segment()
            segment.noted += noted
            segment.size += noted
            self.size += noted
            moment = self.now_ns()
            segment.notes[self.next] = Note(self.next, kind, connection, moment, text, detail)
            segment.tracks.append(_NOTE)
            segment.times.append(moment)
            segment.offsets.append(0)
            segment.starts.append(segment.used)
            self.next += 1
            if self.size > self.budget:
                self._forget()

    def _roomy_segment(self, length: int = 0) -> _Segment:
        segment = self._segment
        if segment.size + length <= self._segment_size and len(segment.tracks) < self._segment_records:
            return segment
        segment = self._begin_segment(length)
        if self.next - self.first > self._max_records:
            self._forget()
        return segment

    def _begin_segment(self, length: int = 0) -> _Segment:
        # What is larger than a segment has one to itself.
        size = max(self._segment_size, length)
        arena, self._spare = self._spare, None
        self._segment = _Segment(self.next, arena if arena is not None and len(arena) == size else _arena(size))
        self._segments.append(self._segment)
        return self._segment

    def _forget(self) -> None:
        while self.size > self.budget or self.next - self.first > self._max_records:
            if len(self._segments) == 1:
                self._begin_segment()
            old = self._segments.popleft()
            # An arena is used again: memory that has been touched is much quicker than what the system gives anew.
            self._spare = old.arena
            self.size -= old.size
            self.dropped_bytes += old.size - old.noted
            self.dropped += len(old) - len(old.notes)
            for track in set(old.tracks) - {_NOTE}:
                rows = self._tracks[track]
                del rows[: bisect.bisect_left(rows, self.first)]

    def records(self, start: int = 0) -> Iterator[Record]:
        """Yield what is held, oldest first.

        Args:
            start: The sequence number to begin at; forgotten ones are passed over.
        """
        sequence = start
        while (record := self._record(sequence)) is not None:
            yield record
            sequence = record.sequence + 1

    def _record(self, sequence: int) -> Record | None:
        """The record of a number, or the oldest that is held where that one is forgotten; None where there is none."""
        with self._lock:
            sequence = max(sequence, self.first)
            if sequence >= self.next:
                return None
            segment = self._find(sequence)
            row = sequence - segment.first
            track = segment.tracks[row]
            if track == _NOTE:
                return segment.notes[sequence]
            return Chunk(
                sequence,
                self._connections[track // 2],
                Direction.TO_CLIENT if track & 1 else Direction.TO_SERVER,
                segment.offsets[row],
                segment.times[row],
                segment.data(row),
            )

    def _find(self, sequence: int) -> _Segment:
        if sequence >= self._segment.first:
            return self._segment
        return self._segments[bisect.bisect_right(self._segments, sequence, key=lambda segment: segment.first) - 1]

    def length(self, connection: Connection, direction: Direction) -> int:
        """How many bytes went that way, forgotten ones included."""
        return self._lengths[connection.number * 2 - 2 + (direction is Direction.TO_CLIENT)]

    def read(self, connection: Connection, direction: Direction, start: int, stop: int) -> bytes | None:
        """Read a range of one direction's stream.

        Args:
            connection: Who saw it.
            direction: Which way it went.
            start: The first byte.
            stop: One past the last.

        Returns:
            The bytes, fewer where the stream has not come so far; None where some have been forgotten.
        """
        track = connection.number * 2 - 2 + (direction is Direction.TO_CLIENT)
        with self._lock:
            rows = self._tracks[track]
            position = max(bisect.bisect_right(rows, start, key=self._offset) - 1, 0)
            parts: list[bytes] = []
            for index in range(position, len(rows)):
                sequence = rows[index]
                segment = self._find(sequence)
                offset = segment.offsets[sequence - segment.first]
                if offset >= stop:
                    break
                if not parts and offset > start:
                    return None
                parts.append(segment.data(sequence - segment.first, max(start - offset, 0), stop - offset))
            if not parts and start < min(stop, self._lengths[track]):
                return None
            return b"".join(parts)

    def _offset(self, sequence: int) -> int:
        segment = self._find(sequence)
        return segment.offsets[sequence - segment.first]

    def other_end(self, connection: Connection) -> Connection | None:
        """The same connection as its other end saw it, where that end records in this store too."""
        candidates = self._by_address.get((connection.peer, connection.local), ())
        others = [other for other in candidates if other.side is connection.side.peer]
        return min(others, key=lambda other: abs(other.opened_ns - connection.opened_ns), default=None)


_KERNEL_STORE: list[Store] = []


def kernel_store() -> Store:
    """The one store of this kernel, made on first use."""
    if not _KERNEL_STORE:
        _KERNEL_STORE.append(Store())
    return _KERNEL_STORE[0]
