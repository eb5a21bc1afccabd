"""Every rule of the catalogue, on bytes that break it: one conversation each, seen by the server unless said otherwise.

Clean conversations yield nothing. What only an endpoint's own bound can tell is shown with the strict reader.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from lane_kernel.capture import NoteKind, Store
from lane_kernel.sides import Direction, Side
from lane_kernel.timeline import Timeline
from lane_kernel.wire import rules
from lane_kernel.wire.connection import Failed, WebSocketConnection
from lane_kernel.wire.deflate import DeflateParameters, Deflater, Extension
from lane_kernel.wire.eventstream import EventStreamError, EventStreamParser
from lane_kernel.wire.frames import Frame
from lane_kernel.wire.handshake import Offer, upgrade_request, upgrade_response
from lane_kernel.wire.rules import RULES, Finding
from tests.timeline.recording import DOWN, GET, REQUEST, RESPONSE, UP, Turn, answer, masked, plain

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
DEFLATE = "permessage-deflate"
CLOSE = (UP, masked(8, b"\x03\xe8")), (DOWN, plain(8, b"\x03\xe8"))
END = Side.SERVER
"""Who ends the TCP connection of a clean conversation."""
EVENTS = answer("Content-Type: text/event-stream\r\n")
ASK = b"GET /clock HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"


def after_handshake(*turns: Turn) -> list[Turn]:
    return [(UP, REQUEST), (DOWN, RESPONSE), *turns]


def up(frame: Frame, key: bytes = b"\x0a\x0b\x0c\x0d") -> Turn:
    """A client's frame, its bits as they are."""
    return UP, Frame(**{name: getattr(frame, name) for name in frame.__slots__} | {"masking_key": key}).encode()


def deflated(payload: bytes) -> bytes:
    """A server's payload data, compressed."""
    return Deflater(DeflateParameters(), Side.SERVER).deflate(payload)


def compressed(*turns: Turn) -> list[Turn]:
    """A conversation that agreed on permessage-deflate."""
    offer = Offer(extensions=(Extension(DEFLATE),))
    return [
        (UP, upgrade_request("a", "/echo", KEY, offer.headers)),
        (DOWN, upgrade_response(ACCEPT, (("Sec-WebSocket-Extensions", DEFLATE),))),
        *turns,
    ]


def request(without: str = "", start: str = "GET / HTTP/1.1", **more: str) -> bytes:
    """An opening handshake with one header missing or others added; `_` in a name stands for `-`."""
    lines = {
        "Host": "a", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }  # fmt: skip
    lines |= {name.replace("_", "-"): value for name, value in more.items()}
    lines.pop(without, None)
    return (start + "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n").encode()


