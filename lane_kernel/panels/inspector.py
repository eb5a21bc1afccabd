"""The inspector panel: the bytes of one entry beside their fields, either marking the other."""

from __future__ import annotations

from typing import Any

from lane_kernel.net.home import Home
from lane_kernel.panels.base import Panel, PanelError
from lane_kernel.panels.still import Still, inspector_html
from lane_kernel.sides import Direction, Side
from lane_kernel.timeline import Entry, EntryKind, Meant, Timeline, dissect
from lane_kernel.wire.frames import describe_frame
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Field

SHOWN_BYTES = 4096
"""How many bytes of an entry are drawn."""

SHOWN_FIELDS = 400
"""How many fields of an entry are drawn."""

_LONGEST_TEXT = 400
_HINT = "Nothing chosen yet: click a row of the timeline, and its bytes appear here with the name of each field."


class Inspector(Still, Panel):
    """An entry, or a byte string of WebSocket frames: hexadecimal and ASCII beside a tree of fields.

    Attributes:
        entry: The entry that is shown, or None.
        data: The bytes that are shown.
    """

    def __init__(
        self, shown: Timeline | Entry | bytes | None = None, *, home: Home | None = None, hint: str = _HINT
    ) -> None:
        """Show something.

        Args:
            shown: An entry; bytes, taken as WebSocket frames; or a timeline, of which `show_index` chooses an entry.
            home: Where callbacks run; the caller's loop by default.
            hint: What to say while nothing is shown.
        """
        if not (shown is None or isinstance(shown, Timeline | Entry | bytes)):
            raise PanelError(
                f"an Inspector shows an entry, bytes, or a timeline's entries, no {type(shown).__name__}: "
                "give it server.timeline[0] or server.timeline"
            )
        super().__init__("inspector", home)
        self.timeline = shown if isinstance(shown, Timeline) else None
        self.entry: Entry | None = None
        self.data: bytes | None = None
        self._hint = hint
        self.show(None if isinstance(shown, Timeline) else shown)

    def show(self, shown: Entry | bytes | None) -> None:
        """Show an entry or a byte string of WebSocket frames, or nothing."""
        self.entry = shown if isinstance(shown, Entry) else None
        self.data = bytes(shown) if isinstance(shown, bytes | bytearray) else None
        self._post()

    def show_index(self, index: int | None) -> None:
        """Show the timeline's entry of an index, or nothing.

        Args:
            index: The entry's place in the timeline this inspector was given.
        """
        self.show(None if index is None or self.timeline is None else self.timeline[index])

    def heard(self, content: dict[str, Any]) -> None:
        """Answer a page that has come."""
        if content.get("type") == "hello":
            self._post()

    def still(self) -> str:
        """The panel as HTML without script, for where no front end runs."""
        return inspector_html(self.entry if self.entry is not None else self.data)

    def _post(self) -> None:
        if not self.is_watched:
            return
        content: dict[str, Any] | None = None
        buffers: list[bytes] = []
        if self.entry is not None:
            content, buffers = entry_content(self.entry)
        elif self.data is not None:
            content, buffers = bytes_content(self.data)
        self.send({"type": "entry", "entry": content, "hint": self._hint}, buffers)


def entry_content(entry: Entry) -> tuple[dict[str, Any], list[bytes]]:
    """What the page draws of an entry; cookies and credentials are overwritten in it.

    Args:
        entry: The entry.

    Returns:
        The message, and the bytes of each end that has them; of a fault, those that were meant and those that it left.
    """
    entry = entry.redacted()
    if isinstance(entry.detail, Meant):
        return _fault_content(entry, entry.detail)
    base = 0 if entry.span is None else entry.span.start
    length = 0 if entry.span is None else len(entry.span)
    data, peer = entry.data, entry.peer_data
    fields = entry.fields
    sides: list[dict[str, Any]] = [{"label": _label(entry, own=True), "fields": None}] if length else []
    buffers = [data[:SHOWN_BYTES]] if length else []
    if length and peer is not None:
        peer_fields = fields
        if peer != data and entry.kind is EntryKind.FRAME:
            peer_fields = describe_frame(peer, base)
        sides.append({"label": _label(entry, own=False), "fields": _fields(peer_fields, base)})
        buffers.append(peer[:SHOWN_BYTES])
        if entry.direction is not None and entry.direction.sender is not _observer(entry):
            # The sender's bytes first: that is the order in which they came to be.
            sides[0]["fields"] = _fields(fields, base)
            sides.reverse()
            buffers.reverse()
    content = {
        "title": _title(entry),
        "detail": _detail(entry, length),
        "length": length,
        "base": base,
        "fields": _fields(fields, base),
        "more_fields": max(0, len(fields) - SHOWN_FIELDS),
        "findings": [_finding(finding, base) for finding in entry.findings],
        "sides": sides or [{"label": "", "fields": None}],
        "same": peer == data,
    }
    return content, buffers or [b""]


