"""The opening handshake, both sides. RFC 6455 §4."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_kernel.wire import rules
from lane_kernel.wire.deflate import Extension
from lane_kernel.wire.handshake import (
    Agreement,
    HandshakeError,
    Offer,
    accept_key,
    agree,
    build_head,
    check_request,
    check_response,
    is_upgrade,
    judge_request,
    judge_response,
    make_key,
    subprotocol_names,
    upgrade_request,
    upgrade_response,
)
from lane_kernel.wire.heads import judge_head
from lane_kernel.wire.http1 import parse_head
from tests.vectors import handshakes as vectors
from tests.vectors.handshakes import ACCEPT, ANSWER, GOOD, KEY, but


def test_accept_key():
    """RFC 6455 §1.3, the example."""
    assert accept_key(KEY) == ACCEPT
    assert accept_key(f" {KEY}\t") == ACCEPT


def test_make_key():
    """RFC 6455 §4.1: 16 random bytes as base64, other ones each time."""
    keys = {make_key() for _ in range(50)}
    assert len(keys) == 50
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


@pytest.mark.parametrize(
    "headers",
    [
        GOOD,
        but(GOOD, "Upgrade", "WebSocket"),
        but(GOOD, "Upgrade", "h2c, websocket"),
        but(GOOD, "Connection", "keep-alive, Upgrade"),
        but(GOOD, "Connection", "keep-alive", "upgrade"),
        tuple((name.upper(), value) for name, value in GOOD),
        (*GOOD, ("Origin", "http://example.com"), ("Sec-WebSocket-Extensions", "permessage-deflate")),
    ],
)
def test_a_good_request(headers):
    """RFC 6455 §4.2.1: names and tokens in any case, among others."""
    assert check_request("GET", "HTTP/1.1", headers) == ACCEPT


@pytest.mark.parametrize("case", vectors.WRONG_REQUESTS, ids=lambda case: case.id)
def test_a_wrong_request(case: vectors.RequestCase):
    """RFC 6455 §4.2.1, §4.4; RFC 9110 §15.5.22: every fault, each with its rule, its header and a reason to act on."""
    faults = list(judge_request(case.method, case.version, case.headers))
    assert tuple((fault.rule.id, fault.header) for fault in faults) == case.faults
    assert case.says in faults[0].text
    if case.status is None:
        check_request(case.method, case.version, case.headers)
        return
    with pytest.raises(HandshakeError) as error:
        check_request(case.method, case.version, case.headers)
    first = next(fault for fault in faults if fault.rule.status is not None)
    assert (error.value.status, error.value.rule, str(error.value)) == (case.status, first.rule, first.text)
    assert error.value.headers == first.answer


def test_every_rule_of_a_request_is_shown():
    """All that the catalogue has on requests, but the origin's, which is left to the server."""
    shown = {rule for case in vectors.WRONG_REQUESTS for rule, _ in case.faults}
    listed = list(rules.RULES)
    part = listed[listed.index("handshake-method") : listed.index("answer-status")]
    assert shown == set(part) - {"origin-refused"}


@pytest.mark.parametrize(
    ("headers", "name", "value"),
    [
        (but(GOOD, "Upgrade"), "Upgrade", "websocket"),
        (but(GOOD, "Upgrade"), "Connection", "Upgrade"),
        (but(GOOD, "Sec-WebSocket-Version", "8"), "Sec-WebSocket-Version", "13"),
        (but(GOOD, "Sec-WebSocket-Version", "8"), "Upgrade", "websocket"),
        (but(GOOD, "Sec-WebSocket-Version", "8"), "Connection", "Upgrade"),
    ],
)
def test_what_426_says(headers, name: str, value: str):
    """RFC 9110 §15.5.22, §7.8: a 426 names the protocol, and Connection says so; RFC 6455 §4.4: and the versions."""
    with pytest.raises(HandshakeError) as error:
        check_request("GET", "HTTP/1.1", headers)
    assert (name, value) in error.value.headers


