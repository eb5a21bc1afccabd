"""Whole conversations of our endpoint with `websockets` and wsproto, either end, joined by bytes only.

RFC 6455 §4 to §7; RFC 7692.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lane_kernel.sides import Side
from lane_kernel.wire.connection import Closed, Event, Ping, Pong, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.endpoint import EndpointEvent, HandshakeRequested, Opened, WebSocketEndpoint
from lane_kernel.wire.frames import Frame
from lane_kernel.wire.handshake import Agreement, judge_request, judge_response
from lane_kernel.wire.heads import judge_head
from lane_kernel.wire.http1 import find_head_end, parse_head
from tests.wire.helpers import PLACES, cut
from tests.wire.peers import Fragments, Peer, WebsocketsPeer, WsprotoPeer, join

PEERS: dict[str, type[WebsocketsPeer | WsprotoPeer]] = {"websockets": WebsocketsPeer, "wsproto": WsprotoPeer}
peers = pytest.mark.parametrize("name", PEERS)
sides = pytest.mark.parametrize("side", list(Side), ids=lambda side: f"our {side.value}")


@dataclass(frozen=True)
class Say:
    """One end sends a message in fragments."""

    is_ours: bool
    fragments: Fragments


@dataclass(frozen=True)
class Ask:
    """One end sends a Ping."""

    is_ours: bool
    payload: bytes


class Conversation:
    """Our endpoint and a peer."""

    def __init__(self, ours: WebSocketEndpoint, theirs: Peer, places: list[int]) -> None:
        self.ours = ours
        self.theirs = theirs
        self.events: list[EndpointEvent] = []
        self.agreement: Agreement | None = None
        self._places = places

    @property
    def connection(self) -> WebSocketConnection:
        assert self.ours.connection is not None
        return self.ours.connection

    def run(self) -> None:
        """Carry bytes both ways, in pieces, until neither has more to say."""
        while True:
            out, back = self.ours.data_to_send(), self.theirs.take()
            if not out and not back:
                return
            for piece in cut(out, self._places):
                self.theirs.receive(piece)
            for piece in cut(back, self._places):
                for event in self.ours.receive_data(piece):
                    self._take(event)

    def _take(self, event: EndpointEvent) -> None:
        match event:
            case HandshakeRequested():
                self.agreement = self.ours.accept()
            case Opened(agreement):
                self.agreement = agreement
            case _:
                self.events.append(event)

    def messages(self) -> list[Event]:
        """What has arrived at our end but for Pings and their Pongs, since the last call."""
        events, self.events = self.events, []
        return [event for event in events if isinstance(event, str | bytes | Closed)]


def begin(
    name: str,
    side: Side,
    places: list[int],
    wishes: DeflateParameters | None = None,
    their_wishes: DeflateParameters | None = None,
    subprotocols: tuple[list[str], list[str]] = ([], []),
) -> Conversation:
    """Open a connection between our end, which is a side, and a peer; both understand the same by the handshake."""
    spoken, theirs_spoken = subprotocols
    if side is Side.CLIENT:
        ours = WebSocketEndpoint.client("example.com", "/chat", subprotocols=spoken, wishes=wishes)
    else:
        ours = WebSocketEndpoint.server(subprotocols=spoken, wishes=wishes)
    conversation = Conversation(ours, PEERS[name](side.peer, their_wishes, theirs_spoken), places)
    conversation.run()
    agreement, theirs = conversation.agreement, conversation.theirs
    assert agreement is not None
    assert (agreement.subprotocol, agreement.deflate) == (theirs.subprotocol, theirs.agreed)
    assert conversation.connection.deflate == agreement.deflate
    return conversation


def act(conversation: Conversation, script: list[Say | Ask]) -> None:
    """Act a script out, one line after the other, and see that all of it arrives."""
    ours, theirs = conversation.connection, conversation.theirs
    for line in script:
        theirs.messages.clear()
        theirs.pongs.clear()
        match line:
            case Say(True, fragments):
                _say(ours, fragments)
                conversation.run()
                assert theirs.messages == [join(fragments)]
            case Say(_, fragments):
                theirs.say(fragments)
                conversation.run()
                assert conversation.messages() == [join(fragments)]
            case Ask(True, payload):
                ours.send(Frame(9, payload))
                conversation.run()
                assert conversation.events.pop() == Pong(payload)
            case Ask(_, payload):
                theirs.ping(payload)
                conversation.run()
                assert conversation.events.pop() == Ping(payload)
                assert theirs.pongs == [payload]


def _say(ours: WebSocketConnection, fragments: Fragments) -> None:
    """As one message where it is compressed, which only `send_message` does; frame by frame otherwise."""
    message = join(fragments)
    if ours.deflate is not None:
        ours.send_message(message, fragment_size=max(len(message) // len(fragments), 1))
        return
    for at, part in enumerate(fragments):
        opcode, data = (1, part.encode()) if isinstance(part, str) else (2, part)
        ours.send(Frame(0 if at else opcode, data, at == len(fragments) - 1))


def finish(conversation: Conversation, *, is_ours: bool, code: int, reason: str) -> None:
    """Close the connection from either end."""
    if is_ours:
        conversation.connection.close(code, reason)
    else:
        conversation.theirs.close(code, reason)
    conversation.run()
    assert conversation.theirs.close_code == code
    assert (conversation.connection.close_code, conversation.connection.is_finished) == (code, True)
    (closed,) = conversation.messages()
    assert isinstance(closed, Closed)
    assert is_ours or closed == Closed(code, reason)


_fragments: st.SearchStrategy[Fragments] = st.one_of(
    st.lists(st.text(max_size=20) | st.just("Hello" * 300), min_size=1, max_size=4),
    st.lists(st.binary(max_size=60) | st.just(bytes(70_000)), min_size=1, max_size=4),
)
_script = st.lists(
    st.builds(Say, st.booleans(), _fragments) | st.builds(Ask, st.booleans(), st.binary(max_size=125)), max_size=6
)
_wishes = st.builds(DeflateParameters, st.booleans(), st.booleans(), st.integers(9, 15), st.integers(9, 15))
_codes = st.sampled_from([1000, 1001, 1011, 3000, 4999])
_reasons = st.text(max_size=30)


@peers
@sides
@settings(max_examples=60)
@given(script=_script, places=PLACES, is_ours=st.booleans(), code=_codes, reason=_reasons)
def test_a_plain_conversation(name: str, side: Side, script, places, is_ours: bool, code: int, reason: str):
    """RFC 6455: opening, messages in fragments and pings both ways, closing by either end."""
    conversation = begin(name, side, places)
    act(conversation, script)
    finish(conversation, is_ours=is_ours, code=code, reason=reason)


@sides
@settings(max_examples=80)
@given(wishes=_wishes, theirs=_wishes, script=_script, places=PLACES)
def test_a_compressed_conversation_with_websockets(side: Side, wishes, theirs, script, places):
    """RFC 7692: any wishes of both ends, agreed on alike, and messages both ways."""
    conversation = begin("websockets", side, places, wishes, theirs)
    assert conversation.connection.deflate is not None
    act(conversation, script)
    finish(conversation, is_ours=True, code=1000, reason="")


@sides
@settings(max_examples=80)
@given(wishes=_wishes, theirs=_wishes, script=_script, places=PLACES)
def test_a_compressed_conversation_with_wsproto(side: Side, wishes, theirs, script, places):
    """RFC 7692: any wishes of both ends, agreed on alike, and messages both ways.

    Left out, where wsproto differs: its server compresses with a smaller window of its own without saying so, which
    §7.1.2.1 allows, and takes a smaller one of the client's for granted; so as a server it wishes for none.
    """
    if side is Side.CLIENT:
        theirs = replace(theirs, server_max_window_bits=15, client_max_window_bits=15)
    conversation = begin("wsproto", side, places, wishes, theirs)
    assert conversation.connection.deflate is not None
    act(conversation, script)
    finish(conversation, is_ours=False, code=1000, reason="")


@peers
@sides
@pytest.mark.parametrize("ours", [None, DeflateParameters()])
def test_one_end_alone_speaks_deflate(name: str, side: Side, ours: DeflateParameters | None):
    """RFC 7692 §5: without the other's word nothing is compressed."""
    conversation = begin(name, side, [], ours, DeflateParameters() if ours is None else None)
    assert conversation.connection.deflate is None
    act(conversation, [Say(True, ["Hello"]), Say(False, ["Hello"])])


