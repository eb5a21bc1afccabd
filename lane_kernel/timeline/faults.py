"""What a fault's note says, and the fields of the bytes that were meant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lane_kernel.capture import Note
from lane_kernel.sides import Direction
from lane_kernel.wire.eventstream_fields import describe_event_stream
from lane_kernel.wire.frames import decode_header, describe_frame
from lane_kernel.wire.http1 import describe_head
from lane_kernel.wire.spans import Family, Field, Span


class Speech(Enum):
    """What one direction of a connection speaks at some moment."""

    HEADS = "heads"
    FRAMES = "frames"
    EVENTS = "events"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Meant:
    """A unit that a fault hit: what was meant, and what was left of it.

    Attributes:
        note: The fault's note.
        speech: What its direction spoke then.
    """

    note: Note
    speech: Speech

    @property
    def done(self) -> tuple[str, ...]:
        """What was done, in words, in the order it was done."""
        done: tuple[str, ...] = self.note.detail.get("done", ())
        return done

    @property
    def direction(self) -> Direction | None:
        """Which way it would have travelled."""
        direction: Direction | None = self.note.detail.get("direction")
        return direction

    @property
    def span(self) -> Span:
        """Where it would have stood in its direction's stream."""
        start: int = self.note.detail.get("offset", 0)
        length: int = self.note.detail.get("length", 0)
        return Span(start, start + length)

    @property
    def data(self) -> bytes:
        """The bytes that were meant; of a long unit the first."""
        data: bytes = self.note.detail.get("meant", b"")
        return data

    @property
    def left(self) -> bytes:
        """What was left of them to be written; of a long unit the first."""
        left: bytes = self.note.detail.get("left", b"")
        return left

    @property
    def length_left(self) -> int:
        """How many bytes were left to be written."""
        length: int = self.note.detail.get("length_left", 0)
        return length

    def fields(self, data: bytes) -> tuple[Field, ...]:
        """Every part of the bytes that were meant, or were left, with its name and place; they tile them."""
        start = self.span.start
        fields: list[Field] = []
        if self.speech is Speech.FRAMES:
            fields = _describe_frames(data, start)
        elif self.speech is Speech.EVENTS:
            fields = list(describe_event_stream(data, start))
        elif self.speech is Speech.HEADS and (end := data.find(b"\r\n\r\n") + 4) > 3:
            fields = list(describe_head(data[:end], start))
        told = fields[-1].span.stop - start if fields else 0
        if told < len(data):
            rest = data[told:]
            span = Span(start + told, start + len(data))
            text = repr(rest.decode(errors="replace"))
            fields.append(Field("bytes", span, rest, text, "", "", Family.PAYLOAD))
        return tuple(fields)


def _describe_frames(data: bytes, start: int) -> list[Field]:
    fields: list[Field] = []
    position = 0
    while (header := decode_header(data, position)) is not None:
        stop = min(position + header.size + header.length, len(data))
        fields += describe_frame(data[position:stop], start + position)
        position = stop
    return fields
