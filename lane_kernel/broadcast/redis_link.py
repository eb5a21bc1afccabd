"""The way to one Redis: connections as they are needed, commands tried again while it is away, errors that name it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

from lane_kernel.broadcast.subscription import BroadcastError

if TYPE_CHECKING:
    from redis.asyncio import Redis

MAX_CONNECTIONS = 8
"""Connections for commands; the reader has one of its own beside them."""

COMMAND_TIMEOUT = 5.0
"""Bound on the answer to one command, and on connecting, before it is tried again; in seconds."""

FIRST_PAUSE = 0.05
MAX_PAUSE = 1.0
"""The pause before a command is tried again, in seconds: doubled each time, up to the bound."""

QUERY = frozenset({"db"})
TLS_QUERY = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
"""What a URL's query may hold: the database, which unix:// has no other place for, and over TLS the files of keys."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)

Answer = TypeVar("Answer")


class RedisAwayError(BroadcastError):
    """Redis did not answer in time."""


def pauses() -> Callable[[], float]:
    """Make a function that answers the next pause each time."""
    pause = FIRST_PAUSE / 2

    def following() -> float:
        nonlocal pause
        pause = min(pause * 2, MAX_PAUSE)
        return pause

    return following


def without_password(url: str) -> str:
    """A Redis URL as it may be shown: without what stands before its last "@", and without its query."""
    scheme, slashes, rest = url.partition("//")
    before, _, shown = rest.rpartition("@")
    if not slashes or not _SCHEME.fullmatch(scheme):
        return "a URL that cannot be read"
    if "?" in before:
        return f"{scheme}//..."  # the "@" may be one of the query's, and what follows it a password's end
    return f"{scheme}//{re.split('[?#]', shown)[0]}"


def check_url(url: str) -> None:
    """Hold a URL to what a map takes in one; the client itself would let a query set anything.

    Raises:
        BroadcastError: A user or password holds a character that ends it, or the query has what is not allowed there.
    """
    before = url.partition("//")[2].rpartition("@")[0]
    if any(character in before for character in "/?#"):
        raise BroadcastError(
            f'{without_password(url)} is no Redis URL: before its last "@" is a "/", "?" or "#"; '
            "write them there as %2F, %3F and %23"
        )
    allowed = QUERY | TLS_QUERY if url.startswith("rediss:") else QUERY
    query = url.partition("#")[0].partition("?")[2]
    if {name for name, _ in parse_qsl(query, keep_blank_values=True)} - allowed:
        raise BroadcastError(
            f"{without_password(url)} has a query that holds more than {', '.join(sorted(allowed))}: take the rest "
            "out; the map itself sets the protocol, the bounds and how answers are read"
        )


class RedisLink:
    """Connections to one Redis, and what to do while it is away.

    Attributes:
        name: Its URL without user, password and query.
    """

    def __init__(self, url: str) -> None:
        """Connect to nothing yet.

        Raises:
            BroadcastError: The `redis` package is not installed, or `check_url` or the client refuses the URL.
        """
        try:
            import redis.asyncio  # noqa: F401 - to be had, or a clear word
        except ImportError as error:
            raise BroadcastError("broadcast over Redis needs its client: pip install 'lane-kernel[redis]'") from error
        self.name = without_password(url)
        self._url = url
        self._client: Redis | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        check_url(url)
        try:
            self.make_client(1)
        except ValueError:
            raise BroadcastError(
                f"{self.name} is no Redis URL: write redis://host:port/0, rediss:// for TLS, or unix:///path"
            ) from None  # the client's words may quote the password

    def make_client(self, connections: int) -> Redis:
        """Make a client that connects when it is first used.

        Args:
            connections: Connections at the most; whoever needs another waits.
        """
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        pool = BlockingConnectionPool.from_url(
            self._url,
            max_connections=connections,
            timeout=COMMAND_TIMEOUT,
            # No bound of the client's own on an answer: it uses `asyncio.wait_for`, which before Python 3.12 may
            # swallow a cancellation. Whoever asks has a bound.
            socket_timeout=None,
            socket_connect_timeout=COMMAND_TIMEOUT,
            protocol=2,  # its answers have one form in every release of the client
            retry=Retry(NoBackoff(), 0),  # tried again here, where the bound is known
        )
        return Redis(connection_pool=pool)

    @staticmethod
    def is_away(error: Exception) -> bool:
        """Whether an error means that Redis cannot be reached now, and may be later."""
        from redis import exceptions

        if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
            return False
        return isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | OSError)

    def refused(self, error: Exception) -> BroadcastError:
        """Make the error that says what Redis answered."""
        return BroadcastError(f"Redis at {self.name} refused: {type(error).__name__}: {error}")

    def away(self, seconds: float, error: Exception | None) -> RedisAwayError:
        """Make the error that says that Redis has been away."""
        why = "" if error is None else f" ({type(error).__name__}: {error})"
        return RedisAwayError(f"Redis at {self.name} did not answer within {seconds:g} s{why}: is it running there?")

    async def run(self, command: Callable[[Redis], Awaitable[Answer]], timeout: float) -> Answer:
        """Run a command, again and again while Redis is away.

        Args:
            command: Runs it with a client. It must do no harm when it is run twice.
            timeout: The bound on all of it in seconds.

        Raises:
            RedisAwayError: Redis has not answered in time; whether it has done what it was asked is not known.
            BroadcastError: Redis refused; or the caller is on another loop.
        """
        from redis.exceptions import RedisError

        last: Exception | None = None
        following = pauses()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        async with asyncio.timeout(COMMAND_TIMEOUT):
                            return await command(self._own_client())
                    except (RedisError, OSError) as error:
                        if not self.is_away(error):
                            raise self.refused(error) from error
                        last = error
                    await asyncio.sleep(following())
        except TimeoutError:
            raise self.away(timeout, last) from last

    def _own_client(self) -> Redis:
        loop = asyncio.get_running_loop()
        if self._is_closed:
            raise BroadcastError(f"the link to Redis at {self.name} is closed: make another map")
        if self._client is not None and self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                raise BroadcastError(f"the link to Redis at {self.name} belongs to another loop: make another map")
            self._client = None
        if self._client is None:
            self._client, self._loop = self.make_client(MAX_CONNECTIONS), loop
        return self._client

    async def close(self) -> None:
        """Close the connections for commands; nothing can be asked any more."""
        self._is_closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.aclose(close_connection_pool=True)
