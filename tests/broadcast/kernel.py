"""A kernel of its own: a server whose rooms and news are channels over Redis.

    python -m tests.broadcast.kernel REDIS_URL PORT

It says its port, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys

import lane_kernel as lane


async def main(url: str, port: int) -> None:
    rooms = lane.RedisBroadcastMap(url)
    groups = lane.WebSocketGroups(rooms)
    server = lane.Server(port=port)

    @server.websocket("/chat/{room}")
    async def chat(ws, room):
        await groups.run(ws, lane.PointToGroup(room))

    @server.websocket("/publish")
    async def publish(ws):
        async for message in ws:
            await ws.send((await rooms.send("news", message)).id)

    @server.events("/news")
    async def news(events):
        await events.follow(rooms, "news")

    async with rooms, server:
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
    server.check()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
