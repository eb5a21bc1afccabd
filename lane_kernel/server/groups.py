"""WebSockets in groups: what one member sends reaches all of them. Hyperlane's WebSocket plugin over broadcast.

    groups = lane.WebSocketGroups()

    @server.websocket("/chat/{room}")
    async def chat(ws, room):
        await groups.run(ws, lane.PointToGroup(room))

Each member has a bounded queue of its own. A message is encoded once, and the same bytes are written to every member
that nothing waits for, in the sender's own step; only for the others does it wait in their queues.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lane_kernel.broadcast import (
    BroadcastError,
    BroadcastMap,
    BroadcastMessage,
    FellBehindError,
    MapSnapshot,
    Overflow,
    Subscription,
)
from lane_kernel.server.sessions import WebSocket
from lane_kernel.server.stream import NotUpgradedError, Stream
from lane_kernel.wire.frames import CloseCode, Frame, Opcode, encode_text
from lane_kernel.wire.messages import Message

CLOSED_TIMEOUT = 1.0
"""Bound on a `closed` hook, in seconds: below what a handler has for its end."""


@dataclass(frozen=True, slots=True)
class PointToGroup:
    """Everyone who gives the same key.

    Attributes:
        key: The group's name.
    """

    key: str

    @property
    def channel(self) -> str:
        """The channel's key."""
        return f"group {json.dumps(self.key)}"


@dataclass(frozen=True, slots=True)
class PointToPoint:
    """Two who give each other's names, in whichever order.

    Attributes:
        first: The one name; of the two the one that sorts first.
        second: The other.
    """

    first: str
    second: str

    def __post_init__(self) -> None:
        """Put the names in order, so that both ends mean the same."""
        if self.second < self.first:
            first, second = self.second, self.first
            object.__setattr__(self, "first", first)
            object.__setattr__(self, "second", second)

    @property
    def channel(self) -> str:
        """The channel's key."""
        return f"point {json.dumps([self.first, self.second])}"


BroadcastType = PointToGroup | PointToPoint
"""Whom a member's messages reach."""


@dataclass(slots=True)
class GroupContext:
    """What a hook is given: one member and the message it is about.

    Attributes:
        ws: The member's WebSocket.
        to: Whom its messages reach.
        groups: The groups.
        message: The message that came from this member, as it is to be sent on; None sends nothing. Only `request` may
            change it, to whatever `WebSocketGroups.send` takes.
        sent: For `sended`, what was sent, with its ID; else None.
    """

    ws: WebSocket
    to: BroadcastType
    groups: WebSocketGroups
    message: Any = None
    sent: BroadcastMessage | None = None

    @property
    def receiver_count(self) -> int:
        """How many members the group has here."""
        return self.groups.receiver_count(self.to)

    async def send(self, message: Any) -> BroadcastMessage:
        """Send a message to every member; see `WebSocketGroups.send`."""
        return await self.groups.send(self.to, message)


