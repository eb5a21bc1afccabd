"""Channels over Redis Streams, for more than one kernel: the same face as the channels in memory.

Each channel is one stream, `lane:stream:KEY`; its entries' IDs are the messages' IDs. What makes a message arrive
exactly once, although Redis is stopped, killed and started again:

- `send` returns once Redis has answered. With `appendonly yes` and `appendfsync always` it answers after the message is
  on its disk.
- A `send` that got no answer is tried again, and cannot add its message twice: each map has a name of its own and
  counts its messages, and the script that adds one also notes, in the same step, the count of the last message that
  came from this map to this stream. A count that is not above the noted one is not added again: the same count is
  answered with the ID it got, a lower one is a try that was given up. Redis runs a script as one step and writes it
  to its file as one transaction, so that a crash keeps both or neither. One message of a map to a stream is under way
  at a time, so that the last count is all there is to note, and the order of sending is kept.
- Each message also has its number in its stream. A kernel reads on after the last ID it has seen, and gives each ID
  to a subscription once; where the next number does not follow, messages were trimmed before this kernel read them,
  and its subscriptions end with `FellBehindError` rather than go on in silence.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import itertools
import json
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary

from lane_kernel.broadcast.channel import CAPACITY, SEND_TIMEOUT, Channel, check_event
from lane_kernel.broadcast.map import MAX_CHANNELS, BroadcastMap
from lane_kernel.broadcast.redis_link import RedisLink
from lane_kernel.broadcast.redis_reader import RedisReader, order
from lane_kernel.broadcast.subscription import BroadcastError, BroadcastMessage, FellBehindError, Gap, Subscription

if TYPE_CHECKING:
    from redis.asyncio import Redis

HISTORY = 1000
"""Messages that a stream keeps by default; Redis trims in lumps of about a hundred, so that there may be more."""

EXPIRES = 7 * 24 * 3600
"""How long after its last message a stream is forgotten by default, in seconds."""

ONCE = 24 * 3600
"""How long a message's count is kept, in seconds; a `send` is tried for far less."""

BEGINNING = "0-0"
"""The ID that every entry comes after."""

_ID = re.compile(r"\d{1,19}-\d{1,19}", re.ASCII)
"""An ID as Redis writes it; one more digit could be over its 64 bits."""

_ADD = """
local noted = redis.call('GET', KEYS[2])
if noted then
    local count, id = string.match(noted, '^(%d+) (.+)$')
    if tonumber(count) == tonumber(ARGV[1]) then return id end
    if tonumber(count) > tonumber(ARGV[1]) then return false end
end
local number = redis.call('INCR', KEYS[3])
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'n', number, unpack(ARGV, 5))
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. id, 'EX', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])
return id
"""
"""Adds a message to stream KEYS[1] unless its count, ARGV[1], is noted in KEYS[2]; KEYS[3] numbers the messages."""

_DECODE: dict[bytes, Callable[[bytes], Any]] = {b"t": bytes.decode, b"b": bytes, b"j": json.loads}
"""How the data of each kind is read."""

Entry = tuple[bytes, dict[bytes, bytes]]
Answer = TypeVar("Answer")


def _encode(data: Any, event: str | None) -> list[str | bytes]:
    """A message as fields of an entry.

    Raises:
        TypeError: It is neither str nor bytes, and JSON has no form for it.
    """
    if isinstance(data, str | bytes):
        fields: list[str | bytes] = ["k", "t" if isinstance(data, str) else "b", "d", data]
    else:
        fields = ["k", "j", "d", json.dumps(data, ensure_ascii=False)]
    return fields if event is None else [*fields, "e", event]


class Numbered(NamedTuple):
    """A message with its number in its stream."""

    number: int
    message: BroadcastMessage


def _decode(entry: Entry) -> Numbered | None:
    """An entry's message; None where the entry is none, since others can add to a stream by hand what they like."""
    entry_id, fields = entry
    try:
        number, data, decode = int(fields[b"n"]), fields[b"d"], _DECODE[fields[b"k"]]
        event = fields[b"e"].decode() if b"e" in fields else None
        return Numbered(number, BroadcastMessage(entry_id.decode(), decode(data), event))
    except (KeyError, ValueError, RecursionError):
        return None


def _messages(entries: list[Entry]) -> list[Numbered]:
    """The messages among entries."""
    return [found for entry in entries if (found := _decode(entry)) is not None]


