"""What handlers say and leave behind: prints, logging and tasks, told in the handlers' log with route and connection.

What a handler starts inherits its context, so that it is known as the handler's own. Of `logging` the log has what a
logger's level lets through: WARNING and above, unless a person sets another, such as
`logging.getLogger().setLevel(logging.DEBUG)`.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from contextvars import Context, Token
from types import TracebackType
from typing import Any, Protocol, Self
from weakref import ReferenceType, ref

from lane_kernel.capture import Connection, NoteKind
from lane_kernel.errors import LaneError
from lane_kernel.net.blocking import Block, LoopWatch
from lane_kernel.net.home import Home
from lane_kernel.net.watch import Watch, context_of, name_of
from lane_kernel.server.listening import MAX_LINE, Speaker, current, ears
from lane_kernel.server.log import MAX_RECORDS, HandlersLog, name_handler
from lane_kernel.server.routes import Route

LOOK_AFTER = 0.05
"""Seconds after a handler's end when its tasks are looked for: those that it has cancelled have ended by then."""

LONG = 0.5
"""The loop blocked for so many seconds is worth a warning; what is shorter is told without one."""

_NAMED = 5
_IN_A_CELL = "use await asyncio.sleep(…) and clients that are awaited, or lane.in_thread(server)"
_IN_A_HANDLER = "use await asyncio.sleep(…), or await asyncio.to_thread(…) for what cannot be awaited"


class LeftBehindError(LaneError):
    """A task that a handler started goes on although its server has stopped."""


class Fail(Protocol):
    """How a failure is told: `Server.fail`."""

    def __call__(
        self, error: Exception, at: Route | None, connection: Connection | None, where: str | None = None
    ) -> None:
        """Log a failure, and keep it for `check`."""


class Handling:
    """One run of a handler, from its first line to its last; a context manager around it.

    Attributes:
        watching: Whose handler.
        route: Its route; None for what runs before one is found.
        connection: The connection that it serves.
    """

    def __init__(self, watching: Watching, route: Route | None, connection: Connection) -> None:
        """Name the handler."""
        self.watching = watching
        self.route = route
        self.connection = connection
        self.task: ReferenceType[asyncio.Task[Any]] | None = None
        self._token: Token[Speaker | None] | None = None
        self._lines: dict[tuple[str, int], _Line] = {}

    def __enter__(self) -> Self:
        """From here on, what is said in this context is the handler's."""
        task = asyncio.current_task()
        self.task = None if task is None else ref(task)
        self._token = current.set(self)
        ears.attend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell what was printed without a newline, and look for tasks before long."""
        if kind is GeneratorExit:
            # It did not end but was thrown away with its loop, in whatever context that was.
            return
        if self._token is not None:
            current.reset(self._token)
        for (source, _), line in list(self._lines.items()):
            self._tell_line(source, line)
        self.watching.ended(self)

    @property
    def pattern(self) -> str:
        """Its route's pattern, or "" where there is none."""
        return "" if self.route is None else self.route.pattern

    def hear(self, source: str, text: str) -> None:
        """Take what was written to a stream, on any thread; whole lines become records."""
        line = self._lines.setdefault((source, threading.get_ident()), _Line())
        first, *others = text.split("\n")
        line.add(first)
        for other in others:
            self._tell_line(source, line)
            line.add(other)

    def _tell_line(self, source: str, line: _Line) -> None:
        text = line.take()
        if text:
            self.add("print", text, source)

    def add(self, level: str, text: str, source: str = "", details: str | None = None) -> None:
        """Add a line to the log, from any thread."""
        self.watching.add(self, level, text, source, details)

    def __str__(self) -> str:
        return name_handler(self.pattern, self.connection)


class _Line:
    """A line that is being printed: its beginning, and how long it is."""

    __slots__ = ("_kept", "_length")

    def __init__(self) -> None:
        self._kept = ""
        self._length = 0

    def add(self, text: str) -> None:
        self._kept += text[: MAX_LINE - len(self._kept)]
        self._length += len(text)

    def take(self) -> str:
        kept, length = self._kept.rstrip("\r"), self._length
        self._kept, self._length = "", 0
        return kept if length <= MAX_LINE else f"{kept}… ({length:,} characters)"


