"""Two processes, each with a server, and one Redis: a room that both share, and news that outlive a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator

from lane_kernel.client import ClientWebSocket, EventSource, connect
from tests.broadcast.redis_server import RedisServer

PATIENCE = 20
"""Seconds for a Python process to come up on a busy machine."""


class Kernel:
    """A process that runs tests.broadcast.kernel."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process, self.port = process, port

    @classmethod
    async def start(cls, redis: RedisServer, port: int = 0) -> Kernel:
        command = (sys.executable, "-m", "tests.broadcast.kernel", redis.url, str(port))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        return cls(process, int(line))

    async def stop(self) -> int:
        """Let it end by itself; answer its exit status."""
        await asyncio.wait_for(self.process.communicate(b""), PATIENCE)
        return self.process.returncode or 0

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.communicate()


@contextlib.asynccontextmanager
async def two_kernels(redis: RedisServer) -> AsyncIterator[list[Kernel]]:
    kernels = list(await asyncio.gather(Kernel.start(redis), Kernel.start(redis)))
    try:
        yield kernels
    finally:
        for kernel in kernels:
            await kernel.kill()


async def joined(ws: ClientWebSocket, name: str) -> None:
    """Wait until what it sends comes back, from everyone's past or its own."""
    await ws.send(name)
    while await asyncio.wait_for(ws.receive(), 5) != name:
        pass


async def test_two_kernels_share_a_room(redis_server: RedisServer) -> None:
    async with two_kernels(redis_server) as (first, second):
        async with (
            connect(f"ws://127.0.0.1:{first.port}/chat/lobby") as ann,
            connect(f"ws://127.0.0.1:{second.port}/chat/lobby") as bob,
            connect(f"ws://127.0.0.1:{second.port}/chat/elsewhere") as other,
        ):
            await joined(ann, "ann is here")
            await joined(other, "other is here")
            await joined(bob, "bob is here")
            assert await asyncio.wait_for(ann.receive(), 5) == "bob is here"
            for number in range(50):
                await ann.send(f"ann {number}")
                await bob.send(b"bob %d" % number)
            seen = [[await asyncio.wait_for(ws.receive(), 5) for _ in range(100)] for ws in (ann, bob)]
            assert seen[0] == seen[1]
            assert [one for one in seen[0] if isinstance(one, str)] == [f"ann {number}" for number in range(50)]
            assert [one for one in seen[0] if isinstance(one, bytes)] == [b"bob %d" % number for number in range(50)]
            await other.send("nothing came here")
            assert await asyncio.wait_for(other.receive(), 5) == "nothing came here"
        assert [await first.stop(), await second.stop()] == [0, 0]


async def test_an_event_stream_is_replayed_by_id_across_the_end_of_its_server(redis_server: RedisServer) -> None:
    """What is published in one kernel while the other is dead comes when it lives again, once and in order."""
    async with two_kernels(redis_server) as kernels:
        publisher, follower = kernels
        url = f"http://127.0.0.1:{follower.port}/news"
        async with connect(f"ws://127.0.0.1:{publisher.port}/publish") as ws:
            ids: list[str] = []

            async def publish(count: int) -> None:
                for _ in range(count):
                    await ws.send(json.dumps(len(ids)))
                    ids.append(str(await asyncio.wait_for(ws.receive(), 5)))

            await publish(10)
            async with EventSource(url, last_event_id=ids[4]) as source:
                seen = await source.take(5, timeout=5)
                await publish(10)
                seen += await source.take(10, timeout=5)
                await follower.kill()
                await publish(10)
                kernels[1] = await Kernel.start(redis_server, follower.port)
            async with EventSource(url, last_event_id=seen[-1].last_event_id) as source:
                seen += await source.take(10, timeout=5)
                await publish(5)
                seen += await source.take(5, timeout=5)
            assert [(event.type, event.data, event.last_event_id) for event in seen] == [
                ("message", str(number), ids[number]) for number in range(5, 35)
            ]
            async with EventSource(url, last_event_id="1-1") as source:
                (gap, first) = await source.take(2, timeout=5)
                assert (gap.type, json.loads(gap.data)) == ("gap", {"asked": "1-1", "oldest": ids[0]})
                assert (first.data, first.last_event_id) == ("0", ids[0])
        assert [await kernel.stop() for kernel in kernels] == [0, 0]


async def test_a_room_outlives_its_redis(redis_server: RedisServer) -> None:
    async with two_kernels(redis_server) as (first, second):
        async with (
            connect(f"ws://127.0.0.1:{first.port}/chat/lobby") as ann,
            connect(f"ws://127.0.0.1:{second.port}/chat/lobby") as bob,
        ):
            await joined(bob, "bob is here")
            await joined(ann, "ann is here")
            assert await asyncio.wait_for(bob.receive(), 5) == "ann is here"
            await asyncio.to_thread(redis_server.stop)
            for number in range(20):
                await ann.send(f"{number}")
            await asyncio.to_thread(redis_server.start)
            for ws in (ann, bob):
                assert [await asyncio.wait_for(ws.receive(), 10) for _ in range(20)] == [f"{n}" for n in range(20)]
        assert [await first.stop(), await second.stop()] == [0, 0]
