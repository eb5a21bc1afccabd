"""The handlers' log: what handlers said and how they failed, with route and connection.

A notebook loses both: a task's traceback is silent, and a callback's print goes to a console that nobody opens.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from lane_kernel.capture import Connection, NoteKind, Store

_PACKAGE = Path(__file__).resolve().parents[1]

_SHOWN = 10

MAX_RECORDS = 1000
"""Records kept; older ones are forgotten, and `total` still counts them."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line of the log.

    Attributes:
        time_ns: When, in nanoseconds since the store began.
        route: The route's pattern, or "" where none was reached.
        connection: The connection's number, or None.
        level: "info", "warning" for what a peer did wrong, "error" for what a handler did; "print" for what a handler
            printed, and the level of what it logged: "debug", "info", "warning" or "error".
        text: The line.
        line: For an error, the line of the handler's source that it came from, where that can be told.
        traceback: For an error, its traceback.
        source: "stdout" or "stderr" for what was printed, the logger's name for what was logged, else "".
    """

    time_ns: int
    route: str
    connection: int | None
    level: str
    text: str
    line: int | None = None
    traceback: str | None = None
    source: str = ""

    def __str__(self) -> str:
        who = _name(self.route, self.connection) if self.route or self.connection is not None else ""
        return f"{self.time_ns / 1e9:.3f} s  {self.level}  " + (f"{who}: {self.text}" if who else self.text)


class HandlersLog:
    """The last records, and the errors that nobody has collected yet.

    Attributes:
        records: The last records, oldest first.
        total: How many there ever were.
    """

    def __init__(self, store: Store) -> None:
        """Begin empty.

        Args:
            store: Where each record also becomes a note, in its place among the bytes.
        """
        self.records: deque[LogRecord] = deque(maxlen=MAX_RECORDS)
        self.total = 0
        self._store = store
        self._lock = threading.RLock()  # reentrant, since the collector may find a failed task inside
        self._failures: deque[Exception] = deque(maxlen=MAX_RECORDS)

    def __repr__(self) -> str:
        """The last lines in plain text, as a cell shows them."""
        with self._lock:
            last, total = list(self.records)[-_SHOWN:], self.total
        if not last:
            return "the handlers' log: no records"
        count = "1 record" if total == 1 else f"{total:,} records"
        head = f"the handlers' log: {count}" + (f", the last {len(last)}:" if total > len(last) else ":")
        return "\n".join((head, *(f"  {record}" for record in last)))

    def add(
        self,
        level: str,
        text: str,
        *,
        route: str = "",
        connection: Connection | None = None,
        line: int | None = None,
        details: str | None = None,
        source: str = "",
        kind: NoteKind = NoteKind.LOG,
        brief: str = "",
    ) -> None:
        """Add a line.

        Args:
            level: How grave it is, or "print".
            text: The line.
            route: The pattern of the handler's route.
            connection: The connection it is about.
            line: The line of the handler's source that it came from.
            details: The traceback.
            source: Who says it, where that is not the server.
            kind: What the note in the capture tells.
            brief: What the note shows, where that is not the line.
        """
        number = None if connection is None else connection.number
        with self._lock:
            self.records.append(LogRecord(self._store.now_ns(), route, number, level, text, line, details, source))
            self.total += 1
        what = f"log {level}" if kind is NoteKind.LOG else f"loop {kind.value}"
        self._store.note(kind, connection, what, preview=brief or text, route=route)

    def fail(
        self,
        error: Exception,
        route: str = "",
        connection: Connection | None = None,
        line: int | None = None,
        where: str | None = None,
    ) -> None:
        """Add an error of a handler, or of what runs beside it; `collect` hands it out.

        Args:
            error: The error.
            route: The pattern of the handler's route.
            connection: The connection it served.
            line: The line of the handler's source that it came from.
            where: Where it happened, where that was not in the handler itself.
        """
        error.__traceback__ = _without_ours(error.__traceback__)
        handler = name_handler(route, connection)
        error.add_note(f"in {handler}" if where is None else f"{where}, started by {handler}" if route else where)
        self._failures.append(error)
        self.add(
            "error",
            f"{type(error).__name__}: {error}" + (f" ({where})" if where else ""),
            route=route,
            connection=connection,
            line=line,
            details="".join(traceback.format_exception(error)),
        )

    def inherit(self, other: HandlersLog) -> None:
        """Take over the errors that nobody has collected from another log."""
        self._failures.extend(other.collect())

    def collect(self) -> list[Exception]:
        """Take the errors since the last call."""
        with self._lock:
            # One by one: a handler may fail meanwhile in its server's own thread.
            return [self._failures.popleft() for _ in range(len(self._failures))]


def name_handler(route: str, connection: Connection | None) -> str:
    """A handler in words: "the handler of /chat, connection 3"."""
    return _name(route, None if connection is None else connection.number)


def _name(route: str, connection: int | None) -> str:
    place = "" if connection is None else f", connection {connection}"
    return f"the handler of {route or 'no route'}{place}"


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame on that is not of this package; all of it where there is none."""
    first = trace
    while first is not None and Path(first.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE):
        first = first.tb_next
    return first or trace


def line_in(error: BaseException, filename: str) -> int | None:
    """The innermost line of a traceback that lies in a file, or None."""
    if isinstance(error, SyntaxError) and error.filename == filename:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    return lines[-1] if lines else None
