"""What runs in the kernel under load: a server, and what is left of it after its peers have gone."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import lane_kernel as lane
from lane_kernel.net.stream import RecordedStream
from lane_kernel.net.transport import FrameTransport
from lane_kernel.server.pipeline import Exchange

EVENTS_PACE = 0.5
"""Seconds between two events of one stream."""


FAULTS = {
    "/lossy": lane.Faults(drop=True, every=10),
    "/twice": lane.Faults(duplicate=True, every=10),
    "/slow": lane.Faults(delay=0.1, chop=1),
}
"""The routes beside "/echo", and what is wrong with what they send."""


async def _echo(ws: lane.WebSocket) -> None:
    async for message in ws:
        await ws.send(message)


class Load:
    """A server for the load, and its accounts.

    Attributes:
        server: The server.
        sent: Events that the streams' handlers sent.
    """

    def __init__(self) -> None:
        """Define the handlers."""
        self.server = lane.Server("load", store=lane.Store(32 * 1024 * 1024))
        self.sent = 0
        self.stopping = 0.0
        server = self.server

        server.websocket("/echo")(_echo)
        for path, faults in FAULTS.items():
            server.websocket(path)(_echo)
            server.faults[path] = faults

        @server.events("/count")
        async def count(events: lane.Events) -> None:
            number = 0
            while True:
                await events.send(number, id=number)
                self.sent += 1
                number += 1
                await asyncio.sleep(EVENTS_PACE)

    def left(self) -> dict[str, Any]:
        """What there is of connections: descriptors, tasks, objects, memory."""
        gc.collect()
        kinds = Counter(type(thing) for thing in gc.get_objects())
        return {
            "descriptors": len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0,
            "tasks": len(asyncio.all_tasks()),
            "exchanges": kinds[Exchange],
            "transports": kinds[FrameTransport],
            "streams": kinds[RecordedStream],
            "resident": _resident(),
            "open": len(self.server.connections),
        }

    async def gone(self, seconds: float = 20) -> None:
        """Wait until every connection is gone."""
        end = time.monotonic() + seconds
        while self.server.connections and time.monotonic() < end:  # noqa: ASYNC110 - a server has no event for it
            await asyncio.sleep(0.05)

    async def stop(self, timeout: float) -> None:
        """Stop, and note how long it took."""
        begin = time.monotonic()
        await self.server.stop(timeout)
        self.stopping = time.monotonic() - begin


def _resident() -> int:
    """Resident memory in bytes; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
