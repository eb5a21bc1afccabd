# mypy: disable-error-code="no-any-return, no-untyped-call"
"""The servers that are compared, each doing the same in its own customary way, and each run in a process of its own.

A contender offers what it can of:

| place        | what it does                                                                         |
| ------------ | ------------------------------------------------------------------------------------ |
| `/echo`      | a WebSocket that sends each message back                                             |
| `/room`      | a WebSocket; what one of them sends goes to all that are connected                   |
| `/one`       | an event stream of `EVENTS` events, sent one by one                                  |
| `/many`      | an event stream that waits for `/go`, sends `EVENTS_EACH` events, and waits for the next |

Run as `python -m tests.benchmarks.contenders NAME`: it prints its port, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial

EVENTS = 5_000
EVENTS_EACH = 20
EVENT = b'data: {"number": 12345, "text": "an event"}\n\n'
DATA = '{"number": 12345, "text": "an event"}'
EVENT_STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}

Contender = Callable[[], Awaitable[int]]
"""Starts a server; answers its port."""


class Gate:
    """Lets all that wait for it through, each time it is opened."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    async def wait(self) -> None:
        await self._next.wait()

    def open(self) -> None:
        opened, self._next = self._next, asyncio.Event()
        opened.set()


async def tornado() -> int:
    """Tornado's own handlers."""
    from tornado import httpserver, netutil, web, websocket

    gate, room = Gate(), set()

    class Echo(websocket.WebSocketHandler):
        async def on_message(self, message):
            await self.write_message(message, binary=isinstance(message, bytes))

    class Room(websocket.WebSocketHandler):
        def open(self):
            room.add(self)

        def on_message(self, message):
            for member in room:
                member.write_message(message, binary=isinstance(message, bytes))

        def on_close(self):
            room.discard(self)

    class Stream(web.RequestHandler):
        def prepare(self):
            for name, value in EVENT_STREAM.items():
                self.set_header(name, value)

        async def send(self, count):
            for _ in range(count):
                self.write(EVENT)
                await self.flush()

    class One(Stream):
        async def get(self):
            await self.send(EVENTS)

    class Many(Stream):
        async def get(self):
            await self.flush()
            while True:
                await gate.wait()
                await self.send(EVENTS_EACH)

    class Go(web.RequestHandler):
        def get(self):
            gate.open()

    places = [("/echo", Echo), ("/room", Room), ("/one", One), ("/many", Many), ("/go", Go)]
    server = httpserver.HTTPServer(web.Application(places))
    sockets = netutil.bind_sockets(0, "127.0.0.1", backlog=1024)
    server.add_sockets(sockets)
    return sockets[0].getsockname()[1]


async def websockets() -> int:
    """The `websockets` library."""
    from websockets.asyncio.server import broadcast, serve

    room = set()

    async def handle(ws):
        if ws.request.path == "/echo":
            async for message in ws:
                await ws.send(message)
            return
        room.add(ws)
        try:
            async for message in ws:
                broadcast(room, message)
        finally:
            room.discard(ws)

    server = await serve(handle, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None, backlog=1024)
    return next(iter(server.sockets)).getsockname()[1]


