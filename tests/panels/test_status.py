"""The status bar over a real server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from lane_kernel.capture import Store
from lane_kernel.net.config import Config
from lane_kernel.panels.status import StatusBar
from lane_kernel.server import Server
from tests.server.raw import until


async def test_it_shows_how_long_the_loop_was_blocked_and_by_what() -> None:
    server = Server("status", store=Store(), config=Config(blocked_after=0.3))
    async with server:
        bar = StatusBar(server)
        assert bar.state["blocked"] is None
        time.sleep(0.6)  # noqa: ASYNC251 - that is what is tested
        await until(lambda: server.log.total)
        bar.refresh()
        blocked: Any = bar.state["blocked"]
        assert blocked["count"] == 1
        assert 0.55 <= blocked["last"] == blocked["longest"]
        assert blocked["long"]
        assert "time.sleep(0.6)" in blocked["by"]
    bar.refresh()
    assert bar.state["blocked"] is None
    bar.close()
    await asyncio.sleep(0)
