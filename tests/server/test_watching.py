"""What handlers print, log and leave behind is in their log, with route and connection."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from contextvars import Context

import pytest

from lane_kernel.capture import Note, NoteKind, Store
from lane_kernel.client import connect
from lane_kernel.net.blocking import _watches
from lane_kernel.net.config import Config
from lane_kernel.net.home import Home
from lane_kernel.server import LogRecord, Server, watching
from lane_kernel.server.listening import MAX_LINE
from lane_kernel.server.log import MAX_RECORDS
from lane_kernel.sides import Side
from lane_kernel.timeline import EntryKind
from tests.server.raw import until
from tests.server.test_failing_handlers import closed_code, failures


def said(server: Server, level: str = "print") -> list[tuple[str, int | None, str, str]]:
    """The records of a level: route, connection, source, text."""
    return [
        (record.route, record.connection, record.source, record.text)
        for record in server.log.records
        if record.level == level
    ]


async def run(server: Server, path: str) -> None:
    """Let the handler of a path run from its first line to its last."""
    (route,) = (route for route in server.routes if route.pattern == path)
    before = route.hits
    async with connect(server.url(path)) as ws:
        await ws.send("go")
        await until(lambda: route.hits > before and not route.open)


async def test_prints_are_records_in_whole_lines(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    @server.websocket("/said")
    async def handler(ws):
        print("one", 1)
        print("two\nthree", end="")
        print(" and more")
        print()
        print("wrong", file=sys.stderr)
        print("unfinished", end="")

    print("outside")
    await run(server, "/said")
    assert said(server) == [
        ("/said", 1, "stdout", "one 1"),
        ("/said", 1, "stdout", "two"),
        ("/said", 1, "stdout", "three and more"),
        ("/said", 1, "stderr", "wrong"),
        ("/said", 1, "stdout", "unfinished"),
    ]
    assert capsys.readouterr() == ("outside\none 1\ntwo\nthree and more\n\nunfinished", "wrong\n"), (
        "it still goes there"
    )
    notes = [entry for entry in server.timeline if entry.kind is EntryKind.LOG]
    assert [(note.what, note.preview) for note in notes][:2] == [("log print", "one 1"), ("log print", "two")]


async def test_what_a_handler_starts_speaks_for_it(server: Server) -> None:
    """Tasks, callbacks and asyncio's threads, also when it has ended; two connections are not confused."""
    called = asyncio.Event()

    async def child(name: str) -> None:
        print("task", name)

    def late() -> None:
        print("called")
        called.set()

    @server.websocket("/a")
    async def a(ws):
        await asyncio.gather(child("a"), asyncio.to_thread(print, "thread a"))
        asyncio.get_running_loop().call_later(0.01, late)
        await ws.receive()

    @server.websocket("/b")
    async def b(ws):
        async with asyncio.TaskGroup() as group:
            group.create_task(child("b"))
        await ws.receive()

    await asyncio.gather(run(server, "/a"), run(server, "/b"))
    await asyncio.wait_for(called.wait(), 5)
    await until(lambda: len(said(server)) == 4)
    by_route = {(route, text) for route, _, _, text in said(server)}
    assert by_route == {("/a", "task a"), ("/a", "thread a"), ("/a", "called"), ("/b", "task b")}
    assert len({connection for _, connection, _, _ in said(server)}) == 2


async def test_a_long_line_is_cut_and_an_endless_printer_is_counted(server: Server) -> None:
    @server.websocket("/endless")
    async def endless(ws):
        print("x" * 100_000)
        for number in range(3 * MAX_RECORDS):
            print(number)

    @server.websocket("/thread")
    async def thread(ws):
        await asyncio.to_thread(lambda: [print(number) for number in range(3 * MAX_RECORDS)])

    await run(server, "/endless")
    assert len(server.log.records) == MAX_RECORDS
    assert server.log.total >= 3 * MAX_RECORDS + 1
    assert server.log.records[-1].text == str(3 * MAX_RECORDS - 1)
    total = server.log.total
    await run(server, "/thread")
    await until(lambda: server.log.total - total == 3 * MAX_RECORDS)
    assert server.log.records[-1].text == str(3 * MAX_RECORDS - 1)


