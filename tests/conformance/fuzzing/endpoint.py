"""The WebSocket endpoint from its first byte: request or answer, then frames. RFC 6455 §4, RFC 7692 §7.1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from lane_kernel.sides import Side
from lane_kernel.wire.connection import WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.endpoint import EndpointEvent, HandshakeRequested, Opened, Refused, WebSocketEndpoint
from lane_kernel.wire.handshake import Agreement, Offer, check_response
from lane_kernel.wire.heads import judge_head
from lane_kernel.wire.http1 import Head, find_head_end, parse_head
from lane_kernel.wire.policy import Policy
from tests.conformance.fuzzing.choices import Choices, chunkings
from tests.conformance.fuzzing.websocket import KEY, Seen, comparable

REQUEST_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SUBPROTOCOLS = ("chat", "superchat")


class Setup(NamedTuple):
    """How an endpoint is made."""

    side: Side
    wishes: DeflateParameters | None
    subprotocols: tuple[str, ...]
    policy: Policy

    def make(self) -> WebSocketEndpoint:
        """Make the endpoint."""
        make = partial(WebSocketConnection, policy=self.policy, make_masking_key=lambda: KEY)
        if self.side is Side.SERVER:
            return WebSocketEndpoint.server(subprotocols=self.subprotocols, wishes=self.wishes, make_connection=make)
        return WebSocketEndpoint.client(
            "a", subprotocols=self.subprotocols, wishes=self.wishes, key=REQUEST_KEY, make_connection=make
        )


class Reading(NamedTuple):
    """All that comes of some bytes."""

    seen: list[Seen]
    agreement: Agreement | None
    sent: bytes
    is_finished: bool


def run(data: bytes) -> None:
    """Set an endpoint on an input."""
    choices = Choices(data)
    is_client, has_subprotocols, is_lenient = choices.flags(3)
    setup = Setup(
        Side.CLIENT if is_client else Side.SERVER,
        choices.deflate(),
        SUBPROTOCOLS if has_subprotocols else (),
        Policy(is_strict=not is_lenient),
    )
    places = choices.places()
    wire = choices.rest()
    first, *others = [_read(setup, pieces) for pieces in chunkings(wire, places)]
    for other in others:
        assert other == first, f"another chunking reads {other}, not {first}"
    if setup.side is Side.SERVER:
        _check_answer(wire, first)


def _read(setup: Setup, pieces: Sequence[bytes]) -> Reading:
    endpoint = setup.make()
    events: list[EndpointEvent] = []
    agreement = None
    for piece in pieces:
        came = endpoint.receive_data(piece)
        events += came
        if came and isinstance(came[-1], HandshakeRequested):
            agreement = endpoint.accept()
            events += endpoint.receive_data(b"")
    agreement = next((event.agreement for event in events if isinstance(event, Opened)), agreement)
    events += endpoint.receive_eof()
    assert endpoint.receive_data(b"more") == []
    sent, connection = endpoint.data_to_send(), endpoint.connection
    seen = [_what(event) for event in comparable(events)]
    return Reading(seen, agreement, sent, endpoint.is_finished if connection is None else connection.is_finished)


def _what(event: object) -> Seen:
    if isinstance(event, Refused):
        return ("refused", event.error.status, event.error.rule, str(event.error))
    return event


def _check_answer(wire: bytes, reading: Reading) -> None:
    """What a server answers is a head without fault, and a client takes it as the server meant it."""
    end = find_head_end(reading.sent)
    if end is None:
        assert reading.sent == b""
        return
    head = parse_head(reading.sent[:end])
    assert list(judge_head(reading.sent[:end], head, is_response=True)) == []
    if reading.agreement is None:
        assert head.status >= 400
        assert len(reading.sent) - end == int(head.first("content-length") or -1)
        return
    request = parse_head(wire[: find_head_end(wire)])
    assert _client_view(head, request) == (reading.agreement.subprotocol, reading.agreement.deflate)


def _client_view(answer: Head, request: Head) -> tuple[str | None, DeflateParameters | None]:
    key = request.first("sec-websocket-key") or ""
    seen = check_response(answer.status, answer.reason, answer.lines, key, Offer.of(request.lines))
    return seen.subprotocol, seen.deflate
