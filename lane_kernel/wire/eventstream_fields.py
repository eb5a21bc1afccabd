"""The name and the place of every byte of an event stream.

Source: WHATWG HTML §9.2.5, §9.2.6.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate

from lane_kernel.wire.eventstream import Block
from lane_kernel.wire.eventstream_lines import Effect, lead_of, read_line, split_lines
from lane_kernel.wire.http1 import visible
from lane_kernel.wire.spans import Family, Field, Span


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of the event stream in a block, put together without its holes.

    Attributes:
        data: The bytes.
        pieces: Where they stand in their direction's stream, in order.
    """

    data: bytes
    pieces: tuple[Span, ...]

    def place(self, start: int, stop: int) -> Span:
        """Where data[start:stop] stands in its direction's stream, from its first byte to its last."""
        starts = list(accumulate(map(len, self.pieces), initial=0))
        first = max(bisect_right(starts, start, hi=len(self.pieces)) - 1, 0)
        last = max(bisect_left(starts, stop, hi=len(self.pieces)) - 1, first)
        return Span(
            self.pieces[first].start + start - starts[first],
            self.pieces[last].start + stop - starts[last],
        )


def body_of(data: bytes, block: Block) -> Body:
    """Take the holes out of a block.

    Args:
        data: The bytes of the block's span, those of its holes included.
        block: The block.
    """
    at = block.start
    edges = [at, *(edge for hole in block.holes for edge in (hole.start, hole.stop)), block.stop]
    pieces = tuple(Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=True))
    return Body(b"".join(data[piece.start - at : piece.stop - at] for piece in pieces), pieces)


def describe_block(data: bytes, block: Block) -> tuple[Field, ...]:
    """Name every byte of a block; the fields' spans tile it without gap or overlap.

    A field that a hole cuts is two fields with the same value.

    Args:
        data: The bytes of the block's span, those of its holes included.
        block: The block.
    """
    if not block.holes:
        return describe_event_stream(data, block.start, block.lead)
    body = body_of(data, block)
    whole = describe_event_stream(body.data, 0, block.lead)
    fields: list[Field] = []
    done = 0
    for piece, hole in zip(body.pieces, (*block.holes, None), strict=True):
        shift = piece.start - done
        for field in whole:
            span = Span(max(field.span.start, done) + shift, min(field.span.stop, done + len(piece)) + shift)
            if span.start < span.stop:
                fields.append(replace(field, span=span))
        done += len(piece)
        if hole is not None:
            raw = data[hole.start - block.start : hole.stop - block.start]
            meaning = "stands between two chunks of the body, no part of the event stream"
            text = visible(raw)
            fields.append(Field("chunk framing", hole, raw, text, meaning, "RFC 9112 §7.1", Family.DELIMITER))
    return tuple(fields)


def describe_event_stream(data: bytes, offset: int = 0, lead: int | None = None) -> tuple[Field, ...]:
    """Name every byte of some lines of an event stream; the fields' spans tile them without gap or overlap.

    Args:
        data: Whole lines.
        offset: Where they begin in their direction's stream.
        lead: How many bytes stand before the first line, as `Block.lead` says; where it is left out, a byte order mark
            is taken for one.
    """
    fields: list[Field] = []
    start = lead_of(data) if lead is None else lead
    if start == 1:
        meaning = "the LF of the CR LF that ends the line before"
        fields.append(_field("end of line", offset, data[:1], visible(data[:1]), meaning, Family.DELIMITER))
    elif start:
        fields.append(_field("BOM", offset, data[:3], "ef bb bf", "byte order mark, skipped", Family.DELIMITER))
    for begin, stop, after in split_lines(data, start):
        if stop > begin:
            fields.extend(_describe_line(data[begin:stop], offset + begin))
        if after > stop:
            fields.append(_line_end(data[stop:after], offset + stop, is_empty=stop == begin))
    return tuple(fields)


def _describe_line(raw: bytes, at: int) -> list[Field]:
    line = read_line(raw)
    name, _, rest = raw.partition(b":")
    value = rest[line.has_space :]
    value_at = at + len(raw) - len(value)
    fields: list[Field] = []
    if name:
        fields.append(_field("field name", at, name, line.name, "", Family.EVENT_NAME))
    if line.has_colon:
        separator = raw[len(name) : len(raw) - len(value)]
        said = ["" if name else "begins a comment", "one space after it is removed" if line.has_space else ""]
        shown_colon, family = visible(separator), Family.DELIMITER if name else Family.EVENT_NAME
        fields.append(_field("colon", at + len(name), separator, shown_colon, "; ".join(filter(None, said)), family))
    if value:
        label = "comment" if line.effect is Effect.COMMENT else line.name
        fields.append(_field(label, value_at, value, line.value, line.effect.value, Family.EVENT_VALUE))
    return fields


def _line_end(raw: bytes, at: int, *, is_empty: bool) -> Field:
    meaning = "an empty line: dispatches the event" if is_empty else "ends the line"
    return _field("end of line", at, raw, visible(raw), meaning, Family.DELIMITER)


def _field(name: str, at: int, raw: bytes, text: str, meaning: str, family: Family) -> Field:
    return Field(name, Span(at, at + len(raw)), raw, text, meaning, "WHATWG HTML §9.2.6", family)
