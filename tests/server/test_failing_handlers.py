"""Handlers that fail, in every way they can: each is seen, and harms nobody else."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from lane_kernel.capture import Store
from lane_kernel.client import EventSource, connect
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.server import Server, pipeline
from tests.server.raw import until


async def closed_code(server: Server, path: str) -> int | None:
    """Connect and send a message; the code that the server closes with."""
    async with connect(server.url(path)) as ws:
        await ws.send("go")
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(ws.receive(), 5)
        return ws.close_code


def failures(server: Server) -> list[str]:
    """What `check` raises, one line each."""
    try:
        server.check()
    except ExceptionGroup as group:
        return [f"{type(error).__name__}: {error} [{error.__notes__[-1]}]" for error in group.exceptions]
    return []


async def leave(ws) -> None:
    sys.exit(3)


async def interrupted(ws) -> None:
    raise KeyboardInterrupt


class Strange(BaseException):
    """No Exception."""


async def strange(ws) -> None:
    raise Strange("odd")


async def generator_exit(ws) -> None:
    raise GeneratorExit


async def cancelled_from_inside(ws) -> None:
    task = asyncio.create_task(asyncio.sleep(3600))
    task.cancel()
    await task


async def sends_after_its_own_close(ws) -> None:
    await ws.close()
    await ws.send("x")


@pytest.mark.parametrize(
    ("handler", "code", "said"),
    [
        (leave, 1011, "HandlerStoppedError: the handler called exit(3): a handler ends by returning"),
        (interrupted, 1011, "HandlerStoppedError: the handler was interrupted by a person"),
        (strange, 1011, "HandlerStoppedError: the handler raised Strange, which is no Exception: odd"),
        (generator_exit, 1011, "HandlerStoppedError: the handler raised GeneratorExit, which is no Exception"),
        (cancelled_from_inside, 1011, "HandlerStoppedError: the handler was cancelled from inside"),
        (sends_after_its_own_close, 1000, "ConnectionLostError: connection"),
    ],
)
async def test_a_handler_that_ends_in_any_other_way_is_a_failure(server: Server, handler, code: int, said: str):
    server.websocket("/bad")(handler)

    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    async with connect(server.url("/echo")) as other:
        assert await closed_code(server, "/bad") == code
        await until(lambda: server.log.total)
        (failure,) = failures(server)
        assert failure.startswith(said)
        assert "[in the handler of /bad, connection" in failure
        await other.send("still here")
        assert await other.receive() == "still here"


async def test_the_end_of_another_connection_is_the_handlers_own_failure(server: Server):
    """A handler that is a client elsewhere: that peer's leaving is not this one's."""
    async with Server("upstream", store=Store()) as upstream:

        @upstream.websocket("/short")
        async def short(ws):
            await ws.close(1001)

        @server.websocket("/proxy")
        async def proxy(ws):
            async with connect(upstream.url("/short")) as up:
                await ws.send(await up.receive())

        assert await closed_code(server, "/proxy") == 1011
    assert [failure.partition(":")[0] for failure in failures(server)] == ["ConnectionClosedError"]


async def test_a_peer_that_leaves_is_no_failure(server: Server):
    done = asyncio.Event()

    @server.websocket("/push")
    async def push(ws):
        try:
            while True:
                await ws.send("x" * 1000)
        finally:
            done.set()

    async with connect(server.url("/push")) as ws:
        await ws.receive()
    await asyncio.wait_for(done.wait(), 5)
    assert failures(server) == []


async def boom() -> None:
    raise ValueError("in a task")


async def test_a_task_that_nobody_awaits_is_a_failure(server: Server):
    """Forgotten or kept: both are found."""
    kept = []

    @server.websocket("/tasks")
    async def tasks(ws):
        kept.append(asyncio.create_task(boom()))
        asyncio.create_task(boom())  # noqa: RUF006 - that is what is tested
        await ws.receive()

    await closed_code(server, "/tasks")
    assert (
        failures(server)
        == ["ValueError: in a task [in task boom(), started by the handler of /tasks, connection 1]"] * 2
    )
    (record, _) = [record for record in server.log.records if record.level == "error"]
    assert (record.route, record.connection, record.text) == ("/tasks", 1, "ValueError: in a task (in task boom())")
    (route,) = server.routes
    assert route.error == "ValueError: in a task"
    assert failures(server) == []


async def test_a_task_whose_failure_was_seen_is_none(server: Server):
    @server.websocket("/seen")
    async def seen(ws):
        results = await asyncio.gather(boom(), return_exceptions=True)
        await ws.send(str(results))

    async with connect(server.url("/seen")) as ws:
        assert "in a task" in str(await ws.receive())
    assert failures(server) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_callback_and_a_thread_that_raise_are_failures(server: Server):
    ended = asyncio.Event()

    @server.websocket("/beside")
    async def beside(ws):
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: 1 / 0)

        def work():
            try:
                raise ValueError("in a thread")
            finally:
                loop.call_soon_threadsafe(loop.call_later, 0.05, ended.set)

        threading.Thread(target=work, name="worker").start()
        await ws.receive()

    await closed_code(server, "/beside")
    await asyncio.wait_for(ended.wait(), 5)
    assert sorted(failures(server)) == [
        "ValueError: in a thread [in thread worker]",
        (
            "ZeroDivisionError: division by zero "
            "[in a callback of the loop, started by the handler of /beside, connection 1]"
        ),
    ]


async def test_two_servers_tell_of_a_failure_once_and_leave_the_loop_as_it_was():
    loop = asyncio.get_running_loop()
    before, threads_before = loop.get_exception_handler(), threading.excepthook
    told: list[str] = []
    async with Server("one", store=Store()) as one:
        async with Server("two", store=Store()) as two:
            loop.call_soon(lambda: 1 / 0)
            await asyncio.sleep(0)
            told += failures(one) + failures(two)
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        told += failures(one)
    assert told == ["ZeroDivisionError: division by zero [in a callback of the loop]"] * 2
    assert (loop.get_exception_handler(), threading.excepthook) == (before, threads_before)


async def test_a_handler_that_survives_stop_is_a_failure():
    server = Server("surviving", store=Store())
    freed = asyncio.Event()

    @server.events("/stubborn")
    async def stubborn(events):
        await events.send("x")
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue

    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /stubborn HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readuntil(b"data: x")
    await server.stop(timeout=0.2)
    (failure,) = failures(server)
    assert "did not end within 0.1 s of stop() [in the handler of /stubborn" in failure
    freed.set()
    writer.close()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=5)


async def test_a_handler_that_outlives_its_client_is_a_failure(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pipeline, "END_TIMEOUT", 0.1)
    freed = asyncio.Event()

    @server.events("/stubborn")
    async def stubborn(events):
        await events.send("x")
        while not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue

    async with EventSource(server.url("/stubborn")) as source:
        await source.take(1, timeout=5)
    await until(lambda: server.log.total)
    assert "did not end within 0.1 s of its cancellation" in failures(server)[0]
    freed.set()


async def test_the_failures_of_a_replaced_server_are_its_successors():
    """Running the cell again loses none."""
    first = Server("again", store=Store())

    @first.websocket("/bad")
    async def bad(ws):
        raise ValueError("before")

    await first.start()
    await closed_code(first, "/bad")
    async with Server("again", store=Store()) as second:
        assert failures(second) == ["ValueError: before [in the handler of /bad, connection 1]"]


PROGRAM_THAT_FAILS = """
import asyncio
import lane_kernel as lane

