"""One end of a WebSocket connection from its first byte to its last, sans-I/O: the opening handshake, then frames.

    client = WebSocketEndpoint.client("example.com", "/chat")
    server = WebSocketEndpoint.server()
    server.receive_data(client.data_to_send())      # [HandshakeRequested(...)]
    server.accept()
    client.receive_data(server.data_to_send())      # [Opened(...)]
    client.connection.send_message("hi")

`lane_kernel.server` and `lane_kernel.client` read heads from their sockets by themselves and begin with the
`WebSocketConnection`; this is the same conversation for whoever has only bytes.

Source: RFC 6455 §4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from lane_kernel.errors import LaneError
from lane_kernel.sides import Side
from lane_kernel.wire import deflate, rules
from lane_kernel.wire.connection import Event, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.handshake import (
    Agreement,
    HandshakeError,
    Headers,
    Offer,
    agree,
    build_head,
    check_request,
    check_response,
    make_key,
    upgrade_request,
    upgrade_response,
)
from lane_kernel.wire.heads import judge_head
from lane_kernel.wire.http1 import Head, find_head_end, parse_head
from lane_kernel.wire.rules import Level

MAX_HEAD = 32 * 1024
"""Default bound on a head in bytes; Tornado takes 64 KiB, nginx 32 KiB."""


MAX_EARLY = 1024 * 1024
"""Bound on the bytes that are kept while a handshake waits for its answer; a client is to send none."""

_INTERIM = frozenset(range(100, 200)) - {101}
"""Statuses that come before the answer itself.

Source: RFC 9110 §15.2.
"""


class EndpointStateError(LaneError):
    """Something was asked of an endpoint that is not where it makes sense."""


@dataclass(frozen=True, slots=True)
class HandshakeRequested:
    """A client's opening handshake without fault waits for `accept` or `refuse`.

    Attributes:
        head: The request.
    """

    head: Head

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The request's header lines."""
        return self.head.lines


@dataclass(frozen=True, slots=True)
class Opened:
    """The opening handshake is done.

    Attributes:
        agreement: What was agreed on in it.
    """

    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Refused:
    """The opening handshake failed, and the connection with it.

    Attributes:
        error: Why; its status is the one that was answered, or 0 where none came.
    """

    error: HandshakeError


EndpointEvent = Event | HandshakeRequested | Opened | Refused
"""What happens, the opening handshake included."""


