"""One channel in memory: order, bounds, every Overflow, history with IDs, sinks, and the count of it all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.broadcast import (
    Broadcast,
    BroadcastError,
    BroadcastMessage,
    FellBehindError,
    Gap,
    Overflow,
    Subscription,
    SubscriptionEndedError,
)
from tests.server.raw import until


def waiting(subscription: Subscription) -> list[object]:
    """The data of what waits, received."""
    return [subscription._take().data for _ in range(subscription.depth)]


async def send_all(channel: Broadcast, *data: object) -> list[str]:
    return [(await channel.send(one)).id for one in data]


async def test_every_subscription_receives_everything_in_order() -> None:
    channel = Broadcast()
    async with channel.subscribe() as first, channel.subscribe() as second:
        assert channel.receiver_count == 2
        await send_all(channel, "a", b"b", {"c": 1})
        for subscription in (first, second):
            assert [(await subscription.receive()).data for _ in range(3)] == ["a", b"b", {"c": 1}]
    assert channel.receiver_count == 0


async def test_a_message_carries_an_id_and_an_event_type() -> None:
    channel = Broadcast()
    async with channel.subscribe() as subscription:
        sent = await channel.send("a", event="tick")
        assert sent == await subscription.receive()
        assert sent.event == "tick"
        assert sent.id == channel.last_id == subscription.last_id
    assert sent.id.partition("-")[0] != Broadcast().last_id.partition("-")[0]


@pytest.mark.parametrize("event", ["bad\nname", "bad\rname", "bad\0name", "\ud800", b"bytes", 7])
async def test_an_event_type_that_no_event_stream_could_be_sent_is_refused(event: Any) -> None:
    channel = Broadcast(history=10)
    for send in (channel.send, channel.try_send):
        with pytest.raises(BroadcastError, match="an event type is text without line breaks"):
            await send("a", event=event)
    async with channel.subscribe(after=channel.last_id) as subscription:
        assert (subscription.depth, channel.snapshot().counters.sent) == (0, 0)


async def test_receiving_waits_for_the_next_message() -> None:
    channel = Broadcast()
    async with channel.subscribe() as subscription:
        receiving = asyncio.create_task(subscription.receive())
        await asyncio.sleep(0)
        await channel.send("a")
        assert (await receiving).data == "a"


async def test_a_wait_for_a_message_has_a_bound() -> None:
    async with Broadcast(name="news").subscribe() as subscription:
        with pytest.raises(BroadcastError, match=r"no message came on channel 'news' within 0\.001 s"):
            await subscription.receive(timeout=0.001)


async def test_a_cancelled_wait_loses_nothing() -> None:
    channel = Broadcast()
    async with channel.subscribe() as subscription:
        receiving = asyncio.create_task(subscription.receive())
        await asyncio.sleep(0)
        await channel.send("a")
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        assert (await subscription.receive()).data == "a"


async def test_one_task_receives() -> None:
    async with Broadcast().subscribe() as subscription:
        receiving = asyncio.create_task(subscription.receive())
        await asyncio.sleep(0)
        with pytest.raises(BroadcastError, match="another task receives"):
            await subscription.receive()
        receiving.cancel()
        await asyncio.wait({receiving})


async def test_leaving_ends_the_iteration() -> None:
    channel = Broadcast()
    subscription = channel.subscribe()
    await channel.send("not received any more")
    subscription.close()
    subscription.close()
    assert [message async for message in subscription] == []
    assert subscription.ended.done()
    with pytest.raises(SubscriptionEndedError):
        await subscription.receive()


async def test_a_closed_channel_lets_what_waits_be_received() -> None:
    async with Broadcast() as channel:
        subscription = channel.subscribe()
        await channel.send("a")
    assert [message.data async for message in subscription] == ["a"]
    with pytest.raises(BroadcastError, match="closed"):
        await channel.send("b")
    with pytest.raises(BroadcastError, match="closed"):
        channel.subscribe()


# Overflow


async def test_the_oldest_makes_room() -> None:
    channel = Broadcast(capacity=2)
    async with channel.subscribe(overflow=Overflow.DROP_OLDEST) as subscription:
        await send_all(channel, 1, 2, 3, 4)
        assert (subscription.dropped, subscription.depth, subscription.peak) == (2, 2, 2)
        assert waiting(subscription) == [3, 4]


async def test_the_newest_is_not_queued() -> None:
    channel = Broadcast()
    async with channel.subscribe(capacity=2, overflow=Overflow.DROP_NEWEST) as subscription:
        await send_all(channel, 1, 2, 3, 4)
        assert (subscription.dropped, subscription.depth) == (2, 2)
        assert waiting(subscription) == [1, 2]


async def test_a_slow_one_is_closed_and_nobody_else() -> None:
    channel = Broadcast(capacity=8, name="news")
    slow = channel.subscribe(capacity=2, overflow=Overflow.CLOSE)
    async with channel.subscribe(overflow=Overflow.CLOSE) as quick:
        await send_all(channel, 1, 2, 3)
        assert slow.ended.done()
        assert slow.dropped == 3
        with pytest.raises(FellBehindError, match="channel 'news' fell behind: its queue of 2 messages was full"):
            await slow.receive()
        with pytest.raises(FellBehindError):
            await anext(slow)
        assert waiting(quick) == [1, 2, 3]
        assert channel.receiver_count == 1
    assert channel.snapshot().counters.closed_as_slow == 1


async def test_sending_waits_for_room_and_keeps_the_order() -> None:
    channel = Broadcast(capacity=1)
    async with channel.subscribe(overflow=Overflow.WAIT) as slow, channel.subscribe(capacity=9) as other:
        await channel.send(0)
        sending = [asyncio.create_task(channel.send(number)) for number in (1, 2, 3)]
        await asyncio.sleep(0)
        assert other.depth == 1
        assert await channel.try_send("no room") is None
        assert [(await slow.receive()).data for _ in range(4)] == [0, 1, 2, 3]
        await asyncio.gather(*sending)
        assert waiting(other) == [0, 1, 2, 3]
        assert slow.dropped == 0
        assert slow.waited >= 1


async def test_the_wait_for_room_has_a_bound_and_then_the_slow_one_is_closed() -> None:
    channel = Broadcast(capacity=1, send_timeout=0.001)
    slow = channel.subscribe(overflow=Overflow.WAIT)
    async with channel.subscribe(capacity=9) as other:
        await send_all(channel, 0, 1, 2)
        with pytest.raises(FellBehindError, match="its queue of 1 messages was full"):
            await slow.receive()
        assert waiting(other) == [0, 1, 2]
        assert (slow.waited, channel.snapshot().counters.closed_as_slow) == (1, 1)


@pytest.mark.parametrize("end", [Subscription.close, lambda one: one.fail(BroadcastError("by intent"))])
async def test_whoever_leaves_is_waited_for_no_more(end: Callable[[Subscription], None]) -> None:
    channel = Broadcast(capacity=1)
    slow = channel.subscribe(overflow=Overflow.WAIT)
    await channel.send(0)
    sending = asyncio.create_task(channel.send(1))
    await asyncio.sleep(0)
    end(slow)
    await asyncio.wait_for(sending, 5)


async def test_a_cancelled_send_lets_the_next_go_on() -> None:
    channel = Broadcast(capacity=1)
    async with channel.subscribe(overflow=Overflow.WAIT) as slow:
        await channel.send(0)
        sending = asyncio.create_task(channel.send("cancelled"))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait({sending})
        assert (await slow.receive()).data == 0
        await channel.send(1)
        assert waiting(slow) == [1]


# History


async def test_what_was_missed_comes_first_and_then_what_is_sent() -> None:
    channel = Broadcast(history=5)
    ids = await send_all(channel, *range(5))
    async with channel.subscribe(after=ids[1]) as subscription:
        await send_all(channel, 5, 6)
        assert subscription.gap is None
        assert subscription.depth == 5
        assert waiting(subscription) == [2, 3, 4, 5, 6]


@given(st.integers(0, 6), st.integers(0, 12), st.integers(0, 12), st.integers(0, 4))
def test_exactly_what_came_after_or_a_gap(history: int, sent: int, asked: int, live: int) -> None:
    """For every history and place: no gap unless told, nothing twice, in order."""

    async def check() -> None:
        channel = Broadcast(history=history)
        ids = [channel.last_id, *await send_all(channel, *range(1, sent + 1))]
        place = min(asked, sent)
        subscription = channel.subscribe(after=ids[place])
        await send_all(channel, *range(sent + 1, sent + live + 1))
        held = min(history, sent)
        is_held = place >= sent - held
        oldest = ids[sent - held + 1] if held else None
        assert subscription.gap == (None if is_held else Gap(ids[place], oldest))
        first = place + 1 if is_held else sent - held + 1
        assert waiting(subscription) == list(range(first, sent + live + 1))

    asyncio.run(check())


@pytest.mark.parametrize(
    "asked", ["nonsense", "-", "7", "é", "0-0", "00000000-1", "{origin}-9", "{origin}--1", "{origin}-"]
)
async def test_an_id_that_is_not_of_this_channel_is_a_gap(asked: str) -> None:
    channel = Broadcast(history=2)
    ids = await send_all(channel, "a", "b", "c")
    asked = asked.format(origin=channel.last_id.partition("-")[0])
    async with channel.subscribe(after=asked) as subscription:
        assert subscription.gap == Gap(asked, ids[1])
        assert waiting(subscription) == ["b", "c"]


async def test_who_fell_behind_finds_what_it_missed_in_the_history() -> None:
    channel = Broadcast(history=100)
    slow = channel.subscribe(capacity=3, overflow=Overflow.CLOSE)
    await channel.send(0)
    assert (await slow.receive()).data == 0
    await send_all(channel, *range(1, 9))
    with pytest.raises(FellBehindError):
        await slow.receive()
    async with channel.subscribe(after=slow.last_id) as again:
        assert again.gap is None
        assert waiting(again) == list(range(1, 9))


async def test_who_fell_behind_before_the_first_message_knows_its_place_too() -> None:
    channel = Broadcast(history=9)
    slow = channel.subscribe(capacity=1, overflow=Overflow.CLOSE)
    await send_all(channel, 1, 2)
    assert slow.error is not None
    assert waiting(channel.subscribe(after=slow.last_id)) == [1, 2]


# Sinks


async def test_a_sink_takes_what_it_can_and_the_order_is_kept() -> None:
    """Offered only while the receiver waits with nothing before it; what it refuses and what follows is received."""
    channel = Broadcast()
    seen: list[object] = []
    can = True

    def sink(message: BroadcastMessage) -> bool:
        if can:
            seen.append(message.data)
        return can

    async def receive_all() -> None:
        async for message in subscription:
            seen.append(message.data)
            await asyncio.sleep(0)

    async with channel.subscribe(sink=sink) as subscription:
        await channel.send("queued before anyone receives")
        assert seen == []
        receiving = asyncio.create_task(receive_all())
        await until(lambda: subscription._waiter is not None)
        await send_all(channel, 1, 2)
        assert seen[1:] == [1, 2]
        can = False
        await channel.send(3)
        can = True
        await channel.send(4)
        assert seen[1:] == [1, 2]
        await until(lambda: subscription.delivered == 5)
        await channel.send(5)  # the receiver is still at 4
        await until(lambda: subscription.delivered == 6 and subscription._waiter is not None)
        assert seen[1:] == [1, 2, 3, 4, 5]
        receiving.cancel()
        await asyncio.wait({receiving})


async def test_a_sink_that_raises_ends_its_own_subscription_only() -> None:
    channel = Broadcast()
    broken = channel.subscribe(sink=lambda message: message.data / 0)
    receiving = asyncio.create_task(broken.receive())
    await asyncio.sleep(0)
    async with channel.subscribe() as other:
        await channel.send(1)
        assert waiting(other) == [1]
    with pytest.raises(BroadcastError, match="ZeroDivisionError"):
        await receiving
    assert channel.receiver_count == 0


# Counters and bounds


async def test_everything_is_counted_and_stays_counted() -> None:
    channel = Broadcast(capacity=2, name="news")
    async with channel.subscribe() as lossy, channel.subscribe(capacity=9) as whole:
        await send_all(channel, 1, 2, 3)
        await lossy.receive()
        now = channel.snapshot()
        assert (now.name, now.receivers, now.depth) == ("news", 2, 4)
        assert [one.depth for one in now.subscriptions] == [1, 3]
        assert [one.peak for one in now.subscriptions] == [2, 3]
        assert (now.counters.sent, now.counters.delivered, now.counters.dropped) == (3, 1, 1)
        assert whole.snapshot().overflow is Overflow.DROP_OLDEST
    later = channel.snapshot()
    assert later.counters == now.counters
    assert later.subscriptions == ()


@pytest.mark.parametrize("arguments", [{"capacity": 0}, {"history": -1}, {"send_timeout": 0}])
async def test_a_bound_that_cannot_be_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(BroadcastError, match="at least"):
        Broadcast(**arguments)


async def test_a_subscription_without_room_is_refused() -> None:
    channel = Broadcast()
    with pytest.raises(BroadcastError, match="at least 1"):
        channel.subscribe(capacity=0)
    assert channel.receiver_count == 0


async def test_a_channel_belongs_to_one_loop() -> None:
    channel = Broadcast()
    caught: list[BaseException] = []

    def elsewhere() -> None:
        try:
            asyncio.run(channel.send("x"))
        except BroadcastError as error:
            caught.append(error)

    async with channel.subscribe():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
    assert "another loop" in str(caught[0])


def test_a_channel_may_be_made_where_no_loop_runs_and_used_by_one_after_another() -> None:
    channel = Broadcast()
    for number in (1, 2):
        asyncio.run(send_all(channel, number))
    assert channel.snapshot().counters.sent == 2
