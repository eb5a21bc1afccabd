"""What fails unseen on a loop: tasks nobody awaits, callbacks, and the threads beside them.

asyncio tells its exception handler of a failed callback at once, and of a failed task when the task is forgotten. Of a
task that somebody keeps it tells nobody, so `collect` looks for those.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

from lane_kernel.net.home import Home

Report = Callable[[Exception, str, Context], object]
"""Told of an error, of where it happened, such as "in task refresh()", and of the context it happened in (an empty one
where that cannot be told); called on the loop's thread."""

_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()


class Watch:
    """Tells of what fails unseen on one loop; whatever handled it before still does.

    There is one for each loop. The last of those who asked is told, so that each failure is told once.
    """

    def __init__(self, home: Home) -> None:
        """Begin to watch. Use `begin`, which shares watches."""
        self._home = home
        self._reports: list[Report] = []
        self._loop_before = home.loop.get_exception_handler()
        self._threads_before = threading.excepthook
        # Bound once: to be compared when the watch ends.
        self._on_loop, self._on_thread = self._loop_failed, self._thread_failed
        home.loop.set_exception_handler(self._on_loop)
        threading.excepthook = self._on_thread

    @classmethod
    def begin(cls, home: Home, report: Report) -> Watch:
        """Watch a loop from now on.

        Args:
            home: The loop.
            report: Told of each failure until `end`.
        """
        watch = _watches.get(home.loop)
        if watch is None:
            watch = _watches[home.loop] = cls(home)
        watch._reports.append(report)
        return watch

    def end(self, report: Report) -> None:
        """Tell one of those who asked no more; after the last, all is as it was before."""
        self.collect()
        self._reports.remove(report)
        if self._reports:
            return
        del _watches[self._home.loop]
        if self._home.loop.get_exception_handler() == self._on_loop:
            self._home.loop.set_exception_handler(self._loop_before)
        if threading.excepthook == self._on_thread:
            threading.excepthook = self._threads_before

    def collect(self) -> None:
        """Tell of the failed tasks that somebody keeps, and nobody has asked how they went."""
        gc.collect()
        for task in [one for one in gc.get_objects() if issubclass(type(one), asyncio.Task)]:
            # asyncio's own mark of a failure that nobody has seen; it has no public name.
            if task.get_loop() is self._home.loop and task.done() and getattr(task, "_log_traceback", False):
                error = task.exception()
                if isinstance(error, Exception):
                    self._tell(error, f"in {_place(task)}", context_of(task))

    def _tell(self, error: Exception, where: str, context: Context) -> None:
        if self._reports:
            self._reports[-1](error, where, context)

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            failed = context.get("task") or context.get("future") or context.get("handle")
            self._tell(error, f"in {_place(failed)}", context_of(failed))
        if self._loop_before is None:
            loop.default_exception_handler(context)
        else:
            self._loop_before(loop, context)

    def _thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        if isinstance(failure.exc_value, Exception):
            name = "a thread" if failure.thread is None else f"thread {failure.thread.name}"
            self._home.call(self._tell, failure.exc_value, f"in {name}", Context())
        self._threads_before(failure)


def context_of(owner: object) -> Context:
    """The context that a task or a callback runs in; an empty one where it has none."""
    if hasattr(owner, "get_context"):
        found = owner.get_context()
        return found if isinstance(found, Context) else Context()
    # Before Python 3.12 the context has no public name; it is the first that the collector sees.
    return next((held for held in gc.get_referents(owner) if isinstance(held, Context)), Context())


def name_of(task: asyncio.Task[Any]) -> str:
    """What a task runs, such as "refresh()"."""
    name: str = getattr(task.get_coro(), "__qualname__", task.get_name())
    return f"{name.rpartition('<locals>.')[2]}()"


def _place(failed: object) -> str:
    return f"task {name_of(failed)}" if isinstance(failed, asyncio.Task) else "a callback of the loop"
