"""HTTP/1.1 heads and bodies, read with a bound and a time-out and parsed by Tornado's public functions."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from tornado.httputil import HTTPHeaders, HTTPInputError, parse_request_start_line, parse_response_start_line

from lane_kernel.errors import LaneError
from lane_kernel.net.config import DEFAULT, Config
from lane_kernel.net.stream import ConnectionLostError, RecordedStream, StreamClosedError

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_NO_REQUEST = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z\r\n]")
"""A first byte that is of no method, nor of an empty line before it (RFC 9112 §2.2 and §3.1)."""
_LONGEST_END = 3
_TLS_HANDSHAKE = 0x16
"""The first byte of a ClientHello (RFC 8446 §5.1)."""
_MAX_LINE = 1024
_REFUSAL_TIMEOUT = 1.0
_INTERIM = frozenset(range(100, 200)) - {101}


class RequestError(LaneError):
    """A request cannot be read.

    Attributes:
        status: The HTTP status to answer with.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ResponseError(LaneError):
    """A response cannot be read."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's start line and headers."""

    method: str
    target: str
    version: str
    headers: HTTPHeaders

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The headers as (name, value)."""
        return tuple(self.headers.get_all())


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response's start line and headers."""

    version: str
    status: int
    reason: str
    headers: HTTPHeaders

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """The headers as (name, value)."""
        return tuple(self.headers.get_all())


async def _read_through_head(stream: RecordedStream, max_head: int, wrong: re.Pattern[bytes] | None = None) -> bytes:
    """Read a whole head, or as many bytes as a head may have: the stream stays open to answer 431."""
    return await stream.read_through(_END_OF_HEAD, _LONGEST_END, max_head, wrong)


def _split(raw: bytes) -> tuple[str, str]:
    start_line, _, headers = raw.lstrip(b"\r\n").decode("latin-1").partition("\n")
    return start_line.rstrip("\r"), headers.rstrip("\r\n")


def parse_request_head(raw: bytes) -> RequestHead:
    """Parse a request's head.

    Raises:
        RequestError: 400 where it is malformed, 505 where its version is not HTTP/1.

    Source: RFC 9112 §3 and §5.
    """
    start_line, headers = _split(raw)
    other = re.fullmatch(r"\S+ \S+ HTTP/(\d(?:\.\d)?)", start_line)
    if other and not other[1].startswith("1"):
        raise RequestError(505, f"this server speaks HTTP/1.1, the request says HTTP/{other[1]}")
    try:
        line = parse_request_start_line(start_line)
        parsed = HTTPHeaders.parse(headers)
    except HTTPInputError as error:
        raise RequestError(400, f"malformed request: {error} (it begins {raw[:60]!r})") from error
    if line.version == "HTTP/1.1" and len(parsed.get_list("Host")) != 1:
        raise RequestError(400, "an HTTP/1.1 request has one Host header (RFC 9112 §3.2)")
    return RequestHead(line.method, line.path, line.version, parsed)


def _check_beginning(raw: bytes) -> None:
    """Refuse what no request begins with; such bytes are not read to the end of a head, which they may not have."""
    if not _NO_REQUEST.match(raw):
        return
    if raw[0] == _TLS_HANDSHAKE:
        raise RequestError(400, "this is TLS; the server speaks plain HTTP: use ws:// or http://")
    raise RequestError(400, f"malformed request: no request begins with byte 0x{raw[0]:02x}")


def _check_parts(head: RequestHead, config: Config) -> None:
    """Hold a head's parts to their bounds.

    Source: RFC 9110 §15.5.15; RFC 6585 §5.
    """
    if len(head.target) > config.max_path:
        raise RequestError(414, f"a target of {len(head.target):,} bytes is over the bound of {config.max_path:,}")
    lines = head.lines
    if len(lines) > config.max_header_count:
        raise RequestError(431, f"{len(lines):,} header lines are over the bound of {config.max_header_count:,}")
    for name, value in lines:
        if len(name) > config.max_header_name:
            raise RequestError(
                431,
                f"a header name of {len(name):,} bytes ({name[:20]}…) is over the bound of {config.max_header_name:,}",
            )
        if len(value) > config.max_header_value:
            raise RequestError(
                431, f"header {name} of {len(value):,} bytes is over the bound of {config.max_header_value:,}"
            )


async def read_request_head(stream: RecordedStream, config: Config = DEFAULT) -> RequestHead | None:
    """Read the next request's head.

    Args:
        stream: The connection.
        config: The bounds on its size, its parts and the wait.

    Returns:
        The head; None where the connection ended, or stayed silent, between two requests.

    Raises:
        RequestError: 400 malformed, 408 not whole in time, 414 a long target, 431 too large, 505 another version.
    """
    before = stream.received() - stream.held()
    max_head, timeout = config.max_head, config.head_timeout
    try:
        async with asyncio.timeout(timeout):
            raw = await _read_through_head(stream, max_head, _NO_REQUEST)
    except StreamClosedError:
        if stream.received() == before:
            return None
        raise RequestError(400, "the client ended the connection inside the head of a request") from None
    except TimeoutError:
        if stream.received() == before:
            return None
        raise RequestError(408, f"the request's head was not whole after {timeout:g} s") from None
    _check_beginning(raw)
    if not raw.endswith(b"\n") or len(raw) > max_head:
        raise RequestError(431, f"the request's head is larger than the bound of {max_head:,} bytes")
    head = parse_request_head(raw)
    _check_parts(head, config)
    return head


