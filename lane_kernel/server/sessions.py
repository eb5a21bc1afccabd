"""The Python form of a handler: a coroutine over a session.

    @server.websocket("/chat/{room}")
    async def chat(ws, room): ...

    @server.events("/clock")
    async def clock(events): ...

Both run over the pipeline that Hyperlane's form runs over.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from lane_kernel.broadcast import (
    BroadcastError,
    BroadcastMap,
    BroadcastMessage,
    Channel,
    FellBehindError,
    Overflow,
    Subscription,
)
from lane_kernel.capture import Connection
from lane_kernel.net.faults import Faults
from lane_kernel.net.home import Home, Repeating
from lane_kernel.net.session import WebSocketSession
from lane_kernel.net.stream import ConnectionLostError
from lane_kernel.net.transport import FrameTransport
from lane_kernel.server.hooks import Status
from lane_kernel.wire.eventstream import EventStreamError, encode_event
from lane_kernel.wire.messages import Message

if TYPE_CHECKING:
    from lane_kernel.server.context import Context, Request
    from lane_kernel.server.hooks import Run
    from lane_kernel.server.stream import Stream

Handler = Callable[..., Awaitable[object]]

OnMessage = Callable[..., Any]
"""A function over a WebSocket and a message, plain or a coroutine function; the route's parameters follow by name."""

Report = Callable[[str, str], object]
"""Adds a line to the handlers' log: a level and a text."""


def no_report(level: str, text: str) -> None:
    """Add a line to no log."""


class WebSocket(WebSocketSession):
    """The server's end of a WebSocket.

    Attributes:
        request: The request that it was upgraded from.
        report: Adds a line of a level to the handlers' log, with this connection and its route.
        closed_in: The task that closed it, or None: its peer did, or a time-out.
    """

    def __init__(self, transport: FrameTransport, request: Request, subprotocol: str | None = None) -> None:
        """Speak over a transport."""
        super().__init__(transport, subprotocol)
        self.request = request
        self.report: Report = no_report
        self.closed_in: asyncio.Task[Any] | None = None

    async def close(self, code: int | None = 1000, reason: str = "", timeout: float | None = None) -> None:
        """Do the closing handshake and end the connection; see `WebSocketSession.close`."""
        if self.is_open:
            self.closed_in = asyncio.current_task()
        await super().close(code, reason, timeout)

    @property
    def path(self) -> str:
        """The path that the client asked for."""
        return self.request.path

    async def receive_message(self) -> Message | None:
        """Wait for the next message; None where the connection has ended."""
        return await self._transport.receive()

    def hand_over(self, reached: Callable[[], object]) -> None:
        """Give the handler no more messages; the next one is its successor's.

        Args:
            reached: Called when the handler waits for one.
        """
        self._transport.hand_over(reached)

    def take_over(self) -> None:
        """Give messages to whoever receives from now on."""
        self._transport.take_over()