async def aiohttp() -> int:
    """aiohttp."""
    from aiohttp import WSMsgType, web

    gate, room = Gate(), set()

    async def echo(request):
        ws = web.WebSocketResponse(compress=False, max_msg_size=0)
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            else:
                await ws.send_bytes(message.data)
        return ws

    async def join(request):
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        room.add(ws)
        async for message in ws:
            for member in room:
                await member.send_bytes(message.data)
        room.discard(ws)
        return ws

    async def begin(request):
        response = web.StreamResponse(headers=EVENT_STREAM)
        await response.prepare(request)
        return response

    async def one(request):
        response = await begin(request)
        for _ in range(EVENTS):
            await response.write(EVENT)
        return response

    async def many(request):
        response = await begin(request)
        while True:
            await gate.wait()
            for _ in range(EVENTS_EACH):
                await response.write(EVENT)

    async def go(request):
        gate.open()
        return web.Response()

    app = web.Application()
    app.add_routes(
        [
            web.get(path, handler)
            for path, handler in (("/echo", echo), ("/room", join), ("/one", one), ("/many", many), ("/go", go))
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    return runner.addresses[0][1]


async def picows() -> int:
    """picows, whose transport and frames are C."""
    from picows import WSListener, WSMsgType, ws_create_server

    room = set()

    class Echo(WSListener):
        def on_ws_frame(self, transport, frame):
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            else:
                transport.send(frame.msg_type, frame.get_payload_as_bytes())

    class Member(WSListener):
        def on_ws_connected(self, transport):
            room.add(transport)

        def on_ws_disconnected(self, transport):
            room.discard(transport)

        def on_ws_frame(self, transport, frame):
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
                return
            payload = frame.get_payload_as_bytes()
            for member in room:
                member.send(frame.msg_type, payload)

    def begin(request):
        return Echo() if request.path == b"/echo" else Member()

    server = await ws_create_server(begin, "127.0.0.1", 0, backlog=1024)
    return server.sockets[0].getsockname()[1]


async def limit() -> int:
    """A loop that reads and answers without looking: what nobody can be quicker than on this loop."""
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listening.setblocking(False)
    buffer = memoryview(bytearray(64 * 1024))

    def accept() -> None:
        with contextlib.suppress(BlockingIOError):
            sock, _ = listening.accept()
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            loop.add_reader(sock, shake_hands, sock)

    def shake_hands(sock: socket.socket) -> None:
        sock.recv_into(buffer)
        sock.send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        loop.add_reader(sock, answer, sock)

    def answer(sock: socket.socket) -> None:
        count = sock.recv_into(buffer)
        if count:
            sock.send(buffer[4:count])  # an echo has no masking-key
        else:
            loop.remove_reader(sock)
            sock.close()

    loop.add_reader(listening, accept)
    return listening.getsockname()[1]


async def lane(*, captures: bool = True, callback: bool = False) -> int:
    """Ours."""
    from lane_kernel.capture import Store
    from lane_kernel.server import Server
    from lane_kernel.wire.frames import Frame, Opcode

    gate, room = Gate(), set()
    server = Server("benchmark", store=Store(budget=32 * 1024 * 1024) if captures else Store(budget=0))

    if callback:
        server.websocket("/echo", on_message=lambda ws, message: ws.post(message))
    else:

        @server.websocket("/echo")
        async def echo(ws):
            async for message in ws:
                await ws.send(message)

    @server.websocket("/room")
    async def join(ws):
        room.add(ws)
        try:
            async for message in ws:
                frame = Frame(Opcode.BINARY, message).encode()
                for member in room:
                    if not member.offer(frame):
                        await member.send(message)
        finally:
            room.discard(ws)

    @server.events("/one")
    async def one(events):
        for _ in range(EVENTS):
            await events.send(DATA)

    @server.events("/many")
    async def many(events):
        while True:
            await gate.wait()
            for _ in range(EVENTS_EACH):
                await events.send(DATA)

    @server.route("/go")
    async def go(stream, ctx):
        gate.open()

    await server.start()
    return server.port


CONTENDERS: dict[str, Contender] = {
    "tornado": tornado,
    "websockets": websockets,
    "aiohttp": aiohttp,
    "picows": picows,
    "limit": limit,
    "lane": lane,
    "lane, no capture": partial(lane, captures=False),
    "lane, on_message": partial(lane, callback=True),
    "lane, on_message, no capture": partial(lane, captures=False, callback=True),
}


async def main() -> None:
    """Serve until standard input ends."""
    logging.disable(logging.CRITICAL)  # a load ends its connections without a word
    port = await CONTENDERS[sys.argv[1]]()
    print(port, flush=True)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    await ended.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
