"""Stills: what a panel showed, as plain HTML without script, for an executed notebook where no front end runs.

A still travels beside the widget in the cell's output. It is made when the panel is displayed; `refresh_stills` makes
it anew where no page shows the widget itself, which is what a headless run's last cell wants.
"""

from __future__ import annotations

from html import escape
from typing import Any, ClassVar
from weakref import WeakSet

from IPython.display import DisplayHandle, display

from lane_kernel.timeline import Entry, EntryKind, Meant, Timeline, dissect
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Field

ROWS = 200
"""How many of the latest rows a still shows."""

_BYTES = 512
_FIELDS = 60
_DISPLAYS = 8
_SIGNS = {"note": "ⓘ", "warning": "▲", "error": "✖"}
_CODE = ' style="font-family: monospace; white-space: pre-wrap; text-align: left; padding: 1px 8px"'
_LEFT = ' style="text-align: left; padding: 1px 8px"'
_RIGHT = ' style="text-align: right; padding: 1px 8px"'


class Still:
    """A widget that is displayed together with its still."""

    _displayed: ClassVar[WeakSet[Still]] = WeakSet()

    def still(self) -> str:
        """The panel as HTML without script."""
        raise NotImplementedError

    @property
    def is_shown_live(self) -> bool:
        """Whether a page shows the widget itself, so that its still is not needed."""
        return bool(getattr(self, "is_watched", False))

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        bundle: Any = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return {**data, "text/html": self.still()}, metadata

    def _ipython_display_(self) -> None:
        handle = display(self._repr_mimebundle_()[0], raw=True, display_id=True)  # type: ignore[no-untyped-call]
        if isinstance(handle, DisplayHandle):
            self._handles = [*getattr(self, "_handles", [])[1 - _DISPLAYS :], handle]
            Still._displayed.add(self)

    def refresh_still(self) -> None:
        """Make the still anew in every output that shows this panel."""
        for handle in getattr(self, "_handles", []):
            handle.update(self._repr_mimebundle_()[0], raw=True)


def refresh_stills(*, force: bool = False) -> int:
    """Make the stills of all displayed panels anew.

    Args:
        force: Also those whose widget a page shows; the page then draws the widget again.

    Returns:
        How many panels' stills were made.
    """
    panels = [panel for panel in Still._displayed if force or not panel.is_shown_live]  # noqa: SLF001
    for panel in panels:
        panel.refresh_still()
    return len(panels)


def timeline_html(timeline: Timeline) -> str:
    """The latest entries of a timeline as a table.

    Args:
        timeline: Whose entries.
    """
    total = len(timeline)
    first = max(0, total - ROWS)
    entries = timeline[first:total]
    rows = [_timeline_row(entry) for entry in entries]
    names = ("#", "s", "conn", "dir", "what", "length", "preview", "findings")
    told = f"{total:,} entries, {timeline.dropped:,} dropped" + (f"; the last {ROWS}:" if first else "")
    return _section("Timeline", told, _table(names, rows))


def events_html(timeline: Timeline) -> str:
    """The latest events of a timeline as a table.

    Args:
        timeline: Whose events.
    """
    events = [entry for entry in timeline if entry.kind is EntryKind.EVENT]
    rows = [_event_row(entry) for entry in events[-ROWS:]]
    told = f"{len(events):,} events" + (f"; the last {ROWS}:" if len(events) > ROWS else "")
    return _section("Events", told, _table(("s", "conn", "id", "event", "data"), rows))


