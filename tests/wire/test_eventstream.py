"""The event stream: reader, encoder, inspector. WHATWG HTML §9.2."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.wire.eventstream import (
    MAX_EVENT,
    Block,
    Event,
    EventStreamError,
    EventStreamParser,
    describe_block,
    describe_event_stream,
    encode_event,
)
from lane_kernel.wire.spans import Span
from tests.vectors import event_streams as vectors
from tests.wire.helpers import PLACES, WAYS, assert_tiles, cut

cases = pytest.mark.parametrize("case", vectors.CASES, ids=lambda case: case.id)
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)

STREAMS = st.lists(
    st.sampled_from(
        [b"data", b"id", b"event", b"retry", b":", b" ", b"\n", b"\n", b"\r", b"\r\n", b"a", b"7", b"\0", b"\xff",
         "€".encode(), b"\xef\xbb\xbf", b"\n\n", b"\r\r", b"\n: c", b"data: d"]
    ),
    max_size=30,
).map(b"".join)  # fmt: skip


def read(
    pieces: list[bytes], last_event_id: str = "", max_event: int = MAX_EVENT
) -> tuple[list[Block], EventStreamParser]:
    parser = EventStreamParser(last_event_id, max_event)
    return [block for piece in pieces for block in parser.feed(piece)], parser


def events(blocks: list[Block]) -> tuple[Event, ...]:
    return tuple(block.event for block in blocks if block.event is not None)


@cases
@ways
def test_read(case: vectors.Case, way):
    """WHATWG HTML §9.2.6."""
    blocks, parser = read(way(case.wire))
    assert events(blocks) == case.events
    assert parser.last_event_id == case.last_event_id
    assert parser.retry == case.retry
    assert tuple(comment for block in blocks for comment in block.comments) == case.comments


@cases
@ways
def test_read_with_what_follows(case: vectors.Case, way):
    """Two empty lines end whatever was unfinished; then a new block is read as ever."""
    blocks, _ = read(way(case.wire + b"\n\nid: 9\nevent: more\ndata: more\n\n"))
    seen = events(blocks)
    assert seen[: len(case.events)] == case.events
    assert seen[-1] == Event("more", "more", "9")


@cases
def test_write_what_was_read(case: vectors.Case):
    """What is read, written again, is read the same; NUL has no way into an ID."""
    written = b"".join(encode_event(event.data, event=event.type, id=event.last_event_id) for event in case.events)
    assert events(read([written])[0]) == case.events


def test_last_event_id_of_an_earlier_connection():
    """WHATWG HTML §9.2.3."""
    blocks, parser = read([b"data: a\n\nid: 2\ndata: b\n\n"], last_event_id="1")
    assert events(blocks) == (Event("message", "a", "1"), Event("message", "b", "2"))
    assert parser.last_event_id == "2"


def test_an_event_is_dispatched_at_the_cr_of_its_empty_line():
    """A CR ends a line at once; an LF that comes later belongs to it all the same."""
    parser = EventStreamParser()
    (first,) = parser.feed(b"data: a\r\n\r")
    assert first.event == Event("message", "a", "")
    assert parser.unfinished is None
    (second,) = parser.feed(b"\ndata: b\r\n\r\n")
    assert second == Block(Span(10, 22), Event("message", "b", ""), lead=1)
    assert parser.feed(b"\r") == [Block(Span(22, 23), None)]
    assert parser.feed(b"\n") == []
    assert parser.unfinished == Span(23, 24)


def test_retry_of_a_block():
    blocks, _ = read([b"retry: 1\nretry: 2\n\ndata: a\n\n"])
    assert [block.retry for block in blocks] == [2, None]


@given(STREAMS, PLACES)
def test_any_chunking_gives_the_same(stream: bytes, places: list[int]):
    """Events, IDs, times and comments do not depend on where the chunks end; nor do spans, but for a torn CR LF."""
    (one, left), (other, right) = read([stream]), read(cut(stream, places))
    assert [(block.event, block.comments, block.retry) for block in one] == [
        (block.event, block.comments, block.retry) for block in other
    ]
    assert (left.last_event_id, left.retry) == (right.last_event_id, right.retry)
    assert [block.span.stop - torn for block, torn in zip(one, _torn(one, other), strict=True)] == [
        block.span.stop for block in other
    ]


def _torn(one: list[Block], other: list[Block]) -> list[int]:
    """For each block, 1 where its LF went to the one after it."""
    torn = [block.lead % 3 for block in other[1:]]
    return [*torn, *(a.span.stop - b.span.stop for a, b in zip(one[-1:], other[-1:], strict=True))]


@given(STREAMS, PLACES)
def test_spans_cover_the_stream(stream: bytes, places: list[int]):
    """Blocks, and what is unfinished, tile the stream; their fields tile them."""
    blocks, parser = read(cut(stream, places))
    position = 0
    for block in blocks:
        assert block.span.start == position
        assert_tiles(describe_block(stream[block.span.start : block.span.stop], block), block.span)
        assert block.holes == ()
        position = block.span.stop
    rest = parser.unfinished
    assert (rest or Span(position, position)) == Span(position, len(stream))


@given(STREAMS, PLACES, st.integers(0, 1000))
def test_spans_over_chunked_coding(stream: bytes, places: list[int], start: int):
    """RFC 9112 §7.1: pieces of the stream stand apart; what is between them is in the spans and named as framing."""
    parser = EventStreamParser()
    wire, at = b"", start
    blocks: list[Block] = []
    for piece in cut(stream, places):
        frame = f"{len(piece):x}\r\n".encode()
        blocks += parser.feed(piece, start + len(wire) + len(frame))
        wire += frame + piece + b"\r\n"
    whole, _ = read(cut(stream, places))
    assert [block.event for block in blocks] == [block.event for block in whole]
    for block, plain in zip(blocks, whole, strict=True):
        assert block.span.start >= at
        at = block.span.stop
        data = wire[block.span.start - start : block.span.stop - start]
        fields = describe_block(data, block)
        assert_tiles(fields, block.span)
        kept = b"".join(
            data[field.span.start - block.span.start : field.span.stop - block.span.start]
            for field in fields
            if field.name != "chunk framing"
        )
        assert kept == stream[plain.span.start : plain.span.stop]
        assert [field.span for field in fields if field.name == "chunk framing"] == list(block.holes)


def test_describe_a_block_with_a_hole():
    """A field that the framing cuts is named on both sides of it."""
    parser = EventStreamParser()
    assert parser.feed(b"data: he", 3) == []
    (block,) = parser.feed(b"llo\n\n", 16)
    assert block.span == Span(3, 21)
    assert block.holes == (Span(11, 16),)
    fields = describe_block(b"data: he\r\n5\r\nllo\n\n", block)
    assert [(field.name, field.text, str(field.span)) for field in fields] == [
        ("field name", "data", "[3, 7)"),
        ("colon", r"': '", "[7, 9)"),
        ("data", "hello", "[9, 11)"),
        ("chunk framing", r"'\r\n5\r\n'", "[11, 16)"),
        ("data", "hello", "[16, 19)"),
        ("end of line", r"'\n'", "[19, 20)"),
        ("end of line", r"'\n'", "[20, 21)"),
    ]


def test_describe():
    """WHATWG HTML §9.2.5 and §9.2.6: each kind of line."""
    data = b"\xef\xbb\xbf: c\r\nevent: add\ndata\nwhat: x\rid:7\n\n"
    fields = describe_event_stream(data, 100)
    assert_tiles(fields, Span(100, 100 + len(data)))
    assert [(field.name, field.text, field.meaning) for field in fields] == [
        ("BOM", "ef bb bf", "byte order mark, skipped"),
        ("colon", r"': '", "begins a comment; one space after it is removed"),
        ("comment", "c", "a comment, ignored"),
        ("end of line", r"'\r\n'", "ends the line"),
        ("field name", "event", ""),
        ("colon", r"': '", "one space after it is removed"),
        ("event", "add", "sets the event's type"),
        ("end of line", r"'\n'", "ends the line"),
        ("field name", "data", ""),
        ("end of line", r"'\n'", "ends the line"),
        ("field name", "what", ""),
        ("colon", r"': '", "one space after it is removed"),
        ("what", "x", "an unknown field, ignored"),
        ("end of line", r"'\r'", "ends the line"),
        ("field name", "id", ""),
        ("colon", "':'", ""),
        ("id", "7", "sets the last event ID"),
        ("end of line", r"'\n'", "ends the line"),
        ("end of line", r"'\n'", "an empty line: dispatches the event"),
    ]


def test_describe_lead():
    """A byte order mark counts at the stream's first byte only; an LF may end the block before."""
    later = describe_event_stream(b"\xef\xbb\xbfdata: a\n\n", 50, lead=0)
    assert (later[0].name, later[0].text, later[0].span) == ("field name", "\ufeffdata", Span(50, 57))
    first = describe_event_stream(b"\n\n", 50, lead=1)
    assert [field.meaning for field in first] == [
        "the LF of the CR LF that ends the line before", "an empty line: dispatches the event",
    ]  # fmt: skip


