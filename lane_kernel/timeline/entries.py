"""One entry of a timeline: what it is at a glance, and its bytes, fields and findings on demand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from lane_kernel.capture import Connection, Note, Store
from lane_kernel.sides import Direction
from lane_kernel.timeline.faults import Meant, Speech
from lane_kernel.timeline.readers import CHUNKED, CUT_CHUNKED, FRAMING, Unfinished
from lane_kernel.wire.eventstream import Block, Event
from lane_kernel.wire.eventstream_fields import describe_block
from lane_kernel.wire.eventstream_findings import judge_block, judge_unfinished
from lane_kernel.wire.frames import (
    FrameHeader,
    Opcode,
    close_code_name,
    decode_header,
    describe_frame,
    judge_frame,
    opcode_name,
    payload_of,
)
from lane_kernel.wire.http1 import describe_chunk_framing, describe_chunked, describe_head, redact_head
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Family, Field, Span

PREVIEW = 80
"""Characters of a preview at the most."""

_PEEK = 14 + 4 * PREVIEW


class EntryKind(Enum):
    """What an entry is; in the order of `dissector.Kind`."""

    CONNECTION = "connection"
    REQUEST = "request"
    RESPONSE = "response"
    BODY = "body"
    FRAME = "frame"
    EVENT = "event"
    COMMENT = "comment"
    LOG = "log"
    CLOSE = "close"
    BLOCKED = "blocked"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One thing on the timeline.

    Attributes:
        store: Where its bytes are.
        index: Its place in the timeline, from 0.
        kind: What it is.
        connection: The connection, as the observing end recorded it; None for a log line that belongs to none.
        direction: Which way it travelled; None where it is not bytes.
        time_ns: When its last byte crossed the socket, in nanoseconds since the store began.
        span: Its bytes in its direction's stream, and for a fault where they would have stood; None where it is not
            bytes.
        detail: What the dissector kept of it.
        seen: The findings of its place in the conversation.
        is_redacted: Whether cookies and credentials are overwritten in its bytes and fields.
    """

    store: Store
    index: int
    kind: EntryKind
    connection: Connection | None
    direction: Direction | None
    time_ns: int
    span: Span | None
    detail: object
    seen: tuple[Finding, ...] = ()
    is_redacted: bool = False

    def redacted(self) -> Entry:
        """The same entry fit to be shown and saved: cookies and credentials overwritten, every byte in its place."""
        return replace(self, is_redacted=True)

    def _read(self, connection: Connection | None, limit: int | None = None) -> bytes | None:
        if isinstance(self.detail, Meant):
            return self.detail.data[:limit] if connection is self.connection else None
        if self.span is None or self.direction is None or connection is None:
            return None
        stop = self.span.stop if limit is None else min(self.span.stop, self.span.start + limit)
        return self.store.read(connection, self.direction, self.span.start, stop)

    @property
    def data(self) -> bytes:
        """Its raw bytes, as the observing end saw them, and for a fault the first of those that were meant.

        Empty where it is not bytes or they are forgotten.
        """
        return self._show(self._read(self.connection)) or b""

    def _show(self, data: bytes | None) -> bytes | None:
        is_head = self.kind in (EntryKind.REQUEST, EntryKind.RESPONSE)
        if isinstance(self.detail, Meant):
            is_head = self.detail.speech is Speech.HEADS
        return redact_head(data) if data and self.is_redacted and is_head else data

    @property
    def left(self) -> bytes | None:
        """What a fault left to be written of the bytes that were meant, the first of it; None for anything else."""
        return self._show(self.detail.left) if isinstance(self.detail, Meant) else None

    @property
    def peer_data(self) -> bytes | None:
        """Its raw bytes as the other end saw them, or None where that end does not record in the same store."""
        if self.connection is None:
            return None
        other = self.store.other_end(self.connection)
        return None if other is None else self._show(self._read(other))

    @property
    def is_forgotten(self) -> bool:
        """Whether its bytes had to make room for newer ones."""
        return self.span is not None and self._read(self.connection, 1) is None

    @property
    def header(self) -> FrameHeader | None:
        """A frame's header, or None for anything else."""
        return decode_header(self._read(self.connection, 14) or b"") if self.kind is EntryKind.FRAME else None

    @property
    def payload(self) -> bytes:
        """A frame's payload data, unmasked; for anything else its raw bytes."""
        return payload_of(self.data) if self.kind is EntryKind.FRAME else self.data

    @property
    def event(self) -> Event | None:
        """The event that was dispatched, or None."""
        return self.detail.event if isinstance(self.detail, Block) else None

    @property
    def length(self) -> int:
        """Bytes of payload data in a frame, characters of data in an event, bytes of anything else."""
        if (header := self.header) is not None:
            return header.length
        if self.event is not None:
            return len(self.event.data)
        return 0 if self.span is None else len(self.span)

    @property
    def what(self) -> str:
        """What it is, in a few words: "TEXT FIN M", "GET /echo", "event tick id 4"."""
        return self.glance()[0]

    @property
    def preview(self) -> str:
        """The beginning of what it carries: one printable line of at most 80 characters."""
        return self.glance()[1]

    def glance(self) -> tuple[str, str]:
        """Answer `what` and `preview` with one look at the bytes."""
        if self.kind is EntryKind.FRAME:
            return _glance_frame(self._read(self.connection, _PEEK) or b"", self.detail)
        if isinstance(self.detail, Meant):
            return _printable(self.detail.note.text), self._glance_meant(self.detail)
        if isinstance(self.detail, Block):
            return _glance_block(self.detail)
        if isinstance(self.detail, Note):
            return self.detail.text, _printable(str(self.detail.detail.get("preview", "")))
        detail = self.detail.text if isinstance(self.detail, Unfinished) else self.detail
        what = _printable(detail) if isinstance(detail, str) else self.kind.value
        if self.kind is EntryKind.BODY:
            return what, _printable((self._read(self.connection, _PEEK) or b"").decode(errors="replace"))
        return what, ""

    def _glance_meant(self, meant: Meant) -> str:
        raw = meant.data[:_PEEK]
        if meant.speech is Speech.FRAMES and decode_header(raw) is not None:
            return _printable(" ".join(_glance_frame(raw, None)))
        if meant.speech is Speech.HEADS:
            raw = raw.partition(b"\r\n")[0]  # what follows may be secret
        return _printable(raw.decode(errors="replace"))

    @property
    def fields(self) -> tuple[Field, ...]:
        """Every part with its name and place; they tile the span. Empty where its bytes are forgotten."""
        if self.span is None or not (data := self.data):
            return ()
        start = self.span.start
        if self.kind is EntryKind.FRAME:
            return describe_frame(data, start)
        if isinstance(self.detail, Meant):
            return self.detail.fields(data)
        if self.kind in (EntryKind.REQUEST, EntryKind.RESPONSE):
            return describe_head(data, start)
        if isinstance(self.detail, Block):
            return describe_block(data, self.detail)
        if isinstance(self.detail, Unfinished):
            return describe_block(data, self.detail.block)
        if self.detail in (CHUNKED, CUT_CHUNKED):
            return describe_chunked(data, start)
        if self.detail == FRAMING:
            return describe_chunk_framing(data, start)
        text = data.decode(errors="replace")
        return (Field("bytes", self.span, data, repr(text), self.what, "RFC 9112 §6", Family.PAYLOAD),)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The rules that it breaks, by itself or where it stands."""
        if isinstance(self.detail, Block):
            return (*judge_block(self.data, self.detail), *self.seen) if self.data else self.seen
        if isinstance(self.detail, Unfinished):
            return (*judge_unfinished(self.data, self.detail.block), *self.seen) if self.data else self.seen
        if self.kind is not EntryKind.FRAME or self.span is None or self.direction is None:
            return self.seen
        rsv_allowed = self.detail if isinstance(self.detail, int) else 0
        own = judge_frame(self.data, self.direction.sender, self.span.start, rsv_allowed)
        return (*own, *(finding for finding in self.seen if finding not in own))

    def __str__(self) -> str:
        number = "" if self.connection is None else str(self.connection.number)
        arrow = "" if self.direction is None else self.direction.arrow
        what, preview = self.glance()
        signs = " ".join(f"▲ {finding.rule.id}" for finding in self.findings)
        row = (
            f"{self.index:>6} {self.time_ns / 1e9:>10.6f} {number:>4} {arrow:<3} {what:<28} {self.length:>7} {preview}"
        )
        return f"{row}  {signs}".rstrip()

    def __repr__(self) -> str:
        return f"<Entry {' '.join(str(self).split())}>"


def _glance_frame(raw: bytes, detail: object) -> tuple[str, str]:
    header = decode_header(raw)
    if header is None:
        return "frame, its bytes forgotten", ""
    marks = [opcode_name(header.opcode)]
    marks += ["FIN"] if header.fin else []
    marks += [f"RSV{n}" for n in (1, 2, 3) if header.rsv & 8 >> n] if header.rsv else []
    marks += ["M"] if header.masking_key is not None else []
    payload = payload_of(raw)
    if isinstance(detail, int) and header.rsv & detail:
        shown = f"compressed: {payload[: PREVIEW // 4].hex(' ')}"
    elif header.opcode == Opcode.CLOSE and len(payload) >= 2:
        code = int.from_bytes(payload[:2], "big")
        shown = f"{code} {payload[2:].decode(errors='replace') or close_code_name(code)}"
    elif header.opcode in (Opcode.BINARY, Opcode.CLOSE):
        shown = payload[: PREVIEW // 3].hex(" ")
    else:
        shown = payload.decode(errors="replace")
    return " ".join(marks), _printable(shown)


def _glance_block(block: Block) -> tuple[str, str]:
    if block.event is None:
        what = "comment" if block.comments else "fields without data"
        parts = [*block.comments, *([f"retry {block.retry}"] if block.retry is not None else [])]
        return what, _printable(" ".join(parts))
    what = f"event {block.event.type}"
    if block.event.last_event_id:
        what += f" id {block.event.last_event_id}"
    return _printable(what), _printable(block.event.data)


def _printable(text: str) -> str:
    cut = text[: PREVIEW + 1]
    if not cut.isprintable():
        cut = "".join(character if character.isprintable() else _picture(character) for character in cut)
    return cut if len(cut) <= PREVIEW else cut[: PREVIEW - 1] + "…"


def _picture(character: str) -> str:
    return {"\n": "⏎", "\t": "⇥"}.get(character, "·")
