"""A connection's way: request after request, each through guard, upgrade, route and answer.

accept → read the request → guard → upgrade → the matched route → its answer → keep-alive? → the next request
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lane_kernel.net.heads import RequestError
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.net.stream import ConnectionLostError, RecordedStream
from lane_kernel.net.transport import FrameTransport
from lane_kernel.server.context import Context, Response
from lane_kernel.server.guard import refusal
from lane_kernel.server.routes import Route, RouteKind
from lane_kernel.server.sessions import HandlerReplacedError, WebSocket
from lane_kernel.server.stream import Stream
from lane_kernel.sides import Side
from lane_kernel.wire.connection import ConnectionStateError
from lane_kernel.wire.handshake import HandshakeError, check_request, upgrade_response
from lane_kernel.wire.rules import ProtocolError

if TYPE_CHECKING:
    from lane_kernel.server.server import Server

PEER_LEFT = (ConnectionLostError, ConnectionClosedError, ConnectionStateError)
"""What a handler raises when its peer is gone: no failure of its own."""


class Exchange:
    """One connection of a server, and the request it is at."""

    def __init__(self, server: Server, recorded: RecordedStream) -> None:
        """Wrap an accepted connection.

        Args:
            server: Whose it is.
            recorded: The connection.
        """
        self.stream = Stream(recorded)
        self.route: Route | None = None
        self.kind: RouteKind | None = None
        self._server = server
        self._replaced = asyncio.Event()

    async def serve(self) -> None:
        """Serve requests until the connection ends."""
        stream = self.stream
        try:
            while (request := await stream.get_http_request()) is not None:
                stream.begin_request()
                await self._handle(Context(request))
                if not stream.is_keep_alive(request.is_enable_keep_alive):
                    break
        except RequestError as error:
            self._server.log.add("warning", f"{error.status}: {error}", connection=stream.connection)
            await self._answer(Response().set_status(error.status).set_body(f"{error}\n"))
        except PEER_LEFT as error:
            self._server.log.add("info", str(error), connection=stream.connection)
        finally:
            stream.close()

    async def _answer(self, response: Response) -> None:
        """Send a response that ends the connection; whether it still arrives does not matter."""
        self.stream.set_closed(True)
        if await self.stream.try_send(response.set_header("Connection", "close").build()):
            self.stream.recorded.end_writing()

    async def _handle(self, ctx: Context) -> None:
        server, stream = self._server, self.stream
        why = refusal(ctx.request, server.allowed_hosts, server.allowed_origins)
        if why is not None:
            server.log.add("warning", f"403: {why}", connection=stream.connection)
            await self._answer(ctx.response.set_status(403).set_body(f"{why}\n"))
            return
        if (origin := ctx.request.header("Origin")) is not None:
            ctx.response.set_header("Access-Control-Allow-Origin", origin).set_header("Vary", "Origin")
        found = server.find(ctx.request.raw_path)
        if found is None:
            patterns = ", ".join(route.pattern for route in server.routes) or "none yet"
            await stream.send(
                ctx.response.set_status(404)
                .set_body(f"no route {ctx.request.path}: the routes are {patterns}\n")
                .build()
            )
            return
        route, ctx.route_params = found
        if route.kind is RouteKind.WEBSOCKET and not await self._upgrade(ctx):
            return
        await self._run(route, ctx)

    async def _upgrade(self, ctx: Context) -> bool:
        """Answer the opening handshake; say whether the handler is to run.

        Source: RFC 6455 §4.2.2.
        """
        request, stream = ctx.request, self.stream
        try:
            accept = check_request(request.method, request.version, request.headers)
        except HandshakeError as error:
            self._server.log.add("warning", f"{error.status}: {error}", connection=stream.connection)
            response = ctx.response.set_status(error.status).set_body(f"{error}\n")
            for name, value in error.headers:
                response.set_header(name, value)
            await self._answer(response)
            return False
        await stream.send(upgrade_response(accept))
        transport = FrameTransport(
            stream.recorded, Side.SERVER, max_message=self._server.max_message, on_failure=self._on_failure
        )
        stream.websocket = WebSocket(transport, request)
        return True

    def _on_failure(self, error: ProtocolError) -> None:
        pattern = "" if self.route is None else self.route.pattern
        self._server.log.add("warning", str(error), route=pattern, connection=self.stream.connection)

    async def _run(self, route: Route, ctx: Context) -> None:
        stream = self.stream
        self.route, self.kind = route, route.kind
        route.hits += 1
        route.open += 1
        self._server.touch()
        try:
            await self._run_current(route, ctx)
            await self._conclude(ctx)
        except PEER_LEFT as error:
            self._server.log.add("info", str(error), route=route.pattern, connection=stream.connection)
            stream.set_closed(True)
        except Exception as error:  # noqa: BLE001 - a person's handler may raise anything; it is logged and kept for check()
            self._server.fail(error, route, stream.connection)
            await self._apologise(route, error)
        finally:
            route.open -= 1
            self.route = None
            self._server.touch()
            if stream.websocket is not None:
                stream.set_closed(True)

    async def _run_current(self, route: Route, ctx: Context) -> None:
        """Run the route's handler, and its successor when it is replaced."""
        while True:
            self._replaced.clear()
            if self.stream.websocket is not None:
                self.stream.websocket.keep_handler()
            try:
                if route.kind is RouteKind.EVENTS:
                    await self._run_events(route, ctx)
                else:
                    await route.run(self.stream, ctx)
            except HandlerReplacedError:
                continue
            return

    async def _run_events(self, route: Route, ctx: Context) -> None:
        """Run the handler of an event stream until it ends, is replaced, or its client leaves."""
        handler = asyncio.ensure_future(route.run(self.stream, ctx))
        replaced = asyncio.ensure_future(self._replaced.wait())
        try:
            waited: set[asyncio.Future[Any]] = {handler, replaced, self.stream.gone}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (handler, replaced):
                task.cancel()
            await asyncio.wait({handler, replaced})
        if handler.cancelled():
            if self._replaced.is_set() and not self.stream.gone.done():
                raise HandlerReplacedError
            return
        handler.result()

    def replace_handler(self) -> None:
        """Tell the running handler that its route has another one now, where that one speaks the same."""
        if self.route is None or self.route.kind is not self.kind:
            return
        self._replaced.set()
        if self.stream.websocket is not None:
            self.stream.websocket.replace_handler()

    async def _conclude(self, ctx: Context) -> None:
        """Finish what the handler left: close a WebSocket, send a response not sent, end a body without length."""
        stream = self.stream
        if stream.websocket is not None:
            await stream.websocket.close()
        elif not stream.has_sent:
            await stream.send(ctx.response.build())
        elif ctx.response.is_event_stream:
            stream.set_closed(True)

    async def _apologise(self, route: Route, error: Exception) -> None:
        stream = self.stream
        stream.set_closed(True)
        if stream.websocket is not None:
            await stream.websocket.close(1011, f"the handler raised {type(error).__name__}")
        elif not stream.has_sent:
            text = f"the handler of {route.pattern} raised {type(error).__name__}: see the handlers' log\n"
            await self._answer(Response().set_status(500).set_body(text))
