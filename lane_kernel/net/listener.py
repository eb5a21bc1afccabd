"""A listening socket in the loop, which hands out recorded streams."""

from __future__ import annotations

import contextvars
import errno
import socket
from collections.abc import Callable

from tornado.ioloop import IOLoop

from lane_kernel.capture import Store
from lane_kernel.errors import LaneError
from lane_kernel.net.descriptors import limit, make_room
from lane_kernel.net.stream import RecordedStream
from lane_kernel.sides import Side

BACKLOG = 1024
"""Connections that may wait to be accepted; more than Tornado's 128, since whole classrooms come at once."""

RETRY = 1.0
"""The pause before accepting again where no descriptor was free, in seconds; asyncio's own servers take 1 s."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ListenError(LaneError):
    """A server cannot listen where it was asked to."""


class Listener:
    """Accepts connections and hands each to a function as a `RecordedStream`.

    Attributes:
        port: The port it listens on.
    """

    def __init__(
        self,
        accept: Callable[[RecordedStream], object],
        store: Store,
        name: str,
        on_exhausted: Callable[[str], object],
    ) -> None:
        """Make a listener that does not listen yet.

        Args:
            accept: Called with each new connection's stream.
            store: Where the streams record.
            name: Whose connections they are.
            on_exhausted: Told in words when the machine has no room for another connection; those that wait are
                accepted later.
        """
        self.port = 0
        self._accept = accept
        self._store = store
        self._name = name
        self._on_exhausted = on_exhausted
        self._socket: socket.socket | None = None
        self._loop: IOLoop | None = None
        self._is_accepting = False

    def listen_on(self, host: str, port: int, connections: int) -> None:
        """Begin to accept, in an empty context, so that nothing belongs to the cell that started the server.

        Args:
            host: The address to bind.
            port: The port, 0 for a free one.
            connections: How many are to have room among the process's descriptors, as far as its hard limit allows.

        Raises:
            ListenError: The port is in use or none, or the address is not this machine's.
        """
        if port not in range(0x10000):
            raise ListenError(f"{port!r} is no port: take one from 1 to 65535, or a free one with port=0")
        try:
            # Tornado's bind_sockets leaves its socket open where the port is in use.
            listening = socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
        except OSError as error:
            raise ListenError(_why(error, host, port)) from error
        listening.setblocking(False)
        make_room(connections)
        self.port = listening.getsockname()[1]
        self._socket = listening
        self._loop = IOLoop.current()
        contextvars.Context().run(self._begin)

    def _begin(self) -> None:
        if self._socket is not None and self._loop is not None:
            self._is_accepting = True
            self._loop.add_handler(self._socket, self._accept_all, IOLoop.READ)

    def _end(self) -> None:
        if self._is_accepting and self._socket is not None and self._loop is not None:
            self._is_accepting = False
            self._loop.remove_handler(self._socket)

    def stop(self) -> None:
        """Accept no more."""
        self._end()
        listening, self._socket = self._socket, None
        if listening is not None:
            listening.close()

    def _accept_all(self, listening: socket.socket, _events: int) -> None:
        for _ in range(BACKLOG):
            if self._socket is None:
                return
            try:
                connection, _address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._rest(error)
                return
            self._hand_out(connection)

    def _rest(self, error: OSError) -> None:
        """Accept nothing for a while: the loop would do nothing else."""
        self._on_exhausted(
            f"no room for another connection ({error.strerror}): the limit is {limit() or 'the system’s'} descriptors; "
            "raise it with `ulimit -n` before Jupyter starts, or bound the server with config.max_connections"
        )
        self._end()
        if self._loop is not None:
            self._loop.call_later(RETRY, self._begin)

    def _hand_out(self, connection: socket.socket) -> None:
        try:
            stream = RecordedStream(connection, self._store, Side.SERVER, self._name)
        except OSError:
            # The peer was gone before it could be asked for its address.
            connection.close()
            return
        self._accept(stream)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or take a free port with port=0"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not allowed to this user: take one above 1023, or port=0"
    return f"cannot listen on {host}:{port}: {error}"
