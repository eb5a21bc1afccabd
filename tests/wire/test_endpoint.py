"""Whole conversations, from the opening handshake to the end, with bytes only. RFC 6455 §4 to §7; RFC 7692."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.sides import Side
from lane_kernel.wire import rules
from lane_kernel.wire.connection import Closed, Failed, Ping, Pong, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters
from lane_kernel.wire.endpoint import (
    MAX_HEAD,
    EndpointEvent,
    EndpointStateError,
    HandshakeRequested,
    Opened,
    Refused,
    WebSocketEndpoint,
)
from lane_kernel.wire.frames import Frame, apply_mask
from lane_kernel.wire.handshake import HandshakeError, upgrade_request
from lane_kernel.wire.http1 import find_head_end, parse_head
from lane_kernel.wire.policy import Policy
from tests.vectors.handshakes import ACCEPT, KEY
from tests.wire.helpers import PLACES, WAYS, cut
from tests.wire.playbook import (
    MASK,
    Comes,
    Does,
    Ends,
    Goes,
    Step,
    accept,
    close,
    connection_of,
    frame,
    happens,
    masked,
    play,
    say,
    told,
)

MASKED = partial(WebSocketConnection, make_masking_key=lambda: MASK)
PMD = DeflateParameters()
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)

REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
CHAT = b"Sec-WebSocket-Protocol: chat\r\n"
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
CHOICE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
END = b"\r\n"


REQUESTED, OPENED = happens(("requested", "/chat")), happens(("opened", None, None))

SERVER_PLAYBOOKS: dict[str, list[Step]] = {
    "messages, then the client closes": [
        Comes(REQUEST + END), REQUESTED, Goes(b""), Does(accept), Goes(ANSWER + END),
        Comes(masked(1, b"hi") + masked(2, b"\0")), happens("hi", b"\0"),
        say("hello"), Goes(frame(1, b"hello")),
        Comes(masked(8, b"\x03\xe8bye")), happens(Closed(1000, "bye")), Goes(frame(8, b"\x03\xe8")),
        Ends(),
    ],
    "the server closes": [
        Comes(REQUEST + END), REQUESTED, Does(accept), close(1001, "restart"),
        Goes(ANSWER + END + frame(8, b"\x03\xe9restart")),
        Comes(masked(1, b"late") + masked(8, b"\x03\xe9")), happens("late", Closed(1001, "")), Ends(),
    ],
    "subprotocol": [
        Comes(REQUEST + b"Sec-WebSocket-Protocol: superchat, chat\r\n" + END), REQUESTED,
        Does(accept), Goes(ANSWER + CHAT + END), Ends(), happens(Closed(1006, "")),
    ],
    "compression": [
        Comes(REQUEST + OFFER + END), REQUESTED, Does(accept), Goes(ANSWER + CHOICE + END),
        Comes(masked(1, bytes.fromhex("f248cdc9c90700"), rsv1=True)), happens("Hello"),
        say("Hello"), say("Hello"),
        Goes(bytes.fromhex("c107f248cdc9c90700 c105f200110000")), Ends(), happens(Closed(1006, "")),
    ],
    "an invalid offer is declined": [
        Comes(REQUEST + b"Sec-WebSocket-Extensions: permessage-deflate; foo\r\n" + END), REQUESTED,
        Does(accept), Goes(ANSWER + END),
        Comes(masked(1, b"x", rsv1=True)), happens(("failed", "reserved-bit")),
        Goes(frame(8, b"\x03\xeareserved-bit: RSV1 set without an extension")), Ends(),
    ],
    "fragments and pings": [
        Comes(REQUEST + END), REQUESTED, Does(accept), Goes(ANSWER + END),
        Comes(masked(1, b"a", fin=False) + masked(9, b"?") + masked(0, b"b") + masked(10)),
        happens(Ping(b"?"), "ab", Pong(b"")), Goes(frame(10, b"?")), Ends(), happens(Closed(1006, "")),
    ],
    "header lines of its own": [
        Comes(REQUEST + END), REQUESTED, Does(lambda end: end.accept([("Server", "x")])),
        Goes(ANSWER + b"Server: x\r\n" + END), Ends(), happens(Closed(1006, "")),
    ],
    "early frames wait for the answer": [
        Comes(REQUEST + END), Comes(masked(1, b"early")), Comes(masked(9)), REQUESTED, Goes(b""),
        Does(accept), Goes(ANSWER + END), Comes(masked(1, b"!")), happens("early", Ping(b""), "!"), Goes(frame(10)),
        Ends(), happens(Closed(1006, "")),
    ],
    "early frames, then the end": [
        Comes(REQUEST + END + masked(1, b"early") + masked(8)), REQUESTED, Does(accept), Ends(),
        happens("early", Closed(1005, "")), Goes(ANSWER + END + frame(8)),
    ],
    "early frames that are wrong": [
        Comes(REQUEST + END + frame(1, b"early")), REQUESTED, Does(accept), Goes(ANSWER + END),
        Comes(b"\0"), happens(("failed", "unmasked-client-frame")), Comes(masked(1, b"no")), Ends(),
        Goes(frame(8, b"\x03\xeaunmasked-client-frame: a client's frame without a masking-key")),
    ],
    "refusal": [
        Comes(REQUEST + END), REQUESTED, Does(lambda end: end.refuse(403, "Forbidden", [("X", "y")], "no é\n")),
        Goes(b"HTTP/1.1 403 Forbidden\r\nX: y\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n"
             b"Connection: close\r\n\r\nno \xc3\xa9\n"),
        Comes(masked(1, b"no")), Ends(),
    ],
    "the end before anything": [Ends(), happens(("refused", 0, None)), Comes(REQUEST + END), Ends()],
    "the end inside the request": [Comes(REQUEST), Ends(), happens(("refused", 0, None)), Ends()],
    "the end while the request waits": [Comes(REQUEST + END), REQUESTED, Ends(), happens(("refused", 0, None)), Ends()],
    "lines that end with LF alone": [
        Comes((REQUEST + END).replace(b"\r", b"")), REQUESTED, Does(accept), Goes(ANSWER + END), Ends(),
        happens(Closed(1006, "")),
    ],
    "an empty line before the request": [
        Comes(END + REQUEST + END), REQUESTED, Does(accept), Goes(ANSWER + END), Comes(masked(1)), happens(""),
        Ends(), happens(Closed(1006, "")),
    ],
}  # fmt: skip

CLIENT_PLAYBOOKS: dict[str, list[Step]] = {
    "messages, then the server closes": [
        Goes(REQUEST + END), Comes(ANSWER + END), OPENED,
        say("hi"), Goes(masked(1, b"hi")),
        Comes(frame(1, b"hello") + frame(8, b"\x03\xe8")), happens("hello", Closed(1000, "")),
        Goes(masked(8, b"\x03\xe8")), Ends(),
    ],
    "frames right after the answer": [
        Goes(REQUEST + END), Comes(ANSWER + END + frame(1, b"early") + frame(9)),
        happens(("opened", None, None), "early", Ping(b"")), Goes(masked(10)), Ends(), happens(Closed(1006, "")),
    ],
    "interim answers": [
        Goes(REQUEST + END),
        Comes(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ANSWER + END + frame(1)),
        happens(("opened", None, None), ""), Ends(), happens(Closed(1006, "")),
    ],
    "status 404": [
        Goes(REQUEST + END), Comes(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"),
        happens(("refused", 404, "answer-status")), Comes(ANSWER), Ends(),
    ],
    "status 404 in a head that is no HTTP": [
        Goes(REQUEST + END), Comes(b"HTTP/1.1 404\r\nContent-Length: x\r\nno colon\r\n\r\n"),
        happens(("refused", 404, "answer-status")),
    ],
    "no HTTP": [Goes(REQUEST + END), Comes(b"nonsense\r\n\r\n"), happens(("refused", 0, "status-line-malformed"))],
    "a header line without a colon": [
        Goes(REQUEST + END), Comes(ANSWER + b"nonsense\r\n\r\n"), happens(("refused", 101, "header-without-colon")),
    ],
    "another key's answer": [
        Goes(REQUEST + END), Comes(ANSWER.replace(b"s3p", b"S3p") + END), happens(("refused", 101, "accept-mismatch")),
    ],
    "an extension nobody asked for": [
        Goes(REQUEST + END), Comes(ANSWER + CHOICE + END), happens(("refused", 101, "extension-not-offered")),
    ],
    "an endless head": [
        Goes(REQUEST + END), Comes(ANSWER + b"X: " + b"y" * MAX_HEAD), happens(("refused", 0, None)),
    ],
    "the end before the answer": [Goes(REQUEST + END), Comes(ANSWER), Ends(), happens(("refused", 0, None)), Ends()],
    "the end after an interim answer": [
        Goes(REQUEST + END), Comes(b"HTTP/1.1 100 \r\n\r\n"), Ends(), happens(("refused", 0, None)),
    ],
    "a masked frame": [
        Goes(REQUEST + END), Comes(ANSWER + END), OPENED, Comes(masked(1)), happens(("failed", "masked-server-frame")),
        Goes(masked(8, b"\x03\xeamasked-server-frame: a server's frame with a masking-key")), Ends(),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", SERVER_PLAYBOOKS)
@ways
def test_server(name: str, way):
    """RFC 6455 §4.2: what a server does."""
    end = WebSocketEndpoint.server(subprotocols=["chat"], wishes=PMD, make_connection=MASKED)
    play(end, SERVER_PLAYBOOKS[name], way)


@pytest.mark.parametrize("name", CLIENT_PLAYBOOKS)
@ways
def test_client(name: str, way):
    """RFC 6455 §4.1: what a client does."""
    play(WebSocketEndpoint.client("example.com", "/chat", key=KEY, make_connection=MASKED), CLIENT_PLAYBOOKS[name], way)


@ways
def test_client_asks_for_more(way):
    """RFC 6455 §4.1, RFC 7692 §7.1: subprotocols, permessage-deflate, and header lines of its own."""
    end = WebSocketEndpoint.client(
        "example.com", "/chat", key=KEY, headers=[("Origin", "http://example.com")], subprotocols=["chat", "x"],
        wishes=PMD, make_connection=MASKED,
    )  # fmt: skip
    request = REQUEST + b"Sec-WebSocket-Protocol: chat, x\r\n" + OFFER + b"Origin: http://example.com\r\n"
    play(
        end,
        [
            Goes(request + END), Comes(ANSWER + CHAT + CHOICE + END), happens(("opened", "chat", PMD)),
            say("Hello"), Goes(b"\xc1\x87" + MASK + apply_mask(MASK, bytes.fromhex("f248cdc9c90700"))),
            Comes(bytes.fromhex("c107f248cdc9c90700")), happens("Hello"), Ends(), happens(Closed(1006, "")),
        ],
        way,
    )  # fmt: skip


WRONG_REQUESTS = [
    (b"nonsense\r\n\r\n", 400, "start-line-malformed"),
    (b"\r\n\r\n", 400, "start-line-malformed"),
    (REQUEST.replace(b"/chat ", b"/a b ") + END, 400, "start-line-malformed"),
    (REQUEST.replace(b"Host: example.com\r\n", b"") + END, 400, "host-missing"),
    (REQUEST + b"Host: other\r\n" + END, 400, "host-missing"),
    (REQUEST + b"nonsense\r\n" + END, 400, "header-without-colon"),
    (REQUEST + b"X : y\r\n" + END, 400, "space-before-colon"),
    (REQUEST + b"X(: y\r\n" + END, 400, "header-name-invalid"),
    (REQUEST + b"X: y\r\n z\r\n" + END, 400, "header-folded"),
    (REQUEST + b"Content-Length: x\r\n" + END, 400, "content-length-invalid"),
    (REQUEST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" + END, 400, "length-and-coding"),
    (REQUEST.replace(b"GET", b"POST") + END, 405, "handshake-method"),
    (REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0") + END, 505, "handshake-http-version"),
    (REQUEST.replace(b"websocket\r", b"h2c\r") + END, 426, "upgrade-missing"),
    (REQUEST.replace(b"Connection: Upgrade", b"Connection: close") + END, 400, "connection-missing"),
    (REQUEST.replace(b"13\r\n", b"8\r\n") + END, 426, "websocket-version"),
    (REQUEST.replace(b"ZQ==", b"") + END, 400, "key-invalid"),
    (REQUEST + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + END, 400, "key-missing"),
    (REQUEST + b"Sec-WebSocket-Protocol: a, a\r\n" + END, 400, "subprotocol-malformed"),
    (REQUEST + b"Sec-WebSocket-Extensions: =\r\n" + END, 400, "extensions-malformed"),
    (REQUEST + b"X: " + b"y" * MAX_HEAD, 431, None),
    (REQUEST + b"X: " + b"y" * MAX_HEAD + END + END, 431, None),
    (b"\x16\x03\x01" + b"\0" * MAX_HEAD, 431, None),
]


@pytest.mark.parametrize(("request_", "status", "rule"), WRONG_REQUESTS, ids=lambda value: str(value)[:20])
@ways
def test_a_wrong_request_is_refused(request_: bytes, status: int, rule: str | None, way):
    """RFC 6455 §4.2.2; RFC 9112 §3 to §6: the status, a reason that a person can act on, and nothing read after it."""
    server = WebSocketEndpoint.server()
    (refused,) = [event for piece in way(request_ + b"\r\n" * 2) for event in server.receive_data(piece)]
    assert isinstance(refused, Refused)
    assert told(refused) == ("refused", status, rule)
    answer = server.data_to_send()
    end = find_head_end(answer)
    head = parse_head(answer[:end])
    assert (head.version, head.status) == ("HTTP/1.1", status)
    assert head.reason in {"Bad Request", "Method Not Allowed", "Upgrade Required", "Request Header Fields Too Large",
                           "HTTP Version Not Supported"}  # fmt: skip
    assert answer[end:].decode() == f"{refused.error}\n"
    assert head.first("content-length") == str(len(answer[end:]))
    # RFC 9110 §7.8: Upgrade is an option of the connection.
    is_upgrade = head.first("upgrade") is not None
    assert is_upgrade == (status == 426)
    assert head.first("connection") == ("Upgrade, close" if is_upgrade else "close")
    assert len([name for name, _ in head.lines if name == "Connection"]) == 1
    assert server.is_finished
    assert server.connection is None
    assert server.receive_data(REQUEST + END) == server.receive_eof() == []


@ways
def test_a_head_of_exactly_the_bound(way):
    """RFC 6585 §5: it passes, with frames right after it, too; one byte more does not."""
    for more, size in ((0, 1), (1, 0)):
        filled = REQUEST + b"X: " + b"y" * (MAX_HEAD - len(REQUEST) - 7 + more) + END + END
        server = WebSocketEndpoint.server()
        events = [event for piece in way(filled + masked(1)) for event in server.receive_data(piece)]
        assert [isinstance(event, HandshakeRequested) for event in events] == [bool(size)]


def test_thousands_of_interim_answers():
    """RFC 9110 §15.2: however many come in one read."""
    client = WebSocketEndpoint.client("example.com", key=KEY)
    (opened,) = client.receive_data(b"HTTP/1.1 100 \r\n\r\n" * 5000 + ANSWER + END)
    assert isinstance(opened, Opened)


def test_places_count_from_the_first_byte():
    """Spans of frames follow the heads, those of interim answers too, and an empty line before the request."""
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    client = WebSocketEndpoint.client("example.com", key=KEY)
    *_, failed = client.receive_data(interim + ANSWER + END + frame(1) + frame(3))
    assert isinstance(failed, Failed)
    assert failed.error.span.start == len(interim + ANSWER + END) + 2
    server = WebSocketEndpoint.server()
    (asked,) = server.receive_data(END + REQUEST + END + masked(3))
    assert isinstance(asked, HandshakeRequested)
    assert asked.headers == asked.head.lines
    server.accept()
    (failed,) = server.receive_data(b"")
    assert isinstance(failed, Failed)
    assert failed.error.span.start == len(END + REQUEST + END)


@pytest.mark.parametrize("act", [lambda end: end.accept(), lambda end: end.refuse(403, "Forbidden")])
def test_an_answer_needs_a_request(act):
    """Before it, after the answer, after a refusal, after the end; and never at a client."""
    server, ended, refused = (WebSocketEndpoint.server() for _ in range(3))
    ended.receive_data(REQUEST + END)
    ended.receive_eof()
    refused.receive_data(b"nonsense\r\n\r\n")
    client = WebSocketEndpoint.client("example.com")
    answered = WebSocketEndpoint.server()
    answered.receive_data(REQUEST + END)
    act(answered)
    for end in (server, ended, refused, client, answered):
        with pytest.raises(EndpointStateError, match="no handshake waits"):
            act(end)


@pytest.mark.parametrize(
    "act",
    [
        lambda end: end.accept([("X", "a\r\nb")]),
        lambda end: end.refuse(403, "No\r\nway"),
        lambda end: end.refuse(403, "No", [("X\n", "")]),
    ],
)
def test_an_answer_that_cannot_be_sent_changes_nothing(act):
    """RFC 9112 §11.1: the request still waits, and can be answered rightly."""
    server = WebSocketEndpoint.server()
    server.receive_data(REQUEST + END)
    with pytest.raises(HandshakeError, match=r"line break|name"):
        act(server)
    assert server.data_to_send() == b""
    server.accept()
    assert server.data_to_send() == ANSWER + END


def test_a_request_that_cannot_be_sent():
    """RFC 9112 §11.1."""
    with pytest.raises(HandshakeError, match="line break"):
        WebSocketEndpoint.client("example.com", "/\r\n")


def test_a_fresh_key_each():
    """RFC 6455 §4.1."""
    requests = {WebSocketEndpoint.client("example.com").data_to_send() for _ in range(10)}
    assert len(requests) == 10


# Both ends


class Pair:
    """A client and a server, joined by nothing but bytes."""

    def __init__(
        self, client: WebSocketEndpoint, server: WebSocketEndpoint, way: Callable[[bytes], list[bytes]]
    ) -> None:
        self.ends = {Side.CLIENT: client, Side.SERVER: server}
        self.events: dict[Side, list[EndpointEvent]] = {side: [] for side in Side}
        self._way = way

    def run(self) -> None:
        """Carry bytes both ways until neither has more to say; the server accepts whatever is asked."""
        moved = True
        while moved:
            moved = False
            for side, end in self.ends.items():
                for piece in self._way(end.data_to_send()):
                    moved = moved or bool(piece)
                    peer = self.ends[side.peer]
                    events = peer.receive_data(piece)
                    self.events[side.peer] += events
                    if any(isinstance(event, HandshakeRequested) for event in events):
                        peer.accept()

    def __getitem__(self, side: Side) -> WebSocketConnection:
        return connection_of(self.ends[side])


@ways
@pytest.mark.parametrize("closer", list(Side))
def test_a_whole_conversation(way, closer: Side):
    """RFC 6455 §1.2: opening, subprotocol, compression, messages, fragments, pings, closing by either."""
    client = WebSocketEndpoint.client("example.com", "/chat", subprotocols=["b", "a"], wishes=DeflateParameters(True))
    server = WebSocketEndpoint.server(subprotocols=["a", "b"], wishes=DeflateParameters(False, True, 10, 11))
    pair = Pair(client, server, way)
    pair.run()
    agreed = DeflateParameters(True, True, 10, 11)
    requested, *rest = pair.events[Side.SERVER]
    assert isinstance(requested, HandshakeRequested)
    assert rest == []
    (opened,) = pair.events[Side.CLIENT]
    assert told(opened) == ("opened", "b", agreed)
    for side in Side:
        pair.events[side].clear()
        assert pair[side].deflate == agreed
        pair[side].send_message("hé" * 100, fragment_size=7)
        pair[side].send_message(b"\0" * 1000)
        pair[side].send(Frame(9, b"?"))
        pair[side].send_message("", is_compressed=False)
    pair.run()
    for side in Side:
        assert [event for event in pair.events[side] if event != Pong(b"?")] == [
            "hé" * 100, b"\0" * 1000, Ping(b"?"), "",
        ]  # fmt: skip
        assert Pong(b"?") in pair.events[side]
        pair.events[side].clear()
    pair[closer].close(4000, "done")
    pair.run()
    assert pair.events == {closer: [Closed(4000, "")], closer.peer: [Closed(4000, "done")]}
    assert all(pair[side].is_finished for side in Side)
    assert all(end.receive_eof() == [] for end in pair.ends.values())


_wishes = st.none() | st.builds(DeflateParameters, st.booleans(), st.booleans(), st.integers(9, 15), st.integers(8, 15))
_subprotocols = st.lists(st.sampled_from(["a", "b", "c"]), unique=True)


@given(_wishes, _wishes, _subprotocols, _subprotocols, PLACES, st.lists(st.text(max_size=20), max_size=3))
def test_any_wishes_are_agreed_on(client_wishes, server_wishes, asked, spoken, places, messages):
    """RFC 6455 §4.2.2; RFC 7692 §5.1: both ends agree on the same, and understand each other."""
    client = WebSocketEndpoint.client("h", subprotocols=asked, wishes=client_wishes)
    server = WebSocketEndpoint.server(subprotocols=spoken, wishes=server_wishes)
    pair = Pair(client, server, lambda data: cut(data, places))
    pair.run()
    (opened,) = pair.events[Side.CLIENT]
    assert isinstance(opened, Opened)
    subprotocol, deflate = opened.agreement.subprotocol, opened.agreement.deflate
    assert subprotocol == next((one for one in asked if one in spoken), None)
    assert (deflate is None) == (client_wishes is None or server_wishes is None)
    assert pair[Side.SERVER].deflate == pair[Side.CLIENT].deflate == deflate
    for side in Side:
        pair.events[side].clear()
        for message in messages:
            pair[side].send_message(message)
    pair.run()
    assert pair.events == dict.fromkeys(Side, messages)


def test_the_stream_ends_at_any_point():
    """RFC 6455 §7.1.5: wherever it ends, each event comes once, and the end is told once."""
    wire = REQUEST + END + masked(1, b"hi") + masked(9) + masked(8, b"\x03\xe8")
    request = len(REQUEST + END)
    for size in range(len(wire) + 1):
        server = WebSocketEndpoint.server(make_connection=MASKED)
        events = server.receive_data(wire[:size])
        if size >= request:
            server.accept()
        events += server.receive_eof()
        assert server.receive_eof() == []
        kinds = [type(event) for event in events]
        if size < request:
            assert kinds == [Refused]
        else:
            assert kinds[0] is HandshakeRequested
            assert kinds[-1] is Closed
            assert events[-1] == (Closed(1000, "") if size == len(wire) else Closed(1006, ""))


@given(st.binary(max_size=100), PLACES, st.booleans())
def test_any_bytes_raise_nothing(data: bytes, places: list[int], is_after: bool):
    """Whatever comes, at either end, before or after the handshake."""
    client = WebSocketEndpoint.client("example.com", key=KEY)
    server = WebSocketEndpoint.server()
    if is_after:
        client.receive_data(ANSWER + END)
        server.receive_data(REQUEST + END)
        server.accept()
    for end in (client, server):
        for piece in cut(data, places):
            end.receive_data(piece)
        end.receive_eof()


def test_a_connection_of_ones_own():
    """Policies and bounds are the connection's."""
    make_connection = partial(WebSocketConnection, policy=Policy(answers_pings=False), max_message=3)
    server = WebSocketEndpoint.server(make_connection=make_connection)
    server.receive_data(upgrade_request("h", "/", KEY) + masked(9))
    server.accept()
    assert ACCEPT.encode() in server.data_to_send()
    assert server.receive_data(masked(1, b"abc")) == [Ping(b""), "abc"]
    assert server.data_to_send() == b""
    (failed,) = server.receive_data(masked(1, b"abcd"))
    assert told(failed) == ("failed", "message-too-big")


def test_what_comes_before_the_answer_has_a_bound():
    """RFC 6455 §4.1: a client sends nothing until it has the answer."""
    server = WebSocketEndpoint.server()
    server.receive_data(REQUEST + END)
    for _ in range(15):
        assert server.receive_data(bytes(65_536)) == []
    (refused,) = server.receive_data(bytes(65_536))
    assert isinstance(refused, Refused)
    assert refused.error.rule is rules.FRAME_BEFORE_ANSWER
    assert server.data_to_send().startswith(b"HTTP/1.1 400")
    with pytest.raises(EndpointStateError):
        server.accept()
