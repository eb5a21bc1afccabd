"""The event stream: reader, encoder, inspector. WHATWG HTML §9.2."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lane_kernel.wire import rules
from lane_kernel.wire.eventstream import (
    MAX_EVENT,
    Block,
    Event,
    EventStreamError,
    EventStreamParser,
    encode_event,
)
from lane_kernel.wire.eventstream_fields import describe_block, describe_event_stream
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span
from tests.vectors import event_streams as vectors
from tests.vectors.random_event_streams import random_stream
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
    """WHATWG HTML §9.2.4."""
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
    assert second == Block(10, 22, "message", "b", lead=1)
    assert parser.feed(b"\r") == [Block(22, 23)]
    assert parser.feed(b"\n") == []
    assert parser.unfinished == Span(23, 24)


def test_a_byte_order_mark_leads_its_block_over_a_torn_cr_lf():
    parser = EventStreamParser()
    assert parser.feed(b"\xef\xbb\xbfdata: a\r") == []
    assert parser.feed(b"\n\n") == [Block(0, 13, "message", "a", lead=3)]


def test_retry_of_a_block():
    blocks, _ = read([b"retry: 1\nretry: 2\n\ndata: a\n\n"])
    assert [block.retry for block in blocks] == [2, None]


class Reading(NamedTuple):
    """All that a reader makes of a stream."""

    blocks: list[Block]
    last_event_id: str
    retry: int | None
    unfinished: Span | None
    failure: tuple[str, object] | None


def read_all(pieces: list[bytes], max_event: int = MAX_EVENT, max_line: int | None = None) -> Reading:
    parser = EventStreamParser(max_event=max_event, max_line=max_line)
    blocks: list[Block] = []
    for piece in pieces:
        try:
            blocks += parser.feed(piece)
        except EventStreamError as error:
            blocks += error.blocks
            failure = (str(error), error.finding)
            return Reading(blocks, parser.last_event_id, parser.retry, None, failure)
    return Reading(blocks, parser.last_event_id, parser.retry, parser.unfinished, None)


def untorn(stream: bytes, places: list[int]) -> list[bytes]:
    """Cut a stream anywhere but between CR and LF."""
    return cut(stream, [place for place in places if stream[place - 1 : place + 1] != b"\r\n"])


BOUNDS = st.tuples(st.sampled_from([5, 12, 30, MAX_EVENT]), st.sampled_from([None, 4, 11, 20]))


@given(STREAMS, PLACES, BOUNDS)
def test_any_chunking_gives_the_same(stream: bytes, places: list[int], bounds: tuple[int, int | None]):
    """Blocks with all that is in them, IDs, times and errors do not depend on where the chunks end."""
    assert read_all(untorn(stream, places), *bounds) == read_all([stream], *bounds)


@given(STREAMS, PLACES, BOUNDS)
def test_a_torn_cr_lf_moves_nothing_but_its_lf(stream: bytes, places: list[int], bounds: tuple[int, int | None]):
    """The LF of an empty line's CR LF, where it comes later, is in the next block; all else is the same."""
    one, other = read_all([stream], *bounds), read_all(cut(stream, places), *bounds)
    assert [block[2:7] for block in one.blocks] == [block[2:7] for block in other.blocks]
    assert one[1:3] == other[1:3]
    assert (one.failure or ("",))[0] == (other.failure or ("",))[0]
    assert all(b.lead == a.lead or (a.lead, b.lead) == (0, 1) for a, b in zip(one.blocks, other.blocks, strict=True))
    starts = [block.start + (block.lead == 1) for block in other.blocks]
    assert starts == [block.start for block in one.blocks]


# The fast path

LINES = st.lists(
    st.sampled_from(
        ["data: a", "data: b", "data: {}", "data:c", "data", "data: é", "data: data: x", "event: add", "event:",
         "event:x", "id: 1", "id:2", "id: ", "id", "id: a\0", "retry: 5", ": c",
         "what: x", "", "", "", "data: d\n", "data: e\n"]
    ),
    max_size=24,
)  # fmt: skip
REGULAR = st.builds(
    lambda lines, end, last: "\n".join([*lines, ""]).replace("\n", end).encode() + last,
    LINES,
    st.sampled_from(["\n", "\n", "\r\n", "\r"]),
    st.sampled_from([b"", b"", b"\n", b"\r\n", b"data: a\n\r\n\r\n"]),
)
"""Streams whose lines end alike, mostly of what the fast path reads."""


