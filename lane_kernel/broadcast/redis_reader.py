"""The one task of a map that reads the streams of all channels that are received here, over a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import TYPE_CHECKING, Any, Protocol

from lane_kernel.broadcast.redis_link import COMMAND_TIMEOUT, RedisLink, pauses
from lane_kernel.broadcast.subscription import BroadcastError

if TYPE_CHECKING:
    from redis.asyncio import Redis

BLOCK = 1.0
"""How long Redis holds a read back that has nothing to answer, in seconds; a new channel ends that at once."""

MAX_ENTRIES = 500
"""Entries of each stream in one answer."""

_UNBLOCK_PAUSE = 0.05


def order(entry_id: str) -> tuple[int, int]:
    """An entry's ID as what it is ordered by."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


class ReadChannel(Protocol):
    """What the reader knows of a channel."""

    @property
    def stream(self) -> str:
        """The stream's key."""

    @property
    def position(self) -> str | None:
        """The ID of the last entry that was taken; None where it is not known yet."""

    def take(self, entries: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
        """Take the next entries; those up to the position are known already."""

    def fail(self, error: BroadcastError) -> None:
        """End every subscription with an error."""


class RedisReader:
    """Reads on from each channel's position, and goes on there when Redis has been away."""

    def __init__(self, link: RedisLink, patience: float) -> None:
        """Read nothing yet.

        Args:
            link: The way to Redis.
            patience: How long Redis may be away before the channels fail, in seconds.
        """
        self._link = link
        self._patience = patience
        self._channels: set[ReadChannel] = set()
        self._covered: frozenset[ReadChannel] = frozenset()
        self._turned = asyncio.Event()
        self._known = asyncio.Event()
        self._client_id: int | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, channel: ReadChannel) -> None:
        """Read a channel from its position on, once that is known."""
        self._channels.add(channel)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())

    def discard(self, channel: ReadChannel) -> None:
        """Read a channel no more."""
        self._channels.discard(channel)
        self._known.set()

    async def cover(self, channel: ReadChannel) -> None:
        """Have a channel read whose position has become known, at once instead of after the read that is under way.

        Raises:
            BroadcastError: Redis refused or is away.
        """
        while channel in self._channels and channel not in self._covered:
            turned = self._turned
            self._known.set()
            if (client_id := self._client_id) is not None:
                await self._link.run(lambda client: client.client_unblock(client_id), self._patience)
            with contextlib.suppress(TimeoutError):
                # The read may not have begun when it was to be ended: ask again.
                async with asyncio.timeout(_UNBLOCK_PAUSE):
                    await turned.wait()

    async def _run(self) -> None:
        while self._channels:
            try:
                await self._read()
            except BroadcastError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - nobody awaits this task: the subscriptions raise it
                self._fail(self._failure(error))

    def _failure(self, error: Exception) -> BroadcastError:
        failure = BroadcastError(f"reading from Redis at {self._link.name} failed: {error!r}")
        failure.__cause__ = error
        return failure

    def _fail(self, error: BroadcastError) -> None:
        for channel in tuple(self._channels):
            channel.fail(error)

    async def _read(self) -> None:
        """Read until there are no channels.

        Raises:
            BroadcastError: Redis refused, or has been away too long.
        """
        from redis.exceptions import RedisError

        loop = asyncio.get_running_loop()
        following, answered = pauses(), loop.time()
        client = self._link.make_client(1)
        try:
            while self._channels:
                try:
                    await self._read_once(client)
                    following, answered = pauses(), loop.time()
                except (RedisError, OSError) as error:
                    self._client_id = None
                    if not self._link.is_away(error):
                        raise self._link.refused(error) from error
                    if loop.time() - answered > self._patience:
                        raise self._link.away(self._patience, error) from error
                    await asyncio.sleep(following())
        finally:
            self._client_id, self._covered = None, frozenset()
            await client.aclose(close_connection_pool=True)

    async def _read_once(self, client: Redis) -> None:
        """Wait for the next entries of any channel, and hand them out."""
        if self._client_id is None:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                self._client_id = await client.client_id()
        self._covered = frozenset(channel for channel in self._channels if channel.position is not None)
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()
        if not self._covered:
            # Each of them is about to know its position, and says so by asking to be covered.
            self._known.clear()
            await self._known.wait()
            return
        readers: dict[str, list[ReadChannel]] = {}
        for channel in self._covered:
            readers.setdefault(channel.stream, []).append(channel)
        positions: dict[Any, Any] = {
            stream: min((channel.position or "0-0" for channel in channels), key=order)
            for stream, channels in readers.items()
        }
        async with asyncio.timeout(BLOCK + COMMAND_TIMEOUT):
            answer: Any = await client.xread(positions, count=MAX_ENTRIES, block=int(BLOCK * 1000))
        for stream, entries in answer or ():
            for channel in readers[stream.decode()]:
                try:
                    channel.take(entries)
                except Exception as error:  # noqa: BLE001 - one channel's failure is no other's; its subscriptions raise it
                    channel.fail(self._failure(error))

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