async def test_a_long_line_says_its_length(server: Server) -> None:
    @server.websocket("/long")
    async def long(ws):
        for _ in range(100):
            print("x" * 1000, end="")
        print("\nshort")

    await run(server, "/long")
    (_, _, _, cut), (_, _, _, short) = said(server)
    assert cut == "x" * MAX_LINE + "… (100,000 characters)"
    assert short == "short"


async def test_logging_is_heard_by_level_with_its_logger_and_traceback(server: Server) -> None:
    logger = logging.getLogger("shop.cart")

    @server.websocket("/logs")
    async def logs(ws):
        logger.debug("unheard: the level is the root's, WARNING")
        logger.warning("%s are left", 3)
        try:
            raise KeyError("apples")
        except KeyError:
            logger.exception("no such fruit")
        logger.setLevel(logging.DEBUG)
        logger.debug("heard now")
        logger.info("and this")

    try:
        await run(server, "/logs")
    finally:
        logger.setLevel(logging.NOTSET)
    heard: list[LogRecord] = [record for record in server.log.records if record.source == "shop.cart"]
    assert [(record.level, record.text) for record in heard] == [
        ("warning", "3 are left"),
        ("error", "no such fruit"),
        ("debug", "heard now"),
        ("info", "and this"),
    ]
    assert heard[1].traceback is not None
    assert "KeyError: 'apples'" in heard[1].traceback
    assert {(record.route, record.connection) for record in heard} == {("/logs", 1)}
    assert failures(server) == [], "what a handler has dealt with itself is no failure"


async def test_tasks_that_a_handler_leaves_running_are_told_once_and_cancelled_at_stop() -> None:
    server = Server("leaving", store=Store())
    kept: list[asyncio.Task[None]] = []

    async def fetch() -> None:
        await asyncio.Event().wait()

    async def poll() -> None:
        await asyncio.Event().wait()

    @server.websocket("/left")
    async def left(ws):
        kept.extend([asyncio.create_task(fetch()), asyncio.create_task(poll())])

    @server.websocket("/tidy")
    async def tidy(ws):
        task = asyncio.create_task(fetch())
        await asyncio.sleep(0)
        task.cancel()
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))

    await server.start()
    await run(server, "/tidy")
    await run(server, "/left")
    await until(lambda: said(server, "warning"))
    (route, connection, _, text) = said(server, "warning")[0]
    assert (route, connection) == ("/left", 2)
    assert text == "the handler ended and left 2 tasks running: fetch(), poll()"
    server.check()
    assert len(said(server, "warning")) == 1
    await server.stop()
    assert all(task.cancelled() for task in kept)
    server.check()


async def test_a_task_that_outlives_stop_is_a_failure() -> None:
    server = Server("outlived", store=Store())
    freed = asyncio.Event()
    kept: list[asyncio.Task[None]] = []

    async def stubborn() -> None:
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue

    @server.websocket("/left")
    async def left(ws):
        kept.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)

    await server.start()
    await run(server, "/left")
    async with asyncio.timeout(5):
        await server.stop(timeout=0.4)
    (failure,) = failures(server)
    assert failure.startswith("LeftBehindError: task stubborn() goes on")
    assert failure.endswith("[in task stubborn(), started by the handler of /left, connection 1]")
    freed.set()
    await asyncio.wait(kept, timeout=5)


async def test_a_handler_that_is_thrown_away_with_its_loop_says_nothing(server: Server) -> None:
    """As the collector does with a coroutine whose loop was closed: in another context than it ran in."""
    connection = server.capture.open(Side.SERVER, "a", "b", server.name)

    async def handler() -> None:
        with server.watching.handling(None, connection):
            print("begun", end="")
            await asyncio.Event().wait()

    coroutine = handler()
    Context().run(coroutine.send, None)
    coroutine.close()
    server.check()
    assert said(server) == []