async def read_response_head(
    stream: RecordedStream, max_head: int = DEFAULT.max_head, timeout: float = DEFAULT.head_timeout
) -> ResponseHead:
    """Read a response's head; interim ones, such as 103 Early Hints, are passed over.

    Raises:
        ResponseError: It is malformed, too large, or did not come in time.
        ConnectionLostError: The server ended the connection first.

    Source: RFC 9110 §15.2.
    """
    peer = stream.record.peer
    try:
        async with asyncio.timeout(timeout):
            while (head := await _read_one_response_head(stream, max_head)).status in _INTERIM:
                pass
            return head
    except StreamClosedError as error:
        raise ConnectionLostError(f"{peer} ended the connection before it answered") from error
    except TimeoutError:
        raise ResponseError(f"{peer} did not answer within {timeout:g} s") from None


async def _read_one_response_head(stream: RecordedStream, max_head: int) -> ResponseHead:
    peer = stream.record.peer
    raw = await _read_through_head(stream, max_head)
    if not raw.endswith(b"\n"):
        raise ResponseError(f"the head of {peer}'s answer is larger than the bound of {max_head:,} bytes")
    start_line, headers = _split(raw)
    try:
        line = parse_response_start_line(start_line)
        return ResponseHead(line.version, line.code, line.reason, HTTPHeaders.parse(headers))
    except HTTPInputError as error:
        raise ResponseError(f"{peer} does not answer in HTTP/1: {error} (it begins {raw[:60]!r})") from error


async def read_small_body(stream: RecordedStream, head: ResponseHead) -> str:
    """Read what a server says beside a refusal, for a message to a person.

    Returns:
        The body on one line; "" where it is missing, large, no text, or does not come at once.
    """
    length = head.headers.get("Content-Length", "")
    is_text = head.headers.get("Content-Type", "").startswith("text/plain")
    if not is_text or not re.fullmatch(r"[0-9]{1,4}", length):
        return ""
    try:
        async with asyncio.timeout(_REFUSAL_TIMEOUT):
            body: bytes = await stream.read_bytes(int(length))
    except (StreamClosedError, TimeoutError):
        return ""
    return " ".join(body.decode(errors="replace").split())


async def read_body(stream: RecordedStream, head: RequestHead, config: Config = DEFAULT) -> bytes:
    """Read a request's body.

    Raises:
        RequestError: 400 framed wrongly, 408 not whole in time, 413 too large, 501 an unknown transfer coding.

    Source: RFC 9112 §6.
    """
    coding = head.headers.get("Transfer-Encoding", "").strip().lower()
    lengths = set(head.headers.get_list("Content-Length"))
    max_body, timeout = config.max_body, config.body_timeout
    if coding and lengths:
        raise RequestError(400, "a request has Content-Length or Transfer-Encoding, not both (RFC 9112 §6.1)")
    if coding not in ("", "chunked"):
        raise RequestError(501, f"transfer coding {coding!r} is not known here: use chunked")
    try:
        async with asyncio.timeout(timeout):
            if coding:
                return await _read_chunked(stream, max_body)
            return await _read_length(stream, lengths, max_body)
    except StreamClosedError as error:
        raise RequestError(400, "the connection ended in the middle of a request's body") from error
    except TimeoutError:
        raise RequestError(408, f"the request's body was not whole after {timeout:g} s") from None


async def _read_length(stream: RecordedStream, lengths: set[str], max_body: int) -> bytes:
    if not lengths:
        return b""
    text = lengths.pop()
    if lengths or not re.fullmatch(r"[0-9]{1,18}", text):
        raise RequestError(400, "Content-Length is one number (RFC 9112 §6.3)")
    if int(text) > max_body:
        raise RequestError(413, f"a body of {int(text):,} bytes is over the bound of {max_body:,}")
    return await stream.read_bytes(int(text))


async def _read_chunked(stream: RecordedStream, max_body: int) -> bytes:
    body = bytearray()
    while True:
        line = await _read_line(stream)
        text = line.split(b";", 1)[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", text):
            raise RequestError(400, f"a chunk size is hexadecimal digits, not {text[:20]!r} (RFC 9112 §7.1)")
        size = int(text, 16)
        if len(body) + size > max_body:
            raise RequestError(413, f"a chunked body is over the bound of {max_body:,} bytes")
        if not size:
            while await _read_line(stream):
                pass
            return bytes(body)
        body += await stream.read_bytes(size)
        if await _read_line(stream):
            raise RequestError(400, "a chunk is longer than its size says (RFC 9112 §7.1)")


async def _read_line(stream: RecordedStream) -> bytes:
    line: bytes = await stream.read_until_regex(rb"\A(?:[^\n]{0,%d}\n|[^\n]{%d})" % (_MAX_LINE - 1, _MAX_LINE))
    if not line.endswith(b"\n"):
        raise RequestError(400, f"a line of a chunked body is longer than {_MAX_LINE} bytes")
    return line.strip()
