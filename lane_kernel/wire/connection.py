"""One end of a WebSocket connection after its opening handshake, sans-I/O: bytes in, events and bytes to send out.

    connection = WebSocketConnection(Side.SERVER)
    events = connection.receive_data(data)      # str, bytes, Ping, Pong, Closed, Failed
    connection.send_message("hi")
    data = connection.data_to_send()

It is strict: whatever breaks a rule fails the connection with that rule's close code. It answers Pings and Closes by
itself. A `Policy` switches each of these off, to teach what they are for.

| state   | what happens                                     | next    |
| ------- | ------------------------------------------------ | ------- |
| OPEN    | we send a Close                                  | CLOSING |
| OPEN    | the peer's Close comes, and is answered          | CLOSED  |
| OPEN    | the peer's Close comes, and the policy is silent | CLOSING |
| CLOSING | the Close that is still missing comes or is sent | CLOSED  |
| any     | a rule is broken, or the stream ends             | CLOSED  |

Source: RFC 6455 §5 to §7.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from lane_kernel.errors import LaneError
from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.deflate import DeflateParameters, Inflater
from lane_kernel.wire.frames import (
    LONG,
    LONGER,
    Frame,
    FrameHeader,
    Opcode,
    Unmask,
    apply_mask,
    close_frame,
    decode_header,
    is_close_code_allowed,
    judge_close,
    judge_header,
    quick_heads,
)
from lane_kernel.wire.messages import TEXT_ERRORS, Message, MessageReader
from lane_kernel.wire.policy import POLITE, Policy
from lane_kernel.wire.rules import Finding, ProtocolError, Rule
from lane_kernel.wire.spans import Span
from lane_kernel.wire.writer import RSV1, FrameWriter

MAX_MESSAGE = 16 * 1024 * 1024
"""Default bound on a message's size in bytes; `websockets` takes 1 MiB, aiohttp 4 MiB, browsers have none."""


class State(Enum):
    """Where a connection is in its life after the opening handshake.

    Source: RFC 6455 §7.1; the names are those of the WebSocket interface in browsers.
    """

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


_OPEN, _CLOSED = State.OPEN, State.CLOSED  # an enum's members cost more to look up than to compare


class ConnectionStateError(LaneError):
    """Something was to be sent after the closing handshake had begun."""


