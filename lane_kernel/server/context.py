"""What a request's way carries: the request, the response, the route's parameters, attributes."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, unquote

from lane_kernel.net.heads import RequestHead, parse_request_head
from lane_kernel.wire.handshake import build_head, is_upgrade

if TYPE_CHECKING:
    from lane_kernel.server.routes import Route

CONTENT_TYPE = "Content-Type"
TEXT_EVENT_STREAM = "text/event-stream"
HTTP_DOUBLE_BR = "\r\n\r\n"


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
        return dict(parse_qsl(self._origin_form.partition("?")[2], keep_blank_values=True))

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The header lines as (name, value)."""
        return self._head.lines

    def header(self, name: str) -> str | None:
        """The last value of a header, or None."""
        values = self._head.headers.get_list(name)
        return values[-1] if values else None

    @property
    def host(self) -> str:
        """What the Host header says."""
        return self.header("Host") or ""

    @property
    def is_ws_upgrade_type(self) -> bool:
        """Whether it asks to become a WebSocket."""
        return is_upgrade(self.headers)

    @property
    def is_enable_keep_alive(self) -> bool:
        """Whether the client wants the connection kept for another request.

        Source: RFC 9112 §9.3.
        """
        tokens = {token.strip().lower() for token in (self.header("Connection") or "").split(",")}
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

    def set_status(self, status: int, reason: str | None = None) -> Self:
        """Set the status code, and the reason phrase where the usual one will not do."""
        self.status = status
        self.reason = reason
        return self

    def set_header(self, name: str, value: str) -> Self:
        """Set a header, in place of any of that name."""
        self._headers = [(key, kept) for key, kept in self._headers if key.lower() != name.lower()]
        return self.add_header(name, value)

    def add_header(self, name: str, value: str) -> Self:
        """Add a header line."""
        self._headers.append((name, value))
        return self

    def set_body(self, body: str | bytes) -> Self:
        """Set the body; str is encoded as UTF-8."""
        self.body = body.encode() if isinstance(body, str) else bytes(body)
        return self

    @property
    def is_event_stream(self) -> bool:
        """Whether its body is an event stream, which follows later and has no length."""
        return (self.header(CONTENT_TYPE) or "").split(";")[0].strip().lower() == TEXT_EVENT_STREAM

    def build(self) -> bytes:
        """Build the response's bytes.

        Adds `Connection: keep-alive` (or `close`, where the client wants that), a content type, and `Content-Length`,
        except for an event stream. The answer to HEAD has no body; 204 has none, and no word of one.

        Source: RFC 9110 §8.6 and §9.3.2; RFC 9112 §9.6.
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
        return head if self._is_head_only else head + self.body

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
