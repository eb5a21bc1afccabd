"""A recorded connection over which a person says every byte."""

from __future__ import annotations

import asyncio
import contextvars
import ssl
from collections.abc import Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Any

from lane_kernel.capture import Connection, Store, kernel_store
from lane_kernel.errors import LaneError
from lane_kernel.net.config import DEFAULT
from lane_kernel.net.dial import CONNECT_TIMEOUT, Target, dial
from lane_kernel.net.session import pieces_of
from lane_kernel.net.stream import RecordedStream, StreamClosedError

RECEIVE_TIMEOUT = 10.0
"""Default bound on the wait for bytes, in seconds."""

MAX_HELD = 64 * 1024 * 1024
"""Bound on the bytes that are kept while a mark or the end is awaited."""

_READ = 64 * 1024


class ReceiveError(LaneError):
    """Bytes were awaited that did not come; what did come is kept for the next call."""


class RawConnection:
    """A connection of plain bytes over TCP or TLS; `connect_raw` makes it.

    Attributes:
        url: What it is connected to.
    """

    def __init__(self, stream: RecordedStream, url: str) -> None:
        """Speak over a stream."""
        self.url = url
        self._stream = stream
        self._held = bytearray()
        self._has_ended = False
        self._reading: asyncio.Task[bytes] | None = None

    @property
    def connection(self) -> Connection:
        """The connection as the capture knows it."""
        return self._stream.record

    @property
    def is_open(self) -> bool:
        """Whether bytes may still be sent."""
        return not self._stream.closed()

    async def send(self, data: bytes, *, chop: int | None = None, pause: float = 0.0) -> None:
        """Send any bytes, and wait until the socket has taken them.

        Args:
            data: The bytes.
            chop: Bytes in one write at the most; all in one by default.
            pause: The pause between two writes in seconds.

        Raises:
            ConnectionLostError: The connection is gone, or the server did not read in time.
        """
        for index, piece in enumerate(pieces_of(data, chop)):
            if index:
                await asyncio.sleep(pause)
            self._stream.send(piece)
            await self._stream.flush(DEFAULT.send_timeout)

    async def receive(self, count: int | None = None, *, timeout: float = RECEIVE_TIMEOUT) -> bytes:
        """Wait for bytes.

        Args:
            count: How many; by default whatever comes next, and b"" where the server has ended its direction.
            timeout: The bound on the wait in seconds.

        Raises:
            ReceiveError: The server ended its direction, or the time was up, before so many had come.
        """
        if count is None:
            await self._read_until(lambda: bool(self._held) or self._has_ended, "any byte", timeout)
            return self._take(len(self._held))
        await self._read_until(lambda: len(self._held) >= count, f"{count:,} bytes", timeout)
        return self._take(count)

    async def receive_until(self, end: bytes, *, timeout: float = RECEIVE_TIMEOUT) -> bytes:
        r"""Wait for bytes up to and with a mark, such as b"\r\n\r\n".

        Args:
            end: The mark.
            timeout: The bound on the wait in seconds.

        Raises:
            ReceiveError: The server ended its direction, or the time was up, before the mark had come.
        """
        await self._read_until(lambda: end in self._held, repr(end), timeout)
        return self._take(self._held.index(end) + len(end))

    async def receive_all(self, *, timeout: float = RECEIVE_TIMEOUT) -> bytes:
        """Wait until the server ends its direction, and take all that came.

        Args:
            timeout: The bound on the wait in seconds.

        Raises:
            ReceiveError: It had not ended in time.
        """
        await self._read_until(lambda: self._has_ended, "the end", timeout)
        return self._take(len(self._held))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    async def _read_until(self, is_enough: Callable[[], bool], what: str, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not is_enough():
                    if self._has_ended:
                        raise ReceiveError(self._instead(f"the server ended its direction before {what} came"))
                    if len(self._held) > MAX_HELD:
                        raise ReceiveError(self._instead(f"{what} did not come within {MAX_HELD:,} bytes"))
                    await self._read()
        except TimeoutError:
            raise ReceiveError(self._instead(f"{what} did not come within {timeout:g} s")) from None

    async def _read(self) -> None:
        """Take in what comes next; a read that is given up goes on, and the next call has it."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._next(), context=contextvars.Context())
        await asyncio.wait({self._reading})
        self._finish_reading()

    async def _next(self) -> bytes:
        """What comes next; b"" at the end."""
        try:
            data: bytes = await self._stream.read_bytes(_READ, partial=True)
        except StreamClosedError:
            return b""
        return data

    def _finish_reading(self) -> None:
        if self._reading is not None and self._reading.done():
            data = self._reading.result()
            self._reading = None
            self._held += data
            self._has_ended = not data

    def _instead(self, text: str) -> str:
        seen = f"{len(self._held):,} bytes came, {bytes(self._held[:60])!r}" if self._held else "nothing came"
        return f"connection {self.connection.number}: {text}; {seen}"

    def end_writing(self) -> None:
        """End our direction, as the half of a TCP connection, and go on reading."""
        self._stream.end_writing()

    async def close(self) -> None:
        """End the connection; harmless where it has ended."""
        self._stream.close()
        if self._reading is not None:
            await asyncio.wait({self._reading})
            self._finish_reading()
        self._has_ended = True


class ConnectingRaw:
    """A raw connection to be: await it, or enter it to have it closed at the end of the block."""

    def __init__(
        self, url: str, store: Store | None, timeout: float, context: ssl.SSLContext | None, ca: str | Path | None
    ) -> None:
        """Keep what `connect_raw` was given."""
        self._url = url
        self._store = store
        self._timeout = timeout
        self._context = context
        self._ca = ca
        self._made: RawConnection | None = None

    def __await__(self) -> Generator[Any, None, RawConnection]:
        """Connect."""
        return self._connect().__await__()

    async def _connect(self) -> RawConnection:
        target = Target(self._url, ("ws", "wss", "http", "https"))
        store = self._store or kernel_store()
        stream = await dial(target, store, "client", self._timeout, context=self._context, ca=self._ca)
        return RawConnection(stream, self._url)

    async def __aenter__(self) -> RawConnection:
        """Connect."""
        self._made = await self._connect()
        return self._made

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the connection."""
        if self._made is not None:
            await self._made.close()


def connect_raw(
    url: str,
    *,
    store: Store | None = None,
    timeout: float = CONNECT_TIMEOUT,
    ssl: ssl.SSLContext | None = None,
    ca: str | Path | None = None,
) -> ConnectingRaw:
    r"""Connect to a server without a word: no handshake and no request is sent.

        async with lane.connect_raw(server.url("/echo")) as raw:
            await raw.send(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n", chop=1)
            print(await raw.receive_until(b"\r\n\r\n"))

    Args:
        url: A `ws://`, `wss://`, `http://` or `https://` URL; its path matters to nobody.
        store: Where to record; the kernel's store by default.
        timeout: The bound on connecting in seconds.
        ssl: How TLS is spoken and who is trusted, where the URL asks for TLS.
        ca: The path of a CA's file in PEM form, to trust besides those of this machine.

    Raises:
        DialError: Nothing answers at the URL, or the server cannot be trusted.
    """
    return ConnectingRaw(url, store, timeout, ssl, ca)
