"""What a timeline finds in conversations: heads, bodies, frames, events, and what is cut short or forgotten."""

from __future__ import annotations

import pytest

from lane_kernel.capture import NoteKind, Store
from lane_kernel.capture import store as store_module
from lane_kernel.sides import Side
from lane_kernel.timeline import Entry, EntryKind, Timeline
from lane_kernel.wire import rules
from lane_kernel.wire.eventstream import Event
from lane_kernel.wire.frames import Frame
from lane_kernel.wire.spans import Span
from tests.timeline.recording import (
    DOWN,
    GET,
    REQUEST,
    RESPONSE,
    UP,
    Turn,
    answer,
    assert_whole,
    entries,
    glance,
    masked,
    plain,
    record,
)

_A = masked(1, b"a")
EVENTS_HEAD = "Content-Type: text/event-stream; charset=utf-8\r\n"


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


@pytest.mark.parametrize(
    ("is_early", "turns"),
    [
        (False, [(UP, REQUEST), (DOWN, RESPONSE), (UP, masked(1, b"a") + masked(1, b"b")), (DOWN, plain(2, b"c"))]),
        (True, [(UP, REQUEST + masked(1, b"a") + masked(1, b"b")), (DOWN, RESPONSE + plain(2, b"c"))]),
        (True, [(UP, REQUEST + _A[:3]), (UP, _A[3:]), (DOWN, RESPONSE + plain(2, b"c")), (UP, masked(1, b"b"))]),
        (True, [(UP, REQUEST), (DOWN, RESPONSE[:20]), (UP, _A), (DOWN, RESPONSE[20:] + plain(2, b"c")[:1]),
                (DOWN, plain(2, b"c")[1:]), (UP, masked(1, b"b"))]),
    ],
    ids=["apart", "with-the-handshake", "cut-before-the-answer", "answer-cut"],
)  # fmt: skip
def test_handshake_and_frames(is_early: bool, turns):
    """RFC 6455 §4, §5: frames follow the heads, also in the same chunk and before the answer is there."""
    found = entries(turns)
    assert sorted(glance(found)) == sorted(
        [
            ("request", "GET /echo"), ("response", "101 Switching Protocols"), ("frame", "TEXT FIN M"),
            ("frame", "TEXT FIN M"), ("frame", "BINARY FIN"),
        ]
    )  # fmt: skip
    for way in (UP, DOWN):
        assert_whole(found, way, sum(len(data) for direction, data in turns if direction is way))
    assert [entry.payload for entry in found if entry.kind is EntryKind.FRAME and entry.direction is UP] == [b"a", b"b"]
    early = [finding.rule for entry in found for finding in entry.findings]
    assert set(early) == ({rules.FRAME_BEFORE_ANSWER} if is_early else set())


def test_a_refused_upgrade_and_the_next_request():
    """RFC 6455 §4.2.2: after an answer that is not 101 the connection speaks HTTP on."""
    refusal = answer("Content-Length: 2\r\n", b"no", "426 Upgrade Required")
    found = entries([(UP, REQUEST + GET), (DOWN, refusal), (DOWN, answer("Content-Length: 0\r\n")), (UP, GET)])
    assert sorted(glance(found)) == sorted(
        [("request", "GET /echo"), ("response", "426 Upgrade Required"), ("request", "GET /"), ("body", "body"),
         ("response", "200 OK"), ("request", "GET /")]
    )  # fmt: skip
    assert_whole(found, UP, len(REQUEST + GET + GET))


def test_an_upgrade_behind_another_request():
    """RFC 9112 §9.3.2: the first request's answer does not refuse the pipelined upgrade."""
    found = entries(
        [
            (UP, GET + REQUEST + masked(1, b"a")),
            (DOWN, answer("Content-Length: 2\r\n", b"hi") + RESPONSE + plain(1, b"b")),
        ]
    )
    assert glance(found) == [
        ("request", "GET /"), ("request", "GET /echo"), ("response", "200 OK"), ("body", "body"),
        ("response", "101 Switching Protocols"), ("frame", "TEXT FIN M"), ("frame", "TEXT FIN"),
    ]  # fmt: skip


def test_an_upgrade_that_nobody_asked_for():
    """What the client had begun is not lost."""
    found = entries([(UP, GET + b"GET"), (DOWN, RESPONSE), (UP, masked(1, b"a")), (DOWN, RESPONSE)])
    assert ("body", "not a whole HTTP head") in glance(found)
    assert ("frame", "TEXT FIN M") in glance(found)
    assert_whole(found, UP, len(GET) + 3 + len(masked(1, b"a")))


