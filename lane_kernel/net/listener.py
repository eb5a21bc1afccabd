"""Tornado's TCPServer, made to hand out recorded streams."""

from __future__ import annotations

import contextvars
import errno
import socket
from collections.abc import Callable
from typing import Any

from tornado.tcpserver import TCPServer

from lane_kernel.capture import Store
from lane_kernel.errors import LaneError
from lane_kernel.net.stream import RecordedStream
from lane_kernel.sides import Side

BACKLOG = 128
"""Connections that may wait to be accepted; Tornado's own default."""


class ListenError(LaneError):
    """A server cannot listen where it was asked to."""


class Listener(TCPServer):
    """Accepts connections and hands each to a function as a `RecordedStream`.

    Attributes:
        port: The port it listens on.
    """

    def __init__(self, accept: Callable[[RecordedStream], object], store: Store, name: str) -> None:
        """Make a listener that does not listen yet.

        Args:
            accept: Called with each new connection's stream.
            store: Where the streams record.
            name: Whose connections they are.
        """
        super().__init__()
        self.port = 0
        self._accept = accept
        self._store = store
        self._name = name

    def listen_on(self, host: str, port: int) -> None:
        """Begin to accept, in an empty context, so that nothing belongs to the cell that started the server.

        Args:
            host: The address to bind.
            port: The port, 0 for a free one.

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
        self.port = listening.getsockname()[1]
        contextvars.Context().run(self.add_sockets, [listening])

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:  # noqa: ARG002 - Tornado's signature
        # TCPServer makes plain IOStreams here and offers no other place to make one's own.
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
