"""Faults × units → writes, with a clock that a test moves."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.capture import Note, NoteKind, Store
from lane_kernel.errors import LaneError
from lane_kernel.net import faulty as faulty_module
from lane_kernel.net.faults import Faults, FaultsError
from lane_kernel.net.faulty import FaultyWriter, HeldTooMuchError
from lane_kernel.sides import Direction, Side


class Clock:
    """The part of a loop that a writer uses, its time moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.planned: list[tuple[float, int, Clock.Handle]] = []
        self._numbers = itertools.count()

    class Handle:
        def __init__(self, function: Callable[[], object]) -> None:
            self.function = function
            self.cancelled = False

        def cancel(self) -> None:
            self.cancelled = True

    def time(self) -> float:
        return self.now

    def call_at(
        self, when: float, function: Callable[[], object], *, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Clock.Handle(function)
        heapq.heappush(self.planned, (when, next(self._numbers), handle))
        return handle

    def move(self, seconds: float) -> None:
        """Let time pass, and what is planned for it happen."""
        until = self.now + seconds
        while self.planned and self.planned[0][0] <= until:
            when, _, handle = heapq.heappop(self.planned)
            self.now = max(self.now, when)
            if not handle.cancelled:
                handle.function()
        self.now = until

    @property
    def pending(self) -> int:
        return sum(not handle.cancelled for _, _, handle in self.planned)


class Socket:
    """A writer, and what it wrote: (seconds since the start, bytes), or how the connection ended."""

    def __init__(self, faults: Faults | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
        self.clock = Clock()
        self.wrote: list[tuple[float, object]] = []
        self.waiting = 0
        self.store = Store()
        self.connection = self.store.open(Side.SERVER, "a:80", "a:5000", "server")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "get_running_loop", lambda: cast("Any", self.clock))
            self.writer = FaultyWriter(self.write, self.end, self.store, self.connection, waiting=lambda: self.waiting)
        self.writer.replace(faults)

    def write(self, data: bytes) -> None:
        self.store.append(self.connection, Direction.TO_CLIENT, data)
        self.wrote.append((round(self.clock.now - 100, 6), data))

    def end(self, is_reset: bool) -> None:
        self.wrote.append((round(self.clock.now - 100, 6), "reset" if is_reset else "FIN"))

    def send(self, *units: bytes) -> Socket:
        for unit in units:
            self.writer.send(unit)
        return self

    @property
    def data(self) -> list[object]:
        return [data for _, data in self.wrote]

    @property
    def notes(self) -> list[Note]:
        return [record for record in self.store.records() if isinstance(record, Note) and record.kind is NoteKind.FAULT]

    @property
    def done(self) -> list[tuple[str, ...]]:
        return [note.detail["done"] for note in self.notes]


ONE, TWO, THREE = b"one..", b"two..", b"three"

AT_ONCE: dict[str, tuple[Faults, list[object], list[tuple[str, ...]]]] = {
    "drop": (Faults(drop=True), [], [("drop",)] * 3),
    "drop every third": (Faults(drop=True, every=3), [ONE, TWO], [("drop",)]),
    "drop the second, once": (Faults(drop=True, nth=2), [ONE, THREE], [("drop",)]),
    "duplicate": (Faults(duplicate=True, nth=1), [ONE * 2, TWO, THREE], [("duplicate",)]),
    "corrupt": (Faults(corrupt=1, nth=1), [b"o\x91e..", TWO, THREE], [("corrupt byte 1: 6e → 91",)]),
    "corrupt a bit of the last byte": (
        Faults(corrupt=-1, mask=1, nth=3), [ONE, TWO, b"thred"], [("corrupt byte 4: 65 → 64",)],
    ),
    "corrupt what is not there": (
        Faults(corrupt=9, nth=1), [ONE, TWO, THREE], [("corrupt byte 9: not one of its 5 bytes",)],
    ),
    "chop": (
        Faults(chop=2, nth=2), [ONE, b"tw", b"o.", b".", THREE], [("chop into 2-byte writes",)],
    ),
    "chop into more than it has": (Faults(chop=9, nth=2), [ONE, TWO, THREE], [("chop into 9-byte writes",)]),
    "cut": (Faults(cut=2, nth=2), [ONE, b"tw", "FIN"], [("cut after 2 of 5 bytes, then FIN",)]),
    "cut in its middle, by a reset": (
        Faults(cut=0.5, nth=2, reset=True), [ONE, b"tw", "reset"], [("cut after 2 of 5 bytes, then a reset",)],
    ),
    "cut off the last byte": (Faults(cut=-1, nth=1), [b"one.", "FIN"], [("cut after 4 of 5 bytes, then FIN",)]),
    "cut before it": (Faults(cut=0, nth=2), [ONE, "FIN"], [("cut after 0 of 5 bytes, then FIN",)]),
    "cut after more than it has": (Faults(cut=9, nth=1), [ONE, "FIN"], [("cut after 5 of 5 bytes, then FIN",)]),
    "buffer": (
        Faults(buffer=10), [ONE + TWO], [("buffer until 10 bytes",)] * 3,
    ),
    "buffer one of three": (Faults(buffer=10, nth=1), [ONE, TWO, THREE], [("buffer until 10 bytes",)]),
    "buffer, then chop": (
        Faults(buffer=10, chop=4),
        [b"one.", b".two", b".."],
        [("buffer until 10 bytes", "chop into 4-byte writes")] * 3,
    ),
    "a unit that ends the connection is not held until there is more": (
        Faults(cut=2, buffer=100, nth=3), [ONE, TWO, b"th", "FIN"], [("cut after 2 of 5 bytes, then FIN",)],
    ),
    "a unit of which nothing is left is not chopped": (
        Faults(cut=0, chop=1, nth=2), [ONE, "FIN"], [("cut after 0 of 5 bytes, then FIN",)],
    ),
    "corrupt, duplicate, cut, chop": (
        Faults(corrupt=0, duplicate=True, cut=7, chop=3),
        [b"\x90ne", b"..\x90", b"n", "FIN"],
        [("corrupt byte 0: 6f → 90", "duplicate", "cut after 7 of 10 bytes, then FIN", "chop into 3-byte writes")],
    ),
    "a unit that is dropped is spared the rest": (
        Faults(drop=True, duplicate=True, cut=0, nth=1), [TWO, THREE], [("drop",)],
    ),
    "none": (Faults.none(), [ONE, TWO, THREE], []),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_ONCE)
def test_what_is_written_at_once(name: str) -> None:
    faults, wrote, done = AT_ONCE[name]
    socket = Socket(faults)
    for unit in (ONE, TWO, THREE):
        if "FIN" not in socket.data and "reset" not in socket.data:
            socket.send(unit)
    assert socket.data == wrote
    assert socket.done == done


LATER: dict[str, tuple[Faults, list[tuple[float, object]]]] = {
    "delay": (Faults(delay=0.5), [(0.5, ONE), (0.6, TWO), (0.7, THREE)]),
    "what follows a late unit waits behind it": (Faults(delay=0.5, nth=1), [(0.5, ONE), (0.5, TWO), (0.5, THREE)]),
    "what stands before a late unit does not": (Faults(delay=0.5, nth=2), [(0.0, ONE), (0.6, TWO), (0.6, THREE)]),
    "chop with a pause": (
        Faults(chop=2, pause=0.25),
        [
            *[(0.0, b"on"), (0.25, b"e."), (0.5, b".")],
            *[(0.5, b"tw"), (0.75, b"o."), (1.0, b".")],
            *[(1.0, b"th"), (1.25, b"re"), (1.5, b"e")],
        ],
    ),
    "delay, then buffer": (Faults(delay=0.5, buffer=10), [(0.6, ONE + TWO)]),
    "delay, then cut": (Faults(delay=0.5, cut=2, nth=2), [(0.0, ONE), (0.6, b"tw"), (0.6, "FIN")]),
}


@pytest.mark.parametrize("name", LATER)
def test_what_is_written_later(name: str) -> None:
    """A unit each tenth of a second."""
    faults, wrote = LATER[name]
    socket = Socket(faults)
    for unit in (ONE, TWO, THREE):
        socket.send(unit)
        socket.clock.move(0.1)
    socket.clock.move(10)
    assert socket.wrote == wrote
    assert socket.clock.pending == 0


REFUSED = [
    ({"delay": -1}, "delay is seconds from 0"),
    ({"delay": float("nan")}, "delay is seconds"),
    ({"delay": True}, "delay is seconds"),
    ({"delay": 1e9}, "delay is seconds"),
    ({"drop": 1}, "drop is True or False, not 1"),
    ({"duplicate": "yes"}, "duplicate is True or False"),
    ({"chop": 0}, "chop is bytes in one write"),
    ({"chop": 1.5}, "chop is bytes in one write"),
    ({"chop": 1, "pause": -0.1}, "pause is seconds"),
    ({"pause": 0.1}, "pause is between the writes of chop"),
    ({"buffer": 0}, "buffer is an int from 1"),
    ({"buffer": 2**40}, "buffer is an int from 1 to 1,048,576"),
    ({"corrupt": "first"}, "corrupt is the number of a byte"),
    ({"corrupt": 0, "mask": 0}, "mask is an int from 1 to 255"),
    ({"mask": 1, "drop": True}, "give both"),
    ({"cut": 1.5}, "cut is a number of bytes, or a part"),
    ({"cut": True}, "cut is a number of bytes"),
    ({"reset": True}, "give cut, too"),
    ({"stop_reading": None}, "stop_reading is True or False"),
    ({"drop": True, "every": 0}, "every is an int from 1"),
    ({"drop": True, "nth": 0}, "nth is the number of a unit"),
    ({"drop": True, "probability": 1.1}, "probability is a number from 0 to 1"),
    ({"drop": True, "every": 2, "nth": 3}, "give one of them"),
    ({"drop": True, "seed": 3}, "give probability, too"),
    ({"every": 3}, "not what to do to them"),
    ({"stop_reading": True, "nth": 3}, "not what to do to them"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_what_cannot_be_is_refused_at_once(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FaultsError, match=said):
        Faults(**given)


def test_a_probability_decides_the_same_from_the_same_seed() -> None:
    units = [bytes([number]) for number in range(200)]
    first, again, other = (
        Socket(Faults(drop=True, probability=0.25, seed=seed)).send(*units).data for seed in (1, 1, 2)
    )
    assert first == again != other
    assert 120 < len(first) < 180


def test_a_note_tells_what_was_meant_and_where_it_would_have_stood() -> None:
    socket = Socket(Faults(corrupt=0, nth=2)).send(ONE, TWO)
    (note,) = socket.notes
    assert note.connection is socket.connection
    assert note.text == "fault: corrupt byte 0: 74 → 8b"
    assert note.detail == {
        "done": ("corrupt byte 0: 74 → 8b",),
        "direction": Direction.TO_CLIENT,
        "offset": 5,
        "number": 2,
        "length": 5,
        "meant": TWO,
        "left": b"\x8bwo..",
        "length_left": 5,
    }


def test_the_place_of_a_unit_counts_what_is_still_held() -> None:
    socket = Socket(Faults(delay=1.0)).send(ONE, TWO, THREE)
    assert [note.detail["offset"] for note in socket.notes] == [0, 5, 10]


def test_a_long_unit_is_kept_in_part_and_says_how_long_it_was() -> None:
    (note,) = Socket(Faults(drop=True)).send(bytes(100_000)).notes
    assert note.detail["length"] == 100_000
    assert note.detail["meant"] == bytes(faulty_module.MEANT)


# Changed while it runs


def test_other_faults_leave_what_is_held_in_its_order_and_time() -> None:
    socket = Socket(Faults(delay=0.5)).send(ONE)
    socket.writer.replace(Faults(drop=True, nth=1))
    socket.send(TWO)
    socket.writer.replace(None)
    socket.send(THREE)
    assert socket.data == []
    socket.clock.move(1)
    assert socket.wrote == [(0.5, ONE), (0.5, THREE)]


def test_the_count_begins_again_with_other_faults_and_not_with_the_same() -> None:
    faults = Faults(drop=True, nth=2)
    socket = Socket(faults).send(ONE)
    socket.writer.replace(faults)
    socket.send(TWO)
    socket.writer.replace(replace(faults))
    socket.send(ONE, TWO)
    assert socket.data == [ONE, ONE]


@pytest.mark.parametrize("faults", [Faults(delay=60), Faults(buffer=100), Faults(chop=1, pause=10)])
def test_what_is_held_goes_at_once_when_it_is_released(faults: Faults) -> None:
    socket = Socket(faults).send(ONE, TWO)
    socket.writer.replace(None)
    socket.writer.release()
    socket.send(THREE)
    held, pending = socket.writer.held, socket.clock.pending
    assert b"".join(cast("list[bytes]", socket.data)) == ONE + TWO + THREE
    assert socket.data[-1] == THREE
    assert (held, pending) == (0, 0)


def test_a_pause_is_kept_when_another_unit_comes() -> None:
    socket = Socket(Faults(chop=3, pause=1.0, nth=1)).send(ONE, TWO)
    assert socket.data == [b"one"]
    socket.clock.move(1)
    assert socket.wrote == [(0, b"one"), (1, b".."), (1, TWO)]


# How it ends


@pytest.mark.parametrize(
    ("faults", "before"), [(Faults(delay=60), []), (Faults(buffer=100), []), (Faults(chop=3, pause=10), [b"one"])]
)
def test_what_is_held_at_the_end_goes_with_it_and_that_is_said(faults: Faults, before: list[bytes]) -> None:
    socket = Socket(faults).send(ONE, TWO)
    socket.writer.close(is_lost=False)
    assert socket.data == [*before, (ONE + TWO)[len(b"".join(before)) :]]
    assert socket.done[-1] == (
        f"gave {10 - len(b''.join(before))} held bytes to the socket at once: the connection ends",
    )
    assert socket.clock.pending == 0
    socket.writer.close(is_lost=False)
    assert len(socket.notes) == 3


def test_what_is_held_when_the_peer_has_gone_is_lost_and_that_is_said() -> None:
    socket = Socket(Faults(delay=60)).send(ONE, TWO)
    socket.writer.close(is_lost=True)
    assert socket.data == []
    assert socket.done[-1] == ("lost 10 held bytes: the connection ended before",)
    assert socket.notes[-1].detail["meant"] == ONE + TWO
    assert socket.clock.pending == 0


def test_what_stands_behind_a_cut_is_lost_and_that_is_said() -> None:
    socket = Socket(Faults(delay=1, cut=2, nth=1)).send(ONE, TWO)
    socket.clock.move(1)
    assert socket.data == [b"on", "FIN"]
    assert socket.done[-1] == ("lost 5 held bytes: the connection was cut before",)


def test_a_last_word_does_not_wait_for_more_bytes() -> None:
    socket = Socket(Faults(buffer=100, delay=1)).send(ONE)
    socket.writer.finish()
    assert socket.data == []
    socket.clock.move(1)
    assert socket.wrote == [(1, ONE)]


def test_a_cut_waits_until_the_socket_has_taken_what_is_before_it() -> None:
    socket = Socket(Faults(cut=2))
    socket.waiting = 7
    socket.send(ONE)
    assert socket.data == [b"on"]
    socket.waiting = 0
    socket.writer.go_on()
    assert socket.data == [b"on", "FIN"]


def test_chopped_writes_wait_for_a_full_socket() -> None:
    socket = Socket(Faults(chop=2))
    socket.waiting = 1
    socket.send(ONE)
    assert socket.data == []
    socket.waiting = 0
    socket.writer.go_on()
    assert socket.data == [b"on", b"e.", b"."]


def test_many_chopped_writes_leave_the_loop_its_turns() -> None:
    socket = Socket(Faults(chop=1)).send(bytes(1000))
    assert len(socket.wrote) == faulty_module.WRITES
    socket.clock.move(0)
    assert len(socket.wrote) == 1000


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faulty_module, "MAX_HELD", 12)
    socket = Socket(Faults(delay=1)).send(ONE, TWO)
    with pytest.raises(HeldTooMuchError, match="hold over 12 bytes"):
        socket.send(THREE)
    assert socket.writer.held == 10


def test_what_waits_for_more_bytes_lets_senders_go_on() -> None:
    """Else who waits for room would never send what it waits for."""
    socket = Socket(Faults(buffer=100)).send(ONE)
    assert (socket.writer.held, socket.writer.waits) == (5, 0)
    socket = Socket(Faults(delay=1)).send(ONE)
    assert (socket.writer.held, socket.writer.waits) == (5, 5)


def test_a_socket_that_fails_later_ends_it_and_is_said() -> None:
    socket = Socket(Faults(delay=1)).send(ONE, TWO)

    def fail(data: bytes) -> None:
        raise LaneError("gone")

    socket.writer._write = fail
    socket.clock.move(1)
    assert socket.writer.held == 0
    assert socket.done[-1] == ("lost 5 held bytes: the connection ended before",)
    assert socket.clock.pending == 0


HARMLESS = st.builds(
    lambda which, **faults: Faults(**faults, **(which if any(faults.values()) else {})),
    st.sampled_from([{}, {"every": 2}, {"nth": 2}, {"probability": 0.5}]),
    delay=st.sampled_from([0.0, 0.1, 0.5]),
    chop=st.none() | st.integers(1, 9),
    buffer=st.none() | st.integers(1, 40),
)


@given(
    st.lists(
        st.binary(max_size=20) | HARMLESS | st.none() | st.sampled_from([0.05, 0.3, "release", "full", "drained"]),
        max_size=30,
    ),
    st.booleans(),
)
def test_without_loss_what_is_written_is_what_was_meant(steps: list[object], is_finished: bool) -> None:
    """Whatever is sent, whenever, while faults change, and whether or not the socket is full."""
    socket = Socket()
    meant: list[bytes] = []
    for step in steps:
        match step:
            case bytes():
                meant.append(step)
                socket.send(step)
            case float():
                socket.clock.move(step)
            case "release":
                socket.writer.release()
            case "full":
                socket.waiting = 1
            case "drained":
                socket.waiting = 0
                socket.writer.go_on()
            case _:
                faults = cast("Faults | None", step)
                socket.writer.replace(faults)
        written = b"".join(cast("list[bytes]", socket.data))
        assert b"".join(meant).startswith(written)
        assert socket.writer.held == len(b"".join(meant)) - len(written)
        assert (socket.writer.given, socket.writer.written) == (len(b"".join(meant)), len(written))
    socket.waiting = 0
    if is_finished:
        socket.writer.finish()
        socket.clock.move(60)
    else:
        socket.writer.close(is_lost=False)
    assert b"".join(cast("list[bytes]", socket.data)) == b"".join(meant)
    assert socket.writer.held == 0
    assert socket.clock.pending == 0
