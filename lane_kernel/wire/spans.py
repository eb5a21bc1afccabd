"""Where a value stands in a byte stream, and what it means there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of bytes, [start, stop), counted from the first byte of one direction of a connection."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __contains__(self, offset: int) -> bool:
        return self.start <= offset < self.stop

    def __str__(self) -> str:
        return f"[{self.start}, {self.stop})"


class Family(Enum):
    """What kind of field it is; panels give each family one hue."""

    CONTROL = "control"
    OPCODE = "opcode"
    LENGTH = "length"
    MASK = "mask"
    PAYLOAD = "payload"
    CLOSE = "close"
    HTTP_START = "http-start"
    HTTP_NAME = "http-name"
    HTTP_VALUE = "http-value"
    EVENT_NAME = "event-name"
    EVENT_VALUE = "event-value"
    DELIMITER = "delimiter"


@dataclass(frozen=True, slots=True)
class Field:
    """One named value in a byte stream.

    Attributes:
        name: The field's name in the specification.
        span: The bytes that hold it.
        value: The value, decoded.
        text: The value as a person reads it.
        meaning: What the value says, in a few words.
        clause: Where the specification defines it, such as "RFC 6455 §5.2".
        family: What kind of field it is.
        bit_offset: For a field of bits, its first bit counted from the most significant bit of the span's first byte.
        bit_length: For a field of bits, how many bits it has.
    """

    name: str
    span: Span
    value: int | str | bytes
    text: str
    meaning: str
    clause: str
    family: Family
    bit_offset: int | None = None
    bit_length: int | None = None
