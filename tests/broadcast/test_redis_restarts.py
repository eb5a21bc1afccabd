"""Redis is stopped, killed and frozen during traffic: nothing that was acknowledged is lost, nothing comes twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from lane_kernel.broadcast import BroadcastError, BroadcastMap, BroadcastMessage, RedisBroadcastMap, Subscription
from lane_kernel.broadcast.redis_link import RedisAwayError
from tests.broadcast.redis_server import RedisServer
from tests.server.raw import until

RESTARTS = 3


@contextlib.asynccontextmanager
async def maps(server: RedisServer, count: int, **options: float) -> AsyncIterator[list[RedisBroadcastMap]]:
    made = [RedisBroadcastMap(server.url, history=100_000, capacity=100_000, **options) for _ in range(count)]  # type: ignore[arg-type]
    try:
        yield made
    finally:
        for one in made:
            await one.close()


class Sender:
    """Sends numbered messages one after another, and keeps the IDs of those that were acknowledged."""

    def __init__(self, rooms: BroadcastMap, name: str) -> None:
        self.name = name
        self.sent: list[tuple[str, str]] = []
        self._rooms = rooms
        self._stopping = False
        self.task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while not self._stopping:
            data = f"{self.name} {len(self.sent)}"
            self.sent.append(((await self._rooms.send("room", data)).id, data))

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.wait_for(self.task, 30)


async def collect(subscription: Subscription, into: list[tuple[str, str]]) -> None:
    async for message in subscription:
        pair = (message.id, message.data)
        into.append(pair)


async def more(senders: list[Sender]) -> None:
    """Wait until each has sent twenty more."""
    goals = [len(sender.sent) + 20 for sender in senders]
    await until(lambda: all(len(sender.sent) >= goal for sender, goal in zip(senders, goals, strict=True)), 20)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_loses_nothing_and_doubles_nothing(redis_server: RedisServer, how: signal.Signals) -> None:
    """Three senders in two kernels, two of them on one stream at once; a receiver in each of three kernels."""
    async with maps(redis_server, 3) as (first, second, third):
        received: list[list[tuple[str, str]]] = [[], [], []]
        subscriptions = [await rooms.subscribe_or_insert("room").ready() for rooms in (first, second, third)]
        collecting = [asyncio.create_task(collect(*pair)) for pair in zip(subscriptions, received, strict=True)]
        senders = [Sender(first, "a"), Sender(first, "b"), Sender(second, "c")]
        for _ in range(RESTARTS):
            await more(senders)
            await asyncio.to_thread(redis_server.stop, how)
            await asyncio.to_thread(redis_server.start)
        await more(senders)
        for sender in senders:
            await sender.stop()
        sent = sorted(
            (pair for sender in senders for pair in sender.sent),
            key=lambda pair: tuple(int(part) for part in pair[0].split("-")),
        )
        await until(lambda: all(len(one) >= len(sent) for one in received), 20)
        for one in received:
            assert one == sent  # every message, each once, in one order for all
        for sender in senders:
            assert [data for _, data in sender.sent] == [f"{sender.name} {n}" for n in range(len(sender.sent))]
        for subscription in subscriptions:
            subscription.close()
        await asyncio.gather(*collecting)
        async with third.subscribe_or_insert("room", after="0-0") as replayed:
            assert replayed.gap is None
            kept = [await replayed.receive(5) for _ in sent]
            assert [(message.id, message.data) for message in kept] == sent
            assert replayed.depth == 0


async def test_a_redis_that_stands_still_is_waited_for_and_adds_once(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen with the message in its hands: tries are given up and made again, and all of them reach it at once."""
    monkeypatch.setattr("lane_kernel.broadcast.redis_link.COMMAND_TIMEOUT", 0.1)
    async with maps(redis_server, 1) as (rooms,):
        await rooms.send("room", "before")
        assert redis_server.process is not None
        redis_server.process.send_signal(signal.SIGSTOP)
        sending = asyncio.create_task(rooms.send("room", "while it stood still"))
        tries = 0
        make = rooms.link._own_client

        def counted() -> Redis:
            nonlocal tries
            tries += 1
            return make()

        monkeypatch.setattr(rooms.link, "_own_client", counted)
        await until(lambda: tries >= 3)
        redis_server.process.send_signal(signal.SIGCONT)
        last = await asyncio.wait_for(sending, 10)
        after = await rooms.send("room", "after")
        async with rooms.subscribe_or_insert("room", after="0-0") as subscription:
            received = [await subscription.receive(5) for _ in range(3)]
            assert [message.data for message in received] == ["before", "while it stood still", "after"]
            assert [message.id for message in received[1:]] == [last.id, after.id]
            assert subscription.depth == 0


async def test_a_send_that_was_given_up_may_come_once_and_never_after_a_later_one(redis_server: RedisServer) -> None:
    async with maps(redis_server, 1, send_timeout=0.3) as (rooms,):
        assert redis_server.process is not None
        first = await rooms.send("room", "first")
        redis_server.process.send_signal(signal.SIGSTOP)
        with pytest.raises(RedisAwayError, match=r"did not answer within 0\.3 s"):
            await rooms.send("room", "given up")
        redis_server.process.send_signal(signal.SIGCONT)
        later = await rooms.send("room", "later")
        async with rooms.subscribe_or_insert("room", after="0-0") as subscription:
            received: list[BroadcastMessage] = []
            while not received or received[-1].id != later.id:
                received.append(await subscription.receive(5))
            assert received[0] == first
            assert [message.data for message in received] in (["first", "later"], ["first", "given up", "later"])


async def test_a_redis_that_stays_away_ends_the_subscriptions_and_one_that_is_back_serves_new_ones(
    redis_server: RedisServer,
) -> None:
    async with maps(redis_server, 1, send_timeout=0.5) as (rooms,):
        subscription = await rooms.subscribe_or_insert("room").ready()
        seen = await rooms.send("room", "seen")
        assert await subscription.receive(5) == seen
        await asyncio.to_thread(redis_server.stop)
        with pytest.raises(BroadcastError, match="did not answer"):
            await subscription.receive(10)
        assert "room" not in rooms
        await asyncio.to_thread(redis_server.start)
        missed = await rooms.send("room", "missed")
        async with rooms.subscribe_or_insert("room", after=subscription.last_id) as again:
            assert await again.receive(5) == missed
            live = await rooms.send("room", "live")
            assert await again.receive(5) == live


async def test_who_subscribes_while_it_is_away_begins_when_it_is_back(redis_server: RedisServer) -> None:
    async with maps(redis_server, 1) as (rooms,):
        first = await rooms.send("room", 1)
        second = await rooms.send("room", 2)
        await asyncio.to_thread(redis_server.stop)
        subscription = rooms.subscribe_or_insert("room", after=first.id)
        sending = asyncio.create_task(rooms.send("room", 3))
        await asyncio.sleep(0)
        await asyncio.to_thread(redis_server.start)
        assert await subscription.receive(10) == second
        assert await subscription.receive(10) == await sending
        subscription.close()
