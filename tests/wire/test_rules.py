"""The catalogue of rules, spans, and what a finding says."""

from __future__ import annotations

import re

import pytest

from lane_kernel.errors import LaneError
from lane_kernel.sides import Direction, Side
from lane_kernel.wire import rules
from lane_kernel.wire.rules import RULES, Finding, Level, ProtocolError, Rule, Severity
from lane_kernel.wire.spans import Span


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_rule_is_whole(rule: Rule):
    """Each has a clause that can be found, plain words, and a close code that may be sent (RFC 6455 §7.4)."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.id)
    assert re.fullmatch(r"(RFC \d{4}|WHATWG HTML) §\d+(\.\d+)*", rule.clause)
    assert rule.close_code in (None, 1002, 1007, 1009)
    assert rule.status is None or 400 <= rule.status < 600
    assert rule.close_code is None or rule.status is None
    assert rule.consequence.endswith("(demanded)") == rule.is_demanded
    assert not rule.text.endswith(".")
    assert getattr(rules, rule.id.upper().replace("-", "_")) is rule


def test_every_rule_is_in_the_catalogue_once():
    named = [value for value in vars(rules).values() if isinstance(value, Rule)]
    assert list(RULES.values()) == named
    assert len({rule.text for rule in named}) == len(named)


def test_severity():
    """RFC 2119: a MUST broken is an error, a SHOULD a warning."""
    severities = {level: Rule("x", "RFC 6455 §1", level, "x").severity for level in Level}
    assert severities == {
        Level.MUST: Severity.ERROR, Level.SHOULD: Severity.WARNING, Level.MAY: Severity.NOTE, Level.NOTE: Severity.NOTE,
    }  # fmt: skip


def test_a_finding_says_what_where_and_why():
    finding = Finding(rules.RESERVED_BIT, Span(2, 4), "RSV2 set without an extension")
    assert (finding.severity, finding.clause) == (Severity.ERROR, "RFC 6455 §5.2")
    assert str(finding) == (
        "error: RSV2 set without an extension at [2, 4) "
        "(RFC 6455 §5.2: RSV1 to RSV3 are 0 unless an extension gives them a meaning)"
    )


def test_a_protocol_error_says_what_where_and_why():
    error = ProtocolError(rules.INVALID_UTF8, Span(7, 8), "text that is not UTF-8")
    assert isinstance(error, LaneError)
    assert str(error) == "text that is not UTF-8 at bytes [7, 8): text is valid UTF-8 (RFC 6455 §8.1); close code 1007"
    assert ProtocolError(Rule("x", "RFC 6455 §1", Level.MUST, "x"), Span(0, 1), "y").close_code == 1002


def test_span():
    span = Span(3, 5)
    assert len(span) == 2
    assert [at for at in range(8) if at in span] == [3, 4]
    assert str(span) == "[3, 5)"
    assert len(Span(3, 3)) == 0


def test_sides_and_directions():
    """What one end sends reaches the other."""
    for side in Side:
        assert side.peer is not side
        assert side.peer.peer is side
        assert side.outgoing.sender is side
        assert side.incoming is side.peer.outgoing
    assert Side.CLIENT.outgoing is Direction.TO_SERVER
    assert (Direction.TO_SERVER.arrow, Direction.TO_CLIENT.arrow) == ("──►", "◄──")