def test_an_upgrade_that_nobody_answers():
    found = entries([(UP, REQUEST + masked(1, b"a"))])
    assert glance(found) == [("request", "GET /echo"), ("body", "sent before the upgrade was answered")]
    assert_whole(found, UP, len(REQUEST + masked(1, b"a")))


def test_keep_alive():
    """RFC 9112 §6: bodies by length, by chunks and until the end, requests' and responses', on one connection."""
    post = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nHello"
    put = b"PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"one", b"two")
    head = b"HEAD /c HTTP/1.1\r\n\r\n"
    turns = [
        (UP, post + put),
        (DOWN, b"HTTP/1.1 100 Continue\r\n\r\n" + answer("Content-Length: 2\r\n", b"hi")),
        (DOWN, answer("Transfer-Encoding: chunked\r\n", chunked(b"hello"))),
        (UP, head + GET + GET),
        (DOWN, answer("Content-Length: 1000\r\n")),
        (DOWN, answer("", status="204 No Content") + answer("", b"till")),
        (DOWN, b" the end"),
    ]
    found = entries(turns)
    assert glance(found) == [
        ("request", "POST /a"), ("body", "body"), ("request", "PUT /b"), ("body", "chunked body"),
        ("response", "100 Continue"), ("response", "200 OK"), ("body", "body"), ("response", "200 OK"),
        ("body", "chunked body"), ("request", "HEAD /c"), ("request", "GET /"), ("request", "GET /"),
        ("response", "200 OK"), ("response", "204 No Content"), ("response", "200 OK"), ("body", "body"),
        ("body", "body"),
    ]  # fmt: skip
    for way in (UP, DOWN):
        assert_whole(found, way, sum(len(data) for direction, data in turns if direction is way))
    assert [entry.preview for entry in found if entry.what == "body"] == ["Hello", "hi", "till", " the end"]


def test_a_length_with_zeros_before_it():
    found = entries([(UP, b"POST / HTTP/1.1\r\nContent-Length: 0000000000000000000000005\r\n\r\nHello" + GET)])
    assert glance(found) == [("request", "POST /"), ("body", "body"), ("request", "GET /")]


def test_an_answer_without_a_request():
    """A server may refuse what it could not read (RFC 9112 §9.5: 408, or 400)."""
    found = entries([(UP, b"\x16\x03\x01\x02"), (DOWN, answer("Connection: close\r\n", b"?", "400 Bad Request"))])
    assert glance(found) == [("response", "400 Bad Request"), ("body", "body"), ("body", "not a whole HTTP head")]


def test_thousands_of_pipelined_requests():
    """One chunk may hold more requests than Python has stack."""
    found = entries([(UP, GET * 3000), (DOWN, answer("Content-Length: 1\r\n", b"x") * 3000)])
    assert [entry.kind for entry in found].count(EntryKind.REQUEST) == 3000
    assert [entry.kind for entry in found].count(EntryKind.RESPONSE) == 3000
    assert_whole(found, UP, len(GET) * 3000)


_STREAM = b": hi\n\nevent: tick\nid: 1\ndata: a\n\nretry: 5\n\ndata: b\r\n\n"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("", _STREAM),
        (f"Content-Length: {len(_STREAM)}\r\n", _STREAM),
        ("Transfer-Encoding: chunked\r\n", chunked(_STREAM)),
        ("Transfer-Encoding: chunked\r\n", chunked(_STREAM[:11], _STREAM[11:40], _STREAM[40:])),
        ("Transfer-Encoding: chunked\r\n", chunked(*[_STREAM[at : at + 1] for at in range(len(_STREAM))])),
    ],
    ids=["until-close", "length", "one-chunk", "three-chunks", "byte-chunks"],
)
def test_event_stream(head: str, body: bytes):
    """WHATWG HTML §9.2.6, over each way that RFC 9112 §6.3 ends a body."""
    every = entries([(UP, GET), (DOWN, answer(EVENTS_HEAD + head, body))])
    assert_whole(every, DOWN, len(answer(EVENTS_HEAD + head, body)))
    found = [entry for entry in every[2:] if entry.what != "chunk framing"]
    assert glance(found) == [
        ("comment", "comment"), ("event", "event tick id 1"), ("comment", "fields without data"),
        ("event", "event message id 1"),
    ]  # fmt: skip
    assert [entry.preview for entry in found] == ["hi", "a", "retry 5", "b"]
    assert [entry.event for entry in found] == [None, Event("tick", "a", "1"), None, Event("message", "b", "1")]
    assert [entry.length for entry in found][1] == 1
    for entry in found:
        assert entry.span is not None
        shown = b"".join(
            entry.data[field.span.start - entry.span.start : field.span.stop - entry.span.start]
            for field in entry.fields
            if field.name != "chunk framing"
        )
        assert shown in _STREAM
        assert shown.endswith(b"\n\n")