Hook = Callable[[GroupContext], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """A member's bounds, and what is run for it. Each hook is a coroutine function over a `GroupContext`.

    Attributes:
        capacity: Messages that wait for this member at the most; the map's bound by default.
        overflow: What happens to more. With CLOSE, and past the bound of WAIT, the member is closed with 1013.
        connected: Run once the member has joined, before any of its messages is read.
        request: Run for each message of this member; it may change what is sent on, or send nothing on.
        sended: Run after it was sent on.
        closed: Run once the member has left, however it did.
    """

    capacity: int | None = None
    overflow: Overflow = Overflow.DROP_OLDEST
    connected: Hook | None = None
    request: Hook | None = None
    sended: Hook | None = None
    closed: Hook | None = None


DEFAULT = GroupConfig()
"""The queue's usual bound, and no hooks."""


@dataclass(slots=True)
class _Encoder:
    """Encodes each message once, however many members it goes to."""

    message: BroadcastMessage | None = None
    frame: bytes = b""

    def encode(self, message: BroadcastMessage) -> bytes:
        if message is not self.message:
            data = _as_message(message.data)
            frame = Frame(Opcode.TEXT, encode_text(data)) if isinstance(data, str) else Frame(Opcode.BINARY, data)
            self.frame, self.message = frame.encode(), message
        return self.frame


def _as_message(data: Any) -> Message:
    """What a channel was sent as a WebSocket message: other than str and bytes goes as JSON.

    Raises:
        BroadcastError: JSON has no form for it.
    """
    if isinstance(data, str | bytes):
        return data
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BroadcastError(
            f"a group sends str, bytes and what JSON has a form for, and not this {type(data).__name__}: {error}"
        ) from error


class WebSocketGroups:
    """Groups of WebSockets over the channels of a map."""

    def __init__(self, rooms: BroadcastMap | None = None) -> None:
        """Begin without members.

        Args:
            rooms: The channels; a map in memory by default. With a `RedisBroadcastMap` a group reaches over kernels.
        """
        self.rooms = BroadcastMap() if rooms is None else rooms
        self._encoder = _Encoder()

    def receiver_count(self, to: BroadcastType) -> int:
        """How many members a group has here."""
        return self.rooms.receiver_count(to.channel)

    def snapshot(self) -> MapSnapshot:
        """The groups as they are now: what waits, what was delivered, dropped, waited for, and closed as slow."""
        return self.rooms.snapshot()

    async def send(self, to: BroadcastType, message: Any) -> BroadcastMessage:
        """Send a message to every member of a group, from anywhere.

        Args:
            to: The group.
            message: Text or bytes, which are copied where they may change; anything else goes as JSON text.

        Raises:
            FrameError: Text that UTF-8 has no bytes for.
            BroadcastError: JSON has no form for the message; or as `BroadcastMap.send` does.
        """
        message = _as_message(message)
        if isinstance(message, str):
            encode_text(message)
        return await self.rooms.send(to.channel, message)

    async def run(self, ws: WebSocket | Stream, to: BroadcastType, config: GroupConfig = DEFAULT) -> None:
        """Make a WebSocket a member: send its messages to the group and the group's to it, until it leaves.

        Args:
            ws: The WebSocket; or the stream of Hyperlane's form, upgraded.
            to: Whom its messages reach. It is sent its own, too.
            config: Its bounds and hooks.

        Raises:
            NotUpgradedError: The stream is no WebSocket.
            BroadcastError: The channel failed, or the `closed` hook took longer than its bound.
            ConnectionLostError: The member is gone, or did not read in time.
        """
        session = ws.websocket if isinstance(ws, Stream) else ws
        if session is None:
            raise NotUpgradedError
        subscription = self.rooms.subscribe_or_insert(
            to.channel,
            capacity=config.capacity,
            overflow=config.overflow,
            sink=lambda message: session.offer(self._encoder.encode(message)),
        )
        context = GroupContext(session, to, self)
        try:
            async with subscription:
                await _call(config.connected, context)
                if session.is_open:
                    await self._exchange(session, subscription, context, config)
        finally:
            context.message = context.sent = None
            await _call_closed(config.closed, context)

    async def _exchange(
        self, session: WebSocket, subscription: Subscription, context: GroupContext, config: GroupConfig
    ) -> None:
        """Read and forward at once, until one of them ends."""
        reading = asyncio.create_task(self._read(session, context, config))
        forwarding = asyncio.create_task(_forward(subscription, session))
        both = {reading, forwarding}
        try:
            await asyncio.wait({*both, subscription.ended}, return_when=asyncio.FIRST_COMPLETED)
            if subscription.ended.done() and subscription.error is None:
                # Its channel was closed: what waits is still sent.
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            elif isinstance(subscription.error, FellBehindError):
                session.report("warning", f"closed with 1013: {subscription.error}")
                await session.close(CloseCode.TRY_AGAIN_LATER, "this client is slower than its group")
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
        if not reading.cancelled():
            reading.result()
        if isinstance(subscription.error, FellBehindError):
            return
        if subscription.error is not None:
            raise subscription.error
        if not forwarding.cancelled():
            forwarding.result()

    async def _read(self, session: WebSocket, context: GroupContext, config: GroupConfig) -> None:
        async for message in session:
            if session.closed_in is not None:
                return  # closed by this end: what it had still said is nobody's
            context.message, context.sent = message, None
            await _call(config.request, context)
            if context.message is not None:
                context.sent = await context.send(context.message)
                await _call(config.sended, context)


async def _forward(subscription: Subscription, session: WebSocket) -> None:
    """Send what the sink did not take."""
    async for message in subscription:
        await session.send(_as_message(message.data))
        await session.flush()  # what comes meanwhile is bounded here, and not in the socket's buffer


async def _call(hook: Hook | None, context: GroupContext) -> None:
    if hook is not None:
        await hook(context)


async def _call_closed(hook: Hook | None, context: GroupContext) -> None:
    """Run a `closed` hook.

    Raises:
        BroadcastError: It took longer than its bound.
    """
    try:
        async with asyncio.timeout(CLOSED_TIMEOUT) as bound:
            await _call(hook, context)
    except TimeoutError as error:
        if not bound.expired():
            raise
        name = getattr(hook, "__qualname__", repr(hook))
        raise BroadcastError(
            f"the closed hook {name} of a member of {context.to.channel} was ended after its bound of "
            f"{CLOSED_TIMEOUT:g} s: have it do less, or hand what takes long to a task"
        ) from error
