"""One receiver of a channel: its bounded queue, what happens when that is full, and the count of it all."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from numbers import Integral, Real
from types import TracebackType
from typing import Any, Self

from lane_kernel.errors import LaneError


class BroadcastError(LaneError):
    """A channel could not do what was asked of it."""


class FellBehindError(BroadcastError):
    """A subscription ended because messages went by that it had no room for.

    What was missed may still be in the history: subscribe again after the `last_id` of the subscription.
    """


class SubscriptionEndedError(BroadcastError):
    """A message was awaited from a subscription that has ended."""


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number and not below the least."""
    return isinstance(value, Integral) and int(value) >= least


def is_time(value: object) -> bool:
    """Whether a value is a time in seconds that can be waited for: a number above 0, which no NaN is."""
    return isinstance(value, Real) and float(value) > 0


class Overflow(Enum):
    """What happens to a message that a subscription's queue has no room for.

    Attributes:
        DROP_OLDEST: The oldest in the queue makes room for it.
        DROP_NEWEST: It is not queued.
        CLOSE: The subscription ends with `FellBehindError`; a WebSocket group closes with 1013.
        WAIT: It is not sent to anyone before there is room: `send` waits for that. Past the bound on that wait the
            subscription ends as with CLOSE.
    """

    DROP_OLDEST = "drop oldest"
    DROP_NEWEST = "drop newest"
    CLOSE = "close"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class BroadcastMessage:
    """What was sent on a channel.

    Attributes:
        id: Its ID; those of one channel are in the order of sending, and no other channel's are like them.
        data: What was sent.
        event: Its event type, for those who pass it on as an event stream; or None.
    """

    id: str
    data: Any
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """What a history can no longer tell.

    Attributes:
        asked: The ID after which everything was asked for.
        oldest: The ID of the oldest message still held; None where none is.
    """

    asked: str
    oldest: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionSnapshot:
    """A subscription at one moment.

    Attributes:
        overflow: What happens when its queue is full.
        capacity: Messages that its queue has room for.
        depth: Messages that wait to be received.
        peak: The most that ever waited in its queue.
        delivered: Messages received.
        dropped: Messages it had no room for.
        waited: How often a `send` had to wait for it.
    """

    overflow: Overflow
    capacity: int
    depth: int
    peak: int
    delivered: int
    dropped: int
    waited: int


Sink = Callable[[BroadcastMessage], bool]
"""Takes a message at once and answers True, or answers False where it has to wait."""


