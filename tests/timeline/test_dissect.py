"""A byte string, taken apart into frames. RFC 6455 §5."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lane_kernel as lane
from lane_kernel.sides import Side
from lane_kernel.timeline import dissect
from lane_kernel.wire.spans import Span
from tests.timeline.recording import masked, plain
from tests.vectors import frames as vectors
from tests.wire.helpers import assert_tiles


@pytest.mark.parametrize("case", vectors.CASES, ids=lambda case: case.id)
def test_one_frame(case: vectors.Case):
    (frame,) = dissect(case.wire)
    assert frame.payload == case.frame.payload
    assert frame.header.opcode == case.frame.opcode
    assert tuple(finding.rule.id for finding in frame.findings) == case.rules
    assert_tiles(frame.fields, Span(0, len(case.wire)))


def test_frames_one_after_the_other():
    """Each with its place; the MASK bit tells who sent it, unless it is said."""
    data = masked(1, b"Hello") + plain(2, b"abc")
    first, second = dissect(data)
    assert (first.span, second.span) == (Span(0, 11), Span(11, 16))
    assert (first.payload, second.payload) == (b"Hello", b"abc")
    assert (first.findings, second.findings) == ((), ())
    assert [[finding.rule.id for finding in frame.findings] for frame in dissect(data, Side.CLIENT)] == [
        [], ["unmasked-client-frame"],
    ]  # fmt: skip
    assert dissect(data, Side.CLIENT)[1].findings[0].span == Span(11, 13)


def test_as_text():
    (frame,) = lane.dissect(bytes.fromhex("810548656c6c6f"), Side.CLIENT)
    lines = str(frame).splitlines()
    assert lines[0] == "TEXT [0, 7)"
    assert [line.split()[0] for line in lines[1:-1]] == [
        "FIN",
        "RSV1",
        "RSV2",
        "RSV3",
        "opcode",
        "MASK",
        "payload",
        "payload",
    ]
    assert lines[-2].split(maxsplit=2) == [
        "payload",
        "data",
        "'Hello'                  5 bytes of valid UTF-8  (RFC 6455 §5.6)",
    ]
    assert lines[-1] == (
        "  ! error: a client's frame without a masking-key at [0, 2) (RFC 6455 §5.1: a client masks every frame)"
    )


@given(st.binary(max_size=100), st.none() | st.sampled_from(Side))
def test_any_bytes(data: bytes, sender: Side | None):
    """Frames tile the bytes as far as there are whole headers; the rest is less than one."""
    position = 0
    for frame in dissect(data, sender):
        assert frame.span.start == position
        assert_tiles(frame.fields, frame.span)
        assert f"{frame.span}" in str(frame)
        position = frame.span.stop
    assert len(data) - position < 14
