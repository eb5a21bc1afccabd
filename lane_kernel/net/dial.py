"""Connecting a recorded stream to a server."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import SplitResult, urlsplit

from lane_kernel.capture import Store
from lane_kernel.errors import LaneError
from lane_kernel.net.stream import RecordedStream
from lane_kernel.sides import Side

CONNECT_TIMEOUT = 10.0
"""Default bound on the wait for a connection, in seconds."""


class DialError(LaneError):
    """A server cannot be connected to."""


class Target:
    """Where a URL points.

    Attributes:
        host: The host's name or address.
        port: The port.
        authority: What the Host header says.
        path: The request's target: path and query.
    """

    def __init__(self, url: str, schemes: tuple[str, ...]) -> None:
        """Take a URL apart.

        Args:
            url: The URL.
            schemes: The schemes that mean plain text here, such as "ws" and "http".

        Raises:
            DialError: It is not such a URL.
        """
        parts = _split(url)
        if parts.scheme not in schemes or not parts.hostname:
            wanted = " or ".join(f"{scheme}://" for scheme in schemes)
            raise DialError(f"{url!r} is not a URL to connect to: it begins with {wanted} and names a host")
        self.host = parts.hostname
        self.port = parts.port or 80
        bracketed = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = bracketed if self.port == 80 else f"{bracketed}:{self.port}"
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise DialError(f"{url!r} is not a URL to connect to: {error}") from error
    if any(ord(character) <= 0x20 or ord(character) >= 0x7F for character in parts.path + parts.query):
        raise DialError(f"{url!r} holds a blank or a character that is not ASCII: percent-encode it")
    return parts


async def dial(target: Target, store: Store, name: str, timeout: float = CONNECT_TIMEOUT) -> RecordedStream:
    """Connect, trying the host's addresses one after another.

    Args:
        target: Where to.
        store: Where to record.
        name: Whose connection it is.
        timeout: The bound on all of it in seconds.

    Raises:
        DialError: Nothing listens there, or nothing answered in time.
    """
    loop = asyncio.get_running_loop()
    last: OSError | None = None
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            for family, kind, protocol, _, place in found:
                try:
                    return RecordedStream(await _connect(family, kind, protocol, place), store, Side.CLIENT, name)
                except OSError as error:
                    last = error
    except TimeoutError:
        raise DialError(f"{target.authority} did not answer within {timeout:g} s") from None
    except OSError as error:
        last = error
    hint = "is the server started?" if isinstance(last, ConnectionRefusedError) else "is the host right?"
    raise DialError(f"cannot connect to {target.authority}: {last}; {hint}") from last


async def _connect(family: int, kind: int, protocol: int, place: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock
