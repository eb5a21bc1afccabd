"""Ends of other people's making: `websockets`' sans-I/O protocols and wsproto's connection, behind one face."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Protocol

import websockets.frames
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri
from wsproto import ConnectionType, WSConnection
from wsproto import events as wsproto
from wsproto.connection import Connection, ConnectionState
from wsproto.extensions import Extension
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate

from lane_kernel.sides import Side
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.frames import decode_header, payload_of

CONNECTION_TYPES = {Side.CLIENT: ConnectionType.CLIENT, Side.SERVER: ConnectionType.SERVER}


Fragments = Sequence[str | bytes]
"""A message's: all text, or all binary."""


def join(fragments: Fragments) -> str | bytes:
    """A message from its fragments."""
    texts = [part for part in fragments if isinstance(part, str)]
    return "".join(texts) if texts else b"".join(part for part in fragments if isinstance(part, bytes))


class Peer(Protocol):
    """The other end of a conversation.

    Attributes:
        messages: What arrived.
        pongs: The payloads of the Pongs that arrived.
        close_code: The code of the Close that arrived, 1005 where it had none.
        agreed: What it takes the handshake to have agreed on permessage-deflate, once it is done.
        subprotocol: The subprotocol that was agreed on.
    """

    messages: list[str | bytes]
    pongs: list[bytes]
    close_code: int | None
    agreed: DeflateParameters | None
    subprotocol: str | None

    def receive(self, data: bytes) -> None:
        """Take bytes."""

    def take(self) -> bytes:
        """What waits to be written."""

    def say(self, fragments: Fragments) -> None:
        """Send a message in fragments."""

    def ping(self, payload: bytes) -> None:
        """Send a Ping."""

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""


class WebsocketsPeer:
    """`websockets`' protocol; what it leaves to its callers, decoding and joining, is done here."""

    def __init__(self, side: Side, wishes: DeflateParameters | None, subprotocols: list[str]) -> None:
        """Begin before the handshake.

        Args:
            side: Which end it is.
            wishes: What it wishes of permessage-deflate, or None for nothing of it.
            subprotocols: The subprotocols it speaks.
        """
        self.messages: list[str | bytes] = []
        self.pongs: list[bytes] = []
        self.close_code: int | None = None
        self.agreed: DeflateParameters | None = None
        self.subprotocol: str | None = None
        self._side = side
        self._parts: list[bytes] = []
        self._is_text = False
        spoken = [Subprotocol(name) for name in subprotocols] or None
        self._protocol: ClientProtocol | ServerProtocol
        if side is Side.CLIENT:
            offers = None if wishes is None else [_client_factory(wishes)]
            client = ClientProtocol(parse_uri("ws://example.com/chat"), extensions=offers, subprotocols=spoken)
            client.send_request(client.connect())
            self._protocol = client
        else:
            takes = None if wishes is None else [_server_factory(wishes)]
            self._protocol = ServerProtocol(
                extensions=takes,
                subprotocols=spoken,
                select_subprotocol=lambda _protocol, asked: next((one for one in asked if one in subprotocols), None),
            )

    def receive(self, data: bytes) -> None:
        """Take bytes."""
        if data:
            self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, websockets.frames.Frame):
                self._take_frame(event)
                continue
            if isinstance(event, Request):
                assert isinstance(self._protocol, ServerProtocol)
                self._protocol.send_response(self._protocol.accept(event))
            assert self._protocol.state is State.OPEN, self._protocol.handshake_exc
            self.subprotocol = self._protocol.subprotocol
            for extension in self._protocol.extensions:
                assert isinstance(extension, PerMessageDeflate)
                self.agreed = _parameters(extension, self._side)

    def _take_frame(self, frame: websockets.frames.Frame) -> None:
        data = bytes(frame.data)
        if frame.opcode in (0, 1, 2):
            self._is_text = frame.opcode == 1 if frame.opcode else self._is_text
            self._parts.append(data)
            if frame.fin:
                whole = b"".join(self._parts)
                self._parts = []
                self.messages.append(whole.decode() if self._is_text else whole)
        elif frame.opcode == 10:
            self.pongs.append(data)
        elif frame.opcode == 8:
            self.close_code = int.from_bytes(data[:2], "big") if data else 1005

    def take(self) -> bytes:
        """What waits to be written."""
        return b"".join(self._protocol.data_to_send())

    def say(self, fragments: Fragments) -> None:
        """Send a message in fragments."""
        for at, part in enumerate(fragments):
            data, fin = part.encode() if isinstance(part, str) else part, at == len(fragments) - 1
            if at:
                self._protocol.send_continuation(data, fin)
            elif isinstance(part, str):
                self._protocol.send_text(data, fin)
            else:
                self._protocol.send_binary(data, fin)

    def ping(self, payload: bytes) -> None:
        """Send a Ping."""
        self._protocol.send_ping(payload)

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""
        self._protocol.send_close(code, reason)


