"""What a request's way carries: the request, the response, the route's parameters, attributes."""

from __future__ import annotations

import json
import re
import traceback
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from tornado.httputil import parse_cookie

from lane_kernel.errors import LaneError
from lane_kernel.net.heads import RequestHead, parse_request_head
from lane_kernel.wire.handshake import HandshakeError, build_head, is_upgrade

if TYPE_CHECKING:
    from lane_kernel.server.routes import Route

CONTENT_TYPE = "Content-Type"
TEXT_EVENT_STREAM = "text/event-stream"
HTTP_DOUBLE_BR = "\r\n\r\n"

METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
"""The methods of RFC 9110 §9 and RFC 5789."""

HTTP_VERSIONS = ("HTTP/0.9", "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/2.0", "HTTP/3", "HTTP/3.0")
"""The versions there are, as a request line or a person writes them."""


class ResponseLineError(LaneError, ValueError):
    """A status or a header line that no response can have."""


Data = str | bytes | bytearray | memoryview
"""What can be sent or be a body; str is encoded as UTF-8."""


def as_bytes(data: Data) -> bytes:
    """The bytes of what is to be sent.

    Raises:
        TypeError: It is neither str nor bytes-like.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"what is sent is str or bytes, not {type(data).__name__}: build() makes the bytes of a response")


class UpgradeType(Enum):
    """What a request's Upgrade header asks to become.

    Attributes:
        WEBSOCKET: RFC 6455.
        H2C: HTTP/2 without TLS, which RFC 9113 has taken back.
        TLS: RFC 2817.
        UNKNOWN: Anything else, or nothing.
    """

    WEBSOCKET = "websocket"
    H2C = "h2c"
    TLS = "tls"
    UNKNOWN = "unknown"


class Request:
    """One HTTP request.

    Attributes:
        method: Its method.
        target: Its target as it came, path and query.
        version: Its version, such as "HTTP/1.1".
        body: Its body.
    """

    def __init__(self, head: RequestHead, body: bytes = b"") -> None:
        """Wrap what was read."""
        self.method = head.method
        self.target = head.target
        self.version = head.version
        self.body = body
        self._head = head

    @classmethod
    def unread(cls) -> Self:
        """What stands for a request that could not be read."""
        return cls(parse_request_head(b"GET / HTTP/1.0\r\n\r\n"))

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        return unquote(self.raw_path)

    @property
    def _origin_form(self) -> str:
        """The target without the scheme and the authority of an absolute one (RFC 9112 §3.2.2)."""
        absolute = re.match(r"[Hh][Tt][Tt][Pp]s?://[^/?]*", self.target)
        return self.target if absolute is None else self.target[absolute.end() :] or "/"

    @property
    def raw_path(self) -> str:
        """The path as it came."""
        return self._origin_form.partition("?")[0] or "/"

    @property
    def queries(self) -> dict[str, str]:
        """The query's parameters; of several with one name the last."""
        return dict(self._query_pairs())

    def query(self, name: str) -> str | None:
        """The last value of a parameter of the query, or None."""
        return self.queries.get(name)

    def query_list(self, name: str) -> list[str]:
        """All values of a parameter of the query, in order."""
        return [value for key, value in self._query_pairs() if key == name]

    def _query_pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self._origin_form.partition("?")[2], keep_blank_values=True)

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The header lines as (name, value)."""
        return self._head.lines

    def header(self, name: str) -> str | None:
        """The last value of a header, or None."""
        values = self._head.headers.get_list(name)
        return values[-1] if values else None

    def first_header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        values = self._head.headers.get_list(name)
        return values[0] if values else None

    def header_list(self, name: str) -> list[str]:
        """All values of a header, one for each line."""
        return self._head.headers.get_list(name)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name; of several with one name the last.

        Source: RFC 6265 §4.2.
        """
        return parse_cookie("; ".join(self.header_list("Cookie")))

    def cookie(self, name: str) -> str | None:
        """The value of a cookie, or None."""
        return self.cookies.get(name)

    @property
    def body_json(self) -> Any:
        """What the body says in JSON.

        Raises:
            ValueError: It is no JSON, or nested deeper than Python reads.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested deeper than Python reads") from None

    @property
    def host(self) -> str:
        """What the Host header says."""
        return self.header("Host") or ""

    @property
    def host_name(self) -> str:
        """The host of the Host header, without its port and in lower case; "" where it has none."""
        try:
            return urlsplit(f"//{self.host}").hostname or ""
        except ValueError:
            return ""

    @property
    def referer(self) -> str | None:
        """What the Referer header says, or None."""
        return self.header("Referer")

    @property
    def upgrade_type(self) -> UpgradeType:
        """What it asks to become, the first of those that have a name here.

        Source: RFC 9110 §7.8.
        """
        asked = {item.split("/")[0].strip().lower() for line in self.header_list("Upgrade") for item in line.split(",")}
        return next((kind for kind in UpgradeType if kind.value in asked), UpgradeType.UNKNOWN)

    @property
    def is_ws_upgrade_type(self) -> bool:
        """Whether it asks to become a WebSocket."""
        return is_upgrade(self.headers)

    @property
    def is_enable_keep_alive(self) -> bool:
        """Whether the client wants the connection kept for another request.

        Source: RFC 9112 §9.3.
        """
        values = (value for name, value in self.headers if name.lower() == "connection")
        tokens = {token.strip().lower() for value in values for token in value.split(",")}
        if "close" in tokens:
            return False
        return "keep-alive" in tokens or self.version != "HTTP/1.0"


class Response:
    """The response that a handler builds; nothing is sent until its bytes are given to the stream."""

    def __init__(self, request: Request | None = None) -> None:
        """Begin with 200 and an empty body.

        Args:
            request: What it answers; HEAD gets no body, and a client that wants the connection closed is told so.
        """
        self._is_head_only = request is not None and request.method == "HEAD"
        self._keeps_alive = request is None or request.is_enable_keep_alive
        self.version = "HTTP/1.1"
        self.status = 200
        self.reason: str | None = None
        self.body = b""
        self._headers: list[tuple[str, str]] = []

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The header lines set so far."""
        return tuple(self._headers)

    def header(self, name: str) -> str | None:
        """The last value set for a header, or None."""
        return next((value for key, value in reversed(self._headers) if key.lower() == name.lower()), None)

    def first_header(self, name: str) -> str | None:
        """The first value set for a header, or None."""
        return next(iter(self.header_list(name)), None)

    def header_list(self, name: str) -> list[str]:
        """All values set for a header, in order."""
        return [value for key, value in self._headers if key.lower() == name.lower()]

    def set_version(self, version: str) -> Self:
        """Set the version that the status line says, right or wrong."""
        self.version = version
        return self

    def set_status(self, status: int, reason: str | None = None) -> Self:
        """Set the status code, and the reason phrase where the usual one will not do.

        Raises:
            ResponseLineError: It is no status.

        Source: RFC 9110 §15.
        """
        if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status <= 999:
            raise ResponseLineError(f"a status is an int from 100 to 999, not {status!r}")
        self.status = status
        self.reason = reason
        return self

    def set_reason(self, reason: str | None) -> Self:
        """Set the reason phrase; None is the usual one of the status."""
        self.reason = reason
        return self

    def set_header(self, name: str, value: str) -> Self:
        """Set a header, in place of any of that name.

        Raises:
            ResponseLineError: It is no header line.
        """
        return self.remove_header(name).add_header(name, value)

    def add_header(self, name: str, value: str) -> Self:
        """Add a header line.

        Raises:
            ResponseLineError: It is no header line: no str, or one that would begin another line.
        """
        if not all(isinstance(part, str) for part in (name, value)):
            raise ResponseLineError(f"a header's name and value are str, not {name!r} and {value!r}")
        try:
            build_head("", [(name, value)])
        except HandshakeError as error:
            raise ResponseLineError(str(error)) from None
        self._headers.append((name, value))
        return self

    def remove_header(self, name: str) -> Self:
        """Forget all lines of a header."""
        self._headers = [(key, kept) for key, kept in self._headers if key.lower() != name.lower()]
        return self

    def clear_headers(self) -> Self:
        """Forget the headers set so far; `build` still adds those that a response must have."""
        self._headers = []
        return self

    def set_body(self, body: Data) -> Self:
        """Set the body; str is encoded as UTF-8.

        Raises:
            TypeError: It is neither str nor bytes-like.
        """
        self.body = as_bytes(body)
        return self

    @property
    def is_event_stream(self) -> bool:
        """Whether its body is an event stream, which follows later and has no length."""
        return (self.header(CONTENT_TYPE) or "").split(";")[0].strip().lower() == TEXT_EVENT_STREAM

    def build(self) -> bytes:
        """Build the response's bytes.

        Adds `Connection: keep-alive` (or `close`, where the client wants that), a content type, and `Content-Length`,
        except for an event stream. The answer to HEAD has no body, nor have 204 and 304; 204 has no word of one either.

        Source: RFC 9110 §8.6, §9.3.2 and §15.4.5; RFC 9112 §9.6.
        """
        lines = list(self._headers)
        if self.header("Connection") is None:
            lines.append(("Connection", "keep-alive" if self._keeps_alive else "close"))
        if self.status != HTTPStatus.NO_CONTENT:
            if self.header(CONTENT_TYPE) is None:
                lines.append((CONTENT_TYPE, "text/plain; charset=utf-8"))
            if not self.is_event_stream and self.header("Content-Length") is None:
                lines.append(("Content-Length", str(len(self.body))))
        head = build_head(f"{self.version} {self.status} {self._reason()}", lines)
        has_body = not self._is_head_only and self.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        return head + self.body if has_body else head

    def _reason(self) -> str:
        if self.reason is not None:
            return self.reason
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""


