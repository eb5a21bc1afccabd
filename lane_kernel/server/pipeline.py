"""A connection's way: request after request, each through its stages.

accept → read the request, where its Host and Origin may ask → request middleware, the upgrade among them → the matched
route → response middleware → the answer, where none was sent → keep-alive? → the next request
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from lane_kernel.errors import LaneError
from lane_kernel.net.heads import RequestError
from lane_kernel.net.session import ConnectionClosedError
from lane_kernel.net.stream import ConnectionLostError, RecordedStream
from lane_kernel.server.context import Context, PanicData, Request, RequestErrorData
from lane_kernel.server.guard import allow, is_preflight, refusal, share
from lane_kernel.server.hooks import Hook, HookKind, Run, Status
from lane_kernel.server.routes import Route, RouteKind
from lane_kernel.server.stream import Stream
from lane_kernel.sides import Side
from lane_kernel.wire.connection import ConnectionStateError

if TYPE_CHECKING:
    from lane_kernel.server.server import Server

REPLACE_PATIENCE = 2.0
"""How long a replaced handler may go on before it comes to receive, in seconds."""

END_TIMEOUT = 2.0
"""How long a handler may take to end once it is cancelled, in seconds."""

LINGER = 1.0
"""How long a connection that is turned away is read, so that its answer arrives, in seconds."""

PEER_LEFT = (ConnectionLostError, ConnectionClosedError, ConnectionStateError)
"""What a handler raises when its peer is gone: no failure of its own."""


class HandlerStoppedError(LaneError):
    """A handler did not end by returning: it was cancelled, interrupted, or wanted to end the process."""


class Exchange:
    """One connection of a server, and the request it is at.

    Attributes:
        stream: The connection.
        route: The route whose handler runs, or None.
        kind: What it spoke when it began.
    """

    def __init__(self, server: Server, recorded: RecordedStream) -> None:
        """Wrap an accepted connection.

        Args:
            server: Whose it is.
            recorded: The connection.
        """
        self.stream = Stream(recorded, server.config, server.websocket_options(self._on_failure))
        self.stream.report = self._report
        self.stream.refusal = self._refusal
        self.route: Route | None = None
        self.kind: RouteKind | None = None
        self._server = server
        self._at: Route | Hook | None = None
        self._pattern: str | None = None
        self._successor: Run | None = None
        self._turn: asyncio.Future[None] | None = None
        self._handler: asyncio.Future[Status] | None = None
        self._ending = False
        self._serving: asyncio.Task[Any] | None = None
        self.apply_faults()

    def apply_faults(self, *, is_released: bool = False) -> None:
        """Put what is sent from now on under the faults that the server has for it.

        Args:
            is_released: Whether what is held goes at once where there are none.
        """
        self.stream.recorded.faults.inherit(self._server.faults.of(self._pattern), is_released=is_released)

    def _serve_route(self, pattern: str | None) -> None:
        """Say whose response, events or frames are sent from now on."""
        self._pattern = pattern
        self.apply_faults()

    async def serve(self) -> None:
        """Serve requests until the connection ends."""
        stream = self.stream
        self._serving = asyncio.current_task()
        try:
            while (ctx := await self._next()) is not None:
                await self._handle(ctx)
                if not stream.is_keep_alive(ctx.request.is_enable_keep_alive):
                    break
            await stream.settle()
        except PEER_LEFT as error:
            self._server.log.add("info", str(error), connection=stream.connection)
        finally:
            stream.close()

    async def turn_away(self) -> None:
        """Answer 503 without reading a request: the bound on connections is reached."""
        text = f"over the bound of {self._server.config.max_connections:,} connections (config.max_connections)"
        self._server.log.add("warning", f"503: {text}", connection=self.stream.connection)
        response = Context(Request.unread()).response.set_status(503).set_header("Retry-After", "1")
        try:
            await self.stream.answer_last(response.set_body(f"{text}\n"))
            await self.stream.linger(LINGER)
        finally:
            self.stream.close()

    def _refusal(self, request: Request) -> str | None:
        return refusal(request, self._server.allowed_hosts, self._server.allowed_origins)

    async def _next(self) -> Context | None:
        """Read the next request; answer one that cannot be read."""
        try:
            request = await self.stream.get_http_request()
        except RequestError as error:
            self.stream.begin_request()
            await self._answer_error(error)
            return None
        self.stream.begin_request()
        return None if request is None else Context(request)

    async def _answer_error(self, error: RequestError) -> None:
        """Run the request-error hooks, and answer where they did not."""
        self._server.log.add("warning", f"{error.status}: {error}", connection=self.stream.connection)
        ctx = Context(Request.unread())
        ctx.request_error_data = RequestErrorData(error.status, str(error))
        ctx.response.set_status(error.status).set_body(f"{error}\n")
        try:
            await self._run_hooks(HookKind.REQUEST_ERROR, ctx)
        except Exception as failure:  # noqa: BLE001 - a person's hook may raise anything; it is logged and kept for check()
            self._fail(failure)
        if not self.stream.has_sent:
            await self.stream.answer_last(ctx.response)

    async def _handle(self, ctx: Context) -> None:
        stream = self.stream
        self._serve_route(None)
        share(ctx)
        if is_preflight(ctx.request):
            allow(ctx)
            await stream.send(ctx.response.build())
            return
        found = self._server.find(ctx.request.raw_path)
        if found is not None:
            ctx.route, ctx.route_params = found
        try:
            await self._run_stages(ctx)
            await self._conclude(ctx)
        except RequestError as error:  # of a further request that a handler read
            stream.begin_request()
            await self._answer_error(error)
        except Exception as error:  # noqa: BLE001 - a person's handler may raise anything; it is logged and kept for check()
            await self._recover(ctx, error)
        finally:
            if stream.websocket is not None:
                stream.set_closed(True)

    async def _run_stages(self, ctx: Context) -> None:
        """Run request middleware, route and response middleware, as far as none rejects."""
        if await self._run_hooks(HookKind.REQUEST_MIDDLEWARE, ctx) is Status.REJECT:
            return
        if ctx.route is None:
            patterns = ", ".join(route.pattern for route in self._server.routes) or "none yet"
            ctx.response.set_status(404).set_body(f"no route {ctx.request.path}: the routes are {patterns}\n")
        elif await self._run_route(ctx.route, ctx) is Status.REJECT:
            return
        await self._run_hooks(HookKind.RESPONSE_MIDDLEWARE, ctx)

    async def _run_hooks(self, kind: HookKind, ctx: Context) -> Status:
        for hook in self._server.hooks(kind):
            self._at = hook
            handler = asyncio.ensure_future(self._contained(hook.run(self.stream, ctx)))
            self._ending = False
            try:
                await asyncio.wait({handler})
            finally:
                await self._end(handler)
            if handler.result() is Status.REJECT:
                return Status.REJECT
        return Status.CONTINUE

    async def _run_route(self, route: Route, ctx: Context) -> Status:
        self._at = self.route = route
        self.kind = route.kind
        self._serve_route(route.pattern)
        route.hits += 1
        route.open += 1
        self._server.touch()
        try:
            outcome: Run | Status = route.run
            while not isinstance(outcome, Status):
                self._successor = None
                outcome = await self._run_one(outcome, ctx)
            return outcome
        finally:
            route.open -= 1
            self.route = None
            self._server.touch()

    async def _run_one(self, run: Run, ctx: Context) -> Run | Status:
        """Run one handler until it ends or has to; answer its successor where it was replaced."""
        websocket = self.stream.websocket
        if websocket is not None:
            websocket.take_over()
        self._ending = False
        self._turn = asyncio.get_running_loop().create_future()
        self._handler = handler = asyncio.ensure_future(self._contained(run(self.stream, ctx)))
        waited: set[asyncio.Future[Any]] = {handler, self._turn}
        if self.kind is RouteKind.EVENTS:
            waited.add(self.stream.gone)
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(handler)
        if not self._turn.done() or self._successor is None or self.stream.gone.done():
            return handler.result() if handler.done() and not handler.cancelled() else Status.CONTINUE
        if handler.done() and not handler.cancelled() and isinstance(error := handler.exception(), Exception):
            self._fail(error)
        return self._successor

    async def _end(self, handler: asyncio.Future[Status]) -> None:
        """Cancel a handler that has not ended, and wait for it; `Server.stop` has its own bound on all of them."""
        self._ending = True
        handler.cancel()
        await asyncio.wait({handler}, timeout=END_TIMEOUT if self._server.running else None)
        if not handler.done():
            self._fail(HandlerStoppedError(f"the handler did not end within {END_TIMEOUT:g} s of its cancellation"))

    async def _contained(self, handler: Awaitable[Status]) -> Status:
        """Await a handler; what would end the kernel, or end the handler unseen, becomes a failure of its own."""
        try:
            with self._server.watching.handling(self.route, self.stream.connection):
                return await handler
        except asyncio.CancelledError as error:
            if self._ending or (self._serving is not None and self._serving.cancelling()):
                raise  # the exchange ends it, or ends with it: a loop that shuts down cancels both at once
            raise HandlerStoppedError("the handler was cancelled from inside: a task that it awaited was") from error
        except SystemExit as error:
            raise HandlerStoppedError(
                f"the handler called exit({error.code!r}): a handler ends by returning"
            ) from error
        except KeyboardInterrupt as error:
            raise HandlerStoppedError("the handler was interrupted by a person") from error
        except Exception:
            raise
        except BaseException as error:
            if self._ending and isinstance(error, GeneratorExit):
                raise  # thrown away with its loop
            name = type(error).__name__
            raise HandlerStoppedError(f"the handler raised {name}, which is no Exception: {error}") from error

    async def _conclude(self, ctx: Context) -> None:
        """Finish what the handler left: close a WebSocket, send a response not sent, end a body without length."""
        stream = self.stream
        if stream.websocket is not None:
            await stream.websocket.close()
        elif not stream.has_sent:
            await stream.send(ctx.response.build())
        elif ctx.response.is_event_stream:
            stream.set_closed(True)

    # What goes wrong

    def _fail(self, error: Exception) -> None:
        self._server.fail(error, self._at, self.stream.connection)

    def _on_failure(self, error: LaneError) -> None:
        self._report("warning", str(error))

    def _report(self, level: str, text: str) -> None:
        pattern = "" if self.route is None else self.route.pattern
        self._server.log.add(level, text, route=pattern, connection=self.stream.connection)

    async def _recover(self, ctx: Context, error: Exception) -> None:
        """Go on after a handler or a hook raised: nothing where its peer left, else panic hooks and an answer."""
        pattern = "" if ctx.route is None else ctx.route.pattern
        if isinstance(error, PEER_LEFT) and self._has_peer_left:
            self._server.log.add("info", str(error), route=pattern, connection=self.stream.connection)
            self.stream.set_closed(True)
            return
        self._fail(error)
        what = self._at if isinstance(self._at, Hook) else f"handler of {pattern}"
        text = f"the {what} raised {type(error).__name__}: see the handlers' log\n"
        ctx.task_panic_data = PanicData.of(error, pattern)
        ctx.response = ctx.new_response().set_status(500).set_body(text)
        share(ctx)
        try:
            await self._run_hooks(HookKind.TASK_PANIC, ctx)
        except Exception as failure:  # noqa: BLE001 - as above; a panic hook's own failure starts no other
            self._fail(failure)
        await self._apologise(ctx, error)

    @property
    def _has_peer_left(self) -> bool:
        """Whether it is this connection that is gone, and not by the handler's own doing."""
        websocket = self.stream.websocket
        if not self._server.running or websocket is None:
            return not self._server.running or self.stream.recorded.closed()
        if websocket.is_open:
            return False
        is_ours = websocket.failure is None and websocket.closed_first is Side.SERVER
        return not is_ours or websocket.closed_in is not self._handler

    async def _apologise(self, ctx: Context, error: Exception) -> None:
        self.stream.set_closed(True)
        if self.stream.websocket is not None:
            await self.stream.websocket.close(1011, f"the handler raised {type(error).__name__}")
        elif not self.stream.has_sent:
            await self.stream.answer_last(ctx.response)

    # A route that gets another handler

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