@given(st.binary(max_size=80) | STREAMS, st.integers(0, 1000))
def test_any_bytes_are_described(data: bytes, offset: int):
    assert_tiles(describe_event_stream(data, offset), Span(offset, offset + len(data)))


# Bounds


@pytest.mark.parametrize("way", [*WAYS, lambda data: cut(data, range(0, 400, 7))])
@pytest.mark.parametrize(
    ("stream", "is_over"),
    [
        (b"data: 4567\n\n", False),
        (b"data: 45678\n\n", True),
        (b"data: 45678", True),
        (b"a: 4\r\nb: 9\r\nc\r\n\r\n", False),
        (b"a: 4\nb: 8\ncde\n\n", True),
        (b"\xef\xbb\xbfdata: 4567\r\r", False),
        (b"data: 4567\n\n" * 5, False),
        (b"\n" * 50, False),
    ],
)
def test_bound(way, stream: bytes, is_over: bool):
    """The lines of an event have max_event bytes together at the most, however they arrive."""
    if is_over:
        with pytest.raises(EventStreamError, match="longer than the bound of 10 bytes"):
            read(way(stream), max_event=10)
    else:
        _, parser = read(way(stream), max_event=10)
        assert parser.unfinished in (None, Span(len(stream) - 1, len(stream)))  # the LF of a torn CR LF


