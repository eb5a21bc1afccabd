"""An event stream that follows a channel: replay by `Last-Event-ID`, exactly or with a word about the gap."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from lane_kernel.broadcast import Broadcast, BroadcastError, BroadcastMap, RedisBroadcastMap
from lane_kernel.client import EventSource
from lane_kernel.server import Server
from tests.broadcast.conftest import require_redis
from tests.broadcast.redis_server import RedisServer
from tests.server.raw import until


@pytest.fixture
def news(server: Server) -> Broadcast:
    """A server whose /news follows a channel with a history of 100."""
    channel = Broadcast(history=100)

    @server.events("/news")
    async def follow(events):
        await events.follow(channel)

    return channel


@pytest.fixture
async def redis_rooms(tmp_path: Path) -> AsyncIterator[RedisBroadcastMap]:
    """A map over a Redis of its own."""
    require_redis()
    redis = RedisServer(tmp_path)
    redis.start()
    async with RedisBroadcastMap(redis.url, send_timeout=10) as rooms:
        yield rooms
    redis.stop()


async def take(server: Server, count: int, last_event_id: str = "", path: str = "/news") -> list[tuple[str, str, str]]:
    async with EventSource(server.url(path), last_event_id=last_event_id) as source:
        return [(event.type, event.data, event.last_event_id) for event in await source.take(count, timeout=5)]


async def test_what_is_sent_arrives_with_its_id_and_type(server: Server, news: Broadcast) -> None:
    async with EventSource(server.url("/news"), reconnect=False) as source:
        await until(lambda: news.receiver_count == 1)
        sent = [
            await news.send("two\nlines"),
            await news.send({"n": 1}, event="tick"),
            await news.send("é".encode()),
            await news.send(7),
        ]
        events = await source.take(4, timeout=5)
    assert [(event.type, event.data) for event in events] == [
        ("message", "two\nlines"),
        ("tick", '{"n": 1}'),
        ("message", "é"),
        ("message", "7"),
    ]
    assert [event.last_event_id for event in events] == [message.id for message in sent]
    await until(lambda: news.receiver_count == 0)
    server.check()


async def test_who_comes_back_is_sent_exactly_what_it_missed(server: Server, news: Broadcast) -> None:
    """WHATWG HTML §9.2.3."""
    ids = [(await news.send(number)).id for number in range(50)]
    for missed in (0, 1, 20, 49):
        place = 49 - missed
        async with EventSource(server.url("/news"), last_event_id=ids[place]) as source:
            await until(lambda: news.receiver_count == 1)
            ids.append((await news.send(len(ids))).id)
            events = await source.take(len(ids) - 1 - place, timeout=5)
            assert [event.last_event_id for event in events] == ids[place + 1 :]
            assert [int(event.data) for event in events] == list(range(place + 1, len(ids)))
        await until(lambda: news.receiver_count == 0)
    assert not [record for record in server.log.records if record.level == "warning"]


async def test_a_client_that_reconnects_by_itself_misses_nothing(server: Server, news: Broadcast) -> None:
    """httpx-sse, which keeps the ID and not the connection: cut off again and again while messages are sent."""
    seen: list[int] = []
    last = (await news.send("before")).id
    sending = asyncio.create_task(_send_slowly(news, 100))
    async with httpx.AsyncClient() as client:
        while len(seen) < 100:
            headers = {"Last-Event-ID": last}
            async with aconnect_sse(client, "GET", server.url("/news"), headers=headers) as source:
                async for event in source.aiter_sse():
                    assert event.event == "message"
                    seen.append(int(event.data))
                    last = event.id
                    if len(seen) % 7 == 0 or len(seen) == 100:
                        break
    await sending
    assert seen == list(range(100))


async def _send_slowly(channel: Broadcast, count: int) -> None:
    for number in range(count):
        await channel.send(number)
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("history", [100, 0])
async def test_an_id_that_is_too_old_or_foreign_is_told(server: Server, history: int) -> None:
    channel = Broadcast(history=history)

    @server.events("/news")
    async def follow(events):
        await events.follow(channel, gap_event="missed")

    ids = [(await channel.send(number)).id for number in range(150)]
    oldest = ids[50] if history else None
    for asked in (ids[20], "of another kernel"):
        (kind, data, last), *held = await take(server, 1 + history, asked)
        assert kind == "missed"
        assert json.loads(data) == {"asked": asked, "oldest": oldest}
        assert last == asked
        assert [int(data) for _, data, _ in held] == list(range(150 - history, 150))
    lines = [record for record in server.log.records if record.level == "warning"]
    assert [line.route for line in lines] == ["/news", "/news"]
    assert f"events after {ids[20]!r} are no longer held" in lines[0].text
    server.check()


async def test_a_message_that_no_event_can_be_made_of_is_passed_over(server: Server, news: Broadcast) -> None:
    before = await news.send("before")
    bad = [await news.send("\ud800"), await news.send({(1, 2): "no key of JSON's"})]
    after = await news.send("after")
    for _ in range(2):  # who comes back is not held up either
        assert await take(server, 1, before.id) == [("message", "after", after.id)]
    lines = [record.text for record in server.log.records if record.level == "warning"]
    assert ["was passed over, no event can be made of it" in line for line in lines] == [True] * 4
    assert all(message.id in lines[number] for number, message in enumerate(bad))
    server.check()


async def test_what_another_program_put_into_redis_ends_no_event_stream(
    server: Server, redis_rooms: RedisBroadcastMap
) -> None:
    @server.events("/news")
    async def follow(events):
        await events.follow(redis_rooms, "news")

    stream = f"{redis_rooms.prefix}stream:news"
    before = await redis_rooms.send("news", "before")
    async with EventSource(server.url("/news"), last_event_id=before.id) as source:
        await until(lambda: redis_rooms.receiver_count("news") == 1)
        poison: Any = {"n": "2", "k": "t", "d": "poison", "e": "bad\nname"}
        await redis_rooms.link.run(lambda client: client.xadd(stream, poison), 5)
        await redis_rooms.link.run(lambda client: client.incr(f"{redis_rooms.prefix}count:news"), 5)
        await redis_rooms.send("news", "after")
        assert [event.data for event in await source.take(1, timeout=5)] == ["after"]
        assert not source.reconnections
    assert [record.text for record in server.log.records if "was passed over" in record.text]
    server.check()


async def test_a_map_is_followed_by_key(server: Server) -> None:
    rooms = BroadcastMap(history=10)

    @server.events("/rooms/{room}")
    async def follow(events, room):
        await events.follow(rooms, room)

    first = await rooms.send("a", 1)
    await rooms.send("b", 2)
    await rooms.send("a", 3)
    assert [data for _, data, _ in await take(server, 1, first.id, "/rooms/a")] == ["3"]


async def test_a_map_without_a_key_is_refused(server: Server) -> None:
    @server.events("/news")
    async def follow(events):
        await events.follow(BroadcastMap())

    async with EventSource(server.url("/news"), reconnect=False) as source:
        assert [event async for event in source] == []
    with pytest.raises(ExceptionGroup) as group:
        server.check()
    assert isinstance(group.value.exceptions[0], BroadcastError)


async def test_a_closed_channel_ends_the_stream(server: Server, news: Broadcast) -> None:
    async with EventSource(server.url("/news"), reconnect=False) as source:
        await until(lambda: news.receiver_count == 1)
        await news.send("last")
        news.close()
        assert [event.data async for event in source] == ["last"]
    server.check()


@pytest.mark.parametrize(("history", "is_whole"), [(1000, True), (50, False)])
async def test_a_slow_client_is_sent_the_rest_from_the_history(server: Server, history: int, is_whole: bool) -> None:
    """Its queue overflows while it does not read; nothing is lost, or the gap is told."""
    channel = Broadcast(capacity=4, history=history)

    @server.events("/news")
    async def follow(events):
        await events.follow(channel)

    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(b"GET /news HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await until(lambda: channel.receiver_count == 1)
    for number in range(300):
        await channel.send(f"{number:4}" + "x" * 60_000)
        await asyncio.sleep(0)
    await until(lambda: channel.snapshot().counters.closed_as_slow == 1)
    numbers: list[int] = []
    is_told = False
    async with asyncio.timeout(20):
        while not numbers or numbers[-1] < 299:
            line = await reader.readuntil(b"\n")
            if line.startswith(b"data: ") and line.endswith(b"x\n"):
                numbers.append(int(line[6:10]))
            is_told = is_told or line == b"event: gap\n"
    writer.transport.abort()
    assert numbers == sorted(set(numbers))
    assert is_told is not is_whole
    assert (numbers == list(range(300))) is is_whole
    await until(lambda: channel.receiver_count == 0)
    server.check()
