"""Rows for the page: a record of fixed size for each, their strings behind one another in a second buffer.

The page reaches any row without reading the others and decodes strings only of what it draws; here a row costs one
`struct` call. The same layout is read by `frontend/src/rows.js`; `frontend/tests/fixtures/rows.json` holds both to
it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable

from lane_kernel.sides import Direction
from lane_kernel.timeline import Entry, EntryKind
from lane_kernel.wire.rules import Severity

RECORD = struct.Struct("<ddIIIIHHHHBBBBI")
"""time_ns, delta_ns, index, connection, length, text's start, four cells' lengths, kind, direction, sign, 0, 0."""

KINDS = ("connection", "request", "response", "body", "frame", "event", "comment", "log", "close", "blocked", "fault")
"""Kinds by their number in a record."""

_KINDS = {EntryKind(name): number for number, name in enumerate(KINDS)}
_DIRECTIONS = {None: 0, Direction.TO_SERVER: 1, Direction.TO_CLIENT: 2}
_SIGNS = {Severity.NOTE: 1, Severity.WARNING: 2, Severity.ERROR: 3}
_LONGEST_CELL = 400
_JUDGED = 64 * 1024
_MOST = 0xFFFFFFFF

Cells = tuple[str, str, str, str]
"""The strings of a row; what they are depends on the panel."""


def timeline_cells(entry: Entry) -> Cells:
    """What the timeline shows of an entry besides numbers."""
    what, preview = entry.glance()
    return what, preview, "", ""


def event_cells(entry: Entry) -> Cells:
    """What the event log shows of an event besides numbers."""
    event = entry.event
    if event is None:
        return "", "", "", ""
    retry = getattr(entry.detail, "retry", None)
    return event.last_event_id, event.type, event.data, "" if retry is None else str(retry)


def sign_of(entry: Entry) -> int:
    """How grave an entry's findings are: 0 for none, 3 for an error.

    The payload of a large frame is not read for its sign, which would hold up the loop; the inspector reads it.
    """
    findings = entry.findings if entry.length <= _JUDGED else entry.seen
    return max((_SIGNS[finding.severity] for finding in findings), default=0)


def pack(
    entries: Iterable[Entry],
    cells: Callable[[Entry], Cells] = timeline_cells,
    before_ns: int | None = None,
    text_start: int = 0,
) -> tuple[bytes, bytes]:
    """Write rows.

    Args:
        entries: Whose rows, in order.
        cells: What strings a row has.
        before_ns: The time of the row before the first, or None where there is none.
        text_start: Where the text will stand in its buffer.

    Returns:
        The records, and the text that they point into.
    """
    records: list[bytes] = []
    text: list[bytes] = []
    at = text_start
    for entry in entries:
        parts = [_cell(cell) for cell in cells(entry)]
        lengths = [len(part) for part in parts]
        time_ns = entry.time_ns
        records.append(
            RECORD.pack(
                time_ns,
                math.nan if before_ns is None else time_ns - before_ns,
                entry.index,
                0 if entry.connection is None else entry.connection.number,
                min(entry.length, _MOST),
                at,
                *lengths,
                _KINDS[entry.kind],
                _DIRECTIONS[entry.direction],
                sign_of(entry),
                0,
                0,
            )
        )
        text += parts
        at += sum(lengths)
        before_ns = time_ns
    return b"".join(records), b"".join(text)


def _cell(text: str) -> bytes:
    if len(text) > _LONGEST_CELL:
        text = text[: _LONGEST_CELL - 1] + "…"
    return text.encode("utf-8", "replace")
