"""The feed: brings a timeline's new entries to the pages, in small turns on the server's own loop.

One feed serves one timeline and all panels that show it. Every 50 ms it lets the timeline dissect what is new and
gives each panel's `RowSource` the rest of a fixed budget of time, so that a burst delays the page and never the loop.
While bytes pour in faster than anyone could read them, it takes one turn in eight and leaves the loop to the server. A
turn sends at most one message for each panel; rows are known by their number, so a lost message, a second page or a
reload is only a question for rows again.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol
from weakref import WeakValueDictionary

from lane_kernel.net.home import Home, Repeating
from lane_kernel.panels.rows import Cells, pack
from lane_kernel.timeline import Entry, EntryKind, Timeline

PERIOD = 0.05
"""Seconds between two turns: at most 20 messages a second for each panel; the server between drops what comes faster
than it likes."""

BUDGET_NS = 8_000_000
"""How long a turn works at the most, in nanoseconds, but for the step in hand."""

BUSY = 250
"""So many new records since the last turn, 5,000 in a second, make the server busy."""

RESTS = 7
"""How many turns are left out in a row while the server is busy."""

TAIL = 200
"""How many rows a page is sent that has just come."""

LIVE_MOST = 5_000
"""A panel that is farther behind than so many rows goes on with the latest; the page asks for the others when it
shows them."""

_DISSECT_NS = BUDGET_NS // 2
_STEP = 16
_ASKED_MOST = 64
_SETTLED = 20


class Send(Protocol):
    """How a panel sends: a custom message with buffers."""

    def __call__(self, content: dict[str, Any], buffers: Sequence[bytes] | None = None) -> None:
        """Send to every page that shows the panel."""


class Feed:
    """The turns of one timeline.

    Attributes:
        timeline: What is shown.
        behind: Whether the timeline has not caught up with its store.
    """

    _all: ClassVar[WeakValueDictionary[int, Feed]] = WeakValueDictionary()

    def __init__(self, timeline: Timeline, home: Home) -> None:
        """Begin at rest. Use `Feed.of`, which shares feeds.

        Args:
            timeline: What is shown.
            home: The loop to take turns on.
        """
        self.timeline = timeline
        self.behind = False
        self._home = home
        self._sources: list[RowSource] = []
        self._turns: Repeating | None = None
        self._store_next = timeline.store.next
        self._dissected_to = -1
        self._rests = 0

    @classmethod
    def of(cls, timeline: Timeline, home: Home) -> Feed:
        """The feed of a timeline; there is one for each as long as anyone holds it."""
        feed = cls._all.get(id(timeline))
        if feed is None or feed.timeline is not timeline:
            feed = cls._all[id(timeline)] = cls(timeline, home)
        return feed

    @property
    def is_running(self) -> bool:
        """Whether it takes turns."""
        return self._turns is not None

    def join(self, source: RowSource) -> None:
        """Give a source its share of each turn from now on."""
        self._sources.append(source)
        self.wake()

    def leave(self, source: RowSource) -> None:
        """Give a source no more turns."""
        if source in self._sources:
            self._sources.remove(source)
        if not self._sources:
            self._rest()

    def wake(self) -> None:
        """Take turns as long as a page watches one of the sources."""
        if self._turns is None and self._sources:
            self._turns = self._home.every(PERIOD, self.turn)

    def _rest(self) -> None:
        if self._turns is not None:
            self._turns.stop()
            self._turns = None

    def turn(self) -> None:
        """Take one turn."""
        watched = [source for source in self._sources if source.is_watched]
        if not watched:
            self._rest()
            return
        store = self.timeline.store
        grown, self._store_next = store.next - self._store_next, store.next
        if grown > BUSY and self._rests < RESTS:
            self._rests += 1
            return
        self._rests = 0
        deadline = time.perf_counter_ns() + BUDGET_NS
        if self.behind or store.next != self._dissected_to:
            self._dissected_to = store.next
            self.behind = not self.timeline.update(_DISSECT_NS)
        for source in watched:
            source.turn(deadline)


class RowSource:
    """The kernel's end of one panel of rows.

    Attributes:
        feed: Whose turns it shares.
        frames: How many of the entries scanned are frames.
    """

    def __init__(
        self,
        feed: Feed,
        send: Send,
        cells: Callable[[Entry], Cells],
        *,
        wants: Callable[[Entry], bool] | None = None,
        watched: Callable[[], bool] = lambda: True,
    ) -> None:
        """Join the feed.

        Args:
            feed: Whose entries.
            send: How to send to the pages.
            cells: What strings a row has.
            wants: Which entries have a row; all by default.
            watched: Whether a page is there to send to.
        """
        self.feed = feed
        self.frames = 0
        self._watched = watched
        self._send = send
        self._cells = cells
        self._wants = wants
        self._chosen = array("I")
        self._scanned = 0
        self._sent = 0
        self._sequence = 0
        self._generation = 1
        self._greet = False
        self._asked: deque[tuple[int, int]] = deque()
        self._quiet = _SETTLED
        self._said: tuple[object, ...] = ()
        feed.join(self)

    @property
    def is_watched(self) -> bool:
        """Whether a page is there to send to."""
        return self._watched()

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self._scanned if self._wants is None else len(self._chosen)

    def hello(self) -> None:
        """A page has come: send it the latest rows with the next turn."""
        self._greet = True

    def ask(self, first: int, count: int) -> None:
        """A page lacks rows: send them with one of the next turns.

        Args:
            first: The first row's number.
            count: How many.
        """
        # What a page asks beyond this is asked again once it has waited.
        if len(self._asked) < _ASKED_MOST and first >= 0 and count > 0:
            self._asked.append((first, min(count, LIVE_MOST)))

    def close(self) -> None:
        """Leave the feed."""
        self.feed.leave(self)

    def turn(self, deadline: int) -> None:
        """Send what is new and what was asked for.

        Args:
            deadline: When to stop, by `time.perf_counter_ns`.
        """
        self._scan(deadline)
        segments: list[dict[str, Any]] = []
        buffers: list[bytes] = []
        if self._greet:
            self._greet = False
            tail = max(0, self.total - TAIL)
            self._write("tail", tail, self.total, time.perf_counter_ns() + BUDGET_NS, segments, buffers)
            # A page that comes has the tail; only what is newer goes to all.
            self._sent = max(self._sent, self.total)
        skipped = self._skip()
        self._sent = self._write("live", self._sent, self.total, deadline, segments, buffers)
        while self._asked and time.perf_counter_ns() < deadline:
            first, count = self._asked.popleft()
            stop = min(first + count, self.total)
            reached = self._write("asked", first, stop, deadline, segments, buffers)
            if reached < stop:
                self._asked.appendleft((reached, stop - reached))
                break
        self._post(segments, buffers, skipped)

    def _scan(self, deadline: int) -> None:
        timeline = self.feed.timeline
        known = timeline.known
        while self._scanned < known:
            for entry in timeline[self._scanned : min(known, self._scanned + _STEP)]:
                self.frames += entry.kind is EntryKind.FRAME
                if self._wants is not None and self._wants(entry):
                    self._chosen.append(entry.index)
                self._scanned += 1
            if time.perf_counter_ns() > deadline:
                return

    def _skip(self) -> list[tuple[int, int]]:
        if self.total - self._sent <= LIVE_MOST:
            return []
        skipped = (self._sent, self.total - TAIL)
        self._sent = skipped[1]
        return [skipped]

    def _entries(self, first: int, stop: int) -> list[Entry]:
        timeline = self.feed.timeline
        if self._wants is None:
            return timeline[first:stop]
        return [timeline.entry(index) for index in self._chosen[first:stop]]

    def _write(
        self, kind: str, first: int, stop: int, deadline: int, segments: list[dict[str, Any]], buffers: list[bytes]
    ) -> int:
        """Add rows as a segment, in steps until the deadline; at least one step. Answers the row it reached."""
        at = first
        entries: list[Entry] = []
        records: list[bytes] = []
        text: list[bytes] = []
        before = self._entries(first - 1, first)[0].time_ns if 0 < first < stop else None
        shift = 0
        while at < stop:
            entries = self._entries(at, min(stop, at + _STEP))
            rows, words = pack(entries, self._cells, before, shift)
            before = entries[-1].time_ns
            shift += len(words)
            records.append(rows)
            text.append(words)
            at += len(entries)
            if time.perf_counter_ns() > deadline:
                break
        if at > first:
            segments.append({"kind": kind, "first": first, "count": at - first})
            buffers += [b"".join(records), b"".join(text)]
        return at

    def _post(self, segments: list[dict[str, Any]], buffers: list[bytes], skipped: list[tuple[int, int]]) -> None:
        timeline = self.feed.timeline
        behind = self.feed.behind or self._scanned < timeline.known or self._sent < self.total
        said = (self._sent, self.frames if self._wants is None else 0, timeline.dropped, behind)
        if not segments and not skipped and said == self._said:
            # Should the last message have been lost, one more shows the page what it lacks.
            self._quiet += 1
            if self._quiet != _SETTLED:
                return
        else:
            self._quiet = 0
        self._said = said
        self._sequence += 1
        content = {
            "type": "rows",
            "generation": self._generation,
            "seq": self._sequence,
            "total": self._sent,
            "frames": self.frames,
            "dropped": timeline.dropped,
            "behind": behind,
            "epoch_ms": timeline.store.started_wall_ns / 1e6,
            "skipped": skipped,
            "segments": segments,
        }
        self._send(content, buffers)
