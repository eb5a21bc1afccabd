"""How long a loop was blocked, and by whose code: while one piece of code runs on, no server on that loop answers.

The loop beats: a call is due every `BEAT` seconds, and how late it comes is how long the loop was blocked. A thread
looks at the beat, and where it is late, at what the loop's thread runs. A machine that gives the process no processor
makes beats late, too; the thread is late with them, and nobody is blamed.
"""

from __future__ import annotations

import asyncio
import linecache
import sys
import sysconfig
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from weakref import WeakKeyDictionary

from lane_kernel.net.home import Home
from lane_kernel.net.watch import Watch, context_of

BEAT = 0.025
"""Seconds between two beats; a blocked time is known to within half of it."""

LOOK = 0.025
"""Seconds between two looks of the thread."""

QUIET = 1.0
"""What the same culprit blocks within so many seconds of what was told of it is told together, after them."""

_KINDS_OF_LINES = 200
_UNSEEN = "code that was over before it could be looked at"
_TURN, _SELECT = ("_run_once", "run_forever"), "select"
_PARDONED = frozenset({Watch.collect.__code__})
_PACKAGE = str(Path(__file__).resolve().parents[1])
_INSTALLED = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_OTHERS = (*_INSTALLED, _PACKAGE, "<frozen")


@dataclass(frozen=True, slots=True)
class Block:
    """A time in which a loop could do nothing else.

    Attributes:
        seconds: How long it was.
        by: Whose code ran most of that time, such as "cell [7], line 3: time.sleep(2)".
        context: The context that this code ran in; an empty one where that cannot be told.
        others: How many shorter ones of the same culprit are told of with it, since they came one after another.
        others_seconds: How long those were together.
    """

    seconds: float
    by: str
    context: Context = field(default_factory=Context)
    others: int = 0
    others_seconds: float = 0.0


Report = Callable[[Block], object]
"""Told of a block; called on the loop's thread."""

Whose = Callable[[Context], object]
"""Whose code runs in a context, such as a route; what belongs to different ones is told apart."""

Place = tuple[str, int, str]
"""A file, a line in it, and the function."""

_Culprit = tuple[object, str, str]


def nobody(context: Context) -> object:
    """Tell culprits apart by their code alone."""


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopWatch] = WeakKeyDictionary()


