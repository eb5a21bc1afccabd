"""A server on a loop of its own thread, for cells that block.

A cell that calls its own server with a blocking client waits for a server that waits for the cell to end. Here the
server goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from concurrent.futures import Future
from types import TracebackType

from lane_kernel.errors import LaneError
from lane_kernel.net.home import Home
from lane_kernel.server.server import STOP_TIMEOUT, Server, servers

START_TIMEOUT = 10.0
"""Bound on the wait for a server to listen, in seconds; it may have to stop another one of its name first."""

_MARGIN = 1.0
"""What ending takes besides the server's own bound, in seconds."""


class ThreadError(LaneError):
    """A server cannot run in a thread, or its thread does not end."""


class InThread:
    """A server that runs in a thread; `in_thread` makes it.

    Attributes:
        server: The server. Its log, its timeline and `check` are read from any thread.
    """

    def __init__(self, server: Server) -> None:
        """Start the thread, and wait until its server listens."""
        self.server = server
        self._timeout = STOP_TIMEOUT
        self._home: Home | None = None
        self._end = asyncio.Event()
        self._started: Future[None] = Future()
        # A daemon, so that what does not end cannot keep the interpreter from it.
        self._thread = threading.Thread(target=self._run, name=f"server {server.name}", daemon=True)
        # This thread may have written the store so far, and now another one does, too.
        server.capture.share()
        self._thread.start()
        try:
            self._started.result(START_TIMEOUT)
        except TimeoutError:
            self._started.cancel()
            raise ThreadError(f"server {server.name!r} did not start within {START_TIMEOUT:g} s") from None
        atexit.register(self.stop)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            atexit.unregister(self.stop)

    async def _serve(self) -> None:
        """Serve until the server has stopped, by whomever."""
        self._home = home = Home.here()
        self.server.when_stopped(self._end.set)
        try:
            await self.server.start()
        except BaseException as error:  # noqa: BLE001 - raised again on the thread that waits for the start
            self._started.set_exception(error)
            return
        if self._started.set_running_or_notify_cancel():
            self._started.set_result(None)
            await self._end.wait()
        # Else it has been started elsewhere since.
        if self.server.home is not None and self.server.home.loop is home.loop:
            await self.server.stop(self._timeout)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop the server and end its thread; harmless where it has ended.

        Args:
            timeout: The bound on the server's stop in seconds, as `Server.stop` has it.

        Raises:
            ThreadError: The thread did not end.
        """
        self._timeout = timeout
        if self._home is not None:
            with contextlib.suppress(RuntimeError):  # its loop has closed this very moment
                self._home.call(self._end.set)
        self._thread.join(timeout + _MARGIN)
        if self._thread.is_alive():
            seconds = timeout + _MARGIN
            raise ThreadError(f"the thread of server {self.server.name!r} did not end within {seconds:g} s")

    def __enter__(self) -> Server:
        """Give the server, which listens."""
        return self.server

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def __repr__(self) -> str:
        return f"<InThread {self.server!r}>"


def in_thread(server: Server) -> InThread:
    """Run a server on a loop of its own thread, so that a cell may block while it is served.

        with lane.in_thread(server) as server:
            urllib.request.urlopen(server.url("/hello")).read()

    Its handlers run on that thread, too: what they share with the notebook's cells has to allow that. Without `with`,
    it runs until `stop()`, or `await server.stop()`, which lets clients in the notebook answer the Close meanwhile.
    Starting another server of its name, here or in a thread, stops it as ever.

    Args:
        server: A server that does not run; one that runs in another thread is stopped there first.

    Raises:
        ListenError: The port is in use.
        ThreadError: It, or one of its name, runs on the loop of the calling thread, which cannot stop it meanwhile.
    """
    for other in {server, *(one for one in servers() if one.name == server.name)}:
        home = other.home
        if not other.running or home is None or home.loop.is_closed():
            continue
        if home.is_here:
            raise ThreadError(
                f"server {other.name!r} runs on this cell's own loop, which this call holds up: "
                "`await server.stop()` first, or give the new server another name"
            )
        if other is server:
            home.start(server.stop()).result(STOP_TIMEOUT + _MARGIN)
    return InThread(server)
