"""What a person holds of a WebSocket, at either end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from lane_kernel.capture import Connection
from lane_kernel.errors import LaneError
from lane_kernel.net.faults import Faults
from lane_kernel.net.liveness import PongTimeoutError
from lane_kernel.net.transport import FrameTransport
from lane_kernel.sides import Side
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import CloseCode, Frame, FrameError, Opcode, encode_text
from lane_kernel.wire.messages import Message
from lane_kernel.wire.rules import ProtocolError

_MESSAGE = (str, bytes)


class ConnectionClosedError(LaneError):
    """A message was awaited from a connection that has closed.

    Attributes:
        code: The close code.
        reason: The close reason.
    """

    def __init__(self, number: int, code: int | None, reason: str, failure: ProtocolError | None) -> None:
        why = f": {failure}" if failure is not None else ""
        super().__init__(f"connection {number} was closed with {code} {reason}".rstrip() + why)
        self.code = code
        self.reason = reason


class WriteBufferFullError(LaneError):
    """A message was posted to a peer that does not read, and as much as may wait for it does already."""


def _message(message: str | bytes | bytearray | memoryview) -> Message:
    if isinstance(message, _MESSAGE):
        return message
    if isinstance(message, bytearray | memoryview):
        return bytes(message)
    raise TypeError(f"a message is str or bytes, not {type(message).__name__}")


class OutgoingMessage:
    """A message that is being sent in fragments: each goes out at once, the last frame at the end of the block.

    Pings, Pongs and a Close may go between the fragments; another message may not. Where the block raises, the message
    cannot be finished, and the connection is closed with 1011. Without any fragment, nothing is sent.

    Source: RFC 6455 §5.4.
    """

    def __init__(self, transport: FrameTransport) -> None:
        """Send nothing yet."""
        self._transport = transport
        self._opcode: Opcode | None = None

    async def send(self, part: str | bytes | bytearray | memoryview) -> None:
        """Send a fragment.

        Args:
            part: str for a text message, bytes for a binary one.

        Raises:
            TypeError: It is not of the first one's kind.
            FrameError: Another message is unfinished, or text that UTF-8 has no bytes for.
            ConnectionStateError: A Close has been sent.
            ConnectionLostError: The connection is gone, or the peer did not read in time.
        """
        data = _message(part)
        if isinstance(data, str):
            opcode, payload = Opcode.TEXT, encode_text(data)
        else:
            opcode, payload = Opcode.BINARY, data
        if self._opcode not in (None, opcode):
            raise TypeError(f"a fragment is of the first one's kind, not {type(part).__name__}")
        kind = opcode if self._opcode is None else Opcode.CONTINUATION
        await self._transport.send(Frame(kind, payload, fin=False))
        self._opcode = opcode

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send the last frame."""
        if self._opcode is None:
            return
        if error is None:
            await self._transport.send(Frame(Opcode.CONTINUATION))
        else:
            await self._transport.close(CloseCode.INTERNAL_ERROR, f"a message was cut short by {type(error).__name__}")


def check_chop(chop: int | None) -> None:
    """Refuse to cut data into pieces without bytes.

    Raises:
        FrameError: A piece would have no byte.
    """
    if chop is not None and chop < 1:
        raise FrameError(f"a chopped write has at least 1 byte, not {chop}")


def pieces_of(data: bytes, chop: int | None) -> Iterator[bytes]:
    """Cut data into the pieces that are written one by one.

    Args:
        data: What is to be sent.
        chop: Bytes in a piece at the most; all in one where it is None.

    Raises:
        FrameError: A piece would have no byte.
    """
    check_chop(chop)
    size = chop or max(len(data), 1)
    return (data[at : at + size] for at in range(0, max(len(data), 1), size))


