"""A WebSocket client."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from lane_kernel.capture import Store, kernel_store
from lane_kernel.net.config import DEFAULT, Config
from lane_kernel.net.dial import CONNECT_TIMEOUT, Target, dial
from lane_kernel.net.faults import Faults, checked
from lane_kernel.net.heads import ResponseHead, read_response_head, read_small_body
from lane_kernel.net.session import WebSocketSession
from lane_kernel.net.stream import RecordedStream
from lane_kernel.net.transport import FrameTransport
from lane_kernel.sides import Side
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.deflate import offer as deflate_offer
from lane_kernel.wire.handshake import (
    Headers,
    Offer,
    check_response,
    make_key,
    subprotocol_names,
    upgrade_request,
)
from lane_kernel.wire.http1 import parse_head
from lane_kernel.wire.policy import POLITE, Policy


class ClientWebSocket(WebSocketSession):
    """The client's end of a WebSocket; `connect` makes it.

    Attributes:
        url: What it is connected to.
    """

    def __init__(self, transport: FrameTransport, url: str, subprotocol: str | None = None) -> None:
        """Speak over a transport."""
        super().__init__(transport, subprotocol)
        self.url = url


Request = bytes | Callable[[bytes], bytes]
"""What goes in place of the opening handshake that is built: bytes, or a function that makes them of it."""


class Connecting:
    """A connection to be: await it, or enter it to have it closed at the end of the block."""

    def __init__(
        self,
        url: str,
        offer: Offer,
        *,
        headers: Headers,
        store: Store | None,
        config: Config,
        policy: Policy,
        timeout: float,
        context: ssl.SSLContext | None,
        ca: str | Path | None,
        key: str | None,
        request: Request | None,
        faults: Faults | None,
    ) -> None:
        """Keep what `connect` was given."""
        self._url = url
        self._offer = offer
        self._headers = tuple(headers)
        self._store = store
        self._config = config
        self._policy = policy
        self._timeout = timeout
        self._context = context
        self._ca = ca
        self._key = key
        self._request = request
        self._faults = checked(faults)
        self._socket: ClientWebSocket | None = None

    def __await__(self) -> Generator[Any, None, ClientWebSocket]:
        """Connect."""
        return self._connect().__await__()

    async def _connect(self) -> ClientWebSocket:
        target = Target(self._url, ("ws", "wss", "http", "https"))
        request, key, offer = self._build(target)
        store = self._store or kernel_store()
        stream = await dial(target, store, "client", self._timeout, context=self._context, ca=self._ca)
        try:
            stream.send(request)
            head = await read_response_head(stream, self._config.max_head, self._timeout)
            reason = head.reason if head.status == 101 else await _refusal(stream, head)
            agreement = check_response(head.status, reason, head.lines, key, offer)
        except BaseException:
            stream.close()
            raise
        transport = FrameTransport(
            stream, Side.CLIENT, config=self._config, policy=self._policy, deflate=agreement.deflate
        )
        stream.faults.set(self._faults)
        return ClientWebSocket(transport, self._url, agreement.subprotocol)

    def _build(self, target: Target) -> tuple[bytes, str, Offer]:
        """The request, and what an answer to it has to fit: its key and its offer."""
        key = make_key() if self._key is None else self._key
        built = upgrade_request(target.authority, target.path, key, (*self._offer.headers, *self._headers))
        if self._request is None:
            return built, key, self._offer
        request = self._request if isinstance(self._request, bytes) else self._request(built)
        head = parse_head(request)
        return request, head.first("Sec-WebSocket-Key") or "", Offer.of(head.lines)

    async def __aenter__(self) -> ClientWebSocket:
        """Connect."""
        self._socket = await self._connect()
        return self._socket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close with 1000."""
        if self._socket is not None:
            await self._socket.close()


async def _refusal(stream: RecordedStream, head: ResponseHead) -> str:
    """The reason phrase of an answer that is not 101, and what the server says besides."""
    if 300 <= head.status < 400 and (location := head.headers.get("Location")):
        # A client may follow (RFC 6455 §4.1, the last list, item 1); browsers do not.
        return f"{head.reason} (Location: {location}; a redirection is not followed here: connect there yourself)"
    said = await read_small_body(stream, head)
    return f"{head.reason} ({said})" if said else head.reason


def connect(
    url: str,
    *,
    headers: Headers = (),
    store: Store | None = None,
    config: Config = DEFAULT,
    subprotocols: Sequence[str] = (),
    deflate: DeflateParameters | None = None,
    policy: Policy = POLITE,
    timeout: float = CONNECT_TIMEOUT,
    ssl: ssl.SSLContext | None = None,
    ca: str | Path | None = None,
    key: str | None = None,
    request: Request | None = None,
    faults: Faults | None = None,
) -> Connecting:
    """Connect to a WebSocket.

        async with lane.connect(server.url("/echo")) as ws:
            await ws.send("hi")

    A handshake can be made wrong on purpose, in any way:

        lane.connect(url, request=lambda built: built.replace(b"Version: 13", b"Version: 8"))

    Args:
        url: A `ws://` or `wss://` URL; `http://` and `https://` mean the same.
        headers: Header lines to add to the handshake, such as ("Origin", "http://example.org").
        store: Where to record; the kernel's store by default.
        config: The bounds.
        subprotocols: The subprotocols to ask for, the preferred one first.
        deflate: What to offer of permessage-deflate; nothing by default.
        policy: What the client does of its own accord; everything the RFC asks for by default.
        timeout: The bound on connecting, and again on the handshake, in seconds.
        ssl: How TLS is spoken and who is trusted, where the URL asks for TLS.
        ca: The path of a CA's file in PEM form, to trust besides those of this machine.
        key: The Sec-WebSocket-Key, right or wrong; a fresh one by default.
        request: Bytes to send in place of the handshake that is built, or a function that makes them of its bytes.
            Whatever is sent, the answer has to fit it.
        faults: What to do wrong on purpose to what is sent after the handshake; also `ws.faults`, later.

    Raises:
        FaultsError: These are no faults.
        DialError: Nothing answers at the URL, or the server cannot be trusted.
        HandshakeError: The server refused or redirects; its status is on the error, and what it said in the message.
        ResponseError: What came is no HTTP, or nothing came in time.
        ConnectionLostError: The server ended the connection before it answered.
    """
    offer = Offer(subprotocol_names(subprotocols), () if deflate is None else (deflate_offer(deflate),))
    return Connecting(
        url,
        offer,
        headers=headers,
        store=store,
        config=config,
        policy=policy,
        timeout=timeout,
        context=ssl,
        ca=ca,
        key=key,
        request=request,
        faults=faults,
    )