@settings(max_examples=1000)
@given(REGULAR | STREAMS, st.sampled_from([b"", b"\xff\n", b"\xef\xbb\xbf"]))
def test_the_fast_path_reads_as_the_reader_of_lines(stream: bytes, start: bytes):
    """Byte by byte, no whole block ever comes at once, so that the fast path has nothing to do."""
    stream = start + stream
    pieces = untorn(stream, list(range(len(stream))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventStreamParser, "_take_whole_blocks", lambda self, buffer, start, *rest: start)
        general = read_all([stream])
    assert read_all([stream]) == general == read_all(pieces)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_fast_path_is_taken(end: str, monkeypatch: pytest.MonkeyPatch):
    """What it is there for does not reach the reader of lines; IDs are kept from one shape to the other."""
    shapes = (
        "data: a",
        "data: b",
        "data:é",
        "id: 1\nevent: x\ndata: c\ndata: d",
        "data: e",
        "id: 2\ndata: f",
        "data: g",
    )
    stream = "".join(f"{shape}\n\n" for shape in shapes).replace("\n", end).encode()
    monkeypatch.setattr(EventStreamParser, "_take_line", lambda *_: pytest.fail("not on the fast path"))
    blocks, parser = read([stream])
    assert [(block.type, block.data, block.last_event_id) for block in blocks] == [
        ("message", "a", ""), ("message", "b", ""), ("message", "é", ""), ("x", "c\nd", "1"), ("message", "e", "1"),
        ("message", "f", "2"), ("message", "g", "2"),
    ]  # fmt: skip
    assert blocks[-1].stop == len(stream)
    assert parser.last_event_id == "2"


@settings(max_examples=300)
@given(st.integers(0, 2**32), PLACES)
def test_random_streams(seed: int, places: list[int]):
    """The streams that Chromium reads, too."""
    stream = random_stream(random.Random(seed))
    assert read_all(untorn(stream, places)) == read_all([stream])


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
        with pytest.raises(EventStreamError, match="an event is longer than the bound of 10 bytes"):
            read(way(stream), max_event=10)
    else:
        _, parser = read(way(stream), max_event=10)
        assert parser.unfinished in (None, Span(len(stream) - 1, len(stream)))  # the LF of a torn CR LF


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("stream", "text", "span"),
    [
        (b"data: a\n\ndata: 45678\n\n", "a line is longer than the bound of 10 bytes", Span(9, 20)),
        (b"a: 4\nb: 8\nc: 2\nd: 6\ne\n\n", "an event is longer than the bound of 16 bytes", Span(0, 21)),
        (b"a: 4\nb: 8\n: 34567890123\n", "an event is longer than the bound of 16 bytes", Span(0, 19)),
        (b"a: 4\n: 34567890123\n", "a line is longer than the bound of 10 bytes", Span(0, 16)),
    ],
)
def test_bound_on_a_line(way, stream: bytes, text: str, span: Span):
    """Whichever bound is passed first is named, with the bytes up to the first one over it."""
    assert read_all(way(stream), 16, 10).failure == (text, Finding(rules.EVENT_TOO_BIG, span, text))


def test_what_came_before_the_bound_is_not_lost():
    """Nothing is read after it."""
    parser = EventStreamParser(max_event=10)
    with pytest.raises(EventStreamError) as error:
        parser.feed(b"data: a\n\ndata: 45678\n\n")
    assert events(list(error.value.blocks)) == (Event("message", "a", ""),)
    assert parser.unfinished == Span(9, 22)
    with pytest.raises(EventStreamError, match="longer than the bound of 10 bytes") as again:
        parser.feed(b"\n\ndata: b\n\n")
    assert again.value.blocks == ()


def test_a_long_line_in_small_reads_is_looked_at_once(monkeypatch: pytest.MonkeyPatch):
    """1 MiB in 65,536 reads: nothing is read again before the line ends."""
    taken: list[int] = []
    take_lines = EventStreamParser._take_lines

    def counted(self: EventStreamParser, buffer: bytes, *rest: Any, **options: Any) -> int:
        taken.append(len(buffer))
        return take_lines(self, buffer, *rest, **options)

    monkeypatch.setattr(EventStreamParser, "_take_lines", counted)
    line = b"data: " + b"x" * (1 << 20)
    blocks, _ = read(cut(line + b"\n\n", range(0, len(line), 16)), max_event=1 << 21)
    assert len(events(blocks)[0].data) == 1 << 20
    assert len(taken) < 5


# The encoder

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\r\n:\0 \ufeff"), max_size=20)
ANYTHING = st.text(st.characters() | st.sampled_from("\r\n\r\n:\0 d"), max_size=12)
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
        ({"retry": -1}, "whole milliseconds from 0"),
        ({"retry": 10**5000}, "to 1,000,000,000,000,000"),
        ({"retry": 1.5}, "whole milliseconds"),
        ({"data": "a\ud800"}, "half of a surrogate pair"),
        ({"id": "\udfff"}, "half of a surrogate pair"),
    ],
)
def test_encode_refuses(arguments: dict[str, object], text: str):
    with pytest.raises(EventStreamError, match=text):
        encode_event(**arguments)  # type: ignore[arg-type]


@settings(max_examples=500)
@given(
    data=st.none() | ANYTHING,
    event=st.none() | ANYTHING,
    id=st.none() | ANYTHING,
    comment=st.none() | ANYTHING,
    retry=st.none() | st.integers(),
)
def test_nothing_can_be_smuggled_in(data, event, id, comment, retry):
    """Any text is refused, or is one block with these fields and no other."""
    try:
        wire = encode_event(data, event=event, id=id, comment=comment, retry=retry)
    except EventStreamError:
        return
    (block,), parser = read([wire])
    assert parser.unfinished is None
    assert block.data == (None if data is None else "\n".join(_lines(data)))
    assert block.type == (event or ("message" if data is not None else ""))
    assert (block.last_event_id, block.retry) == (id or "", retry)
    assert block.comments == (() if comment is None else tuple(_lines(comment)))
