"""What stands between the bytes that were meant and the socket, while faults are set.

A unit passes three places, each of which keeps order: the queue, where it waits for its delay; the bundle, where it
waits for others; and the writer, which chops. Where nothing holds it up, it passes them all within `send`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from lane_kernel.capture import Connection, NoteKind, Store
from lane_kernel.errors import LaneError
from lane_kernel.net.faults import Faults, checked
from lane_kernel.net.home import Home

MAX_HELD = 32 * 1024 * 1024
"""Bound on the bytes that faults hold for one connection; over it the connection is ended."""

ROOM = 1024 * 1024
"""Bytes that faults hold before a `send` waits."""

MEANT = 4096
"""Bytes of a unit that are kept beside what was done to it."""

WRITES = 64
"""Writes of a chopped unit in one turn of the loop."""


class HeldTooMuchError(LaneError):
    """Faults would hold more bytes than they may."""


@dataclass(slots=True)
class _Unit:
    """Bytes on their way.

    Attributes:
        data: The bytes that are left to be written.
        due: When they, or the next of them, may go, by the loop's clock.
        faults: The faults that hit them; None where they only wait for those before them.
        ends: Whether the connection ends after them.
        at: How many of them have been written.
    """

    data: bytes
    due: float
    faults: Faults | None = None
    ends: bool = False
    at: int = 0


class FaultyWriter:
    """Writes units as the faults that are set want it, and notes what it did with the bytes that were meant.

    Attributes:
        faults: The faults that the next unit is under; None for none.
        given: Bytes that were meant so far.
        written: Bytes that were written so far.
        held: Bytes that are held.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        end: Callable[[bool], None],
        store: Store,
        connection: Connection,
        *,
        waiting: Callable[[], int] = lambda: 0,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without faults, on the loop that runs here.

        Args:
            write: Makes one write of the socket.
            end: Ends the connection; told whether by a reset.
            store: Where to note what is done.
            connection: Whose bytes they are.
            waiting: Answers how many written bytes the socket has not taken; `go_on` is to be called once it has.
            progress: Called when what was held has gone, or some of it.
        """
        self.faults: Faults | None = None
        self.given = 0
        self.written = 0
        self.held = 0
        self._write = write
        self._end = end
        self._store = store
        self._connection = connection
        self._waiting = waiting
        self._progress = progress
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._random = Random()  # noqa: S311 - faults are to be repeated, not to be secret
        self._queue: deque[_Unit] = deque()
        self._bundle: list[_Unit] = []
        self._bundled = 0
        self._writing: deque[_Unit] = deque()
        self._timer: asyncio.Handle | None = None
        self._is_going = False
        self._is_finishing = False
        self._is_closed = False

    @property
    def waits(self) -> int:
        """Bytes that are held for a time; what waits for more bytes to come is not counted, and has its own bound."""
        return self.held - self._bundled

    def replace(self, faults: Faults | None) -> None:
        """Put the next unit under other faults, and count from 1 again; what is held keeps what was decided for it."""
        if faults is self.faults:
            return
        self.faults = faults
        self._number = 0
        self._random = Random(0 if faults is None else faults.seed)  # noqa: S311 - as above

    def send(self, unit: bytes) -> None:
        """Take a unit.

        Raises:
            HeldTooMuchError: More would be held than may be. The connection is to be ended.
            LaneError: What `write` raises.
        """
        self.given += len(unit)
        self._number += 1
        faults, due = self.faults, self._loop.time()
        if faults is None or not faults.hits(self._number, self._random):
            self._take(_Unit(unit, due))
            return
        treatment = faults.treat(unit)
        self._note(treatment.done, unit, treatment.left)
        if treatment.left or treatment.ends:
            self._take(_Unit(treatment.left, due + faults.delay, faults, treatment.ends))

    def _take(self, unit: _Unit) -> None:
        if self.held + len(unit.data) > MAX_HELD:
            raise HeldTooMuchError(
                f"connection {self._connection.number}: faults would hold over {MAX_HELD:,} bytes of it: "
                "wait between sends, or set a shorter delay"
            )
        self.held += len(unit.data)
        self._queue.append(unit)
        if len(self._queue) == 1:
            self.go_on()

    def _note(self, done: tuple[str, ...], meant: bytes, left: bytes) -> None:
        connection = self._connection
        direction = connection.side.outgoing
        self._store.note(
            NoteKind.FAULT,
            connection,
            f"fault: {'; '.join(done)}",
            done=done,
            direction=direction,
            offset=self._store.length(connection, direction) + self._waiting() + self.held,
            number=self._number,
            length=len(meant),
            meant=meant[:MEANT],
            left=meant[:MEANT] if left is meant else left[:MEANT],
            length_left=len(left),
        )

    # On its way

    def go_on(self) -> None:
        """Write whatever may go now, and plan when the rest may."""
        if self._is_going:
            return
        before = self.held
        self._is_going = True
        try:
            self._go_as_far_as_it_may()
        finally:
            self._is_going = False
        if self.held < before:
            self._progress()

    def _go_as_far_as_it_may(self) -> None:
        while self._writing or self._queue or (self._is_finishing and self._bundle):
            if self._writing:
                if not self._write_next():
                    break
            elif self._queue and self._queue[0].due > self._loop.time():
                self._plan(self._queue[0].due)
                break
            elif self._queue:
                self._pass_on(self._queue.popleft())
            else:
                self._unbundle()

    def _pass_on(self, unit: _Unit) -> None:
        """Bundle a unit or let it go, after those that are bundled."""
        buffer = None if unit.faults is None or unit.ends else unit.faults.buffer
        if buffer is None:
            self._unbundle()
            self._writing.append(unit)
            return
        self._bundle.append(unit)
        self._bundled += len(unit.data)
        if self._bundled >= buffer:
            self._unbundle()

    def _unbundle(self) -> None:
        if self._bundle:
            data = b"".join(unit.data for unit in self._bundle)
            self._writing.append(_Unit(data, 0, self._bundle[-1].faults))
            self._bundle.clear()
            self._bundled = 0

    def _write_next(self) -> bool:
        """Write the first unit that may be written; answer whether all of it has been."""
        unit = self._writing[0]
        chop = None if unit.faults is None else unit.faults.chop
        pause = 0.0 if unit.faults is None else unit.faults.pause
        for _ in range(WRITES):
            if unit.at == len(unit.data):
                break
            if chop is not None and self._waiting():
                return False  # the socket would take what waits together with this
            if unit.due > self._loop.time():
                self._plan(unit.due)
                return False
            piece = unit.data[unit.at : None if chop is None else unit.at + chop]
            unit.at += len(piece)
            self.held -= len(piece)
            self.written += len(piece)
            self._write(piece)
            if pause:
                unit.due = self._loop.time() + pause
        if unit.at < len(unit.data):
            self._plan(self._loop.time())
            return False
        if unit.ends:
            if not self._waiting():
                self._cut(is_reset=unit.faults is not None and unit.faults.reset)
            return False
        self._writing.popleft()
        return True

    def _cut(self, *, is_reset: bool) -> None:
        self._lose("the connection was cut before")
        self._end(is_reset)

    def _plan(self, when: float) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_at(when, self.resume, context=contextvars.Context())

    def resume(self) -> None:
        """Go on where nobody is there to be told that the connection has ended."""
        try:
            self.go_on()
        except LaneError:
            # The connection has ended, which `close` was told; nobody waits here to be told again.
            self.close(is_lost=True)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # How it ends

    def release(self) -> None:
        """Let everything that is held go at once, in its order."""
        self._unbundle()
        for unit in (*self._writing, *self._queue):
            unit.due = 0.0
            if unit.faults is not None and not unit.ends:
                unit.faults = None
        self._cancel_timer()
        self.go_on()

    def finish(self) -> None:
        """Hear that nothing more will be sent: what waits for more bytes goes after what waits for its time."""
        self._is_finishing = True
        self.go_on()

    def close(self, *, is_lost: bool) -> None:
        """End, before the socket does; what is held goes at once, as far as the socket takes it.

        Args:
            is_lost: Whether the connection is gone already, so that nothing can go.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._cancel_timer()
        if not self.held:
            return
        if is_lost:
            self._lose("the connection ended before")
            return
        rest = b"".join(self._rest())
        self._forget()
        self._note((f"gave {len(rest):,} held bytes to the socket at once: the connection ends",), rest, rest)
        self.written += len(rest)
        try:
            self._write(rest)
        except LaneError:
            self._note((f"lost {len(rest):,} held bytes: the connection ended before",), rest, b"")

    def _rest(self) -> list[bytes]:
        """What is held, in order, up to where it is to be cut."""
        parts: list[bytes] = []
        for unit in (*self._writing, *self._bundle, *self._queue):
            parts.append(unit.data[unit.at :])
            if unit.ends:
                break
        return parts

    def _lose(self, why: str) -> None:
        rest = b"".join(unit.data[unit.at :] for unit in (*self._writing, *self._bundle, *self._queue))
        self._forget()
        if rest:
            self._note((f"lost {len(rest):,} held bytes: {why}",), rest, b"")

    def _forget(self) -> None:
        self._writing.clear()
        self._bundle.clear()
        self._queue.clear()
        self._bundled = self.held = 0
        self._cancel_timer()