def test_405_says_what_is_allowed():
    """RFC 9110 §15.5.6."""
    with pytest.raises(HandshakeError) as error:
        check_request("PUT", "HTTP/1.1", GOOD)
    assert error.value.headers == (("Allow", "GET"),)


def test_a_good_answer():
    """RFC 6455 §4.1."""
    check_response(101, "Switching Protocols", ANSWER, KEY)
    check_response(101, "", but(but(ANSWER, "Upgrade", "WebSocket"), "Connection", "keep-alive, upgrade"), KEY)


@pytest.mark.parametrize("case", vectors.WRONG_ANSWERS, ids=lambda case: case.id)
def test_a_wrong_answer(case: vectors.AnswerCase):
    """RFC 6455 §4.1, the last list; RFC 7692 §7.1: every fault; one that is only a note is no reason to refuse it."""
    faults = list(judge_response(case.status, "OK", case.headers, KEY, case.offer))
    assert tuple((fault.rule.id, fault.header) for fault in faults) == case.faults
    assert case.says in faults[0].text
    if not case.is_refused:
        assert check_response(case.status, "OK", case.headers, KEY, case.offer) == Agreement()
        return
    with pytest.raises(HandshakeError) as error:
        check_response(case.status, "OK", case.headers, KEY, case.offer)
    assert (error.value.status, error.value.rule, str(error.value)) == (case.status, faults[0].rule, faults[0].text)


def test_every_rule_of_an_answer_is_shown():
    """All that the catalogue has on answers."""
    shown = {rule for case in vectors.WRONG_ANSWERS for rule, _ in case.faults}
    listed = list(rules.RULES)
    part = listed[listed.index("answer-status") : listed.index("start-line-malformed")]
    assert shown == {*part, "extensions-malformed"}


@pytest.mark.parametrize("case", vectors.REAL_REQUESTS, ids=lambda case: case.id)
def test_a_real_request(case: vectors.RealCase):
    """RFC 6455 §4.1: nothing is found in what programs send."""
    head = parse_head(case.head)
    assert list(judge_head(case.head, head, is_response=False)) == []
    assert list(judge_request(head.method, head.version, head.lines)) == []
    assert check_request(head.method, head.version, head.lines) == ACCEPT
    assert is_upgrade(head.lines)


@pytest.mark.parametrize("case", vectors.REAL_ANSWERS, ids=lambda case: case.id)
def test_a_real_answer(case: vectors.RealCase):
    """RFC 6455 §4.2.2: nothing is found in what servers answer."""
    head = parse_head(case.head)
    assert list(judge_head(case.head, head, is_response=True)) == []
    assert list(judge_response(head.status, head.reason, head.lines, KEY, vectors.REAL_OFFER)) == []
    agreement = check_response(head.status, head.reason, head.lines, KEY, vectors.REAL_OFFER)
    assert agreement.subprotocol in vectors.REAL_OFFER.subprotocols
    assert agreement.deflate is not None


@pytest.mark.parametrize("case", vectors.AGREEMENTS, ids=lambda case: case.id)
def test_agree(case: vectors.AgreementCase):
    """RFC 6455 §4.2.2: what the server chooses, and that the client reads the same from its answer."""
    agreement = agree(case.asked, subprotocols=case.speaks, wishes=case.wishes)
    assert agreement.headers == case.headers
    read = check_response(101, "", (*ANSWER, *agreement.headers), KEY, Offer.of(case.asked))
    assert (read.subprotocol, read.deflate) == (agreement.subprotocol, agreement.deflate)
    assert (agreement.deflate is None) == ("Sec-WebSocket-Extensions" not in dict(agreement.headers))


