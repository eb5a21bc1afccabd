"""The timeline: a store's entries in the order they ended, one row of columns each."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import overload

from lane_kernel.capture import Chunk, Connection, Note, NoteKind, Record, Store
from lane_kernel.sides import Direction
from lane_kernel.timeline.dissector import ConnectionDissector
from lane_kernel.timeline.entries import Entry, EntryKind
from lane_kernel.timeline.faults import Meant
from lane_kernel.timeline.readers import Kind, Row
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span

_KINDS = tuple(EntryKind)
_NOTE_KINDS = {
    NoteKind.OPENED: Kind.CONNECTION,
    NoteKind.CLOSED: Kind.CLOSE,
    NoteKind.LOG: Kind.LOG,
    NoteKind.BLOCKED: Kind.BLOCKED,
    NoteKind.FAULT: Kind.FAULT,
}
_WAYS = (Direction.TO_SERVER, Direction.TO_CLIENT)
_SHOWN = 40


class Timeline:
    """A view on a store that follows it.

    Reading it (`len`, indexing, iteration) first dissects whatever is new; `update` does so within a time budget.

    Attributes:
        store: The capture it is made of.
    """

    def __init__(
        self, store: Store, *, sees: Callable[[Connection | None], bool] | None = None, start: int = 0
    ) -> None:
        """Begin empty.

        Args:
            store: The capture.
            sees: Tells whether a connection's entries belong on this timeline; None stands for what has no connection.
                By default all do.
            start: The sequence number of the first record to look at.
        """
        self.store = store
        self._sees = sees
        self._cursor = start
        self._dissectors: dict[int, ConnectionDissector | None] = {}
        self._kinds = array("B")
        self._connections = array("I")
        self._ways = array("B")
        self._starts = array("Q")
        self._stops = array("Q")
        self._times = array("q")
        self._details: dict[int, object] = {}
        self._findings: dict[int, tuple[Finding, ...]] = {}

    @property
    def dropped(self) -> int:
        """Chunks that the store has forgotten to keep its budget."""
        return self.store.dropped

    @property
    def known(self) -> int:
        """How many entries are dissected already, without dissecting more."""
        return len(self._kinds)

    def update(self, budget_ns: int | None = None) -> bool:
        """Dissect what is new in the store.

        Args:
            budget_ns: How long to work at the most, in nanoseconds; as long as it takes by default.

        Returns:
            Whether it has caught up with the store.
        """
        deadline = None if budget_ns is None else time.monotonic_ns() + budget_ns
        for record in self.store.records(self._cursor):
            self._cursor = record.sequence + 1
            self._take(record)
            if deadline is not None and time.monotonic_ns() > deadline:
                break
        return self._cursor >= self.store.next

    def _take(self, record: Record) -> None:
        connection = record.connection
        number = 0 if connection is None else connection.number
        if number not in self._dissectors:
            side = None if connection is None else connection.side
            is_seen = self._sees is None or self._sees(connection)
            self._dissectors[number] = ConnectionDissector(side) if is_seen else None
        dissector = self._dissectors[number]
        if dissector is None:
            return
        if isinstance(record, Chunk):
            rows = dissector.feed(record.direction, record.data, record.offset, record.time_ns)
            self._add(rows, number, record.time_ns)
            return
        if record.kind is NoteKind.CLOSED and connection is not None:
            ends = {way: self.store.length(connection, way) for way in _WAYS}
            self._add(dissector.finish(ends), number, record.time_ns)
            if missing := dissector.end(record.time_ns, record.detail.get("by")):
                self._findings[len(self._kinds)] = missing
            del self._dissectors[number]
        if record.kind is NoteKind.FAULT and (way := record.detail.get("direction")) is not None:
            self._fault(Meant(record, dissector.speech(way)), way, number)
        else:
            self._note(record, number)

    def _add(self, rows: Iterable[Row], number: int, time_ns: int) -> None:
        for kind, direction, start, stop, detail, findings in rows:
            if detail is not None:
                self._details[len(self._kinds)] = detail
            if findings:
                self._findings[len(self._kinds)] = findings
            self._append(kind, number, 1 + (direction is Direction.TO_CLIENT), start, stop, time_ns)

    def _note(self, note: Note, number: int) -> None:
        self._details[len(self._kinds)] = note
        self._append(_NOTE_KINDS[note.kind], number, 0, 0, 0, note.time_ns)

    def _fault(self, meant: Meant, way: Direction, number: int) -> None:
        self._details[len(self._kinds)] = meant
        span = meant.span
        self._append(Kind.FAULT, number, 1 + (way is Direction.TO_CLIENT), span.start, span.stop, meant.note.time_ns)

    def _append(self, kind: Kind, number: int, way: int, start: int, stop: int, time_ns: int) -> None:
        self._kinds.append(kind)
        self._connections.append(number)
        self._ways.append(way)
        self._starts.append(start)
        self._stops.append(stop)
        self._times.append(time_ns)

    def __len__(self) -> int:
        self.update()
        return len(self._kinds)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        """Make the entry or entries at an index, dissecting what is new only where the index asks for it."""
        if isinstance(index, slice):
            if index.stop is None or index.stop < 0 or index.stop > len(self._kinds) or (index.start or 0) < 0:
                self.update()
            return [self.entry(number) for number in range(*index.indices(len(self._kinds)))]
        if not 0 <= index < len(self._kinds):
            self.update()
        return self.entry(range(len(self._kinds))[index])

    def __iter__(self) -> Iterator[Entry]:
        index = 0
        while index < len(self):
            yield self.entry(index)
            index += 1

    def entry(self, index: int) -> Entry:
        """Make the entry of one row that is dissected already."""
        number, way = self._connections[index], self._ways[index]
        return Entry(
            self.store,
            index,
            _KINDS[self._kinds[index]],
            self.store.connection(number) if number else None,
            _WAYS[way - 1] if way else None,
            self._times[index],
            Span(self._starts[index], self._stops[index]) if way else None,
            self._details.get(index),
            self._findings.get(index, ()),
        )

    def __str__(self) -> str:
        total = len(self)
        head = f"{'#':>6} {'time/s':>10} {'conn':>4} {'dir':<3} {'what':<28} {'length':>7} preview"
        rows = [str(entry) for entry in self[max(total - _SHOWN, 0) : total]]
        return "\n".join([f"{total:,} entries, {self.dropped:,} chunks dropped", head, *rows])

    def __repr__(self) -> str:
        return f"<Timeline: {len(self):,} entries>"
