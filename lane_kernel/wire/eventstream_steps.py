r"""What a reader of an event stream does, step by step, with the bytes that it does it with.

    for step in steps(b"data: a\n\n"):
        print(step.span, step.action.name, step.text)

    [0, 8) LINE a line, ended by LF
    [0, 7) FIELD 'data' is 'a', one space after the colon removed: added to the data buffer, with a line break
    [8, 9) LINE an empty line, ended by LF
    [8, 9) DISPATCH a 'message' event; the data and type buffers are emptied

A line is interpreted by `read_line`, as the parser does it; a property test holds that both dispatch the same.

Source: WHATWG HTML §9.2.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from lane_kernel.wire.eventstream import Block, Event
from lane_kernel.wire.eventstream_fields import body_of
from lane_kernel.wire.eventstream_lines import Effect, Line, lead_of, read_line, read_retry, split_lines
from lane_kernel.wire.http1 import visible
from lane_kernel.wire.spans import Span


class Action(Enum):
    """What is done in a step."""

    SKIP = "skip"
    """A byte order mark at the stream's start, or the LF of a CR LF whose CR was read before."""
    LINE = "line"
    """A line has ended; the next step says what it is."""
    COMMENT = "comment"
    FIELD = "field"
    DISPATCH = "dispatch"
    NO_DISPATCH = "no dispatch"
    END = "end"
    """The end of the stream: what is unfinished is thrown away."""


class Buffers(NamedTuple):
    """What a reader keeps between lines, whole after each step: take no more steps of a huge event than are shown.

    Attributes:
        data: The data buffer: each line of data, with a line feed after it.
        type: The event type buffer.
        last_event_id: The last event ID buffer.
        retry: The reconnection time in milliseconds, or None while the stream has not set it.
    """

    data: str = ""
    type: str = ""
    last_event_id: str = ""
    retry: int | None = None


EMPTY = Buffers()
"""The buffers at a stream's beginning."""


class Step(NamedTuple):
    """One thing that the reader does.

    Attributes:
        action: What it does.
        span: The bytes that it does it with.
        text: The same in plain words.
        buffers: The buffers after it.
        line: The line as it was read, of a FIELD or a COMMENT: name, value, whether one space was removed, its effect.
        event: The event of a DISPATCH.
    """

    action: Action
    span: Span
    text: str
    buffers: Buffers
    line: Line | None = None
    event: Event | None = None

    @property
    def clause(self) -> str:
        """Where the step is laid down."""
        return "WHATWG HTML §9.2.6"


def steps(
    data: bytes,
    offset: int = 0,
    *,
    lead: int | None = None,
    buffers: Buffers = EMPTY,
    is_ended: bool = False,
) -> Iterator[Step]:
    """Say what a reader does with some lines of an event stream.

    Args:
        data: The bytes, which may end anywhere; a line that has not ended gives no step yet.
        offset: Where they begin in their direction's stream.
        lead: How many bytes stand before the first line, as `Block.lead` says; where it is left out, a byte order mark
            is taken for one.
        buffers: What the reader kept from the bytes before.
        is_ended: Whether the stream ends with these bytes.

    Yields:
        The steps in order.
    """
    start = lead_of(data) if lead is None else lead
    if start:
        what = "the LF of a CR LF whose CR has ended the line" if start == 1 else "a byte order mark at the start"
        yield Step(Action.SKIP, Span(offset, offset + start), f"{what}, skipped", buffers)
    unfinished = start
    for begin, stop, after in split_lines(data, start):
        if after == stop:
            break
        for step in _line_steps(data, begin, stop, after, buffers, offset):
            buffers = step.buffers
            yield step
        if stop == begin:
            unfinished = after
    if is_ended:
        yield _end(data, unfinished, buffers, offset)


def _line_steps(data: bytes, begin: int, stop: int, after: int, buffers: Buffers, offset: int) -> Iterator[Step]:
    end = visible(data[stop:after]).strip("'").replace("\\r", "CR").replace("\\n", "LF").replace("CRLF", "CR LF")
    kind = "a line" if stop > begin else "an empty line"
    whole = Span(offset + begin, offset + after)
    yield Step(Action.LINE, whole, f"{kind}, ended by {end}", buffers)
    if stop == begin:
        yield _dispatch(whole, buffers)
        return
    line = read_line(data[begin:stop])
    is_comment = line.effect is Effect.COMMENT
    said = "" if is_comment else f"{_quoted(line.name)} is {_quoted(line.value)}"
    if not line.has_colon:
        said = f"{_quoted(line.name)} without a colon, so its value is empty"
    removed = ", one space after the colon removed" if line.has_space and not is_comment else ""
    text = line.effect.value if is_comment else f"{said}{removed}: {line.effect.value}"
    action = Action.COMMENT if is_comment else Action.FIELD
    yield Step(action, Span(offset + begin, offset + stop), text, _applied(line, buffers), line)


def _applied(line: Line, buffers: Buffers) -> Buffers:
    match line.effect:
        case Effect.ADD_DATA:
            return buffers._replace(data=f"{buffers.data}{line.value}\n")
        case Effect.SET_TYPE:
            return buffers._replace(type=line.value)
        case Effect.SET_ID:
            return buffers._replace(last_event_id=line.value)
        case Effect.SET_RETRY:
            return buffers._replace(retry=read_retry(line.value))
        case _:
            return buffers


def _dispatch(span: Span, buffers: Buffers) -> Step:
    empty = buffers._replace(data="", type="")
    if not buffers.data:
        forgotten = f"; the type {_quoted(buffers.type)} is forgotten" if buffers.type else ""
        return Step(Action.NO_DISPATCH, span, f"nothing, since the data buffer is empty{forgotten}", empty)
    event = Event(buffers.type or "message", buffers.data.removesuffix("\n"), buffers.last_event_id)
    text = f"a {_quoted(event.type)} event; the data and type buffers are emptied"
    return Step(Action.DISPATCH, span, text, empty, event=event)


def _end(data: bytes, unfinished: int, buffers: Buffers, offset: int) -> Step:
    text = "the end of the stream"
    if unfinished < len(data):
        text += ": what no empty line has ended is thrown away"
    return Step(Action.END, Span(offset + unfinished, offset + len(data)), text, buffers._replace(data="", type=""))


def _quoted(text: str) -> str:
    return repr(text)


def steps_of_block(data: bytes, block: Block, buffers: Buffers = EMPTY) -> Iterator[Step]:
    """Say what a reader does with one block; a line that a hole cuts has a span over the hole.

    Args:
        data: The bytes of the block's span, those of its holes included.
        block: The block.
        buffers: What the reader kept from the blocks before: the last event ID and the reconnection time.

    Yields:
        The steps in order.
    """
    body = body_of(data, block)
    for step in steps(body.data, lead=block.lead, buffers=buffers):
        yield step._replace(span=body.place(step.span.start, step.span.stop))
