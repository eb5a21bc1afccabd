"""Faults: what is done wrong, on purpose, to what we send.

    server.faults["/feed"] = lane.Faults(drop=True, every=3)         # every third frame is lost
    ws.faults = lane.Faults(cut=0.5, nth=5)                          # the fifth ends in its middle, and the connection
    server.faults["*"] = lane.Faults(delay=0.2, chop=1)              # all of it late, and a byte at a time
    ws.faults = None                                                 # no longer

What was received is never changed; at most it is not read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from random import Random
from typing import Self

from lane_kernel.errors import LaneError

MAX_BUFFER = 1024 * 1024
"""Bytes that `buffer` may hold back at the most."""

MAX_DELAY = 3600.0
"""The longest delay or pause, in seconds."""


class FaultsError(LaneError):
    """Faults that cannot be, or cannot be had where they were asked for."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What faults make of one unit, apart from when it goes.

    Attributes:
        done: What was done, in words, in the order it was done.
        left: The bytes that are left to be written.
        ends: Whether the connection ends after them.
    """

    done: tuple[str, ...]
    left: bytes
    ends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What to do to the units that are sent, and to which of them.

    A unit is what one `send` puts on the wire: a frame or a fragment, an event or a comment of an event stream, an HTTP
    response, the bytes of one `send_bytes`. Units are counted from 1, Pongs and Closes too, for each connection by
    itself, from where these faults begin to hold for it.

    Several faults are done in the order of this list; a unit that is dropped is spared the others. Order is kept: what
    is sent after a unit that waits, waits behind it.

    Attributes:
        drop: The unit is not sent.
        corrupt: The byte of this number, from 0, or from the end where negative, is changed.
        mask: How: it is XORed with this, 0xFF by default, which flips every bit.
        duplicate: The unit is sent twice.
        cut: So much of it is sent, and then the connection ends: a number of bytes, negative to leave off so many, or a
            part between 0.0 and 1.0, so that 0.5 is its middle.
        reset: A connection that is cut ends with a TCP reset; with a clean FIN by default.
        delay: The unit goes so many seconds later.
        buffer: Units are held until there are so many bytes of them, or our Close or the connection's end is due, and
            then go together, in one write. A unit that is cut is not held: the connection's end is due.
        chop: It goes in writes of so many bytes, each one a `send` of the socket.
        pause: Seconds between two of these writes.
        stop_reading: Nothing is read from the connection while these faults are set, so that its end goes unnoticed,
            too; what had come is still delivered.
        every: Every third unit where it is 3; all by default.
        nth: The unit of this number alone, once.
        probability: Each unit with this probability.
        seed: What the probability's decisions are made from: the same seed decides the same.
    """

    drop: bool = False
    corrupt: int | None = None
    mask: int = 0xFF
    duplicate: bool = False
    cut: int | float | None = None
    reset: bool = False
    delay: float = 0.0
    buffer: int | None = None
    chop: int | None = None
    pause: float = 0.0
    stop_reading: bool = False
    every: int = 1
    nth: int | None = None
    probability: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            FaultsError: A value cannot be, or goes only with another that is not there.
        """
        self._check_values()
        if self.mask != 0xFF and self.corrupt is None:
            raise FaultsError("mask says how a byte is changed, and corrupt which one: give both")
        if self.reset and self.cut is None:
            raise FaultsError("reset says how a connection ends that is cut: give cut, too")
        if self.pause and self.chop is None:
            raise FaultsError("pause is between the writes of chop: give chop, too")
        choices = (self.every != 1) + (self.nth is not None) + (self.probability is not None)
        if choices > 1:
            raise FaultsError("every, nth and probability each say which units are meant: give one of them")
        if self.seed and self.probability is None:
            raise FaultsError("seed is what probability is decided from: give probability, too")
        if choices and not self.touches_units:
            raise FaultsError("this says which units are meant, and not what to do to them: drop, delay, chop …")

    def _check_values(self) -> None:
        for name in ("drop", "duplicate", "reset", "stop_reading"):
            if not isinstance(getattr(self, name), bool):
                raise FaultsError(f"{name} is True or False, not {getattr(self, name)!r}")
        for name in ("delay", "pause"):
            _check(name, getattr(self, name), f"seconds from 0 to {MAX_DELAY:g}", 0, MAX_DELAY)
        _check_int("mask", self.mask, "an int from 1 to 255", 1, 255)
        _check_int("every", self.every, "an int from 1 up", 1)
        _check_int("seed", self.seed, "an int")
        if self.corrupt is not None:
            _check_int("corrupt", self.corrupt, "the number of a byte: an int, negative to count from the end")
        if self.chop is not None:
            _check_int("chop", self.chop, "bytes in one write: an int from 1 up", 1)
        if self.nth is not None:
            _check_int("nth", self.nth, "the number of a unit: an int from 1 up", 1)
        if self.buffer is not None:
            _check_int("buffer", self.buffer, f"an int from 1 to {MAX_BUFFER:,} bytes", 1, MAX_BUFFER)
        if self.probability is not None:
            _check("probability", self.probability, "a number from 0 to 1", 0, 1)
        if isinstance(self.cut, float):
            _check("cut", self.cut, "a number of bytes, or a part of the unit from 0.0 to 1.0", 0, 1)
        elif self.cut is not None:
            _check_int("cut", self.cut, "a number of bytes, or a part of the unit from 0.0 to 1.0")

    @classmethod
    def none(cls) -> Self:
        """No faults: they switch off what a connection would have from its route, or a route from its server."""
        return cls()

    @property
    def touches_units(self) -> bool:
        """Whether anything is done to what is sent."""
        return bool(
            self.drop
            or self.duplicate
            or self.delay
            or self.buffer
            or self.chop
            or self.corrupt is not None
            or self.cut is not None
        )

    def hits(self, number: int, random: Random) -> bool:
        """Decide whether a unit is meant.

        Args:
            number: The unit's number, from 1.
            random: What a probability is decided from; it is asked once for each unit.
        """
        if not self.touches_units:
            return False
        if self.nth is not None:
            return number == self.nth
        if self.probability is not None:
            return random.random() < self.probability
        return number % self.every == 0

    def treat(self, unit: bytes) -> Treatment:
        """Do to a unit what is to be done to its bytes, and say what will be done to its time.

        Args:
            unit: The bytes that were meant.
        """
        if self.drop:
            return Treatment(("drop",), b"")
        done: list[str] = []
        left = unit
        if self.corrupt is not None:
            left, words = self._corrupt(left, self.corrupt)
            done.append(words)
        if self.duplicate:
            left += left
            done.append("duplicate")
        if self.cut is not None:
            size = len(left)
            left = left[: self._cut_point(size)]
            how = "a reset" if self.reset else "FIN"
            done.append(f"cut after {len(left):,} of {_bytes(size)}, then {how}")
        if self.delay:
            done.append(f"delay {self.delay:g} s")
        if self.buffer and self.cut is None:
            done.append(f"buffer until {_bytes(self.buffer)}")
        if self.chop and left:
            pause = f", {self.pause:g} s between them" if self.pause else ""
            done.append(f"chop into {self.chop:,}-byte writes{pause}")
        return Treatment(tuple(done), left, self.cut is not None)

    def _corrupt(self, unit: bytes, number: int) -> tuple[bytes, str]:
        place = number if number >= 0 else len(unit) + number
        if not 0 <= place < len(unit):
            return unit, f"corrupt byte {number}: not one of its {_bytes(len(unit))}"
        changed = unit[place] ^ self.mask
        words = f"corrupt byte {place:,}: {unit[place]:02x} → {changed:02x}"
        return unit[:place] + bytes([changed]) + unit[place + 1 :], words

    def _cut_point(self, size: int) -> int:
        if isinstance(self.cut, float):
            return int(size * self.cut)
        point = self.cut or 0
        return min(point, size) if point >= 0 else max(size + point, 0)

    def __str__(self) -> str:
        """What differs from no faults, as one would write it."""
        given = (field for field in fields(self) if getattr(self, field.name) != field.default)
        return f"Faults({', '.join(f'{field.name}={getattr(self, field.name)!r}' for field in given)})"

    __repr__ = __str__


def checked(faults: object) -> Faults | None:
    """Answer faults, or None, as they are.

    Raises:
        FaultsError: It is neither.
    """
    if faults is None or isinstance(faults, Faults):
        return faults
    raise FaultsError(f"faults are lane.Faults(…), or None for none, not {faults!r}")


def _check(name: str, value: object, asked: str, least: float = -math.inf, most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise FaultsError(f"{name} is {asked}, not {value!r}")


def _check_int(name: str, value: object, asked: str, least: float = -math.inf, most: float = math.inf) -> None:
    if isinstance(value, float):
        raise FaultsError(f"{name} is {asked}, not {value!r}")
    _check(name, value, asked, least, most)


def _bytes(count: int) -> str:
    return f"{count:,} byte{'' if count == 1 else 's'}"
