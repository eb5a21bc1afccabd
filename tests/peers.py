"""A server of plain asyncio that says exactly what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@asynccontextmanager
async def peer(talk: Talk) -> AsyncIterator[int]:
    """Serve with a conversation; give its port, and wait for every conversation to end."""
    conversations: set[asyncio.Task[object]] = set()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> object:
        try:
            return await talk(reader, writer)
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.add(asyncio.create_task(hold(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if conversations:
            await asyncio.wait(conversations, timeout=5)
        assert all(task.done() for task in conversations)