def test_offer():
    """RFC 6455 §4.1: its header lines, read again."""
    offer = Offer(("a", "b"), (Extension("foo", (("x", "1"), ("y", None))), Extension("bar")))
    assert offer.headers == (
        ("Sec-WebSocket-Protocol", "a, b"),
        ("Sec-WebSocket-Extensions", "foo; x=1; y, bar"),
    )
    assert Offer.of(offer.headers) == offer
    assert Offer().headers == ()
    assert Offer.of(()) == Offer()
    lines = (("sec-websocket-protocol", "a"), ("SEC-WEBSOCKET-PROTOCOL", " b,, c "), ("Sec-WebSocket-Extensions", "="))
    assert Offer.of(lines) == Offer(("a", "b", "c"))


def test_the_two_heads():
    """RFC 6455 §4.1, §4.2.2: what a client asks and a server answers, each accepted by the other's check."""
    request = upgrade_request("example.com:80", "/chat?a=b", KEY, (("Origin", "http://example.com"),))
    assert request == (
        b"GET /chat?a=b HTTP/1.1\r\nHost: example.com:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://example.com\r\n\r\n"
    )
    accept = check_request("GET", "HTTP/1.1", [(line.name, line.value) for line in parse_head(request).headers])
    response = upgrade_response(accept, (("Server", "x"),))
    assert response == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nServer: x\r\n\r\n"
    )
    check_response(101, "", [(line.name, line.value) for line in parse_head(response).headers], KEY)


def test_is_upgrade():
    """RFC 9110 §7.8: a list of protocols, in any case."""
    assert is_upgrade([("upgrade", "a, WebSocket")])
    assert not is_upgrade([("Connection", "websocket"), ("Upgrade", "h2c")])


@pytest.mark.parametrize(
    ("start", "headers", "text"),
    [
        ("GET / HTTP/1.1\r\nX: y", (), "the start line holds a line break"),
        ("GET /\nHTTP/1.1", (), "the start line holds a line break"),
        ("HTTP/1.1 200 \0", (), "the start line holds a line break or NUL"),
        ("GET /€ HTTP/1.1", (), "a character that a head cannot"),
        ("GET / HTTP/1.1", (("A", "b\r\nC: d"),), "header A holds a line break"),
        ("GET / HTTP/1.1", (("A", "b\nC: d"),), "header A holds a line break"),
        ("GET / HTTP/1.1", (("A", "b\rC: d"),), "header A holds a line break"),
        ("GET / HTTP/1.1", (("A", "\0"),), "header A holds a line break or NUL"),
        ("GET / HTTP/1.1", (("A", "€"),), "header A holds a character that a head cannot"),
        ("GET / HTTP/1.1", (("A\r\nB", "c"),), "a header's name is"),
        ("GET / HTTP/1.1", (("A: b", "c"),), "not 'A: b'"),
        ("GET / HTTP/1.1", (("A\n", "c"),), "a header's name is"),
        ("GET / HTTP/1.1", (("", "c"),), "not ''"),
        ("GET / HTTP/1.1", (("é", "c"),), "not 'é'"),
    ],
)
def test_build_head_refuses_injection(start: str, headers, text: str):
    """RFC 9112 §2.1, §11.1: no line, no header and no body may be smuggled in."""
    with pytest.raises(HandshakeError, match=text) as error:
        build_head(start, headers)
    assert error.value.status == 500


@given(st.text(max_size=20), st.lists(st.tuples(st.text(max_size=5), st.text(max_size=20)), max_size=4))
def test_a_head_is_read_as_written(target: str, headers: list[tuple[str, str]]):
    """Whatever is written, is read as just these headers; all else is refused."""
    try:
        data = build_head(f"GET {target} HTTP/1.1", headers)
    except HandshakeError:
        return
    head = parse_head(data)
    assert data.count(b"\n") == len(headers) + 2
    assert [(line.name, line.value) for line in head.headers] == [(name, value.strip(" \t")) for name, value in headers]


def test_names_of_subprotocols_are_a_list():
    assert subprotocol_names(["chat", "mqtt"]) == ("chat", "mqtt")
    for name in ("chat", b"chat"):
        with pytest.raises(TypeError, match="'chat'"):
            subprotocol_names(name)
