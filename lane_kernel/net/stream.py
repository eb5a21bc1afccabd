"""Tornado's IOStream that records each chunk as the socket gave or took it.

Requests are read by IOStream's futures. Once a connection is upgraded, `read_directly` leaves them behind: each chunk
is read into one buffer of the thread, recorded, and handed to a function. Whatever is sent, by HTTP, SSE or frames,
goes through `send`, which writes at once where nothing waits. A TLS socket whose handshake is done goes the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError
from tornado.util import _websocket_mask

from lane_kernel.capture import Connection, NoteKind, Store
from lane_kernel.errors import LaneError
from lane_kernel.net.faulty import ROOM, ConnectionFaults, FaultyWriter, HeldTooMuchError
from lane_kernel.sides import Side

READ = 256 * 1024
"""Bytes that one direct read takes at the most."""

JOIN = 64 * 1024
"""Bytes that are joined to one write before it is made."""

JOIN_SECONDS = 0.001
"""How long what an HTTP handler sends is kept while the loop does not come round."""

MAX_WRITE_BUFFER = 32 * 1024 * 1024
"""Bound on the bytes of HTTP that wait for a peer that does not read, before more is sent; frames have bounds of their
own. Tornado's own default is none."""

WRITE = 256 * 1024
"""Bytes that one write of what waits takes at the most."""

_READ, _WRITE = IOLoop.READ, IOLoop.WRITE

_MOST_READ_AWAY = 64
"""Reads that are made of a connection before it is cut."""

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

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