class Subscription:
    """One receiver of a channel; `subscribe` makes it.

        async with channel.subscribe() as subscription:
            async for message in subscription:
                print(message.data)

    One task receives. Where the subscription has a sink, the sink is offered each message while that task waits with
    nothing before it, and the task receives only what the sink did not take: the order is that of sending, and nobody
    is woken for what can be done at once.

    Attributes:
        capacity: Messages that its queue has room for; replayed ones do not count.
        overflow: What happens when the queue is full.
        gap: Where it was subscribed after an ID that the history does not reach back to, what is missing; known once
            `ready` has returned or the first message has come. What is still held is replayed all the same.
        last_id: The ID of the last message received; before the first, the place it began after.
        ended: Done when the subscription has ended, however it did.
        dropped: Messages it had no room for.
        delivered: Messages received, or taken by the sink.
        waited: How often a `send` had to wait for it.
        peak: The most that ever waited in its queue.
    """

    def __init__(
        self,
        name: str,
        *,
        capacity: int,
        overflow: Overflow,
        sink: Sink | None,
        release: Callable[[Subscription], object],
        note_room: Callable[[], object],
    ) -> None:
        """Begin with an empty queue.

        Args:
            name: The channel as messages for people name it.
            capacity: Messages that the queue has room for.
            overflow: What happens when it is full.
            sink: Takes messages at once where it can.
            release: Called once when it has ended.
            note_room: Called when the queue may have room again.

        Raises:
            BroadcastError: The capacity is below 1.
        """
        if not is_whole(capacity, 1):
            raise BroadcastError(f"a subscription's capacity is a whole number and at least 1, not {capacity!r}")
        self.capacity = capacity
        self.overflow = overflow
        self.gap: Gap | None = None
        self.last_id = ""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.dropped = self.delivered = self.waited = self.peak = 0
        self._name = name
        self._sink = sink
        self._release = release
        self._note_room = note_room
        self._replay: deque[BroadcastMessage] = deque()
        self._queue: deque[BroadcastMessage] = deque()
        self._is_new: Callable[[BroadcastMessage], bool] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: BroadcastError | None = None

    @property
    def depth(self) -> int:
        """How many messages wait to be received, replayed ones included."""
        return len(self._replay) + len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether the queue has no room."""
        return len(self._queue) >= self.capacity

    @property
    def error(self) -> BroadcastError | None:
        """Why it ended, where that was not its receiver's or its channel's wish."""
        return self._error

    def snapshot(self) -> SubscriptionSnapshot:
        """The subscription as it is now."""
        return SubscriptionSnapshot(
            self.overflow, self.capacity, self.depth, self.peak, self.delivered, self.dropped, self.waited
        )

    # What the channel does

    def deliver(self, message: BroadcastMessage) -> None:
        """Hand a message to the sink, or queue it."""
        if self._is_new is not None:
            if not self._is_new(message):
                return
            self._is_new = None
        if self._sink is not None and self._waiter is not None and not self._queue and self._sink(message):
            self.delivered += 1
            self.last_id = message.id
            return
        if len(self._queue) >= self.capacity and not self._make_room():
            return
        self._queue.append(message)
        self.peak = max(self.peak, len(self._queue))
        self._wake()

    def _make_room(self) -> bool:
        """Do what was chosen for a full queue; answer whether there is room now."""
        if self.overflow is Overflow.WAIT and len(self._queue) < 2 * self.capacity:
            return True  # sent where nobody could see that it is full: in another kernel
        self.dropped += 1
        if self.overflow is Overflow.DROP_OLDEST:
            self._queue.popleft()
            return True
        if self.overflow is not Overflow.DROP_NEWEST:
            self.fall_behind()
        return False

    def fall_behind(self) -> None:
        """End because there is no room."""
        text = f"a subscription of {self._name} fell behind: its queue of {self.capacity} messages was full"
        self.fail(FellBehindError(f"{text}; receive faster, give it more capacity, or choose another Overflow"))

    def load(self, load: Callable[[], Awaitable[None]]) -> None:
        """Fetch what is to be replayed, before anything is received; the subscription owns the task.

        Args:
            load: Fetches it and calls `begin`.
        """
        self._loading = asyncio.get_running_loop().create_task(self._load(load), context=contextvars.Context())

    async def _load(self, load: Callable[[], Awaitable[None]]) -> None:
        try:
            await load()
        except BroadcastError as error:
            self.fail(error)

    def begin(
        self,
        replay: Iterable[BroadcastMessage],
        gap: Gap | None,
        is_new: Callable[[BroadcastMessage], bool] | None = None,
    ) -> None:
        """Set what comes before the queue.

        Args:
            replay: The messages to replay.
            gap: What is missing before them.
            is_new: Tells the first message that is to come from the queue; all are by default.
        """
        self.gap = gap
        self._replay.extend(replay)
        if is_new is not None:
            while self._queue and not is_new(self._queue[0]):
                self._queue.popleft()
            self._is_new = None if self._queue else is_new

    def fail(self, error: BroadcastError) -> None:
        """End with an error; what waits is dropped, and counted."""
        if not self.ended.done():
            self._error = error
            self.dropped += self.depth
            self._replay.clear()
            self._queue.clear()
            self._end()

    def finish(self) -> None:
        """End after what waits has been received."""
        if not self.ended.done():
            if self._loading is not None:
                self._loading.cancel()
            self._end()

    def _end(self) -> None:
        self.ended.set_result(None)
        self._wake()
        self._note_room()
        self._release(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the receiver does

    async def ready(self) -> Self:
        """Wait until it is known what will be replayed.

        Raises:
            BroadcastError: It cannot be known.
        """
        if self._loading is not None:
            await asyncio.wait({self._loading})
            if self._loading.cancelled() and not self.ended.done():
                raise BroadcastError(f"a subscription of {self._name} was cancelled while it began")
            if not self._loading.cancelled():
                self._loading.result()
            self._loading = None
        if self._error is not None:
            raise self._error
        return self

    async def receive(self, timeout: float | None = None) -> BroadcastMessage:
        """Wait for the next message.

        Args:
            timeout: The bound on the wait in seconds; none by default.

        Raises:
            FellBehindError: It ended because its queue was full.
            SubscriptionEndedError: It has ended, and no message is left.
            BroadcastError: No message came in time, or the channel failed.
        """
        try:
            async with asyncio.timeout(timeout):
                message = await self._next()
        except TimeoutError:
            raise BroadcastError(f"no message came on {self._name} within {timeout:g} s") from None
        if message is None:
            raise SubscriptionEndedError(f"the subscription of {self._name} has ended: no message will come")
        return message

    async def _next(self) -> BroadcastMessage | None:
        if self._waiter is not None:
            raise BroadcastError(
                f"another task receives from this subscription of {self._name}: subscribe once for each"
            )
        if self._loading is not None:
            await self.ready()
        while True:
            if self._replay or self._queue:
                return self._take()
            if self._error is not None:
                raise self._error
            if self.ended.done():
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _take(self) -> BroadcastMessage:
        message = self._replay.popleft() if self._replay else self._queue.popleft()
        self.delivered += 1
        self.last_id = message.id
        self._note_room()
        return message

    def __aiter__(self) -> Self:
        """Yield messages until the subscription ends."""
        return self

    async def __anext__(self) -> BroadcastMessage:
        """Wait for the next message."""
        message = await self._next()
        if message is None:
            raise StopAsyncIteration
        return message

    def close(self) -> None:
        """End it: what waits is not received any more. Harmless where it has ended."""
        self._replay.clear()
        self._queue.clear()
        self.finish()

    async def __aenter__(self) -> Self:
        """Wait until it is known what will be replayed."""
        try:
            return await self.ready()
        except BaseException:
            self.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it."""
        self.close()
