"""What the timeline and the event log share in the kernel: a feed's rows, a selection and whether the page follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import traitlets

from lane_kernel.net.home import Home
from lane_kernel.panels.base import Panel, PanelError
from lane_kernel.panels.feed import Feed, RowSource
from lane_kernel.panels.rows import Cells
from lane_kernel.panels.still import Still
from lane_kernel.timeline import Entry, Timeline


class RowPanel(Still, Panel):
    """A panel of a timeline's rows.

    Attributes:
        timeline: What is shown.
        selected: The index of the chosen entry, or None.
        following: Whether the page keeps the newest rows in sight.
        hint: What the page says while there are no rows.
    """

    selected = traitlets.Int(None, allow_none=True).tag(sync=True)
    following = traitlets.Bool(True).tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    _joined: RowSource | None = None

    def __init__(
        self,
        name: str,
        timeline: Timeline,
        cells: Callable[[Entry], Cells],
        wants: Callable[[Entry], bool] | None = None,
        home: Home | None = None,
        hint: str = "",
    ) -> None:
        """Join the timeline's feed.

        Args:
            name: The bundle's name.
            timeline: What is shown.
            cells: What strings a row has.
            wants: Which entries have a row; all by default.
            home: Where callbacks run; the caller's loop by default.
            hint: What the page says while there are no rows.
        """
        if not isinstance(timeline, Timeline):
            raise PanelError(f"a panel of rows shows a timeline, no {type(timeline).__name__}: give it server.timeline")
        super().__init__(name, home, hint=hint)
        self.timeline = timeline
        feed = Feed.of(timeline, self.home)
        self.source = RowSource(feed, self.send, cells, wants=wants, watched=lambda: self.is_watched)
        self._joined = self.source

    def heard(self, content: dict[str, Any]) -> None:
        """Answer a page that has come, or that lacks rows."""
        if content.get("type") == "hello":
            self.source.hello()
        elif content.get("type") == "rows":
            self.source.ask(int(content["first"]), int(content["count"]))

    def wake(self) -> None:
        """A page shows the panel: the feed takes its turns again."""
        super().wake()
        self.source.feed.wake()

    def select(self, index: int | None) -> None:
        """Choose an entry, as a click on its row does.

        Args:
            index: The entry's place in the timeline, from the end where it is negative; None for none.

        Raises:
            IndexError: There is no such entry.
        """
        if index is not None:
            index = self.timeline[index].index
            self.following = False
        self.selected = index

    def follow(self, on: bool = True) -> None:
        """Keep the newest rows in sight, or stop, as the follow button does."""
        self.following = on

    def close(self) -> None:
        """Stop the feed's turns for this panel and close its pages."""
        if self._joined is not None:
            self._joined.close()
        super().close()
