"""How long a loop was blocked, and by what."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from contextvars import ContextVar

from lane_kernel.net import blocking
from lane_kernel.net.blocking import Block, LoopWatch, _watches, name_places
from lane_kernel.net.home import Home
from lane_kernel.net.watch import Watch

who: ContextVar[str] = ContextVar("who", default="nobody")


class Told:
    """What a watch told."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.some = asyncio.Event()

    def __call__(self, block: Block) -> None:
        self.blocks.append(block)
        self.some.set()

    async def first(self) -> Block:
        await asyncio.wait_for(self.some.wait(), 5)
        return self.blocks[0]


def spin(seconds: float) -> None:
    """Work in Python, as a loop over many items does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def block(how, seconds: float) -> None:
    who.set("the blocking task")
    how(seconds)


async def test_a_blocked_loop_is_told_with_its_time_its_line_and_its_context() -> None:
    """Whether it waits or works."""
    for how in (time.sleep, spin):
        told = Told()
        watch = LoopWatch.begin(Home.here(), told, 0.05)
        began = time.monotonic()
        await asyncio.create_task(block(how, 0.3))
        blocked = time.monotonic() - began
        one = await told.first()
        assert 0.28 <= one.seconds <= blocked + 0.1
        assert "test_blocking.py, line" in one.by
        assert ("how(seconds)" in one.by) if how is time.sleep else ("spin" in one.by or "time.monotonic()" in one.by)
        assert one.context.get(who) == "the blocking task"
        assert (watch.count, watch.last) == (1, watch.longest)
        watch.end(told)


async def test_a_call_into_c_that_lets_no_thread_run_is_found_too() -> None:
    """The thread looks as soon as the call gives the interpreter back, which is on the same line."""
    told = Told()
    watch = LoopWatch.begin(Home.here(), told, 0.05)
    found = False
    for _ in range(40):  # on a busy machine the thread may come too late, once and again
        await asyncio.sleep(0.03)
        sum(range(20_000_000))
        await asyncio.sleep(0.03)
        found = found or (watch.last is not None and "sum(range(20_000_000))" in watch.last.by)
        if found:
            break
    watch.end(told)
    assert found
    assert told.blocks


async def test_what_is_shorter_is_not_told_and_a_waiting_loop_is_not_blocked() -> None:
    told = Told()
    watch = LoopWatch.begin(Home.here(), told, 0.4)
    time.sleep(0.05)  # noqa: ASYNC251 - that is what is tested
    await asyncio.sleep(0.6)
    watch.end(told)
    assert told.blocks == []
    assert watch.count == 0


async def test_many_in_a_row_are_told_together(monkeypatch) -> None:
    monkeypatch.setattr(blocking, "QUIET", 0.5)
    told = Told()
    watch = LoopWatch.begin(Home.here(), told, 0.05)
    for _ in range(4):
        time.sleep(0.1)  # noqa: ASYNC251 - that is what is tested
        await asyncio.sleep(0.02)
    assert len(told.blocks) == 1
    watch.end(told)
    assert [one.others for one in told.blocks] == [0, 2]
    assert told.blocks[1].others_seconds > 0.15
    assert watch.count == 4


async def test_each_culprit_is_told_by_its_own_name(monkeypatch) -> None:
    """Another function, or the same one run for another, is not hidden behind the one before."""
    monkeypatch.setattr(blocking, "QUIET", 60)
    told = Told()
    watch = LoopWatch.begin(Home.here(), told, 0.05, lambda context: context.get(who))

    async def one(name: str) -> None:
        who.set(name)
        time.sleep(0.1)  # noqa: ASYNC251 - that is what is tested

    async def two() -> None:
        time.sleep(0.15)  # noqa: ASYNC251 - that is what is tested

    for made in (one("a"), one("b"), two(), one("a")):
        await asyncio.create_task(made)
        await asyncio.sleep(0.03)
    assert [one.context.get(who) for one in told.blocks] == ["a", "b", None]
    assert [one.others for one in told.blocks] == [0, 0, 0]
    watch.end(told)
    assert [one.context.get(who) for one in told.blocks] == ["a", "b", None, "a"]


async def test_looking_for_failures_is_not_blamed_on_who_asks(monkeypatch) -> None:
    monkeypatch.setattr(gc, "collect", lambda: time.sleep(0.2))
    home, told = Home.here(), Told()
    watch, failures = LoopWatch.begin(home, told, 0.05), Watch.begin(home, lambda *_: None)
    failures.collect()
    await asyncio.sleep(0.02)
    watch.end(told)
    monkeypatch.undo()
    failures._reports.clear()
    failures._reports.append(report := lambda *_: None)
    failures.end(report)
    assert told.blocks == []


async def test_there_is_one_for_a_loop_and_nothing_of_it_after_the_last() -> None:
    home, one, two = Home.here(), Told(), Told()
    threads = threading.active_count()
    watch = LoopWatch.begin(home, one, 0.05)
    assert LoopWatch.begin(home, two, 0.3) is watch
    assert _watches[home.loop] is watch
    assert threading.active_count() == threads + 1
    assert watch.threshold == 0.05
    time.sleep(0.1)  # noqa: ASYNC251 - that is what is tested
    await two.first()
    assert one.blocks == [], "told once, to the last who asked"
    watch.end(two)
    watch.end(one)
    assert home.loop not in _watches
    assert threading.active_count() == threads


def test_a_loop_that_nobody_runs_is_not_blocked_and_its_thread_ends_with_it() -> None:
    loop = asyncio.new_event_loop()
    told: list[Block] = []

    async def begin() -> LoopWatch:
        return LoopWatch.begin(Home.here(), told.append, 0.05)

    watch = loop.run_until_complete(begin())
    time.sleep(0.2)
    loop.run_until_complete(asyncio.sleep(0.02))
    assert told == []
    loop.close()
    watch._thread.join(5)
    assert not watch._thread.is_alive()


def test_each_loop_has_its_own() -> None:
    """A loop of another thread is not blocked by this one."""
    told: dict[str, list[Block]] = {"here": [], "there": []}
    ready, done = threading.Event(), threading.Event()

    async def there() -> None:
        watch = LoopWatch.begin(Home.here(), told["there"].append, 0.1)
        ready.set()
        await asyncio.to_thread(done.wait, 5)
        watch.end(told["there"].append)

    async def here() -> None:
        watch = LoopWatch.begin(Home.here(), told["here"].append, 0.1)
        ready.wait(5)
        time.sleep(0.3)  # noqa: ASYNC251 - that is what is tested
        await asyncio.sleep(0.02)
        watch.end(told["here"].append)

    thread = threading.Thread(target=lambda: asyncio.run(there()))
    thread.start()
    asyncio.run(here())
    done.set()
    thread.join(5)
    assert len(told["here"]) == 1
    assert told["there"] == []


def test_places_in_words() -> None:
    line = sys._getframe().f_lineno
    assert name_places(((__file__, line, "x"),)) == f"test_blocking.py, line {line}: line = sys._getframe().f_lineno"
    assert name_places((("<a>", 1, "x"), ("/no/b.py", 2, "y"))) == "<a>, line 1, in b.py, line 2"
