"""A server on a loop of its own thread, called by blocking clients from the thread that would serve it otherwise."""

from __future__ import annotations

import asyncio
import http.client
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import nbformat
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as blocking_connect

from lane_kernel.capture import Store
from lane_kernel.client import connect
from lane_kernel.course import check
from lane_kernel.net.listener import ListenError
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.runner.execute import run
from lane_kernel.runner.notebooks import read
from lane_kernel.server import Server, Status, ThreadError, in_thread, servers
from lane_kernel.sides import Side
from tests.runner.notebooks import output_of, write


def make(name: str, *, store: Store | None = None, port: int = 0) -> Server:
    server = Server(name, store=store or Store(), port=port)

    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    @server.websocket("/bad")
    async def bad(ws):
        raise ZeroDivisionError("in a thread")

    @server.route("/thread")
    async def thread(stream, ctx):
        ctx.response.set_body(threading.current_thread().name)
        return Status.CONTINUE

    return server


def is_running(server: Server) -> bool:
    return server.running


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body: bytes = answer.read()
        return body.decode()


def test_blocking_clients_are_served_from_a_thread_without_a_loop() -> None:
    with in_thread(make("blocked")) as server:
        assert server.running
        assert fetch(server.url("/thread")) == "server blocked"
        with blocking_connect(server.url("/echo"), open_timeout=5) as ws:
            for message in ("hi", b"\xff" * 70_000):
                ws.send(message)
                assert ws.recv(timeout=5) == message
            assert len(server.websockets) == len(server.connections) == 1
        assert [entry.what for entry in server.timeline if entry.what.startswith("GET")] == ["GET /thread", "GET /echo"]
        server.check()
    assert not is_running(server)
    assert not [thread for thread in threading.enumerate() if thread.name == "server blocked"]


async def test_blocking_clients_are_served_while_a_loop_runs_here() -> None:
    """As in a cell: this coroutine holds up its own loop meanwhile."""
    handle = in_thread(make("in a cell"))
    assert fetch(handle.server.url("/thread")) == "server in a cell"
    handle.stop()
    handle.stop()
    assert not handle.is_alive
    assert not handle.server.running


def test_failures_are_collected_from_the_callers_thread() -> None:
    for other in servers():
        other.log.collect()  # what other tests left
    with in_thread(make("failing")) as server:
        with blocking_connect(server.url("/bad"), open_timeout=5) as ws, pytest.raises(ConnectionClosed) as caught:
            ws.recv(timeout=5)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1011
        with pytest.raises(ExceptionGroup) as group:
            check()
        assert "in a thread" in str(group.value.exceptions[0])
        assert any("ZeroDivisionError" in record.text for record in server.log.records)
        check()


async def test_stop_from_the_callers_loop_ends_the_thread() -> None:
    handle = in_thread(make("stopped elsewhere"))
    ws = await connect(handle.server.url("/echo"), store=Store())
    await ws.send("hi")
    assert await ws.receive() == "hi"
    await asyncio.wait_for(handle.server.stop(), 5)
    with pytest.raises(ConnectionClosedError, match="1001"):
        await ws.receive()
    await ws.close()
    await asyncio.to_thread(handle.stop)
    assert not handle.is_alive
    await handle.server.stop()


def test_stopping_in_two_ways_at_once_is_one_stop() -> None:
    for _ in range(20):
        handle = in_thread(make("twice"))
        stopping = threading.Thread(target=lambda server: asyncio.run(server.stop()), args=(handle.server,))
        stopping.start()
        handle.stop()
        stopping.join(10)
        assert not stopping.is_alive()
        assert not handle.is_alive
        assert not handle.server.running
        handle.server.check()


async def test_a_server_of_the_same_name_takes_over_from_the_thread() -> None:
    first = in_thread(make("again in a thread"))
    port = first.server.port
    second = in_thread(make("again in a thread"))
    assert second.server.port == port
    first._thread.join(5)
    assert not first.is_alive
    async with make("again in a thread") as third:
        assert third.port == port
        second._thread.join(5)
        assert not second.is_alive
        assert [server for server in servers() if server.name == "again in a thread"] == [third]
        with pytest.raises(ThreadError, match=r"runs on this cell's own loop.*another name"):
            in_thread(make("again in a thread"))
        with pytest.raises(ThreadError, match=r"await server\.stop"):
            in_thread(third)


def test_running_the_cell_again_with_the_same_server_starts_it_anew() -> None:
    server = make("same")
    first = in_thread(server)
    port = server.port
    with in_thread(server):
        assert not first.is_alive
        assert fetch(server.url("/thread")) == "server same"
        assert server.port == port


