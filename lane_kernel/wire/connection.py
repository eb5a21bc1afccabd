"""One end of a WebSocket connection after its opening handshake, sans-I/O: bytes in, events and bytes to send out.

    connection = WebSocketConnection(Side.SERVER)
    events = connection.receive_data(data)      # Message, Ping, Pong, Closed, Failed
    connection.send(Frame(Opcode.TEXT, b"hi"))
    data = connection.data_to_send()

It is strict: whatever breaks a rule fails the connection with that rule's close code. It answers Pings and Closes by
itself.

Source: RFC 6455 §5 to §7.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from lane_kernel.errors import LaneError
from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.frames import (
    Frame,
    FrameHeader,
    Opcode,
    Unmask,
    apply_mask,
    close_frame,
    decode_header,
    judge_close,
    judge_header,
)
from lane_kernel.wire.rules import ProtocolError
from lane_kernel.wire.spans import Span

MAX_MESSAGE = 16 * 1024 * 1024
"""Default bound on a message's size in bytes; `websockets` takes 1 MiB, aiohttp 4 MiB, browsers have none."""


class State(Enum):
    """Where a connection is in its life after the opening handshake.

    Source: RFC 6455 §7.1; the names are those of the WebSocket interface in browsers.
    """

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class ConnectionStateError(LaneError):
    """Something was to be sent after the closing handshake had begun."""


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message.

    Attributes:
        opcode: TEXT or BINARY.
        payload: Its bytes, joined from all its fragments.
    """

    opcode: Opcode
    payload: bytes

    @property
    def data(self) -> str | bytes:
        """The message as a program wants it: str for text, bytes for binary."""
        return self.payload.decode() if self.opcode == Opcode.TEXT else self.payload


@dataclass(frozen=True, slots=True)
class Ping:
    """A Ping, already answered."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A Pong, asked for or not."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer's Close, already answered where it began the closing handshake.

    Attributes:
        code: The code it carries; 1005 where it carries none, 1006 where the connection ended without a Close.
        reason: Its reason.
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection was failed, because the peer broke a rule.

    Source: RFC 6455 §7.1.7.
    """

    error: ProtocolError


Event = Message | Ping | Pong | Closed | Failed


class WebSocketConnection:
    """One end's state machine.

    Attributes:
        side: Which end this is.
        state: Where the connection is in its life.
        close_code: The code of the peer's Close; 1006 where it ended without one; None while open.
        close_reason: The reason of the peer's Close.
        failure: What failed the connection, if anything did.
    """

    def __init__(
        self,
        side: Side,
        *,
        offset: int = 0,
        unmask: Unmask = apply_mask,
        max_message: int = MAX_MESSAGE,
        make_masking_key: Callable[[], bytes] = lambda: os.urandom(4),
    ) -> None:
        """Begin where the opening handshake ended.

        Args:
            side: Which end this is.
            offset: Where the first frame begins in the incoming direction's stream.
            unmask: The function that unmasks payload data.
            max_message: The bound on a message in bytes; a longer one fails the connection with 1009.
            make_masking_key: Makes the 4 bytes that a client masks a frame with.
        """
        self.side = side
        self.state = State.OPEN
        self.close_code: int | None = None
        self.close_reason = ""
        self.failure: ProtocolError | None = None
        self._offset = offset
        self._unmask = unmask
        self._max_message = max_message
        self._make_masking_key = make_masking_key
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._opcode: Opcode | None = None
        self._fragments: list[bytes] = []
        self._size = 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._close_sent = False
        self._close_received = False

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be read: both Closes went by, the connection failed, or it ended."""
        return self.state is State.CLOSED

    def data_to_send(self) -> bytes:
        """Take the bytes that wait to be written."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def send(self, frame: Frame) -> None:
        """Send a frame; a client's is masked where it has no masking-key of its own.

        Raises:
            ConnectionStateError: A Close has been sent.
        """
        if self._close_sent or self.state is State.CLOSED:
            raise ConnectionStateError("the connection is closing: nothing follows a Close frame (RFC 6455 §5.5.1)")
        if self.side is Side.CLIENT and frame.masking_key is None:
            frame = replace(frame, masking_key=self._make_masking_key())
        self.send_as_is(frame)

    def send_as_is(self, frame: Frame) -> None:
        """Send a frame exactly as it is, even against the rules: no mask is added and no state is asked."""
        self._out.append(frame.encode(self._unmask))
        if frame.opcode == Opcode.CLOSE and self.state is not State.CLOSED:
            self._close_sent = True
            self.state = State.CLOSED if self._close_received else State.CLOSING

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Begin the closing handshake, or do nothing where it has begun.

        Raises:
            FrameError: The code is never sent, or the reason too long.
        """
        frame = close_frame(code, reason)
        if not self._close_sent and self.state is not State.CLOSED:
            self.send(frame)

    def receive_data(self, data: bytes) -> list[Event]:
        """Decode all frames that data completes.

        Args:
            data: Bytes as they were read from the socket.

        Returns:
            What happened, in order. After a `Failed` or the second Close nothing more is read.
        """
        events: list[Event] = []
        if self.is_finished:
            return events
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while not self.is_finished:
                header = decode_header(buffer, position)
                if header is None:
                    break
                self._check(header, self._offset + position)
                start = position + header.size
                stop = start + header.length
                if stop > len(buffer):
                    break
                payload = bytes(buffer[start:stop])
                if header.masking_key is not None:
                    payload = self._unmask(header.masking_key, payload)
                event = self._receive_frame(header, payload, self._offset + start)
                if event is not None:
                    events.append(event)
                position = stop
        except ProtocolError as error:
            events.append(self._fail(error))
        del buffer[:position]
        self._offset += position
        return events

    def receive_eof(self) -> list[Event]:
        """Say that the peer's stream has ended.

        Source: RFC 6455 §7.1.5: without a Close frame, the close code is 1006.
        """
        if self.state is State.CLOSED:
            return []
        self.state = State.CLOSED
        self.close_code = 1006
        return [Closed(1006, "")]

    def _check(self, header: FrameHeader, at: int) -> None:
        span = Span(at, at + header.size)
        for rule, text in judge_header(header, self.side.peer):
            raise ProtocolError(rule, span, text)
        if header.opcode >= 8:
            return
        if header.opcode == Opcode.CONTINUATION and self._opcode is None:
            raise ProtocolError(rules.UNEXPECTED_CONTINUATION, span, "a continuation frame outside a message")
        if header.opcode != Opcode.CONTINUATION and self._opcode is not None:
            raise ProtocolError(rules.DATA_INSIDE_MESSAGE, span, "a new message inside an unfinished one")
        if self._size + header.length > self._max_message:
            raise ProtocolError(
                rules.MESSAGE_TOO_BIG,
                span,
                f"a message of at least {self._size + header.length:,} bytes, over the bound of {self._max_message:,}",
            )

    def _receive_frame(self, header: FrameHeader, payload: bytes, at: int) -> Event | None:
        if header.opcode < 8:
            return self._receive_data_frame(header, payload, at)
        if header.opcode == Opcode.CLOSE:
            return self._receive_close(payload, at)
        if header.opcode == Opcode.PING:
            if not self._close_sent:
                self.send(Frame(Opcode.PONG, payload))
            return Ping(payload)
        return Pong(payload)

    def _receive_data_frame(self, header: FrameHeader, payload: bytes, at: int) -> Message | None:
        if header.opcode != Opcode.CONTINUATION:
            self._opcode = Opcode(header.opcode)
        if self._opcode == Opcode.TEXT:
            self._check_utf8(payload, header.fin, at)
        self._fragments.append(payload)
        self._size += len(payload)
        if not header.fin or self._opcode is None:
            return None
        message = Message(self._opcode, b"".join(self._fragments))
        self._opcode = None
        self._fragments = []
        self._size = 0
        return message

    def _check_utf8(self, payload: bytes, final: bool, at: int) -> None:
        waiting = len(self._utf8.getstate()[0])
        try:
            self._utf8.decode(payload, final)
        except UnicodeDecodeError as error:
            # Where an empty last fragment leaves a character unfinished, the last byte of its header stands in.
            where = min(at + max(error.start - waiting, 0), at + len(payload) - 1)
            raise ProtocolError(rules.INVALID_UTF8, Span(where, where + 1), "text that is not UTF-8") from error

    def _receive_close(self, payload: bytes, at: int) -> Closed:
        for rule, span, text in judge_close(payload):
            raise ProtocolError(rule, Span(at + span.start, at + span.stop), text)
        code = int.from_bytes(payload[:2], "big") if payload else None
        self._close_received = True
        self.close_code = 1005 if code is None else code
        self.close_reason = payload[2:].decode()
        if self._close_sent:
            self.state = State.CLOSED
        else:
            self.send(close_frame(code))
        return Closed(self.close_code, self.close_reason)

    def _fail(self, error: ProtocolError) -> Failed:
        self.failure = error
        self.close_code = 1006
        if not self._close_sent:
            self.send(close_frame(error.close_code, _fit(f"{error.rule.id}: {error.text}")))
        self.state = State.CLOSED
        return Failed(error)


def _fit(reason: str) -> str:
    return reason.encode()[:123].decode(errors="ignore")
