"""Ends of a connection in memory, and what goes over between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import pytest

from lane_kernel.sides import Side
from lane_kernel.wire.connection import MAX_MESSAGE, Event, Failed, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, decode_header, payload_of
from lane_kernel.wire.policy import POLITE, Policy
from tests.wire.helpers import byte_by_byte

KEY = b"\x01\x02\x03\x04"
SIDES = pytest.mark.parametrize("side", list(Side), ids=lambda side: side.value)


def make(
    side: Side,
    offset: int = 0,
    max_message: int = MAX_MESSAGE,
    *,
    max_frame: int | None = None,
    policy: Policy = POLITE,
    deflate: DeflateParameters | None = None,
    holds_end: bool = False,
    make_masking_key: Callable[[], bytes] = lambda: KEY,
) -> WebSocketConnection:
    """A connection whose masking-keys are known."""
    return WebSocketConnection(
        side,
        offset=offset,
        max_message=max_message,
        max_frame=max_frame,
        policy=policy,
        deflate=deflate,
        holds_end=holds_end,
        make_masking_key=make_masking_key,
    )


def from_peer(side: Side, *frames: Frame) -> bytes:
    """Frames as the peer of a side sends them: masked by a client."""
    key = KEY if side is Side.SERVER else None
    return b"".join(replace(frame, masking_key=key).encode() for frame in frames)


class Sent(NamedTuple):
    """A frame that waited to be written."""

    opcode: int
    payload: bytes
    is_masked: bool


def sent_frames(data: bytes) -> list[Frame]:
    """Bytes as whole frames."""
    frames = []
    while (header := decode_header(data)) is not None:
        rsv1, rsv2, rsv3 = (bool(header.rsv & bit) for bit in (4, 2, 1))
        frames.append(Frame(header.opcode, payload_of(data), header.fin, rsv1, rsv2, rsv3, header.masking_key))
        data = data[header.size + header.length :]
    assert data == b""
    return frames


def sent(connection: WebSocketConnection) -> list[Sent]:
    """The frames that wait to be written: opcode, payload, whether masked."""
    frames = sent_frames(connection.data_to_send())
    return [Sent(frame.opcode, frame.payload, frame.masking_key is not None) for frame in frames]


def receive(connection: WebSocketConnection, pieces: list[bytes]) -> list[Event]:
    """Everything that happens while pieces come."""
    return [event for piece in pieces for event in connection.receive_data(piece)]


def comparable(events: list[Event]) -> list[object]:
    """Events with a failure's rule, place and words in its place, as an exception equals only itself."""
    return [
        (event.error.rule, event.error.span, event.error.text) if isinstance(event, Failed) else event
        for event in events
    ]


class Pair:
    """A client and a server, joined by nothing but bytes."""

    def __init__(self, deflate: DeflateParameters | None = None) -> None:
        self.ends = {side: make(side, deflate=deflate) for side in Side}
        self.events: dict[Side, list[Event]] = {side: [] for side in Side}

    def __getitem__(self, side: Side) -> WebSocketConnection:
        return self.ends[side]

    def run(self) -> None:
        """Carry bytes both ways until neither has more to say."""
        moved = True
        while moved:
            moved = False
            for side, end in self.ends.items():
                if data := end.data_to_send():
                    moved = True
                    self.events[side.peer] += receive(self.ends[side.peer], byte_by_byte(data))
