"""A fault on the timeline: what was done, and the bytes that were meant."""

from __future__ import annotations

import pytest

from lane_kernel.capture import NoteKind, Store
from lane_kernel.sides import Direction
from lane_kernel.timeline import Entry, EntryKind, Timeline
from lane_kernel.wire.eventstream import encode_event
from lane_kernel.wire.frames import Opcode
from tests.timeline.recording import DOWN, GET, REQUEST, RESPONSE, UP, Turn, answer, masked, plain, record
from tests.wire.helpers import assert_tiles

WEBSOCKET: list[Turn] = [(UP, REQUEST), (DOWN, RESPONSE)]
EVENTS: list[Turn] = [(UP, GET), (DOWN, answer("Content-Type: text/event-stream\r\n"))]


def fault(
    turns: list[Turn], meant: bytes, left: bytes = b"", way: Direction = DOWN, length: int | None = None
) -> Entry:
    """The entry of a fault after a conversation."""
    store, connection = record(turns, is_closed=False)
    store.note(
        NoteKind.FAULT,
        connection,
        "fault: drop",
        done=("drop",),
        direction=way,
        offset=store.length(connection, way),
        length=len(meant) if length is None else length,
        meant=meant,
        left=left,
        length_left=len(left),
    )
    return Timeline(store)[-1]


CASES: dict[str, tuple[list[Turn], bytes, Direction, str, list[str]]] = {
    "a frame": (WEBSOCKET, plain(Opcode.TEXT, b"Hello"), DOWN, "TEXT FIN Hello", ["opcode", "payload data"]),
    "a client's frame": (WEBSOCKET, masked(Opcode.TEXT, b"Hi"), UP, "TEXT FIN M Hi", ["masking-key", "payload data"]),
    "several frames": (
        WEBSOCKET, plain(Opcode.TEXT, b"a", fin=False) + plain(Opcode.CONTINUATION, b"b"), DOWN, "TEXT a", ["opcode"],
    ),
    "bytes that end in a header": (WEBSOCKET, b"\x81\x7e\x01", DOWN, "�~·", ["bytes"]),
    "an event": (EVENTS, encode_event("tick", id=4), DOWN, "id: 4⏎data: tick⏎⏎", ["id", "data"]),
    "a response": ([(UP, GET)], answer("Content-Length: 2\r\n", b"ok"), DOWN, "HTTP/1.1 200 OK", ["status", "bytes"]),
    "the body of a response": (
        [(UP, GET), (DOWN, answer("Content-Length: 9\r\n"))], b"some body", DOWN, "some body", ["bytes"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_bytes_that_were_meant_have_their_fields(name: str) -> None:
    turns, meant, way, preview, names = CASES[name]
    entry = fault(turns, meant, way=way)
    assert (entry.kind, entry.what, entry.direction) == (EntryKind.FAULT, "fault: drop", way)
    assert entry.preview == preview
    assert (entry.data, entry.left, entry.length) == (meant, b"", len(meant))
    assert entry.span is not None
    assert entry.span.start == sum(len(data) for turn, data in turns if turn is way)
    assert_tiles(entry.fields, entry.span)
    assert set(names) <= {field.name for field in entry.fields}
    assert entry.peer_data is None
    assert not entry.is_forgotten
    assert entry.findings == ()


def test_a_long_unit_says_how_much_of_it_is_not_there() -> None:
    meant = plain(Opcode.TEXT, b"x" * 1000)
    entry = fault(WEBSOCKET, meant[:100], meant[:100], length=len(meant))
    assert entry.length == 1004
    assert "more declared but not there" in entry.fields[-1].meaning


def test_what_goes_on_is_read_as_ever() -> None:
    """A unit that was meant is not on the wire, and moves nothing."""
    store, connection = record([*WEBSOCKET, (DOWN, plain(Opcode.TEXT, b"one"))], is_closed=False)
    store.note(NoteKind.FAULT, connection, "fault: drop", direction=DOWN, offset=3, length=3, meant=b"two")
    store.append(connection, DOWN, plain(Opcode.TEXT, b"three"))
    found = [(entry.kind, entry.payload) for entry in Timeline(store)][-3:]
    assert found == [(EntryKind.FRAME, b"one"), (EntryKind.FAULT, b"two"), (EntryKind.FRAME, b"three")]


def test_a_fault_without_bytes_is_a_line_of_its_own() -> None:
    store, connection = record(WEBSOCKET, is_closed=False)
    store.note(NoteKind.FAULT, connection, "fault: stop reading", done=("stop reading",))
    entry = Timeline(store)[-1]
    assert (entry.kind, entry.what, entry.preview) == (EntryKind.FAULT, "fault: stop reading", "")
    assert (entry.direction, entry.span, entry.data, entry.left) == (None, None, b"", None)


def test_cookies_that_were_meant_are_overwritten() -> None:
    meant = answer("Set-Cookie: session=secret\r\nContent-Length: 0\r\n")
    entry = fault([(UP, GET)], meant, meant).redacted()
    assert b"secret" not in entry.data
    assert entry.left is not None
    assert b"secret" not in entry.left
    assert "secret" not in entry.preview
    assert "secret" not in str(entry.fields)


def test_the_bytes_in_notes_count_for_the_budget() -> None:
    store = Store(10_000)
    connection = record(WEBSOCKET, is_closed=False, store=store)[1]
    for number in range(100):
        store.note(NoteKind.FAULT, connection, str(number), meant=bytes(1000))
    assert store.size <= 10_000
    kept = [record for record in store.records() if getattr(record, "kind", None) is NoteKind.FAULT]
    assert 0 < len(kept) <= 10
    assert kept[-1].sequence == store.next - 1
