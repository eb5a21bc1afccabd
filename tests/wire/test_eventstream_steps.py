"""What a reader of an event stream does, step by step. WHATWG HTML §9.2.6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.wire.eventstream import Block, Event, EventStreamParser
from lane_kernel.wire.eventstream_lines import Effect
from lane_kernel.wire.eventstream_steps import EMPTY, Action, Buffers, Step, steps, steps_of_block
from lane_kernel.wire.spans import Span
from tests.vectors import event_streams as vectors
from tests.wire.helpers import PLACES, cut
from tests.wire.test_eventstream import REGULAR, STREAMS, events, read

EVERYTHING = STREAMS | REGULAR


def dispatched(taken: list[Step]) -> tuple[Event, ...]:
    return tuple(step.event for step in taken if step.event is not None)


def seen(taken: list[Step]) -> list[tuple[str, str, str]]:
    return [(step.action.name, str(step.span), step.text) for step in taken]


def test_a_typed_event():
    """Line, field, buffers, dispatch: each with its bytes."""
    taken = list(steps(b"event: add\nid:7\ndata: a\ndata\n\n", 100))
    assert seen(taken) == [
        ("LINE", "[100, 111)", "a line, ended by LF"),
        ("FIELD", "[100, 110)", "'event' is 'add', one space after the colon removed: sets the event's type"),
        ("LINE", "[111, 116)", "a line, ended by LF"),
        ("FIELD", "[111, 115)", "'id' is '7': sets the last event ID"),
        ("LINE", "[116, 124)", "a line, ended by LF"),
        (
            "FIELD",
            "[116, 123)",
            "'data' is 'a', one space after the colon removed: added to the data buffer, with a line break",
        ),
        ("LINE", "[124, 129)", "a line, ended by LF"),
        (
            "FIELD",
            "[124, 128)",
            "'data' without a colon, so its value is empty: added to the data buffer, with a line break",
        ),
        ("LINE", "[129, 130)", "an empty line, ended by LF"),
        ("DISPATCH", "[129, 130)", "a 'add' event; the data and type buffers are emptied"),
    ]
    assert [step.buffers for step in taken[1::2]] == [
        Buffers(type="add"),
        Buffers(type="add", last_event_id="7"),
        Buffers("a\n", "add", "7"),
        Buffers("a\n\n", "add", "7"),
        Buffers(last_event_id="7"),
    ]
    assert taken[-1].event == Event("add", "a\n", "7")
    assert {step.clause for step in taken} == {"WHATWG HTML §9.2.6"}


@pytest.mark.parametrize(
    ("data", "is_ended", "wanted"),
    [
        (b"\xef\xbb\xbf", False, [("SKIP", "[0, 3)", "a byte order mark at the start, skipped")]),
        (b"\xef\xbb", False, []),
        (b"data: cut", False, []),
        (b"", True, [("END", "[0, 0)", "the end of the stream")]),
        (
            b"data: cut",
            True,
            [("END", "[0, 9)", "the end of the stream: what no empty line has ended is thrown away")],
        ),
        (
            b": hi\r\n\r",
            True,
            [
                ("LINE", "[0, 6)", "a line, ended by CR LF"),
                ("COMMENT", "[0, 4)", "a comment, ignored"),
                ("LINE", "[6, 7)", "an empty line, ended by CR"),
                ("NO_DISPATCH", "[6, 7)", "nothing, since the data buffer is empty"),
                ("END", "[7, 7)", "the end of the stream"),
            ],
        ),
        (
            b"event: a\n\n",
            False,
            [
                ("LINE", "[0, 9)", "a line, ended by LF"),
                ("FIELD", "[0, 8)", "'event' is 'a', one space after the colon removed: sets the event's type"),
                ("LINE", "[9, 10)", "an empty line, ended by LF"),
                ("NO_DISPATCH", "[9, 10)", "nothing, since the data buffer is empty; the type 'a' is forgotten"),
            ],
        ),
    ],
)
def test_steps(data: bytes, is_ended: bool, wanted: list[tuple[str, str, str]]):
    """Byte order mark, comment, no dispatch and why, the end of the stream."""
    assert seen(list(steps(data, is_ended=is_ended))) == wanted


@pytest.mark.parametrize(
    ("line", "effect", "buffers"),
    [
        (b"data:x", Effect.ADD_DATA, Buffers(data="x\n")),
        (b"event:x", Effect.SET_TYPE, Buffers(type="x")),
        (b"id:x", Effect.SET_ID, Buffers(last_event_id="x")),
        (b"id:x\0", Effect.ID_WITH_NUL, EMPTY),
        (b"retry:007", Effect.SET_RETRY, Buffers(retry=7)),
        (b"retry:7s", Effect.RETRY_NOT_DIGITS, EMPTY),
        (b"what:x", Effect.UNKNOWN_FIELD, EMPTY),
        (b":x", Effect.COMMENT, EMPTY),
    ],
)
def test_what_becomes_of_a_line(line: bytes, effect: Effect, buffers: Buffers):
    """Each kind of line."""
    _, step = steps(line + b"\n")
    assert step.line is not None
    assert (step.line.effect, step.buffers, step.span) == (effect, buffers, Span(0, len(line)))
    assert step.action is (Action.COMMENT if effect is Effect.COMMENT else Action.FIELD)
    assert step.text.endswith(effect.value)


@pytest.mark.parametrize("case", vectors.CASES, ids=lambda case: case.id)
def test_cases(case: vectors.Case):
    """The steps come to the case's events and reconnection time."""
    taken = list(steps(case.wire, is_ended=True))
    assert dispatched(taken) == case.events
    assert taken[-1].buffers.retry == case.retry


