"""What handlers say, heard where they say it: on `sys.stdout` and `sys.stderr`, and through `logging`.

A context variable says who speaks. Tasks, callbacks and `asyncio.to_thread` inherit it. All that is heard still goes
where it went before.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import FrameType
from typing import Any, Protocol

MAX_LINE = 4096
"""Characters of a line that are kept; its length is said where it is longer."""


class Speaker(Protocol):
    """Who speaks; called on whatever thread it speaks on."""

    def hear(self, source: str, text: str) -> None:
        """Take what was written to "stdout" or "stderr"."""

    def add(self, level: str, text: str, source: str = "", details: str | None = None) -> None:
        """Take a line of the level, with its traceback; the source is the logger's name."""


current: ContextVar[Speaker | None] = ContextVar("lane_kernel_speaker", default=None)
"""Who speaks in this context, or None for the cells and whatever else is none of ours."""


class _Stream:
    """A standard stream that lets handlers be heard, and is else the stream that it stands for."""

    def __init__(self, stream: Any, source: str) -> None:
        vars(self).update(_stream=stream, _source=source)

    def write(self, text: str) -> Any:
        handling = current.get()
        if handling is None:
            return self._stream.write(text)
        if not _is_logging_at_work():
            handling.hear(self._source, text)
        # It is heard once, also where the stream hands it to another one of ours.
        token = current.set(None)
        try:
            return self._stream.write(text)
        finally:
            current.reset(token)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_stream"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        # IPython wraps the `write` of what it finds while a cell runs; on the stream itself that would call us again.
        if name in ("write", "writelines"):
            vars(self)[name] = value
        else:
            setattr(self._stream, name, value)

    @property
    def __class__(self) -> type:
        """The stream's, for those who ask what it is an instance of."""
        return type(self._stream)

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("the class of a standard stream stays")


_HANDS_OUT = logging.Logger.callHandlers.__code__


def _is_logging_at_work() -> bool:
    """Whether it is a log's handler that writes; what it writes has been heard as the record that it is."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the public way to the caller's frame
    while frame is not None and frame.f_code is not _HANDS_OUT:
        frame = frame.f_back
    return frame is not None


class _Records:
    """A record factory that lets handlers be heard; the one before it makes the records."""

    def __init__(self, before: Callable[..., logging.LogRecord]) -> None:
        self.before = before
        self.is_heard = True

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record = self.before(*arguments, **named)
        handling = current.get()
        # `logging.makeLogRecord` asks for one without a name, of a record that was heard where it was made.
        if handling is not None and self.is_heard and record.name and not _is_told_already(record):
            handling.add(_level(record.levelno), _message(record), record.name, _details(record))
        return record


class Ears:
    """What listens to the streams and to `logging` while servers run, on any thread; at the last's end it is gone.

    Whoever replaces a stream or the record factory meanwhile keeps what they put there. Where they put ours back after
    all servers have stopped, it only passes on.

    A record factory, and not a handler of the root logger: with a handler there, a person's `logging.basicConfig()`
    would do nothing, and warnings that no handler was set up for would no longer be written to stderr.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._records: _Records | None = None

    def open(self) -> None:
        """Listen, for one server more."""
        with self._lock:
            self._open += 1
            if self._records is None:
                self._records = _Records(logging.getLogRecordFactory())
                logging.setLogRecordFactory(self._records)
        self.attend()

    def attend(self) -> None:
        """Listen to the streams as they are now; someone may have replaced them."""
        if type(sys.stdout) is _Stream and type(sys.stderr) is _Stream:
            return
        with self._lock:
            for name in ("stdout", "stderr") if self._open else ():
                stream = getattr(sys, name)
                if stream is not None and type(stream) is not _Stream:
                    setattr(sys, name, _Stream(stream, name))

    def close(self) -> None:
        """Listen for one server less."""
        with self._lock:
            self._open -= 1
            if self._open:
                return
            for name in ("stdout", "stderr"):
                if type(stream := getattr(sys, name)) is _Stream:
                    setattr(sys, name, vars(stream)["_stream"])
            if self._records is not None:
                self._records.is_heard = False
                if logging.getLogRecordFactory() is self._records:
                    logging.setLogRecordFactory(self._records.before)
                self._records = None


ears = Ears()
"""There is one, since the streams and `logging` are there once."""


def _is_told_already(record: logging.LogRecord) -> bool:
    """Whether asyncio reports an error of a task or a callback, which `Watch` tells."""
    return record.name == "asyncio" and bool(record.exc_info)


def _level(number: int) -> str:
    levels = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))
    return next((name for least, name in levels if number >= least), "debug")


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001 - logging itself reports it where it writes the record
        text = f"{record.msg} (its arguments do not fit: {error})"
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}… ({len(text):,} characters)"


def _details(record: logging.LogRecord) -> str | None:
    """The traceback of a record, or None."""
    error = None if record.exc_info is None else record.exc_info[1]
    return None if error is None else "".join(traceback.format_exception(error))
