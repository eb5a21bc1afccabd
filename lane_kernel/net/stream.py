"""Tornado's IOStream that records each chunk as the socket gave or took it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from tornado.iostream import IOStream, StreamClosedError
from tornado.util import _websocket_mask

from lane_kernel.capture import Connection, NoteKind, Store
from lane_kernel.errors import LaneError
from lane_kernel.sides import Side

MAX_WRITE_BUFFER = 32 * 1024 * 1024
"""Bound on the bytes that wait for a peer that does not read, before more is sent; twice the largest message, so that a
Pong may wait behind one. Tornado's own default is none."""

__all__ = ["ConnectionLostError", "RecordedStream", "StreamClosedError", "address", "unmask"]


class ConnectionLostError(LaneError):
    """The connection is gone: what was to be sent cannot be, what was awaited will not come."""


unmask: Callable[[bytes, bytes], bytes] = _websocket_mask
"""Tornado's C function for wire's seam: takes a masking-key and data, answers the data unmasked."""


def address(raw: Any) -> str:
    """A socket's address as "host:port", an IPv6 host in brackets."""
    if not isinstance(raw, tuple):
        return str(raw)
    host, port = raw[0], raw[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class RecordedStream(IOStream):
    """A stream over a connected socket whose every read and write goes into a store.

    Attributes:
        record: The connection in the store.
        saw_eof: Whether the peer has ended its direction.
    """

    def __init__(self, sock: socket.socket, store: Store, side: Side, name: str = "") -> None:
        """Record from here on.

        Args:
            sock: A connected socket; the stream owns it.
            store: Where to record.
            side: Which end this is.
            name: Whose connection it is.
        """
        # Tornado's own bound would count what is being sent, too, and so refuse a large message to an idle peer.
        super().__init__(sock, max_write_buffer_size=None)
        self.store = store
        self.side = side
        self.saw_eof = False
        self.record: Connection = store.open(side, address(sock.getsockname()), address(sock.getpeername()), name)
        self._last_write: asyncio.Future[None] | None = None
        self.set_nodelay(True)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read from the socket and record what came."""
        count = super().read_from_fd(buf)
        if count:
            with memoryview(buf) as whole, whole[:count] as taken:
                self.store.append(self.record, self.side.incoming, taken)
        elif count == 0:
            self.saw_eof = True
        return count

    def write_to_fd(self, data: memoryview) -> int:
        """Write to the socket and record what it took."""
        count = super().write_to_fd(data)
        if count:
            with data[:count] as taken:
                self.store.append(self.record, self.side.outgoing, taken)
        return count

    def close_fd(self) -> None:
        """Close the socket and note who ended the connection."""
        if self.socket is not None:
            is_peer = self.saw_eof or self.error is not None
            who = "the peer" if is_peer else f"the {self.side.value}"
            by = self.side.peer if is_peer else self.side
            reason = f": {self.error}" if self.error is not None and not isinstance(self.error, ssl.SSLError) else ""
            self.store.note(NoteKind.CLOSED, self.record, f"closed by {who}{reason}", by=by)
        super().close_fd()

    def send(self, data: bytes) -> None:
        """Begin to write, without waiting; `drained` waits.

        Raises:
            ConnectionLostError: The connection is gone, or too much waits for a peer that does not read.
        """
        if self.closed():
            raise self.lost()
        if len(self._write_buffer) > MAX_WRITE_BUFFER:
            error = ConnectionLostError(
                f"connection {self.record.number}: over {MAX_WRITE_BUFFER:,} bytes wait for a peer that does not read"
            )
            self.close(exc_info=error)
            raise error
        try:
            self._last_write = self.write(data)
        except StreamClosedError as error:
            raise self.lost() from error

    async def drained(self) -> None:
        """Wait until the socket has taken everything.

        Raises:
            StreamClosedError: The connection ended before.
        """
        if self._last_write is not None and not self._last_write.done():
            await self._last_write

    async def flush(self, timeout: float) -> None:
        """Wait until the socket has taken everything, with a bound.

        Args:
            timeout: The bound in seconds; after it the connection is ended.

        Raises:
            ConnectionLostError: The connection ended, or the peer did not read in time.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.drained()
        except StreamClosedError as error:
            raise self.lost() from error
        except TimeoutError:
            self.close()
            raise ConnectionLostError(
                f"connection {self.record.number}: the peer has not read everything within {timeout:g} s"
            ) from None

    def lost(self) -> ConnectionLostError:
        """Make the error that says this connection is gone."""
        return ConnectionLostError(f"connection {self.record.number} to {self.record.peer} is gone")

    def end_writing(self) -> None:
        """End our direction and go on reading."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def held(self) -> int:
        """How many bytes have come in and have not been asked for."""
        return self._read_buffer_size

    def received(self) -> int:
        """How many bytes have come in so far, unread ones included."""
        return self.store.length(self.record, self.side.incoming)
