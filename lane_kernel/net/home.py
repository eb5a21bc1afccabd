"""The loop and the thread that a server, a client or a panel lives on, and the one place that marshals to them.

Widget callbacks arrive on any thread; whatever they start goes through a `Home`. What it starts runs in an empty
context, so that it does not belong to the cell that happened to be running.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar, TypeVarTuple

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class Repeating:
    """A call that is made again and again until it is stopped."""

    def __init__(self, home: Home, seconds: float, function: Callable[[], object]) -> None:
        """Begin at once.

        Args:
            home: Where to call it.
            seconds: The pause after each call.
            function: What to call. What it raises goes to the loop's exception handler, and ends nothing.
        """
        self._home = home
        self._seconds = seconds
        self._function = function
        self._handle: asyncio.TimerHandle | None = None
        self._stopped = False
        home.call(self._plan)

    def _plan(self) -> None:
        if not self._stopped:
            self._handle = self._home.loop.call_later(self._seconds, self._run, context=contextvars.Context())

    def _run(self) -> None:
        try:
            self._function()
        finally:
            self._plan()

    def stop(self) -> None:
        """Call no more."""
        self._stopped = True
        self._home.call(self._cancel)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class Home:
    """One event loop and the thread it runs on.

    Attributes:
        loop: The event loop.
        thread_id: The thread that the loop runs on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, thread_id: int) -> None:
        """Name a loop and its thread."""
        self.loop = loop
        self.thread_id = thread_id
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    def here(cls) -> Home:
        """The loop that runs on this thread.

        Raises:
            RuntimeError: No loop runs on this thread.
        """
        return cls(asyncio.get_running_loop(), threading.get_ident())

    @property
    def is_here(self) -> bool:
        """Whether the caller is on this home's thread."""
        return threading.get_ident() == self.thread_id

    def call(self, function: Callable[[*Arguments], object], *arguments: *Arguments) -> None:
        """Call a function on the home's thread: now if this is it, else as soon as its loop comes round."""
        if self.is_here:
            function(*arguments)
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(function, *arguments, context=contextvars.Context())

    def start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Run a coroutine on the home's loop, from any thread.

        Args:
            coroutine: What to run. The home owns its task.

        Returns:
            A future of another thread's kind: never wait for it on the home's own thread.
        """
        future: Future[Result] = Future()
        self.call(self._begin, coroutine, future)
        return future

    def _begin(self, coroutine: Coroutine[Any, Any, Result], future: Future[Result]) -> None:
        task = self.loop.create_task(coroutine, context=contextvars.Context())
        self._tasks.add(task)

        def finish(done: asyncio.Task[Result]) -> None:
            self._tasks.discard(done)
            if done.cancelled():
                future.cancel()
            elif (error := done.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(done.result())

        task.add_done_callback(finish)

    def every(self, seconds: float, function: Callable[[], object]) -> Repeating:
        """Call a function on this loop again and again, in an empty context.

        Args:
            seconds: The pause between two calls.
            function: What to call.
        """
        return Repeating(self, seconds, function)
