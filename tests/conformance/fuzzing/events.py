"""The event stream: parser, steps, fields and findings, set on any bytes. WHATWG HTML §9.2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lane_kernel.wire.eventstream import (
    MAX_EVENT,
    Block,
    Event,
    EventStreamError,
    EventStreamParser,
    encode_event,
)
from lane_kernel.wire.eventstream_fields import describe_block, describe_event_stream
from lane_kernel.wire.eventstream_findings import judge_block, judge_unfinished
from lane_kernel.wire.eventstream_lines import split_lines
from lane_kernel.wire.eventstream_steps import EMPTY, Action, Step, steps, steps_of_block
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span
from tests.conformance.fuzzing.choices import Choices, assert_tile, assert_within, chunkings
from tests.wire.helpers import assert_tiles, cut


class Setup(NamedTuple):
    """How a parser is made."""

    last_event_id: str
    max_event: int
    max_line: int | None

    def make(self) -> EventStreamParser:
        """Make the parser."""
        return EventStreamParser(self.last_event_id, self.max_event, max_line=self.max_line)


class Reading(NamedTuple):
    """All that a parser makes of a stream, wherever a CR LF was torn; and what it is made of."""

    contents: list[tuple[object, ...]]
    starts: list[int]
    last_event_id: str
    retry: int | None
    failure: str
    findings: list[tuple[str, Span, str]]


def run(data: bytes) -> None:
    """Set a parser and all that explains it on an input."""
    choices = Choices(data)
    setup = Setup(
        choices.one_of(("", "7")), choices.one_of((MAX_EVENT, 5, 12, 30, 0)), choices.one_of((None, 4, 11, 20))
    )
    places = choices.places()
    stream = choices.rest()
    first, *others = [_read(setup, stream, pieces) for pieces in chunkings(stream, places)]
    for other in others:
        assert other == first, f"another chunking reads {other}, not {first}"
    _check_bounds(setup, stream, first)
    blocks = _check_steps(stream)
    _check_written(blocks)
    _check_holes(stream, places, blocks)
    assert_tiles(describe_event_stream(stream, 9), Span(9, 9 + len(stream)))


def _read(setup: Setup, stream: bytes, pieces: Iterable[bytes]) -> Reading:
    parser = setup.make()
    blocks: list[Block] = []
    findings: list[Finding] = []
    failure: EventStreamError | None = None
    for piece in pieces:
        try:
            blocks += parser.feed(piece)
        except EventStreamError as error:
            failure = error
            break
    if failure is not None:
        assert failure.finding is not None
        assert_within(failure.finding.span, Span(0, len(stream)))
        blocks += failure.blocks
    for block in blocks:
        findings += _judged(stream, block)
    rest = None if failure else parser.unfinished_block
    if rest is not None:
        findings += judge_unfinished(stream[rest.start : rest.stop], rest)
    spans = [block.span for block in blocks] + ([] if rest is None else [rest.span])
    assert_tile(spans, Span(0, len(stream) if not failure else (spans[-1].stop if spans else 0)))
    return Reading(
        [block[2:7] for block in blocks],
        [block.start + (block.lead == 1) for block in blocks],
        parser.last_event_id,
        parser.retry,
        "" if failure is None else str(failure),
        [(finding.rule.id, finding.span, finding.text) for finding in findings],
    )


def _judged(stream: bytes, block: Block) -> list[Finding]:
    raw = stream[block.start : block.stop]
    assert_tiles(describe_block(raw, block), block.span)
    found = list(judge_block(raw, block))
    for finding in found:
        assert_within(finding.span, block.span)
    return found


def _check_bounds(setup: Setup, stream: bytes, reading: Reading) -> None:
    """An event is refused where it is over the bound, and nowhere else."""
    start = 3 if stream.startswith(b"\xef\xbb\xbf") else 0
    max_line = setup.max_event if setup.max_line is None else setup.max_line
    size, is_over = 0, False
    for begin, stop, _ in split_lines(stream, start):
        size = size + stop - begin if stop > begin else 0
        is_over = is_over or stop - begin > max_line or size > setup.max_event
    # The beginning of a byte order mark is not held against any bound.
    if stream not in (b"\xef", b"\xef\xbb"):
        assert bool(reading.failure) is is_over, reading.failure or "an event over the bound was read"


def _check_steps(stream: bytes) -> list[Block]:
    """The steps dispatch what the parser does, block by block, too, and have every line once."""
    blocks = EventStreamParser().feed(stream)
    taken = list(steps(stream, is_ended=True))
    assert _dispatched(taken) == [block.event for block in blocks if block.event is not None]
    position = 0
    for step in taken:
        if step.action in (Action.SKIP, Action.LINE):
            assert step.span.start == position
            position = step.span.stop
    assert taken[-1].action is Action.END
    assert taken[-1].span.stop == len(stream)
    buffers = EMPTY
    again: list[Step] = []
    for block in blocks:
        again += steps_of_block(stream[block.start : block.stop], block, buffers)
        buffers = again[-1].buffers
    assert again == taken[: len(again)]
    return blocks


def _dispatched(taken: Iterable[Step]) -> list[Event]:
    return [step.event for step in taken if step.event is not None]


def _check_written(blocks: Sequence[Block]) -> None:
    """What was read, written and read again, is the same; only a type with NUL is not written."""
    for event in [block.event for block in blocks if block.event is not None]:
        try:
            wire = encode_event(event.data, event=event.type, id=event.last_event_id)
        except EventStreamError:
            assert "\0" in event.type
            continue
        assert "\0" not in event.type
        assert [block.event for block in EventStreamParser().feed(wire)] == [event]


def _check_holes(stream: bytes, places: Sequence[int], blocks: Sequence[Block]) -> None:
    """The framing of a chunked body moves the spans and changes nothing else. RFC 9112 §7.1."""
    parser = EventStreamParser()
    wire, found, start = b"", list[Block](), 5
    for piece in cut(stream, places):
        size = f"{len(piece):x}\r\n".encode()
        found += parser.feed(piece, start + len(wire) + len(size))
        wire += size + piece + b"\r\n"
    assert [block.event for block in found] == [block.event for block in blocks]
    for block in found:
        raw = wire[block.start - start : block.stop - start]
        fields = describe_block(raw, block)
        assert_tiles(fields, block.span)
        framing = [field.span for field in fields if field.name == "chunk framing"]
        assert framing == list(block.holes)
        for finding in judge_block(raw, block):
            assert_within(finding.span, block.span)
        for step in steps_of_block(raw, block):
            assert_within(step.span, block.span)