async def main():
    server = lane.Server()

    @server.request_middleware()
    async def look(stream, ctx):
        if ctx.request.path == "/held":
            held.set()
            await asyncio.Event().wait()

    @server.websocket("/ws")
    async def ws(ws):
        async for message in ws:
            await ws.send(message)

    @server.events("/events")
    async def events(events):
        await events.send("here")
        await asyncio.Event().wait()

    held = asyncio.Event()
    await server.start()
    ws = await lane.connect(server.url("/ws"))
    await ws.send("x")
    await ws.receive()
    source = await lane.EventSource(server.url("/events"))
    await source.take(1, timeout=5)
    raw = await lane.connect_raw(server.url("/held"))
    await raw.send(b"GET /held HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    await held.wait()
    raise ValueError("a person's own")

asyncio.run(main())
"""


def test_the_end_of_the_loop_is_no_failure_of_a_handler() -> None:
    """`asyncio.run` cancels every task at once: an exchange, and its handler before the exchange can do so."""
    command = [sys.executable, "-c", PROGRAM_THAT_FAILS]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=25)
    assert ran.stderr.rstrip().endswith("ValueError: a person's own")
    assert ran.stderr.count("Traceback") == 1, ran.stderr
    assert "HandlerStoppedError" not in ran.stderr
