"""Channels over a real Redis: what reaches whom, replay by ID, gaps, bounds, and errors that say where."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import traceback
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.broadcast import (
    BroadcastError,
    FellBehindError,
    Gap,
    Overflow,
    RedisBroadcast,
    RedisBroadcastMap,
    Subscription,
)
from lane_kernel.broadcast.redis_link import RedisAwayError, without_password
from tests.broadcast.redis_server import RedisServer
from tests.server.raw import until


async def take(subscription: Subscription, count: int) -> list[object]:
    return [(await subscription.receive(5)).data for _ in range(count)]


async def send_all(rooms: RedisBroadcastMap, key: str, *data: object) -> list[str]:
    return [(await rooms.send(key, one)).id for one in data]


async def test_two_kernels_share_a_room(rooms: RedisBroadcastMap, others: RedisBroadcastMap) -> None:
    async with rooms.subscribe_or_insert("a") as here, others.subscribe_or_insert("a") as there:
        sent = [await rooms.send("a", "one"), await others.send("a", b"\x00\xff", event="tick")]
        sent.append(await rooms.send("a", {"n": [1, None, "é"]}))
        for subscription in (here, there):
            assert [await subscription.receive(5) for _ in sent] == sent
            assert subscription.last_id == sent[-1].id
        assert (rooms.receiver_count("a"), others.receiver_count("a")) == (1, 1)


async def test_who_subscribed_is_reached_by_what_is_sent_next(rooms: RedisBroadcastMap) -> None:
    """As in memory: without waiting for anything in between."""
    subscription = rooms.subscribe_or_insert("a")
    await rooms.send("a", 1)
    assert await take(subscription, 1) == [1]
    subscription.close()


async def test_channels_are_read_as_they_come_and_go(rooms: RedisBroadcastMap, others: RedisBroadcastMap) -> None:
    for _ in range(5):
        subscriptions = {}
        for key in "abc":
            subscriptions[key] = await rooms.subscribe_or_insert(key).ready()
            await others.send(key, key)
            assert await take(subscriptions[key], 1) == [key]
        for key, subscription in subscriptions.items():
            subscription.close()
            assert key not in rooms
        await others.send("a", "to nobody")
    assert len(rooms) == 0


async def test_an_orphan_channel_is_the_same_stream(rooms: RedisBroadcastMap) -> None:
    channel = rooms.insert("a")
    channel.subscribe().close()
    assert "a" not in rooms
    async with channel.subscribe() as old, rooms.subscribe_or_insert("a") as new:
        await asyncio.gather(channel.send(1), rooms.send("a", 1), channel.send(1), rooms.send("a", 1))
        assert await take(old, 4) == await take(new, 4) == [1] * 4


async def test_the_order_of_sending_is_kept(rooms: RedisBroadcastMap) -> None:
    async with rooms.subscribe_or_insert("a") as subscription:
        await asyncio.gather(*(rooms.send("a", number) for number in range(200)))
        assert await take(subscription, 200) == list(range(200))


async def test_what_was_missed_comes_first_and_then_what_is_sent(
    rooms: RedisBroadcastMap, others: RedisBroadcastMap
) -> None:
    ids = await send_all(rooms, "a", *range(30))
    sending = asyncio.create_task(send_all(others, "a", *range(30, 60)))
    for place in (0, 12, 29):
        async with others.subscribe_or_insert("a", after=ids[place]) as subscription:
            assert subscription.gap is None
            assert await take(subscription, 59 - place) == list(range(place + 1, 60))
    await sending
    async with rooms.subscribe_or_insert("a"), rooms.subscribe_or_insert("a", after=ids[0]) as second:
        assert await take(second, 59) == list(range(1, 60))


async def test_the_place_before_the_first_message_is_one(rooms: RedisBroadcastMap) -> None:
    async with rooms.subscribe_or_insert("a") as subscription:
        place = subscription.last_id
    await send_all(rooms, "a", 1, 2)
    async with rooms.subscribe_or_insert("a", after=place) as again:
        assert again.gap is None
        assert await take(again, 2) == [1, 2]


async def test_an_id_that_is_too_old_is_told(shared_redis: RedisServer, rooms: RedisBroadcastMap) -> None:
    async with RedisBroadcastMap(shared_redis.url, history=10, prefix=rooms.prefix) as short:
        ids = await send_all(short, "a", *range(350))
        async with short.subscribe_or_insert("a", after=ids[20]) as subscription:
            gap = subscription.gap
            assert gap is not None
            assert gap.asked == ids[20]
            assert gap.oldest in ids[101:341]
            held = ids.index(gap.oldest)
            assert await take(subscription, 350 - held) == list(range(held, 350))
        async with short.subscribe_or_insert("a", after=ids[-11]) as subscription:
            assert subscription.gap is None
            assert await take(subscription, 10) == list(range(340, 350))
        async with short.subscribe_or_insert("a", after="0-0") as subscription:
            assert subscription.gap == Gap("0-0", gap.oldest)


FOREIGN = ["nonsense", "1-1", "9999999999999-0", "99999999999999999999-0", "abcd1234-5", "7", "-"]


@pytest.mark.parametrize("asked", FOREIGN)
@pytest.mark.parametrize("is_open", [True, False])
async def test_an_id_that_is_not_of_this_channel_is_a_gap(rooms: RedisBroadcastMap, asked: str, is_open: bool) -> None:
    async with rooms.subscribe_or_insert("a", after=asked) as subscription:
        assert subscription.gap == Gap(asked, None)
    ids = await send_all(rooms, "a", "a", "b")
    opened = rooms.subscribe_or_insert("a") if is_open else None
    async with rooms.subscribe_or_insert("a", after=asked) as subscription:
        assert subscription.gap == Gap(asked, ids[0])
        assert await take(subscription, 2) == ["a", "b"]
        await rooms.send("a", "c")
        assert await take(subscription, 1) == ["c"]
    if opened is not None:
        opened.close()


async def test_an_id_that_this_kernel_has_not_read_yet_is_no_gap_and_comes_not_twice(
    rooms: RedisBroadcastMap, others: RedisBroadcastMap
) -> None:
    async with rooms.subscribe_or_insert("a") as behind:
        for number in range(50):
            first, second = await send_all(others, "a", number, -number)
            async with rooms.subscribe_or_insert("a", after=first) as subscription:
                assert subscription.gap is None
                assert (await subscription.receive(5)).id == second
        assert len(await take(behind, 100)) == 100


async def test_an_id_ahead_of_a_reading_that_stands_still_is_not_repeated_when_it_goes_on(
    rooms: RedisBroadcastMap, others: RedisBroadcastMap
) -> None:
    async with rooms.subscribe_or_insert("a"):
        channel = rooms.insert("a")
        assert isinstance(channel, RedisBroadcast)
        await rooms.reader.close()
        ids = await send_all(others, "a", *range(5))
        async with rooms.subscribe_or_insert("a", after=ids[2]) as subscription:
            assert subscription.gap is None
            rooms.reader.add(channel)
            assert await take(subscription, 2) == [3, 4]


async def test_an_answer_that_overlaps_the_last_is_taken_from_where_it_is_new(rooms: RedisBroadcastMap) -> None:
    async with rooms.subscribe_or_insert("a") as subscription:
        await send_all(rooms, "a", *range(3))
        assert await take(subscription, 3) == [0, 1, 2]
        channel = rooms.insert("a")
        assert isinstance(channel, RedisBroadcast)
        channel.take(await rooms.link.run(lambda client: client.xrange(channel.stream), 5))
        assert subscription.depth == 0


async def test_all_who_send_on_a_key_take_turns(rooms: RedisBroadcastMap) -> None:
    """Also through a channel that is no longer the map's: the script knows the last count of a map only."""
    channel = rooms.insert("a")
    channel.subscribe().close()
    assert rooms.insert("a") is not channel
    async with rooms.turn("a"):
        sending = [asyncio.create_task(one) for one in (channel.send(1), rooms.send("a", 1))]
        for _ in range(3):
            await rooms.link.run(lambda client: client.client_id(), 5)
        assert await rooms.link.run(lambda client: client.exists(f"{rooms.prefix}stream:a"), 5) == 0
    await asyncio.gather(*sending)