class Watching:
    """What one server watches while it runs: its handlers, the loop, and what fails unseen beside them.

    Attributes:
        log: The log of its handlers.
        loop_watch: Measures how long its loop is blocked; None while the server does not run.
    """

    def __init__(self, log: HandlersLog, fail: Fail) -> None:
        """Watch nothing yet.

        Args:
            log: The log of the server's handlers.
            fail: Told of what failed.
        """
        self.log = log
        self._fail = fail
        self._home: Home | None = None
        self._watch: Watch | None = None
        self.loop_watch: LoopWatch | None = None
        self._ended: list[ReferenceType[Handling]] = []
        self._timer: asyncio.TimerHandle | None = None
        # What other threads said and the loop has not come to: bounded, as the log is.
        self._elsewhere: deque[tuple[Handling, str, str, str, str | None]] = deque(maxlen=MAX_RECORDS)
        self._lost = 0
        self._is_coming = False
        self._lock = threading.Lock()

    def begin(self, home: Home, blocked_after: float) -> None:
        """Watch from now on.

        Args:
            home: The server's loop.
            blocked_after: How long the loop may be blocked without a word, in seconds.
        """
        self._home = home
        self._watch = Watch.begin(home, self._failed_beside)
        self.loop_watch = LoopWatch.begin(home, self._blocked, blocked_after, _route_in)
        ears.open()

    async def end(self, timeout: float) -> None:
        """Cancel the tasks that handlers left behind, and watch no more; all is as it was before.

        Args:
            timeout: How long those tasks may take to end, in seconds.
        """
        if self._watch is None or self.loop_watch is None:
            return
        watch, loop_watch = self._watch, self.loop_watch
        self._watch = self.loop_watch = None
        try:
            await self._end_tasks(timeout)
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            loop_watch.end(self._blocked)
            watch.end(self._failed_beside)
            ears.close()

    def handling(self, route: Route | None, connection: Connection) -> Handling:
        """A handler's run, to be wrapped around it.

        Args:
            route: Its route; None for what runs before one is found.
            connection: The connection that it serves.
        """
        return Handling(self, route, connection)

    def collect(self) -> None:
        """Look now for what failed or was left behind unseen."""
        if self._watch is not None:
            self._watch.collect()
            self.look()

    # What was said

    def add(self, handling: Handling, level: str, text: str, source: str, details: str | None) -> None:
        """Add a line of a handler to the log, from any thread."""
        if self._home is None or self._home.is_here:
            self._add(handling, level, text, source, details)
            return
        with self._lock:
            self._lost += len(self._elsewhere) == MAX_RECORDS
            self._elsewhere.append((handling, level, text, source, details))
            is_coming, self._is_coming = self._is_coming, True
        if not is_coming:
            self._home.call(self._take_elsewhere)

    def _take_elsewhere(self) -> None:
        with self._lock:
            said, self._is_coming = list(self._elsewhere), False
            self._elsewhere.clear()
            # Counted as if they had been added and forgotten.
            self.log.total, self._lost = self.log.total + self._lost, 0
        for one in said:
            self._add(*one)

    def _add(self, handling: Handling, level: str, text: str, source: str, details: str | None) -> None:
        route, connection = handling.pattern, handling.connection
        self.log.add(level, text, route=route, connection=connection, source=source, details=details)

    # What failed beside the handlers

    def _failed_beside(self, error: Exception, where: str, context: Context) -> None:
        handling = _handling_in(context)
        if handling is None:
            self._fail(error, None, None, where)
        else:
            # Of what a stopped server left behind, the one that runs tells: nobody may ask the other any more.
            watching = self if handling.watching.loop_watch is None else handling.watching
            watching.failed(handling, error, where)

    def failed(self, handling: Handling, error: Exception, where: str) -> None:
        """Tell of what failed in a task or a callback that a handler started."""
        self._fail(error, handling.route, handling.connection, where)

    def _blocked(self, block: Block) -> None:
        handling = _handling_in(block.context)
        log = self.log if handling is None else handling.watching.log
        by = block.by if handling is None else f"{handling}: {block.by}"
        instead = _IN_A_CELL if handling is None else _IN_A_HANDLER
        brief = f"{say_seconds(block.seconds)} by {by}{_others(block)}"
        is_long = block.seconds >= LONG
        advice = f"; no server on it answers meanwhile: {instead}" if is_long else ""
        log.add(
            "warning" if is_long else "info",
            f"the loop was blocked for {brief}{advice}",
            route="" if handling is None else handling.pattern,
            connection=None if handling is None else handling.connection,
            kind=NoteKind.BLOCKED,
            brief=brief,
        )

    # What was left behind

    def ended(self, handling: Handling) -> None:
        """Take a handler that has ended, to look for its tasks."""
        # Nobody holds its context: nothing was left, and the reference dies with the caller's.
        self._ended.append(ref(handling))
        if self._timer is None and self._home is not None and self._watch is not None:
            self._timer = self._home.loop.call_later(LOOK_AFTER, self.look, context=Context())

    def look(self) -> None:
        """Tell of the handlers that have ended and whose tasks still run; of each once."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ended, self._ended = self._ended, []
        alive = [handling for reference in ended if (handling := reference()) is not None]
        left: dict[Handling, list[str]] = {handling: [] for handling in alive}
        if not alive:
            return
        for handling, task in self._tasks():
            if handling in left:
                left[handling].append(name_of(task))
        for handling, names in left.items():
            if names:
                handling.add("warning", f"the handler ended and left {_count(names)} running: {_some(names)}")

    def _tasks(self) -> Iterable[tuple[Handling, asyncio.Task[Any]]]:
        """The tasks that this server's handlers started and that have not ended."""
        loop = None if self._home is None else self._home.loop
        for task in asyncio.all_tasks(loop):
            handling = _handling_in(context_of(task))
            if handling is not None and handling.watching is self and _own_task(handling) is not task:
                yield handling, task

    async def _end_tasks(self, timeout: float) -> None:
        self.look()
        left = {task: handling for handling, task in self._tasks()}
        for task in left:
            task.cancel()
        if not left:
            return
        _, stuck = await asyncio.wait(left, timeout=timeout)
        for task in stuck:
            text = f"task {name_of(task)} goes on {timeout:g} s after it was cancelled by stop()"
            self.failed(left[task], LeftBehindError(text), f"in task {name_of(task)}")


def _handling_in(context: Context) -> Handling | None:
    """The handler that runs in a context, or that started what does."""
    speaker = context.get(current)
    return speaker if isinstance(speaker, Handling) else None


def _route_in(context: Context) -> Route | None:
    """The route of the handler that runs in a context; None for a cell's code."""
    handling = _handling_in(context)
    return None if handling is None else handling.route


def _own_task(handling: Handling) -> asyncio.Task[Any] | None:
    return None if handling.task is None else handling.task()


def _count(names: list[str]) -> str:
    return "a task" if len(names) == 1 else f"{len(names)} tasks"


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(sorted(names)[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _others(block: Block) -> str:
    if not block.others:
        return ""
    times = "once more" if block.others == 1 else f"{block.others} times more"
    return f", and {times} for {say_seconds(block.others_seconds)} together"


def say_seconds(seconds: float) -> str:
    """A time in words: "80 ms", "2.1 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