@dataclass(frozen=True, slots=True)
class Ping:
    """A Ping; it is answered already, unless the policy is not to."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """A Pong, asked for or not."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer's Close, already answered where it began the closing handshake; or the end of the stream.

    Attributes:
        code: The code it carries; 1005 where it carries none, 1006 where the connection ended without a Close.
        reason: Its reason.
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection was failed, because the peer broke a rule.

    An event and not an exception, since messages of the same read come before it.

    Source: RFC 6455 §7.1.7.
    """

    error: ProtocolError


Event = Message | Ping | Pong | Closed | Failed | Finding
"""What happens. A message is a str or bytes itself, so that the quick loop makes no object besides it."""


class WebSocketConnection:
    """One end's state machine.

    Attributes:
        side: Which end this is.
        policy: What it does of its own accord.
        deflate: What was agreed on permessage-deflate, or None where it is not in use.
        state: Where the connection is in its life.
        close_code: The code of the peer's Close; 1006 where it ended without one; None while open.
        close_reason: The reason of the peer's Close.
        failure: What failed the connection, if anything did.
        is_holding: Whether a Close, or what fails the connection, waits for the next call of `receive_data`.
    """

    def __init__(
        self,
        side: Side,
        *,
        offset: int = 0,
        unmask: Unmask = apply_mask,
        max_message: int = MAX_MESSAGE,
        max_frame: int | None = None,
        policy: Policy = POLITE,
        deflate: DeflateParameters | None = None,
        holds_end: bool = False,
        make_masking_key: Callable[[], bytes] = lambda: os.urandom(4),
    ) -> None:
        """Begin where the opening handshake ended.

        Args:
            side: Which end this is.
            offset: Where the first frame begins in the incoming direction's stream.
            unmask: The function that unmasks payload data.
            max_message: The bound on a message in bytes, inflated; a longer one fails the connection with 1009.
            max_frame: The bound on the length that a frame declares, in bytes; a longer one fails the connection with
                1009 before its payload data is read. None besides the message's by default.
            policy: What this end does of its own accord.
            deflate: What the opening handshake agreed on permessage-deflate.
            holds_end: Whether a Close, or what fails the connection, waits for the next call of `receive_data`, so that
                the messages before it can be answered first: as if it had come a moment later.
            make_masking_key: Makes the 4 bytes that a client masks a frame with.
        """
        self.side = side
        self.policy = policy
        self.deflate = deflate
        self.state = State.OPEN
        self.close_code: int | None = None
        self.close_reason = ""
        self.failure: ProtocolError | None = None
        self._unmask = unmask
        self._max_frame = max_frame
        self._most = max_message if max_frame is None else min(max_message, max_frame)
        self._writer = FrameWriter(side, policy, deflate, mask=unmask, make_masking_key=make_masking_key)
        inflater = None if deflate is None else Inflater(deflate, side.peer)
        self._rsv_allowed = 0 if deflate is None else RSV1
        self._message = MessageReader(
            blame=self._blame, max_message=max_message, inflater=inflater, checks_utf8=policy.checks_utf8
        )
        self._quick = quick_heads(side.peer, min(self._most, 125))
        self._events: list[Event] = []
        self._holds_end = holds_end
        self.is_holding = False
        self._held: ProtocolError | bytes = b""
        self._rest = b""
        self._offset = offset
        self._header: FrameHeader | None = None
        self._payload = Span(0, 0)
        self._taken = 0
        self._control = b""
        self._out: list[bytes] = []
        self._close_sent = False
        self._close_received = False

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will be read: both Closes went by, the connection failed, or it ended."""
        return self.state is State.CLOSED

    # What comes

    def receive_data(self, data: bytes) -> list[Event]:
        """Decode all frames that data completes.

        Args:
            data: Bytes as they were read from the socket.

        Returns:
            What happened, in order. After a `Failed` or the second Close nothing more is read.
        """
        events: list[Event] = []
        self._events = events
        if self.is_holding:
            self._release(self._held)
        buffer = self._rest + data if self._rest else bytes(data)
        position = 0
        if self._header is None and self._message.opcode is None and self.state is _OPEN and not self.is_holding:
            position = self._read_whole_messages(buffer, 0, events)
        if position == len(buffer):
            self._rest = b""
        else:
            position = self._read_frames(buffer, position, events)
            self._rest = b"" if self._is_deaf else buffer[position:]
        self._offset += position
        return events

    def _read_frames(self, buffer: bytes, position: int, events: list[Event]) -> int:
        """Read whatever stands there, frame by frame, until more is needed or nothing more is read.

        Returns:
            Where the first byte stands that was not read.
        """
        start = self._offset
        try:
            while not self._is_deaf and not self.is_holding:
                header = self._header
                if header is None:
                    if self._message.opcode is None and not self._close_received:
                        position = self._read_whole_messages(buffer, position, events)
                    header = decode_header(buffer, position)
                    if header is None:
                        break
                    self._begin_frame(header, start + position)
                    position += header.size
                position = self._read_payload(header, buffer, position)
                if self._header is not None:
                    break
        except ProtocolError as error:
            self._fail(error)
        return position

    def _release(self, held: ProtocolError | bytes) -> None:
        self.is_holding = self._holds_end = False
        try:
            if isinstance(held, ProtocolError):
                self._fail(held)
            else:
                self._receive_close(held)
        except ProtocolError as error:
            self._fail(error)

    @property
    def _is_deaf(self) -> bool:
        """Whether nothing more is read; a lenient reader goes on after the peer's Close, to see what comes."""
        return self.state is _CLOSED or (self._close_received and self.policy.is_strict)

    def _read_whole_messages(self, buffer: bytes, position: int, events: list[Event]) -> int:
        """Read messages of one frame each that have come whole: the case that has to be quick.

        One look at a table tells that a frame breaks no rule, and a short one's length; only a very long one's header
        is decoded. Everything else, and every frame that breaks a rule, is left where it stands for the other loop.

        Returns:
            Where the first byte stands that was not read.
        """
        quick, unmask, append = self._quick, self._unmask, events.append
        is_masked = self.side is Side.SERVER
        head_size = 6 if is_masked else 2
        most = self._most
        size = len(buffer)
        last = size - head_size
        try:
            while position <= last:
                head = buffer[position] << 8 | buffer[position + 1]
                length = quick[head]
                start = position + head_size
                if length == LONG and start + 2 <= size:
                    length = buffer[position + 2] << 8 | buffer[position + 3]
                    start += 2
                    if not 126 <= length <= most:
                        break
                elif length > 125:
                    header = decode_header(buffer, position) if length == LONGER else None
                    if header is None or not 0x10000 <= header.length <= most:
                        break
                    start, length = position + header.size, header.length
                stop = start + length
                if stop > size:
                    break
                payload = buffer[start:stop]
                if is_masked:
                    payload = unmask(buffer[start - 4 : start], payload)
                append(payload.decode() if head < 0x8200 else payload)
                position = stop
        except UnicodeDecodeError:
            pass  # the other loop says where
        return position

    def _begin_frame(self, header: FrameHeader, at: int) -> None:
        """Judge a frame by its header, and make ready for its payload data."""
        span = Span(at, at + header.size)
        self._judge(header, span)
        self._header = header
        self._payload = Span(span.stop, span.stop + header.length)
        self._taken = 0
        self._control = b""
        if header.opcode >= 8:
            return
        message = self._message
        if message.opcode is None or header.opcode != Opcode.CONTINUATION:
            # Where reading goes on after a wrong opcode or a stray continuation, its data is binary.
            opcode = Opcode.TEXT if header.opcode == Opcode.TEXT else Opcode.BINARY
            is_compressed = bool(header.rsv & self._rsv_allowed) and header.opcode != Opcode.CONTINUATION
            message.begin(opcode, is_compressed=is_compressed)
        message.check_room(header.length, span)
        if self._max_frame is not None and header.length > self._max_frame:
            text = f"a frame of {header.length:,} bytes, over the bound of {self._max_frame:,}"
            raise ProtocolError(rules.MESSAGE_TOO_BIG, span, text)

    def _judge(self, header: FrameHeader, span: Span) -> None:
        for rule, text in judge_header(header, self.side.peer, self._rsv_allowed):
            is_mask = rule in (rules.UNMASKED_CLIENT_FRAME, rules.MASKED_SERVER_FRAME)
            if not is_mask or self.policy.checks_masks:
                self._blame(rule, span, text)
        if header.opcode >= 8:
            if header.length > 0xFFFF:
                # However lenient: a control frame is held whole.
                raise ProtocolError(rules.CONTROL_TOO_LONG, span, f"a control frame of {header.length:,} bytes")
            return
        if self._close_received:
            self._blame(rules.DATA_AFTER_CLOSE, span, "a data frame after a Close")
        if header.opcode == Opcode.CONTINUATION and self._message.opcode is None:
            self._blame(rules.UNEXPECTED_CONTINUATION, span, "a continuation frame outside a message")
        if header.opcode != Opcode.CONTINUATION and self._message.opcode is not None:
            self._blame(rules.DATA_INSIDE_MESSAGE, span, "a new message inside an unfinished one")

    def _read_payload(self, header: FrameHeader, buffer: bytes, position: int) -> int:
        """Take what has come of the frame's payload data; answer where the first byte after it stands."""
        data = buffer[position : position + header.length - self._taken]
        stop = position + len(data)
        if header.masking_key is not None:
            turn = self._taken % 4
            data = self._unmask(header.masking_key[turn:] + header.masking_key[:turn], data)
        at = self._payload.start + self._taken
        self._taken += len(data)
        is_whole = self._taken == header.length
        if is_whole:
            self._header = None
        if header.opcode >= 8:
            self._control += data
            if is_whole:
                self._receive_control(header.opcode, self._control)
            return stop
        is_last = is_whole and header.fin
        self._message.feed(data, at, self._payload, is_last=is_last)
        message = self._message.finish() if is_last else None
        if message is not None:
            self._events.append(message)
        return stop

    def _receive_control(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.CLOSE:
            self._receive_close(payload)
        elif opcode == Opcode.PING:
            # Also once we have sent a Close: only who has received one is free of it (RFC 6455 §5.5.2).
            if self.policy.answers_pings and not self._close_received:
                self._out.append(self._writer.frame(self._writer.own(Frame(Opcode.PONG, payload[:125]))))
            self._events.append(Ping(payload))
        elif opcode == Opcode.PONG:
            self._events.append(Pong(payload))

    def _receive_close(self, payload: bytes) -> None:
        if self._holds_end:
            self._held, self.is_holding = payload, True
            return
        at = self._payload.start
        for rule, span, text in judge_close(payload):
            if rule is not rules.CLOSE_REASON_UTF8 or self.policy.checks_utf8:
                self._blame(rule, Span(at + span.start, at + span.stop), text)
        code = int.from_bytes(payload[:2], "big") if len(payload) > 1 else 1005
        reason = payload[2:].decode(errors=TEXT_ERRORS)
        if not self._close_received:
            self._close_received = True
            self.close_code, self.close_reason = code, reason
        if self._close_sent:
            self.state = State.CLOSED
        else:
            self.state = State.CLOSING
            if self.policy.echoes_close:
                # A code that is never sent is not sent as an answer either.
                echo = code if is_close_code_allowed(code) else 1002
                self.send_as_is(self._writer.own(close_frame(echo if len(payload) > 1 else None)))
        self._events.append(Closed(code, reason))

    def receive_eof(self) -> list[Event]:
        """Say that the peer's stream has ended.

        Source: RFC 6455 §7.1.5: without a Close frame, the close code is 1006.
        """
        events = self.receive_data(b"")  # what is held, and what stands behind it
        if self.state is not State.CLOSED and not self._close_received:
            self.close_code = 1006
            events.append(Closed(1006, ""))
        self.state = State.CLOSED
        return events

    def _blame(self, rule: Rule, span: Span, text: str) -> None:
        if self.policy.is_strict:
            raise ProtocolError(rule, span, text)
        self._events.append(Finding(rule, span, text))

    def _fail(self, error: ProtocolError) -> None:
        if self._holds_end:
            self._held, self.is_holding = error, True
            return
        self.failure = error
        if not self._close_received:
            self.close_code = 1006
        if not self._close_sent:
            reason = f"{error.rule.id}: {error.text}".encode()[:123].decode(errors="ignore")
            self.send_as_is(self._writer.own(close_frame(error.close_code, reason)))
        self.state = State.CLOSED
        self._events.append(Failed(error))

    # What goes

    @property
    def is_fragmenting(self) -> bool:
        """Whether a message that is being sent is unfinished, so that no other may begin."""
        return self._writer.is_fragmenting

    def data_to_send(self) -> bytes:
        """Take the bytes that wait to be written."""
        out = self._out
        if len(out) == 1:
            return out.pop()
        data = b"".join(out)
        out.clear()
        return data

    def send_message(
        self, message: Message, *, is_compressed: bool | None = None, fragment_size: int | None = None
    ) -> None:
        """Send a message.

        Args:
            message: str goes as text, bytes as binary.
            is_compressed: Whether to compress it where permessage-deflate was agreed; what the policy says by default.
            fragment_size: Bytes of payload data in one frame at the most; all in one frame by default.

        Raises:
            ConnectionStateError: A Close has been sent.
            FrameError: Text that UTF-8 has no bytes for; a fragment size below 1; or a message whose fragments are sent
                one by one is unfinished.
        """
        self._out.append(self.encode_message(message, is_compressed, fragment_size))

    def encode_message(
        self, message: Message, is_compressed: bool | None = None, fragment_size: int | None = None
    ) -> bytes:
        """Send a message as `send_message` does, but give its bytes to whoever writes them at once."""
        self._check_state()
        return self._writer.message(message, is_compressed=is_compressed, fragment_size=fragment_size)

    def send(self, frame: Frame) -> None:
        """Send a frame by the rules; a client's is masked where it has no masking-key of its own.

        Raises:
            ConnectionStateError: A Close has been sent.
            FrameError: The frame breaks a rule, by itself or where it would stand. `send_as_is` sends it all the same.
        """
        self._check_state()
        frame = self._writer.own(frame)
        self._writer.check(frame)
        self.send_as_is(frame)

    def send_as_is(self, frame: Frame) -> None:
        """Send a frame exactly as it is, even against the rules: no mask is added and no state is asked."""
        self._out.append(self._writer.frame(frame))
        if frame.opcode == Opcode.CLOSE and self.state is not State.CLOSED:
            self._close_sent = True
            self.state = State.CLOSED if self._close_received else State.CLOSING

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Begin the closing handshake, or answer the peer's; do nothing where a Close has been sent.

        Raises:
            FrameError: The code is never sent, or the reason too long.
        """
        frame = close_frame(code, reason)
        if not self._close_sent and self.state is not State.CLOSED:
            self.send_as_is(self._writer.own(frame))

    def _check_state(self) -> None:
        if self._close_sent or self.state is _CLOSED:
            raise ConnectionStateError("the connection is closing: nothing follows a Close frame (RFC 6455 §5.5.1)")
