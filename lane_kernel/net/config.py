"""Every bound of a connection, with its default and the precedent it follows.

    lane.Server(config=lane.Config(max_message=64 * 1024))
    lane.Server(config=lane.Config.high_security())

Over a bound the peer gets the right status or close code, the handlers' log a line, and nobody else notices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Self

from lane_kernel.errors import LaneError
from lane_kernel.wire.connection import MAX_MESSAGE


class ConfigError(LaneError):
    """A setting has a value that cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The bounds of a server, of a client, or of one of their connections. Sizes are in bytes, times in seconds.

    Attributes:
        max_head: A request's or response's head, start line included: 431. nginx takes 32 KiB, Tornado 64.
        max_path: A request's target: 414. nginx takes 8 KiB.
        max_header_count: Header lines in a head: 431. Apache takes 100.
        max_header_name: A header's name: 431.
        max_header_value: A header's value: 431. nginx and Apache take 8 KiB.
        max_body: A request's body: 413. Tornado takes 100 MB.
        head_timeout: A head that has begun, or the next request of a connection: 408, or the end. nginx takes 60 s.
        body_timeout: A request's body: 408.
        max_frame: A frame's payload data: 1009 before it is read; None for as much as a message.
        max_message: A message, inflated: 1009. `websockets` takes 1 MiB, aiohttp 4 MiB, browsers have no bound.
        max_queue: Messages that wait for a handler before no more is read.
        max_write_buffer: Bytes that wait for a peer that does not read before a `send` waits for it, and beside them
            one message.
        send_timeout: A `send` that waits for a peer that does not read; then the connection is ended.
        idle_timeout: A WebSocket that nothing has come from, Pongs included, is closed with 1001; None for never.
        ping_interval: Between keep-alive Pings to a WebSocket; None for none.
        ping_timeout: The wait for the Pong to a keep-alive Ping: 1011, as `websockets` closes.
        close_timeout: The wait for the other end's Close.
        heartbeat: Between comments on an event stream that nothing else is sent on; None for none. WHATWG HTML §9.2.7
            advises 15 s, so that proxies do not end it.
        max_connections: Open connections of a server: 503.
        blocked_after: The loop may be blocked so long without a word in the handlers' log.
    """

    max_head: int = 32 * 1024
    max_path: int = 8 * 1024
    max_header_count: int = 100
    max_header_name: int = 256
    max_header_value: int = 8 * 1024
    max_body: int = 16 * 1024 * 1024
    head_timeout: float = 60.0
    body_timeout: float = 60.0
    max_frame: int | None = None
    max_message: int = MAX_MESSAGE
    max_queue: int = 1024
    max_write_buffer: int = 1024 * 1024
    send_timeout: float = 60.0
    idle_timeout: float | None = None
    ping_interval: float | None = None
    ping_timeout: float = 20.0
    close_timeout: float = 5.0
    heartbeat: float | None = 15.0
    max_connections: int = 4096
    blocked_after: float = 0.05

    def __post_init__(self) -> None:
        """Refuse what is no bound.

        Raises:
            ConfigError: A setting is below what it counts, or no number.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            kind = str(field.type)
            if value is None and "None" in kind:
                continue
            if "float" in kind:
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                    raise ConfigError(f"{field.name} is a number of seconds above 0, not {value!r}")
            elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{field.name} is a whole number from 1 up, not {value!r}")

    @classmethod
    def low_security(cls) -> Self:
        """Wide bounds, for peers that one knows."""
        return cls(
            max_head=256 * 1024,
            max_path=64 * 1024,
            max_header_count=1000,
            max_header_name=4 * 1024,
            max_header_value=64 * 1024,
            max_body=256 * 1024 * 1024,
            head_timeout=300.0,
            body_timeout=300.0,
            max_message=256 * 1024 * 1024,
            max_queue=16 * 1024,
            max_write_buffer=16 * 1024 * 1024,
            send_timeout=300.0,
            max_connections=64 * 1024,
        )

    @classmethod
    def high_security(cls) -> Self:
        """Narrow bounds, for peers that one does not trust."""
        return cls(
            max_head=8 * 1024,
            max_path=1024,
            max_header_count=50,
            max_header_name=64,
            max_header_value=2 * 1024,
            max_body=64 * 1024,
            head_timeout=5.0,
            body_timeout=5.0,
            max_frame=64 * 1024,
            max_message=64 * 1024,
            max_queue=64,
            max_write_buffer=64 * 1024,
            send_timeout=5.0,
            idle_timeout=300.0,
            ping_interval=30.0,
            ping_timeout=10.0,
            close_timeout=2.0,
            max_connections=256,
        )


DEFAULT = Config()
"""The bounds where none were given."""
