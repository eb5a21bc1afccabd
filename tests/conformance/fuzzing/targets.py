"""What is fuzzed: a name for each target, its share of the time, and where its seeds come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.fuzzing import endpoint, events, heads, sending, timeline, websocket
from tests.timeline.recording import RESPONSE
from tests.vectors import event_streams as event_stream_vectors
from tests.vectors import frames as frame_vectors
from tests.vectors import heads as head_vectors
from tests.vectors.random_event_streams import random_streams

SEEDS = Path(__file__).resolve().parents[2] / "vectors" / "fuzz"
"""What the fuzzer found, be it wrong or only new to it: "TARGET-NAME" each."""

MAX_SIZE = 400
"""The longest input in bytes, for the fuzzer and for a seed."""


@dataclass(frozen=True)
class Target:
    """Something that is fuzzed.

    Attributes:
        name: Its name on the command line.
        run: Does all that is to be done with one input; raises where something does not hold.
        share: Its share of the time, among all shares.
        tables: Inputs made from the case tables.
    """

    name: str
    run: Callable[[bytes], None]
    share: int
    tables: Callable[[], Iterator[bytes]]

    def seeds(self) -> list[bytes]:
        """The inputs from the case tables that are no longer than an input may be."""
        return [seed for seed in self.tables() if len(seed) <= MAX_SIZE]


def _connection_seeds() -> Iterator[bytes]:
    for case in frame_vectors.CASES:
        side = 0 if case.frame.masking_key is not None else 1
        yield bytes((side, 0, 0, 0, 0, 0, 3, 5, 7)) + case.wire
        yield bytes((side, 1, 1, 0, 0, 1, 3, 5, 7)) + case.wire * 2
    # RFC 7692 §7.2.3: "Hello" compressed; the same with the window kept; in two fragments; without compression; as a
    # block with BFINAL; in two blocks.
    for wire in (
        "c107f248cdc9c90700", "c105f200110000", "4103f248cd8004c9c90700", "c10b000500faff48656c6c6f00",
        "c108f348cdc9c9070000", "c10df248050000 00ffff cac9c90700",
    ):  # fmt: skip
        for flags in (1, 7):
            yield bytes((1, 0, flags, 0, 0, 0, 3, 5, 7)) + bytes.fromhex(wire) * 2


def _sending_seeds() -> Iterator[bytes]:
    for case in frame_vectors.CASES:
        payload = case.frame.payload[:100]
        frame = bytes((case.wire[0], len(payload))) + payload
        for side in (0, 1):
            yield bytes((side, 0, 0)) + frame * 2
            yield bytes((side, 1, 0)) + frame + b"\x80\x00" + b"\x89\x00"


def _endpoint_seeds() -> Iterator[bytes]:
    extensions = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    for case in head_vectors.HEADS:
        for head in (case.wire, case.wire[:-2] + extensions):
            yield bytes((2, 1, 0, 3, 5, 7)) + head + b"\x81\x80\x00\x00\x00\x00"
            yield bytes((3, 1, 0, 3, 5, 7)) + head + b"\x81\x00"
    yield bytes((3, 1, 0, 3, 5, 7)) + RESPONSE + b"\x89\x00\x88\x00"


def _event_seeds() -> Iterator[bytes]:
    for stream in (*(case.wire for case in event_stream_vectors.CASES), *random_streams(60)):
        yield bytes((0, 0, 0, 3, 5, 7)) + stream
    for case in event_stream_vectors.CASES:
        yield bytes((1, 3, 3, 3, 5, 7)) + case.wire


def _head_seeds() -> Iterator[bytes]:
    for case in head_vectors.HEADS:
        yield bytes((0, 1, 0)) + case.wire


def _chunked_seeds() -> Iterator[bytes]:
    for case in (*head_vectors.BODIES, *head_vectors.BROKEN_BODIES):
        yield bytes((0, 3, 5, 7)) + case.wire


def _extension_seeds() -> Iterator[bytes]:
    for value in (
        b"permessage-deflate",
        b'permessage-deflate; client_max_window_bits; server_max_window_bits="10", permessage-deflate',
        b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=9",
        b"x, y; a=b\npermessage-deflate; server_max_window_bits=8",
        b"permessage-deflate; unknown, permessage-deflate; server_max_window_bits=16",
    ):
        yield bytes((0, 0)) + value
        yield bytes((7, 0x29)) + value


def _timeline_seeds() -> Iterator[bytes]:
    def opened(number: int, script: bytes) -> bytes:
        return bytes((number, 2, 3, 5, 7, 20)) + script

    def turn(wire: bytes, way: int = 0) -> bytes:
        return bytes((way | len(wire) if len(wire) < 128 else way,)) + wire

    for frame in frame_vectors.CASES:
        way = 0 if frame.frame.masking_key is not None else 0x80
        yield opened(0, turn(frame.wire, way))
    yield opened(0, turn(b"\x89\x80abcd") + turn(b"\x8a\x00\x88\x02\x03\xe8", 0x80) + turn(b"\x88\x82\0\0\0\0\x03\xe8"))
    yield opened(1, turn(bytes.fromhex("c107f248cdc9c90700"), 0x80))
    for stream in event_stream_vectors.CASES:
        yield opened(2, turn(stream.wire, 0x80))
        yield opened(8, turn(stream.wire, 0x80))
    for body in (*head_vectors.BODIES, *head_vectors.BROKEN_BODIES):
        yield opened(3, turn(body.wire, 0x80))
        yield opened(4, turn(body.wire, 0x80))
        yield opened(7, turn(body.wire, 0x80))
        yield opened(9, turn(body.wire))
    for head in head_vectors.HEADS:
        yield opened(6, turn(head.wire, 0x80 if head.wire.startswith(b"HTTP/") else 0))
        yield opened(5, turn(head.wire, 0x80))
        yield opened(10, turn(b"no!" + head.wire, 0x80))


TARGETS = {
    target.name: target
    for target in (
        Target("connection", websocket.run, 6, _connection_seeds),
        Target("sending", sending.run, 2, _sending_seeds),
        Target("endpoint", endpoint.run, 2, _endpoint_seeds),
        Target("events", events.run, 4, _event_seeds),
        Target("heads", heads.run_heads, 2, _head_seeds),
        Target("chunked", heads.run_chunked, 1, _chunked_seeds),
        Target("extensions", heads.run_extensions, 1, _extension_seeds),
        Target("timeline", timeline.run, 4, _timeline_seeds),
    )
}


def kept_seeds() -> dict[str, bytes]:
    """The inputs in the folder of seeds by their names."""
    return {path.name: path.read_bytes() for path in sorted(SEEDS.glob("*-*")) if path.is_file()}
