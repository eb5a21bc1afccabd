"""The store: order, offsets, budget, reading back, pairing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lane_kernel as lane
from lane_kernel.capture import Chunk, Connection, Note, NoteKind, Store, kernel_store
from lane_kernel.capture import store as store_module
from lane_kernel.sides import Direction, Side

UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_SEGMENT", 16)


def make(count: int = 1, budget: int = store_module.BUDGET) -> tuple[Store, list[Connection]]:
    store = Store(budget)
    return store, [store.open(Side.SERVER, "127.0.0.1:80", f"127.0.0.1:{5000 + at}", "s") for at in range(count)]


def chunks(store: Store, start: int = 0) -> list[Chunk]:
    return [record for record in store.records(start) if isinstance(record, Chunk)]


def test_records_in_order(small_segments: None):
    """Chunks and notes stand in one order, each with its number, place and time."""
    store, (one, two) = make(2)
    store.append(one, UP, b"abc")
    store.note(NoteKind.LOG, None, "hello", preview="p")
    store.append(two, UP, memoryview(b"defg"))
    store.append(one, DOWN, b"x" * 40)
    store.append(one, UP, b"hi")
    store.note(NoteKind.CLOSED, two, "closed")
    records = list(store.records())
    assert [record.sequence for record in records] == list(range(8))
    assert [record.time_ns for record in records] == sorted(record.time_ns for record in records)
    assert store.next == 8
    assert [(c.connection, c.direction, c.offset, c.data) for c in chunks(store)] == [
        (one, UP, 0, b"abc"), (two, UP, 0, b"defg"), (one, DOWN, 0, b"x" * 40), (one, UP, 3, b"hi"),
    ]  # fmt: skip
    notes = [record for record in records if isinstance(record, Note)]
    assert [(n.kind, n.connection, n.text, n.detail) for n in notes] == [
        (NoteKind.OPENED, one, "opened", {}), (NoteKind.OPENED, two, "opened", {}),
        (NoteKind.LOG, None, "hello", {"preview": "p"}), (NoteKind.CLOSED, two, "closed", {}),
    ]  # fmt: skip
    for start in range(10):
        assert list(store.records(start)) == records[start:]


def test_the_bytes_are_copied():
    """A reused read buffer may be written over."""
    store, (one,) = make()
    for size in (3, 100_000):
        buffer = bytearray(b"a" * size)
        store.append(one, UP, memoryview(buffer))
        buffer[:] = b"x" * size
    assert store.read(one, UP, 0, 100_003) == b"a" * 100_003


def test_a_budget_of_0_counts_and_keeps_nothing():
    store, (one,) = make(budget=0)
    for _ in range(3):
        store.append(one, UP, b"abc")
    assert store.length(one, UP) == 9
    assert (store.size, store.dropped, store.dropped_bytes) == (0, 3, 9)
    assert chunks(store) == []
    assert store.read(one, UP, 0, 9) is None
    assert store.read(one, UP, 9, 10) == b""


def test_connections():
    store, (one, two) = make(2)
    assert store.connections == (one, two)
    assert (one.number, two.number) == (1, 2)
    assert store.connection(2) is two
    assert (one.side, one.local, one.peer, one.name) == (Side.SERVER, "127.0.0.1:80", "127.0.0.1:5000", "s")
    assert 0 <= one.opened_ns <= two.opened_ns <= store.now_ns()


def test_length_and_read():
    """Fewer bytes where the stream has not come so far; none where nothing was asked."""
    store, (one, two) = make(2)
    store.append(one, UP, b"abc")
    store.append(one, UP, b"defg")
    assert (store.length(one, UP), store.length(one, DOWN), store.length(two, UP)) == (7, 0, 0)
    assert store.read(one, UP, 2, 5) == b"cde"
    assert store.read(one, UP, 5, 100) == b"fg"
    assert store.read(one, UP, 7, 9) == b""
    assert store.read(one, UP, 70, 90) == b""
    assert store.read(one, UP, 3, 3) == b""
    assert store.read(one, DOWN, 0, 5) == b""


def test_an_empty_chunk_is_no_harm():
    store, (one,) = make()
    for data in (b"", b"ab", b"", b"", b"cd", b""):
        store.append(one, UP, data)
    assert [store.read(one, UP, start, 4) for start in range(5)] == [b"abcd", b"bcd", b"cd", b"d", b""]


_SCRIPT = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(Direction), st.binary(max_size=24)) | st.just("note"), max_size=40
)


@given(script=_SCRIPT, budget=st.integers(0, 400), segment=st.integers(1, 64), data=st.data())
def test_any_recording(script, budget: int, segment: int, data: st.DataObject):
    """Whatever is recorded, with whatever budget: what is held is exact, what is dropped is counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "_SEGMENT", segment)
        store, connections = make(3, budget=budget)
    streams: dict[tuple[Connection, Direction], bytes] = {(c, way): b"" for c in connections for way in Direction}
    said: list[bytes] = []
    for step in script:
        if step == "note":
            store.note(NoteKind.LOG, None, "note")
        else:
            number, way, piece = step
            store.append(connections[number], way, piece)
            streams[connections[number], way] += piece
            said.append(piece)
        assert store.size <= budget
    held = chunks(store)
    assert [chunk.data for chunk in held] == said[len(said) - len(held) :]
    assert store.size == sum(len(chunk.data) for chunk in held)
    assert (store.dropped, store.dropped_bytes) == (len(said) - len(held), sum(map(len, said)) - store.size)
    assert [record.sequence for record in store.records()] == list(range(store.first, store.next))
    for (connection, way), stream in streams.items():
        assert store.length(connection, way) == len(stream)
        mine = [chunk for chunk in held if chunk.connection is connection and chunk.direction is way]
        first = mine[0].offset if mine else len(stream)
        start = data.draw(st.integers(0, len(stream)))
        stop = data.draw(st.integers(start, len(stream) + 5))
        wanted = stream[start:stop]
        assert store.read(connection, way, start, stop) == (None if wanted and start < first else wanted)