def test_what_came_before_the_bound_is_not_lost():
    parser = EventStreamParser(max_event=10)
    with pytest.raises(EventStreamError) as error:
        parser.feed(b"data: a\n\ndata: 45678\n\n")
    assert events(list(error.value.blocks)) == (Event("message", "a", ""),)
    assert parser.unfinished == Span(9, 22)


def test_a_long_line_in_small_reads_costs_no_more_than_its_size():
    """1 MiB in 65,536 reads; copying it for each of them would take half a minute."""
    started = time.process_time()
    line = b"data: " + b"x" * (1 << 20)
    blocks, _ = read(cut(line + b"\n\n", range(0, len(line), 16)), max_event=1 << 21)
    assert len(events(blocks)[0].data) == 1 << 20
    assert time.process_time() - started < 5


# The encoder

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\r\n:\0 \ufeff"), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=10)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"data": TEXTS},
            optional={"event": NAMES, "id": NAMES | st.integers(), "comment": TEXTS, "retry": st.integers(0, 10**15)},
        ),
        max_size=4,
    ),
    PLACES,
)
def test_any_event_is_read_as_written(written: list[dict[str, object]], places: list[int]):
    """WHATWG HTML §9.2.5: one event each, with no field that was not asked for."""
    stream = b"".join(encode_event(**event) for event in written)  # type: ignore[arg-type]
    blocks, _ = read(cut(stream, places))
    wanted, last_id = [], ""
    for event in written:
        last_id = str(event.get("id", last_id))
        lines = _lines(str(event["data"]))
        comments = tuple(_lines(str(event["comment"]))) if "comment" in event else ()
        wanted.append(
            (Event(str(event.get("event") or "message"), "\n".join(lines), last_id), comments, event.get("retry"))
        )
    assert [(block.event, block.comments, block.retry) for block in blocks] == wanted


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        ({"data": "a"}, b"data: a\n\n"),
        ({"data": ""}, b"data: \n\n"),
        ({"data": " a"}, b"data:  a\n\n"),
        ({"data": "a\nb\r\nc\rd"}, b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (
            {"data": "x", "event": "e", "id": 4, "retry": 9, "comment": "c"},
            b": c\nevent: e\nid: 4\nretry: 9\ndata: x\n\n",
        ),
        ({"comment": ""}, b":\n\n"),
        ({"comment": "a\ndata: b"}, b": a\n: data: b\n\n"),
        ({"id": ""}, b"id: \n\n"),
        ({"retry": 0}, b"retry: 0\n\n"),
        ({}, b"\n"),
    ],
)
def test_encode(arguments: dict[str, object], wire: bytes):
    """WHATWG HTML §9.2.5."""
    assert encode_event(**arguments) == wire  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"event": "a\ndata: x"}, "event type has no line break"),
        ({"event": "a\rb"}, "event type has no line break"),
        ({"event": "a\0"}, "event type has no line break and no NUL"),
        ({"id": "a\n\ndata: x"}, "event ID has no line break"),
        ({"id": "a\0"}, "event ID has no line break and no NUL"),
        ({"retry": -1}, "not negative: -1"),
        ({"data": "a\ud800"}, "half of a surrogate pair"),
        ({"id": "\udfff"}, "half of a surrogate pair"),
    ],
)
def test_encode_refuses(arguments: dict[str, object], text: str):
    with pytest.raises(EventStreamError, match=text):
        encode_event(**arguments)  # type: ignore[arg-type]