async def test_messages_that_were_trimmed_before_they_were_read_are_not_passed_over_in_silence(
    shared_redis: RedisServer, rooms: RedisBroadcastMap
) -> None:
    subscription = await rooms.subscribe_or_insert("a").ready()
    assert rooms.reader._task is not None
    await rooms.send("a", "read")
    assert await take(subscription, 1) == ["read"]
    await rooms.reader.close()  # this kernel's reading stands still
    async with RedisBroadcastMap(shared_redis.url, history=5, prefix=rooms.prefix) as short:
        ids = await send_all(short, "a", *range(300))
    channel = rooms.insert("a")
    assert isinstance(channel, RedisBroadcast)
    rooms.reader.add(channel)
    with pytest.raises(FellBehindError, match=r"channel 'a' after .* were trimmed from Redis before this kernel read"):
        await subscription.receive(5)
    async with rooms.subscribe_or_insert("a", after=subscription.last_id) as again:
        assert again.gap is not None
        assert again.gap.oldest in ids


async def test_entries_that_others_add_by_hand_are_passed_over(rooms: RedisBroadcastMap) -> None:
    async with rooms.subscribe_or_insert("a") as subscription:
        await rooms.send("a", 1)
        stream = f"{rooms.prefix}stream:a"
        by_hand: Any = await rooms.link.run(lambda client: client.xadd(stream, {"by": "hand"}), 5)
        await rooms.send("a", 2)
        assert await take(subscription, 2) == [1, 2]
        async with rooms.subscribe_or_insert("a", after="0-0") as again:
            assert await take(again, 2) == [1, 2]
        async with rooms.subscribe_or_insert("a", after=by_hand.decode()) as foreign:
            assert foreign.gap is not None


