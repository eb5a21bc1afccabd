"""The timeline panel: every entry in one line, drawn only where it is in sight."""

from __future__ import annotations

from lane_kernel.net.home import Home
from lane_kernel.panels.rowpanel import RowPanel
from lane_kernel.panels.rows import timeline_cells
from lane_kernel.panels.still import timeline_html
from lane_kernel.timeline import Timeline

_HINT = (
    "No bytes yet: send a frame, or point any client at the server's address. Whatever crosses a socket appears here."
)


class TimelinePanel(RowPanel):
    """A timeline's entries, one line each: number, time, connection, direction, what it is, length and beginning."""

    def __init__(self, timeline: Timeline, *, home: Home | None = None, hint: str = _HINT) -> None:
        """Show a timeline.

        Args:
            timeline: What to show, such as `server.timeline`.
            home: Where callbacks run; the caller's loop by default.
            hint: What to say while the timeline is empty.
        """
        super().__init__("timeline", timeline, timeline_cells, home=home, hint=hint)

    def still(self) -> str:
        """The panel as HTML without script, for where no front end runs."""
        return timeline_html(self.timeline)