async def test_another_servers_tasks_are_left_alone() -> None:
    kept: list[asyncio.Task[bool]] = []
    async with Server("one", store=Store()) as one, Server("two", store=Store()) as two:

        @one.websocket("/left")
        async def left(ws):
            kept.append(asyncio.create_task(asyncio.Event().wait()))

        await run(one, "/left")
        await two.stop()
        assert not kept[0].done()
        await until(lambda: said(one, "warning"))
        assert two.log.total == 0
    assert kept[0].cancelled()


async def test_a_failure_is_told_by_the_server_whose_handler_started_it() -> None:
    async with Server("one", store=Store()) as one, Server("two", store=Store()) as two:

        @one.websocket("/fails")
        async def fails(ws):
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await ws.receive()

        await closed_code(one, "/fails")
        assert failures(two) == []
        assert len(failures(one)) == 1


async def test_what_a_stopped_servers_task_raises_later_is_told_by_the_one_that_runs() -> None:
    freed = asyncio.Event()
    kept: list[asyncio.Task[None]] = []

    async def stubborn() -> None:
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("at last")

    async with Server("two", store=Store()) as two:
        async with Server("one", store=Store()) as one:

            @one.websocket("/left")
            async def left(ws):
                kept.append(asyncio.create_task(stubborn()))
                await asyncio.sleep(0)

            await run(one, "/left")
            await one.stop(timeout=0.2)
        assert [failure.partition(":")[0] for failure in failures(one)] == ["LeftBehindError"]
        freed.set()
        await asyncio.wait(kept, timeout=5)
        (failure,) = failures(two)
        assert failure == "ValueError: at last [in task stubborn(), started by the handler of /left, connection 1]"


async def test_the_blocked_loop_is_a_record_and_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LONG", 0.2)
    server = Server("blocked", store=Store(), config=Config(blocked_after=0.15))

    @server.websocket("/slow")
    async def slow(ws):
        time.sleep(0.3)  # noqa: ASYNC251 - that is what is tested
        await ws.receive()

    async with server:
        await run(server, "/slow")
        await until(lambda: said(server, "warning"))
        home = server.home
    ((route, connection, _, text),) = said(server, "warning")
    assert (route, connection) == ("/slow", 1)
    assert text.startswith("the loop was blocked for ")
    assert "by the handler of /slow, connection 1: test_watching.py, line" in text
    assert "time.sleep(0.3)" in text
    (note,) = (entry for entry in server.timeline if entry.kind is EntryKind.BLOCKED)
    assert note.what == "loop blocked"
    assert " ms by the handler of /slow" in note.preview
    assert [one.kind for one in server.capture.records() if isinstance(one, Note)].count(NoteKind.BLOCKED) == 1
    assert home is not None
    assert home.loop not in _watches


async def test_the_loop_blocked_by_no_handler() -> None:
    async with Server("cell", store=Store(), config=Config(blocked_after=0.15)) as server:
        time.sleep(0.25)  # noqa: ASYNC251 - that is what is tested
        await until(lambda: said(server, "info"))
    ((route, connection, _, text),) = said(server, "info")
    assert (route, connection) == ("", None)
    assert "time.sleep(0.25)" in text
    assert "lane.in_thread(server)" not in text, "advice only with a warning"


def test_servers_on_loops_of_their_own_hear_their_own_handlers() -> None:
    """Each thread's server has its own prints, also when both print at once."""
    heard: dict[str, list[tuple[str, int | None, str, str]]] = {}

    async def serve(name: str) -> None:
        async with Server(name, store=Store()) as server:

            @server.websocket("/x")
            async def handler(ws):
                for _ in range(50):
                    print(name)
                    await asyncio.sleep(0)

            await run(server, "/x")
            heard[name] = said(server)

    threads = [threading.Thread(target=lambda name=name: asyncio.run(serve(name))) for name in ("here", "there")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert heard == {name: [("/x", 1, "stdout", name)] * 50 for name in ("here", "there")}


async def test_after_the_last_stop_nothing_runs() -> None:
    threads = threading.active_count()
    async with Server("counted", store=Store()):
        assert threading.active_count() == threads + 1
        assert Home.here().loop in _watches
    assert threading.active_count() == threads