async def test_an_entry_by_hand_at_the_end_is_a_place_to_begin_at(rooms: RedisBroadcastMap) -> None:
    stream = f"{rooms.prefix}stream:a"
    await send_all(rooms, "a", 1, 2)
    await rooms.link.run(lambda client: client.xadd(stream, {"by": "hand"}), 5)
    async with rooms.subscribe_or_insert("a") as subscription:
        await send_all(rooms, "a", 3, 4)
        assert await take(subscription, 2) == [3, 4]


NOT_OURS = [
    {"n": "abc"},
    {"n": "2"},
    {"n": "2", "k": "t"},
    {"n": "abc", "k": "t", "d": "x"},
    {"n": "2", "k": "?", "d": "x"},
    {"n": "2", "k": "j", "d": "no JSON"},
    {"n": "2", "k": "j", "d": "[" * 100_000},
    {"n": "2", "k": "t", "d": b"\xff"},
    {"n": "2", "k": "t", "d": "x", "e": b"\xff"},
    {"n": "9" * 5000, "k": "t", "d": "x"},
]


@pytest.mark.parametrize("fields", NOT_OURS, ids=range(len(NOT_OURS)))
async def test_what_is_no_message_ends_no_subscription_wherever_it_stands(
    rooms: RedisBroadcastMap, others: RedisBroadcastMap, fields: Any
) -> None:
    """While it is read, at the end of the stream where reading begins, and in what is replayed."""

    async def by_hand() -> str:
        entry_id: Any = await rooms.link.run(lambda client: client.xadd(f"{rooms.prefix}stream:a", fields), 5)
        return str(entry_id.decode())

    async with rooms.subscribe_or_insert("a") as subscription, rooms.subscribe_or_insert("b") as neighbour:
        first = await rooms.send("a", 1)
        await by_hand()
        await send_all(rooms, "a", 2)
        last = await by_hand()
        async with others.subscribe_or_insert("a") as late, others.subscribe_or_insert("a", after=first.id) as again:
            await send_all(rooms, "a", 3)
            await send_all(rooms, "b", 4)
            assert await take(subscription, 3) == [1, 2, 3]
            assert await take(neighbour, 1) == [4]
            assert await take(late, 1) == [3]
            assert await take(again, 2) == [2, 3]
        async with others.subscribe_or_insert("a", after=last) as foreign:
            assert foreign.gap == Gap(last, first.id)