def inspector_html(shown: Entry | bytes | None) -> str:
    """An entry's bytes and fields as tables.

    Args:
        shown: The entry; bytes, taken as WebSocket frames; or None.
    """
    if shown is None:
        return _section("Inspector", "Nothing was chosen.", "")
    if isinstance(shown, bytes):
        frames = dissect(shown)
        fields = [field for frame in frames for field in frame.fields]
        findings = [finding for frame in frames for finding in frame.findings]
        return _bytes_html("bytes", f"{len(shown):,} bytes", shown, 0, fields, findings)
    base = 0 if shown.span is None else shown.span.start
    told = f"{shown.time_ns / 1e9:.6f} s"
    if shown.connection is not None:
        told += f", connection {shown.connection.number}"
    if shown.direction is not None:
        told += f", {shown.direction.value}"
    shown = shown.redacted()
    if isinstance(shown.detail, Meant):
        told += ": the bytes that were meant"
    return _bytes_html(f"{shown.index} {shown.what}", told, shown.data, base, list(shown.fields), list(shown.findings))


def _bytes_html(title: str, told: str, data: bytes, base: int, fields: list[Field], findings: list[Finding]) -> str:
    lines = [
        f"{base + at:06x}  {data[at : at + 16].hex(' '):<47}  {_ascii(data[at : at + 16])}"
        for at in range(0, min(len(data), _BYTES), 16)
    ]
    if len(data) > _BYTES:
        lines.append(f"… the first {_BYTES} of {len(data):,} bytes")
    body = f"<pre>{escape(chr(10).join(lines))}</pre>" if lines else ""
    if findings:
        body += f"<ul>{''.join(f'<li>{escape(_finding(finding))}</li>' for finding in findings)}</ul>"
    rows = [_field_row(field, base) for field in fields[:_FIELDS]]
    if len(fields) > _FIELDS:
        rows.append(_row((_LEFT, f"… {len(fields) - _FIELDS} more fields")))
    body += _table(("bytes", "field", "value", "meaning", "clause"), rows)
    return _section(f"Inspector: {title}", told, body)


def _finding(finding: Finding) -> str:
    severity = finding.severity.value
    return f"{_SIGNS[severity]} {severity}: {finding.text} ({finding.clause})"


def _field_row(field: Field, base: int) -> str:
    first, last = field.span.start - base, field.span.stop - base - 1
    where = f"{first}" if first == last else f"{first}–{last}"
    if field.bit_offset is not None and field.bit_length is not None:
        end = field.bit_offset + field.bit_length - 1
        where += f" bit {end}" if field.bit_length == 1 else f" bits {field.bit_offset}–{end}"
    value, meaning = _clip(field.text), _clip(field.meaning)
    return _row((_LEFT, where), (_LEFT, field.name), (_CODE, value), (_LEFT, meaning), (_LEFT, field.clause))


def _timeline_row(entry: Entry) -> str:
    what, preview = entry.glance()
    signs = " ".join(f"{_SIGNS[finding.severity.value]} {finding.rule.id}" for finding in entry.findings)
    return _row(
        (_RIGHT, str(entry.index)),
        (_RIGHT, f"{entry.time_ns / 1e9:.6f}"),
        (_RIGHT, _number(entry)),
        ("", "" if entry.direction is None else entry.direction.arrow),
        (_LEFT, what),
        (_RIGHT, f"{entry.length:,}"),
        (_CODE, preview),
        (_LEFT, signs),
    )


def _event_row(entry: Entry) -> str:
    event = entry.event
    if event is None:
        return ""
    return _row(
        (_RIGHT, f"{entry.time_ns / 1e9:.6f}"),
        (_RIGHT, _number(entry)),
        (_CODE, event.last_event_id),
        (_CODE, event.type),
        (_CODE, _clip(event.data)),
    )


def _number(entry: Entry) -> str:
    return "" if entry.connection is None else str(entry.connection.number)


def _clip(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _ascii(data: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in data)


def _row(*cells: tuple[str, str]) -> str:
    """A table's row of styles and texts; the one place where text becomes HTML."""
    return "<tr>" + "".join(f"<td{style}>{escape(text)}</td>" for style, text in cells) + "</tr>"


def _table(names: tuple[str, ...], rows: list[str]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th{_LEFT}>{name}</th>" for name in names)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _section(title: str, told: str, body: str) -> str:
    return f'<section class="lane-still"><p><strong>{escape(title)}</strong> {escape(told)}</p>{body}</section>'
