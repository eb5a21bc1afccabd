"""The rules that traffic can break: which clause asks what, and how a connection that breaks it is customarily ended.

A strict reader raises `ProtocolError` with the rule; a lenient one, such as the timeline, attaches a `Finding` to
what it was reading and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lane_kernel.errors import LaneError
from lane_kernel.wire.spans import Span


class Level(Enum):
    """How strongly a clause asks.

    Source: RFC 2119.
    """

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    NOTE = "note"


class Severity(Enum):
    """How much a finding matters to the conversation it was found in."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a specification asks.

    Attributes:
        id: A short, stable name, such as "unmasked-client-frame".
        clause: Where it stands, such as "RFC 6455 §5.1".
        level: How strongly it is asked.
        text: What it asks, in plain words.
        close_code: The close code that an endpoint customarily fails the connection with.
    """

    id: str
    clause: str
    level: Level
    text: str
    close_code: int | None = None

    @property
    def severity(self) -> Severity:
        """An error for a MUST, a warning for a SHOULD, a note otherwise."""
        return {Level.MUST: Severity.ERROR, Level.SHOULD: Severity.WARNING}.get(self.level, Severity.NOTE)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was broken, and where.

    Attributes:
        rule: The rule.
        span: The bytes that break it.
        text: What was seen there.
    """

    rule: Rule
    span: Span
    text: str

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return self.rule.severity

    @property
    def clause(self) -> str:
        """Where the rule stands."""
        return self.rule.clause

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.text} at {self.span} ({self.rule.clause}: {self.rule.text})"


class ProtocolError(LaneError):
    """The peer broke a rule, and the connection has to be failed.

    Attributes:
        rule: The rule that was broken.
        close_code: The close code to fail the connection with.
        span: The bytes that break it.
    """

    def __init__(self, rule: Rule, span: Span, text: str) -> None:
        super().__init__(f"{text} at bytes {span}: {rule.text} ({rule.clause}); close code {rule.close_code}")
        self.rule = rule
        self.span = span
        self.text = text
        self.close_code = rule.close_code or 1002


def _must(id: str, clause: str, text: str, close_code: int = 1002) -> Rule:
    return Rule(id, clause, Level.MUST, text, close_code)


UNMASKED_CLIENT_FRAME = _must("unmasked-client-frame", "RFC 6455 §5.1", "a client masks every frame")
MASKED_SERVER_FRAME = _must("masked-server-frame", "RFC 6455 §5.1", "a server masks no frame")
RESERVED_BIT = _must("reserved-bit", "RFC 6455 §5.2", "RSV1 to RSV3 are 0 unless an extension gives them a meaning")
RESERVED_OPCODE = _must("reserved-opcode", "RFC 6455 §5.2", "opcodes 3 to 7 and 11 to 15 are reserved")
LENGTH_NOT_MINIMAL = _must("length-not-minimal", "RFC 6455 §5.2", "the shortest form of the length is used")
LENGTH_TOP_BIT = _must("length-top-bit", "RFC 6455 §5.2", "the top bit of a 64-bit length is 0")
CONTROL_FRAGMENTED = _must("control-fragmented", "RFC 6455 §5.5", "a control frame is not fragmented")
CONTROL_TOO_LONG = _must("control-too-long", "RFC 6455 §5.5", "a control frame carries at most 125 bytes")
UNEXPECTED_CONTINUATION = _must(
    "unexpected-continuation", "RFC 6455 §5.4", "a continuation frame follows the first fragment of a message"
)
DATA_INSIDE_MESSAGE = _must(
    "data-inside-message", "RFC 6455 §5.4", "the fragments of one message are not interleaved with another's"
)
INVALID_UTF8 = _must("invalid-utf8", "RFC 6455 §8.1", "text is valid UTF-8", 1007)
CLOSE_ONE_BYTE = _must("close-one-byte", "RFC 6455 §5.5.1", "a Close body is empty or begins with a 2-byte code")
CLOSE_CODE_FORBIDDEN = _must(
    "close-code-forbidden", "RFC 6455 §7.4", "codes below 1000, 1004 to 1006 and 1015 to 2999 are not sent"
)
CLOSE_REASON_UTF8 = _must("close-reason-utf8", "RFC 6455 §5.5.1", "a Close reason is valid UTF-8", 1007)
DATA_AFTER_CLOSE = _must("data-after-close", "RFC 6455 §5.5.1", "nothing follows a Close frame")
MESSAGE_TOO_BIG = Rule(
    "message-too-big", "RFC 6455 §7.4.1", Level.MAY, "an endpoint may refuse a message that is too big for it", 1009
)

RULES: dict[str, Rule] = {rule.id: rule for rule in list(globals().values()) if isinstance(rule, Rule)}
"""Every rule by its id."""
