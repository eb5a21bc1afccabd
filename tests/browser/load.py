"""A client in a process of its own, so that the kernel's loop carries the server's work alone.

python -m tests.browser.load URL paced RATE SECONDS      sends at a steady rate, prints how many it sent and got back
python -m tests.browser.load URL flood SECONDS           eight connections ping-pong as fast as they can
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from websockets.asyncio.client import connect

CONNECTIONS = 8
MESSAGE = "x" * 32


async def paced(url: str, rate: float, seconds: float) -> dict[str, float]:
    """Send at a rate and count the echoes."""
    total = int(rate * seconds)
    async with connect(url, compression=None) as socket:

        async def receive() -> None:
            for _ in range(total):
                await socket.recv()

        reader = asyncio.create_task(receive())
        begin = time.perf_counter()
        for number in range(total):
            ahead = begin + number / rate - time.perf_counter()
            if ahead > 0:
                await asyncio.sleep(ahead)
            await socket.send(MESSAGE)
        await reader
        return {"sent": total, "seconds": time.perf_counter() - begin}


async def flood(url: str, seconds: float) -> dict[str, float]:
    """Ping-pong over some connections, and count."""
    stop = time.perf_counter() + seconds

    async def talk() -> int:
        count = 0
        async with connect(url, compression=None) as socket:
            while time.perf_counter() < stop:
                await socket.send(MESSAGE)
                await socket.recv()
                count += 1
        return count

    begin = time.perf_counter()
    count = sum(await asyncio.gather(*(talk() for _ in range(CONNECTIONS))))
    return {"echoes": count, "rate": count / (time.perf_counter() - begin)}


def main() -> None:
    """Run one of the loads."""
    url, kind, *numbers = sys.argv[1:]
    values = [float(number) for number in numbers]
    print(json.dumps(asyncio.run(paced(url, *values) if kind == "paced" else flood(url, *values))))


if __name__ == "__main__":
    main()
