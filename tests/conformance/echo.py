"""What Autobahn's suite is set on: an echo server and an echo client, written as a person would write them.

Both take keyword arguments for `lane.Server` and `lane.connect`. `SERVER_OPTIONS` and `CLIENT_OPTIONS` are those that
the suite is run with; whatever has to be asked for, such as an extension, is asked for there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import lane_kernel as lane

SERVER_OPTIONS: dict[str, Any] = {"deflate": lane.DeflateParameters()}
"""Keyword arguments for `lane.Server`."""

CLIENT_OPTIONS: dict[str, Any] = {"deflate": lane.DeflateParameters()}
"""Keyword arguments for `lane.connect`."""


@contextlib.asynccontextmanager
async def echo_server(**options: Any) -> AsyncIterator[str]:
    """Serve echoes on a free port of this machine; give the URL."""
    server = lane.Server("echo", **options)

    @server.websocket("/")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    async with server:
        yield server.url("/")


async def echo_back(url: str, timeout: float, **options: Any) -> None:
    """Connect, and send every message back until the other end closes.

    Raises:
        LaneError: The opening handshake failed.
        TimeoutError: The other end has not closed in time.
    """
    async with asyncio.timeout(timeout), lane.connect(url, timeout=timeout, **options) as ws:
        # Where the other end closes before its echo is sent, there is nothing left to do.
        with contextlib.suppress(lane.LaneError):
            async for message in ws:
                await ws.send(message)


async def ask(url: str, timeout: float, **options: Any) -> str | bytes:
    """Connect, and take one message.

    Raises:
        LaneError: The opening handshake failed, or the connection closed without a message.
        TimeoutError: No message has come in time.
    """
    async with asyncio.timeout(timeout), lane.connect(url, timeout=timeout, **options) as ws:
        return await ws.receive()
