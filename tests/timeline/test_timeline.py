"""The timeline as a sequence that follows its store."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.capture import NoteKind, Store
from lane_kernel.sides import Direction, Side
from lane_kernel.timeline import EntryKind, Timeline
from lane_kernel.timeline.readers import Kind
from tests.timeline.recording import (
    DOWN,
    GET,
    REQUEST,
    RESPONSE,
    UP,
    Turn,
    answer,
    assert_whole,
    glance,
    masked,
    plain,
    record,
    rows,
)
from tests.wire.helpers import PLACES, cut

_EVENTS = b"Transfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n".decode()
CONVERSATIONS: dict[str, list[Turn]] = {
    "websocket": [
        (UP, REQUEST), (DOWN, RESPONSE),
        (UP, masked(1, b"a") + masked(2, b"b" * 200, fin=False)), (DOWN, plain(9, b"?")),
        (UP, masked(10, b"?") + masked(0, b"c") + plain(3) + masked(8, b"\x03\xe8")),
        (DOWN, plain(8, b"\x03\xe8") + plain(1)),
    ],
    "http": [
        (UP, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nHello" + GET),
        (DOWN, answer("Content-Length: 2\r\n", b"hi")),
        (DOWN, answer("Transfer-Encoding: chunked\r\n", b"2\r\nhi\r\n0\r\n\r\n")), (UP, REQUEST),
        (DOWN, answer("Content-Length: 0\r\n", status="404 Not Found")), (UP, GET[:9]),
    ],
    "events": [
        (UP, GET), (DOWN, answer(_EVENTS, b"f\r\ndata: a\n\ndata: \r\n3\r\nb\n\n\r\n8\r\n: c\n\nid:\r\n0\r\n\r\n")),
    ],
}  # fmt: skip
conversations = st.sampled_from(sorted(CONVERSATIONS)).map(CONVERSATIONS.get)


def test_kinds_are_the_same():
    """The column's numbers and the entries' kinds stand in one order."""
    assert [kind.name for kind in Kind] == [kind.name for kind in EntryKind]
    assert list(Kind) == list(range(len(EntryKind)))


def _turns(draw: st.DrawFn) -> list[Turn]:
    return [(way, piece) for way, data in draw(conversations) or [] for piece in cut(data, draw(PLACES))]


@given(st.data())
def test_step_by_step_is_the_same_as_at_once(data: st.DataObject):
    """Recorded and read in any chunks and steps, interleaved with others: the same entries, findings and order."""
    scripts = data.draw(st.lists(st.composite(_turns)(), min_size=1, max_size=3))
    store = Store()
    following = Timeline(store)
    connections = [store.open(Side.SERVER, "a:80", f"a:{at}") for at in range(len(scripts))]
    waiting = [list(script) for script in scripts]
    while any(waiting):
        at = data.draw(st.sampled_from([at for at, script in enumerate(waiting) if script]))
        store.append(connections[at], *waiting[at].pop(0))
        if not waiting[at]:
            store.note(NoteKind.CLOSED, connections[at], "closed")
        if data.draw(st.booleans()):
            following.update(data.draw(st.none() | st.just(0)))
    assert rows(following) == rows(Timeline(store))
    assert [entry.index for entry in following] == list(range(len(following)))
    for connection in connections:
        for way in (UP, DOWN):
            mine = [entry for entry in following if entry.connection is connection]
            if not any(entry.event for entry in mine):
                assert_whole(mine, way, store.length(connection, way))


@given(st.sampled_from(["websocket", "http"]), st.lists(PLACES, min_size=6, max_size=6))
def test_any_chunking_gives_the_same(name: str, places: list[list[int]]):
    """Where a chunk ends decides nothing but the order in which the two directions' entries end."""
    turns = CONVERSATIONS[name]
    pieces = [(way, piece) for (way, data), at in zip(turns, places, strict=True) for piece in cut(data, at)]
    one, other = (Timeline(record(script)[0]) for script in (turns, pieces))
    for way in (UP, DOWN):
        assert [(entry.kind, entry.span, entry.what, entry.findings) for entry in one if entry.direction is way] == [
            (entry.kind, entry.span, entry.what, entry.findings) for entry in other if entry.direction is way
        ]


