"""One GET request, its redirections followed, whose body is read as it comes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from lane_kernel.capture import Store
from lane_kernel.errors import LaneError
from lane_kernel.net.config import Config
from lane_kernel.net.dial import DialError, Target, dial
from lane_kernel.net.heads import ResponseHead, read_response_head
from lane_kernel.net.stream import RecordedStream, StreamClosedError
from lane_kernel.wire.handshake import Headers, build_head
from lane_kernel.wire.http1 import ChunkedDecoder, ChunkError

MAX_REDIRECTS = 20
"""Redirections followed for one request, as browsers follow them (WHATWG Fetch §4.4)."""

_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})
_READ = 64 * 1024


class RedirectError(LaneError):
    """A redirection leads nowhere."""


@dataclass(frozen=True, slots=True)
class Way:
    """How requests are made.

    Attributes:
        store: Where to record.
        timeout: The bound on each connection, and again on each answer, in seconds.
        config: The bounds.
        context: How TLS is spoken.
        ca: The path of a CA's file, to trust besides those of this machine.
    """

    store: Store
    timeout: float
    config: Config
    context: ssl.SSLContext | None = None
    ca: str | Path | None = None


class Response:
    """An answer whose head has come.

    Attributes:
        url: Where it came from, after redirections.
        stream: The connection.
        head: Its head.
        is_whole: Whether its body has ended as its framing says; without framing, the end of the connection ends it.
    """

    def __init__(self, url: str, stream: RecordedStream, head: ResponseHead) -> None:
        """Read a body from here on."""
        self.url = url
        self.stream = stream
        self.head = head
        coding = head.headers.get("Transfer-Encoding", "").strip().lower()
        length = head.headers.get("Content-Length", "")
        self._chunked = ChunkedDecoder() if coding == "chunked" else None
        self._left = int(length) if length.isdecimal() and not coding else None
        self._failure: ChunkError | None = None
        self._has_ended = self._left == 0
        self.is_whole = self._has_ended

    async def read(self) -> bytes:
        """Wait for the next bytes of the body.

        Returns:
            The bytes without their framing; b"" at the end.

        Raises:
            ChunkError: The framing is wrong; what came before it has been given.
        """
        while not self._has_ended:
            try:
                data: bytes = await self.stream.read_bytes(_READ, partial=True)
            except StreamClosedError:
                self._has_ended = True
                self.is_whole = self._left is None and self._chunked is None
            else:
                if body := self._unframe(data):
                    return body
        if self._failure is not None:
            raise self._failure
        return b""

    def _unframe(self, data: bytes) -> bytes:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
            self._has_ended = self.is_whole = self._left == 0
            return data
        if self._chunked is None:
            return data
        try:
            pieces = tuple(self._chunked.feed(data))
        except ChunkError as error:
            self._failure, self._has_ended = error, True
            pieces = error.pieces
        else:
            self._has_ended = self.is_whole = self._chunked.is_finished
        return b"".join(piece for _, piece in pieces)

    def close(self) -> None:
        """End the connection."""
        self.stream.close()


async def get(url: str, headers: Headers, way: Way) -> Response:
    """Ask for a URL, and for where it redirects to; each time over a connection of its own.

    Args:
        url: An `http://` or `https://` URL.
        headers: Header lines besides Host. Credentials are not taken along to another origin.
        way: How it is asked for.

    Raises:
        DialError: Nothing answers at the URL, or the server cannot be trusted.
        RedirectError: A redirection has no URL to go to, or there are too many.
        ResponseError: What came is no HTTP, or nothing came in time.
        ConnectionLostError: The server ended the connection before it answered.

    Source: WHATWG Fetch §4.4, HTTP-redirect fetch.
    """
    first = url
    for _ in range(MAX_REDIRECTS + 1):
        response = await _get_once(url, headers, way)
        location = response.head.headers.get("Location")
        if response.head.status not in _REDIRECTIONS or location is None:
            return response
        response.close()
        before, url = url, _follow(url, location)
        headers = headers_for(headers, before, url)
    raise RedirectError(f"{first} redirects over {MAX_REDIRECTS} times, at last to {url}")


def headers_for(headers: Headers, before: str, url: str) -> Headers:
    """Those header lines that may go to a URL although they were meant for another: credentials stay at their origin.

    Args:
        headers: The header lines.
        before: The URL that they were meant for.
        url: The URL that they are to go to.

    Source: WHATWG Fetch §4.4, HTTP-redirect fetch, for credentials.
    """
    if urlsplit(before)[:2] == urlsplit(url)[:2]:
        return headers
    return [line for line in headers if line[0].lower() not in _SECRET]


async def _get_once(url: str, headers: Headers, way: Way) -> Response:
    target = Target(url, ("http", "https"))
    request = build_head(f"GET {target.path} HTTP/1.1", [("Host", target.authority), *headers])
    stream = await dial(target, way.store, "client", way.timeout, context=way.context, ca=way.ca)
    try:
        stream.send(request)
        return Response(url, stream, await read_response_head(stream, way.config.max_head, way.timeout))
    except BaseException:
        stream.close()
        raise


def _follow(url: str, location: str) -> str:
    try:
        followed = urljoin(url, location)
        Target(followed, ("http", "https"))
    except (ValueError, DialError) as error:
        raise RedirectError(f"{url} redirects to {location!r}: {error}") from error
    return followed
