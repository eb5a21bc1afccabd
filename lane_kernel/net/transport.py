"""Frames over a stream, once a connection is upgraded: what server and client sessions share.

One hot path: the stream reads a chunk and records it (`RecordedStream._read`); `_receive` decodes all of its frames in
one pass, delivers the messages, and their answers leave in one write. Messages go to a function at once, or wait in a
bounded queue for whoever receives; while that is full, nothing more is read. No task reads: Pings are answered and a
Close is seen while a handler is busy, since they come with the socket's events.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Callable

from lane_kernel.errors import LaneError
from lane_kernel.net.config import DEFAULT, Config
from lane_kernel.net.liveness import Liveness, PeerSilentError, Pings
from lane_kernel.net.stream import ConnectionLostError, RecordedStream, unmask
from lane_kernel.sides import Side
from lane_kernel.wire.connection import Closed, ConnectionStateError, Event, Failed, Pong, State, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import CloseCode, Frame, Opcode, split_frames
from lane_kernel.wire.messages import Message
from lane_kernel.wire.policy import POLITE, Policy
from lane_kernel.wire.rules import ProtocolError

_MESSAGE = (str, bytes)  # `str | bytes` would be built anew each time
_OPEN, _CLOSED = State.OPEN, State.CLOSED  # an enum's member costs more to look up than to compare

ANSWER_TIMEOUT = 1.0
"""Bound on the wait for answers to messages that came together with a Close or a broken rule, in seconds."""


class FrameTransport:
    """The frames of one connection, from the end of its handshake to the end of its socket.

    Attributes:
        side: Which end this is.
        config: The bounds.
        closed_first: The end that sent a Close first, or None.
        pings: The Pings that wait for their Pongs.
    """

    def __init__(
        self,
        stream: RecordedStream,
        side: Side,
        *,
        config: Config = DEFAULT,
        policy: Policy = POLITE,
        deflate: DeflateParameters | None = None,
        on_failure: Callable[[LaneError], object] | None = None,
    ) -> None:
        """Take over a stream whose handshake is done, and begin to read.

        Args:
            stream: The stream; bytes that came with the handshake wait in it and are the first frames.
            side: Which end this is.
            config: The bounds.
            policy: What this end does of its own accord.
            deflate: What the handshake agreed on permessage-deflate.
            on_failure: Told when the peer breaks a rule, is silent for too long, or does not read.
        """
        self.side = side
        self.closed_first: Side | None = None
        self.config = config
        self._stream = stream
        # What the stream has handed out is the handshake; what it still holds are the first frames.
        handed_out = stream.received() - stream.held()
        self._connection = WebSocketConnection(
            side,
            offset=handed_out,
            unmask=unmask,
            max_message=config.max_message,
            max_frame=config.max_frame,
            policy=policy,
            deflate=deflate,
            holds_end=True,
        )
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self.pings = Pings()
        self._liveness: Liveness | None = None
        if config.idle_timeout is not None or config.ping_interval is not None:
            self._liveness = Liveness(config, self._keep_alive, self._give_up, lambda: not self._is_full)
        self._unread_answers = 0
        self._messages: deque[Message] = deque()
        self._waiters: set[asyncio.Future[None]] = set()
        self._callback: Callable[[Message], object] | None = None
        self._calling: asyncio.Future[None] | None = None
        self._reached: Callable[[], object] | None = None
        self._generation = 0
        self._closing = False
        self._is_full = False
        self._is_finishing = False
        self._timer: asyncio.TimerHandle | None = None
        self._end: asyncio.Future[None] = self._loop.create_future()
        stream.read_directly(self._receive, self._ended)

    @property
    def stream(self) -> RecordedStream:
        """The stream underneath."""
        return self._stream

    @property
    def deflate(self) -> DeflateParameters | None:
        """What the handshake agreed on permessage-deflate, or None where it is not in use."""
        return self._connection.deflate

    @property
    def is_open(self) -> bool:
        """Whether frames may still be sent."""
        return self._connection.state is State.OPEN and not self._stream.closed()

    @property
    def close_code(self) -> int | None:
        """The code that the connection was closed with; None while it is open.

        Source: RFC 6455 §7.1.5.
        """
        return self._connection.close_code

    @property
    def close_reason(self) -> str:
        """The reason that came with it."""
        return self._connection.close_reason

    @property
    def failure(self) -> ProtocolError | None:
        """The rule that the peer broke, if it broke one."""
        return self._connection.failure

    @property
    def waiting(self) -> int:
        """Messages that wait to be received."""
        return len(self._messages)

    # What comes

    def _receive(self, data: bytes) -> None:
        """Decode all frames of a read in one pass, deliver, and answer in one write: the path that has to be quick.

        What is sent meanwhile is joined. It leaves here, or with the answer to the last message that waits, or at the
        latest at the end of the turn in which whoever receives these messages runs.
        """
        if self._is_finishing:
            return
        stream, connection = self._stream, self._connection
        if self._liveness is not None:
            self._liveness.hear()
        events = connection.receive_data(data)
        stream.is_joining = len(events) > 1
        if answer := connection.data_to_send():
            self._answer(answer)
        self._deliver(events)
        if stream.is_joining:
            if len(self._messages) > 1:
                self._loop.call_soon(stream.end_joining)  # after those who were woken
            else:
                stream.end_joining()
        if connection.is_holding:
            self._hold()
        elif connection.state is _CLOSED:
            self._finish()

    def _deliver(self, events: list[Event]) -> None:
        messages = self._messages
        for event in events:
            if isinstance(event, _MESSAGE):
                if self._callback is not None:
                    self._call_back(self._callback, event)
                elif not (self._closing and len(messages) >= self.config.max_queue):
                    # Once we are closing, nothing may keep the other end's Close from being read.
                    messages.append(event)
            elif isinstance(event, Pong):
                self.pings.answer(event.payload)
            elif isinstance(event, Closed):
                self.closed_first = self.closed_first or self.side.peer
            elif isinstance(event, Failed):
                self.closed_first = self.closed_first or self.side
                self._tell(event.error)
        if len(messages) >= self.config.max_queue and not self._closing:
            self._is_full = True
            self._stream.pause_reading()
        if self._waiters or self._calling is not None:
            self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        if self._calling is not None and self._is_over and not self._calling.done():
            self._calling.set_result(None)

    @property
    def _is_over(self) -> bool:
        """Whether no further message will come."""
        return self._connection.close_code is not None or self._end.done()

    def _call_back(self, callback: Callable[[Message], object], message: Message) -> None:
        try:
            callback(message)
        except BaseException as error:  # noqa: BLE001 - a person's function; whoever waits in `deliver_to` gets it
            self._callback = None
            if isinstance(error, StopIteration):
                error = RuntimeError("the function for messages raised StopIteration")  # no future can hold that
            if self._calling is not None and not self._calling.done():
                self._calling.set_exception(error)

    def _answer(self, data: bytes) -> None:
        """Send what the connection says of its own accord: Pongs, and Closes."""
        stream = self._stream
        self._unread_answers = self._unread_answers + len(data) if stream.writing() else 0
        if self._unread_answers > self.config.max_write_buffer:
            text = f"over {self.config.max_write_buffer:,} bytes of Pongs wait for a peer that does not read"
            self._tell(error := ConnectionLostError(f"connection {stream.record.number}: {text}"))
            stream.close(exc_info=error)
            return
        with contextlib.suppress(ConnectionLostError):  # `_ended` is told
            self._send_frames(data)

    def _send_frames(self, data: bytes) -> None:
        """Send frames in one write, or each by itself where faults choose among them."""
        stream = self._stream
        if stream.interposed is None:
            stream.send(data)
        else:
            for frame in split_frames(data):
                stream.send(frame)

    def _tell(self, error: LaneError) -> None:
        if self._on_failure is not None:
            self._on_failure(error)

    # How it ends

    def _hold(self) -> None:
        """Let those who take the messages before the end answer them, before the end is dealt with."""
        self._stream.pause_reading()
        if self._messages and not self._closing:
            self._timer = self._call_later(ANSWER_TIMEOUT, self._release)
        else:
            self._release()

    def _note_all_taken(self) -> None:
        if not self._messages and self._connection.is_holding:
            self._release()

    def _release(self) -> None:
        """Deal with the Close, or the broken rule, that was held."""
        self._cancel_timer()
        self._stream.end_joining()
        events = self._connection.receive_data(b"")
        self._answer(self._connection.data_to_send())
        self._deliver(events)
        if self._connection.is_finished:
            self._finish()
        elif not self._is_full:
            self._stream.resume_reading()

    def _finish(self) -> None:
        """End the socket: the server closes it first, the client waits for that.

        Source: RFC 6455 §7.1.1.
        """
        self._is_finishing = True
        self._timer = self._call_later(self.config.close_timeout, self._stream.close)
        self._stream.when_drained(self._after_last_word)

    def _after_last_word(self) -> None:
        has_failed = self._connection.failure is not None
        if self.side is Side.SERVER and not has_failed:
            self._stream.close()
            return
        if self.side is Side.SERVER:
            # A peer that is still writing would be reset before it reads our Close: end our direction, then read on.
            self._stream.end_writing()
        self._stream.resume_reading()

    def _ended(self) -> None:
        """The socket has been closed, by either end."""
        self._cancel_timer()
        if self._liveness is not None:
            self._liveness.stop()
        self.pings.end()
        self._deliver(self._connection.receive_eof())
        if not self._end.done():
            self._end.set_result(None)
        self._wake()

    def _call_later(self, seconds: float, function: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, function, context=contextvars.Context())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Who receives

    def take(self) -> Message | None:
        """Take the next message, where one waits that who asks now may take."""
        messages = self._messages
        if not messages or self._reached is not None:
            return None
        message = messages.popleft()
        if not messages:
            # The answer to this one takes those before it along.
            self._stream.is_joining = False
            if self._connection.is_holding:
                # After the step in which the taker may answer.
                self._loop.call_soon(self._note_all_taken)
        if self._is_full and len(messages) < (self.config.max_queue + 1) // 2:
            self._is_full = False
            if not self._connection.is_holding:
                self._stream.resume_reading()
        return message

    async def receive(self) -> Message | None:
        """Wait for the next message.

        Returns:
            The message, or None where the connection has ended and none is left.
        """
        generation = self._generation
        while True:
            if self._reached is not None:
                self._reached()
            elif self._messages and generation == self._generation:
                return self.take()
            if self._is_over:
                return None
            waiter = self._loop.create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._waiters.discard(waiter)
                raise

    async def deliver_to(self, callback: Callable[[Message], object]) -> None:
        """Call a function with each message, straight from the read, until the connection ends.

        Args:
            callback: The function. What it raises ends this, and is raised here; later messages wait to be received.
        """
        self._calling = self._loop.create_future()
        self._callback = callback
        try:
            while not self._calling.done() and (message := self.take()) is not None:
                self._call_back(callback, message)
            if self._reached is not None:
                self._reached()
            elif self._is_over and not self._calling.done():
                return
            await self._calling
        finally:
            self._callback = self._calling = None

    def hand_over(self, reached: Callable[[], object]) -> None:
        """Give no more messages to those who receive now or come to it before `take_over`; none is lost.

        Args:
            reached: Called when one of them waits for a message, at once where one does.
        """
        self._reached = reached
        if self._callback is not None:
            self._callback = None
            reached()
        self._wake()

    def take_over(self) -> None:
        """Give messages to those who come to receive from now on."""
        if self._reached is not None:
            self._reached = None
            self._generation += 1

    # What goes

    @property
    def has_room(self) -> bool:
        """Whether a message may be sent without waiting for the peer to read."""
        return self._stream.waiting <= self.config.max_write_buffer

    async def room(self) -> None:
        """Wait until a message may be sent.

        Raises:
            ConnectionLostError: The connection ended, or the peer did not read in time.
        """
        await self._stream.flush(self.config.send_timeout, self.config.max_write_buffer)

    async def flush(self) -> None:
        """Wait until the socket has taken everything.

        Raises:
            ConnectionLostError: The connection ended, or the peer did not read in time.
        """
        await self._stream.flush(self.config.send_timeout)

    def send_message(
        self, message: Message, is_compressed: bool | None = None, fragment_size: int | None = None
    ) -> None:
        """Send a message, whether or not there is room.

        Args:
            message: str goes as text, bytes as binary.
            is_compressed: Whether to compress it where permessage-deflate was agreed; what the policy says by default.
            fragment_size: Bytes of payload data in one frame at the most; all in one frame by default.

        Raises:
            ConnectionStateError: A Close has been sent.
            FrameError: Text that UTF-8 has no bytes for, or a fragment size below 1.
            ConnectionLostError: The connection is gone.
        """
        try:
            data = self._connection.encode_message(message, is_compressed, fragment_size)
        except ConnectionStateError:
            if self._stream.closed():
                raise self._lost() from None
            raise
        if fragment_size is None:
            self._stream.send(data)
        else:
            self._send_frames(data)

    def offer(self, data: bytes) -> bool:
        """Send the bytes of whole frames at once, where nothing waits for this peer; answer whether they went."""
        stream = self._stream
        connection = self._connection
        if connection.state is not _OPEN or connection.is_fragmenting or stream.writing():
            return False
        try:
            stream.send(data)
        except ConnectionLostError:
            return False
        return True

    def ping(self, payload: bytes) -> asyncio.Future[float | None]:
        """Send a Ping, whether or not there is room.

        Returns:
            Done with the round-trip time in seconds when its Pong comes; with None when the connection ends before.

        Raises:
            ConnectionStateError: A Close has been sent.
            FrameError: The payload is longer than 125 bytes.
            ConnectionLostError: The connection is gone.
        """
        if self._stream.closed():
            raise self._lost()
        self._connection.send(Frame(Opcode.PING, payload))
        pong = self.pings.add(payload)
        self._stream.send(self._connection.data_to_send())
        return pong

    def _keep_alive(self, payload: bytes) -> asyncio.Future[float | None] | None:
        try:
            return self.ping(payload)
        except (ConnectionLostError, ConnectionStateError):
            return None  # `_ended` is told

    async def send(self, frame: Frame) -> None:
        """Send a frame by the rules.

        Raises:
            ConnectionStateError: A Close has been sent.
            FrameError: The frame breaks a rule.
            ConnectionLostError: The connection is gone, or the peer did not read in time.
        """
        await self._send(self._connection.send, frame)

    async def send_as_is(self, frame: Frame) -> None:
        """Send a frame exactly as it is, even against the rules.

        Raises:
            ConnectionLostError: The connection is gone, or the peer did not read in time.
        """
        await self._send(self._connection.send_as_is, frame)

    async def send_bytes(self, data: bytes) -> None:
        """Send any bytes.

        Raises:
            ConnectionLostError: The connection is gone, or the peer did not read in time.
        """
        await self.room()
        if self._stream.closed():
            raise self._lost()
        self._stream.send(data)

    def encode_as_is(self, frame: Frame) -> bytes:
        """Encode a frame exactly as it is and remember it as sent, for who writes its bytes in pieces.

        Raises:
            ConnectionLostError: The connection is gone.
        """
        return self._encode(self._connection.send_as_is, frame)

    async def _send(self, send: Callable[[Frame], None], frame: Frame) -> None:
        await self.room()
        self._stream.send(self._encode(send, frame))

    def _encode(self, send: Callable[[Frame], None], frame: Frame) -> bytes:
        if self._stream.closed():
            raise self._lost()
        send(frame)
        if frame.opcode == Opcode.CLOSE:
            self.closed_first = self.closed_first or self.side
        return self._connection.data_to_send()

    def _lost(self) -> ConnectionLostError:
        code = self.close_code
        how = f"closed with {code} {self.close_reason}".rstrip() if code is not None else "gone"
        return ConnectionLostError(f"connection {self._stream.record.number} is {how}: nothing more can be sent")

    async def close(self, code: int | None = 1000, reason: str = "", timeout: float | None = None) -> None:
        """Do the closing handshake and end the socket.

        Args:
            code: The close code, or None for a Close without one.
            reason: The reason, at most 123 bytes as UTF-8.
            timeout: The bound on the wait for the other end's Close, in seconds; the config's by default.

        Raises:
            FrameError: The code is never sent, or the reason too long.
        """
        self._begin_close(code, reason)
        await asyncio.wait({self._end}, timeout=self.config.close_timeout if timeout is None else timeout)
        self.abort()

    def _give_up(self, code: CloseCode, error: PeerSilentError) -> None:
        """Close for a peer that is silent, and end the socket where it stays so."""
        if self._connection.state is _OPEN:
            self._tell(error)
            self._begin_close(code, str(error))
            if self._timer is None:
                self._timer = self._call_later(self.config.close_timeout, self._stream.close)

    def _begin_close(self, code: int | None, reason: str) -> None:
        if self._connection.state is _OPEN and not self._stream.closed():
            self._connection.close(code, reason)
            self.closed_first = self.closed_first or self.side
            self._answer(self._connection.data_to_send())
            self._stream.faults.finish()
        if self._liveness is not None:
            self._liveness.stop()
        self._stream.end_joining()
        self._closing = True
        if self._connection.is_holding:
            self._release()
        elif not self._is_finishing:
            self._is_full = False
            self._stream.resume_reading()

    def abort(self) -> None:
        """End the socket without a word."""
        self._stream.close()
        self._ended()