def test_notes_have_their_place():
    """Opened, log and closed stand among the entries in the order of the store."""
    store = Store()
    timeline = Timeline(store)
    connection = store.open(Side.SERVER, "a:80", "a:5000")
    store.append(connection, UP, GET)
    store.note(NoteKind.LOG, connection, "log info", preview="hello\nworld")
    store.note(NoteKind.LOG, None, "log error")
    store.append(connection, UP, b"GET")
    store.note(NoteKind.CLOSED, connection, "closed by the client")
    assert [(entry.kind, entry.what, entry.preview) for entry in timeline] == [
        (EntryKind.CONNECTION, "opened", ""), (EntryKind.REQUEST, "GET /", ""),
        (EntryKind.LOG, "log info", "hello⏎world"), (EntryKind.LOG, "log error", ""),
        (EntryKind.BODY, "not a whole HTTP head", "GET"), (EntryKind.CLOSE, "closed by the client", ""),
    ]  # fmt: skip
    assert [entry.connection for entry in timeline] == [connection] * 3 + [None] + [connection] * 2
    log = timeline[3]
    assert (log.span, log.direction, log.data, log.fields, log.findings, log.length) == (None, None, b"", (), (), 0)
    assert (log.header, log.event, log.peer_data, log.is_forgotten) == (None, None, None, False)


def test_times_are_those_of_the_last_byte():
    store = Store()
    timeline = Timeline(store)
    connection = store.open(Side.SERVER, "a:80", "a:5000")
    store.append(connection, UP, GET[:5])
    time.sleep(0.002)
    store.append(connection, UP, GET[5:])
    moments = [record.time_ns for record in store.records()]
    assert [entry.time_ns for entry in timeline] == [moments[0], moments[2]]


def test_as_a_sequence():
    """It is indexed as a list is, and reads on by itself."""
    store, connection = record([(UP, GET)] * 5, is_closed=False)
    timeline = Timeline(store)
    assert timeline.known == 0
    assert timeline[2].index == 2
    assert timeline.known == 6
    store.append(connection, UP, GET)
    assert timeline[0].index == 0
    assert timeline.known == 6
    assert timeline[-1].index == 6
    store.append(connection, UP, GET)
    assert [entry.index for entry in timeline[1:3]] == [1, 2]
    assert timeline.known == 7
    assert [entry.index for entry in timeline[6:99]] == [6, 7]
    store.append(connection, UP, GET)
    assert [entry.index for entry in timeline[7:]] == [7, 8]
    store.append(connection, UP, GET)
    assert [entry.index for entry in timeline[-2:10]] == [8, 9]
    assert [entry.index for entry in timeline[::-4]] == [9, 5, 1]
    for index in (10, -11):
        with pytest.raises(IndexError):
            timeline[index]
    assert len(timeline) == 10


def test_iteration_goes_on_with_what_comes_meanwhile():
    store, connection = record([(UP, GET)], is_closed=False)
    seen = []
    for entry in Timeline(store):
        seen.append(entry.what)
        if len(seen) < 4:
            store.append(connection, UP, GET)
    assert seen == ["opened", "GET /", "GET /", "GET /", "GET /"]


def test_update_stops_at_its_budget_and_goes_on():
    """A step does at least one record's work, and says whether all is done."""
    store, connection = record([(UP, GET)] * 200, is_closed=False)
    timeline = Timeline(store)
    known = [timeline.known]
    while not timeline.update(0):
        known.append(timeline.known)
    assert len(known) > 100
    assert known == sorted(known)
    assert timeline.known == 201
    assert timeline.update(0)
    store.append(connection, UP, GET * 3)
    assert not timeline.update(-1) or timeline.known == 204
    assert timeline.update()
    assert glance(timeline) == [("connection", "opened"), *[("request", "GET /")] * 203]


def test_only_what_is_seen():
    """A server's timeline is a view on the kernel's store."""
    store = Store()
    record([(UP, GET)], store=store)
    other = store.open(Side.CLIENT, "a:1", "a:2", "client")
    store.append(other, UP, GET)
    store.note(NoteKind.LOG, None, "log info")
    timeline = Timeline(store, sees=lambda connection: connection is not None and connection.name == "client")
    assert [(entry.kind, entry.connection) for entry in timeline] == [
        (EntryKind.CONNECTION, other), (EntryKind.REQUEST, other),
    ]  # fmt: skip
    late = Timeline(store, start=store.next - 1)
    assert [entry.kind for entry in late] == [EntryKind.LOG]


def test_what_the_other_end_saw():
    """Both ends record: the bytes of an entry as the other saw them, as far as it did."""
    store = Store()
    server = store.open(Side.SERVER, "a:80", "a:5000")
    client = store.open(Side.CLIENT, "a:5000", "a:80")
    store.append(client, UP, GET)
    store.append(server, UP, GET[:10])
    entry = next(entry for entry in Timeline(store) if entry.kind is EntryKind.REQUEST)
    assert entry.connection is client
    assert entry.peer_data == GET[:10]
    store.append(server, UP, GET[10:].lower())
    assert entry.peer_data == GET[:10] + GET[10:].lower()
    alone = Timeline(record([(UP, GET)])[0])[1]
    assert alone.peer_data is None


