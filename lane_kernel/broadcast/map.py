"""Channels by key, made when they are first needed and gone when nobody needs them any more."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from lane_kernel.broadcast.channel import CAPACITY, SEND_TIMEOUT, Broadcast, Channel, ChannelSnapshot, Counters
from lane_kernel.broadcast.subscription import BroadcastError, BroadcastMessage, Overflow, Sink, Subscription, is_whole

MAX_CHANNELS = 4096
"""Default bound on the channels of a map; as many as a server has connections."""


@dataclass(frozen=True, slots=True)
class MapSnapshot:
    """A map at one moment.

    Attributes:
        channels: Each channel, the one that was used least recently first.
        counters: What happened so far on all of them, and on those that have gone up to then.
    """

    channels: tuple[ChannelSnapshot, ...]
    counters: Counters


class BroadcastMap:
    """Channels by key, in this kernel's memory.

        rooms = lane.BroadcastMap()
        async with rooms.subscribe_or_insert("lobby") as subscription:
            await rooms.send("lobby", "hello")
            message = await subscription.receive()

    A channel goes away when its last subscription ends. One with a history stays, so that those who come back find what
    they missed, until its place is needed: the one used least recently goes first.

    Attributes:
        capacity: Messages that a subscription's queue has room for by default.
        history: How many of its last messages each channel keeps.
        send_timeout: The bound on a `send` that waits, in seconds.
        max_channels: How many channels there may be.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        history: int = 0,
        *,
        send_timeout: float = SEND_TIMEOUT,
        max_channels: int = MAX_CHANNELS,
    ) -> None:
        """Make a map without channels.

        Args:
            capacity: Messages that a subscription's queue has room for by default.
            history: How many of its last messages each channel keeps.
            send_timeout: The bound on a `send` that waits, in seconds.
            max_channels: How many channels there may be.

        Raises:
            BroadcastError: A bound is too low.
        """
        if not is_whole(max_channels, 1):
            raise BroadcastError(f"a map has room for a whole number of channels, at least 1, not {max_channels!r}")
        self.capacity = capacity
        self.history = history
        self.send_timeout = send_timeout
        self.max_channels = max_channels
        self._channels: dict[str, Channel] = {}
        self._past = Counters()
        self._make("")  # which refuses bounds that no channel can have

    def _make(self, key: str) -> Channel:
        return Broadcast(self.capacity, self.history, send_timeout=self.send_timeout, name=key, on_idle=self._on_idle)

    def _on_idle(self, channel: Channel) -> None:
        if not channel.history:
            self._remove(channel)

    def _remove(self, channel: Channel) -> None:
        if self._channels.get(channel.name) is channel:
            del self._channels[channel.name]
            self._past += channel.snapshot().counters

    def __len__(self) -> int:
        return len(self._channels)

    def __contains__(self, key: object) -> bool:
        return key in self._channels

    def insert(self, key: str) -> Channel:
        """Make the channel of a key, where there is none.

        Returns:
            The channel. It may go when nobody receives from it: keep the key rather than the channel.

        Raises:
            BroadcastError: There are too many channels, and all are in use.
        """
        channel = self._channels.pop(key, None)
        if channel is None:
            if len(self._channels) >= self.max_channels:
                self._make_place(key)
            channel = self._make(key)
        self._channels[key] = channel  # as the one used last
        return channel

    def _make_place(self, key: str) -> None:
        idle = next((channel for channel in self._channels.values() if channel.is_idle), None)
        if idle is None:
            raise BroadcastError(
                f"no channel {key!r}: all {self.max_channels} of the map are in use; give it a larger max_channels"
            )
        self._remove(idle)

    def subscribe_or_insert(
        self,
        key: str,
        *,
        capacity: int | None = None,
        overflow: Overflow = Overflow.DROP_OLDEST,
        after: str | None = None,
        sink: Sink | None = None,
    ) -> Subscription:
        """Receive from the channel of a key, which is made where there is none; see `Channel.subscribe`.

        Raises:
            BroadcastError: There are too many channels; or as `Channel.subscribe` does.
        """
        channel = self.insert(key)
        try:
            return channel.subscribe(capacity=capacity, overflow=overflow, after=after, sink=sink)
        except BroadcastError:
            if channel.is_idle:
                self._on_idle(channel)
            raise

    def unsubscribe(self, key: str) -> bool:
        """End the channel of a key and all its subscriptions, once they have received what waits for them.

        Returns:
            Whether there was one.
        """
        channel = self._channels.get(key)
        if channel is None:
            return False
        channel.close()
        self._remove(channel)
        return True

    async def send(self, key: str, data: Any, *, event: str | None = None) -> BroadcastMessage:
        """Send a message to every subscription of a key's channel, and into its history; see `Channel.send`.

        Raises:
            BroadcastError: There are too many channels; or as `Channel.send` does.
        """
        return await self.insert(key).send(data, event=event)

    async def try_send(self, key: str, data: Any, *, event: str | None = None) -> BroadcastMessage | None:
        """Send a message without waiting for room; None where it was not sent."""
        try:
            return await self.insert(key).try_send(data, event=event)
        except BroadcastError:
            return None

    def receiver_count(self, key: str) -> int:
        """How many subscriptions the channel of a key has here; 0 where there is none."""
        channel = self._channels.get(key)
        return 0 if channel is None else channel.receiver_count

    def snapshot(self) -> MapSnapshot:
        """The map as it is now."""
        channels = tuple(channel.snapshot() for channel in self._channels.values())
        return MapSnapshot(channels, sum((channel.counters for channel in channels), self._past))

    async def close(self) -> None:
        """End every channel."""
        for key in tuple(self._channels):
            self.unsubscribe(key)

    async def __aenter__(self) -> Self:
        """Nothing to do."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()