def _bits(bits: int) -> int | None:
    return None if bits == 15 else bits


def _client_factory(wishes: DeflateParameters) -> ClientPerMessageDeflateFactory:
    return ClientPerMessageDeflateFactory(
        server_no_context_takeover=wishes.server_no_context_takeover,
        client_no_context_takeover=wishes.client_no_context_takeover,
        server_max_window_bits=_bits(wishes.server_max_window_bits),
        client_max_window_bits=_bits(wishes.client_max_window_bits) or True,
    )


def _server_factory(wishes: DeflateParameters) -> ServerPerMessageDeflateFactory:
    return ServerPerMessageDeflateFactory(
        server_no_context_takeover=wishes.server_no_context_takeover,
        client_no_context_takeover=wishes.client_no_context_takeover,
        server_max_window_bits=_bits(wishes.server_max_window_bits),
        client_max_window_bits=_bits(wishes.client_max_window_bits),
    )


def _parameters(extension: PerMessageDeflate, side: Side) -> DeflateParameters:
    takeover = extension.local_no_context_takeover, extension.remote_no_context_takeover
    windows = extension.local_max_window_bits, extension.remote_max_window_bits
    if side is Side.CLIENT:
        takeover, windows = takeover[::-1], windows[::-1]
    return DeflateParameters(*takeover, *windows)


class WsprotoPeer:
    """wsproto's connection; what it leaves to its callers, answering and joining, is done here."""

    def __init__(self, side: Side, wishes: DeflateParameters | None, subprotocols: list[str]) -> None:
        """Begin before the handshake.

        Args:
            side: Which end it is.
            wishes: What it wishes of permessage-deflate, or None for nothing of it.
            subprotocols: The subprotocols it speaks.
        """
        self.messages: list[str | bytes] = []
        self.pongs: list[bytes] = []
        self.close_code: int | None = None
        self.agreed: DeflateParameters | None = None
        self.subprotocol: str | None = None
        self._subprotocols = subprotocols
        self._parts: list[str | bytes] = []
        self._out = b""
        self._connection = WSConnection(CONNECTION_TYPES[side])
        self._deflate = None if wishes is None else WsprotoDeflate(
            wishes.client_no_context_takeover, wishes.client_max_window_bits,
            wishes.server_no_context_takeover, wishes.server_max_window_bits,
        )  # fmt: skip
        if side is Side.CLIENT:
            self._send(wsproto.Request("example.com", "/chat", extensions=self._extensions, subprotocols=subprotocols))

    @property
    def _extensions(self) -> list[Extension]:
        return [] if self._deflate is None else [self._deflate]

    def _send(self, event: wsproto.Event) -> None:
        self._out += self._connection.send(event)

    def receive(self, data: bytes) -> None:
        """Take bytes."""
        if data:
            self._connection.receive_data(data)
        for event in self._connection.events():
            match event:
                case wsproto.Request():
                    self.subprotocol = next((one for one in event.subprotocols if one in self._subprotocols), None)
                    self._send(wsproto.AcceptConnection(self.subprotocol, extensions=self._extensions))
                    self._note_agreed()
                case wsproto.AcceptConnection():
                    self.subprotocol = event.subprotocol
                    self._note_agreed()
                case wsproto.Message():
                    self._parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                    if event.message_finished:
                        self.messages.append(join(self._parts))
                        self._parts = []
                case wsproto.Ping():
                    self._send(event.response())
                case wsproto.Pong():
                    self.pongs.append(bytes(event.payload))
                case wsproto.CloseConnection():
                    self.close_code = int(event.code)
                    if self._connection.state is ConnectionState.REMOTE_CLOSING:
                        self._send(event.response())

    def _note_agreed(self) -> None:
        if self._deflate is not None and self._deflate.enabled():
            self.agreed = DeflateParameters(
                self._deflate.server_no_context_takeover, self._deflate.client_no_context_takeover,
                self._deflate.server_max_window_bits, self._deflate.client_max_window_bits,
            )  # fmt: skip

    def take(self) -> bytes:
        """What waits to be written."""
        out, self._out = self._out, b""
        return out

    def say(self, fragments: Fragments) -> None:
        """Send a message in fragments."""
        for at, part in enumerate(fragments):
            is_last = at == len(fragments) - 1
            if isinstance(part, str):
                self._send(wsproto.TextMessage(part, message_finished=is_last))
            else:
                self._send(wsproto.BytesMessage(part, message_finished=is_last))

    def ping(self, payload: bytes) -> None:
        """Send a Ping."""
        self._send(wsproto.Ping(payload))

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""
        self._send(wsproto.CloseConnection(code, reason))


