"""The clients of the load, in a process of their own: `python -m tests.load.peers URL WEBSOCKETS STREAMS SECONDS`.

Each WebSocket sends numbered messages and knows by their numbers which echoes came, came twice, or never came. Each
stream reads numbered events. What they saw is printed as JSON; then they wait for a line on standard input, so that
someone can look at the server while they are still connected, and print how they were ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PACE = 1.0
"""Seconds between two messages of one WebSocket."""

FAULTY = ("/lossy", "/twice", "/slow")
"""The routes with faults; every tenth WebSocket goes to one of them, in turns."""

EVERY = 10
"""Every so many-th echo is lost on "/lossy", and comes twice on "/twice"."""

AT_ONCE = 50
"""Connections that are opened at once."""

PATIENCE = 20.0
"""The wait for the last echoes, in seconds."""


@dataclass
class Account:
    """What the peers saw, by number.

    Attributes:
        connected: WebSockets that opened.
        streaming: Event streams that opened.
        messages: Messages that were sent.
        echoes: Echoes that came, each number once.
        doubled: Echoes that came again.
        missing: Messages whose echo never came.
        tenths: Every tenth message of each WebSocket.
        events: Events that came.
        gaps: Events that did not follow the one before.
        refused: What kept peers from connecting.
    """

    connected: int = 0
    streaming: int = 0
    messages: int = 0
    echoes: int = 0
    doubled: int = 0
    missing: int = 0
    tenths: int = 0
    events: int = 0
    gaps: int = 0
    refused: list[str] = field(default_factory=list)


class Talker:
    """One WebSocket."""

    def __init__(self, url: str, account: Account) -> None:
        self.url, self.account = url, account
        self.close_code: int | None = None
        self._seen: Counter[int] = Counter()
        self._sent = 0
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        try:
            self._socket = await connect(self.url, compression=None, ping_interval=None, open_timeout=60)
        except (OSError, TimeoutError) as error:
            self.account.refused.append(f"{type(error).__name__}: {error}")
            return
        self.account.connected += 1
        self._reading = asyncio.create_task(self._read(self._socket))

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                self._seen[int(message)] += 1
        except ConnectionClosed:
            pass
        self.close_code = socket.close_code

    async def talk(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._socket is not None and loop.time() < end:
            await self._socket.send(str(self._sent))
            self._sent += 1
            await asyncio.sleep(PACE)

    async def settle(self) -> None:
        """Wait until every echo that is to come has come, or the time is up."""
        expected = self._sent - (self._sent // EVERY if self.url.endswith("/lossy") else 0)
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        while len(self._seen) < expected and loop.time() < end:  # noqa: ASYNC110 - the last echo is known afterwards
            await asyncio.sleep(0.05)
        self.account.messages += self._sent
        self.account.echoes += len(self._seen)
        self.account.doubled += sum(count - 1 for count in self._seen.values())
        self.account.missing += self._sent - len(self._seen)
        self.account.tenths += self._sent // EVERY

    async def ended(self) -> None:
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=PATIENCE)


class Listener:
    """One event stream."""

    def __init__(self, host: str, port: int, account: Account) -> None:
        self.host, self.port, self.account = host, port, account
        self.has_ended = False
        self._reading: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(b"GET /count HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            self.account.refused.append(head.decode())
            return
        self.account.streaming += 1
        self._reading = asyncio.create_task(self._read(reader, writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = -1
        try:
            while True:
                block = await reader.readuntil(b"\n\n")
                number = int(block.split(b"data: ")[1])
                self.account.events += 1
                self.account.gaps += number != last + 1
                last = number
        except (asyncio.IncompleteReadError, ConnectionError):
            self.has_ended = True
        finally:
            writer.close()

    async def ended(self) -> None:
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=PATIENCE)


async def _in_turns(peers: list[Talker] | list[Listener]) -> None:
    for start in range(0, len(peers), AT_ONCE):
        await asyncio.gather(*(peer.connect() for peer in peers[start : start + AT_ONCE]))


async def run(url: str, websockets: int, streams: int, seconds: float) -> None:
    """Connect, talk, report, wait for the word, report the end."""
    accounts = {path: Account() for path in ("/echo", *FAULTY)}
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    talkers = [
        Talker(f"ws://{host}:{port}{path}", accounts[path])
        for number in range(websockets)
        for path in ["/echo" if number % 10 else FAULTY[number // 10 % len(FAULTY)]]
    ]
    listeners = [Listener(host, int(port), accounts["/echo"]) for _ in range(streams)]
    await _in_turns(talkers)
    await _in_turns(listeners)
    await asyncio.gather(*(talker.talk(seconds) for talker in talkers))
    await asyncio.gather(*(talker.settle() for talker in talkers))
    print(json.dumps({path: asdict(account) for path, account in accounts.items()}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await asyncio.gather(*(talker.ended() for talker in talkers), *(listener.ended() for listener in listeners))
    events = {"events": accounts["/echo"].events, "gaps": accounts["/echo"].gaps}
    codes = Counter(str(talker.close_code) for talker in talkers)
    ended = sum(listener.has_ended for listener in listeners)
    print(json.dumps({"close codes": codes, "streams ended": ended, **events}), flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