def response(without: str = "", **more: str) -> bytes:
    """The answer to an opening handshake, in the same way."""
    lines = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT}
    lines |= {name.replace("_", "-"): value for name, value in more.items()}
    lines.pop(without, None)
    start = "HTTP/1.1 101 Switching Protocols\r\n"
    return (start + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n").encode()


REFUSED = (DOWN, answer("Content-Length: 0\r\n", status="400 Bad Request"))


@dataclass(frozen=True)
class Case:
    """A conversation that breaks a rule.

    Attributes:
        rule: Its id.
        turns: What was said.
        blamed: The bytes that are to blame, where the case says them.
        ended_by: Who ended the TCP connection; None where it goes on.
        also: Rules that the same bytes break besides.
        late: The seconds that pass before the end.
        observer: Whose records they are.
    """

    rule: str
    turns: list[Turn]
    blamed: bytes | None = None
    ended_by: Side | None = None
    also: tuple[str, ...] = ()
    late: float = 0
    observer: Side = Side.SERVER


CASES = (
    # Frames, each by itself
    Case("unmasked-client-frame", after_handshake((UP, b"\x81\x02hi")), b"\x81\x02"),
    Case("masked-server-frame", after_handshake((DOWN, masked(1, b"hi")))),
    Case("reserved-bit", after_handshake(up(Frame(1, b"hi", rsv2=True))), b"\xa1\x82\x0a\x0b\x0c\x0d"),
    Case("reserved-bit", after_handshake(up(Frame(1, b"hi", rsv1=True)))),
    Case("rsv1-on-continuation", compressed(up(Frame(2, fin=False)), up(Frame(0, rsv1=True), b"abcd"))),
    Case("rsv1-on-control", compressed(up(Frame(10, rsv1=True))), also=("unsolicited-pong",)),
    Case("reserved-opcode", after_handshake(up(Frame(3)))),
    Case("reserved-opcode", after_handshake(up(Frame(11)))),
    Case("length-not-minimal", after_handshake(up(Frame(2, b"hi", length_bits=16)))),
    Case("length-top-bit", after_handshake(up(Frame(2, declared_length=1 << 63))), ended_by=END,
         also=("eof-without-close",)),
    Case("control-fragmented", after_handshake(up(Frame(10, fin=False))), also=("unsolicited-pong",)),
    Case("control-too-long", after_handshake(up(Frame(10, bytes(126)))), also=("unsolicited-pong",)),
    Case("close-one-byte", after_handshake((DOWN, b"\x88\x01\x03")), b"\x03"),
    Case("close-code-forbidden", after_handshake((DOWN, b"\x88\x02\x03\xed")), b"\x03\xed"),
    Case("close-reason-utf8", after_handshake((DOWN, b"\x88\x04\x03\xe8a\xff")), b"\xff"),
    # Messages
    Case("unexpected-continuation", after_handshake((UP, masked(0, b"hi")))),
    Case("data-inside-message", after_handshake((UP, masked(1, b"a", fin=False)), (UP, masked(1, b"b")))),
    Case("invalid-utf8", after_handshake((DOWN, b"\x81\x03a\xffb")), b"\xff"),
    Case("invalid-utf8", after_handshake((DOWN, b"\x01\x01\xc3"), (DOWN, b"\x80\x02(x")), b"("),
    Case("invalid-utf8", after_handshake((DOWN, b"\x01\x01\xc3"), (DOWN, b"\x80\x00"))),
    Case("invalid-utf8", compressed((DOWN, Frame(1, deflated(b"a\xff"), rsv1=True).encode())), deflated(b"a\xff")),
    Case("inflate-failed", compressed((DOWN, b"\xc1\x04\xff\xff\xff\xff")), b"\xff\xff\xff\xff"),
    Case("unfinished-message", after_handshake((UP, masked(1, b"a", fin=False)), *CLOSE), ended_by=END),
    Case("unfinished-message", after_handshake((DOWN, plain(1, b"a", fin=False))), ended_by=END,
         also=("eof-without-close",)),
    # The conversation
    Case("masking-key-repeated", after_handshake(up(Frame(1, b"a")), up(Frame(1, b"b"))), b"\x0a\x0b\x0c\x0d"),
    Case("frame-before-answer", [(UP, REQUEST + masked(1, b"a")), (DOWN, RESPONSE)]),
    Case("data-after-close", after_handshake(CLOSE[0], (UP, masked(1, b"late")), CLOSE[1])),
    Case("unanswered-close", after_handshake(CLOSE[0]), ended_by=Side.SERVER),
    Case("unanswered-close", after_handshake(CLOSE[1]), ended_by=Side.CLIENT),
    Case("unanswered-close", after_handshake(CLOSE[1]), ended_by=Side.SERVER, late=2),
    Case("unanswered-ping", after_handshake((UP, masked(9, b"?")), *CLOSE), masked(9, b"?")[:1], ended_by=END),
    Case("unanswered-ping", after_handshake((DOWN, plain(9, b"?")), *CLOSE), ended_by=END, late=2),
    Case("unsolicited-pong", after_handshake((UP, masked(10, b"alive")))),
    Case("unsolicited-pong", after_handshake((UP, masked(9, b"a")), (DOWN, plain(10, b"b")))),
    Case("close-code-not-echoed", after_handshake(CLOSE[0], (DOWN, plain(8, b"\x03\xe9")))),
    Case("eof-without-close", after_handshake((UP, masked(1, b"a"))), ended_by=Side.CLIENT),
    Case("client-ended-first", after_handshake(*CLOSE), ended_by=Side.CLIENT),
    # The opening handshake: the request
    Case("handshake-method", [(UP, request(start="PUT / HTTP/1.1"))], b"PUT / HTTP/1.1"),
    Case("handshake-http-version", [(UP, request(start="GET / HTTP/1.0"))], b"GET / HTTP/1.0"),
    Case("upgrade-missing", [(UP, request("Upgrade"))], b"GET / HTTP/1.1"),
    Case("connection-missing", [(UP, request(Connection="keep-alive"))], b"Connection: keep-alive"),
    Case("key-missing", [(UP, request("Sec-WebSocket-Key"))]),
    Case("key-missing", [(UP, request().replace(b"\r\n\r\n", f"\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode()))]),
    Case("key-invalid", [(UP, request(Sec_WebSocket_Key="short"))], b"Sec-WebSocket-Key: short"),
    Case("websocket-version", [(UP, request(Sec_WebSocket_Version="8"))], b"Sec-WebSocket-Version: 8"),
    Case("websocket-version", [(UP, request("Sec-WebSocket-Version"))]),
    Case("subprotocol-malformed", [(UP, request(Sec_WebSocket_Protocol="a b"))]),
    Case("subprotocol-malformed", [(UP, request(Sec_WebSocket_Protocol="a, b, a"))]),
    Case("extensions-malformed", [(UP, request(Sec_WebSocket_Extensions="a; ;b"))]),
    Case("deflate-offer-invalid", [(UP, request(Sec_WebSocket_Extensions=f"{DEFLATE}; server_max_window_bits=7"))]),
    Case("origin-refused", [(UP, request(Origin="http://x")), (DOWN, answer("", status="403 Forbidden"))],
         also=("answer-status",)),
    # The opening handshake: the answer
    Case("answer-status", [(UP, REQUEST), REFUSED], b"HTTP/1.1 400 Bad Request"),
    Case("answer-upgrade", [(UP, REQUEST), (DOWN, response("Upgrade"))]),
    Case("answer-connection", [(UP, REQUEST), (DOWN, response("Connection"))]),
    Case("accept-missing", [(UP, REQUEST), (DOWN, response("Sec-WebSocket-Accept"))]),
    Case("accept-mismatch", [(UP, REQUEST), (DOWN, response(Sec_WebSocket_Accept="x="))], b"Sec-WebSocket-Accept: x="),
    Case("extension-not-offered", [(UP, REQUEST), (DOWN, response(Sec_WebSocket_Extensions="x"))]),
    Case("extension-answer-invalid",
         [(UP, request(Sec_WebSocket_Extensions=DEFLATE)),
          (DOWN, response(Sec_WebSocket_Extensions=f"{DEFLATE}; client_max_window_bits=9"))]),
    Case("subprotocol-not-offered", [(UP, REQUEST), (DOWN, response(Sec_WebSocket_Protocol="chat"))]),
    Case("subprotocol-declined", [(UP, request(Sec_WebSocket_Protocol="chat")), (DOWN, RESPONSE)]),
    # HTTP/1.1
    Case("start-line-malformed", [(UP, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n")], b"GET /a b HTTP/1.1"),
    Case("status-line-malformed", [(UP, GET), (DOWN, b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n")], b"HTTP/1.1 OK"),
    Case("host-missing", [(UP, b"GET / HTTP/1.1\r\n\r\n")], b"GET / HTTP/1.1"),
    Case("host-missing", [(UP, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")], b"a b"),
    Case("header-value-invalid", [(UP, b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n")], b"\0"),
    Case("host-missing", [(UP, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")], b"Host: b"),
    Case("header-without-colon", [(UP, b"GET / HTTP/1.1\r\nHost: a\r\nwhat\r\n\r\n")], b"what"),
    Case("header-name-invalid", [(UP, b"GET / HTTP/1.1\r\nHost: a\r\n(x): y\r\n\r\n")], b"(x)"),
    Case("space-before-colon", [(UP, b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n")], b"X "),
    Case("header-folded", [(UP, b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n  z\r\n\r\n")], b"  z"),
    Case("content-length-invalid", [(UP, GET), (DOWN, answer("Content-Length: -1\r\n"))], b"Content-Length: -1"),
    Case("length-and-coding",
         [(UP, GET), (DOWN, answer("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"))]),
    Case("chunk-malformed", [(UP, GET), (DOWN, answer("Transfer-Encoding: chunked\r\n", b"x\r\n"))], b"x\r\n"),
    Case("body-short", [(UP, GET), (DOWN, answer("Content-Length: 9\r\n", b"abc"))], b"abc", ended_by=END),
    Case("body-short", [(UP, GET), (DOWN, answer("Transfer-Encoding: chunked\r\n", b"3\r\nab"))], ended_by=END),
    Case("bare-line-feed", [(UP, b"GET / HTTP/1.1\nHost: a\n\n")], b"\n"),
    # Event streams
    Case("stream-status", [(UP, ASK), (DOWN, answer("Content-Length: 0\r\n", status="204 No Content"))], b"204"),
    Case("stream-content-type", [(UP, ASK), (DOWN, answer("Content-Type: text/html\r\nContent-Length: 0\r\n"))],
         b"text/html"),
    Case("stream-charset", [(UP, ASK), (DOWN, answer("Content-Type: text/event-stream; charset=latin-1\r\n"))],
         b"latin-1"),
    Case("stream-utf8", [(UP, ASK), (DOWN, EVENTS), (DOWN, b"data: a\xffb\n\n")], b"\xff"),
    Case("bom-mid-stream", [(UP, ASK), (DOWN, EVENTS), (DOWN, b"data: a\n\n\xef\xbb\xbfdata: b\n\n")], b"\xef\xbb\xbf",
         also=("unknown-field",)),
    Case("unknown-field", [(UP, ASK), (DOWN, EVENTS), (DOWN, b"dat: a\ndata: b\n\n")], b"dat"),
    Case("id-with-nul", [(UP, ASK), (DOWN, EVENTS), (DOWN, b"id: a\0\ndata: b\n\n")], b"\0"),
    Case("retry-not-digits", [(UP, ASK), (DOWN, EVENTS), (DOWN, b"retry: 3s\ndata: b\n\n")], b"3s"),
    Case("event-without-data", [(UP, ASK), (DOWN, EVENTS), (DOWN, b"event: tick\n\n")], b"event: tick"),
    Case("event-unterminated", [(UP, ASK), (DOWN, EVENTS), (DOWN, b"data: a\n")], b"data: a\n", ended_by=END),
)  # fmt: skip

CLEAN: tuple[list[Turn], ...] = (
    after_handshake((UP, masked(1, "hé".encode())), (DOWN, plain(1, b"hi")), *CLOSE),
    after_handshake((UP, masked(1, b"\xc3", fin=False)), (UP, masked(9, b"?")), (DOWN, plain(10, b"?")),
                    (UP, masked(0, b"\xa9")), *CLOSE),
    after_handshake((UP, masked(9, b"1")), (UP, masked(9, b"2")), (DOWN, plain(10, b"2")), *CLOSE),
    after_handshake((UP, masked(8)), (DOWN, plain(8))),
    after_handshake(CLOSE[1], (UP, masked(9, b"?")), CLOSE[0]),
    compressed((DOWN, b"\xc1\x07" + bytes.fromhex("f248cdc9c90700")), (UP, masked(1, b"plain")), *CLOSE),
    compressed((DOWN, b"\x41\x03" + bytes.fromhex("f248cd")), (DOWN, b"\x80\x04" + bytes.fromhex("c9c90700")), *CLOSE),
    [(UP, GET + GET), (DOWN, answer("Content-Length: 2\r\n", b"hi") + answer("Content-Length: 0\r\n"))],
    [(UP, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"), (DOWN, answer("Content-Length: 0\r\n"))],
    [(UP, ASK), (DOWN, EVENTS), (DOWN, b"\xef\xbb\xbf: hello\n\nevent: a\nid: 1\nretry: 5\ndata: b\n\n: bye\n")],
    [(UP, ASK), (DOWN, answer("", status="307 Temporary Redirect"))],
)  # fmt: skip


def found_in(case: Case) -> list[tuple[Finding, Direction | None, Store]]:
    """Record a conversation, and list what the timeline finds in it."""
    store = Store()
    connection = store.open(case.observer, "a:80", "a:5000", "server")
    for way, data in case.turns:
        store.append(connection, way, data)
    if case.ended_by is not None:
        store.started_ns -= int(case.late * 1e9)
        store.note(NoteKind.CLOSED, connection, "closed", by=case.ended_by)
    return [(finding, entry.direction, store) for entry in Timeline(store) for finding in entry.findings]


def ids(found: Iterable[tuple[Finding, Direction | None, Store]]) -> set[str]:
    return {finding.rule.id for finding, _, _ in found}


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.rule}-{at}") for at, case in enumerate(CASES)])
def test_a_broken_rule_is_found(case: Case) -> None:
    """The rule, and nothing that is not broken; the bytes that are to blame."""
    found = found_in(case)
    assert ids(found) == {case.rule, *case.also}
    finding, way, store = next(one for one in found if one[0].rule.id == case.rule)
    if case.blamed is None:
        return
    ways = list(Direction) if way is None else [way]
    data = [store.read(store.connection(1), one, finding.span.start, finding.span.stop) or b"" for one in ways]
    assert any(one.startswith(case.blamed) for one in data), f"{finding} blames {data}"


@pytest.mark.parametrize("turns", CLEAN)
def test_clean_conversations_yield_nothing(turns: list[Turn]) -> None:
    assert found_in(Case("none", turns, ended_by=END)) == []


@pytest.mark.parametrize("observer", list(Side))
def test_no_answer_is_owed_to_a_question_that_its_asker_cut_short(observer: Side) -> None:
    """RFC 6455 §5.5.2: as soon as is practical."""
    for question, sender in ((plain(9, b"?"), Side.SERVER), (masked(9, b"?"), Side.CLIENT)):
        turns = after_handshake((sender.outgoing, question))
        assert "unanswered-ping" not in ids(found_in(Case("", turns, ended_by=sender, observer=observer)))
        found = ids(found_in(Case("", turns, ended_by=sender.peer, observer=observer)))
        assert ("unanswered-ping" in found) == (observer is sender.peer), (
            "nobody knows that a Ping has come but its reader"
        )


PONG = plain(10)


@pytest.mark.parametrize(
    "turns",
    [
        [(UP, masked(9)), (UP, masked(9)), (DOWN, PONG), (DOWN, PONG)],
        [(UP, masked(9, b"a")), (UP, masked(9, b"a")), (UP, masked(9, b"b")),
         (DOWN, plain(10, b"a")), (DOWN, plain(10, b"a")), (DOWN, plain(10, b"b"))],
        [(UP, masked(9, b"1")), (UP, masked(9, b"2")), (DOWN, plain(10, b"2")), (DOWN, plain(10, b"1"))],
        [(UP, masked(9)), (UP, masked(9)), (DOWN, PONG)],
    ],
    ids=["equal", "equal-and-another", "out-of-order", "only-the-latest"],
)  # fmt: skip
def test_pongs_that_answer_pings(turns: list[Turn]) -> None:
    """RFC 6455 §5.5.3: a Pong may answer only the latest Ping, and each may be answered all the same."""
    assert found_in(Case("", after_handshake(*turns, *CLOSE), ended_by=END)) == []


@pytest.mark.parametrize("observer", list(Side))
def test_control_frames_may_follow_ones_own_close(observer: Side) -> None:
    """RFC 6455 §5.5.1, §5.5.2: who has sent a Close, and has received none, answers a Ping."""
    client, server = CLOSE
    crossed = [(DOWN, plain(9, b"?")), client, (UP, masked(10, b"?")), server]
    assert found_in(Case("", after_handshake(*crossed), ended_by=END, observer=observer)) == []
    silent = [(UP, CLOSE[0][1] + masked(9, b"late")), server]
    assert found_in(Case("", after_handshake(*silent), ended_by=END, observer=observer)) == []


def test_closes_that_cross_are_no_answers() -> None:
    """RFC 6455 §5.5.1: each end had sent its own before the other's came."""
    crossed = [(DOWN, plain(8, b"\x03\xe9")), CLOSE[0]]
    assert found_in(Case("", after_handshake(*crossed), ended_by=END)) == []


@pytest.mark.parametrize("status", ["204 No Content", "401 Unauthorized", "404 Not Found", "503 Service Unavailable"])
def test_a_refused_stream_is_worth_a_note(status: str) -> None:
    """WHATWG HTML §9.2.3: nothing binds the server."""
    found = found_in(Case("", [(UP, ASK), (DOWN, answer("Content-Length: 0\r\n", status=status))]))
    assert [(finding.rule.id, finding.severity.value) for finding, _, _ in found] == [("stream-status", "note")]


def test_every_rule_has_its_bytes() -> None:
    """Those that only an endpoint's own bound can tell are shown below."""
    bounds = {"message-too-big", "inflated-too-big", "event-too-big"}
    assert {case.rule for case in CASES} == set(RULES) - bounds
    assert len(RULES) >= 45


def test_the_bounds_of_an_endpoint() -> None:
    """RFC 6455 §10.4."""
    client = WebSocketConnection(Side.CLIENT, max_message=8, deflate=DeflateParameters())
    (failed,) = client.receive_data(b"\x82\x09" + bytes(9))
    assert isinstance(failed, Failed)
    assert failed.error.rule is rules.MESSAGE_TOO_BIG
    client = WebSocketConnection(Side.CLIENT, max_message=100, deflate=DeflateParameters())
    (failed,) = client.receive_data(Frame(2, deflated(bytes(10_000)), rsv1=True).encode())
    assert isinstance(failed, Failed)
    assert failed.error.rule is rules.INFLATED_TOO_BIG
    with pytest.raises(EventStreamError) as caught:
        EventStreamParser(max_event=4).feed(b"data: too long\n\n")
    assert caught.value.finding is not None
    assert caught.value.finding.rule is rules.EVENT_TOO_BIG