class RedisBroadcast(Channel):
    """A channel over one Redis Stream; `RedisBroadcastMap.insert` makes it.

    With Overflow.WAIT, `send` waits for the subscriptions of its own kernel. What comes from other kernels, which
    cannot see that, may take as much room again; past that the subscription ends as with CLOSE.
    """

    def __init__(self, rooms: RedisBroadcastMap, name: str, on_idle: Callable[[Channel], object]) -> None:
        """Make a channel without subscriptions.

        Args:
            rooms: The map, which has the connections.
            name: Its key.
            on_idle: Called when nobody receives any more and nothing is being sent.
        """
        super().__init__(rooms.capacity, rooms.history, send_timeout=rooms.send_timeout, name=name, on_idle=on_idle)
        self.stream = f"{rooms.prefix}stream:{name}"
        self._rooms = rooms
        self._keys = (self.stream, f"{rooms.prefix}from:{rooms.producer}:{name}", f"{rooms.prefix}count:{name}")
        self._turn = rooms.turn(name)
        self._position: str | None = None
        self._number: int | None = 0
        self._opened_at = BEGINNING
        self._opening: asyncio.Task[None] | None = None

    @property
    def position(self) -> str | None:
        """The ID of the last entry that was read here; None where nobody receives."""
        return self._position

    # Reading

    def _begin(self, subscription: Subscription, after: str | None) -> None:
        self._rooms.reader.add(self)
        if self._position is not None and after is None:
            subscription.last_id = self._position
        else:
            subscription.last_id = after or ""
            subscription.load(functools.partial(self._load, subscription, after, self._position))

    async def _run(self, command: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        return await self._rooms.link.run(command, self.send_timeout)

    async def _range(self, first: str, last: str) -> list[Numbered]:
        found: Any = await self._run(lambda client: client.xrange(self.stream, first, last))
        return _messages(found)

    async def _opened(self) -> None:
        """Wait until it is known where the reading begins; at once where nobody receives."""
        while self._position is None and self._subscriptions:
            if self._opening is None:
                self._opening = asyncio.get_running_loop().create_task(self._open(), context=contextvars.Context())
            opening = self._opening
            await asyncio.wait({opening})
            if self._opening is opening:
                self._opening = None
            if not opening.cancelled():
                opening.result()

    async def _open(self) -> None:
        found: Any = await self._run(lambda client: client.xrevrange(self.stream, count=1))
        self._position = self._opened_at = found[0][0].decode() if found else BEGINNING
        newest = _decode(found[0]) if found else None
        # After an entry that is no message, the next message's number cannot be foretold.
        self._number = newest.number if newest is not None else None if found else 0
        await self._rooms.reader.cover(self)

    async def _load(self, subscription: Subscription, after: str | None, joined: str | None) -> None:
        """Fetch what a subscription replays: from its place up to where it joined, whence the reader goes on."""
        if joined is None:
            await self._opened()
            joined = self._opened_at
        if after is None:
            subscription.last_id = joined
            return
        if _ID.fullmatch(after) and order(after) > order(joined):
            # Another kernel has sent it, and this one has not read that far.
            if await self._range(after, after):
                subscription.begin((), None, lambda message: order(message.id) > order(after))
                return
        elif _ID.fullmatch(after):
            found = await self._range(after, joined)
            if found and found[0].message.id == after:
                subscription.begin((message for _, message in found[1:]), None)
                return
            if after == BEGINNING and (not found or found[0].number == 1):
                subscription.begin((message for _, message in found), None)
                return
        found = await self._range("-", joined)
        gap = Gap(after, found[0].message.id if found else None)
        subscription.begin((message for _, message in found), gap)

    def take(self, entries: list[Entry]) -> None:
        """Take the next entries of the stream; those up to the position are known already."""
        for entry in entries:
            entry_id = entry[0].decode()
            if self._position is None or order(entry_id) <= order(self._position):
                continue
            if (found := _decode(entry)) is not None:
                if self._number is not None and found.number not in (self._number + 1, 1):
                    self.fail(
                        FellBehindError(
                            f"messages of {self} after {self._position} were trimmed from Redis before this kernel "
                            "read them; give the channels a longer history"
                        )
                    )
                    return
                self._number, self._position = found.number, entry_id
                self._fan_out(found.message)
            else:
                self._position = entry_id

    def fail(self, error: BroadcastError) -> None:
        """End every subscription with an error."""
        for subscription in tuple(self._subscriptions):
            subscription.fail(error)

    def _release(self, subscription: Subscription) -> None:
        super()._release(subscription)
        if not self._subscriptions:
            self._rooms.reader.discard(self)
            self._position = None
            if self._opening is not None:
                self._opening.cancel()
                self._opening = None

    # Sending

    async def send(self, data: Any, *, event: str | None = None) -> BroadcastMessage:
        """Send a message to every subscription in every kernel; see `Channel.send`.

        Args:
            data: What to send: str, bytes or the like, or what JSON has a form for, as which it arrives.
            event: Its event type.

        Returns:
            The message with its ID, once Redis has it.

        Raises:
            RedisAwayError: Redis has not answered in time; the message may be in the stream or not, once at the most.
            BroadcastError: Redis refused; or as `Channel.send` does.
            TypeError: JSON has no form for the data.
        """
        check_event(event)
        if isinstance(data, bytearray | memoryview):
            data = bytes(data)
        fields = _encode(data, event)
        with self._under_way():
            if self._subscriptions:
                await self._opened()  # so that whoever subscribed before is reached
            await self._begin_turn()
            try:
                await self._wait_for_room()
                return BroadcastMessage(await self._add(fields), data, event)
            finally:
                self._turn.release()

    async def _begin_turn(self) -> None:
        try:
            async with asyncio.timeout(self.send_timeout):
                await self._turn.acquire()
        except TimeoutError:
            raise BroadcastError(
                f"nothing was sent on {self}: others have been sending on it for {self.send_timeout:g} s"
            ) from None

    async def _add(self, fields: list[str | bytes]) -> str:
        count = self._rooms.next_count()
        arguments = (count, self.history, self._rooms.expires, ONCE, *fields)
        entry_id: Any = await self._run(lambda client: client.eval(_ADD, len(self._keys), *self._keys, *arguments))
        if entry_id is None:
            raise BroadcastError(f"a message on {self} was given up before: a later one is in the stream")
        self._sent += 1
        return str(entry_id.decode())

    async def try_send(self, data: Any, *, event: str | None = None) -> BroadcastMessage | None:
        """Send a message; None where a subscription that is waited for has no room, or Redis has not taken it."""
        check_event(event)
        with self._under_way():
            if self._full_ones():
                return None
            try:
                return await self.send(data, event=event)
            except BroadcastError:
                return None


class RedisBroadcastMap(BroadcastMap):
    """Channels by key, over the streams of one Redis: every kernel that uses it has the same.

        rooms = lane.RedisBroadcastMap("redis://127.0.0.1:6379/0")
        groups = lane.WebSocketGroups(rooms)

    Reading takes one connection and one task for all channels that are received here. While Redis is away, `send`
    waits for it and subscriptions wait on, up to `send_timeout`; then they raise a `BroadcastError` that names its URL
    without user and password.

    Attributes:
        prefix: What the keys in Redis begin with.
        expires: How long after its last message Redis forgets a channel, in seconds.
        producer: This map's name among those that send.
        link: The way to Redis.
        reader: Reads the streams.
    """

    def __init__(
        self,
        url: str,
        capacity: int = CAPACITY,
        history: int = HISTORY,
        *,
        send_timeout: float = SEND_TIMEOUT,
        max_channels: int = MAX_CHANNELS,
        prefix: str = "lane:",
        expires: int = EXPIRES,
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: Where Redis is: `redis://[[user]:password@]host:port/database`, `rediss://` or `unix://`. Its query may
                hold `db` and, with `rediss://`, `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile`.
            capacity: Messages that a subscription's queue has room for by default.
            history: How many of its last messages each channel keeps; at least 1, since kernels read from it.
            send_timeout: The bound on each wait for Redis, in seconds.
            max_channels: How many channels may be in use here.
            prefix: What the keys in Redis begin with.
            expires: How long after its last message Redis forgets a channel, in seconds.

        Raises:
            BroadcastError: The `redis` package is not installed, the URL is no Redis URL or has a query that it may not
                have, or a bound is too low.
        """
        if history < 1 or expires < 1 or not 0 < send_timeout < ONCE / 2:
            raise BroadcastError(
                "over Redis the history is at least 1, expires at least 1 s, and send_timeout above 0 and below "
                f"{ONCE // 2:,} s, not {history}, {expires} and {send_timeout}"
            )
        self.prefix = prefix
        self.expires = expires
        self.producer = secrets.token_hex(8)
        self.link = RedisLink(url)
        self.reader = RedisReader(self.link, send_timeout)
        self._counts = itertools.count(1)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        super().__init__(capacity, history, send_timeout=send_timeout, max_channels=max_channels)

    def turn(self, key: str) -> asyncio.Lock:
        """The lock of all who send on a key's stream."""
        return self._turns.setdefault(key, asyncio.Lock())

    def next_count(self) -> int:
        """The next message's count."""
        return next(self._counts)

    def _make(self, key: str) -> Channel:
        return RedisBroadcast(self, key, self._on_idle)

    def _on_idle(self, channel: Channel) -> None:
        self._remove(channel)  # its history is in Redis

    async def close(self) -> None:
        """End every channel here, the reading, and the connections; what is in Redis stays."""
        await super().close()
        await self.reader.close()
        await self.link.close()