class BrokenChannel:
    """A channel that cannot take an entry."""

    position = "0-0"

    def __init__(self, rooms: RedisBroadcastMap) -> None:
        self.stream = f"{rooms.prefix}stream:broken"
        self.reader = rooms.reader
        self.failed: asyncio.Future[BroadcastError] = asyncio.get_running_loop().create_future()

    def take(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        raise ZeroDivisionError("by intent")

    def fail(self, error: BroadcastError) -> None:
        self.failed.set_result(error)
        self.reader.discard(self)


async def test_a_channel_that_fails_ends_no_other(rooms: RedisBroadcastMap) -> None:
    async with rooms.subscribe_or_insert("a") as neighbour:
        await rooms.send("broken", 1)
        broken = BrokenChannel(rooms)
        rooms.reader.add(broken)
        error = await asyncio.wait_for(broken.failed, 5)
        assert "reading from Redis at redis://127" in str(error)
        assert isinstance(error.__cause__, ZeroDivisionError)
        await rooms.send("a", 1)
        assert await take(neighbour, 1) == [1]


# Exactly once


async def test_a_message_that_is_sent_again_is_added_once(rooms: RedisBroadcastMap) -> None:
    """The script itself: a count again answers the same ID, a count that was given up is not added any more."""
    channel = rooms.insert("a")
    counts = iter([1, 2, 2, 1, 3])
    rooms.next_count = lambda: next(counts)  # type: ignore[method-assign]
    first = await channel.send("one")
    second = await channel.send("two")
    assert (await channel.send("two")).id == second.id
    with pytest.raises(BroadcastError, match="given up"):
        await channel.send("one")
    third = await channel.send("three")
    async with channel.subscribe(after="0-0") as subscription:
        received = [await subscription.receive(5) for _ in range(3)]
    assert received == [first, second, third]
    assert [message.data for message in received] == ["one", "two", "three"]


async def test_a_connection_lost_before_the_answer_adds_once(
    shared_redis: RedisServer, rooms: RedisBroadcastMap
) -> None:
    """A man in the middle passes the script on to Redis and swallows the answer, again and again."""
    swallowed = 0

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal swallowed
        ours, theirs = await asyncio.open_connection("127.0.0.1", shared_redis.port)
        try:
            while data := await reader.read(65536):
                theirs.write(data)
                answer = await ours.read(65536)
                if b"XADD" in data and swallowed < 3:
                    swallowed += 1
                    return
                writer.write(answer)
        finally:
            writer.close()
            theirs.close()
            await asyncio.wait([asyncio.ensure_future(one.wait_closed()) for one in (writer, theirs)])

    middle = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    port = middle.sockets[0].getsockname()[1]
    async with RedisBroadcastMap(f"redis://127.0.0.1:{port}/0", prefix=rooms.prefix) as through:
        sent = await send_all(through, "a", 1, 2)
    middle.close()
    await middle.wait_closed()
    assert swallowed == 3
    async with rooms.subscribe_or_insert("a", after="0-0") as subscription:
        received = [await subscription.receive(5) for _ in range(2)]
        assert [(message.id, message.data) for message in received] == [(sent[0], 1), (sent[1], 2)]
        assert subscription.depth == 0
        assert await rooms.link.run(lambda client: client.xlen(f"{rooms.prefix}stream:a"), 5) == 2


# Overflow and bounds


async def test_each_overflow_does_what_it_says(rooms: RedisBroadcastMap, others: RedisBroadcastMap) -> None:
    by = {overflow: rooms.subscribe_or_insert("a", capacity=4, overflow=overflow) for overflow in Overflow}
    whole = rooms.subscribe_or_insert("a")
    await whole.ready()
    await send_all(others, "a", *range(9))
    assert await take(whole, 9) == list(range(9))
    assert await take(by[Overflow.DROP_OLDEST], 4) == [5, 6, 7, 8]
    assert await take(by[Overflow.DROP_NEWEST], 4) == [0, 1, 2, 3]
    for slow in (by[Overflow.CLOSE], by[Overflow.WAIT]):  # WAIT: from another kernel, past twice its room
        with pytest.raises(FellBehindError):
            await slow.receive(5)
    assert rooms.snapshot().counters.closed_as_slow == 2


async def test_sending_waits_for_room_in_this_kernel(rooms: RedisBroadcastMap) -> None:
    async with rooms.subscribe_or_insert("a", capacity=2, overflow=Overflow.WAIT) as slow:
        sending = asyncio.create_task(send_all(rooms, "a", *range(20)))
        await until(lambda: slow.waited)
        assert not sending.done()
        assert await rooms.try_send("a", "no room") is None
        assert await take(slow, 20) == list(range(20))
        await asyncio.wait_for(sending, 5)
        assert slow.dropped == 0


async def test_a_stream_and_what_belongs_to_it_are_forgotten_in_time(
    shared_redis: RedisServer, rooms: RedisBroadcastMap
) -> None:
    async with RedisBroadcastMap(shared_redis.url, prefix=rooms.prefix, expires=60) as brief:
        await brief.send("a", 1)
    keys = await rooms.link.run(lambda client: client.keys(f"{rooms.prefix}*"), 5)
    assert len(keys) == 3
    for key in keys:
        seconds = await rooms.link.run(lambda client, key=key: client.ttl(key), 5)  # type: ignore[misc]
        assert 0 < seconds <= (60 if b":from:" not in key else 24 * 3600)


@pytest.mark.parametrize("arguments", [{"history": 0}, {"expires": 0}, {"send_timeout": 0}, {"send_timeout": 1e6}])
async def test_a_bound_that_cannot_be_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(BroadcastError, match="at least"):
        RedisBroadcastMap("redis://127.0.0.1", **arguments)


async def test_closing_leaves_no_task_and_no_connection(shared_redis: RedisServer, rooms: RedisBroadcastMap) -> None:
    clients = await rooms.link.run(lambda client: client.client_list(), 5)
    before = len(clients)
    async with RedisBroadcastMap(shared_redis.url, prefix=rooms.prefix) as made:
        subscription = made.subscribe_or_insert("a")
        await made.send("a", 1)
        assert len(await rooms.link.run(lambda client: client.client_list(), 5)) > before
        made.subscribe_or_insert("b", after="1-1")  # and it is still loading
    assert [message.data async for message in subscription] in ([1], [])
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in tasks if "lane_kernel" in repr(task.get_coro())]
    async with asyncio.timeout(5):
        while len(await rooms.link.run(lambda client: client.client_list(), 5)) > before:
            pass