class LoopWatch:
    """Measures how long one loop is blocked. There is one for each loop; the last of those who asked is told.

    Attributes:
        count: How often it was blocked.
        last: The last time.
        longest: The longest time.
    """

    def __init__(self, home: Home) -> None:
        """Begin to watch. Use `begin`, which shares watches."""
        self.count = 0
        self.last: Block | None = None
        self.longest: Block | None = None
        self._home = home
        self._reports: dict[Report, tuple[float, Whose]] = {}
        self._held: dict[_Culprit, list[Block]] = {}
        self._quiet_until: dict[_Culprit, float] = {}
        self._context = Context()
        self._looks: Counter[tuple[Place, ...]] = Counter()
        self._contexts: dict[tuple[Place, ...], Context] = {}
        self._pardoned = False
        self._lock = threading.Lock()
        self._worked = time.thread_time()
        self._due = home.loop.time()
        # Held until the end; to wait for it costs less than for an Event.
        self._ended = threading.Lock()
        self._ended.acquire()
        self._beat()
        self._thread = threading.Thread(target=self._look_on, name="lane_kernel loop watch", daemon=True)
        self._thread.start()

    @classmethod
    def begin(cls, home: Home, report: Report, threshold: float, whose: Whose = nobody) -> LoopWatch:
        """Watch a loop from now on.

        Args:
            home: The loop, on whose thread this is called.
            report: Told of each block until `end`.
            threshold: How long a block is told of, in seconds; of several watchers' the shortest.
            whose: Whose code runs in a context.
        """
        watch = _watches.get(home.loop)
        if watch is None:
            watch = _watches[home.loop] = cls(home)
        watch._reports[report] = threshold, whose
        return watch

    def end(self, report: Report) -> None:
        """Tell one of those who asked no more; after the last, the thread has ended."""
        if len(self._reports) == 1:
            self._tell(list(self._held))
        del self._reports[report]
        if self._reports:
            return
        del _watches[self._home.loop]
        self._ended.release()
        self._handle.cancel()
        self._thread.join()

    @property
    def threshold(self) -> float:
        """How long a block is told of, in seconds."""
        return min((threshold for threshold, _ in self._reports.values()), default=1.0)

    # On the loop

    def _beat(self) -> None:
        now, worked = self._home.loop.time(), time.thread_time()
        try:
            late = now - self._due
            if late > LOOK / 4:
                self._judge(late + BEAT / 2, worked - self._worked)
            if self._held:
                self._tell([culprit for culprit in self._held if now >= self._quiet_until.get(culprit, 0.0)])
        finally:
            self._worked = worked
            self._due = now + BEAT
            self._handle = self._home.loop.call_at(self._due, self._beat, context=self._context)

    def _judge(self, seconds: float, worked: float) -> None:
        with self._lock:
            looks, self._looks = self._looks, Counter()
            contexts, self._contexts = self._contexts, {}
            pardoned, self._pardoned = self._pardoned, False
        seen = (looks.total() + 1) * LOOK if looks else 0.0
        if pardoned or seconds < self.threshold or max(worked, seen) < seconds / 4:
            return
        places = looks.most_common(1)[0][0] if looks else ()
        block = Block(seconds, name_places(places) or _UNSEEN)
        self.count += 1
        self.last = block
        if self.longest is None or block.seconds >= self.longest.seconds:
            self.longest = block
        block = replace(block, context=contexts.get(places, Context()))
        self._held.setdefault(self._culprit(places, block.context), []).append(block)

    def _culprit(self, places: tuple[Place, ...], context: Context) -> _Culprit:
        """Who blocked: the outermost function, such as a cell or a handler, and whose it is."""
        filename, _, function = places[0] if places else ("", 0, "")
        _, whose = next(reversed(self._reports.values()))
        return whose(context), filename, function

    def _tell(self, culprits: list[_Culprit]) -> None:
        """Tell what is held of some, of each in its own report: nobody is hidden behind another."""
        now = self._home.loop.time()
        self._quiet_until = {culprit: until for culprit, until in self._quiet_until.items() if until > now}
        for culprit in culprits:
            held = self._held.pop(culprit)
            self._quiet_until[culprit] = now + QUIET
            worst = max(held, key=lambda block: block.seconds)
            together = sum(block.seconds for block in held) - worst.seconds
            report = next(reversed(self._reports))
            report(replace(worst, others=len(held) - 1, others_seconds=together))

    # On the thread

    def _look_on(self) -> None:
        loop = self._home.loop
        while not self._ended.acquire(timeout=LOOK) and not loop.is_closed():
            # Held while it looks: a beat that comes meanwhile waits for what is seen.
            with self._lock:
                if loop.time() - self._due > LOOK / 4:
                    self._look()

    def _look(self) -> None:
        frame = sys._current_frames().get(self._home.thread_id)  # noqa: SLF001 - the public way to another thread's frames
        if frame is None or not self._home.loop.is_running():
            # Nobody runs the loop: nobody blocks it.
            self._pardoned = True
            return
        places = _places(frame)
        if places == ():
            self._pardoned = True
        elif places is not None and len(self._looks) < _KINDS_OF_LINES:
            self._looks[places] += 1
            if (task := asyncio.current_task(self._home.loop)) is not None:
                # As it is now: what runs may be over when the loop comes round.
                self._contexts[places] = context_of(task).copy()


def _places(innermost: FrameType) -> tuple[Place, ...] | None:
    """Where a loop's turn is: the outermost and the innermost line of a person's code in it.

    Returns:
        None where the loop waits; nothing where it does what is to be passed over; where no line is a person's, the
        innermost of all.
    """
    theirs: list[Place] = []
    frame: FrameType | None = innermost
    inner: FrameType | None = None
    while frame is not None and frame.f_code.co_name not in _TURN:
        if frame.f_code is LoopWatch._beat.__code__:  # noqa: SLF001 - the loop has come round
            return None
        if frame.f_code in _PARDONED:
            return ()
        if _is_theirs(frame.f_code.co_filename):
            theirs.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        inner, frame = frame, frame.f_back
    if inner is None or inner.f_code.co_name == _SELECT:
        return None
    if not theirs:
        return ((innermost.f_code.co_filename, innermost.f_lineno, innermost.f_code.co_name),)
    return (theirs[-1],) if len(theirs) == 1 else (theirs[-1], theirs[0])


def _is_theirs(filename: str) -> bool:
    """Whether code is a person's: neither Python's, nor an installed package's, nor ours."""
    return not filename.startswith(_OTHERS)


def name_places(places: tuple[Place, ...]) -> str:
    """Lines in words, the outermost first: "cell [7], line 3: work(), in cell [2], line 1: time.sleep(2)"."""
    return ", in ".join(_name_place(place) for place in places)


def _name_place(place: Place) -> str:
    filename, line, _ = place
    text = linecache.getline(filename, line).strip()
    return f"{_name_file(filename)}, line {line}" + (f": {text}" if text else "")


def _name_file(filename: str) -> str:
    """A cell by its number, where it is one of IPython's, else a file by its name."""
    if "IPython" in sys.modules:
        from IPython import get_ipython

        # Shells other than a kernel's may compile in ways of their own.
        name_code = getattr(getattr(get_ipython(), "compile", None), "format_code_name", None)
        if name_code is not None and (found := name_code(filename)) is not None:
            label, name = found
            return f"{label.lower()} {name.removeprefix('In')}"
    return filename if filename.startswith("<") else Path(filename).name
