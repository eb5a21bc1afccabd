"""The status bar: where the server is, how much it has seen, and how long its loop was blocked."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import traitlets

from lane_kernel.errors import LaneError
from lane_kernel.net.home import Home
from lane_kernel.panels.base import Panel
from lane_kernel.server import Server
from lane_kernel.server.watching import LONG

_POLL = 0.25


class StatusBar(Panel):
    """A server's address, its counters, and its Stop and Start.

    Attributes:
        server: Whose status.
        state: What the page shows.
    """

    state = traitlets.Dict().tag(sync=True)

    def __init__(self, server: Server, *, frames: Callable[[], int] | None = None, home: Home | None = None) -> None:
        """Show a server's status.

        Args:
            server: Whose status.
            frames: Counts the frames seen so far, where someone counts them.
            home: Where callbacks run; the caller's loop by default.
        """
        self.server = server
        self._frames = frames
        super().__init__("status", home)
        self.refresh()
        self.while_watched(_POLL, self.refresh)

    def refresh(self) -> None:
        """Show what is so now; nothing is sent where nothing has changed."""
        server, store = self.server, self.server.capture
        self.state = {
            "running": server.running,
            "replaced": server.is_replaced,
            "address": server.url("") if server.running else "",
            "connections": len(server.connections),
            "frames": None if self._frames is None else self._frames(),
            "dropped": store.dropped,
            "size": store.size,
            "budget": store.budget,
            "blocked": self._blocked(),
        }

    def _blocked(self) -> dict[str, Any] | None:
        """How long the server's loop was blocked: by whom the longest time, and whether that is worth a warning."""
        watch = self.server.watching.loop_watch
        if watch is None or watch.last is None or watch.longest is None:
            return None
        return {
            "count": watch.count,
            "last": round(watch.last.seconds, 3),
            "longest": round(watch.longest.seconds, 3),
            "by": watch.longest.by,
            "long": watch.longest.seconds >= LONG,
        }

    async def start(self) -> None:
        """Start the server, as the button does.

        Raises:
            LaneError: It cannot listen.
        """
        await self.server.start()
        self.refresh()

    async def stop(self) -> None:
        """Stop the server, as the button does."""
        await self.server.stop()
        self.refresh()

    def heard(self, content: dict[str, Any]) -> None:
        """Do what a person pressed on the page."""
        self.refresh()
        if content.get("type") == "start":
            self.home.start(self._finish(self.start()))
        elif content.get("type") == "stop":
            self.home.start(self._finish(self.stop()))

    async def _finish(self, action: Coroutine[Any, Any, None]) -> None:
        try:
            await action
        except LaneError as error:
            self.trouble = str(error)
        except Exception as error:
            self.trouble = f"{type(error).__name__}: {error}"
            raise
