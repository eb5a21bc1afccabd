"""Conversations, recorded without any socket."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from lane_kernel.capture import Connection, NoteKind, Store
from lane_kernel.sides import Direction, Side
from lane_kernel.timeline import Entry, Timeline
from lane_kernel.wire.frames import Frame
from lane_kernel.wire.handshake import upgrade_request, upgrade_response
from tests.wire.helpers import assert_tiles

UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT
_keys = itertools.count(0x01020304)
REQUEST = upgrade_request("a", "/echo", "dGhlIHNhbXBsZSBub25jZQ==")
RESPONSE = upgrade_response("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

Turn = tuple[Direction, bytes]


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A client's frame, with a masking-key of its own."""
    return Frame(opcode, payload, fin, masking_key=next(_keys).to_bytes(4, "big")).encode()


def plain(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A server's frame."""
    return Frame(opcode, payload, fin).encode()


def answer(head: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    """A response, its header lines given as they are."""
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def record(turns: Iterable[Turn], *, is_closed: bool = True, store: Store | None = None) -> tuple[Store, Connection]:
    """Record a conversation, each turn in a chunk of its own."""
    store = Store() if store is None else store
    connection = store.open(Side.SERVER, "a:80", "a:5000", "server")
    for way, data in turns:
        store.append(connection, way, data)
    if is_closed:
        store.note(NoteKind.CLOSED, connection, "closed by the client", by=Side.CLIENT)
    return store, connection


def entries(turns: Iterable[Turn], *, is_closed: bool = True) -> list[Entry]:
    """What a timeline makes of a conversation, without the notes of its begin and end."""
    timeline = Timeline(record(turns, is_closed=is_closed)[0])
    return [entry for entry in timeline if entry.span is not None]


def glance(found: Iterable[Entry]) -> list[tuple[str, str]]:
    """Each entry's kind and what it is."""
    return [(entry.kind.value, entry.what) for entry in found]


def rows(timeline: Timeline) -> list[tuple[object, ...]]:
    """Whatever a timeline keeps of its entries, but the time."""
    return [
        (
            entry.kind,
            entry.connection,
            entry.direction,
            entry.span,
            entry.what,
            entry.preview,
            entry.detail,
            entry.findings,
        )
        for entry in timeline
    ]


def assert_whole(found: Iterable[Entry], way: Direction, length: int) -> None:
    """The entries of one direction tile its stream, and each one's fields tile it."""
    position = 0
    for entry in found:
        if entry.direction is way:
            assert entry.span is not None
            assert entry.span.start == position, f"{entry!r} does not follow byte {position}"
            position = entry.span.stop
            assert_tiles(entry.fields, entry.span)
    assert position == length
