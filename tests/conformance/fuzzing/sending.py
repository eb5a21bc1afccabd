"""Frames and messages as one end sends them: what `send` takes, the peer takes; what it refuses, the peer would refuse.

RFC 6455 §5 and §6.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from lane_kernel.sides import Side
from lane_kernel.timeline import dissect
from lane_kernel.wire.connection import Closed, ConnectionStateError, Failed, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, FrameError, Opcode
from tests.conformance.fuzzing.choices import Choices
from tests.conformance.fuzzing.websocket import KEY


def run(data: bytes) -> None:
    """Send an input's frames one after the other, by the rules where that can be."""
    choices = Choices(data)
    side = Side.CLIENT if choices.flags(1)[0] else Side.SERVER
    deflate = choices.deflate()
    connection = WebSocketConnection(side, deflate=deflate, make_masking_key=lambda: KEY)
    taken = b""
    for frame in _frames(choices.rest()):
        _check_encoded(frame)
        try:
            connection.send(frame)
        except ConnectionStateError:
            return
        except FrameError:
            if deflate is None:
                assert _failed(side, deflate, taken + _as_is(side, frame)), f"{frame} is refused, but can be read"
        else:
            taken += connection.data_to_send()
            # What is compressed there was never compressed by anyone: the peer may well refuse that.
            if deflate is None:
                assert not _failed(side, deflate, taken), f"{frame} is sent, but cannot be read"


def _frames(script: bytes) -> Iterator[Frame]:
    """Read frames: a byte as it stands first in a frame, one for MASK and how many bytes follow, then these."""
    while len(script) >= 2:
        first, second = script[0], script[1]
        payload, script = script[2 : 2 + (second & 0x7F)], script[2 + (second & 0x7F) :]
        fin, rsv1, rsv2, rsv3 = (bool(first & bit) for bit in (0x80, 0x40, 0x20, 0x10))
        # 127 is more than the 7-bit form and a control frame take.
        yield Frame(first & 0xF, payload, fin, rsv1, rsv2, rsv3, KEY if second & 0x80 else None)


def _as_is(side: Side, frame: Frame) -> bytes:
    writer = WebSocketConnection(side, make_masking_key=lambda: KEY)
    if side is Side.CLIENT and frame.masking_key is None:
        frame = Frame(frame.opcode, frame.payload, frame.fin, frame.rsv1, frame.rsv2, frame.rsv3, KEY)
    writer.send_as_is(frame)
    return writer.data_to_send()


def _failed(side: Side, deflate: DeflateParameters | None, wire: bytes) -> bool:
    """Whether the peer fails the connection for some bytes."""
    peer = WebSocketConnection(side.peer, deflate=deflate)
    events = peer.receive_data(wire)
    assert not any(isinstance(event, Closed) for event in events[:-1])
    return any(isinstance(event, Failed) for event in events)


def _check_encoded(frame: Frame) -> None:
    """What is encoded is taken apart as what it was."""
    wire = frame.encode()
    (seen,) = dissect(wire)
    header = seen.header
    rsv = frame.rsv1 << 2 | frame.rsv2 << 1 | frame.rsv3
    assert (header.fin, header.rsv, header.opcode, header.length) == (frame.fin, rsv, frame.opcode, frame.length)
    assert (header.masking_key, seen.payload, seen.span.stop) == (frame.masking_key, frame.payload, len(wire))
    assert (header.length_bits == 7) is (len(frame.payload) < 126)
    assert frame.opcode != Opcode.CLOSE or str(seen)
