"""A WebSocket client."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Any

from lane_kernel.capture import Store, kernel_store
from lane_kernel.net.config import DEFAULT, Config
from lane_kernel.net.dial import CONNECT_TIMEOUT, Target, dial
from lane_kernel.net.faults import Faults, checked
from lane_kernel.net.heads import read_response_head, read_small_body
from lane_kernel.net.session import WebSocketSession
from lane_kernel.net.transport import FrameTransport
from lane_kernel.sides import Side
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.deflate import offer as deflate_offer
from lane_kernel.wire.handshake import Offer, check_response, make_key, upgrade_request
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


class Connecting:
    """A connection to be: await it, or enter it to have it closed at the end of the block."""

    def __init__(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        store: Store | None,
        config: Config,
        offer: Offer,
        policy: Policy,
        timeout: float,
        faults: Faults | None,
    ) -> None:
        """Keep what `connect` was given."""
        self._url = url
        self._headers = tuple(headers)
        self._store = store
        self._config = config
        self._offer = offer
        self._policy = policy
        self._timeout = timeout
        self._faults = checked(faults)
        self._socket: ClientWebSocket | None = None

    def __await__(self) -> Generator[Any, None, ClientWebSocket]:
        """Connect."""
        return self._connect().__await__()

    async def _connect(self) -> ClientWebSocket:
        target = Target(self._url, ("ws", "http"))
        stream = await dial(target, self._store or kernel_store(), "client", self._timeout)
        try:
            key = make_key()
            headers = (*self._offer.headers, *self._headers)
            stream.send(upgrade_request(target.authority, target.path, key, headers))
            head = await read_response_head(stream, timeout=self._timeout)
            said = "" if head.status == 101 else await read_small_body(stream, head)
            reason = f"{head.reason} ({said})" if said else head.reason
            agreement = check_response(head.status, reason, head.lines, key, self._offer)
        except BaseException:
            stream.close()
            raise
        transport = FrameTransport(
            stream, Side.CLIENT, config=self._config, policy=self._policy, deflate=agreement.deflate
        )
        stream.faults.set(self._faults)
        return ClientWebSocket(transport, self._url, agreement.subprotocol)

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


def connect(
    url: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    store: Store | None = None,
    config: Config = DEFAULT,
    subprotocols: Sequence[str] = (),
    deflate: DeflateParameters | None = None,
    policy: Policy = POLITE,
    timeout: float = CONNECT_TIMEOUT,
    faults: Faults | None = None,
) -> Connecting:
    """Connect to a WebSocket.

        async with lane.connect(server.url("/echo")) as ws:
            await ws.send("hi")

    Args:
        url: A `ws://` URL.
        headers: Header lines to add to the handshake, such as ("Origin", "http://example.org").
        store: Where to record; the kernel's store by default.
        config: The bounds.
        subprotocols: The subprotocols to ask for, the preferred one first.
        deflate: What to offer of permessage-deflate; nothing by default.
        policy: What the client does of its own accord; everything the RFC asks for by default.
        timeout: The bound on connecting, and again on the handshake, in seconds.
        faults: What to do wrong on purpose to what is sent after the handshake; also `ws.faults`, later.

    Raises:
        FaultsError: These are no faults.
        DialError: Nothing answers at the URL.
        HandshakeError: The server refused; its status is on the error, and what it said in the message.
        ResponseError: What came is no HTTP, or nothing came in time.
        ConnectionLostError: The server ended the connection before it answered.
    """
    offer = Offer(tuple(subprotocols), () if deflate is None else (deflate_offer(deflate),))
    return Connecting(url, headers, store, config, offer, policy, timeout, faults)
