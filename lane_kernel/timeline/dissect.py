"""The frames in a byte string, without any capture around them."""

from __future__ import annotations

from dataclasses import dataclass

from lane_kernel.sides import Side
from lane_kernel.wire.frames import FrameHeader, decode_header, describe_frame, judge_frame, opcode_name, payload_of
from lane_kernel.wire.rules import Finding
from lane_kernel.wire.spans import Field, Span


@dataclass(frozen=True, slots=True)
class Dissected:
    """One frame, taken apart.

    Attributes:
        span: Its bytes in the string that was given.
        header: Its header.
        payload: Its payload data, unmasked.
        fields: Every bit with its name.
        findings: The rules that it breaks.
    """

    span: Span
    header: FrameHeader
    payload: bytes
    fields: tuple[Field, ...]
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        lines = [f"{opcode_name(self.header.opcode)} {self.span}"]
        lines += [f"  {field.name:<24} {field.text:<24} {field.meaning}  ({field.clause})" for field in self.fields]
        lines += [f"  ! {finding}" for finding in self.findings]
        return "\n".join(lines)


def dissect(data: bytes, sender: Side | None = None) -> tuple[Dissected, ...]:
    """Take apart the WebSocket frames of a byte string.

    Args:
        data: Frames, one after the other. The last may be cut short.
        sender: Who sent them; told by each frame's MASK bit where it is left out.

    Returns:
        The frames as far as the bytes go; a header that is cut short ends them.
    """
    frames: list[Dissected] = []
    position = 0
    while (header := decode_header(data, position)) is not None:
        stop = min(position + header.size + header.length, len(data))
        raw = data[position:stop]
        who = sender or (Side.CLIENT if header.masking_key else Side.SERVER)
        frames.append(
            Dissected(
                Span(position, stop),
                header,
                payload_of(raw),
                describe_frame(raw, position),
                judge_frame(raw, who, position),
            )
        )
        position = stop
    return tuple(frames)
