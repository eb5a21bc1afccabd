"""The strict WebSocket connection, set on any bytes after the opening handshake. RFC 6455 §5 to §7, RFC 7692."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from lane_kernel.sides import Side
from lane_kernel.timeline import dissect
from lane_kernel.wire.connection import (
    MAX_MESSAGE,
    Closed,
    Event,
    Failed,
    Ping,
    Pong,
    State,
    WebSocketConnection,
)
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.messages import TEXT_ERRORS
from lane_kernel.wire.policy import Policy
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Span
from tests.conformance.fuzzing.choices import Choices, assert_tile, assert_within, chunkings
from tests.wire.helpers import assert_tiles

KEY = b"\x01\x02\x03\x04"


@dataclass(frozen=True)
class Setup:
    """How a connection is made."""

    side: Side
    policy: Policy
    deflate: DeflateParameters | None
    max_message: int
    holds_end: bool
    offset: int

    @classmethod
    def choose(cls, choices: Choices) -> Setup:
        """Let an input's first bytes choose."""
        is_client, holds_end, *_ = choices.flags(2)
        # Inverted, so that 0 is the policy that the RFC asks for.
        policy = Policy(*(not is_off for is_off in choices.flags(7)))
        deflate = choices.deflate()
        max_message = choices.one_of((MAX_MESSAGE, 0, 1, 20, 125, 126, 300))
        offset = choices.one_of((0, 1, 1000))
        return cls(Side.CLIENT if is_client else Side.SERVER, policy, deflate, max_message, holds_end, offset)

    def make(self, side: Side | None = None) -> WebSocketConnection:
        """Make the connection, or another side's."""
        return WebSocketConnection(
            side or self.side,
            offset=self.offset,
            max_message=self.max_message,
            policy=self.policy,
            deflate=self.deflate,
            holds_end=self.holds_end,
            make_masking_key=lambda: KEY,
        )


Seen = object
"""An event that can be compared: an error is the same where it says the same."""


class Reading(NamedTuple):
    """All that comes of some bytes, before and after the stream's end."""

    seen: list[Seen]
    ended: list[Seen]
    sent: bytes
    state: State
    close_code: int | None
    close_reason: str


def comparable(events: Sequence[object]) -> list[Seen]:
    """Events that can be compared."""
    return [
        ("failed", event.error.rule, event.error.span, event.error.text) if isinstance(event, Failed) else event
        for event in events
    ]


def read(setup: Setup, pieces: Sequence[bytes]) -> Reading:
    """Read some bytes to the stream's end; what is held is asked for at once, as `net` does."""
    connection = setup.make()
    seen: list[Event] = []
    for piece in pieces:
        seen += connection.receive_data(piece)
        if connection.is_holding:
            seen += connection.receive_data(b"")
    state = connection.state
    ended = connection.receive_eof()
    assert connection.is_finished
    assert (connection.failure is None) is not any(isinstance(event, Failed) for event in seen)
    return Reading(
        comparable(seen),
        comparable(ended),
        connection.data_to_send(),
        state,
        connection.close_code,
        connection.close_reason,
    )


def run(data: bytes) -> None:
    """Set a connection on an input."""
    choices = Choices(data)
    setup = Setup.choose(choices)
    places = choices.places()
    wire = choices.rest()
    first, *others = [read(setup, pieces) for pieces in chunkings(wire, places)]
    for other in others:
        assert other == first, f"another chunking reads {other}, not {first}"
    _check_spans(setup, wire, first)
    _check_sizes(setup, first)
    _check_strict_and_lenient(setup, wire)
    _check_answers(setup, first)
    _check_round_trip(setup, first, places)
    _check_dissected(setup, wire)


def _check_spans(setup: Setup, wire: bytes, reading: Reading) -> None:
    whole = Span(setup.offset, setup.offset + len(wire))
    for event in reading.seen:
        if isinstance(event, Finding):
            assert_within(event.span, whole)
        elif isinstance(event, tuple) and isinstance(event[2], Span):
            assert_within(event[2], whole)


def _check_sizes(setup: Setup, reading: Reading) -> None:
    control = 125 if setup.policy.is_strict else 0xFFFF
    for event in reading.seen:
        if isinstance(event, str | bytes):
            assert len(encoded(event)) <= setup.max_message
        elif isinstance(event, Ping | Pong):
            assert len(event.payload) <= control
        elif isinstance(event, Closed):
            assert len(encoded(event.reason)) <= control - 2


def encoded(message: str | bytes) -> bytes:
    """A message's bytes."""
    return message.encode(errors=TEXT_ERRORS) if isinstance(message, str) else message


def _check_strict_and_lenient(setup: Setup, wire: bytes) -> None:
    """Both read the same up to the first broken rule, and find the same one there."""
    strict = read(replace(setup, policy=replace(setup.policy, is_strict=True)), [wire]).seen
    lenient = read(replace(setup, policy=replace(setup.policy, is_strict=False)), [wire]).seen
    found = next((at for at, event in enumerate(lenient) if isinstance(event, Finding)), len(lenient))
    if strict and isinstance(strict[-1], tuple) and strict[-1][0] == "failed":
        *before, failed = strict
        assert lenient[: len(before)] == before
        first = lenient[len(before)]
        if isinstance(first, Finding):
            first = ("failed", first.rule, first.span, first.text)
        assert first == failed, f"strict fails with {failed!r}, lenient finds {first!r}"
    else:
        assert lenient[: len(strict)] == strict, f"strict reads {strict}, lenient {lenient}"
        assert found >= len(strict), f"lenient finds {lenient[found:]} before strict ends"


def _check_answers(setup: Setup, reading: Reading) -> None:
    """What is sent of its own accord breaks no rule."""
    policy = Policy(checks_masks=setup.policy.masks)
    peer = WebSocketConnection(setup.side.peer, policy=policy, deflate=setup.deflate)
    events = peer.receive_data(reading.sent)
    assert all(isinstance(event, Pong | Closed) for event in events), f"it answers {events}"
    if setup.policy.echoes_close and any(isinstance(event, Closed) for event in reading.seen):
        assert isinstance(events[-1], Closed)


def _check_round_trip(setup: Setup, reading: Reading, places: Sequence[int]) -> None:
    """Messages that were read, sent by the other side and read again, are the same."""
    messages = [event for event in reading.seen if isinstance(event, str | bytes)]
    # A lenient reader takes text that is not UTF-8; only a writer that does not check it sends that.
    unchecked = replace(setup, policy=replace(setup.policy, checks_utf8=False))
    sender, receiver = unchecked.make(setup.side.peer), unchecked.make()
    size = places[0] or None
    for number, message in enumerate(messages):
        is_compressed = None if number % 2 else bool(places[1] & 1)
        sender.send_message(message, is_compressed=is_compressed, fragment_size=size)
    sent = sender.data_to_send()
    again = receiver.receive_data(sent)
    kept = [event for event in again if not isinstance(event, Finding)]
    if setup.max_message == MAX_MESSAGE and (setup.policy.masks or not setup.policy.checks_masks):
        assert kept == messages, f"{messages} come again as {again}"
    assert dissect(sent, setup.side.peer)[-1:] == () or dissect(sent)[-1].span.stop == len(sent)


def _check_dissected(setup: Setup, wire: bytes) -> None:
    frames = dissect(wire, setup.side.peer)
    assert_tile([frame.span for frame in frames], Span(0, frames[-1].span.stop if frames else 0))
    for frame in frames:
        assert_tiles(frame.fields, frame.span)
        for finding in frame.findings:
            assert_within(finding.span, frame.span)
            assert str(finding)
        assert str(frame)
