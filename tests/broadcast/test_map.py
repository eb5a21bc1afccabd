"""Channels by key: made when needed, gone when not, bounded, and counted beyond their end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lane_kernel.broadcast import BroadcastError, BroadcastMap, Gap, Overflow
from tests.broadcast.test_channel import BOUNDS


async def test_a_message_reaches_its_own_channel_only() -> None:
    async with BroadcastMap() as rooms, rooms.subscribe_or_insert("a") as a, rooms.subscribe_or_insert("b") as b:
        assert (rooms.receiver_count("a"), rooms.receiver_count("c")) == (1, 0)
        await rooms.send("a", "hello")
        assert (await a.receive(5)).data == "hello"
        assert b.depth == 0
        assert rooms.insert("a").receiver_count == 1


async def test_an_empty_channel_goes_away() -> None:
    rooms = BroadcastMap()
    async with rooms.subscribe_or_insert("a") as first:
        async with rooms.subscribe_or_insert("a"):
            assert len(rooms) == 1
        assert "a" in rooms
        first.close()
        assert "a" not in rooms
    await rooms.send("nobody", "hears this")
    assert await rooms.try_send("nobody", "or this") is not None
    assert len(rooms) == 0
    assert rooms.snapshot().counters.sent == 2


async def test_a_channel_with_a_history_stays_until_its_place_is_needed() -> None:
    rooms = BroadcastMap(history=5, max_channels=2)
    first = await rooms.send("a", 1)
    await rooms.send("b", 1)
    await rooms.send("a", 2)
    async with rooms.subscribe_or_insert("a", after=first.id) as subscription:
        assert (await subscription.receive(5)).data == 2
    async with rooms.subscribe_or_insert("c"):
        assert "a" in rooms
        assert "b" not in rooms
    assert rooms.snapshot().counters.sent == 3


async def test_a_channel_made_anew_knows_that_it_knows_nothing() -> None:
    rooms = BroadcastMap(history=5, max_channels=1)
    old = await rooms.send("a", 1)
    await rooms.send("b", 1)
    async with rooms.subscribe_or_insert("a", after=old.id) as subscription:
        assert subscription.gap == Gap(old.id, None)


async def test_channels_are_bounded() -> None:
    rooms = BroadcastMap(max_channels=2)
    async with rooms.subscribe_or_insert("a"), rooms.subscribe_or_insert("b"):
        for use in (lambda: rooms.insert("c"), lambda: rooms.subscribe_or_insert("c")):
            with pytest.raises(BroadcastError, match="no channel 'c': all 2 of the map are in use"):
                use()
        with pytest.raises(BroadcastError, match="no channel 'c'"):
            await rooms.send("c", 1)
        assert await rooms.try_send("c", 1) is None


@pytest.mark.parametrize("arguments", [{"max_channels": 0}, {"max_channels": "3"}, *BOUNDS])
async def test_a_bound_that_cannot_be_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(BroadcastError, match="at least"):
        BroadcastMap(**arguments)


async def test_a_subscription_that_is_refused_leaves_no_channel() -> None:
    rooms = BroadcastMap()
    with pytest.raises(BroadcastError, match="at least 1"):
        rooms.subscribe_or_insert("a", capacity=0)
    assert len(rooms) == 0


async def test_unsubscribing_a_key_ends_its_subscriptions() -> None:
    rooms = BroadcastMap()
    subscription = rooms.subscribe_or_insert("a")
    await rooms.send("a", 1)
    assert rooms.unsubscribe("a")
    assert not rooms.unsubscribe("a")
    assert [message.data async for message in subscription] == [1]
    assert len(rooms) == 0


@pytest.mark.parametrize("history", [0, 9])
async def test_unsubscribing_a_key_that_someone_waits_to_send_on_tells_it_and_counts_it(history: int) -> None:
    rooms = BroadcastMap(capacity=1, history=history)
    slow = rooms.subscribe_or_insert("a", overflow=Overflow.WAIT)
    await rooms.send("a", 1)
    sending = asyncio.create_task(rooms.send("a", 2))
    await asyncio.sleep(0)
    assert rooms.unsubscribe("a")
    with pytest.raises(BroadcastError, match="none of its 1 subscriptions here received it"):
        await asyncio.wait_for(sending, 5)
    assert [message.data async for message in slow] == [1]
    counters = rooms.snapshot().counters
    assert (counters.sent, counters.dropped, counters.waited, len(rooms)) == (1, 1, 1, 0)


async def test_a_channel_that_someone_still_sends_on_stays() -> None:
    rooms = BroadcastMap(capacity=1)
    slow = rooms.subscribe_or_insert("a", overflow=Overflow.WAIT)
    await rooms.send("a", 1)
    sending = asyncio.create_task(rooms.send("a", 2))
    await asyncio.sleep(0)
    slow.close()
    assert "a" in rooms
    await asyncio.wait_for(sending, 5)
    assert "a" not in rooms


async def test_the_snapshot_tells_of_each_channel_and_of_those_that_went() -> None:
    rooms = BroadcastMap(capacity=1)
    async with rooms.subscribe_or_insert("gone") as subscription:
        for number in range(3):
            await rooms.send("gone", number)
        await subscription.receive(5)
    async with rooms.subscribe_or_insert("here"):
        await rooms.send("here", 1)
        now = rooms.snapshot()
    assert [(one.name, one.receivers, one.depth) for one in now.channels] == [("here", 1, 1)]
    assert (now.counters.sent, now.counters.delivered, now.counters.dropped) == (4, 1, 2)


async def test_closing_ends_every_channel() -> None:
    async with BroadcastMap(history=1) as rooms:
        subscriptions = [rooms.subscribe_or_insert(key) for key in "abc"]
    assert all(subscription.ended.done() for subscription in subscriptions)
    assert len(rooms) == 0