class WebSocketEndpoint:
    """One end's state machine, its opening handshake included.

    Attributes:
        side: Which end this is.
        connection: The frames' state machine, once the handshake is done.
        is_finished: Whether the handshake failed; once it is done, the connection says when all is over.
    """

    def __init__(self, side: Side, make_connection: Callable[..., WebSocketConnection] = WebSocketConnection) -> None:
        """Begin before the first byte. Use `client` or `server`.

        Args:
            side: Which end this is.
            make_connection: Makes the frames' state machine, such as `partial(WebSocketConnection, policy=...)`.
        """
        self.side = side
        self.connection: WebSocketConnection | None = None
        self.is_finished = False
        self._make_connection = make_connection
        self._buffer = bytearray()
        self._start = 0
        self._out: list[bytes] = []
        self._asked: HandshakeRequested | None = None
        self._key = ""
        self._offer = Offer()
        self._subprotocols: tuple[str, ...] = ()
        self._wishes: DeflateParameters | None = None

    @classmethod
    def client(
        cls,
        host: str,
        target: str = "/",
        *,
        headers: Headers = (),
        subprotocols: Sequence[str] = (),
        wishes: DeflateParameters | None = None,
        key: str | None = None,
        make_connection: Callable[..., WebSocketConnection] = WebSocketConnection,
    ) -> Self:
        """A client; its request waits to be sent.

        Args:
            host: What the Host header says.
            target: The request's target.
            headers: Header lines to add.
            subprotocols: The subprotocols to ask for.
            wishes: What to offer of permessage-deflate; nothing by default.
            key: The Sec-WebSocket-Key; a fresh one by default.
            make_connection: Makes the frames' state machine, such as `partial(WebSocketConnection, policy=...)`.
        """
        extensions = () if wishes is None else (deflate.offer(wishes),)
        made = cls(Side.CLIENT, make_connection)
        made._key = make_key() if key is None else key
        made._offer = Offer(tuple(subprotocols), extensions)
        made._out.append(upgrade_request(host, target, made._key, (*made._offer.headers, *headers)))
        return made

    @classmethod
    def server(
        cls,
        *,
        subprotocols: Sequence[str] = (),
        wishes: DeflateParameters | None = None,
        make_connection: Callable[..., WebSocketConnection] = WebSocketConnection,
    ) -> Self:
        """A server; it waits for a request.

        Args:
            subprotocols: The subprotocols it speaks.
            wishes: What it wishes of permessage-deflate; None declines it.
            make_connection: Makes the frames' state machine, such as `partial(WebSocketConnection, policy=...)`.
        """
        made = cls(Side.SERVER, make_connection)
        made._subprotocols = tuple(subprotocols)
        made._wishes = wishes
        return made

    def data_to_send(self) -> bytes:
        """Take the bytes that wait to be written."""
        data = b"".join(self._out)
        self._out.clear()
        return data if self.connection is None else data + self.connection.data_to_send()

    def receive_data(self, data: bytes) -> list[EndpointEvent]:
        """Take bytes as they were read.

        Returns:
            What happened, in order. After `Refused` nothing more is read; while a request waits for an answer, what
            comes is kept.
        """
        if self.is_finished:
            return []
        if self.connection is not None and not self._buffer:
            return list(self.connection.receive_data(data))
        searched = len(self._buffer)
        self._buffer += data
        if self._asked is not None:
            if len(self._buffer) <= MAX_EARLY:
                return []
            text = f"over {MAX_EARLY:,} bytes came before the handshake was answered: a client waits for the answer"
            return self._fail(HandshakeError(400, text, rule=rules.FRAME_BEFORE_ANSWER))
        if self.connection is not None:
            return self._read_rest(self.connection)
        try:
            return self._receive_head(searched)
        except HandshakeError as error:
            return self._fail(error)

    def _receive_head(self, searched: int) -> list[EndpointEvent]:
        while data := self._next_head(searched):
            head = parse_head(data, self._start)
            if self.side is Side.SERVER:
                return self._receive_request(data, head)
            if head.status not in _INTERIM:
                return self._receive_response(data, head)
            self._pass_over(head)
            searched = 0
        return []

    def _next_head(self, searched: int) -> bytes:
        """The head that the buffer begins with; nothing where it is not whole."""
        end = find_head_end(self._buffer, searched)
        if (end or len(self._buffer)) > MAX_HEAD:
            status = 431 if self.side is Side.SERVER else 0
            raise HandshakeError(status, f"the head is larger than the bound of {MAX_HEAD:,} bytes")
        return bytes(self._buffer[: end or 0])

    def _receive_request(self, data: bytes, head: Head) -> list[EndpointEvent]:
        _check_head(data, head, is_response=False)
        check_request(head.method, head.version, head.lines)
        self._asked = HandshakeRequested(head)
        return [self._asked]

    def _receive_response(self, data: bytes, head: Head) -> list[EndpointEvent]:
        if head.status in (0, 101):
            # Of any other status it matters only that it is not 101.
            _check_head(data, head, is_response=True)
        agreement = check_response(head.status, head.reason, head.lines, self._key, self._offer)
        return [Opened(agreement), *self._read_rest(self._open(agreement, head))]

    def _pass_over(self, head: Head) -> None:
        del self._buffer[: len(head.span)]
        self._start = head.span.stop

    def _open(self, agreement: Agreement, head: Head) -> WebSocketConnection:
        self._pass_over(head)
        self.connection = self._make_connection(self.side, deflate=agreement.deflate, offset=head.span.stop)
        return self.connection

    def _read_rest(self, connection: WebSocketConnection) -> list[EndpointEvent]:
        rest = bytes(self._buffer)
        self._buffer.clear()
        return list(connection.receive_data(rest))

    def receive_eof(self) -> list[EndpointEvent]:
        """Say that the peer's stream has ended."""
        if self.connection is not None:
            return [*self._read_rest(self.connection), *self.connection.receive_eof()]
        if self.is_finished:
            return []
        self.is_finished = True
        self._asked = None
        text = f"the {self.side.peer.value} ended the connection before the handshake was done"
        return [Refused(HandshakeError(0, text))]

    def accept(self, headers: Headers = ()) -> Agreement:
        """Accept the handshake that was requested; what came after the request is read with the next `receive_data`.

        Args:
            headers: Header lines to add to the answer.

        Raises:
            EndpointStateError: None was requested.
            HandshakeError: A header line cannot be sent; the handshake still waits.
        """
        asked = self._waiting()
        agreement = agree(asked.headers, subprotocols=self._subprotocols, wishes=self._wishes)
        accept = check_request(asked.head.method, asked.head.version, asked.headers)
        self._out.append(upgrade_response(accept, (*agreement.headers, *headers)))
        self._asked = None
        self._open(agreement, asked.head)
        return agreement

    def refuse(self, status: int, reason: str, headers: Headers = (), body: str = "") -> None:
        """Refuse the handshake that was requested.

        Args:
            status: The status to answer with.
            reason: Its reason phrase.
            headers: Header lines to add to the answer.
            body: The answer's body: what a person can do.

        Raises:
            EndpointStateError: None was requested.
            HandshakeError: The reason or a header line cannot be sent; the handshake still waits.
        """
        self._waiting()
        self._refuse(status, reason, headers, body)
        self._asked = None

    def _waiting(self) -> HandshakeRequested:
        if self._asked is None:
            raise EndpointStateError("no handshake waits for an answer: receive_data says when one does")
        return self._asked

    def _refuse(self, status: int, reason: str, headers: Headers, body: str) -> None:
        data = body.encode()
        options = [value for name, value in headers if name.lower() == "connection"]
        lines = [line for line in headers if line[0].lower() != "connection"]
        lines += [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(data)))]
        lines += [("Connection", ", ".join([*options, "close"]))]
        self._out.append(build_head(f"HTTP/1.1 {status} {reason}", lines) + data)
        self.is_finished = True

    def _fail(self, error: HandshakeError) -> list[EndpointEvent]:
        self._asked = None
        if self.side is Side.SERVER:
            self._refuse(error.status, HTTPStatus(error.status).phrase, error.headers, f"{error}\n")
        self.is_finished = True
        return [Refused(error)]


def _check_head(data: bytes, head: Head, *, is_response: bool) -> None:
    """Refuse a head that is no HTTP/1.1."""
    for finding in judge_head(data, head, is_response=is_response):
        if finding.rule.level is Level.MUST:
            status = head.status if is_response else finding.rule.status or 400
            raise HandshakeError(status, f"{finding.text}: {finding.rule.text}", rule=finding.rule)