async def test_a_server_that_was_in_a_thread_may_run_here() -> None:
    server = make("moves")
    in_thread(server).stop()
    async with server, connect(server.url("/echo"), store=Store()) as ws:
        await ws.send("here")
        assert await ws.receive() == "here"


def test_what_goes_wrong_at_the_start_is_raised_here() -> None:
    with in_thread(make("first")) as server, pytest.raises(ListenError, match=f"port {server.port}"):
        in_thread(make("second", port=server.port))
    assert not [thread for thread in threading.enumerate() if thread.name == "server second"]


def test_stop_has_a_bound_even_where_a_handler_blocks() -> None:
    freed, reached = threading.Event(), threading.Event()
    server = make("stuck")

    @server.route("/block")
    async def block(stream, ctx):
        reached.set()
        freed.wait(20)
        return Status.CONTINUE

    handle = in_thread(server)
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    client.request("GET", "/block")
    assert reached.wait(5)
    with pytest.raises(ThreadError, match=r"did not end within 1\.1 s"):
        handle.stop(0.1)
    freed.set()
    handle.stop()
    assert not handle.is_alive
    client.close()


async def test_a_handler_may_be_replaced_from_here() -> None:
    server = make("replaced")
    handle = in_thread(server)
    ws = await connect(server.url("/echo"), store=Store())
    await ws.send("1")
    assert await ws.receive() == "1"
    server.apply(
        "/echo", "async def echo(ws):\n    async for message in ws:\n        await ws.send('new ' + message)\n"
    )
    async with asyncio.timeout(5):
        while True:  # the old handler may still take a message that comes before the change has got there
            await ws.send("2")
            if await ws.receive() == "new 2":
                break
    await ws.close()
    await server.stop()
    await asyncio.to_thread(handle.stop)


async def test_both_threads_write_one_store() -> None:
    """What each end saw of 2 x 1000 messages is whole, and of one order."""
    store = Store()
    handle = in_thread(make("shared", store=store))
    async with connect(handle.server.url("/echo"), store=store) as ws:
        for n in range(1000):
            await ws.send(str(n))
        for n in range(1000):
            assert await asyncio.wait_for(ws.receive(), 10) == str(n)
        mine = ws.connection
    await handle.server.stop()
    await asyncio.to_thread(handle.stop)
    theirs = store.other_end(mine)
    assert theirs is not None
    for direction in (Side.CLIENT.outgoing, Side.CLIENT.incoming):
        length = store.length(mine, direction)
        seen = store.read(mine, direction, 0, length)
        assert seen is not None
        assert len(seen) == length
        assert store.read(theirs, direction, 0, length) == seen
    assert [record.sequence for record in store.records()] == list(range(store.next))


# What is registered first at the exit runs last: after the server's own.
EXITS = """\
import atexit

def report():
    try:
        ws.recv(timeout=5)
    except Exception as error:
        print(error.rcvd.code)

atexit.register(report)

import lane_kernel as lane
from websockets.sync.client import connect

server = lane.Server()

@server.websocket("/idle")
async def idle(ws):
    async for _ in ws:
        pass

handle = lane.in_thread(server)
ws = connect(server.url("/idle")).__enter__()
print("running", flush=True)
"""


def test_it_is_stopped_when_the_interpreter_exits() -> None:
    """RFC 6455 §7.4.1: going away."""
    done = subprocess.run([sys.executable, "-c", EXITS], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["running", "1001"], "")


BLOCKING_CELL = """\
import urllib.request
import lane_kernel as lane

server = lane.Server()

@server.route("/hello")
async def hello(stream, ctx):
    ctx.response.set_body("hello from a thread")
    return lane.Status.CONTINUE

handle = lane.in_thread(server)
print(urllib.request.urlopen(server.url("/hello"), timeout=5).read().decode())
"""


def test_a_cell_that_blocks_on_its_own_server_is_green(tmp_path: Path) -> None:
    """In a real kernel, where the cell runs on the loop; run again, and checked at the end."""
    last = "lane.check()\nhandle.stop()\nprint(server.running, len(server.timeline) > 2)"
    notebook = read(write(tmp_path / "x.ipynb", BLOCKING_CELL, BLOCKING_CELL, last))
    result = run(notebook, timeout=30)
    assert result.passed, result.failures
    nbformat.write(notebook.content, tmp_path / "copy.ipynb")
    said = output_of(tmp_path / "copy.ipynb").split("\n")
    assert [line for line in said if line] == ["hello from a thread"] * 2 + ["False True"]


def test_its_repr_says_where_it_listens() -> None:
    handle = in_thread(make("shown"))
    assert handle.server.url("") in repr(handle)
    handle.stop()