class Events:
    """An event stream being sent.

    While it is entered, a comment is sent where nothing else has been for the heartbeat of the config.
    """

    def __init__(self, stream: Stream, ctx: Context) -> None:
        """Write on a stream whose response's head has been sent."""
        self._stream = stream
        self._ctx = ctx
        self._beating: Repeating | None = None
        self._beaten = 0

    def __enter__(self) -> Self:
        """Begin the heartbeat."""
        seconds = self._stream.config.heartbeat
        if seconds is not None:
            self._beating = Home.here().every(seconds, self._beat)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the heartbeat."""
        if self._beating is not None:
            self._beating.stop()

    def _beat(self) -> None:
        recorded = self._stream.recorded
        if recorded.meant == self._beaten and self.is_open and not recorded.writing():
            with contextlib.suppress(ConnectionLostError):  # the handler is told by its own next send
                recorded.send(encode_event(comment=""))
        self._beaten = recorded.meant

    @property
    def request(self) -> Request:
        """The request that is being answered."""
        return self._ctx.request

    @property
    def connection(self) -> Connection:
        """The connection as the capture knows it."""
        return self._stream.connection

    @property
    def faults(self) -> Faults | None:
        """The faults of this connection alone; None where those of its route or server hold."""
        return self._stream.faults

    @faults.setter
    def faults(self, faults: Faults | None) -> None:
        self._stream.faults = faults

    @property
    def last_event_id(self) -> str:
        """The last event ID that a client sent when it reconnected, or "".

        Source: WHATWG HTML §9.2.3.
        """
        return (self._ctx.request.header("Last-Event-ID") or "").encode("latin-1").decode(errors="replace")

    @property
    def is_open(self) -> bool:
        """Whether the client is still there."""
        return not self._stream.gone.done()

    async def send(
        self, data: object, *, event: str | None = None, id: str | int | None = None, retry: int | None = None
    ) -> None:
        """Send an event.

        Args:
            data: Its data: str as it is; numbers, lists and dicts as JSON; anything else as `str` writes it.
            event: Its type.
            id: Its ID.
            retry: The reconnection time in milliseconds.

        Raises:
            EventStreamError: The type or the ID holds a line break or NUL.
            ConnectionLostError: The client is gone.
        """
        await self._stream.write(encode_event(_text(data), event=event, id=id, retry=retry))

    async def follow(self, channel: Channel | BroadcastMap, key: str | None = None, *, gap_event: str = "gap") -> None:
        """Send what a channel is sent, each message as an event with its ID, until the client leaves.

            news = lane.Broadcast(history=1000)

            @server.events("/news")
            async def follow(events):
                await events.follow(news)

        A client that comes back with a `Last-Event-ID` is sent exactly what it missed, then what is sent. Where the
        history does not reach back to it, an event says so to the page and a line to the handlers' log, and what is
        still held follows. A client that is slower than the channel is sent what it had no room for from the history,
        too. A message that no event can be made of is passed over, with a line in the handlers' log.

        Args:
            channel: The channel, or a map of channels.
            key: Which channel of the map.
            gap_event: The type of the event that tells of a gap. Its data is JSON: `asked` is the ID after which events
                are missing, `oldest` the ID of the oldest that is still held, or null.

        Raises:
            BroadcastError: The channel failed; or a map was given without a key.
            ConnectionLostError: The client is gone.
        """
        if isinstance(channel, Channel):
            subscribe = channel.subscribe
        elif key is not None:
            subscribe = partial(channel.subscribe_or_insert, key)
        else:
            raise BroadcastError("follow takes a channel, or a map and the key of one of its channels: give the key")
        after: str | None = self.last_event_id
        is_behind = True
        while is_behind:
            subscription = subscribe(after=after, overflow=Overflow.CLOSE)
            is_behind = await self._follow(subscription, gap_event)
            after = subscription.last_id

    async def _follow(self, subscription: Subscription, gap_event: str) -> bool:
        """Send what a subscription receives; answer whether it fell behind."""
        try:
            async with subscription:
                if (gap := subscription.gap) is not None:
                    oldest = "none is" if gap.oldest is None else f"the oldest is {gap.oldest}"
                    self._stream.report("warning", f"events after {gap.asked!r} are no longer held: {oldest}")
                    await self.send({"asked": gap.asked, "oldest": gap.oldest}, event=gap_event)
                async for message in subscription:
                    await self._pass_on(message)
        except FellBehindError:
            return True
        return False

    async def _pass_on(self, message: BroadcastMessage) -> None:
        """Send a message as an event; one that cannot be written as such ends nothing, now or when a client returns."""
        try:
            event = encode_event(_text(message.data), event=message.event, id=message.id)
        except (EventStreamError, TypeError, ValueError) as error:
            self._stream.report("warning", f"message {message.id} was passed over, no event can be made of it: {error}")
        else:
            await self._stream.write(event)

    async def comment(self, text: str = "") -> None:
        """Send a comment, which no reader dispatches.

        Raises:
            ConnectionLostError: The client is gone.
        """
        await self._stream.write(encode_event(comment=text))


def _text(data: object) -> str:
    if isinstance(data, str):
        return data
    if isinstance(data, dict | list | tuple | int | float | bool | None):
        return json.dumps(data, ensure_ascii=False, default=str)
    return data.decode(errors="replace") if isinstance(data, bytes) else str(data)


def check_parameters(handler: Handler, pattern: str, names: tuple[str, ...]) -> None:
    """Hold a handler's parameters against its route's.

    Raises:
        TypeError: It is no coroutine function, or cannot take the session and the route's parameters.
    """
    name = getattr(handler, "__qualname__", repr(handler))
    if not inspect.iscoroutinefunction(inspect.unwrap(handler)):
        raise TypeError(f"{name}, the handler of {pattern}, is no `async def`")
    _check_call(handler, pattern, ("session",), names)


def check_callback(callback: OnMessage, pattern: str, names: tuple[str, ...]) -> None:
    """Hold the parameters of a function for messages against its route's.

    Raises:
        TypeError: It is no function, or cannot take the session, a message and the route's parameters.
    """
    if not callable(callback):
        raise TypeError(f"on_message of {pattern} is a function over (ws, message), not {callback!r}")
    _check_call(callback, pattern, ("session", "message"), names)


def _check_call(
    handler: Callable[..., object], pattern: str, arguments: tuple[str, ...], names: tuple[str, ...]
) -> None:
    name = getattr(handler, "__qualname__", repr(handler))
    try:
        inspect.signature(handler).bind(*arguments, **dict.fromkeys(names, ""))
    except TypeError as error:
        wanted = ", ".join((*arguments, *names))
        raise TypeError(f"{name} cannot be the handler of {pattern}, which calls it with ({wanted}): {error}") from None


def websocket_run(handler: Handler) -> Run:
    """Make a pipeline's handler of a coroutine over a WebSocket."""

    async def run(stream: Stream, ctx: Context) -> Status:
        if stream.websocket is not None:
            await handler(stream.websocket, **ctx.route_params)
        return Status.CONTINUE

    return run


