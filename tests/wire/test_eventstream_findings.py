"""What is wrong with an event stream, and which bytes are to blame. WHATWG HTML §9.2."""

from __future__ import annotations

import pytest
from hypothesis import given

from lane_kernel.wire import rules
from lane_kernel.wire.eventstream import Block, EventStreamParser, encode_event
from lane_kernel.wire.eventstream_findings import judge_block, judge_stream_head, judge_unfinished
from lane_kernel.wire.http1 import parse_head
from lane_kernel.wire.rules import Finding, Rule
from lane_kernel.wire.spans import Span
from tests.vectors import event_streams as vectors
from tests.wire.helpers import PLACES, WAYS, cut
from tests.wire.test_eventstream import REGULAR, STREAMS

ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def judge(pieces: list[bytes], *, is_ended: bool = True) -> list[Finding]:
    """Every finding of a stream."""
    stream = b"".join(pieces)
    parser = EventStreamParser()
    found: list[Finding] = []
    for piece in pieces:
        for block in parser.feed(piece):
            found += judge_block(stream[block.start : block.stop], block)
    if is_ended and (rest := parser.unfinished_block) is not None:
        found += judge_unfinished(stream[rest.start : rest.stop], rest)
    return found


@ways
@pytest.mark.parametrize(
    ("stream", "rule", "blamed", "text"),
    [
        (b"data: a\xffb\n\n", rules.STREAM_UTF8, b"\xff", "ff is not UTF-8: read as \ufffd"),
        (b"data: a\xe2\x82\xffb\n\n", rules.STREAM_UTF8, b"\xe2\x82\xff", "e2 82 ff is not UTF-8: read as \ufffd"),
        ("data: é\n: €".encode() + b"\xed\xa0\x80\n\n", rules.STREAM_UTF8, b"\xed\xa0\x80", "ed a0 80 is not UTF-8"),
        (b"data: " + b"\xfe" * 9 + b"\n\n", rules.STREAM_UTF8, b"\xfe" * 9, "fe fe fe fe fe fe fe fe … is not UTF-8"),
        (b"data: a\n\nwhat: b\n\n", rules.UNKNOWN_FIELD, b"what", "a field named 'what': ignored"),
        (b"Data\n\n", rules.UNKNOWN_FIELD, b"Data", "a field named 'Data': ignored"),
        (b"id: a\0b\0\n\n", rules.ID_WITH_NUL, b"\0", "an ID with NUL: ignored"),
        (b"retry: 1s\n\n", rules.RETRY_NOT_DIGITS, b"1s", "a reconnection time of '1s': ignored"),
        (b"event: a\r\nevent: b\r\n\r\n", rules.EVENT_WITHOUT_DATA, b"event: b", "an event of type 'b' without data"),
        (b"data: a\n\n: c\ndata: b\n", rules.EVENT_UNTERMINATED, b"data: b\n", "an event without its empty line"),
        (b"data: a\n\nev", rules.EVENT_UNTERMINATED, b"ev", "an event without its empty line"),
    ],
)
def test_each_rule(way, stream: bytes, rule: Rule, blamed: bytes, text: str):
    """One stream for each, with the bytes to blame."""
    (found,) = judge(way(stream))
    assert found.rule is rule
    assert found.text.startswith(text)
    at = stream.index(blamed)
    assert found.span == Span(at, at + len(blamed))


def test_a_byte_order_mark_later():
    """It is part of its field's name, which nobody knows then."""
    assert judge([b"data: a\n\n\xef\xbb\xbfdata: b\n\n"]) == [
        Finding(
            rules.BOM_MID_STREAM,
            Span(9, 12),
            "a byte order mark that is not at the stream's start: part of the field's name",
        ),
        Finding(rules.UNKNOWN_FIELD, Span(9, 16), "a field named '\\ufeffdata': ignored"),
    ]


def test_several_runs_of_wrong_bytes():
    """Each run is one finding, with what lies between left out."""
    found = judge([b"data: \xff\xfe.\xc0\xaf\n\n"])
    assert [str(finding.span) for finding in found] == ["[6, 8)", "[9, 11)"]


def test_an_empty_retry():
    """Digits are missing: no byte is to blame, but a place."""
    assert judge([b"retry:\n\n"]) == [Finding(rules.RETRY_NOT_DIGITS, Span(6, 6), "a reconnection time of '': ignored")]


@ways
@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbfdata: a\n\n",
        b": only a comment\n",
        b": cut",
        b"data: a\r\n\r\n",
        b"id: 1\n\n",
        b"retry: 5\n\n",
        b"event:\n\n",
        b"event: a\nevent:\n\n",
        "event: é\ndata: \ufeff𝄞\nid\n\n".encode(),
        encode_event("a\nb", event="e", id=1, retry=2, comment="c"),
    ],
)
def test_clean_streams(way, stream: bytes):
    """Nothing is wrong with what is right, however it is cut."""
    assert judge(way(stream)) == []


