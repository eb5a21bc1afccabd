"""The one place that marshals between threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from lane_kernel.net.home import Home


async def on_thread(function) -> None:
    """Run a function on a thread of its own and wait for it without blocking the loop."""
    await asyncio.to_thread(function)


async def test_a_call_from_home_is_made_at_once() -> None:
    seen: list[int] = []
    Home.here().call(seen.append, 1)
    assert seen == [1]


async def test_a_call_from_elsewhere_is_made_on_the_homes_thread() -> None:
    home = Home.here()
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    await on_thread(lambda: home.call(lambda: seen.set_result(threading.get_ident())))
    assert await asyncio.wait_for(seen, 5) == home.thread_id == threading.get_ident()
    assert home.is_here


async def test_a_coroutine_from_elsewhere_runs_here_and_answers_there() -> None:
    home = Home.here()

    async def work() -> int:
        return threading.get_ident()

    assert await asyncio.to_thread(lambda: home.start(work()).result(5)) == home.thread_id

    async def fail() -> None:
        raise ValueError("told")

    with pytest.raises(ValueError, match="told"):
        await asyncio.to_thread(lambda: home.start(fail()).result(5))


async def test_what_it_starts_has_an_empty_context() -> None:
    cell = contextvars.ContextVar("cell", default="none")
    cell.set("a cell")
    home = Home.here()

    async def look() -> str:
        return cell.get()

    assert await asyncio.wrap_future(home.start(look())) == "none"
    seen: asyncio.Queue[str] = asyncio.Queue()
    repeating = home.every(0, lambda: seen.put_nowait(cell.get()))
    assert await asyncio.wait_for(seen.get(), 5) == "none"
    repeating.stop()


async def test_a_repeating_call_outlives_its_errors_and_stops() -> None:
    home = Home.here()
    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(str(context["exception"])))
    times: list[int] = []
    enough = asyncio.Event()

    def tick() -> None:
        times.append(1)
        if len(times) >= 3:
            enough.set()
        raise RuntimeError("seen")

    repeating = home.every(0.001, tick)
    await asyncio.wait_for(enough.wait(), 5)
    repeating.stop()
    count = len(times)
    await asyncio.sleep(0.02)
    assert len(times) == count
    assert errors == ["seen"] * count


async def test_a_call_to_a_closed_loop_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    Home(loop, thread_id=0).call(pytest.fail, "called")
