"""The server: routes, a listener in the notebook's own loop, and everything that has to be closed when it stops."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from lane_kernel.capture import Connection, Store, kernel_store
from lane_kernel.errors import LaneError, NotRunningError
from lane_kernel.net.config import DEFAULT, Config
from lane_kernel.net.home import Home
from lane_kernel.net.listener import Listener, ListenError
from lane_kernel.net.stream import RecordedStream
from lane_kernel.server.control import ServerControl
from lane_kernel.server.faults import ServerFaults
from lane_kernel.server.hooks import Hook
from lane_kernel.server.log import HandlersLog
from lane_kernel.server.pipeline import Exchange
from lane_kernel.server.registry import Registry
from lane_kernel.server.routes import Route, RouteKind
from lane_kernel.server.sessions import WebSocket
from lane_kernel.server.stream import WebSocketOptions
from lane_kernel.server.watching import Watching
from lane_kernel.sides import Side
from lane_kernel.timeline import Timeline
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.handshake import subprotocol_names
from lane_kernel.wire.policy import POLITE, Policy

STOP_TIMEOUT = 5.0
"""Default bound on `stop`, in seconds."""

MAX_TURNED_AWAY = 64
"""Connections over the bound that are answered at once; those over this are closed without a word."""

LEAST_TIMEOUT = 0.1
"""What the tasks that handlers left have to end in, in seconds, where nothing is left of `stop`'s time."""

_servers: dict[str, Server] = {}


def servers() -> tuple[Server, ...]:
    """The servers of this kernel that have been started, one for each name."""
    return tuple(_servers.values())


class _StuckError(LaneError):
    """A handler goes on although its server has stopped."""


