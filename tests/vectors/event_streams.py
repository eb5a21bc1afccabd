"""Event streams with what a reader makes of them.

Source: WHATWG HTML §9.2.6, its examples first.
"""

from __future__ import annotations

from dataclasses import dataclass

from lane_kernel.wire.eventstream import Event


@dataclass(frozen=True)
class Case:
    """A stream and what comes of it.

    Attributes:
        id: The case's name.
        wire: Its bytes.
        events: The events that are dispatched.
        last_event_id: The last event ID at its end.
        retry: The reconnection time at its end.
        comments: The comments of the blocks that ended.
    """

    id: str
    wire: bytes
    events: tuple[Event, ...] = ()
    last_event_id: str = ""
    retry: int | None = None
    comments: tuple[str, ...] = ()


def _message(data: str, id: str = "") -> Event:
    return Event("message", data, id)


CASES = (
    Case("stocks", b"data: YHOO\ndata: +2\ndata: 10\n\n", (_message("YHOO\n+2\n10"),)),
    Case(
        "four-blocks",
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        (_message("first event", "1"), _message("second event")),
        comments=("test stream",),
    ),
    Case("data-without-colon", b"data\n\ndata\ndata\n\ndata:", (_message(""), _message("\n"))),
    Case("one-space-removed", b"data:test\n\ndata: test\n\n", (_message("test"), _message("test"))),
    Case("typed", b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
         (Event("add", "73857293", ""), Event("remove", "2153", ""))),
    Case("empty", b""),
    Case("only-line-ends", b"\n\r\n\r\r\n\n"),
    Case("cr", b"data: a\rdata: b\r\rdata: c\r\r", (_message("a\nb"), _message("c"))),
    Case("crlf", b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", (_message("a\nb"), _message("c"))),
    Case("mixed-line-ends", b"data: a\rdata: b\ndata: c\r\n\rdata: d\n\r\n", (_message("a\nb\nc"), _message("d"))),
    Case("lf-cr-is-two", b"data: a\n\rdata: b\n\r", (_message("a"), _message("b"))),
    Case("bom", b"\xef\xbb\xbfdata: a\n\n", (_message("a"),)),
    Case("bom-alone", b"\xef\xbb\xbf"),
    Case("bom-cut", b"\xef\xbbdata: a\n\n"),
    Case("bom-twice", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n"),
    Case("bom-later", b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n", (_message("a"), _message("c"))),
    Case("bom-before-line-end", b"\xef\xbb\xbf\n\ndata: a\n\n", (_message("a"),)),
    Case("comments", b":\n: a\n:b\n::c\n\n", comments=("", "a", "b", ":c")),
    Case("comment-among-fields", b"data: a\n: no\ndata: b\n\n", (_message("a\nb"),), comments=("no",)),
    Case("unknown-fields", b"dat: a\nDATA: b\n data: c\ndata : d\ndata: e\n\n", (_message("e"),)),
    Case("colons-in-value", b"data: a: b:c\n\n", (_message("a: b:c"),)),
    Case("id-kept", b"id: 1\ndata: a\n\ndata: b\n\n", (_message("a", "1"), _message("b", "1")), "1"),
    Case("id-reset", b"id: 1\ndata: a\n\nid\ndata: b\n\n", (_message("a", "1"), _message("b"))),
    Case("id-without-data", b"id: 1\n\ndata: a\n\n", (_message("a", "1"),), "1"),
    Case("id-nul", b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", (_message("a", "1"), _message("b", "1")), "1"),
    Case("id-of-an-unfinished-block", b"id: 1\ndata: a\n\nid: 2\ndata: b\n", (_message("a", "1"),), "1"),
    Case("id-last-counts", b"id: 1\nid: 2\ndata: a\n\n", (_message("a", "2"),), "2"),
    Case("retry", b"retry: 3000\n\n", retry=3000),
    Case("retry-zeros", b"retry: 00000000000000000000007\n\n", retry=7),
    Case("retry-zero", b"retry: 000\n\n", retry=0),
    Case("retry-enormous", b"retry: " + b"1" + b"0" * 5000 + b"\n\n", retry=10**15),
    Case("retry-not-digits", b"retry: 1s\nretry: -1\nretry:  1\nretry\nretry: \xd9\xa1\nretry: 1.5\n\n"),
    Case("retry-unfinished-block", b"retry: 5\n", retry=5),
    Case("event-empty", b"event: a\nevent:\ndata: x\n\n", (_message("x"),)),
    Case("event-not-kept", b"event: a\n\ndata: x\n\n", (_message("x"),)),
    Case("no-data", b"event: a\nid: 1\n\n", last_event_id="1"),
    Case("unfinished-line", b"data: a\n\ndata: b", (_message("a"),)),
    Case("unfinished-block", b"data: a\n\ndata: b\n", (_message("a"),)),
    Case("utf8", "data: héé €𝄞\n\n".encode(), (_message("héé €𝄞"),)),
    Case("utf8-invalid", b"data: a\xff\xe2\x82b\xf0\x9d\x84\n\n", (_message("a\ufffd\ufffdb\ufffd"),)),
    Case("nul-in-data", b"data: a\0b\n\n", (_message("a\0b"),)),
    Case("other-line-breaks", "data: a\x0b\x0c\x85\u2028b\n\n".encode(), (_message("a\x0b\x0c\x85\u2028b"),)),
)  # fmt: skip