def test_as_text():
    """A timeline prints as a table, an entry as one line of it."""
    timeline = Timeline(record(CONVERSATIONS["websocket"])[0])
    head, columns, *lines = str(timeline).splitlines()
    assert head == "13 entries, 0 chunks dropped"
    assert columns.split() == ["#", "time/s", "conn", "dir", "what", "length", "preview"]
    assert len(lines) == 13
    assert [line.split()[0] for line in lines] == [str(number) for number in range(13)]
    request, text, wrong = lines[1], lines[3], lines[8]
    assert "──► GET /echo" in request
    assert text.split()[3:] == ["──►", "TEXT", "FIN", "M", "1", "a"]
    assert wrong.endswith("▲ reserved-opcode ▲ unmasked-client-frame")
    assert repr(timeline) == "<Timeline: 13 entries>"
    assert repr(timeline[3]).startswith("<Entry 3 0.")
    assert repr(timeline[3]).endswith(" 1 ──► TEXT FIN M 1 a>")


def test_a_long_timeline_prints_its_end():
    timeline = Timeline(record([(UP, GET)] * 5000, is_closed=False)[0])
    lines = str(timeline).splitlines()
    assert lines[0] == "5,001 entries, 0 chunks dropped"
    assert len(lines) == 42
    assert lines[-1].split()[0] == "5000"


@pytest.mark.parametrize(
    ("frame", "what", "preview", "length"),
    [
        (masked(1, "hé".encode()), "TEXT FIN M", "hé", 3),
        (masked(1, b"a\nb\x7f\x1b"), "TEXT FIN M", "a⏎b··", 5),
        (masked(1, b"a" * 500), "TEXT FIN M", "a" * 79 + "…", 500),
        (masked(1, b"a" * 80), "TEXT FIN M", "a" * 80, 80),
        (masked(1, "𝄞".encode() * 100), "TEXT FIN M", "𝄞" * 79 + "…", 400),
        (masked(2, b"\x00\xff"), "BINARY FIN M", "00 ff", 2),
        (masked(0, b"x", fin=False), "CONTINUATION M", "x", 1),
        (masked(8, b"\x03\xe8"), "CLOSE FIN M", "1000 normal closure", 2),
        (masked(8, b"\x03\xe8bye"), "CLOSE FIN M", "1000 bye", 5),
        (masked(8), "CLOSE FIN M", "", 0),
        (masked(8, b"\x03"), "CLOSE FIN M", "03", 1),
        (b"\xf1\x00", "TEXT FIN RSV1 RSV2 RSV3", "", 0),
        (b"\x13\x00", "RESERVED 0x3 RSV3", "", 0),
    ],
)
def test_a_frame_at_a_glance(frame: bytes, what: str, preview: str, length: int):
    entry = Timeline(record([(UP, REQUEST), (DOWN, RESPONSE), (UP, frame)])[0])[3]
    assert (entry.what, entry.preview, entry.length) == (what, preview, length)
    assert entry.glance() == (what, preview)
    assert entry.data == frame
    assert entry.header is not None
    assert entry.header.length == length


def test_many_small_frames_in_one_chunk_cost_no_more_than_their_size():
    """30,000 frames in one chunk: found, and shown each with its bytes, in time that does not grow by the chunk."""
    timeline = Timeline(record([(UP, REQUEST), (DOWN, RESPONSE), (UP, masked(1, b"a" * 26) * 30_000)])[0])
    started = time.process_time()
    assert len(timeline) == 30_004
    assert {entry.glance() for entry in timeline if entry.kind is EntryKind.FRAME} == {("TEXT FIN M", "a" * 26)}
    assert time.process_time() - started < 10


def test_a_head_in_small_chunks_costs_no_more_than_its_size():
    """200 kB in 1-byte chunks."""
    head = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n"
    started = time.process_time()
    timeline = Timeline(record([(UP, head[at : at + 1]) for at in range(len(head))])[0])
    assert glance(timeline)[1] == ("request", "GET /")
    assert time.process_time() - started < 10


def test_a_redacted_entry_has_no_secrets_and_every_span():
    store = Store()
    server = store.open(Side.SERVER, "s", "c")
    store.append(server, Direction.TO_SERVER, b"GET / HTTP/1.1\r\nHost: h\r\nCookie: secret\r\n\r\n")
    entry = next(entry for entry in Timeline(store) if entry.kind is EntryKind.REQUEST)
    assert b"secret" in entry.data
    shown = entry.redacted()
    assert b"Cookie: ******\r\n" in shown.data
    assert [field.span for field in shown.fields] == [field.span for field in entry.fields]
    assert not any("secret" in field.text for field in shown.fields)