class Server(Registry):
    """A WebSocket and SSE server in the notebook's own event loop.

        server = lane.Server()

        @server.websocket("/echo")
        async def echo(ws):
            async for message in ws:
                await ws.send(message)

        await server.start()

    A server is unique by name in its kernel: starting another of that name stops this one and takes its port, so that
    a cell can be run again.

    Attributes:
        name: Its name.
        host: The address it binds.
        log: What its handlers said and how they failed.
        watching: What listens to them, and to the loop.
        config: The bounds of its connections.
        subprotocols: The subprotocols it speaks; of those that a client asks for, its most preferred one is taken.
        deflate: What it wishes of permessage-deflate; None declines it.
        policy: What it does of its own accord on a WebSocket.
        allowed_hosts: Host names to accept besides localhost and addresses.
        allowed_origins: Origins of pages to accept besides its own and the Jupyter pages that embed it.
        capture: The store that it records in.
        timeline: What crossed its own connections, as it saw it.
    """

    def __init__(
        self,
        name: str = "server",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        store: Store | None = None,
        config: Config = DEFAULT,
        subprotocols: Sequence[str] = (),
        deflate: DeflateParameters | None = None,
        policy: Policy = POLITE,
    ) -> None:
        """Make a server that does not listen yet.

        Args:
            name: Its name, unique in the kernel.
            host: The address to bind; this machine alone can reach the default.
            port: The port; 0 takes that of the server it replaces, or a free one.
            store: Where to record; the kernel's store by default.
            config: The bounds of its connections.
            subprotocols: The subprotocols it speaks.
            deflate: What it wishes of permessage-deflate; None declines it, so that payloads are readable on the wire.
            policy: What it does of its own accord on a WebSocket; everything the RFC asks for by default.
        """
        super().__init__()
        self.name = name
        self.host = host
        self.config = config
        self.subprotocols = subprotocol_names(subprotocols)
        self.deflate = deflate
        self.policy = policy
        self.allowed_hosts: set[str] = set()
        self.allowed_origins: set[str] = set()
        self.capture = store or kernel_store()
        self.log = HandlersLog(self.capture)
        self.watching = Watching(self.log, self.fail)
        self.timeline = Timeline(self.capture, sees=self._sees, start=self.capture.next)
        self._port = port
        self._listener: Listener | None = None
        self._home: Home | None = None
        self._stopped = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._exchanges: dict[asyncio.Task[None], Exchange] = {}
        self._faults = ServerFaults(self)
        self._changes = 0
        self._is_flooded = False
        self._when_stopped: list[Callable[[], object]] = []

    def _sees(self, connection: Connection | None) -> bool:
        return connection is None or (connection.side is Side.SERVER and connection.name == self.name)

    def _lost(self, hook: Hook) -> None:
        self.log.add(
            "warning",
            f"{hook} took the place of another one that the same code made: where both are to run, give each a name, "
            f"such as server.{hook.kind.name.lower()}(…, name=…)",
        )

    def _replaced(self, route: Route) -> None:
        for exchange in tuple(self._exchanges.values()):
            if exchange.route is route and self._home is not None:
                self._home.call(exchange.replace_handler)

    # What goes on

    @property
    def revision(self) -> int:
        """A number that changes when routes, connections, the log or the server's state do."""
        return self._changes + self.log.total

    def touch(self) -> None:
        """Say that something changed."""
        self._changes += 1

    def fail(
        self, error: Exception, at: Route | Hook | None, connection: Connection | None, where: str | None = None
    ) -> None:
        """Log a failure, and keep it for `check`.

        Args:
            error: The error.
            at: The route of the handler, or the hook, that it came from, or None.
            connection: The connection that was served.
            where: Where it happened, where that was not in the handler itself.
        """
        line, route = None, ""
        if isinstance(at, Route):
            line, route = at.line_of(error), at.pattern
            at.error, at.error_line = f"{type(error).__name__}: {error}", line
        elif at is not None:
            where = f"in the {at}"
        self.log.fail(error, route, connection, line, where)
        self.touch()

    @property
    def websockets(self) -> tuple[WebSocket, ...]:
        """The open WebSockets."""
        found = (exchange.stream.websocket for exchange in tuple(self._exchanges.values()))
        return tuple(websocket for websocket in found if websocket is not None and websocket.is_open)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The open connections, as the capture knows them."""
        return tuple(exchange.stream.connection for exchange in tuple(self._exchanges.values()))

    @property
    def streams(self) -> tuple[RecordedStream, ...]:
        """The streams of the open connections."""
        return tuple(exchange.stream.recorded for exchange in tuple(self._exchanges.values()))

    @property
    def faults(self) -> ServerFaults:
        """What is done wrong on purpose to what it sends: `server.faults["/echo"] = lane.Faults(drop=True)`."""
        return self._faults

    def apply_faults(self) -> None:
        """Let every open connection know of the faults that hold for it now."""
        for exchange in self._exchanges.values():
            exchange.apply_faults(is_released=True)
        self.touch()

    def check(self) -> None:
        """Raise what failed in the background since the last check.

        Raises:
            ExceptionGroup: What handlers raised, and their tasks and callbacks, each with a note of its route and
                connection; what else failed beside the cells; and tasks of handlers that outlived `stop`.
        """
        self.watching.collect()
        failures = self.log.collect()
        if failures:
            count = f"{len(failures)} failure{'s' if len(failures) > 1 else ''}"
            raise ExceptionGroup(f"{count} in the background of server {self.name!r}", failures)

    # Its life

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._listener is not None

    @property
    def is_replaced(self) -> bool:
        """Whether another server of this name has been started since."""
        return _servers.get(self.name, self) is not self

    @property
    def home(self) -> Home | None:
        """The loop and thread it was started on; None before."""
        return self._home

    @property
    def port(self) -> int:
        """The port it listens on, or is to listen on; 0 for any free one."""
        return self._port if self._listener is None else self._listener.port

    def url(self, path: str = "/") -> str:
        """The URL of a path: ws:// where its route speaks WebSocket, else http://.

        Raises:
            NotRunningError: The server is not running.
        """
        if self._listener is None:
            raise NotRunningError(f"server {self.name!r} is not running: `await server.start()` first")
        found = self.find(path.partition("?")[0])
        scheme = "ws" if found is not None and found[0].kind is RouteKind.WEBSOCKET else "http"
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104
        return f"{scheme}://{f'[{host}]' if ':' in host and '[' not in host else host}:{self.port}{path}"

    async def start(self) -> Self:
        """Listen, on the loop that runs here; a server of the same name is stopped first and its port taken.

        Where it is being stopped, this waits for that first.

        Raises:
            ListenError: The port is in use.
        """
        await asyncio.sleep(0)  # a `stop` that was begun as a task just now comes first
        if self._stopping is not None:
            await self.stop()
        if self._listener is not None:
            return self
        port = self._port
        old = _servers.get(self.name)
        if old is not None and old is not self:
            port = port or old.port if old.running else port
            await _stop_wherever(old)
            self.log.inherit(old.log)
        listener = Listener(self._accept, self.capture, self.name, self._tell_exhausted)
        self._home = Home.here()
        try:
            listener.listen_on(self.host, port, self.config.max_connections)
        except ListenError:
            if port == self._port:
                raise
            listener.listen_on(self.host, 0, self.config.max_connections)
        self._listener = listener
        self._stopped = asyncio.Event()
        self.watching.begin(self._home, self.config.blocked_after)
        _servers[self.name] = self
        self.touch()
        return self

    def websocket_options(self, on_failure: Callable[[LaneError], object]) -> WebSocketOptions:
        """What it speaks once a connection is upgraded.

        Args:
            on_failure: Told when the peer breaks a rule, is silent for too long, or does not read.
        """
        return WebSocketOptions(self.subprotocols, self.deflate, self.policy, on_failure)

    def _accept(self, recorded: RecordedStream) -> None:
        over = len(self._exchanges) - self.config.max_connections
        if over >= MAX_TURNED_AWAY:
            self._tell_flood(over)
            recorded.close()
            return
        self._is_flooded = over >= 0 and self._is_flooded
        exchange = Exchange(self, recorded)
        serving = exchange.serve() if over < 0 else exchange.turn_away()
        task = asyncio.get_running_loop().create_task(serving, context=contextvars.Context())
        self._exchanges[task] = exchange
        task.add_done_callback(self._release)
        self.touch()

    def _tell_flood(self, over: int) -> None:
        """Say once for each flood that there is more than can be answered."""
        if not self._is_flooded:
            self._is_flooded = True
            bound = self.config.max_connections
            text = f"{over:,} connections over the bound of {bound:,} wait for their 503: more are closed unanswered"
            self.log.add("warning", text)
            self.touch()

    def _tell_exhausted(self, text: str) -> None:
        self.log.add("warning", text)
        self.touch()

    def _release(self, task: asyncio.Task[None]) -> None:
        exchange = self._exchanges.pop(task)
        exchange.stream.close()
        self.touch()
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.log.fail(error, "", exchange.stream.connection)

    async def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop listening and end every connection: WebSockets are told 1001, the rest is closed.

        Tasks that handlers left running are cancelled; `check` raises those that do not end.

        It may be called from another thread's loop; where it is being stopped already, this waits for that.

        Args:
            timeout: The bound on all of it in seconds.
        """
        home = self._home
        if home is not None and home.loop is not asyncio.get_running_loop():
            await self._stop_at(home, timeout)
            return
        if self._stopping is None and self._listener is not None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop(timeout), context=contextvars.Context())
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    async def _stop_at(self, home: Home, timeout: float) -> None:
        """Stop on the loop that it was started on, which may end as soon as that is done."""
        if (self.running or self._stopping is not None) and not home.loop.is_closed():
            stopping = asyncio.wrap_future(home.start(self.stop(timeout)))
            await asyncio.wait({stopping}, timeout=timeout + 1)
            if stopping.done() and not stopping.cancelled():
                stopping.result()
            elif self.running:
                raise _StuckError(f"server {self.name!r} did not stop within {timeout + 1:g} s: its loop is blocked")

    async def _stop(self, timeout: float) -> None:
        try:
            await self._end_everything(timeout)
        finally:
            self._stopping = None
            self._stopped.set()
            self.touch()
            tell, self._when_stopped = self._when_stopped, []
            for function in tell:
                function()

    def when_stopped(self, function: Callable[[], object]) -> None:
        """Call a function on the server's loop once it has stopped, by whomever."""
        self._when_stopped.append(function)

    async def _end_everything(self, timeout: float) -> None:
        if self._listener is None:
            return
        listener, self._listener = self._listener, None
        self._port = listener.port
        listener.stop()
        deadline = asyncio.get_running_loop().time() + timeout
        half = timeout / 2
        sockets = self.websockets
        await asyncio.gather(*(socket.close(1001, "the server stops", half) for socket in sockets))
        tasks = set(self._exchanges)
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=half)
            for task in stuck:
                exchange = self._exchanges[task]
                exchange.stream.close()
                route = "" if exchange.route is None else exchange.route.pattern
                self.log.fail(
                    _StuckError(f"did not end within {half:g} s of stop()"), route, exchange.stream.connection
                )
        await self.watching.end(max(deadline - asyncio.get_running_loop().time(), LEAST_TIMEOUT))

    async def run(self) -> ServerControl:
        """Start, in Hyperlane's way.

            control = await server.run()
            await control.wait()            # until someone calls control.shutdown(), or server.stop()

        Raises:
            ListenError: The port is in use.
        """
        await self.start()
        return ServerControl(self)

    async def wait_stopped(self) -> None:
        """Wait until it has stopped; at once where it does not run."""
        if self._home is None or not self.running:
            return
        if self._home.loop is asyncio.get_running_loop():
            await self._stopped.wait()
        else:
            await asyncio.wrap_future(self._home.start(self._stopped.wait()))

    async def __aenter__(self) -> Self:
        """Start."""
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    def __repr__(self) -> str:
        where = self.url("") if self.running else "not running"
        return f"<Server {self.name!r} {where}, {len(self.routes)} routes, {len(self._exchanges)} connections>"


async def _stop_wherever(server: Server) -> None:
    """Stop a server on the loop that it was started on."""
    home = server.home
    if home is not None and not home.loop.is_closed() and home.loop.is_running():
        await server.stop()
