"""Connecting a recorded stream to a server, in plain text or over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from tornado.ioloop import IOLoop
from tornado.iostream import SSLIOStream

from lane_kernel.capture import Store
from lane_kernel.errors import LaneError
from lane_kernel.net.stream import RecordedStream
from lane_kernel.sides import Side

CONNECT_TIMEOUT = 10.0
"""Default bound on the wait for a connection, in seconds."""

_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_SECURE = ("wss", "https")
_OTHER_HOST = (62, 64)
"""OpenSSL's numbers for a certificate of another host name, and of another address."""

Kind = TypeVar("Kind", bound=RecordedStream)


class DialError(LaneError):
    """A server cannot be connected to."""


class Target:
    """Where a URL points.

    Attributes:
        host: The host's name or address.
        port: The port.
        authority: What the Host header says.
        path: The request's target: path and query.
        is_secure: Whether it is spoken to over TLS.
    """

    def __init__(self, url: str, schemes: tuple[str, ...]) -> None:
        """Take a URL apart.

        Args:
            url: The URL.
            schemes: The schemes that can be spoken here, such as "ws" and "wss".

        Raises:
            DialError: It is not such a URL.
        """
        parts = _split(url)
        if parts.scheme not in schemes or not parts.hostname:
            wanted = " or ".join(f"{scheme}://" for scheme in schemes)
            raise DialError(f"{url!r} is not a URL to connect to: it begins with {wanted} and names a host")
        usual = _PORTS[parts.scheme]
        self.is_secure = parts.scheme in _SECURE
        self.host = parts.hostname
        self.port = usual if parts.port is None else parts.port
        bracketed = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = bracketed if self.port == usual else f"{bracketed}:{self.port}"
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


class RecordedTlsStream(RecordedStream, SSLIOStream):
    """A recorded stream over TLS.

    What is recorded is the plain text inside TLS, since that is what people want to see: one chunk for what one read
    gave or one write took, after it was decrypted or before it was encrypted.
    """

    socket: ssl.SSLSocket

    def _shut_down(self) -> None:
        """End our direction of the TCP connection, and go on reading; many a server then ends the other one, too.

        `SSLSocket.shutdown` would read on without decrypting, and Python cannot send a close_notify without also
        reading, so that what comes at that moment would be lost.
        """
        if self.socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_WR)


def tls_context(context: ssl.SSLContext | None = None, ca: str | Path | None = None) -> ssl.SSLContext:
    """Make what decides which servers are trusted.

    Args:
        context: One of a person's own; it is used as it is.
        ca: The path of a file with certificates in PEM form, which are trusted besides those of this machine.

    Raises:
        DialError: Both are given, or the file holds no certificates.
    """
    if context is not None:
        if ca is not None:
            raise DialError("ssl= and ca= are both given: load the CA's file with ssl.load_verify_locations(ca)")
        return context
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except OSError as error:  # which SSLError is, too
            raise DialError(f"ca={str(ca)!r} is no file of certificates in PEM form: {error}") from error
    return context


async def dial(
    target: Target,
    store: Store,
    name: str,
    timeout: float = CONNECT_TIMEOUT,
    *,
    context: ssl.SSLContext | None = None,
    ca: str | Path | None = None,
) -> RecordedStream:
    """Connect, trying the host's addresses one after another.

    Args:
        target: Where to.
        store: Where to record.
        name: Whose connection it is.
        timeout: The bound on all of it, TLS included, in seconds.
        context: How TLS is spoken, where the target asks for it; as `ssl.create_default_context` has it by default.
        ca: The path of a CA's file, to trust besides those of this machine.

    Raises:
        DialError: Nothing listens there, nothing answered in time, or the server cannot be trusted.
    """
    tls = tls_context(context, ca) if target.is_secure else None
    try:
        async with asyncio.timeout(timeout):
            sock = await _connect_to_any(target)
            if tls is None:
                return _recorded(RecordedStream, sock, store, name)
            stream = _recorded(RecordedTlsStream, await _secure(sock, tls, target), store, name)
            try:
                await stream.wait_for_handshake()  # it is done; Tornado has to notice
            except BaseException:
                stream.close()
                raise
            return stream
    except TimeoutError:
        raise DialError(f"{target.authority} did not answer within {timeout:g} s") from None


def _recorded(kind: type[Kind], sock: socket.socket, store: Store, name: str) -> Kind:
    try:
        return kind(sock, store, Side.CLIENT, name)
    except OSError as error:
        sock.close()
        raise DialError(f"the server ended the connection at once: {error}") from error


async def _connect_to_any(target: Target) -> socket.socket:
    loop = asyncio.get_running_loop()
    last: OSError | None = None
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, place in found:
            try:
                return await _connect(family, kind, protocol, place)
            except OSError as error:
                last = error
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


async def _secure(sock: socket.socket, context: ssl.SSLContext, target: Target) -> ssl.SSLSocket:
    """Do the TLS handshake, before the stream is made: Tornado would log its failure as well as raise it."""
    try:
        secured = context.wrap_socket(sock, server_hostname=target.host, do_handshake_on_connect=False)
    except BaseException:
        sock.close()
        raise
    try:
        while (wanted := _shake_hands(secured)) is not None:
            await _wait_for(secured, wanted)
    except OSError as error:  # which SSLError is, too
        secured.close()
        raise _untrusted(error, target) from error
    except BaseException:
        secured.close()
        raise
    return secured


def _shake_hands(sock: ssl.SSLSocket) -> int | None:
    """Go on with the TLS handshake as far as bytes allow; say what it waits for, or None where it is done."""
    try:
        sock.do_handshake()
    except ssl.SSLWantReadError:
        return IOLoop.READ
    except ssl.SSLWantWriteError:
        return IOLoop.WRITE
    return None


async def _wait_for(sock: socket.socket, events: int) -> None:
    io_loop = IOLoop.current()
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(_: object, __: int) -> None:
        if not ready.done():
            ready.set_result(None)

    io_loop.add_handler(sock, wake, events)
    try:
        await ready
    finally:
        io_loop.remove_handler(sock)


def _untrusted(error: OSError, target: Target) -> DialError:
    """Say why TLS with a server did not come about, and what to do."""
    where = target.authority
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message
        if error.verify_code in _OTHER_HOST:
            return DialError(
                f"the certificate of {where} is for another host: {why}; connect to a name that stands in it"
            )
        return DialError(
            f"the certificate of {where} is not trusted: {why}; give the file of its CA with ca=, or an SSLContext of "
            "your own with ssl="
        )
    plain = "for a server in plain text the URL begins with ws:// or http://"
    if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return DialError(f"{where} does not answer in TLS: {plain}")
    return DialError(f"{where} did not finish the TLS handshake: {str(error) or type(error).__name__}; {plain}")