def _fault_content(entry: Entry, meant: Meant) -> tuple[dict[str, Any], list[bytes]]:
    base, length = meant.span.start, len(meant.span)
    data, left = entry.data, entry.left or b""
    fields = entry.fields
    sides: list[dict[str, Any]] = [{"label": "as it was meant", "fields": None}]
    buffers = [data[:SHOWN_BYTES]]
    if left != data:
        sides.append(
            {
                "label": "as the fault left it",
                "fields": _fields(meant.fields(left), base),
                "length": meant.length_left,
                "empty": "Nothing was left to be sent.",
            }
        )
        buffers.append(left[:SHOWN_BYTES])
    content = {
        "title": _title(entry),
        "detail": _detail(entry, length),
        "length": length,
        "base": base,
        "fields": _fields(fields, base),
        "more_fields": max(0, len(fields) - SHOWN_FIELDS),
        "findings": [],
        "sides": sides,
        "same": left == data,
    }
    return content, buffers


def bytes_content(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """What the page draws of a byte string, taken as WebSocket frames.

    Args:
        data: The bytes.

    Returns:
        The message, and the bytes.
    """
    frames = dissect(data)
    fields = [field for frame in frames for field in frame.fields]
    count = len(frames)
    content = {
        "title": f"{count} frame{'' if count == 1 else 's'}",
        "detail": _count(len(data)),
        "length": len(data),
        "base": 0,
        "fields": _fields(fields, 0),
        "more_fields": max(0, len(fields) - SHOWN_FIELDS),
        "findings": [_finding(finding, 0) for frame in frames for finding in frame.findings],
        "sides": [{"label": "", "fields": None}],
        "same": True,
    }
    return content, [data[:SHOWN_BYTES]]


def _observer(entry: Entry) -> Side | None:
    return None if entry.connection is None else entry.connection.side


def _label(entry: Entry, *, own: bool) -> str:
    observer = _observer(entry)
    if observer is None or entry.direction is None:
        return ""
    side = observer if own else observer.peer
    return f"as the {side.value} {'sent' if entry.direction.sender is side else 'received'} it"


def _title(entry: Entry) -> str:
    parts = [f"{entry.kind.value} {entry.index}"]
    if entry.connection is not None:
        parts.append(f"connection {entry.connection.number}")
    if entry.direction is not None:
        parts.append("client ──► server" if entry.direction is Direction.TO_SERVER else "client ◄── server")
    what = "; ".join(entry.detail.done) if isinstance(entry.detail, Meant) else entry.what
    parts.append(_clip(what))
    return " · ".join(parts)


def _detail(entry: Entry, length: int) -> str:
    seconds, rest = divmod(entry.time_ns // 1000, 1_000_000)
    when = f"{seconds:02}.{rest // 1000:03} {rest % 1000:03} s"
    if length and entry.is_forgotten:
        return f"{when} · its bytes had to make room for newer ones"
    if not length or entry.span is None:
        return when
    if isinstance(entry.detail, Meant):
        return f"{when} · {_count(length)} meant for byte {entry.span.start:,} of its direction"
    return f"{when} · {_count(length)} from byte {entry.span.start:,} of its direction"


def _count(length: int) -> str:
    return f"{length:,} byte{'' if length == 1 else 's'}"


def _fields(fields: tuple[Field, ...] | list[Field], base: int) -> list[dict[str, Any]]:
    return [
        {
            "name": field.name,
            "start": field.span.start - base,
            "stop": field.span.stop - base,
            "text": _clip(field.text),
            "meaning": _clip(field.meaning),
            "clause": field.clause,
            "family": field.family.value,
            "bit_offset": field.bit_offset,
            "bit_length": field.bit_length,
        }
        for field in fields[:SHOWN_FIELDS]
    ]


def _finding(finding: Finding, base: int) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "text": f"{finding.text}: {finding.rule.text}",
        "clause": finding.clause,
        "start": finding.span.start - base,
        "stop": finding.span.stop - base,
    }


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
