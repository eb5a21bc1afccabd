"""A connection's way: request after request, each through guard, upgrade, route and answer.

accept → read the request → guard → upgrade → the matched route → its answer → keep-alive? → the next request
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from lane_kernel.errors import LaneError
from lane_kernel.net.heads import RequestError
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.net.stream import ConnectionLostError, RecordedStream
from lane_kernel.net.transport import FrameTransport
from lane_kernel.server.context import Context, Response
from lane_kernel.server.guard import refusal
from lane_kernel.server.hooks import Status
from lane_kernel.server.routes import Route, RouteKind, Run
from lane_kernel.server.sessions import WebSocket
from lane_kernel.server.stream import Stream
from lane_kernel.sides import Side
from lane_kernel.wire.connection import ConnectionStateError
from lane_kernel.wire.handshake import HandshakeError, agree, check_request, upgrade_response
from lane_kernel.wire.rules import ProtocolError

if TYPE_CHECKING:
    from lane_kernel.server.server import Server

REPLACE_PATIENCE = 2.0
"""How long a replaced handler may go on before it comes to receive, in seconds."""

END_TIMEOUT = 2.0
"""How long a handler may take to end once it is cancelled, in seconds."""

PEER_LEFT = (ConnectionLostError, ConnectionClosedError, ConnectionStateError)
"""What a handler raises when its peer is gone: no failure of its own."""


class HandlerStoppedError(LaneError):
    """A handler did not end by returning: it was cancelled, interrupted, or wanted to end the process."""


class Exchange:
    """One connection of a server, and the request it is at."""

    def __init__(self, server: Server, recorded: RecordedStream) -> None:
        """Wrap an accepted connection.

        Args:
            server: Whose it is.
            recorded: The connection.
        """
        self.stream = Stream(recorded, server.config)
        self.route: Route | None = None
        self.kind: RouteKind | None = None
        self._server = server
        self._successor: Run | None = None
        self._turn: asyncio.Future[None] | None = None
        self._ending = False

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
        # A 426 also names the option that the Upgrade header belongs to (RFC 9110 §7.8).
        response.set_header("Connection", "close" if response.header("Upgrade") is None else "Upgrade, close")
        if await self.stream.try_send(response.build()):
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
        server = self._server
        agreement = agree(request.headers, subprotocols=server.subprotocols, wishes=server.deflate)
        await stream.send(upgrade_response(accept, agreement.headers))
        transport = FrameTransport(
            stream.recorded,
            Side.SERVER,
            config=server.config,
            policy=server.policy,
            deflate=agreement.deflate,
            on_failure=self._on_failure,
        )
        stream.websocket = WebSocket(transport, request, agreement.subprotocol)
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
            await self._run_handlers(route, ctx)
            await self._conclude(ctx)
        except Exception as error:  # noqa: BLE001 - a person's handler may raise anything; it is logged and kept for check()
            if isinstance(error, PEER_LEFT) and self._has_peer_left:
                self._server.log.add("info", str(error), route=route.pattern, connection=stream.connection)
                stream.set_closed(True)
            else:
                self._server.fail(error, route, stream.connection)
                await self._apologise(route, ctx, error)
        finally:
            route.open -= 1
            self.route = None
            self._server.touch()
            if stream.websocket is not None:
                stream.set_closed(True)

    @property
    def _has_peer_left(self) -> bool:
        """Whether it is this connection that is gone, and not by the handler's own doing."""
        websocket = self.stream.websocket
        if not self._server.running or websocket is None:
            return not self._server.running or self.stream.recorded.closed()
        return not websocket.is_open and (websocket.failure is not None or websocket.closed_first is not Side.SERVER)

    async def _run_handlers(self, route: Route, ctx: Context) -> None:
        """Run the route's handler, and its successors as they are applied."""
        run: Run | None = route.run
        while run is not None:
            self._successor = None
            run = await self._run_one(run, route, ctx)

    async def _run_one(self, run: Run, route: Route, ctx: Context) -> Run | None:
        """Run one handler until it ends or has to; answer its successor where it was replaced."""
        websocket = self.stream.websocket
        if websocket is not None:
            websocket.take_over()
        self._ending = False
        self._turn = asyncio.get_running_loop().create_future()
        handler = asyncio.ensure_future(self._contained(run(self.stream, ctx), route))
        waited: set[asyncio.Future[Any]] = {handler, self._turn}
        if self.kind is RouteKind.EVENTS:
            waited.add(self.stream.gone)
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(handler, route)
        if not self._turn.done() or self._successor is None or self.stream.gone.done():
            if handler.done() and not handler.cancelled():
                handler.result()
            return None
        if handler.done() and not handler.cancelled() and isinstance(error := handler.exception(), Exception):
            self._server.fail(error, route, self.stream.connection)
        return self._successor

    async def _end(self, handler: asyncio.Future[Status], route: Route) -> None:
        """Cancel a handler that has not ended, and wait for it; `Server.stop` has its own bound on all of them."""
        self._ending = True
        handler.cancel()
        await asyncio.wait({handler}, timeout=END_TIMEOUT if self._server.running else None)
        if not handler.done():
            text = f"the handler did not end within {END_TIMEOUT:g} s of its cancellation"
            self._server.fail(HandlerStoppedError(text), route, self.stream.connection)

    async def _contained(self, handler: Awaitable[Status], route: Route) -> Status:
        """Await a handler; what would end the kernel, or end the handler unseen, becomes a failure of its own."""
        try:
            with self._server.watching.handling(route, self.stream.connection):
                return await handler
        except asyncio.CancelledError as error:
            if self._ending:
                raise
            raise HandlerStoppedError("the handler was cancelled from inside: a task that it awaited was") from error
        except SystemExit as error:
            raise HandlerStoppedError(
                f"the handler called exit({error.code!r}): a handler ends by returning"
            ) from error
        except KeyboardInterrupt as error:
            raise HandlerStoppedError("the handler was interrupted by a person") from error

    def replace_handler(self) -> None:
        """Tell the running handler that its route has another one now, where that one speaks the same.

        A WebSocket's handler is cancelled where it waits to receive, so that no message is lost; at the latest after
        `REPLACE_PATIENCE`, since one that only sends never comes there.
        """
        if self.route is None or self.route.kind is not self.kind or self.kind is RouteKind.HTTP:
            return
        self._successor = self.route.run
        if self.stream.websocket is None:
            self._begin_turn()
            return
        self.stream.websocket.hand_over(self._begin_turn)
        asyncio.get_running_loop().call_later(REPLACE_PATIENCE, self._end_patience, self._turn)

    def _begin_turn(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    def _end_patience(self, turn: asyncio.Future[None] | None) -> None:
        if turn is self._turn:
            self._begin_turn()

    async def _conclude(self, ctx: Context) -> None:
        """Finish what the handler left: close a WebSocket, send a response not sent, end a body without length."""
        stream = self.stream
        if stream.websocket is not None:
            await stream.websocket.close()
        elif not stream.has_sent:
            await stream.send(ctx.response.build())
        elif ctx.response.is_event_stream:
            stream.set_closed(True)

    async def _apologise(self, route: Route, ctx: Context, error: Exception) -> None:
        stream = self.stream
        stream.set_closed(True)
        if stream.websocket is not None:
            await stream.websocket.close(1011, f"the handler raised {type(error).__name__}")
        elif not stream.has_sent:
            text = f"the handler of {route.pattern} raised {type(error).__name__}: see the handlers' log\n"
            await self._answer(ctx.new_response().set_status(500).set_body(text))