def answers(data: bytes) -> tuple[int | None, list[bytes]]:
    """The code of the Close and the payloads of the Pongs among frames."""
    code, pongs = None, []
    while (header := decode_header(data)) is not None:
        payload = payload_of(data)
        if header.opcode == 8:
            code = int.from_bytes(payload[:2], "big") if payload else 1005
        else:
            pongs.append(payload)
        data = data[header.size + header.length :]
    return code, pongs


Seen = tuple[list[object], int | None, list[bytes]]
"""What arrived of a connection's bytes, the code of the Close that went out, and the Pongs."""


def read_with_wsproto(side: Side, data: bytes, deflate: WsprotoDeflate | None = None) -> Seen:
    """What wsproto makes of an open connection's bytes; its events are answered as its callers answer them."""
    connection = Connection(CONNECTION_TYPES[side], [] if deflate is None else [deflate])
    connection.receive_data(data)
    seen: list[object] = []
    parts: list[str | bytes] = []
    pongs: list[bytes] = []
    code: int | None = None
    for event in connection.events():
        match event:
            case wsproto.Message():
                parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
                if event.message_finished:
                    whole = join(parts)
                    seen.append((1, whole.encode()) if isinstance(whole, str) else (2, whole))
                    parts = []
            case wsproto.Ping():
                seen.append(("Ping", bytes(event.payload)))
                pongs.append(bytes(event.payload))
            case wsproto.Pong():
                seen.append(("Pong", bytes(event.payload)))
            case wsproto.CloseConnection():
                code = int(event.code)
                is_close = connection.state is ConnectionState.REMOTE_CLOSING
                seen.append(("Close", code, event.reason) if is_close else "failed")
    return seen, code, pongs


def read_with_websockets(side: Side, data: bytes, bound: int, deflate: PerMessageDeflate | None = None) -> Seen:
    """What `websockets` makes of them; it leaves text's UTF-8 and fragments to its callers, who do this."""
    protocol: ServerProtocol | ClientProtocol
    if side is Side.SERVER:
        protocol = ServerProtocol(state=State.OPEN, max_size=bound)
    else:
        protocol = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=bound)
    protocol.extensions = [] if deflate is None else [deflate]
    protocol.receive_data(data)
    code, pongs = answers(b"".join(protocol.data_to_send()))
    seen: list[object] = []
    pings, opcode, parts, decoder = 0, 0, b"", codecs.getincrementaldecoder("utf-8")()
    for frame in protocol.events_received():
        assert isinstance(frame, websockets.frames.Frame)
        payload = bytes(frame.data)
        if frame.opcode < 8:
            opcode = opcode if frame.opcode == 0 else int(frame.opcode)
            parts += payload
            if opcode == 1:
                try:
                    decoder.decode(payload, frame.fin)
                except UnicodeDecodeError:
                    return [*seen, "failed"], 1007, pongs[:pings]
            if frame.fin:
                seen.append((opcode, parts))
                parts = b""
        elif frame.opcode == 8:
            assert protocol.close_rcvd is not None
            seen.append(("Close", protocol.close_rcvd.code, protocol.close_rcvd.reason))
        else:
            pings += frame.opcode == 9
            seen.append(("Ping" if frame.opcode == 9 else "Pong", payload))
    if protocol.parser_exc is not None:
        seen.append("failed")
    return seen, code, pongs