async def test_the_reading_ends_with_the_last_subscription(rooms: RedisBroadcastMap) -> None:
    async with rooms.subscribe_or_insert("a"):
        task = rooms.reader._task
        assert task is not None
    await asyncio.wait_for(task, 5)


async def test_an_event_type_that_no_event_stream_could_be_sent_is_refused(rooms: RedisBroadcastMap) -> None:
    for event in ("bad\nname", "bad\0name", "\ud800"):
        with pytest.raises(BroadcastError, match="an event type is text without line breaks"):
            await rooms.send("a", 1, event=event)
        assert await rooms.try_send("a", 1, event=event) is None
    async with rooms.subscribe_or_insert("a", after="0-0") as subscription:
        assert subscription.depth == 0


async def test_bytes_that_may_change_are_copied(rooms: RedisBroadcastMap) -> None:
    async with rooms.subscribe_or_insert("a") as subscription:
        for data in (bytearray(b"x"), memoryview(b"x")):
            assert (await rooms.send("a", data)).data == b"x"
        assert await take(subscription, 2) == [b"x", b"x"]


# Errors


async def test_a_redis_that_is_not_there_is_named_without_its_password(unused_tcp_port: int) -> None:
    url = f"redis://me:secret@127.0.0.1:{unused_tcp_port}/3"
    async with RedisBroadcastMap(url, send_timeout=0.2) as rooms:
        with pytest.raises(RedisAwayError) as caught:
            await rooms.send("a", 1)
        assert f"Redis at redis://127.0.0.1:{unused_tcp_port}/3 did not answer within 0.2 s" in str(caught.value)
        assert await rooms.try_send("a", 1) is None
        with pytest.raises(RedisAwayError) as failed:
            await rooms.subscribe_or_insert("a").receive(5)
        assert "secret" not in str(caught.value) + str(failed.value)


async def test_a_redis_that_wants_another_password_refuses_at_once(shared_redis: RedisServer) -> None:
    url = f"redis://me:secret@127.0.0.1:{shared_redis.port}/0"
    async with RedisBroadcastMap(url) as rooms:
        with pytest.raises(BroadcastError, match=r"Redis at redis://127.* refused: AuthenticationError"):
            await asyncio.wait_for(rooms.send("a", 1), 5)
        with pytest.raises(BroadcastError, match="refused"):
            await asyncio.wait_for(rooms.subscribe_or_insert("a").receive(), 5)


