"""Channels: what is sent on one reaches every subscription of it, each through a bounded queue of its own.

`subscription` is one receiver, with what happens when its queue is full; `channel` sends to all of them and keeps a
history with IDs; `map` is channels by key. `redis` is the same over Redis Streams, for more than one kernel:
`redis_link` is the way there, `redis_reader` reads. This room knows neither WebSocket nor HTTP.
"""

from __future__ import annotations

from lane_kernel.broadcast.channel import Broadcast, Channel, ChannelSnapshot, Counters
from lane_kernel.broadcast.map import BroadcastMap, MapSnapshot
from lane_kernel.broadcast.redis import RedisBroadcast, RedisBroadcastMap
from lane_kernel.broadcast.subscription import (
    BroadcastError,
    BroadcastMessage,
    FellBehindError,
    Gap,
    Overflow,
    Subscription,
    SubscriptionEndedError,
    SubscriptionSnapshot,
)

__all__ = [
    "Broadcast",
    "BroadcastError",
    "BroadcastMap",
    "BroadcastMessage",
    "Channel",
    "ChannelSnapshot",
    "Counters",
    "FellBehindError",
    "Gap",
    "MapSnapshot",
    "Overflow",
    "RedisBroadcast",
    "RedisBroadcastMap",
    "Subscription",
    "SubscriptionEndedError",
    "SubscriptionSnapshot",
]