@given(EVERYTHING)
def test_they_dispatch_what_the_parser_does(stream: bytes):
    """The same events; at each empty line the buffers are those of the parser's block."""
    blocks, parser = read([stream])
    taken = list(steps(stream))
    assert dispatched(taken) == events(blocks)
    ends = [step for step in taken if step.action in (Action.DISPATCH, Action.NO_DISPATCH)]
    assert [(step.span.stop, step.buffers.last_event_id) for step in ends] == [
        (block.stop, block.last_event_id) for block in blocks
    ]
    assert (taken[-1].buffers.retry if taken else None) == parser.retry


@given(EVERYTHING, st.integers(0, 400))
def test_the_steps_of_a_prefix_are_a_prefix_of_the_steps(stream: bytes, length: int):
    """More bytes take no step back; but a prefix that ends between CR and LF has not seen the LF."""
    prefix = stream[:length]
    if stream[length - 1 : length + 1] == b"\r\n" or prefix in (b"\xef", b"\xef\xbb"):
        return
    taken = list(steps(prefix))
    assert taken == list(steps(stream))[: len(taken)]


@given(EVERYTHING)
def test_lines_tile_the_stream(stream: bytes):
    """What is skipped, the lines and what is left at the end have every byte once."""
    position = 0
    for step in steps(stream, is_ended=True):
        if step.action in (Action.SKIP, Action.LINE):
            assert step.span.start == position
            position = step.span.stop
        else:
            assert step.span.stop <= position or step.action is Action.END
    (*_, last) = steps(stream, is_ended=True)
    assert last.action is Action.END
    assert last.span.stop == len(stream)
    assert last.buffers[:2] == ("", "")


@given(EVERYTHING, PLACES)
def test_the_steps_of_blocks_are_those_of_the_stream(stream: bytes, places: list[int]):
    """Block after block, each begun with what the one before left, also where a CR LF is torn."""
    blocks, _ = read(cut(stream, places))
    buffers = EMPTY
    taken: list[Step] = []
    for block in blocks:
        taken += steps_of_block(stream[block.start : block.stop], block, buffers)
        buffers = taken[-1].buffers
    assert dispatched(taken) == events(blocks)
    fields = [step for step in steps(stream) if step.action is Action.FIELD]
    mine = [step for step in taken if step.action is Action.FIELD]
    assert mine == fields[: len(mine)]


def test_steps_over_a_hole():
    """RFC 9112 §7.1: a line that the framing of chunks cuts has a span over it; what is beside it has not."""
    parser = EventStreamParser()
    assert parser.feed(b"data: he", 3) == []
    (block,) = parser.feed(b"llo\n\n", 16)
    assert block == Block(3, 21, "message", "hello", holes=(Span(11, 16),))
    taken = list(steps_of_block(b"data: he\r\n5\r\nllo\n\n", block))
    assert [(step.action.name, str(step.span)) for step in taken] == [
        ("LINE", "[3, 20)"), ("FIELD", "[3, 19)"), ("LINE", "[20, 21)"), ("DISPATCH", "[20, 21)"),
    ]  # fmt: skip