@peers
@sides
@pytest.mark.parametrize(
    ("clients", "servers", "agreed"),
    [(["a", "b"], ["b", "a"], "a"), (["a", "b"], ["b"], "b"), ([], ["a"], None), (["a"], ["a"], "a")],
)
def test_subprotocols(name: str, side: Side, clients: list[str], servers: list[str], agreed: str | None):
    """RFC 6455 §4.2.2: both know the one that was chosen."""
    subprotocols = (clients, servers) if side is Side.CLIENT else (servers, clients)
    conversation = begin(name, side, [], subprotocols=subprotocols)
    assert conversation.theirs.subprotocol == agreed


@peers
def test_nothing_is_found_in_their_handshakes(name: str):
    """RFC 6455 §4: neither in what their clients ask nor in what their servers answer."""
    request = PEERS[name](Side.CLIENT, DeflateParameters(), ["a"]).take()
    head = parse_head(request)
    assert list(judge_head(request, head, is_response=False)) == []
    assert list(judge_request(head.method, head.version, head.lines)) == []
    client = WebSocketEndpoint.client("example.com", "/chat", subprotocols=["a"], wishes=DeflateParameters(), key=_KEY)
    server = PEERS[name](Side.SERVER, DeflateParameters(), ["a"])
    server.receive(client.data_to_send())
    answer = server.take()
    assert find_head_end(answer) == len(answer)
    head = parse_head(answer)
    assert list(judge_head(answer, head, is_response=True)) == []
    assert list(judge_response(head.status, head.reason, head.lines, _KEY, client._offer)) == []


_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