@dataclass(frozen=True, slots=True)
class PanicData:
    """What a hook raised.

    Attributes:
        error: The error.
        message: It in one line.
        route: The pattern of the route, or "" where the hook belongs to none.
        traceback: Its traceback, from the person's own code on.
    """

    error: Exception
    message: str
    route: str
    traceback: str

    @classmethod
    def of(cls, error: Exception, route: str) -> Self:
        """Make it of an error."""
        return cls(error, f"{type(error).__name__}: {error}", route, "".join(traceback.format_exception(error)))


@dataclass(frozen=True, slots=True)
class RequestErrorData:
    """Why a request could not be read.

    Attributes:
        status: The HTTP status that answers it.
        message: What was wrong, in one line.
    """

    status: int
    message: str

    @property
    def kind(self) -> str:
        """The status in words, such as "Request Timeout"."""
        return HTTPStatus(self.status).phrase


@dataclass(slots=True)
class Context:
    """What belongs to one request.

    Attributes:
        request: The request.
        response: The response to be; whoever sends it builds its bytes. Where nothing is sent for a request, this is.
        route: The route that the path belongs to, or None.
        route_params: The route's parameters by name.
        attributes: Whatever hooks want to hand on to later ones.
        task_panic_data: What a hook raised; for `task_panic` hooks.
        request_error_data: Why the request could not be read; for `request_error` hooks.
    """

    request: Request
    response: Response = field(init=False)
    route: Route | None = None
    route_params: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    task_panic_data: PanicData | None = None
    request_error_data: RequestErrorData | None = None

    def __post_init__(self) -> None:
        """Begin the response."""
        self.response = self.new_response()

    def new_response(self) -> Response:
        """Make another response to this request."""
        return Response(self.request)
