"""The playground: every panel of one server, side by side, or one below the other where the page is narrow."""

from __future__ import annotations

from typing import Any

import ipywidgets

from lane_kernel.panels.base import keep_home
from lane_kernel.panels.composer import Composer
from lane_kernel.panels.eventlog import EventLog
from lane_kernel.panels.handlers import HandlersPanel
from lane_kernel.panels.inspector import Inspector
from lane_kernel.panels.status import StatusBar
from lane_kernel.panels.still import Still
from lane_kernel.panels.timeline import TimelinePanel
from lane_kernel.server import Server

_TABS = ("Handlers", "Composer", "Events")


class Playground(Still, ipywidgets.VBox):
    """A server's handlers, composer and events on the left; its timeline over the inspector on the right.

    Attributes:
        server: What it plays with.
        status: The status bar.
        handlers: The handlers and their editor.
        composer: The form for a frame.
        events: The events of event streams.
        timeline: Every entry.
        inspector: The bytes and fields of the chosen entry.
        tabs: The left side.
    """

    _parts: tuple[ipywidgets.Widget, ...] = ()

    def __init__(self, server: Server) -> None:
        """Show everything of a server.

        Args:
            server: What to play with; it need not run yet.
        """
        self.server = server
        hint = (
            "No bytes yet: send a frame from the Composer, or point any client at the address above. "
            "Where no address stands, run `await server.start()` in a cell."
        )
        self.timeline = TimelinePanel(server.timeline, hint=hint)
        home = self.timeline.home
        self.inspector = Inspector(server.timeline, home=home)
        self.status = StatusBar(server, frames=lambda: self.timeline.source.frames, home=home)
        self.handlers = HandlersPanel(server)
        self.composer = Composer(server)
        self.events = EventLog(server.timeline, home=home)
        self.tabs = ipywidgets.Tab([self.handlers, self.composer, self.events], titles=_TABS)
        right = ipywidgets.VBox([self.timeline, self.inspector])
        columns = ipywidgets.Box([self.tabs, right])
        columns.add_class("lane-columns")
        super().__init__([self.status, columns])
        self.add_class("lane-playground")
        panels = (self.status, self.handlers, self.composer, self.events, self.timeline, self.inspector)
        self._parts = (*panels, columns, right, self.tabs)
        keep_home(self.tabs, home)
        self.timeline.observe(self._chosen, "selected")
        self.events.observe(lambda change: self.timeline.select(change["new"]), "selected")

    def _chosen(self, change: dict[str, Any]) -> None:
        self.inspector.show_index(change["new"])

    @property
    def is_watched(self) -> bool:
        """Whether a page has shown it."""
        return self.timeline.is_watched

    async def start(self) -> None:
        """Start the server, as the status bar's button does."""
        await self.status.start()

    async def stop(self) -> None:
        """Stop the server, as the status bar's button does."""
        await self.status.stop()

    def still(self) -> str:
        """The playground as HTML without script: its timeline, its inspector and its events."""
        return self.timeline.still() + self.inspector.still() + self.events.still()

    def close(self) -> None:
        """Stop every feed and close every page; the server goes on."""
        for part in self._parts:
            part.close()
        super().close()