def test_budget(small_segments: None):
    """The oldest go first; what is left can still be read."""
    store, (one,) = make(budget=64)
    for at in range(20):
        store.append(one, UP, bytes([at]) * 8)
    assert store.dropped * 8 == store.dropped_bytes == 160 - store.size
    assert 32 <= store.size <= 64
    assert store.read(one, UP, store.dropped_bytes, 160) == b"".join(bytes([at]) * 8 for at in range(store.dropped, 20))
    assert store.read(one, UP, store.dropped_bytes - 1, 160) is None
    assert store.read(one, UP, 0, 1) is None
    assert chunks(store)[0].offset == store.dropped_bytes


def test_a_chunk_over_the_budget_is_not_kept():
    store, (one,) = make(budget=10)
    store.append(one, UP, b"abc")
    store.append(one, UP, b"x" * 11)
    assert (store.size, store.dropped, store.dropped_bytes) == (0, 2, 14)
    store.append(one, UP, b"def")
    assert store.read(one, UP, 14, 17) == b"def"
    assert store.read(one, UP, 13, 17) is None
    assert store.first == store.next - 1


def test_forgetting_while_records_are_read(small_segments: None):
    """A reader that is overtaken goes on with the oldest that is left."""
    store, (one,) = make(budget=64)
    for at in range(8):
        store.append(one, UP, bytes([at]) * 8)
    seen = []
    for record in store.records():
        if isinstance(record, Chunk):
            seen.append(record.data[0])
            if len(seen) == 2:
                for at in range(8, 20):
                    store.append(one, UP, bytes([at]) * 8)
    assert seen == [0, 1, *range(seen[2], 20)]
    assert seen[2] == store.dropped > 8


def test_the_other_end():
    """Two records of one connection are paired by their addresses; a port used again by the time."""
    store = Store()
    server = store.open(Side.SERVER, "a:80", "a:5000")
    client = store.open(Side.CLIENT, "a:5000", "a:80")
    alone = store.open(Side.SERVER, "a:80", "a:5001")
    assert store.other_end(server) is client
    assert store.other_end(client) is server
    assert store.other_end(alone) is None
    time.sleep(0.01)
    later_client = store.open(Side.CLIENT, "a:5000", "a:80")
    later_server = store.open(Side.SERVER, "a:80", "a:5000")
    assert store.other_end(later_server) is later_client
    assert store.other_end(later_client) is later_server
    assert store.other_end(server) is client