def test_event_stream_then_another_answer():
    """RFC 9112 §9.3: an event stream that has an end is followed by the next response."""
    body = chunked(b"data: a\n\ndata: b")
    found = entries(
        [(UP, GET + GET), (DOWN, answer(EVENTS_HEAD + "Transfer-Encoding: chunked\r\n", body) + answer("", b"x"))]
    )
    assert glance(found)[2:] == [
        ("response", "200 OK"), ("body", "chunk framing"), ("event", "event message"),
        ("body", "an event without its empty line: not dispatched"), ("body", "chunk framing"),
        ("response", "200 OK"), ("body", "body"),
    ]  # fmt: skip
    assert [field.name for field in found[6].fields] == ["end of line", "chunk size", "end of line", "end of line"]


@pytest.mark.parametrize("head", ["", "Content-Length: 100\r\n"])
def test_event_stream_cut_short(head: str):
    """WHATWG HTML §9.2.6: nothing is dispatched at the end of the file without the empty line."""
    start = answer(EVENTS_HEAD + head)
    found = entries([(UP, GET), (DOWN, start + b"data: a\n\n"), (DOWN, b"data: b\n")])
    assert glance(found)[2:] == [
        ("event", "event message"), ("body", "an event without its empty line: not dispatched"),
    ]  # fmt: skip
    assert_whole(found, DOWN, len(start) + 17)


def test_event_stream_cut_in_a_chunk():
    start = answer(EVENTS_HEAD + "Transfer-Encoding: chunked\r\n")
    found = entries([(UP, GET), (DOWN, start + b"20\r\ndata: a\n\ndata")])
    assert_whole(found, DOWN, len(start) + 17)
    assert glance(found)[2:] == [
        ("body", "chunk framing"), ("event", "event message"),
        ("body", "an event without its empty line: not dispatched"),
    ]  # fmt: skip


def test_a_cr_lf_that_is_torn():
    """The LF belongs to the next block, and to nothing else where the stream ends with it."""
    start = answer(EVENTS_HEAD)
    turns = [(UP, GET), (DOWN, start + b"data: a\r\n\r"), (DOWN, b"\ndata: b\r\n\r"), (DOWN, b"\n")]
    found = entries(turns)
    assert glance(found)[2:] == [
        ("event", "event message"), ("event", "event message"), ("body", "the LF of the last CR LF"),
    ]  # fmt: skip
    assert found[3].fields[0].meaning == "the LF of the CR LF that ends the line before"
    assert_whole(found, DOWN, sum(len(data) for way, data in turns if way is DOWN))


def test_an_event_over_the_bound(monkeypatch: pytest.MonkeyPatch):
    """What came before it is shown, and so are all later bytes."""
    monkeypatch.setattr("lane_kernel.wire.eventstream.EventStreamParser.__init__.__defaults__", ("", 10))
    start = answer(EVENTS_HEAD)
    turns = [(UP, GET), (DOWN, start), (DOWN, b"data: a\n\ndata"), (DOWN, b": 0123456789\n\n"), (DOWN, b"data: b\n\n")]
    found = entries(turns)
    assert glance(found)[2:] == [
        ("event", "event message"), ("body", "an event is longer than the bound of 10 bytes"), ("body", "body"),
    ]  # fmt: skip
    assert_whole(found, DOWN, sum(len(data) for way, data in turns if way is DOWN))


def test_a_broken_chunk():
    """RFC 9112 §7.1: what came before it is shown, and so are all later bytes."""
    start = answer("Transfer-Encoding: chunked\r\n")
    turns = [(UP, GET), (DOWN, start + b"2\r\nhi"), (DOWN, b"\r\nzz\r\nmore"), (DOWN, b"and more")]
    found = entries(turns)
    assert [what for _, what in glance(found)[2:]] == [
        "a chunk size is hexadecimal digits, not b'zz'", "after a broken chunk",
    ]  # fmt: skip
    assert_whole(found, DOWN, sum(len(data) for way, data in turns if way is DOWN))


