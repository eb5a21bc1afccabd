"""A channel: what is sent on it reaches every subscription. Its messages have IDs, and the last may be kept."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from types import TracebackType
from typing import Any, Self

from lane_kernel.broadcast.subscription import (
    BroadcastError,
    BroadcastMessage,
    FellBehindError,
    Gap,
    Overflow,
    Sink,
    Subscription,
    SubscriptionSnapshot,
)

CAPACITY = 1024
"""Messages that a subscription's queue has room for by default; Hyperlane's own figure."""

SEND_TIMEOUT = 30.0
"""Default bound on a `send` that waits, in seconds."""

_NOT_IN_EVENT = re.compile("[\r\n\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Counters:
    """What happened on a channel so far, on subscriptions that have ended, too.

    Attributes:
        sent: Messages sent on it from this kernel.
        delivered: Messages received: one that reaches three subscriptions counts three times.
        dropped: Messages that subscriptions had no room for.
        waited: How often a `send` had to wait for a subscription.
        closed_as_slow: Subscriptions that ended because they fell behind.
    """

    sent: int = 0
    delivered: int = 0
    dropped: int = 0
    waited: int = 0
    closed_as_slow: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class ChannelSnapshot:
    """A channel at one moment.

    Attributes:
        name: The channel's key, or "" where it has none.
        counters: What happened on it so far.
        subscriptions: Each open subscription, in the order they were made.
    """

    name: str
    counters: Counters
    subscriptions: tuple[SubscriptionSnapshot, ...]

    @property
    def receivers(self) -> int:
        """How many subscriptions are open."""
        return len(self.subscriptions)

    @property
    def depth(self) -> int:
        """How many messages wait in all of them."""
        return sum(subscription.depth for subscription in self.subscriptions)


def check_event(event: object) -> None:
    """Refuse an event type that no event stream could be sent, before it is kept.

    Raises:
        BroadcastError: It is no str, or holds a line break, NUL or a lone surrogate.

    Source: WHATWG HTML §9.2.5.
    """
    if event is not None and (not isinstance(event, str) or _NOT_IN_EVENT.search(event)):
        raise BroadcastError(f"an event type is text without line breaks, NUL and lone surrogates, not {event!r}")


class Channel(ABC):
    """What every channel does, whatever its engine is; `Broadcast` is the one in memory.

    A channel belongs to the loop that it is first used on.

    Attributes:
        name: Its key in a map, or "".
        capacity: Messages that a subscription's queue has room for by default.
        history: How many of the last messages are kept for those who subscribe after an ID.
        send_timeout: The bound on a `send` that waits, in seconds.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        history: int = 0,
        *,
        send_timeout: float = SEND_TIMEOUT,
        name: str = "",
        on_idle: Callable[[Channel], object] | None = None,
    ) -> None:
        """Make a channel without subscriptions.

        Args:
            capacity: Messages that a subscription's queue has room for by default.
            history: How many of the last messages to keep.
            send_timeout: The bound on a `send` that waits, in seconds.
            name: Its key in a map.
            on_idle: Called when nobody receives any more and nothing is being sent.

        Raises:
            BroadcastError: The capacity is below 1, the history below 0, or the time not above 0.
        """
        if capacity < 1 or history < 0 or send_timeout <= 0:
            raise BroadcastError(
                "a channel has a capacity of at least 1, a history of at least 0 and a send_timeout above 0, "
                f"not {capacity}, {history} and {send_timeout}"
            )
        self.name = name
        self.capacity = capacity
        self.history = history
        self.send_timeout = send_timeout
        self._on_idle = on_idle
        self._subscriptions: dict[Subscription, None] = {}
        self._waited_for: set[Subscription] = set()
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()
        self._sending = 0
        self._sent = 0
        self._past = Counters()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def __str__(self) -> str:
        return f"channel {self.name!r}" if self.name else "a channel"

    @property
    def receiver_count(self) -> int:
        """How many subscriptions it has here."""
        return len(self._subscriptions)

    @property
    def is_idle(self) -> bool:
        """Whether nobody receives and nothing is being sent."""
        return not self._subscriptions and not self._sending

    def snapshot(self) -> ChannelSnapshot:
        """The channel as it is now."""
        open_ones = tuple(subscription.snapshot() for subscription in self._subscriptions)
        counters = Counters(
            self._sent,
            sum(one.delivered for one in open_ones),
            sum(one.dropped for one in open_ones),
            sum(one.waited for one in open_ones),
        )
        return ChannelSnapshot(self.name, self._past + counters, open_ones)

    def _check(self) -> None:
        """Hold the caller to this channel's loop.

        Raises:
            BroadcastError: The channel is closed, or belongs to another loop.
        """
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise BroadcastError(f"{self} is closed: make another")
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise BroadcastError(f"{self} belongs to another loop: use it where it was first used")
            self._loop = loop

    # Subscriptions

    def subscribe(
        self,
        *,
        capacity: int | None = None,
        overflow: Overflow = Overflow.DROP_OLDEST,
        after: str | None = None,
        sink: Sink | None = None,
    ) -> Subscription:
        """Receive what is sent from now on, or from a message on that was received before.

        Args:
            capacity: Messages that its queue has room for; the channel's by default.
            overflow: What happens when the queue is full.
            after: The ID of a message: everything after it comes first, from the history, then what is sent, without
                a gap and without anything twice. Where the history does not reach back, `Subscription.gap` says so.
            sink: Takes messages at once where it can.

        Raises:
            BroadcastError: The channel is closed or belongs to another loop; or the capacity is below 1.
        """
        self._check()
        subscription = Subscription(
            str(self),
            capacity=self.capacity if capacity is None else capacity,
            overflow=overflow,
            sink=sink,
            release=self._release,
            note_room=self._note_room,
        )
        self._subscriptions[subscription] = None
        if overflow is Overflow.WAIT:
            self._waited_for.add(subscription)
        self._begin(subscription, after or None)
        return subscription

    @abstractmethod
    def _begin(self, subscription: Subscription, after: str | None) -> None:
        """Set where a new subscription begins, and what it replays."""

    def _release(self, subscription: Subscription) -> None:
        del self._subscriptions[subscription]
        self._waited_for.discard(subscription)
        last = subscription.snapshot()
        is_slow = isinstance(subscription.error, FellBehindError)
        self._past += Counters(0, last.delivered, last.dropped, last.waited, int(is_slow))
        self._note_idle()

    def _note_idle(self) -> None:
        if self._on_idle is not None and self.is_idle:
            self._on_idle(self)

    def _note_room(self) -> None:
        self._room.set()

    def close(self) -> None:
        """End it: its subscriptions end once they have received what waits for them."""
        self._is_closed = True
        for subscription in tuple(self._subscriptions):
            subscription.finish()

    # Sending

    @abstractmethod
    async def send(self, data: Any, *, event: str | None = None) -> BroadcastMessage:
        """Send a message to every subscription, once those that are waited for have room, or the wait its bound.

        Args:
            data: What to send.
            event: Its event type, for those who pass it on as an event stream.

        Returns:
            The message with its ID.

        Raises:
            BroadcastError: The event type is none; or the channel is closed or belongs to another loop.
        """

    @abstractmethod
    async def try_send(self, data: Any, *, event: str | None = None) -> BroadcastMessage | None:
        """Send a message without waiting for room; None where it was not sent."""

    @contextlib.contextmanager
    def _under_way(self) -> Iterator[None]:
        """Count a message as being sent."""
        self._check()
        self._sending += 1
        try:
            yield
        finally:
            self._sending -= 1
            self._note_idle()

    @property
    def _is_full(self) -> bool:
        """Whether someone who is waited for has no room, or others wait for that already."""
        return self._turn.locked() or bool(self._waited_for and self._full_ones())

    async def _wait_for_room(self) -> None:
        """Wait until all who are waited for have room, or have fallen behind; the caller holds the turn."""
        counted: set[Subscription] = set()
        try:
            async with asyncio.timeout(self.send_timeout):
                while full := self._full_ones():
                    for subscription in full - counted:
                        subscription.waited += 1
                    counted |= full
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            for subscription in self._full_ones():
                subscription.fall_behind()

    def _full_ones(self) -> set[Subscription]:
        return {subscription for subscription in self._waited_for if subscription.is_full}

    def _fan_out(self, message: BroadcastMessage) -> None:
        for subscription in tuple(self._subscriptions):
            try:
                subscription.deliver(message)
            except Exception as error:  # noqa: BLE001 - one receiver's sink harms no other; its own task raises this
                failure = BroadcastError(f"the sink of a subscription of {self} raised {type(error).__name__}: {error}")
                failure.__cause__ = error
                subscription.fail(failure)

    async def __aenter__(self) -> Self:
        """Nothing to do."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class Broadcast(Channel):
    """A channel in this kernel's memory.

        news = lane.Broadcast(history=100)
        async with news.subscribe() as subscription:
            await news.send("hello")
            message = await subscription.receive()

    IDs are a name that no other channel has, and a number that counts up.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        history: int = 0,
        *,
        send_timeout: float = SEND_TIMEOUT,
        name: str = "",
        on_idle: Callable[[Channel], object] | None = None,
    ) -> None:
        """Make a channel without subscriptions; the arguments are `Channel`'s."""
        super().__init__(capacity, history, send_timeout=send_timeout, name=name, on_idle=on_idle)
        self._origin = secrets.token_hex(4)
        self._kept: deque[BroadcastMessage] = deque(maxlen=history)

    @property
    def last_id(self) -> str:
        """The ID of the last message sent; before the first, the place they all come after."""
        return f"{self._origin}-{self._sent}"

    def _begin(self, subscription: Subscription, after: str | None) -> None:
        subscription.last_id = self.last_id if after is None else after
        if after is not None:
            subscription.begin(*self._since(after))

    def _since(self, after: str) -> tuple[list[BroadcastMessage], Gap | None]:
        """What was sent after an ID, and what of it is no longer held."""
        origin, _, number = after.rpartition("-")
        first = self._sent - len(self._kept)
        if origin == self._origin and number.isdecimal() and first <= int(number) <= self._sent:
            return list(itertools.islice(self._kept, int(number) - first, None)), None
        return list(self._kept), Gap(after, self._kept[0].id if self._kept else None)

    async def send(self, data: Any, *, event: str | None = None) -> BroadcastMessage:
        """Send a message to every subscription; see `Channel.send`."""
        check_event(event)
        with self._under_way():
            if not self._is_full:
                return self._publish(data, event)
            async with self._turn:
                await self._wait_for_room()
                return self._publish(data, event)

    async def try_send(self, data: Any, *, event: str | None = None) -> BroadcastMessage | None:
        """Send a message, or answer None where a subscription that is waited for has no room."""
        check_event(event)
        with self._under_way():
            return None if self._is_full else self._publish(data, event)

    def _publish(self, data: Any, event: str | None) -> BroadcastMessage:
        self._sent += 1
        message = BroadcastMessage(self.last_id, data, event)
        self._kept.append(message)
        self._fan_out(message)
        return message
