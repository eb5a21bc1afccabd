"""One message to many WebSocket subscribers: this package's groups beside picows and Tornado, in one run.

    python -m tests.benchmarks.broadcast [SUBSCRIBERS]

What is timed is the sender's side: from `send` until the bytes are with the system for every subscriber, capture on.
The subscribers are sockets of this process; what they were sent is read, and counted, between the rounds. picows is
left out where it is not installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import tornado.httpserver
import tornado.web
import tornado.websocket

from lane_kernel.capture import Store
from lane_kernel.server import Server
from lane_kernel.server.groups import PointToGroup, WebSocketGroups
from tests.benchmarks.timing import machine
from tests.server.raw import HANDSHAKE

ROUNDS = 40
WARM_UP = 10
MESSAGE = "x" * 128
FRAME = bytes([0x81, 126, 0, 128]) + MESSAGE.encode()

Send = Callable[[], Awaitable[object]]


class Subscribers:
    """Sockets that read only between the rounds."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    async def connect(self, port: int, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.sock_sendall(sock, HANDSHAKE % b"/")
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await loop.sock_recv(sock, 1)
            self.sockets.append(sock)

    async def drain(self) -> None:
        """Read one message from each."""
        loop = asyncio.get_running_loop()
        for sock in self.sockets:
            data = b""
            while len(data) < len(FRAME):
                data += await loop.sock_recv(sock, 65536)
            assert data == FRAME

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


@contextlib.asynccontextmanager
async def lane(subscribers: Subscribers, count: int) -> AsyncIterator[Send]:
    groups = WebSocketGroups()
    group = PointToGroup("all")
    async with Server("benchmark", store=Store()) as server:

        @server.websocket("/")
        async def member(ws: Any) -> None:
            await groups.run(ws, group)

        await subscribers.connect(server.port, count)
        while groups.receiver_count(group) < count:  # noqa: ASYNC110 - warming up
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        yield lambda: groups.send(group, MESSAGE)
        subscribers.close()
        counters = groups.snapshot().counters
        assert counters.delivered == counters.sent * count, counters


@contextlib.asynccontextmanager
async def with_tornado(subscribers: Subscribers, count: int) -> AsyncIterator[Send]:
    members: set[tornado.websocket.WebSocketHandler] = set()

    class Member(tornado.websocket.WebSocketHandler):
        def open(self, *_: str, **__: str) -> None:
            members.add(self)

        def on_message(self, message: str | bytes) -> None:
            """Nothing comes."""

        def on_close(self) -> None:
            members.discard(self)

    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Member)]))
    server.listen(0, "127.0.0.1")
    port = next(iter(server._sockets.values())).getsockname()[1]

    async def send() -> None:
        for member in members:
            member.write_message(MESSAGE)

    await subscribers.connect(port, count)
    yield send
    subscribers.close()
    server.stop()


@contextlib.asynccontextmanager
async def with_picows(subscribers: Subscribers, count: int) -> AsyncIterator[Send]:
    import picows

    members: set[Any] = set()

    class Listener(picows.WSListener):  # type: ignore[misc, unused-ignore]
        def on_ws_connected(self, transport: Any) -> None:
            members.add(transport)

        def on_ws_disconnected(self, transport: Any) -> None:
            members.discard(transport)

    server = await picows.ws_create_server(lambda _: Listener(), "127.0.0.1", 0)
    payload = MESSAGE.encode()

    async def send() -> None:
        for transport in members:
            transport.send(picows.WSMsgType.TEXT, payload)

    await subscribers.connect(server.sockets[0].getsockname()[1], count)
    yield send
    subscribers.close()
    server.close()


async def measure(count: int) -> dict[str, float]:
    """The median time of one message to all, in seconds, for each."""
    ways: dict[str, Callable[[Subscribers, int], Any]] = {"lane_kernel": lane, "Tornado": with_tornado}
    with contextlib.suppress(ImportError):
        import picows  # noqa: F401

        ways["picows"] = with_picows
    times: dict[str, list[float]] = {name: [] for name in ways}
    async with contextlib.AsyncExitStack() as stack:
        running: dict[str, tuple[Subscribers, Send]] = {}
        for name, way in ways.items():
            subscribers = Subscribers()
            running[name] = (subscribers, await stack.enter_async_context(way(subscribers, count)))
        for number in range(WARM_UP + ROUNDS):
            for name, (subscribers, send) in running.items():
                gc.collect()
                begin = time.perf_counter()
                await send()
                taken = time.perf_counter() - begin
                await subscribers.drain()
                if number >= WARM_UP:
                    times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    medians = asyncio.run(measure(count))
    print(f"One message of {len(MESSAGE)} bytes to {count} subscribers, {ROUNDS} rounds; {machine()}")
    for name, seconds in sorted(medians.items(), key=lambda pair: pair[1]):
        print(f"{name:12} {seconds * 1000:7.2f} ms   {seconds / medians['Tornado']:.2f} of Tornado's time")


if __name__ == "__main__":
    main()
