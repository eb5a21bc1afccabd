"""The timeline over a recorded two-way conversation of any bytes: entries, fields, findings, and what is shown."""

from __future__ import annotations

from collections.abc import Sequence

from lane_kernel.capture import NoteKind, Store
from lane_kernel.sides import Direction, Side
from lane_kernel.timeline import Entry, EntryKind, Timeline
from lane_kernel.timeline.entries import PREVIEW
from lane_kernel.wire.connection import WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.eventstream import Block
from lane_kernel.wire.http1 import ChunkedDecoder, ChunkError
from lane_kernel.wire.rules import CHUNK_MALFORMED, EVENT_UNTERMINATED, INFLATED_TOO_BIG, MESSAGE_TOO_BIG
from lane_kernel.wire.spans import Span
from tests.conformance.fuzzing.choices import Choices, assert_tile, assert_within
from tests.timeline.recording import DOWN, GET, REQUEST, RESPONSE, UP, Turn, answer, assert_whole, rows
from tests.wire.helpers import assert_tiles, cut

_CHUNKED_EVENTS = answer("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n")
_EXTENSIONS = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
OPENINGS: tuple[list[Turn], ...] = (
    [(UP, REQUEST), (DOWN, RESPONSE)],
    [(UP, REQUEST[:-2] + _EXTENSIONS), (DOWN, RESPONSE[:-2] + _EXTENSIONS)],
    [(UP, GET), (DOWN, answer("Content-Type: text/event-stream\r\n"))],
    [(UP, GET), (DOWN, _CHUNKED_EVENTS)],
    [(UP, GET), (DOWN, answer("Transfer-Encoding: chunked\r\n"))],
    [(UP, REQUEST)],
    [],
    [(UP, GET), (DOWN, answer("Content-Length: 30\r\n"))],
    [(UP, GET), (DOWN, answer("Content-Type: text/event-stream\r\nContent-Length: 30\r\n"))],
    [(UP, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")],
    [(UP, REQUEST[:-2] + b"Origin: b\r\n\r\n"), (DOWN, answer("Content-Length: 3\r\n", status="403 Forbidden"))],
)
"""How a conversation begins, so that an input need not."""


def run(data: bytes) -> None:
    """Record a conversation that an input writes, and look at all of it."""
    choices = Choices(data)
    opening = choices.one_of(OPENINGS)
    is_client, is_ended, is_ended_by_client = choices.flags(3)
    observer = Side.CLIENT if is_client else Side.SERVER
    ended_by = (Side.CLIENT if is_ended_by_client else Side.SERVER) if is_ended else None
    places = choices.places()
    budget = 8 * choices.number()
    script = _turns(choices.rest())
    turns = [*opening, *script]
    torn = [(way, piece) for way, wire in turns for piece in [b"", *cut(wire, places)]]
    # Byte by byte, but for the opening: that would be most of the work.
    single = [(way, wire[at : at + 1]) for way, wire in script for at in range(len(wire))]
    first = _look(_record(turns, observer, ended_by))
    for other in (torn, [*opening, *single]):
        again = _look(_record(other, observer, ended_by))
        assert again == first, f"another chunking shows {again}, not {first}"
    _check_shown(_record(turns, observer, ended_by))
    if opening in OPENINGS[:2]:
        _check_against_connections(turns, DeflateParameters() if opening is OPENINGS[1] else None)
    _check_following(torn, observer, ended_by)
    _check_forgetful(torn, observer, ended_by, budget)


def _turns(script: bytes) -> list[Turn]:
    """Read turns: a byte for the direction and how many bytes follow, then these; 0 of them are all that is left."""
    turns: list[Turn] = []
    while script:
        head, script = script[0], script[1:]
        size = head & 0x7F or len(script)
        turns.append((DOWN if head & 0x80 else UP, script[:size]))
        script = script[size:]
    return turns


def _record(turns: Sequence[Turn], observer: Side, ended_by: Side | None, store: Store | None = None) -> Store:
    store = Store() if store is None else store
    connection = store.open(observer, "a:80", "a:5000")
    for way, data in turns:
        store.append(connection, way, data)
    store.note(NoteKind.CLOSED, connection, "closed", by=ended_by)
    return store


def _look(store: Store) -> list[tuple[object, ...]]:
    """Look at every entry's place, fields and findings, and answer what must not depend on how the bytes were cut."""
    (connection,) = store.connections
    found = list(Timeline(store))
    seen: list[tuple[object, ...]] = []
    for way in Direction:
        mine = [entry for entry in found if entry.direction is way]
        _check_tiled(mine, way, store.read(connection, way, 0, store.length(connection, way)) or b"")
        seen += _contents(mine)
    seen.append(tuple(finding.rule.id for entry in found if entry.span is None for finding in entry.findings))
    return seen


def _check_shown(store: Store) -> None:
    """What a person sees of every entry."""
    (connection,) = store.connections
    timeline = Timeline(store)
    lines = str(timeline).splitlines()
    for entry in timeline:
        # What is missing at the end is said by the note of it, with the place of what was not answered.
        ways = Direction if entry.direction is None else (entry.direction,)
        _check_entry(entry, max(store.length(connection, way) for way in ways))
        assert str(entry) in lines or len(timeline) > len(lines) - 2


def _check_tiled(entries: Sequence[Entry], way: Direction, wire: bytes) -> None:
    """Entries tile the stream; only the framing of a chunked event stream, before and after its events, is in none."""
    if not _has_framing(wire):
        assert_whole(entries, way, len(wire))
        return
    _check_ordered(entries)
    for entry in entries:
        assert_tiles(entry.fields, entry.span or Span(0, 0))
    if wire.startswith(_CHUNKED_EVENTS):
        covered = {at for entry in entries if entry.span is not None for at in range(entry.span.start, entry.span.stop)}
        for place, piece in _body(wire[len(_CHUNKED_EVENTS) :], len(_CHUNKED_EVENTS)):
            assert covered.issuperset(range(place, place + len(piece))), f"bytes from {place} on are lost"


def _has_framing(wire: bytes) -> bool:
    """Whether a chunked event stream may be among some bytes."""
    lower = wire.lower()
    return b"chunked" in lower and b"event-stream" in lower


def _check_ordered(entries: Sequence[Entry]) -> None:
    position = 0
    for entry in entries:
        assert entry.span is not None
        assert entry.span.start >= position, f"{entry!r} overlaps the one before it"
        position = entry.span.stop


def _body(wire: bytes, at: int) -> Sequence[tuple[int, bytes]]:
    try:
        return ChunkedDecoder().feed(wire, at)
    except ChunkError as error:
        return error.pieces


def _check_entry(entry: Entry, length: int) -> None:
    what, preview = entry.glance()
    assert what.isprintable()
    assert len(preview) <= PREVIEW
    assert preview.isprintable()
    line = str(entry)
    assert line.isprintable()
    assert repr(entry)
    for finding in entry.findings:
        assert_within(finding.span, Span(0, length))
        assert finding.rule.id in line
        assert str(finding)
    assert entry.peer_data is None
    assert entry.length >= 0
    assert len(entry.payload) <= len(entry.data)
    shown = entry.redacted()
    assert len(shown.data) == len(entry.data)
    assert [field.span for field in shown.fields] == [field.span for field in entry.fields]
    assert str(shown)


def _contents(entries: Sequence[Entry]) -> list[tuple[object, ...]]:
    """What entries are, however their bytes were cut: bodies come as they came, and so may an LF after its CR."""
    contents: list[tuple[object, ...]] = []
    for entry in entries:
        blamed = tuple(
            (finding.rule.id, finding.text, None if finding.rule is EVENT_UNTERMINATED else finding.span)
            for finding in entry.findings
            if finding.rule is not CHUNK_MALFORMED
        )
        if isinstance(entry.detail, Block):
            contents.append((entry.kind, entry.glance(), entry.event, blamed))
        elif entry.kind is not EntryKind.BODY:
            contents.append((entry.kind, entry.glance(), entry.span, blamed))
        elif blamed:
            contents.append((entry.kind, blamed))
    return contents


def _check_against_connections(turns: Sequence[Turn], deflate: DeflateParameters | None) -> None:
    """What fails a strict connection is found in the same bytes, and nothing else that would have failed it."""
    store = _record(turns, Side.SERVER, None)
    found = list(Timeline(store))
    for way in Direction:
        head, *script = (data for direction, data in turns if direction is way)
        connection = WebSocketConnection(way.sender.peer, offset=len(head), deflate=deflate)
        connection.receive_data(b"".join(script))
        mine = [finding for entry in found if entry.direction is way for finding in entry.findings]
        blamed = [(finding.rule, finding.span) for finding in mine if finding.rule.close_code is not None]
        failure = connection.failure
        if failure is None:
            assert blamed == [] or connection.close_code is not None, f"the connection does not fail for {blamed}"
        elif failure.rule not in (MESSAGE_TOO_BIG, INFLATED_TOO_BIG):
            assert (failure.rule, failure.span) in blamed, f"{failure} is not among {blamed}"


def _check_following(turns: Sequence[Turn], observer: Side, ended_by: Side | None) -> None:
    """A timeline that follows record by record comes to the same as one that looks at the end."""
    store = Store()
    following = Timeline(store)
    connection = store.open(observer, "a:80", "a:5000")
    for way, data in turns:
        store.append(connection, way, data)
        following.update(0)
    store.note(NoteKind.CLOSED, connection, "closed", by=ended_by)
    assert rows(following) == rows(Timeline(store))


def _check_forgetful(turns: Sequence[Turn], observer: Side, ended_by: Side | None, budget: int) -> None:
    """Where the store had to forget, what is left is still whole, and what is gone has its place."""
    at_the_end = Store(budget)
    _record(turns, observer, ended_by, at_the_end)
    _check_what_is_left(Timeline(at_the_end), turns)
    store = Store(budget)
    now_and_then = Timeline(store)
    connection = store.open(observer, "a:80", "a:5000")
    for number, (way, data) in enumerate(turns):
        store.append(connection, way, data)
        if number % 3 == 0:
            now_and_then.update()
    store.note(NoteKind.CLOSED, connection, "closed", by=ended_by)
    _check_what_is_left(now_and_then, turns)


def _check_what_is_left(timeline: Timeline, turns: Sequence[Turn]) -> None:
    store = timeline.store
    assert store.size <= store.budget
    (connection,) = store.connections
    found = list(timeline)
    for way in Direction:
        mine = [entry for entry in found if entry.direction is way]
        length = store.length(connection, way)
        if _has_framing(b"".join(data for direction, data in turns if direction is way)):
            _check_ordered(mine)
        else:
            assert_tile([entry.span for entry in mine if entry.span is not None], Span(0, length))
        for entry in mine:
            if entry.span is not None and not entry.is_forgotten and entry.data:
                assert_tiles(entry.fields, entry.span)
            for finding in entry.findings:
                assert_within(finding.span, Span(0, length))
            assert str(entry).isprintable()
