"""What frames add up to: the fragments of a message, joined, inflated and checked piece by piece.

Source: RFC 6455 §5.4, §5.6 and §8.1; RFC 7692 §7.2.2.
"""

from __future__ import annotations

from collections.abc import Callable

from lane_kernel.wire import rules
from lane_kernel.wire.deflate import InflatedTooBigError, InflateError, Inflater
from lane_kernel.wire.frames import Opcode
from lane_kernel.wire.rules import ProtocolError, Rule
from lane_kernel.wire.spans import Span
from lane_kernel.wire.utf8 import Utf8Checker

Message = str | bytes
"""A whole message as a program wants it: str for text, bytes for binary."""

Blame = Callable[[Rule, Span, str], None]
"""Told of a broken rule, the bytes that break it and what was seen; raises `ProtocolError` where reading is strict."""

_COMPRESSED_SLACK = 1024
"""Bytes that a compressed message may be longer than what it holds, besides a 256th of it; zlib takes much less."""

TEXT_ERRORS = "surrogateescape"
"""How text that is not UTF-8 becomes str where nobody checks it, and bytes again: nothing is lost."""


class MessageReader:
    """Takes the payload data of one message's frames, in pieces of any size, and gives the message.

    Attributes:
        opcode: TEXT or BINARY while a message is unfinished, else None.
        size: Its bytes so far, inflated where it is compressed.
    """

    def __init__(
        self, *, blame: Blame, max_message: int, inflater: Inflater | None = None, checks_utf8: bool = True
    ) -> None:
        """Begin between two messages.

        Args:
            blame: Told of broken rules.
            max_message: The bound on a message in bytes, inflated.
            inflater: Inflates the peer's messages, where permessage-deflate is in use.
            checks_utf8: Whether text is checked.
        """
        self.opcode: Opcode | None = None
        self.size = 0
        self._blame = blame
        self._max_message = max_message
        self._inflater = inflater
        self._checks_utf8 = checks_utf8
        self._inflating: Inflater | None = None
        self._is_lost = False
        self._checker: Utf8Checker | None = None
        self._parts: list[bytes] = []
        self._frame: list[bytes] = []  # what has come of a compressed frame that is not whole

    def begin(self, opcode: Opcode, *, is_compressed: bool = False) -> None:
        """Begin a message; an unfinished one is forgotten.

        Args:
            opcode: TEXT or BINARY.
            is_compressed: Whether its payload data is compressed.
        """
        self.opcode = opcode
        self.size = 0
        self._inflating = self._inflater if is_compressed else None
        self._is_lost = False
        self._checker = Utf8Checker() if opcode is Opcode.TEXT and self._checks_utf8 else None
        self._parts = []
        self._frame = []

    def check_room(self, length: int, span: Span) -> None:
        """Refuse a frame that would take the message over the bound, by its header alone.

        A compressed one may be somewhat longer than what it holds.

        Args:
            length: The payload length that the header declares.
            span: The header.

        Raises:
            ProtocolError: It would; a bound holds however lenient the reading is.
        """
        most = self._max_message
        if self._inflating is not None:
            most += (most >> 8) + _COMPRESSED_SLACK + self.size
        if self.size + length > most:
            text = f"a message of at least {self.size + length:,} bytes, over the bound of {self._max_message:,}"
            raise ProtocolError(rules.MESSAGE_TOO_BIG, span, text)

    def feed(self, data: bytes, at: int, payload: Span, *, is_last: bool) -> None:
        """Take a piece of a frame's payload data.

        Args:
            data: The piece, unmasked.
            at: Where it stands in its direction's stream.
            payload: Where all of the frame's payload data stands.
            is_last: Whether the message ends with it.

        Raises:
            ProtocolError: It breaks a rule, and reading is strict; or the message is over the bound.
        """
        is_compressed = self._inflating is not None
        if self._inflating is not None:
            # A frame is inflated when it is whole: zlib gives nothing of the bytes before those that it refuses, so
            # that what is found, and what is left of the message, would otherwise depend on the reads.
            if data:
                self._frame.append(data)
            if at + len(data) < payload.stop:
                return
            whole, self._frame = b"".join(self._frame), []
            data = self._inflate(self._inflating, whole, payload, is_last=is_last)
        if self._is_lost:
            return
        self.check_room(len(data), payload)
        self.size += len(data)
        if self._checker is not None:
            where = self._checker.check(data)
            if where is not None or (is_last and not self._checker.is_whole):
                self._blame_text(self._checker, _wrong_span(where, at, payload, is_compressed=is_compressed))
        elif data:
            self._parts.append(data)

    def _blame_text(self, checker: Utf8Checker, span: Span) -> None:
        # Where reading goes on, the text is taken as bytes.
        self._parts = [checker.text.encode(), checker.rest]
        self._checker = None
        self._blame(rules.INVALID_UTF8, span, "text that is not UTF-8")

    def finish(self) -> Message | None:
        """Give the message, and begin to wait for the next; None where it could not be inflated."""
        opcode, self.opcode = self.opcode, None
        self.size = 0
        if self._is_lost:
            return None
        if self._checker is not None:
            return self._checker.text
        payload = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        return payload.decode(errors=TEXT_ERRORS) if opcode is Opcode.TEXT else payload

    def _inflate(self, inflater: Inflater, data: bytes, payload: Span, *, is_last: bool) -> bytes:
        if self._is_lost:
            return b""
        try:
            return inflater.inflate(data, self._max_message - self.size, is_last=is_last)
        except InflatedTooBigError as error:
            text = f"a message over the bound of {self._max_message:,} bytes when it is inflated"
            raise ProtocolError(rules.INFLATED_TOO_BIG, payload, text) from error
        except InflateError as error:
            self._blame(rules.INFLATE_FAILED, payload, str(error))
            # Where reading goes on, the rest of this message is passed over.
            inflater.reset()
            self._is_lost = True
            return b""


def _wrong_span(where: int | None, at: int, payload: Span, *, is_compressed: bool) -> Span:
    """The bytes to blame for text that is wrong at a place in a piece, or ends inside a character."""
    if is_compressed and len(payload):
        # They are not the text's own: all of them are to blame.
        return payload
    if is_compressed or where is None:
        # The last byte that came; where the frame is empty, that of its header.
        return Span(payload.stop - 1, payload.stop)
    return Span(at + where, at + where + 1)
