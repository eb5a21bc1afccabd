"""One end's frames on their way out: messages cut, compressed and masked; single frames held to the rules or not.

Source: RFC 6455 §5 and §6.1; RFC 7692 §7.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.deflate import DeflateParameters, Deflater
from lane_kernel.wire.frames import (
    Frame,
    FrameError,
    Opcode,
    Unmask,
    encode_text,
    encode_whole,
    judge_close,
    judge_header,
)
from lane_kernel.wire.messages import TEXT_ERRORS, Message
from lane_kernel.wire.policy import Policy
from lane_kernel.wire.rules import Rule
from lane_kernel.wire.utf8 import Utf8Checker, first_wrong_byte

RSV1 = 4
"""The bit that permessage-deflate takes, as `FrameHeader.rsv` counts it."""


class FrameWriter:
    """Encodes what one end sends.

    Attributes:
        is_fragmenting: Whether a message whose fragments are sent one by one is unfinished.
    """

    def __init__(
        self,
        side: Side,
        policy: Policy,
        deflate: DeflateParameters | None,
        *,
        mask: Unmask,
        make_masking_key: Callable[[], bytes],
    ) -> None:
        """Begin between two messages.

        Args:
            side: Which end sends.
            policy: What it does of its own accord.
            deflate: What was agreed on permessage-deflate.
            mask: The function that masks payload data.
            make_masking_key: Makes the 4 bytes that a client masks a frame with.
        """
        self._side = side
        self._masks = side is Side.CLIENT and policy.masks
        self._policy = policy
        self._deflater = None if deflate is None else Deflater(deflate, side)
        self._rsv_allowed = 0 if deflate is None else RSV1
        self._mask = mask
        self._make_masking_key = make_masking_key
        self.is_fragmenting = False
        # The bytes of a character that the last fragment of a text cut; None where there is no text to go on.
        self._cut: bytes | None = None

    def own(self, frame: Frame) -> Frame:
        """A frame as this end sends it: a client's with a masking-key, where it has none of its own."""
        if self._masks and frame.masking_key is None:
            return replace(frame, masking_key=self._make_masking_key())
        return frame

    def frame(self, frame: Frame) -> bytes:
        """Encode a frame exactly as it is."""
        if frame.opcode < 8:
            self.is_fragmenting = not frame.fin
            self._cut = None if frame.fin else _cut_character(self._text_in(frame))
        if frame.rsv1 and self._deflater is not None:
            # Compressed by someone else: it enters the peer's window and not ours.
            self._deflater.reset()
        return frame.encode(self._mask)

    def _text_in(self, frame: Frame) -> bytes | None:
        """The text in a frame, from the character on that the fragment before it cut; None where there is none."""
        if frame.opcode == Opcode.TEXT and not frame.rsv1:
            return frame.payload
        is_more = frame.opcode == Opcode.CONTINUATION and self._cut is not None
        return (self._cut or b"") + frame.payload if is_more else None

    def message(self, message: Message, *, is_compressed: bool | None, fragment_size: int | None) -> bytes:
        """Encode a message in one frame or in fragments.

        Args:
            message: str for text, bytes for binary.
            is_compressed: Whether to compress it, where that was agreed; what the policy says where it is None.
            fragment_size: Bytes of payload data in one frame at the most; None for all in one.

        Raises:
            FrameError: Text that UTF-8 has no bytes for; a fragment size below 1; or a message whose fragments are sent
                one by one is unfinished.
        """
        if self.is_fragmenting:
            raise FrameError("a message is unfinished: send its last fragment first (RFC 6455 §5.4)")
        if fragment_size is not None and fragment_size < 1:
            raise FrameError(f"a fragment has at least 1 byte, not {fragment_size}")
        if isinstance(message, str):
            errors = "strict" if self._policy.checks_utf8 else TEXT_ERRORS
            opcode, payload = Opcode.TEXT, encode_text(message, errors)
        else:
            opcode, payload = Opcode.BINARY, message
        deflater = self._deflater
        if deflater is None and fragment_size is None and not self._masks:
            return encode_whole(opcode, payload)
        rsv1 = False
        if deflater is not None and (self._policy.compresses if is_compressed is None else is_compressed):
            rsv1 = deflater.can
            payload = deflater.deflate(payload) if rsv1 else payload
        size = max(len(payload), 1) if fragment_size is None else fragment_size
        return b"".join(self.own(frame).encode(self._mask) for frame in _fragments(opcode, payload, rsv1, size))

    def check(self, frame: Frame) -> None:
        """Refuse a frame that the peer would have to fail the connection for, or could not read.

        Args:
            frame: The frame as it would go, masked where it is to be.

        Raises:
            FrameError: It breaks a rule, by itself or where it would stand.
        """
        if frame.length != len(frame.payload):
            raise FrameError(
                f"the header declares {frame.length:,} bytes of payload data, there are {len(frame.payload):,}; "
                "to send it all the same, send it as it is"
            )
        broken = next(self._judge(frame), None)
        if broken is not None:
            rule, text = broken
            raise FrameError(f"{text}: {rule.text} ({rule.clause}); to send it all the same, send it as it is")

    def _judge(self, frame: Frame) -> Iterator[tuple[Rule, str]]:
        for rule, text in judge_header(frame.header, self._side, self._rsv_allowed):
            if self._policy.masks or rule is not rules.UNMASKED_CLIENT_FRAME:
                yield rule, text
        if frame.opcode == Opcode.CONTINUATION and not self.is_fragmenting:
            yield rules.UNEXPECTED_CONTINUATION, "a continuation frame outside a message"
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY) and self.is_fragmenting:
            yield rules.DATA_INSIDE_MESSAGE, "a new message inside an unfinished one"
        if frame.opcode == Opcode.CLOSE:
            for rule, _, text in judge_close(frame.payload):
                if self._policy.checks_utf8 or rule is not rules.CLOSE_REASON_UTF8:
                    yield rule, text
        text_in = self._text_in(frame) if self._policy.checks_utf8 else None
        if text_in is not None and first_wrong_byte(text_in, is_whole=frame.fin) is not None:
            yield rules.INVALID_UTF8, "text that is not UTF-8"


def _cut_character(text: bytes | None) -> bytes | None:
    """What stands of a last character that is cut short; None where there is no text, or it is wrong."""
    checker = Utf8Checker()
    return None if text is None or checker.check(text) is not None else checker.rest


def _fragments(opcode: Opcode, payload: bytes, rsv1: bool, size: int) -> Iterator[Frame]:
    starts = range(0, max(len(payload), 1), size)
    for start in starts:
        kind = opcode if start == 0 else Opcode.CONTINUATION
        yield Frame(kind, payload[start : start + size], fin=start == starts[-1], rsv1=rsv1 and start == 0)
