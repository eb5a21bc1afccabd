"""A certification authority of one's own, and servers in TLS that it vouches for."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from aiohttp import WSMsgType, web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler
from websockets.asyncio.server import ServerConnection, serve


class Authority:
    """A CA with a file of its certificate, and contexts for servers.

    Attributes:
        file: The certificate's file, for `ca=`.
    """

    def __init__(self, folder: Path) -> None:
        """Make the CA."""
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def server_context(self, *names: str) -> ssl.SSLContext:
        """What a server of these names speaks TLS with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A client's own context, which trusts this CA alone."""
        return ssl.create_default_context(cafile=self.file)


@asynccontextmanager
async def websockets_echo(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """An echo of the `websockets` library; gives its port."""

    async def echo(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)

    async with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def aiohttp_echo(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """An echo of aiohttp; gives its port."""

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(message.data)
            else:
                await ws.send_bytes(message.data)
        return ws

    application = web.Application()
    application.router.add_get("/", echo)
    async with aiohttp_serving(application, context) as port:
        yield port


@asynccontextmanager
async def aiohttp_serving(application: web.Application, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve an application of aiohttp; gives its port."""
    runner = web.AppRunner(application, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def tornado_echo(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """An echo of Tornado; gives its port."""

    class Echo(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            sent = self.write_message(message, binary=isinstance(message, bytes))
            assert asyncio.isfuture(sent)

    server = HTTPServer(Application([("/", Echo)]), ssl_options=context)
    (listening,) = bind_sockets(0, "127.0.0.1")
    server.add_sockets([listening])
    try:
        yield listening.getsockname()[1]
    finally:
        server.stop()
        await server.close_all_connections()
