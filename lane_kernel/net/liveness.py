"""Whether a WebSocket's peer is still there: Pings and their Pongs, keep-alive, and the end of those that stay silent.

Source: RFC 6455 §5.5.2 and §5.5.3.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from lane_kernel.errors import LaneError
from lane_kernel.net.config import Config
from lane_kernel.wire.frames import CloseCode


class PeerSilentError(LaneError):
    """Nothing came from a peer for too long, or no Pong; the connection is closed for it."""


class PongTimeoutError(LaneError, TimeoutError):
    """The Pong to a Ping did not come in time."""


class _Ping(NamedTuple):
    payload: bytes
    sent: float
    pong: asyncio.Future[float | None]


class Pings:
    """The Pings that wait for their Pongs.

    Attributes:
        latency: The round-trip time of the last Ping that was answered, in seconds; None before.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self.latency: float | None = None
        self._waiting: deque[_Ping] = deque()

    def add(self, payload: bytes) -> asyncio.Future[float | None]:
        """Remember a Ping that is being sent.

        Args:
            payload: What its Pong will carry.

        Returns:
            Done with the round-trip time in seconds when the Pong comes; with None when the connection ends before.
        """
        loop = asyncio.get_running_loop()
        ping = _Ping(payload, loop.time(), loop.create_future())
        self._waiting.append(ping)
        return ping.pong

    def answer(self, payload: bytes) -> None:
        """Take a Pong: it answers its Ping and all before it; one that nobody asked for answers none.

        Source: RFC 6455 §5.5.3.
        """
        if not any(ping.payload == payload for ping in self._waiting):
            return
        now = asyncio.get_running_loop().time()
        while True:
            ping = self._waiting.popleft()
            self.latency = now - ping.sent
            _finish(ping.pong, self.latency)
            if ping.payload == payload:
                return

    def end(self) -> None:
        """Say that no Pong will come any more."""
        while self._waiting:
            _finish(self._waiting.popleft().pong, None)


def _finish(pong: asyncio.Future[float | None], seconds: float | None) -> None:
    if not pong.done():
        pong.set_result(seconds)


class Liveness:
    """One connection's keep-alive Pings and its idle time-out, on one timer.

    While we do not read, for a handler that is slow, nothing can come, and the peer is not blamed for that.
    """

    def __init__(
        self,
        config: Config,
        ping: Callable[[bytes], asyncio.Future[float | None] | None],
        close: Callable[[CloseCode, PeerSilentError], object],
        is_reading: Callable[[], bool],
    ) -> None:
        """Begin to watch.

        Args:
            config: Whose `idle_timeout`, `ping_interval` and `ping_timeout` hold.
            ping: Sends a Ping; answers what is done when its Pong comes, or None where it cannot be sent any more.
            close: Called when the peer is given up.
            is_reading: Whether what comes is being read.
        """
        self._config = config
        self._ping = ping
        self._close = close
        self._is_reading = is_reading
        self._loop = asyncio.get_running_loop()
        self._heard = self._pinged = self._loop.time()
        self._pong: asyncio.Future[float | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._plan()

    def hear(self) -> None:
        """Say that something has come."""
        self._heard = self._loop.time()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _plan(self) -> None:
        config = self._config
        moments = []
        if config.idle_timeout is not None:
            moments.append(self._heard + config.idle_timeout)
        if self._pong is not None:
            moments.append(self._pinged + config.ping_timeout)
        elif config.ping_interval is not None:
            moments.append(self._pinged + config.ping_interval)
        if moments:
            self._timer = self._loop.call_at(min(moments), self._look, context=contextvars.Context())

    def _look(self) -> None:
        config, now = self._config, self._loop.time()
        if not self._is_reading():
            self._heard = now
            self._pinged = now
        if config.idle_timeout is not None and now >= self._heard + config.idle_timeout:
            error = PeerSilentError(f"idle: nothing came for {config.idle_timeout:g} s")
            self._close(CloseCode.GOING_AWAY, error)
            return
        if self._pong is not None and self._pong.done():
            self._pong = None
        if self._pong is not None and now >= self._pinged + config.ping_timeout:
            error = PeerSilentError(f"keep-alive: no Pong came within {config.ping_timeout:g} s")
            self._close(CloseCode.INTERNAL_ERROR, error)
            return
        if self._pong is None and config.ping_interval is not None and now >= self._pinged + config.ping_interval:
            self._pinged = now
            self._pong = self._ping(os.urandom(4))
        self._plan()