def test_two_ends_of_the_same_side_are_no_pair():
    """A server that speaks to itself by name: only a client is a server's other end."""
    store = Store()
    one = store.open(Side.SERVER, "a:80", "a:80")
    assert store.other_end(one) is None


def test_recording_costs_the_same_however_much_there_is(monkeypatch: pytest.MonkeyPatch):
    """The second half of 200,000 records takes about as long as the first, also where each forgets an old one."""
    monkeypatch.setattr(store_module, "_SEGMENT", 4096)
    for budget in (store_module.BUDGET, 400_000):
        store, (one,) = make(budget=budget)
        halves = []
        for _ in range(2):
            started = time.process_time()
            for _ in range(100_000):
                store.append(one, UP, b"x" * 8)
            halves.append(time.process_time() - started)
        assert halves[1] < 4 * halves[0] + 0.1
        assert sum(halves) < 5


def test_reading_costs_no_more_than_its_size():
    """Small reads in a large store, and in a large chunk, are not paid for by what stands around them."""
    store, (one,) = make()
    for _ in range(50_000):
        store.append(one, UP, b"x" * 8)
    store.append(one, DOWN, bytes(32 << 20))
    started = time.process_time()
    for at in range(0, 400_000, 40):
        assert store.read(one, UP, at, at + 16) == b"x" * 16
        assert store.read(one, DOWN, at, at + 16) == bytes(16)
    assert time.process_time() - started < 5
    started = time.process_time()
    assert sum(1 for _ in store.records()) == 50_002
    assert time.process_time() - started < 5


def test_the_kernels_store():
    """One for each kernel; `lane.capture()` answers it, and `lane_kernel.capture` stays the room."""
    assert lane.capture() is kernel_store() is kernel_store()
    assert isinstance(lane.capture(), Store)


def test_many_small_records_are_bounded_by_their_number():
    """Notes and chunks of a byte cost more than their data: they too make room for newer ones."""
    store = Store(budget=64_000)
    connection = store.open(Side.SERVER, "s", "c")
    for number in range(5000):
        store.append(connection, Direction.TO_SERVER, b"x")
        store.note(NoteKind.LOG, connection, str(number))
    held = list(store.records())
    assert len(held) <= 1000 + 125
    assert held[-1].sequence == store.next - 1
    assert store.dropped + sum(isinstance(record, Chunk) for record in held) == 5000
    assert store.size == sum(len(record.data) for record in held if isinstance(record, Chunk))


def test_several_threads_write_and_read_it() -> None:
    """Each stream is whole and every record is in the one order, while the oldest are forgotten."""
    store = Store(budget=400_000)
    store.share()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        connection = store.open(Side.SERVER, "a:1", f"b:{number}")
        for n in range(3000):
            store.append(connection, Direction.TO_SERVER, b"%d/%07d " % (number, n))
            if n % 100 == 0:
                store.note(NoteKind.LOG, connection, "log", n=n)
                length = store.length(connection, Direction.TO_SERVER)
                last = store.read(connection, Direction.TO_SERVER, length - 10, length)
                assert last in (b"%d/%07d " % (number, n), None)

    def read() -> None:
        for _ in range(20):
            sequences = [record.sequence for record in store.records()]
            assert sequences == sorted(set(sequences))

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        works = [*(partial(write, number) for number in range(4)), read]
        threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert store.next == 4 * (1 + 3000 + 30)
    records = list(store.records())
    assert [record.sequence for record in records] == list(range(store.first, store.next))
    for connection in store.connections:
        assert store.length(connection, Direction.TO_SERVER) == 30_000
        mine = [record for record in records if isinstance(record, Chunk) and record.connection == connection]
        for chunk in mine:
            assert chunk.data == b"%d/%07d " % (int(connection.peer[2:]), chunk.offset // 10)


def test_another_thread_that_opens_a_connection_shares_it() -> None:
    store = Store()
    assert not store._is_shared
    thread = threading.Thread(target=store.open, args=(Side.CLIENT, "a:1", "b:2"))
    thread.start()
    thread.join(5)
    assert store._is_shared