class WebSocketSession:
    """One end of an open WebSocket: messages in and out, or frames as they are.

    async for message in ws:
        await ws.send(message)

    Attributes:
        subprotocol: What the handshake agreed on, or None.
    """

    def __init__(self, transport: FrameTransport, subprotocol: str | None = None) -> None:
        """Speak over a transport."""
        self.subprotocol = subprotocol
        self._transport = transport

    @property
    def side(self) -> Side:
        """Which end this is."""
        return self._transport.side

    @property
    def connection(self) -> Connection:
        """The connection as the capture knows it."""
        return self._transport.stream.record

    @property
    def deflate(self) -> DeflateParameters | None:
        """What the handshake agreed on permessage-deflate, or None where it is not in use."""
        return self._transport.deflate

    @property
    def faults(self) -> Faults | None:
        """The faults of this connection alone; None where it has none, so that its route's or server's hold."""
        return self._transport.stream.faults.own

    @faults.setter
    def faults(self, faults: Faults | None) -> None:
        self._transport.stream.faults.set(faults)

    @property
    def is_open(self) -> bool:
        """Whether messages may still be sent."""
        return self._transport.is_open

    @property
    def close_code(self) -> int | None:
        """The code it was closed with: None while it is open, 1005 for none given, 1006 for an end without a Close."""
        return self._transport.close_code

    @property
    def close_reason(self) -> str:
        """The reason it was closed with."""
        return self._transport.close_reason

    @property
    def closed_first(self) -> Side | None:
        """Which end sent a Close first, or None."""
        return self._transport.closed_first

    @property
    def failure(self) -> ProtocolError | None:
        """The rule that the other end broke, where that failed the connection."""
        return self._transport.failure

    async def send(
        self,
        message: str | bytes | bytearray | memoryview,
        *,
        is_compressed: bool | None = None,
        fragment_size: int | None = None,
    ) -> None:
        """Send a message: str as text, bytes as binary.

        Args:
            message: The message.
            is_compressed: Whether to compress it where permessage-deflate was agreed; it is by default.
            fragment_size: Bytes of payload data in one frame at the most; all in one frame by default.

        Raises:
            ConnectionStateError: A Close has been sent.
            FrameError: Text that UTF-8 has no bytes for, such as half of a surrogate pair; a fragment size below 1.
            ConnectionLostError: The connection is gone.
        """
        transport = self._transport
        if not transport.has_room:
            await transport.room()
        transport.send_message(_message(message), is_compressed, fragment_size)

    def post(self, message: str | bytes | bytearray | memoryview) -> None:
        """Send a message without waiting: what the socket does not take at once waits, up to `config.max_write_buffer`.

        Args:
            message: str goes as text, bytes as binary.

        Raises:
            ConnectionStateError: A Close has been sent.
            FrameError: Text that UTF-8 has no bytes for.
            ConnectionLostError: The connection is gone.
            WriteBufferFullError: The peer does not read, and as much as may wait for it does already.
        """
        self._check_room()
        self._transport.send_message(_message(message))

    def _check_room(self) -> None:
        if not self._transport.has_room:
            raise WriteBufferFullError(
                f"connection {self.connection.number}: over {self._transport.config.max_write_buffer:,} bytes wait for "
                "a peer that does not read: `await ws.send()` waits for it"
            )

    def offer(self, data: bytes) -> bool:
        """Send the bytes of whole frames at once, if that needs no waiting: encoded once, they serve many peers.

        Args:
            data: Frames as they go on the wire.

        Returns:
            Whether they went: False where something waits for this peer, a message of it is unfinished, or the
            connection is not open.
        """
        return self._transport.offer(data)

    async def flush(self) -> None:
        """Wait until the socket has taken everything that was sent.

        Raises:
            ConnectionLostError: The connection is gone, or the peer did not read in time.
        """
        await self._transport.flush()

    async def deliver_to(self, function: Callable[[Message], object]) -> None:
        """Call a function with each message, straight from the read, until the connection closes.

        Args:
            function: The function. What it raises ends this, and is raised here.
        """
        await self._transport.deliver_to(function)

    async def send_frame(self, frame: Frame, *, chop: int | None = None, pause: float = 0.0) -> None:
        """Send a frame exactly as it is, right or wrong: nothing is masked, nothing is checked.

        Args:
            frame: The frame.
            chop: Bytes in one write at the most; all in one by default. Each piece is written by itself.
            pause: The pause between two writes in seconds.

        Raises:
            FrameError: A piece would have no byte.
            ConnectionLostError: The connection is gone.
        """
        if not isinstance(frame, Frame):
            raise TypeError(f"send_frame takes a lane.Frame, not {type(frame).__name__}: a message is sent by send()")
        if chop is None:
            await self._transport.send_as_is(frame)
        else:
            check_chop(chop)  # before the frame is remembered as sent
            await self.send_bytes(self._transport.encode_as_is(frame), chop=chop, pause=pause)

    async def send_bytes(self, data: bytes, *, chop: int | None = None, pause: float = 0.0) -> None:
        """Send any bytes at all.

        Args:
            data: The bytes.
            chop: Bytes in one write at the most; all in one by default. Each piece is written by itself.
            pause: The pause between two writes in seconds.

        Raises:
            ConnectionLostError: The connection is gone.
        """
        for index, piece in enumerate(pieces_of(data, chop)):
            if index:
                await asyncio.sleep(pause)
            await self._transport.send_bytes(piece)

    @property
    def latency(self) -> float | None:
        """The round-trip time of the last Ping that was answered, keep-alive ones included, in seconds; None before."""
        return self._transport.pings.latency

    async def ping(self, payload: bytes | None = None, timeout: float | None = None) -> float:
        """Send a Ping and wait for its Pong.

            seconds = await ws.ping()

        Args:
            payload: What the Pong is to bring back, at most 125 bytes; 4 random bytes by default.
            timeout: The bound on the wait in seconds; `config.ping_timeout` by default.

        Returns:
            The round-trip time in seconds.

        Raises:
            PongTimeoutError: The Pong did not come in time.
            ConnectionClosedError: The connection closed before the Pong came.
            ConnectionStateError: A Close has been sent.
            FrameError: The payload is longer than 125 bytes.
            ConnectionLostError: The connection is gone.
        """
        bound = self._transport.config.ping_timeout if timeout is None else timeout
        await self._transport.room()
        pong = self._transport.ping(os.urandom(4) if payload is None else payload)
        try:
            async with asyncio.timeout(bound):
                seconds = await pong
        except TimeoutError:
            raise PongTimeoutError(f"connection {self.connection.number}: no Pong came within {bound:g} s") from None
        if seconds is None:
            raise self._closed()
        return seconds

    def post_ping(self, payload: bytes = b"") -> None:
        """Send a Ping without waiting for anything; its Pong sets `latency`.

        Raises:
            ConnectionStateError: A Close has been sent.
            FrameError: The payload is longer than 125 bytes.
            ConnectionLostError: The connection is gone.
            WriteBufferFullError: The peer does not read, and as much as may wait for it does already.
        """
        self._check_room()
        self._transport.ping(payload)

    def message(self) -> OutgoingMessage:
        """Send a message in fragments, one by one.

        async with ws.message() as message:
            await message.send("frag")
            await message.send("mented")
        """
        return OutgoingMessage(self._transport)

    async def send_fragments(self, parts: Iterable[str | bytes] | AsyncIterable[str | bytes]) -> None:
        """Send a message in fragments, each as soon as it is there.

        Args:
            parts: The fragments, all str or all bytes.

        Raises:
            TypeError: A part is not of the first one's kind.
            FrameError: Another message is unfinished, or text that UTF-8 has no bytes for.
            ConnectionStateError: A Close has been sent.
            ConnectionLostError: The connection is gone, or the peer did not read in time.
        """
        async with self.message() as message:
            if isinstance(parts, AsyncIterable):
                async for part in parts:
                    await message.send(part)
            else:
                for part in parts:
                    await message.send(part)

    async def receive(self) -> str | bytes:
        """Wait for the next message.

        Returns:
            str for text, bytes for binary.

        Raises:
            ConnectionClosedError: The connection has closed, and no message is left.
        """
        message = await self._transport.receive()
        if message is None:
            raise self._closed()
        return message

    def _closed(self) -> ConnectionClosedError:
        return ConnectionClosedError(self.connection.number, self.close_code, self.close_reason, self.failure)

    async def close(self, code: int | None = 1000, reason: str = "", timeout: float | None = None) -> None:
        """Do the closing handshake and end the connection; harmless where it has ended.

        Args:
            code: The close code, or None for a Close without one.
            reason: The reason, at most 123 bytes as UTF-8.
            timeout: The bound on the wait for the other end's Close, in seconds; the config's by default.

        Raises:
            FrameError: The code is never sent, or the reason too long.
        """
        await self._transport.close(code, reason, timeout)

    def __aiter__(self) -> Self:
        """Go through the messages until the connection closes."""
        return self

    async def __anext__(self) -> str | bytes:
        """Wait for the next message."""
        message = self._transport.take()
        if message is None:
            message = await self._transport.receive()
            if message is None:
                raise StopAsyncIteration
        return message
