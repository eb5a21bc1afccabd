"""Frames over a stream, once a connection is upgraded: what server and client sessions share.

One task reads, so that Pings are answered and a Close is seen while a handler is busy. All frames of a read are
decoded in one pass and answered in one write. Messages wait in a bounded queue; while it is full, nothing more is
read.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Callable

from lane_kernel.net.config import DEFAULT, Config
from lane_kernel.net.stream import ConnectionLostError, RecordedStream, StreamClosedError, unmask
from lane_kernel.sides import Side
from lane_kernel.wire.connection import Closed, Event, Failed, State, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, Opcode
from lane_kernel.wire.messages import Message
from lane_kernel.wire.policy import POLITE, Policy
from lane_kernel.wire.rules import ProtocolError

READ = 64 * 1024
"""Bytes asked for in one read."""

ANSWER_TIMEOUT = 1.0
"""Bound on the wait for answers to messages that came together with a Close or a broken rule, in seconds."""


class FrameTransport:
    """The frames of one connection, from the end of its handshake to the end of its socket.

    Attributes:
        side: Which end this is.
        config: The bounds.
        closed_first: The end that sent a Close first, or None.
    """

    def __init__(
        self,
        stream: RecordedStream,
        side: Side,
        *,
        config: Config = DEFAULT,
        policy: Policy = POLITE,
        deflate: DeflateParameters | None = None,
        on_failure: Callable[[ProtocolError], object] | None = None,
    ) -> None:
        """Take over a stream whose handshake is done, and begin to read.

        Args:
            stream: The stream; bytes that came with the handshake wait in it and are the first frames.
            side: Which end this is.
            config: The bounds.
            policy: What this end does of its own accord.
            deflate: What the handshake agreed on permessage-deflate.
            on_failure: Told when the peer breaks a rule.
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
            policy=policy,
            deflate=deflate,
            holds_end=True,
        )
        self._on_failure = on_failure
        self._messages: deque[Message] = deque()
        self._waiters: set[asyncio.Future[None]] = set()
        self._reached: Callable[[], object] | None = None
        self._generation = 0
        self._closing = False
        self._room = asyncio.Event()
        self._room.set()
        self._all_taken = asyncio.Event()
        self._all_taken.set()
        self._reader = asyncio.create_task(self._read(), context=contextvars.Context())

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

    async def _read(self) -> None:
        connection, stream = self._connection, self._stream
        try:
            while not connection.is_finished:
                await self._room.wait()
                data = await stream.read_bytes(READ, partial=True)
                self._deliver(connection.receive_data(data))
                self._flush()
                if connection.is_holding:
                    await self._wait_for_answers()
                    self._deliver(connection.receive_data(b""))
                    self._flush()
            await self._finish()
        except (StreamClosedError, ConnectionLostError):
            self._deliver(connection.receive_eof())
        finally:
            self._stream.close()
            self._wake()

    async def _wait_for_answers(self) -> None:
        """Let those who take the messages before the end answer them, before the end is dealt with."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._all_taken.wait()

    def _deliver(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, str | bytes):
                # Once we are closing, nothing may keep the other end's Close from being read.
                if not (self._closing and len(self._messages) >= self.config.max_queue):
                    self._messages.append(event)
                    self._all_taken.clear()
            elif isinstance(event, Closed):
                self.closed_first = self.closed_first or self.side.peer
            elif isinstance(event, Failed) and self._on_failure is not None:
                self._on_failure(event.error)
        if len(self._messages) >= self.config.max_queue and not self._closing:
            self._room.clear()
        if events:
            self._wake()

    async def _finish(self) -> None:
        """End the socket: the server closes it first, the client waits for that.

        Source: RFC 6455 §7.1.1.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.close_timeout):
                await self._stream.drained()
                if self.side is Side.CLIENT or self._connection.failure is not None:
                    await self._discard()

    async def _discard(self) -> None:
        if self._connection.failure is not None and self.side is Side.SERVER:
            # A peer that is still writing would be reset before it reads our Close: end our direction, then read on.
            self._stream.end_writing()
        while True:
            await self._stream.read_bytes(READ, partial=True)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data and not self._stream.closed():
            self._stream.send(data)

    async def receive(self) -> Message | None:
        """Wait for the next message.

        Returns:
            The message, or None where the connection has ended and none is left.
        """
        generation = self._generation
        while True:
            is_mine = self._reached is None and generation == self._generation
            if self._reached is not None:
                self._reached()
            if self._messages and is_mine:
                message = self._messages.popleft()
                if len(self._messages) < (self.config.max_queue + 1) // 2:
                    self._room.set()
                if not self._messages:
                    # After the step in which the taker may answer.
                    asyncio.get_running_loop().call_soon(self._note_all_taken)
                return message
            if self._connection.close_code is not None or self._reader.done():
                return None
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def _note_all_taken(self) -> None:
        if not self._messages:
            self._all_taken.set()

    def hand_over(self, reached: Callable[[], object]) -> None:
        """Give no more messages to those who receive now or come to it before `take_over`; none is lost.

        Args:
            reached: Called when one of them waits for a message, at once where one does.
        """
        self._reached = reached
        self._wake()

    def take_over(self) -> None:
        """Give messages to those who come to receive from now on."""
        if self._reached is not None:
            self._reached = None
            self._generation += 1

    async def send_message(
        self, message: Message, *, is_compressed: bool | None = None, fragment_size: int | None = None
    ) -> None:
        """Send a message, and wait until the socket has taken it.

        Args:
            message: str goes as text, bytes as binary.
            is_compressed: Whether to compress it where permessage-deflate was agreed; what the policy says by default.
            fragment_size: Bytes of payload data in one frame at the most; all in one frame by default.

        Raises:
            ConnectionStateError: A Close has been sent.
            FrameError: Text that UTF-8 has no bytes for, or a fragment size below 1.
            ConnectionLostError: The connection is gone, or the peer did not read in time.
        """
        if self._stream.closed():
            raise self._lost()
        self._connection.send_message(message, is_compressed=is_compressed, fragment_size=fragment_size)
        self._flush()
        await self._flushed()

    async def send(self, frame: Frame) -> None:
        """Send a frame by the rules, and wait until the socket has taken it.

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
        if self._stream.closed():
            raise self._lost()
        self._stream.send(data)
        await self._flushed()

    def offer(self, data: bytes) -> bool:
        """Write a message whose frame is encoded already, where nothing waits for this peer.

        Args:
            data: The frame, as this end sends it.

        Returns:
            Whether it was written; where it was not, nothing has happened.
        """
        if not self.is_open or self._connection.is_fragmenting or self._stream.writing():
            return False
        try:
            self._stream.send(data)
        except ConnectionLostError:
            return False
        return True

    async def _send(self, send: Callable[[Frame], None], frame: Frame) -> None:
        if self._stream.closed():
            raise self._lost()
        send(frame)
        if frame.opcode == Opcode.CLOSE:
            self.closed_first = self.closed_first or self.side
        self._flush()
        await self._flushed()

    async def _flushed(self) -> None:
        if not self._stream.writing():
            return
        await self._stream.flush(self.config.send_timeout)

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
        if self._connection.state is State.OPEN and not self._stream.closed():
            self._connection.close(code, reason)
            self.closed_first = self.closed_first or self.side
            self._flush()
        self._closing = True
        self._room.set()
        self._all_taken.set()
        await asyncio.wait({self._reader}, timeout=self.config.close_timeout if timeout is None else timeout)
        await self.abort()

    async def abort(self) -> None:
        """End the socket without a word."""
        self._stream.close()
        self._reader.cancel()
        await asyncio.wait({self._reader})
        self._deliver(self._connection.receive_eof())
        self._wake()