def callback_run(callback: OnMessage) -> Run:
    """Make a pipeline's handler of a function that is called with each message of a WebSocket.

    A plain function is called straight from the read. A coroutine function is awaited, one message after another.
    """

    async def run(stream: Stream, ctx: Context) -> Status:
        ws = stream.websocket
        if ws is None:
            return Status.CONTINUE
        call = partial(callback, ws, **ctx.route_params)
        if inspect.iscoroutinefunction(inspect.unwrap(callback)):
            async for message in ws:
                await call(message)
        else:
            await ws.deliver_to(call)
        return Status.CONTINUE

    return run


def events_run(handler: Handler) -> Run:
    """Make a pipeline's handler of a coroutine over an event stream."""

    async def run(stream: Stream, ctx: Context) -> Status:
        if not stream.has_sent:
            response = ctx.response.set_header("Content-Type", "text/event-stream")
            response.set_header("Cache-Control", "no-store").set_header("Connection", "close")
            await stream.send(response.build())
        if ctx.request.method == "HEAD":
            return Status.CONTINUE
        stream.recorded.forget_what_comes()
        with Events(stream, ctx) as events:
            try:
                await handler(events, **ctx.route_params)
            except Exception:
                await stream.try_flush()
                raise
        await stream.try_flush()  # a client that has left is no failure of the handler's
        return Status.CONTINUE

    return run


def function_run(handler: Handler) -> Run:
    """Make a pipeline's handler of a coroutine over stream and context."""

    async def run(stream: Stream, ctx: Context) -> Status:
        answer: Any = await handler(stream, ctx)
        return answer if isinstance(answer, Status) else Status.CONTINUE

    return run


def hook_run(hook: type[Any]) -> Run:
    """Make a pipeline's handler of a hook's class: a new object for each request."""

    async def run(stream: Stream, ctx: Context) -> Status:
        answer: Any = await hook(stream, ctx).handle(stream, ctx)
        return answer if isinstance(answer, Status) else Status.CONTINUE

    return run