async def test_a_key_of_another_type_is_refused(rooms: RedisBroadcastMap) -> None:
    await rooms.link.run(lambda client: client.set(f"{rooms.prefix}stream:a", "text"), 5)
    with pytest.raises(BroadcastError, match="WRONGTYPE"):
        await rooms.send("a", 1)


async def test_what_json_has_no_form_for_is_refused(rooms: RedisBroadcastMap) -> None:
    with pytest.raises(TypeError):
        await rooms.send("a", object())


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379", "redis://[bad", "redis://h:port"])
async def test_what_is_no_redis_url_is_refused(url: str) -> None:
    with pytest.raises(BroadcastError, match="is no Redis URL"):
        RedisBroadcastMap(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:p@ss@host/1", "redis://host/1"),
        ("redis://:sec/ret@host:1/0", "redis://host:1/0"),
        ("redis://:sec#ret@host:1/0", "redis://host:1/0"),
        ("redis://:sec?ret@host:1/0", "redis://..."),
        ("redis://host/0?password=sec@ret", "redis://..."),
        ("redis://:sec//ret@host", "redis://host"),
        ("rediss://me:secret@host:1?password=other", "rediss://host:1"),
        ("unix://me:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("redis://[bad", "redis://[bad"),
        ("me:secret@host:6379", "a URL that cannot be read"),
        ("me:secret@redis://host", "a URL that cannot be read"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@given(
    user=st.text("abc:/?#@[]%&= \\", max_size=5),
    password=st.text("XYZ/?#@:[]%&= \\", min_size=3, max_size=9),
    query=st.sampled_from(["", "?db=1", "?protocol=3", "#part"]),
)
def test_no_part_of_a_password_is_ever_shown(user: str, password: str, query: str) -> None:
    """Neither in the error nor in what it was raised from, whatever the password is made of."""
    url = f"redis://{user}:{password}@h:1/0{query}"
    assert not set("XYZ") & set(without_password(url))
    said = ""
    try:
        RedisBroadcastMap(url)
    except BroadcastError as error:
        said = "".join(line for line in traceback.format_exception(error) if not line.startswith("  File"))
    assert not set("XYZ") & set(said)


@pytest.mark.parametrize("character", "/?#")
def test_a_password_that_ends_too_early_is_refused_with_the_way_to_write_it(character: str) -> None:
    with pytest.raises(BroadcastError, match="%2F, %3F and %23"):
        RedisBroadcastMap(f"redis://:12{character}34@127.0.0.1:1/0")
    RedisBroadcastMap(f"redis://:12{quote(character, '')}34@127.0.0.1:1/0")


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1/0?protocol=3",
        "redis://127.0.0.1/0?decode_responses=True",
        "redis://127.0.0.1/0?socket_timeout=1&db=1",
        "redis://127.0.0.1/0?foo=bar",
        "redis://127.0.0.1/0?foo",
        "redis://127.0.0.1/0?%70rotocol=3",
        "redis://127.0.0.1/0?password=secret",
        "redis://127.0.0.1/0?ssl_ca_certs=file",
        "unix:///run/redis.sock?protocol=3",
    ],
)
def test_a_query_that_would_change_what_the_map_sets_is_refused(url: str) -> None:
    with pytest.raises(BroadcastError, match="has a query that holds more than db: take the rest out") as caught:
        RedisBroadcastMap(url)
    assert "secret" not in str(caught.value)


async def test_a_query_may_name_the_database_and_the_files_for_tls(shared_redis: RedisServer) -> None:
    RedisBroadcastMap("rediss://127.0.0.1/0?ssl_ca_certs=authorities&ssl_certfile=certificate&ssl_keyfile=key")
    async with RedisBroadcastMap(f"redis://127.0.0.1:{shared_redis.port}?db=3", prefix="query:") as rooms:
        await rooms.send("a", 1)
        info: Any = await rooms.link.run(lambda client: client.client_info(), 5)
        assert info["db"] == 3


def test_a_missing_client_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(BroadcastError, match=r"pip install 'lane-kernel\[redis\]'"):
        RedisBroadcastMap("redis://127.0.0.1")


def test_the_client_is_imported_by_the_first_map_and_not_before() -> None:
    code = (
        "import sys, lane_kernel as lane; lane.RedisBroadcastMap; print('redis' in sys.modules); "
        "lane.RedisBroadcastMap('redis://127.0.0.1'); print('redis' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