def test_a_broken_chunk_of_an_event_stream():
    start = answer(EVENTS_HEAD + "Transfer-Encoding: chunked\r\n")
    found = entries([(UP, GET), (DOWN, start + b"f\r\ndata: a\n\ndata: \r\nzz\r\n"), (DOWN, b"data: b\n\n")])
    assert [what for _, what in glance(found)[2:]] == [
        "chunk framing", "event message", "an event without its empty line: not dispatched",
        "a chunk size is hexadecimal digits, not b'zz'", "after a broken chunk",
    ]  # fmt: skip
    assert found[-2].data == b"\r\nzz\r\n"
    again = entries([(UP, GET), (DOWN, start), (DOWN, b"zz\r\n")])
    assert again[-1].data == b"zz\r\n"


@pytest.mark.parametrize(
    ("turns", "what"),
    [
        ([(UP, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nHel")], "body, 2 bytes short"),
        ([(UP, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHel")], "chunked body, cut short"),
        ([(UP, GET + b"GET / HT")], "not a whole HTTP head"),
        ([(UP, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")], "not a whole HTTP head"),
        ([(UP, REQUEST), (DOWN, RESPONSE), (UP, b"\x81")], "a frame header cut short"),
    ],
)
def test_cut_short(turns, what: str):
    found = entries(turns)
    assert (found[-1].kind, found[-1].what) == (EntryKind.BODY, what)
    assert_whole(found, UP, sum(len(data) for way, data in turns if way is UP))


def test_a_frame_cut_short():
    """It is shown as far as it came, and not blamed for what is missing."""
    data = masked(1, "é".encode() * 10)
    found = entries([(UP, REQUEST), (DOWN, RESPONSE), (UP, data[:9])])
    assert (found[-1].kind, found[-1].what, found[-1].length) == (EntryKind.FRAME, "TEXT FIN M", 20)
    assert found[-1].findings == ()
    assert found[-1].fields[-1].meaning.endswith("17 more declared but not there")
    assert_whole(found, UP, len(REQUEST) + 9)


def test_garbage_without_end():
    """What is no head is shown once it is longer than any head."""
    garbage = b"\xff" * 100_000
    found = entries([(UP, garbage), (UP, garbage), (UP, garbage), (UP, b"more")])
    assert glance(found) == [("body", "not a whole HTTP head")] * 2
    assert_whole(found, UP, 300_004)


def test_garbage_that_looks_like_a_head():
    """Whatever stands there gets a place; control characters do not reach the screen."""
    (entry,) = entries([(UP, b"\x1b[31mhello\x07\r\n\r\n")])
    assert glance([entry]) == [("request", "·[31mhello· ")]
    assert "\x1b" not in str(entry)


def test_a_long_target_is_cut():
    (entry,) = entries([(UP, b"GET /" + b"a" * 500 + b" HTTP/1.1\r\n\r\n")])
    assert len(entry.what) == 80
    assert entry.what.endswith("a…")


def _upgraded(*turns: Turn) -> list[Entry]:
    return entries([(UP, REQUEST), (DOWN, RESPONSE), *turns])[2:]


@pytest.mark.parametrize(
    ("turn", "found"),
    [
        ((UP, plain(1, b"a")), [["unmasked-client-frame"]]),
        ((DOWN, masked(1, b"a")), [["masked-server-frame"]]),
        ((DOWN, plain(3)), [["reserved-opcode"]]),
        ((DOWN, Frame(1, b"a", rsv1=True).encode()), [["reserved-bit"]]),
        ((DOWN, Frame(1, b"a", length_bits=64).encode()), [["length-not-minimal"]]),
        ((DOWN, plain(9, fin=False)), [["control-fragmented"]]),
        ((DOWN, plain(9, b"a" * 126)), [["control-too-long"]]),
        ((DOWN, plain(0, b"a")), [["unexpected-continuation"]]),
        ((DOWN, plain(1, fin=False) + plain(0) + plain(0)), [[], [], ["unexpected-continuation"]]),
        ((DOWN, plain(1, fin=False) + plain(9) + plain(2)), [[], [], ["data-inside-message"]]),
        ((DOWN, plain(1, b"a\xff")), [["invalid-utf8"]]),
        ((DOWN, plain(8, b"\x03")), [["close-one-byte"]]),
        ((DOWN, plain(8, b"\x03\xed\xff")), [["close-code-forbidden", "close-reason-utf8"]]),
        ((DOWN, plain(8) + plain(1) + plain(8)), [[], ["data-after-close"], []]),
        ((UP, plain(11, fin=False)), [["reserved-opcode", "control-fragmented", "unmasked-client-frame"]]),
    ],
)
def test_findings(turn, found: list[list[str]]):
    """RFC 6455 §5: each frame with the rules it breaks, by itself or where it stands, once each; and all is read on."""
    shown = _upgraded(turn)
    assert [[finding.rule.id for finding in entry.findings] for entry in shown] == found
    for entry in shown:
        assert entry.span is not None
        assert all(
            entry.span.start <= finding.span.start < finding.span.stop <= entry.span.stop for finding in entry.findings
        )


# Forgotten bytes


def test_what_is_forgotten_later_keeps_its_row():
    """A row stands; its bytes, fields and preview are gone, and it says so."""
    store = Store(budget=2000)
    timeline = Timeline(store)
    record([(UP, REQUEST), (DOWN, RESPONSE), (UP, masked(1, b"hello")), (DOWN, plain(8, b"\x03"))], store=store)
    before = [(entry.kind, entry.span) for entry in timeline]
    request, response, text, close = (entry for entry in timeline if entry.span is not None)
    assert (text.is_forgotten, text.what, text.length) == (False, "TEXT FIN M", 5)
    assert close.findings
    other = store.open(Side.SERVER, "a:80", "a:6000")
    for _ in range(20):
        store.append(other, UP, b"x" * 200)
    assert [(entry.kind, entry.span) for entry in timeline[: len(before)]] == before
    assert text.is_forgotten
    assert (text.data, text.payload, text.fields, text.header) == (b"", b"", (), None)
    assert (text.what, text.preview) == ("frame, its bytes forgotten", "")
    assert (request.what, request.fields, request.is_forgotten) == ("GET /echo", (), True)
    assert response.data == b""
    assert timeline.dropped == store.dropped > 0
    assert f"{store.dropped} chunks dropped" in str(timeline)


def _forgetful(monkeypatch: pytest.MonkeyPatch, before, after, budget: int):
    """Record turns of which the first are forgotten before any timeline looks."""
    monkeypatch.setattr(store_module, "_SEGMENT", 1)
    store = Store(budget=budget)
    connection = store.open(Side.SERVER, "a:80", "a:5000")
    for way, data in (*before, *after):
        store.append(connection, way, data)
    assert store.dropped == len(before)
    store.note(NoteKind.CLOSED, connection, "closed")
    return [entry for entry in Timeline(store) if entry.span is not None]


def test_frames_after_forgotten_bytes(monkeypatch: pytest.MonkeyPatch):
    """Frames are found again where a chunk is whole frames; nothing is blamed for what is gone."""
    before = [(UP, REQUEST), (DOWN, RESPONSE), (UP, masked(1, b"a" * 300, fin=False))]
    after = [
        (UP, masked(0, b"b" * 50)[20:]),
        (UP, masked(0, b"c") + masked(9)),
        (DOWN, plain(1, b"d")),
        (UP, masked(0)),
    ]
    found = _forgetful(monkeypatch, before, after, sum(len(data) for _, data in after))
    gone = len(REQUEST) + len(masked(1, b"a" * 300))
    assert glance(found) == [
        ("body", f"{gone} bytes, forgotten before they were read"), ("body", "bytes after forgotten ones"),
        ("frame", "CONTINUATION FIN M"), ("frame", "PING FIN M"),
        ("body", f"{len(RESPONSE)} bytes, forgotten before they were read"), ("frame", "TEXT FIN"),
        ("frame", "CONTINUATION FIN M"),
    ]  # fmt: skip
    assert [entry.is_forgotten for entry in found] == [True, False, False, False, True, False, False]
    assert [len(entry.findings) for entry in found] == [0, 0, 0, 0, 0, 0, 1]


def test_heads_after_forgotten_bytes(monkeypatch: pytest.MonkeyPatch):
    """HTTP is found again at a start line."""
    before = [(UP, GET), (DOWN, answer("", b"x" * 500))]
    after = [(UP, GET + GET), (DOWN, b"more"), (DOWN, answer("Content-Length: 2\r\n", b"hi"))]
    found = _forgetful(monkeypatch, before, after, sum(len(data) for _, data in after))
    assert [what for _, what in glance(found)] == [
        f"{len(GET)} bytes, forgotten before they were read", "GET /", "GET /",
        f"{len(before[1][1])} bytes, forgotten before they were read", "bytes after forgotten ones", "200 OK", "body",
    ]  # fmt: skip


def _overtaken(monkeypatch: pytest.MonkeyPatch, seen, lost, after):
    """Record turns; a timeline has seen the first, the next are forgotten before it looks again."""
    monkeypatch.setattr(store_module, "_SEGMENT", 1)
    store = Store(budget=100_000)
    timeline = Timeline(store)
    connection = store.open(Side.SERVER, "a:80", "a:5000")
    for way, data in seen:
        store.append(connection, way, data)
    timeline.update()
    for way, data in lost:
        store.append(connection, way, data)
    kept = b"".join(data for _, data in after)
    store.budget = len(kept)
    for way, data in after:
        store.append(connection, way, data)
    assert store.size == len(kept)
    store.note(NoteKind.CLOSED, connection, "closed")
    return [entry for entry in timeline if entry.span is not None]


def test_a_frame_that_reaches_over_forgotten_bytes(monkeypatch: pytest.MonkeyPatch):
    """Its header was read: it ends where it says, and the next frame follows."""
    long = masked(2, b"x" * 1000)
    found = _overtaken(
        monkeypatch, [(UP, REQUEST), (DOWN, RESPONSE), (UP, long[:20])], [(UP, long[20:900])],
        [(UP, long[900:] + masked(1, b"hi"))],
    )  # fmt: skip
    start = len(REQUEST)
    assert [(entry.what, entry.span) for entry in found[2:]] == [
        ("frame, its bytes forgotten", Span(start, start + len(long))),
        ("TEXT FIN M", Span(start + len(long), start + len(long) + 8)),
    ]
    assert found[2].is_forgotten


def test_a_frame_that_ends_in_forgotten_bytes(monkeypatch: pytest.MonkeyPatch):
    long = masked(2, b"x" * 1000)
    found = _overtaken(
        monkeypatch, [(UP, REQUEST), (DOWN, RESPONSE), (UP, long[:20])], [(UP, long[20:] + masked(1, b"hi")[:3])],
        [(UP, masked(1, b"hi")[3:]), (UP, masked(1, b"ho"))],
    )  # fmt: skip
    start = len(REQUEST)
    assert [(entry.kind, entry.span) for entry in found[2:]] == [
        (EntryKind.FRAME, Span(start, start + 20)),
        (EntryKind.BODY, Span(start + 20, start + len(long) + 3)),
        (EntryKind.BODY, Span(start + len(long) + 3, start + len(long) + 8)),
        (EntryKind.FRAME, Span(start + len(long) + 8, start + len(long) + 16)),
    ]


def test_a_forgotten_answer_to_an_upgrade(monkeypatch: pytest.MonkeyPatch):
    """What waited for it is not kept waiting."""
    found = _overtaken(
        monkeypatch,
        [(UP, REQUEST + masked(1, b"a"))],
        [(DOWN, RESPONSE)],
        [(DOWN, plain(1, b"b")), (UP, masked(1, b"c"))],
    )
    assert sorted(entry.what for entry in found if entry.kind is EntryKind.FRAME) == [
        "TEXT FIN", "TEXT FIN M", "frame, its bytes forgotten",
    ]  # fmt: skip


def test_everything_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store_module, "_SEGMENT", 1)
    store = Store(budget=1)
    connection = store.open(Side.SERVER, "a:80", "a:5000")
    store.append(connection, UP, GET)
    store.note(NoteKind.CLOSED, connection, "closed")
    found = list(Timeline(store))
    assert [(entry.kind, entry.what) for entry in found] == [
        (EntryKind.BODY, f"{len(GET)} bytes, forgotten before they were read"), (EntryKind.CLOSE, "closed"),
    ]  # fmt: skip


def test_frames_before_the_answer_that_is_left(monkeypatch: pytest.MonkeyPatch):
    """The request is forgotten, its answer is not: the client's frames are read on."""
    after = [(UP, masked(1, b"a")), (DOWN, RESPONSE + plain(1, b"b")), (UP, masked(1, b"c"))]
    found = _forgetful(monkeypatch, [(UP, REQUEST)], after, sum(len(data) for _, data in after))
    assert [what for _, what in glance(found)[1:]] == [
        "TEXT FIN M", "101 Switching Protocols", "TEXT FIN", "TEXT FIN M",
    ]  # fmt: skip


def test_an_empty_chunk_is_nothing():
    assert glance(entries([(UP, b""), (UP, GET), (UP, b""), (DOWN, b"")])) == [("request", "GET /")]
