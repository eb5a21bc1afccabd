"""The event log panel: the events of event streams, one line each."""

from __future__ import annotations

from lane_kernel.net.home import Home
from lane_kernel.panels.rowpanel import RowPanel
from lane_kernel.panels.rows import event_cells
from lane_kernel.panels.still import events_html
from lane_kernel.timeline import Entry, EntryKind, Timeline

_HINT = "No events yet: open an EventSource on one of the server's event streams."


def _is_event(entry: Entry) -> bool:
    return entry.kind is EntryKind.EVENT


class EventLog(RowPanel):
    """The events that were dispatched: time, connection, last event ID, type, data and reconnection time."""

    def __init__(self, timeline: Timeline, *, home: Home | None = None, hint: str = _HINT) -> None:
        """Show the events of a timeline.

        Args:
            timeline: Whose events, such as `server.timeline`.
            home: Where callbacks run; the caller's loop by default.
            hint: What to say while there are none.
        """
        super().__init__("eventlog", timeline, event_cells, _is_event, home=home, hint=hint)

    def still(self) -> str:
        """The panel as HTML without script, for where no front end runs."""
        return events_html(self.timeline)
