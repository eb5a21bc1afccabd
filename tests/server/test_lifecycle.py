"""Starting, stopping, running the cell again."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect as websockets_connect

from lane_kernel.capture import Store
from lane_kernel.client import EventSource, connect
from lane_kernel.errors import NotRunningError
from lane_kernel.net.dial import DialError
from lane_kernel.net.listener import ListenError
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.server import Server, servers
from tests.server.raw import HANDSHAKE


def open_sockets(port: int) -> list[str]:
    """What is still open at a port, as Linux lists it."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return [row[3] for row in rows if row[1].endswith(f":{port:04X}") and row[3] in ("01", "0A")]


async def test_stop_tells_websockets_1001_and_leaves_nothing_open() -> None:
    """RFC 6455 §7.4.1."""
    server = Server("stopping", store=Store())

    @server.websocket("/idle")
    async def idle(ws):
        async for _ in ws:
            pass

    @server.websocket("/deaf")
    async def deaf(ws):
        await asyncio.Event().wait()

    @server.events("/stream")
    async def stream(events):
        await events.send("x")
        await asyncio.Event().wait()

    await server.start()
    port = server.port
    sockets = [await connect(server.url(path)) for path in ("/idle", "/deaf")]
    foreign = await websockets_connect(server.url("/idle"))
    async with EventSource(server.url("/stream"), reconnect=False) as source:
        await source.take(1, timeout=5)
        await server.stop()
        assert [event async for event in source] == []
    for ws in sockets:
        with pytest.raises(ConnectionClosedError) as caught:
            await ws.receive()
        assert caught.value.code == 1001
        await ws.close()
    await foreign.wait_closed()
    assert foreign.close_code == 1001
    assert not server.connections
    if sys.platform == "linux":
        assert not open_sockets(port)
    server.check()
    await server.stop()


async def test_a_peer_that_does_not_answer_cannot_hold_up_stop() -> None:
    server = Server("held", store=Store())

    @server.websocket("/")
    async def idle(ws):
        async for _ in ws:
            pass

    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HANDSHAKE % b"/")
    await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(5):
        await server.stop(timeout=0.5)
    assert not server.connections
    writer.close()


async def test_running_the_cell_again_takes_over_name_and_port() -> None:
    first = Server("again", store=Store())
    await first.start()
    port = first.port
    second = Server("again", store=Store())
    await second.start()
    assert not first.running
    assert second.port == port
    assert [server for server in servers() if server.name == "again"] == [second]
    await second.stop()
    assert (await Server("again", store=Store()).start()).running
    await next(server for server in servers() if server.name == "again").stop()


async def test_starting_twice_changes_nothing(server: Server) -> None:
    port = server.port
    assert await server.start() is server
    assert server.port == port


async def test_a_port_in_use_is_named_with_a_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server("in use", port=port, store=Store())
        with pytest.raises(ListenError, match=rf"port {port} on 127.0.0.1 is in use.*port=0"):
            await server.start()
    assert not server.running


async def test_a_server_that_does_not_run_says_so() -> None:
    server = Server("not started", store=Store())
    with pytest.raises(NotRunningError, match=r"await server\.start"):
        server.url("/")
    assert "not running" in repr(server)


async def test_nothing_listens_beyond_loopback_unless_asked(server: Server) -> None:
    assert server.host == "127.0.0.1"
    with pytest.raises(DialError, match="is the server started"):
        await connect(f"ws://127.0.0.2:{server.port}/")


async def test_async_with_starts_and_stops() -> None:
    async with Server("with", store=Store()) as server:
        assert server.running
    assert not server.running


async def test_handlers_do_not_run_in_the_cells_context() -> None:
    """Started with a cell's context, output and widget state get lost (measured in kernels)."""
    cell = contextvars.ContextVar("cell", default="none")
    seen = asyncio.get_running_loop().create_future()
    cell.set("the starting cell")
    async with Server("context", store=Store()) as server:

        @server.websocket("/")
        async def look(ws):
            seen.set_result(cell.get())

        async with connect(server.url("/")):
            assert await asyncio.wait_for(seen, 5) == "none"


async def test_stop_from_another_threads_loop() -> None:
    server = Server("elsewhere", store=Store())

    @server.websocket("/idle")
    async def idle(ws):
        async for _ in ws:
            pass

    await server.start()
    ws = await connect(server.url("/idle"))
    await asyncio.wait_for(asyncio.to_thread(lambda: asyncio.run(server.stop())), 5)
    assert not server.running
    with pytest.raises(ConnectionClosedError, match="1001"):
        await ws.receive()
    await ws.close()


async def test_stop_while_stopping_waits_for_it() -> None:
    server = Server("twice", store=Store())

    @server.websocket("/idle")
    async def idle(ws):
        async for _ in ws:
            pass

    await server.start()
    ws = await connect(server.url("/idle"))
    await asyncio.gather(server.stop(), server.stop())
    assert not server.connections
    await ws.close()


@pytest.mark.parametrize("port", [70_000, -1, "x"])
async def test_what_is_no_port(port) -> None:
    with pytest.raises(ListenError, match="is no port"):
        await Server("port", port=port, store=Store()).start()


async def test_start_waits_for_a_stop_that_is_under_way() -> None:
    server = Server("restarted", store=Store())
    ending = asyncio.Event()

    @server.websocket("/slow")
    async def slow(ws):
        try:
            await asyncio.Event().wait()
        finally:
            await ending.wait()

    before = sys.stdout
    await server.start()
    ws = await connect(server.url("/slow"))
    stopping = asyncio.create_task(server.stop())
    starting = asyncio.create_task(server.start())
    await asyncio.sleep(0.05)
    ending.set()
    await asyncio.gather(stopping, starting)
    assert server.running
    assert server.watching.loop_watch is not None
    await ws.close()
    await server.stop()
    assert sys.stdout is before
    assert server.watching.loop_watch is None
