"""Playbooks: what comes to one endpoint, what happens there, what it is told to do, and what goes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lane_kernel.wire.connection import Failed, WebSocketConnection
from lane_kernel.wire.endpoint import EndpointEvent, HandshakeRequested, Opened, Refused, WebSocketEndpoint
from lane_kernel.wire.frames import Frame

MASK = b"\x01\x02\x03\x04"


@dataclass(frozen=True)
class Comes:
    """Bytes come."""

    data: bytes


@dataclass(frozen=True)
class Ends:
    """The peer's stream ends."""


@dataclass(frozen=True)
class Does:
    """The endpoint is told to do something."""

    act: Callable[[WebSocketEndpoint], object]


@dataclass(frozen=True)
class Happens:
    """All that has happened since the last of these."""

    events: tuple[object, ...]


@dataclass(frozen=True)
class Goes:
    """All that waits to be written."""

    data: bytes


Step = Comes | Ends | Does | Happens | Goes


def happens(*events: object) -> Happens:
    return Happens(events)


def frame(opcode: int, payload: bytes = b"", *, rsv1: bool = False, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin, rsv1).encode()


def masked(opcode: int, payload: bytes = b"", *, rsv1: bool = False, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin, rsv1, masking_key=MASK).encode()


def connection_of(end: WebSocketEndpoint) -> WebSocketConnection:
    assert end.connection is not None
    return end.connection


def accept(end: WebSocketEndpoint) -> object:
    return end.accept()


def say(message: str | bytes) -> Does:
    return Does(lambda end: connection_of(end).send_message(message))


def close(code: int, reason: str = "") -> Does:
    return Does(lambda end: connection_of(end).close(code, reason))


def told(event: EndpointEvent) -> object:
    """An event as a playbook has it."""
    match event:
        case HandshakeRequested(head):
            return ("requested", head.target)
        case Opened(agreement):
            return ("opened", agreement.subprotocol, agreement.deflate)
        case Refused(error):
            return ("refused", error.status, None if error.rule is None else error.rule.id)
        case Failed(error):
            return ("failed", error.rule.id)
    return event


def play(end: WebSocketEndpoint, steps: Sequence[Step], way: Callable[[bytes], list[bytes]]) -> None:
    """Act a playbook out."""
    events: list[object] = []
    for step in steps:
        match step:
            case Comes(data):
                events += [told(event) for piece in way(data) for event in end.receive_data(piece)]
            case Ends():
                events += map(told, end.receive_eof())
            case Does(act):
                act(end)
            case Happens(wanted):
                assert events == list(wanted)
                events = []
            case Goes(data):
                assert end.data_to_send() == data
    assert events == []
    assert end.data_to_send() == b""
