"""The stream of Hyperlane's model: raw bytes out, requests and messages in; and the frames one makes oneself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

from lane_kernel.capture import Connection
from lane_kernel.errors import LaneError
from lane_kernel.net.config import DEFAULT, Config
from lane_kernel.net.faults import Faults
from lane_kernel.net.heads import RequestError, read_body, read_request_head
from lane_kernel.net.stream import ConnectionLostError, RecordedStream, StreamClosedError
from lane_kernel.net.transport import FrameTransport
from lane_kernel.server.context import Data, Request, Response, as_bytes
from lane_kernel.server.sessions import Report, WebSocket, no_report
from lane_kernel.sides import Side
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import Frame, Opcode, decode_header, payload_of
from lane_kernel.wire.handshake import Agreement, accept_key, agree
from lane_kernel.wire.messages import TEXT_ERRORS, Message
from lane_kernel.wire.policy import POLITE, Policy
from lane_kernel.wire.utf8 import first_wrong_byte

MAX_FRAME = 65_535
"""Bytes in one frame of `create_frame_list` at the most."""


_READ = 64 * 1024


class NotUpgradedError(LaneError):
    """A message was asked of a connection that is not a WebSocket."""

    def __init__(self, above: str = "the handler") -> None:
        """Say what may be the cause.

        Args:
            above: What the guard stands above.
        """
        super().__init__(
            f"this connection is not a WebSocket: put @lane.is_ws_upgrade_type above {above}; or, where "
            "server.upgrade(…) or server.remove_hook(…) took the upgrade away, put it back with "
            "server.upgrade(lane.Upgrade), or a class over it"
        )


class WebSocketRequest(bytes):
    """A message's bytes, which also know how it was sent.

    Attributes:
        opcode: TEXT or BINARY.
    """

    opcode: Opcode

    def __new__(cls, message: Message) -> Self:
        """Make it of a message."""
        if isinstance(message, str):
            made, opcode = super().__new__(cls, message.encode(errors=TEXT_ERRORS)), Opcode.TEXT
        else:
            made, opcode = super().__new__(cls, message), Opcode.BINARY
        made.opcode = opcode
        return made


class WebSocketFrame:
    """Frames as bytes, to be sent with `stream.send_list`."""

    @staticmethod
    def create_frame_list(body: str | bytes | bytearray | memoryview) -> list[bytes]:
        """Make the unmasked frames of one message.

        Args:
            body: The message. A received one keeps its opcode; other bytes are text where they are valid UTF-8,
                else binary.

        Returns:
            One frame, or fragments of at most 65,535 bytes, none of which splits a character.

        Raises:
            TypeError: The body is neither.

        Source: RFC 6455 §5.4.
        """
        if not isinstance(body, str | bytes | bytearray | memoryview):
            raise TypeError(
                f"create_frame_list takes str or bytes, not {type(body).__name__}: write str(…), or json.dumps(…)"
            )
        payload = body.encode() if isinstance(body, str) else bytes(body)
        if isinstance(body, WebSocketRequest):
            opcode = body.opcode
        else:
            opcode = Opcode.TEXT if first_wrong_byte(payload) is None else Opcode.BINARY
        parts = list(_split(payload, whole_characters=opcode is Opcode.TEXT))
        last = len(parts) - 1
        return [
            Frame(opcode if index == 0 else Opcode.CONTINUATION, part, fin=index == last).encode()
            for index, part in enumerate(parts)
        ]

    @staticmethod
    def decode_ws_frame(data: bytes) -> tuple[Frame, int] | None:
        """Decode the frame that bytes begin with, masked or not; no rule is judged.

        Args:
            data: Bytes of one direction of a connection.

        Returns:
            The frame with its payload data unmasked, and how many bytes it takes; None where it is not whole.

        Source: RFC 6455 §5.2.
        """
        header = decode_header(data)
        if header is None or len(data) < (stop := header.size + header.length):
            return None
        rsv1, rsv2, rsv3 = (bool(header.rsv & bit) for bit in (4, 2, 1))
        frame = Frame(header.opcode, payload_of(data), header.fin, rsv1, rsv2, rsv3, header.masking_key)
        is_shortest = frame.header.length_bits == header.length_bits
        return frame if is_shortest else replace(frame, length_bits=header.length_bits), stop

    @staticmethod
    def generate_accept_key(key: str) -> str:
        """Derive Sec-WebSocket-Accept from Sec-WebSocket-Key.

        Source: RFC 6455 §4.2.2, item 5.4.
        """
        return accept_key(key)


def _split(payload: bytes, *, whole_characters: bool) -> Iterable[bytes]:
    start = 0
    while len(payload) - start > MAX_FRAME:
        stop = start + MAX_FRAME
        while whole_characters and payload[stop] & 0xC0 == 0x80:
            stop -= 1
        yield payload[start:stop]
        start = stop
    yield payload[start:]


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """What a server speaks once a connection is upgraded.

    Attributes:
        subprotocols: The subprotocols it speaks.
        deflate: What it wishes of permessage-deflate; None declines it.
        policy: What it does of its own accord.
        on_failure: Told when the peer breaks a rule, is silent for too long, or does not read.
    """

    subprotocols: Sequence[str] = ()
    deflate: DeflateParameters | None = None
    policy: Policy = POLITE
    on_failure: Callable[[LaneError], object] | None = None


class Stream:
    """One connection, as a handler sees it.

    `send`, `send_list` and `flush` raise where the connection is gone; their `try_` forms answer False.

    Attributes:
        websocket: The session once the connection is upgraded, else None.
        report: Adds a line of a level to the handlers' log, with this connection and its route.
        refusal: Says why a request may not ask, such as its Origin; None where it may.
        config: The bounds.
    """

    def __init__(
        self, stream: RecordedStream, config: Config = DEFAULT, options: WebSocketOptions | None = None
    ) -> None:
        """Wrap an accepted connection.

        Args:
            stream: The connection.
            config: Its bounds.
            options: What it speaks once it is upgraded.
        """
        self.websocket: WebSocket | None = None
        self.report: Report = no_report
        self.refusal: Callable[[Request], str | None] = lambda _: None
        self.config = config
        self._options = options or WebSocketOptions()
        self._stream = stream
        self._closed = False
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sent_before = 0
        stream.set_close_callback(self._on_close)

    def _on_close(self) -> None:
        if not self._gone.done():
            self._gone.set_result(None)

    @property
    def recorded(self) -> RecordedStream:
        """The stream underneath."""
        return self._stream

    @property
    def connection(self) -> Connection:
        """The connection as the capture knows it."""
        return self._stream.record

    @property
    def faults(self) -> Faults | None:
        """The faults of this connection alone; None where those of its route or server hold."""
        return self._stream.faults.own

    @faults.setter
    def faults(self, faults: Faults | None) -> None:
        self._stream.faults.set(faults)

    @property
    def gone(self) -> asyncio.Future[None]:
        """Done when the socket is closed, by either end."""
        return self._gone

    @property
    def closed(self) -> bool:
        """Whether no further request will be read."""
        return self._closed or self._stream.closed()

    @property
    def is_set_closed(self) -> bool:
        """Whether `set_closed` has said that the connection ends after this request."""
        return self._closed

    def set_closed(self, closed: bool) -> None:
        """Say whether the connection ends after this request."""
        self._closed = closed

    def is_keep_alive(self, request_wants: bool) -> bool:
        """Whether another request will be read: the request wants it and the stream is not closed."""
        return request_wants and not self.closed

    def begin_request(self) -> None:
        """Forget what was said of the request before."""
        self._closed = False
        self._sent_before = self._stream.meant

    @property
    def has_sent(self) -> bool:
        """Whether anything has been sent since this request began."""
        return self._stream.meant > self._sent_before

    @property
    def bytes_sent(self) -> int:
        """Bytes that the socket has taken so far, those of earlier requests included."""
        return self._stream.store.length(self.connection, self._stream.side.outgoing)

    async def send(self, data: Data) -> None:
        """Send bytes as they are; str is encoded as UTF-8.

        Raises:
            ConnectionLostError: The connection is gone, or the peer has stopped reading.
            TypeError: It is neither str nor bytes-like.
        """
        self._stream.send(as_bytes(data))
        await self._stream.flush(self.config.send_timeout)

    async def write(self, data: bytes) -> None:
        """Send bytes as they are; wait only while more than `config.max_write_buffer` waits for the peer to read.

        Raises:
            ConnectionLostError: The connection is gone, or the peer has stopped reading.
        """
        stream = self._stream
        if stream.waiting > self.config.max_write_buffer:
            await stream.flush(self.config.send_timeout, self.config.max_write_buffer)
        stream.send(data)

    async def send_list(self, parts: Iterable[Data]) -> None:
        """Send several pieces of bytes at once.

        Raises:
            ConnectionLostError: The connection is gone, or the peer has stopped reading.
            TypeError: They are no list of str or bytes-like pieces.
        """
        if isinstance(parts, str | bytes | bytearray | memoryview):
            raise TypeError("send_list takes a list of pieces, not one: send() takes that")
        await self.send(b"".join(map(as_bytes, parts)))

    async def flush(self) -> None:
        """Wait until the socket has taken everything.

        Raises:
            ConnectionLostError: The connection is gone, or the peer has stopped reading.
        """
        if self._stream.closed():
            raise self._stream.lost()
        await self._stream.flush(self.config.send_timeout)

    async def settle(self) -> None:
        """Wait until what faults hold back has gone, before the connection ends."""
        await self._stream.settle(self.config.close_timeout)

    async def try_send(self, data: Data) -> bool:
        """Send bytes as they are; answer whether the socket took them.

        Raises:
            TypeError: It is neither str nor bytes-like.
        """
        return await self.try_send_list([data])

    async def try_send_list(self, parts: Iterable[Data]) -> bool:
        """Send several pieces of bytes at once; answer whether the socket took them.

        Raises:
            TypeError: They are no list of str or bytes-like pieces.
        """
        try:
            await self.send_list(parts)
        except ConnectionLostError:
            return False
        return True

    async def try_flush(self) -> bool:
        """Wait until the socket has taken everything; answer whether it did."""
        try:
            await self.flush()
        except ConnectionLostError:
            return False
        return True

    async def get_http_request(self) -> Request | None:
        """Read the next request of this connection.

        Returns:
            The request, or None where the client has ended the connection.

        Raises:
            RequestError: The request cannot be read, or its Host or Origin may not ask; its `status` is what to answer.
        """
        head = await read_request_head(self._stream, self.config)
        if head is None:
            return None
        why = self.refusal(Request(head))
        if why is not None:
            raise RequestError(403, why)
        if head.headers.get("Expect", "").lower() == "100-continue" and not self._stream.held():
            # RFC 9110 §10.1.1: the client waits for it, unless the body is on its way already.
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return Request(head, await read_body(self._stream, head, self.config))

    async def try_get_http_request(self) -> Request | None:
        """Read the next request of this connection; None where there is none that can be read."""
        try:
            return await self.get_http_request()
        except RequestError:
            return None

    def agree(self, request: Request) -> Agreement:
        """What the server agrees on with a client's opening handshake: a subprotocol and an extension."""
        return agree(request.headers, subprotocols=self._options.subprotocols, wishes=self._options.deflate)

    def begin_frames(self, request: Request, agreement: Agreement) -> WebSocket:
        """Go on with frames; the answer to the opening handshake has been sent.

        Args:
            request: The request that was upgraded.
            agreement: What was agreed on.
        """
        transport = FrameTransport(
            self._stream,
            Side.SERVER,
            config=self.config,
            policy=self._options.policy,
            deflate=agreement.deflate,
            on_failure=self._options.on_failure,
        )
        self.websocket = WebSocket(transport, request, agreement.subprotocol)
        self.websocket.report = self.report
        return self.websocket

    async def answer_last(self, response: Response) -> None:
        """Send a response that ends the connection; whether it still arrives does not matter."""
        self.set_closed(True)
        # A 426 also names the option that the Upgrade header belongs to (RFC 9110 §7.8).
        response.set_header("Connection", "close" if response.header("Upgrade") is None else "Upgrade, close")
        if await self.try_send(response.build()):
            self._stream.end_writing()

    async def linger(self, seconds: float) -> None:
        """Read on and forget what comes, so that what was sent arrives before the socket closes.

        Args:
            seconds: For how long at the most; it ends earlier where the client ends the connection.
        """
        with contextlib.suppress(StreamClosedError, TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self._stream.read_bytes(_READ, partial=True)

    async def requests(self) -> AsyncIterator[Request]:
        """Yield the further requests of this connection, until the client ends it or wants no more.

            async for request in stream.requests():
                await stream.send(lane.Response(request).set_body("again").build())

        Raises:
            RequestError: A request cannot be read; its `status` is what to answer.
        """
        while not self._closed and (request := await self.get_http_request()) is not None:
            yield request
            if not request.is_enable_keep_alive:
                self._closed = True

    async def messages(self) -> AsyncIterator[WebSocketRequest]:
        """Yield the messages of this connection, until it ends.

            async for message in stream.messages():
                await stream.send_list(lane.WebSocketFrame.create_frame_list(message))

        Raises:
            NotUpgradedError: The connection is not a WebSocket.
        """
        while not self._closed and (message := await self.try_get_websocket_request()) is not None:
            yield message

    async def try_get_websocket_request(self) -> WebSocketRequest | None:
        """Wait for the next message.

        Returns:
            Its bytes, which also know their `.opcode`; None where the connection has ended.

        Raises:
            NotUpgradedError: The connection is not a WebSocket.
        """
        if self.websocket is None:
            raise NotUpgradedError("@lane.try_get_websocket_request")
        message = await self.websocket.receive_message()
        return None if message is None else WebSocketRequest(message)

    def close(self) -> None:
        """End the connection."""
        self._stream.close()
