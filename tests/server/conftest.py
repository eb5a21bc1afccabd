"""A server of its own for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lane_kernel.capture import Store
from lane_kernel.net.config import Config
from lane_kernel.server import Server


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A running server without routes; after the test nothing of it is left."""
    # A machine with much to do blocks the loop, too; the tests of that have servers of their own.
    made = Server(request.node.name, store=Store(), config=Config(blocked_after=60))
    await made.start()
    yield made
    await made.stop()
    assert not made.connections
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in others if "lane_kernel" in repr(task.get_coro())]