def test_a_character_cut_short_at_the_end_is_not_wrong():
    """The line was cut, and so was its last character."""
    assert [finding.rule for finding in judge([b"data: \xe2\x82"])] == [rules.EVENT_UNTERMINATED]


@given(STREAMS | REGULAR, PLACES)
def test_findings_do_not_depend_on_chunks(stream: bytes, places: list[int]):
    """However the stream is cut, the same bytes are to blame; and they are bytes of the stream."""
    found = judge(cut(stream, places))
    assert found == judge([stream])
    assert all(0 <= finding.span.start <= finding.span.stop <= len(stream) for finding in found)


@given(STREAMS | REGULAR)
def test_wrong_bytes_are_those_that_cannot_be_decoded(stream: bytes):
    """What is left when the wrong bytes are taken out of the lines is UTF-8."""
    stream += b"\n\n"
    rest = bytearray(stream)
    for finding in reversed([found for found in judge([stream]) if found.rule is rules.STREAM_UTF8]):
        del rest[finding.span.start : finding.span.stop]
    assert rest.decode() == rest.decode(errors="ignore")
    assert bytes(rest) == stream.decode(errors="ignore").encode()


@pytest.mark.parametrize("case", vectors.CASES, ids=lambda case: case.id)
def test_cases_over_chunked_coding(case: vectors.Case):
    """RFC 9112 §7.1: each byte in a chunk of its own; the same bytes are to blame, framing between them or not."""
    parser = EventStreamParser()
    wire, place = b"", {}
    found: list[Finding] = []
    blocks: list[Block] = []
    for at, byte in enumerate(case.wire):
        wire += b"1\r\n"
        place[at] = len(wire)
        blocks += parser.feed(bytes([byte]), len(wire))
        wire += bytes([byte]) + b"\r\n"
    for block in blocks:
        found += judge_block(wire[block.start : block.stop], block)
    plain = judge([case.wire], is_ended=False)
    assert [(finding.rule, finding.text) for finding in found] == [(finding.rule, finding.text) for finding in plain]
    for one, other in zip(found, plain, strict=True):
        if len(other.span):
            assert one.span == Span(place[other.span.start], place[other.span.stop - 1] + 1)


def head(lines: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1")


@pytest.mark.parametrize(
    ("data", "rule", "blamed", "text"),
    [
        (head("Content-Type: text/event-stream\r\n", "500 Oops"), rules.STREAM_STATUS, b"500", "answered with 500"),
        (
            head("content-type: text/event-stream\r\n", "204 None"),
            rules.STREAM_STATUS,
            b"204",
            "answered with 204: a client does not come again",
        ),
        (
            head("Content-Type: text/html; charset=utf-8\r\n"),
            rules.STREAM_CONTENT_TYPE,
            b"text/html",
            "the content type is text/html",
        ),
        (
            head("Content-Type:  text/event-stream; x=1;charset = latin1\r\n"),
            rules.STREAM_CHARSET,
            b"latin1",
            "charset latin1: read as UTF-8 all the same",
        ),
        (
            head('Content-Type: text/event-stream;Charset="us-ascii"\r\n'),
            rules.STREAM_CHARSET,
            b'"us-ascii"',
            'charset "us-ascii": read as UTF-8 all the same',
        ),
    ],
)
def test_heads(data: bytes, rule: Rule, blamed: bytes, text: str):
    """WHATWG HTML §9.2.3, §9.2.5."""
    at = 50 + data.index(blamed)
    assert list(judge_stream_head(parse_head(data, 50))) == [Finding(rule, Span(at, at + len(blamed)), text)]


def test_a_head_without_a_content_type():
    """Its absence is to blame: an empty span at the head's end."""
    data = head("")
    (found,) = judge_stream_head(parse_head(data, 50))
    assert found == Finding(rules.STREAM_CONTENT_TYPE, Span(50 + len(data), 50 + len(data)), "no Content-Type")
    (found,) = judge_stream_head(parse_head(head("Content-Type:\r\n")))
    assert found.text == "the content type is empty"


@pytest.mark.parametrize(
    "data",
    [
        head("Content-Type: text/event-stream\r\n"),
        head("CONTENT-TYPE: Text/Event-Stream ; CHARSET=UTF-8\r\n"),
        head('Content-Type: text/event-stream;charset="utf-8"\r\n'),
        head("Location: /elsewhere\r\n", "307 Temporary Redirect"),
    ],
)
def test_clean_heads(data: bytes):
    """Nothing is wrong with them; a redirection is followed."""
    assert list(judge_stream_head(parse_head(data))) == []