class Faultable(Protocol):
    """A stream whose bytes faults may stand before."""

    store: Store
    record: Connection
    interposed: FaultyWriter | None

    def put(self, data: bytes) -> None:
        """Make one write of the socket, past whatever is interposed."""

    def write_joined(self) -> None:
        """Write what has been kept to be written together."""

    def count_held(self, count: int) -> None:
        """Hear how many bytes are held for a time, so that whoever sends waits."""

    def unsent(self) -> int:
        """Bytes that have been written and the socket has not taken."""

    def cut(self, is_reset: bool) -> None:
        """End the connection in the middle of what is sent."""

    def set_deaf(self, is_deaf: bool) -> None:
        """Read no more, or again."""

    def closed(self) -> bool:
        """Whether the connection has ended."""


class ConnectionFaults:
    """The faults of one connection: its own, or else those that it inherits from its route and server.

    Attributes:
        own: Its own; None where it has none.
    """

    __slots__ = ("_home", "_inherited", "_is_deaf", "_settling", "_stream", "_writer", "own")

    def __init__(self, stream: Faultable) -> None:
        """Begin without any, at next to no cost."""
        self.own: Faults | None = None
        self._home = Home.here()
        self._inherited: Faults | None = None
        self._stream = stream
        self._is_deaf = False
        self._writer: FaultyWriter | None = None
        self._settling: list[Callable[[], object]] = []

    def set(self, faults: Faults | None) -> None:
        """Set its own, from any thread; where none are left, what is held goes at once.

        Raises:
            FaultsError: These are no faults.
        """
        self._home.call(self._set, checked(faults))

    def _set(self, faults: Faults | None) -> None:
        self.own = faults
        self._apply(is_released=True)

    def inherit(self, faults: Faults | None, *, is_released: bool) -> None:
        """Set those that hold where it has none of its own.

        Args:
            faults: The faults.
            is_released: Whether what is held goes at once where none are left.
        """
        self._inherited = faults
        self._apply(is_released=is_released)

    def _apply(self, *, is_released: bool) -> None:
        faults = self._inherited if self.own is None else self.own
        if faults is not None and not (faults.touches_units or faults.stop_reading):
            faults = None
        if self._stream.closed():
            return
        self._hear(is_deaf=faults is not None and faults.stop_reading)
        if faults is None and self._writer is None:
            return
        if self._writer is None:
            stream = self._stream
            self._writer = FaultyWriter(
                stream.put, stream.cut, stream.store, stream.record, waiting=stream.unsent, progress=self._progressed
            )
        self._writer.replace(faults)
        if faults is None and is_released:
            self._writer.release()
        self._interpose(self._writer)

    def _hear(self, *, is_deaf: bool) -> None:
        if is_deaf is not self._is_deaf:
            self._is_deaf = is_deaf
            what = "stop reading" if is_deaf else "read again"
            self._stream.store.note(NoteKind.FAULT, self._stream.record, f"fault: {what}", done=(what,))
            self._stream.set_deaf(is_deaf)

    def _interpose(self, writer: FaultyWriter) -> None:
        """Stand before the socket only while there is something to do."""
        stream = self._stream
        if writer.faults is None and not writer.held:
            stream.interposed = None
        elif stream.interposed is None:
            stream.write_joined()
            stream.interposed = writer
        stream.count_held(writer.waits)

    def _progressed(self) -> None:
        if self._writer is not None:
            self._interpose(self._writer)
        self._tell_settled()

    def _tell_settled(self) -> None:
        if not self.held:
            settling, self._settling = self._settling, []
            for function in settling:
                function()

    # How it stands

    @property
    def held(self) -> int:
        """Bytes that are held."""
        return 0 if self._writer is None else self._writer.held

    @property
    def lacking(self) -> int:
        """How many bytes more were meant than written; below 0 where more were written than meant."""
        return 0 if self._writer is None else self._writer.given - self._writer.written

    # How it ends

    def finish(self) -> None:
        """Say that nothing follows: what is held until more comes goes when its time has come."""
        if self._writer is not None and not self._stream.closed():
            self._writer.finish()

    def when_settled(self, function: Callable[[], object]) -> None:
        """Say that nothing follows, and call a function once nothing is held: now, where nothing is."""
        self.finish()
        if self.held:
            self._settling.append(function)
        else:
            function()

    def close(self, *, is_lost: bool) -> None:
        """End, before the socket does.

        Args:
            is_lost: Whether the connection is gone already, so that nothing that is held can go.
        """
        if self._writer is not None:
            self._writer.close(is_lost=is_lost)
            self._stream.interposed = None
            self._stream.count_held(0)
            self._tell_settled()