class _Thread(threading.local):
    """What the streams of one thread share: a read is done with the buffer before the next one begins."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(READ))


_thread = _Thread()


def _forget(*_: object) -> None:
    """Keep nothing."""


class RecordedStream(IOStream):
    """A stream over a connected socket whose every read and write goes into a store.

    Attributes:
        record: The connection in the store.
        saw_eof: Whether the peer has ended its direction.
        faults: What is done wrong on purpose to what is sent.
        interposed: What does it, between `send` and the socket; None while there is nothing to do.
        is_joining: Whether what is sent is kept, to be written as one: with what is sent first after that, by
            `write_joined`, or once it is much.
        joined: What is kept so.
        waiting: How many bytes are kept so, are held by faults for a time, or wait for the socket to take them.
    """

    _is_deaf = False  # asked for while Tornado makes a TLS stream

    def __init__(self, sock: socket.socket, store: Store, side: Side, name: str = "") -> None:
        """Record from here on.

        Args:
            sock: A connected socket; the stream owns it.
            store: Where to record.
            side: Which end this is.
            name: Whose connection it is.
        """
        super().__init__(sock)
        self.store = store
        self.side = side
        self.saw_eof = False
        self.interposed: FaultyWriter | None = None
        self.record: Connection = store.open(side, address(sock.getsockname()), address(sock.getpeername()), name)
        self._loop = asyncio.get_running_loop()
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._incoming, self._outgoing = side.incoming, side.outgoing
        self._buffer = _thread.buffer
        self._receive: Callable[[bytes], object] | None = None
        self._ended: Callable[[], object] | None = None
        self.is_joining = False
        self._joins_turns = True  # of frames, those are joined that answer one read
        self._join_until = 0.0
        self.joined: list[bytes] = []
        self.waiting = 0
        self._unsent = bytearray()
        self._was_cut = False
        self._on_drained: Callable[[], object] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._held = 0
        self._is_paused = True
        self.faults = ConnectionFaults(self)
        self.set_nodelay(True)

    # What comes: by IOStream's futures

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read from the socket and record what came."""
        if self._is_deaf:
            return None
        try:
            count = super().read_from_fd(buf)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        if count:
            with memoryview(buf) as whole, whole[:count] as taken:
                self.store.append(self.record, self._incoming, taken)
        elif count == 0:
            self.saw_eof = True
        return count

    async def read_through(
        self, end: re.Pattern[bytes], longest: int, most: int, wrong: re.Pattern[bytes] | None = None
    ) -> bytes:
        """Read up to and with what a pattern finds first; what comes is searched once, however slowly it comes.

        Args:
            end: The pattern.
            longest: Bytes that it matches at the most.
            most: How many bytes to read at the most.
            wrong: No more is read where what came begins with what this pattern finds.

        Returns:
            The bytes; so many as were read where it was not found in them.

        Raises:
            StreamClosedError: The peer ended the connection before.
        """
        taken = bytearray()
        while len(taken) < most and not (wrong and wrong.match(taken)):
            searched = max(len(taken) - longest + 1, 0)
            taken += await self.read_bytes(min(READ, most - len(taken)), partial=True)
            found = end.search(taken, searched)
            if found is not None:
                self._give_back(taken[found.end() :])
                return bytes(taken[: found.end()])
        return bytes(taken)

    def _give_back(self, data: bytearray) -> None:
        """Let bytes be read again, before all others."""
        self._read_buffer[:0] = data
        self._read_buffer_size += len(data)

    def held(self) -> int:
        """How many bytes have come in and have not been asked for."""
        return self._read_buffer_size

    def received(self) -> int:
        """How many bytes have come in so far, unread ones included."""
        return self.store.length(self.record, self._incoming)

    # What comes: directly

    def read_directly(self, receive: Callable[[bytes], object], ended: Callable[[], object]) -> None:
        """Leave IOStream's reads behind; from now on what comes is handed to a function, in an empty context.

        What IOStream still holds comes first, in the loop's next turn.

        Args:
            receive: Called with each chunk as the socket gave it.
            ended: Called once, in a turn of its own, when the socket has been closed by either end.
        """
        self._receive, self._ended = receive, ended
        self._joins_turns = False
        if self.closed():
            self._tell_end()
            return
        if self._state is not None:
            self.io_loop.remove_handler(self.socket)
        self._state = self.io_loop.ERROR | (self.io_loop.WRITE if self._unsent else 0)
        contextvars.Context().run(self.io_loop.add_handler, self.socket, self._on_event, self._state)
        self.resume_reading()

    def forget_what_comes(self) -> None:
        """Read on and keep nothing: from now on only the connection's end matters, and is noticed at once."""
        if self._receive is None:
            self.read_directly(_forget, _forget)
            self._joins_turns = True

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`: what comes waits in the socket, and then in the peer."""
        self._is_paused = True
        self._listen(without=self.io_loop.READ)

    def resume_reading(self) -> None:
        """Read again."""
        if self.closed() or self._receive is None:
            return
        self._is_paused = False
        self._listen(also=self.io_loop.READ)
        if self._read_buffer_size or self._has_pending():
            # No event tells of bytes that have left the socket.
            self._loop.call_soon(self._read_held, context=contextvars.Context())

    @property
    def _is_reading(self) -> bool:
        return self._receive is not None and self._state is not None and not self._is_paused

    def _has_pending(self) -> bool:
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0

    def _read_held(self) -> None:
        """Read what has left the socket already: what IOStream holds, then what TLS does."""
        if self._read_buffer_size and self._receive is not None and self._is_reading:
            held = self.read_bytes(self._read_buffer_size)
            self._receive(asyncio.ensure_future(held).result())
        if self._is_reading and not self._is_deaf and self._has_pending():
            self._read()

    def _on_event(self, _: object, events: int) -> None:
        if events & _READ:
            self._read()
        if events & _WRITE and not self._closed:
            self._handle_write()

    def _read(self) -> None:
        """Read once, record it and hand it on."""
        buffer = self._buffer
        try:
            count = self.socket.recv_into(buffer)
        except _NOT_NOW:
            return
        except OSError as error:
            self.close(exc_info=error)
            return
        if not count:
            self.saw_eof = True
            self.close()
            return
        data = bytes(buffer[:count])
        self.store.append(self.record, self._incoming, data)
        if self._receive is not None:
            self._receive(data)
        if self._is_tls:
            self._read_held()

    # What goes

    def send(self, data: bytes) -> None:
        """Write at once what the socket takes, and keep the rest for it; `drained` waits.

        Every byte on its way to the socket comes through here: of HTTP, of event streams, of frames. What follows a
        write at once, before the loop comes round, is joined to the next.

        Raises:
            ConnectionLostError: The connection is gone, or too much waits for a peer that does not read.
        """
        if self._closed:
            raise self.lost()
        if self.interposed is not None:
            self._send_faulty(self.interposed, data)
        elif self.is_joining or self.joined:
            self._join(data)
        else:
            self._write(data)
            if self._joins_turns and not self._closed:
                self.is_joining = True
                self._join_until = self._loop.time() + JOIN_SECONDS
                self._loop.call_soon(self.end_joining)

    def end_joining(self) -> None:
        """Join no more, and write what has been kept."""
        self.is_joining = False
        if self.joined:
            with contextlib.suppress(ConnectionLostError):  # whoever reads, or sends next, is told
                self.write_joined()

    def _send_faulty(self, writer: FaultyWriter, data: bytes) -> None:
        try:
            writer.send(data)
        except HeldTooMuchError as error:
            self.faults.close(is_lost=True)
            self.close()
            raise ConnectionLostError(str(error)) from error
        self.count_held(writer.waits)

    def count_held(self, count: int) -> None:
        """Count what faults hold for a time with what waits."""
        before, self._held = self._held, count
        self.waiting += count - before
        if count < before:
            self._wake()

    def unsent(self) -> int:
        """How many bytes wait for the socket, or to be joined."""
        return self.waiting - self._held

    @property
    def meant(self) -> int:
        """How many bytes have been given to `send` so far, whatever faults made of them."""
        return self.store.length(self.record, self._outgoing) + self.unsent() + self.faults.lacking

    def put(self, data: bytes) -> None:
        """Write bytes past what is interposed, in a write of their own.

        Raises:
            ConnectionLostError: The connection is gone, or too much waits for a peer that does not read.
        """
        if self._closed:
            raise self.lost()
        self.write_joined()
        self._write(data)

    def _join(self, data: bytes) -> None:
        self.joined.append(data)
        self.waiting += len(data)
        if not self.is_joining or self.waiting >= JOIN:
            self.write_joined()
        elif self._joins_turns and self._loop.time() > self._join_until:
            # A handler that blocks the loop between two of its writes.
            self._join_until = self._loop.time() + JOIN_SECONDS
            self.write_joined()

    def write_joined(self) -> None:
        """Write what has been kept.

        Raises:
            ConnectionLostError: The connection is gone, or too much waits for a peer that does not read.
        """
        if self.joined:
            data = self.joined[0] if len(self.joined) == 1 else b"".join(self.joined)
            self.joined.clear()
            self.waiting -= len(data)
            self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        """Write what the socket takes now, record that, and keep the rest."""
        if self._receive is None:
            self._maybe_add_error_listener()  # as IOStream's own `write` does
        if not data:
            return
        taken = 0
        # A write that TLS could not finish is tried again with at least as much; so it is given no more at once than
        # `_handle_write` gives it.
        if not self._unsent and not (self._is_tls and len(data) > WRITE):
            try:
                taken = self.socket.send(data)
            except _NOT_NOW:
                pass
            except OSError as error:
                self.close(exc_info=error)
                raise self.lost() from error
            if taken == len(data):
                self.store.append(self.record, self._outgoing, data)
                return
        self._keep(memoryview(data), taken)

    def _keep(self, data: memoryview, taken: int) -> None:
        """Record what the socket has taken of some data, and keep the rest until it takes more."""
        if self._joins_turns and len(self._unsent) > MAX_WRITE_BUFFER:  # frames have a bound of their own
            error = ConnectionLostError(
                f"connection {self.record.number}: over {MAX_WRITE_BUFFER:,} bytes wait for a peer that does not read"
            )
            self.close(exc_info=error)
            raise error
        if taken:
            self.store.append(self.record, self._outgoing, data[:taken])
        self._unsent += data[taken:]
        self.waiting += len(data) - taken
        self._listen(also=_WRITE)

    def _handle_write(self) -> None:
        # The name is IOStream's, which calls it while it has the socket's events.
        unsent = self._unsent
        try:
            while unsent:
                with memoryview(unsent) as whole, whole[:WRITE] as part:
                    taken = self.socket.send(part)
                    self.store.append(self.record, self._outgoing, part[:taken])
                del unsent[:taken]
                self.waiting -= taken
        except _NOT_NOW:
            pass
        except OSError as error:
            self.close(exc_info=error)
        if not self._unsent:
            self._listen(without=self.io_loop.WRITE)
            if self.interposed is not None:
                self.interposed.resume()
            self._tell_drained()
        self._wake()

    def writing(self) -> bool:
        """Whether bytes wait for the socket, or are held by faults for a time."""
        return bool(self._unsent) or self._held > 0

    def when_drained(self, function: Callable[[], object]) -> None:
        """Call a function once the socket has taken everything: now, where nothing waits; never, where it ends before.

        Nothing may be sent after it: what faults hold until more comes goes now.

        Args:
            function: What to call; it takes the place of one that was given before.
        """
        self._on_drained = function
        self.faults.when_settled(self._tell_drained)

    def _tell_drained(self) -> None:
        if self._unsent or self.faults.held:
            return
        function, self._on_drained = self._on_drained, None
        if function is not None and not self._closed:
            function()

    async def drained(self, most: int = 0) -> None:
        """Wait until the socket has taken everything.

        Args:
            most: How many bytes may still wait.

        Raises:
            StreamClosedError: The connection ended before.
        """
        self.write_joined()
        while len(self._unsent) > most or self._held > max(most, ROOM):
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
        if self._was_cut:
            raise StreamClosedError(real_error=self.error)

    async def flush(self, timeout: float, most: int = 0) -> None:
        """Wait until the socket has taken everything, with a bound.

        Args:
            timeout: The bound in seconds; after it the connection is ended.
            most: How many bytes may still wait.

        Raises:
            ConnectionLostError: The connection ended, or the peer did not read in time.
        """
        try:
            self.write_joined()
            if len(self._unsent) > most or self._was_cut or self._held > max(most, ROOM):
                async with asyncio.timeout(timeout):
                    await self.drained(most)
        except StreamClosedError as error:
            raise self.lost() from error
        except TimeoutError:
            self.close()
            raise ConnectionLostError(
                f"connection {self.record.number}: the peer has not read everything within {timeout:g} s"
            ) from None

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # Its end

    def end_writing(self) -> None:
        """End our direction and go on reading; what is kept, and what faults hold, goes before."""
        self.end_joining()
        self.faults.when_settled(self._shut_down)

    def _shut_down(self) -> None:
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    async def settle(self, timeout: float) -> None:
        """Wait until what faults hold has gone, before the connection ends.

        Args:
            timeout: The bound in seconds; what is still held then goes when the connection is closed.
        """
        if self.faults.held and not self._closed:
            settled = asyncio.Event()
            self.faults.when_settled(settled.set)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await settled.wait()

    def cut(self, is_reset: bool) -> None:
        """End the connection in the middle of what is sent, by a TCP reset or cleanly."""
        if self._closed:
            return
        if is_reset:
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            self._read_away()
        self.close()

    def _read_away(self) -> None:
        """Read what has come: a socket that is closed with unread bytes resets its connection."""
        with contextlib.suppress(OSError):
            for _ in range(_MOST_READ_AWAY):
                if not self.read_from_fd(self._buffer):
                    break

    def close(self, exc_info: Any = False) -> None:
        """End the connection; what is kept, and what faults hold, goes before, where the peer is still there."""
        if not self.closed():
            if self.joined and not exc_info and not self.saw_eof:
                self.end_joining()
            self.faults.close(is_lost=bool(exc_info) or self.saw_eof)
        super().close(exc_info)

    def close_fd(self) -> None:
        """Close the socket, note who ended the connection, and tell whoever reads or waits."""
        if self.socket is not None:
            is_peer = self.saw_eof or self.error is not None
            who = "the peer" if is_peer else f"the {self.side.value}"
            by = self.side.peer if is_peer else self.side
            reason = f": {self.error}" if self.error is not None and not isinstance(self.error, ssl.SSLError) else ""
            self.store.note(NoteKind.CLOSED, self.record, f"closed by {who}{reason}", by=by)
            self._was_cut = bool(self._unsent or self.joined)
            self._unsent = bytearray()
            self.joined.clear()
            self.waiting = self._held = 0
        super().close_fd()
        self._wake()
        self._tell_end()

    def _tell_end(self) -> None:
        if self._ended is not None:
            self._loop.call_soon(self._ended, context=contextvars.Context())
            self._receive = self._ended = None

    def lost(self) -> ConnectionLostError:
        """Make the error that says this connection is gone."""
        return ConnectionLostError(f"connection {self.record.number} to {self.record.peer} is gone")

    def _listen(self, *, also: int = 0, without: int = 0) -> None:
        """Change which events of the socket are told."""
        if self._is_deaf:
            also &= ~self.io_loop.READ
        if self._receive is None:
            # IOStream has the socket's events.
            if also:
                self._add_io_state(also)
        elif self._state is not None and (state := (self._state | also) & ~without) != self._state:
            self._state = state
            contextvars.Context().run(self.io_loop.update_handler, self.socket, state)

    def set_deaf(self, is_deaf: bool) -> None:
        """Read no more from the socket, or again; what has been read is still given out."""
        self._is_deaf = is_deaf
        if self._closed:
            return
        if is_deaf:
            self._turn_away()
        elif self._receive is None:
            self._add_io_state(_READ)
        elif not self._is_paused:
            self.resume_reading()

    def _turn_away(self) -> None:
        """Listen for nothing to read: an event that nobody acts on would be told again at once."""
        if self._state is not None and self._state & _READ:
            self._state &= ~_READ
            contextvars.Context().run(self.io_loop.update_handler, self.socket, self._state)

    def _add_io_state(self, state: int) -> None:
        if not (self._is_deaf and state == _READ):
            super()._add_io_state(state)

    def _handle_events(self, fd: Any, events: int) -> None:
        super()._handle_events(fd, events)
        if self._is_deaf and not self._closed:
            self._turn_away()
