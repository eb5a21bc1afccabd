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
    """One thing that a specification asks, or that is worth knowing where it happens.

    Attributes:
        id: A short, stable name, such as "unmasked-client-frame".
        clause: Where it stands, such as "RFC 6455 §5.1".
        level: How strongly it is asked.
        text: What it asks, in plain words.
        close_code: The close code that a WebSocket is customarily failed with, if it is.
        status: The HTTP status that a request that breaks it is customarily answered with, if one is.
        is_demanded: Whether the clause itself demands that code or status; otherwise it is custom.
    """

    id: str
    clause: str
    level: Level
    text: str
    close_code: int | None = None
    status: int | None = None
    is_demanded: bool = False

    @property
    def severity(self) -> Severity:
        """An error for a MUST, a warning for a SHOULD, a note otherwise."""
        return {Level.MUST: Severity.ERROR, Level.SHOULD: Severity.WARNING}.get(self.level, Severity.NOTE)

    @property
    def consequence(self) -> str:
        """What follows for who breaks it: "close code 1002 (customary)" or "status 400 to a request (demanded)"."""
        how = "demanded" if self.is_demanded else "customary"
        if self.close_code is not None:
            return f"close code {self.close_code} ({how})"
        return "" if self.status is None else f"status {self.status} to a request ({how})"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was broken, and where.

    Attributes:
        rule: The rule.
        span: The bytes that break it; empty where it is their absence that does.
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
        self.rule = rule
        self.span = span
        self.text = text
        self.close_code = rule.close_code or 1002
        super().__init__(f"{text} at bytes {span}: {rule.text} ({rule.clause}); close code {self.close_code}")


def _must(id: str, clause: str, text: str, close_code: int | None = 1002) -> Rule:
    return Rule(id, clause, Level.MUST, text, close_code)


def _refused(id: str, clause: str, text: str, status: int, *, is_demanded: bool = False) -> Rule:
    """What a server refuses a request for."""
    return Rule(id, clause, Level.MUST, text, status=status, is_demanded=is_demanded)


def _note(id: str, clause: str, text: str) -> Rule:
    return Rule(id, clause, Level.NOTE, text)


# Frames, each by itself

UNMASKED_CLIENT_FRAME = _must("unmasked-client-frame", "RFC 6455 §5.1", "a client masks every frame")
MASKED_SERVER_FRAME = _must("masked-server-frame", "RFC 6455 §5.1", "a server masks no frame")
RESERVED_BIT = _must("reserved-bit", "RFC 6455 §5.2", "RSV1 to RSV3 are 0 unless an extension gives them a meaning")
RSV1_ON_CONTINUATION = _must(
    "rsv1-on-continuation", "RFC 7692 §6.1", "only the first fragment of a message says that it is compressed"
)
RSV1_ON_CONTROL = _must("rsv1-on-control", "RFC 7692 §6.1", "a control frame is never compressed")
RESERVED_OPCODE = _must("reserved-opcode", "RFC 6455 §5.2", "opcodes 3 to 7 and 11 to 15 are reserved")
LENGTH_NOT_MINIMAL = _must("length-not-minimal", "RFC 6455 §5.2", "the shortest form of the length is used")
LENGTH_TOP_BIT = _must("length-top-bit", "RFC 6455 §5.2", "the top bit of a 64-bit length is 0")
CONTROL_FRAGMENTED = _must("control-fragmented", "RFC 6455 §5.5", "a control frame is not fragmented")
CONTROL_TOO_LONG = _must("control-too-long", "RFC 6455 §5.5", "a control frame carries at most 125 bytes")
CLOSE_ONE_BYTE = _must("close-one-byte", "RFC 6455 §5.5.1", "a Close body is empty or begins with a 2-byte code")
CLOSE_CODE_FORBIDDEN = _must(
    "close-code-forbidden", "RFC 6455 §7.4", "the codes that are sent are 1000 to 1003, 1007 to 1014 and 3000 to 4999"
)
CLOSE_REASON_UTF8 = _must("close-reason-utf8", "RFC 6455 §5.5.1", "a Close reason is valid UTF-8", 1007)

# Messages

UNEXPECTED_CONTINUATION = _must(
    "unexpected-continuation", "RFC 6455 §5.4", "a continuation frame follows the first fragment of a message"
)
DATA_INSIDE_MESSAGE = _must(
    "data-inside-message", "RFC 6455 §5.4", "the fragments of one message are not interleaved with another's"
)
INVALID_UTF8 = _must("invalid-utf8", "RFC 6455 §8.1", "text is valid UTF-8", 1007)
INFLATE_FAILED = _must("inflate-failed", "RFC 7692 §7.2.2", "a compressed message is DEFLATE data", 1007)
MESSAGE_TOO_BIG = Rule(
    "message-too-big", "RFC 6455 §7.4.1", Level.MAY, "an endpoint may refuse a message that is too big for it", 1009
)
INFLATED_TOO_BIG = Rule(
    "inflated-too-big",
    "RFC 6455 §10.4",
    Level.MAY,
    "an endpoint may refuse a message that inflates beyond a bound",
    1009,
)
UNFINISHED_MESSAGE = _note(
    "unfinished-message", "RFC 6455 §5.4", "a message that is unfinished when the connection closes is never delivered"
)

# The conversation

MASKING_KEY_REPEATED = _must(
    "masking-key-repeated", "RFC 6455 §5.3", "a client takes a fresh, unpredictable masking-key for each frame", None
)
FRAME_BEFORE_ANSWER = _must(
    "frame-before-answer",
    "RFC 6455 §4.1",
    "a client sends nothing more until the server has answered its handshake",
    None,
)
DATA_AFTER_CLOSE = _must("data-after-close", "RFC 6455 §5.5.1", "no data frame follows a Close frame")
UNANSWERED_CLOSE = _must("unanswered-close", "RFC 6455 §5.5.1", "a Close is answered by a Close", None)
UNANSWERED_PING = _must(
    "unanswered-ping",
    "RFC 6455 §5.5.2",
    "a Ping is answered by a Pong with its payload; one Pong may answer the latest Ping for all before it",
    None,
)
UNSOLICITED_PONG = _note("unsolicited-pong", "RFC 6455 §5.5.3", "a Pong that answers no Ping is a heartbeat of its own")
CLOSE_CODE_NOT_ECHOED = _note(
    "close-code-not-echoed", "RFC 6455 §5.5.1", "the answer to a Close typically repeats its code"
)
EOF_WITHOUT_CLOSE = Rule(
    "eof-without-close",
    "RFC 6455 §7.3",
    Level.SHOULD,
    "a connection ends with the closing handshake; the end of one without it is reported as 1006",
)
CLIENT_ENDED_FIRST = Rule(
    "client-ended-first",
    "RFC 6455 §7.1.1",
    Level.SHOULD,
    "after the closing handshake the server ends the TCP connection",
)

# The opening handshake: the request

HANDSHAKE_METHOD = _refused("handshake-method", "RFC 6455 §4.1", "the handshake's method is GET", 405)
HANDSHAKE_HTTP_VERSION = _refused("handshake-http-version", "RFC 6455 §4.1", "the handshake takes HTTP/1.1", 505)
UPGRADE_MISSING = _refused("upgrade-missing", "RFC 6455 §4.2.1", "the handshake says Upgrade: websocket", 426)
CONNECTION_MISSING = _refused("connection-missing", "RFC 6455 §4.2.1", "the handshake says Connection: Upgrade", 400)
KEY_MISSING = _refused("key-missing", "RFC 6455 §4.2.1", "the handshake carries one Sec-WebSocket-Key", 400)
KEY_INVALID = _refused("key-invalid", "RFC 6455 §4.2.1", "Sec-WebSocket-Key is 16 bytes as base64", 400)
WEBSOCKET_VERSION = _refused(
    "websocket-version", "RFC 6455 §4.2.2", "Sec-WebSocket-Version is one that the server speaks: 13", 426
)
SUBPROTOCOL_MALFORMED = _refused(
    "subprotocol-malformed", "RFC 6455 §4.1", "subprotocols are tokens, none of them twice", 400
)
EXTENSIONS_MALFORMED = _refused(
    "extensions-malformed", "RFC 6455 §9.1", "Sec-WebSocket-Extensions is a list of names with parameters", 400
)
DEFLATE_OFFER_INVALID = Rule(
    "deflate-offer-invalid",
    "RFC 7692 §7.1",
    Level.MUST,
    "an offer has only parameters that permessage-deflate knows, each once; any other offer is declined",
)
ORIGIN_REFUSED = Rule(
    "origin-refused",
    "RFC 6455 §4.2.2",
    Level.MAY,
    "a server may refuse pages of origins that it does not know",
    status=403,
)

# The opening handshake: the answer

ANSWER_STATUS = _note("answer-status", "RFC 6455 §4.1", "any status but 101 refuses the handshake")
ANSWER_UPGRADE = _must("answer-upgrade", "RFC 6455 §4.1", "the answer says Upgrade: websocket", None)
ANSWER_CONNECTION = _must("answer-connection", "RFC 6455 §4.1", "the answer says Connection: Upgrade", None)
ACCEPT_MISSING = _must("accept-missing", "RFC 6455 §4.1", "the answer carries Sec-WebSocket-Accept", None)
ACCEPT_MISMATCH = _must(
    "accept-mismatch", "RFC 6455 §4.1", "Sec-WebSocket-Accept is derived from the request's key", None
)
EXTENSION_NOT_OFFERED = _must(
    "extension-not-offered", "RFC 6455 §4.1", "the server chooses only extensions that the client offered", None
)
EXTENSION_ANSWER_INVALID = _must(
    "extension-answer-invalid", "RFC 7692 §7.1", "the answer keeps to what the client's offer allows", None
)
SUBPROTOCOL_NOT_OFFERED = _must(
    "subprotocol-not-offered",
    "RFC 6455 §4.1",
    "the server chooses at most one subprotocol, and one that the client asked for",
    None,
)
SUBPROTOCOL_DECLINED = _note(
    "subprotocol-declined",
    "RFC 6455 §4.2.2",
    "a server that speaks none of the subprotocols chooses none; the client decides",
)

# HTTP/1.1

START_LINE_MALFORMED = _refused(
    "start-line-malformed", "RFC 9112 §3", "a request begins with a method, a target and a version", 400
)
STATUS_LINE_MALFORMED = _must(
    "status-line-malformed", "RFC 9112 §4", "a response begins with a version, a status and a reason", None
)
HOST_MISSING = _refused(
    "host-missing",
    "RFC 9112 §3.2",
    "a request carries exactly one Host, the name and port of a server",
    400,
    is_demanded=True,
)
HEADER_WITHOUT_COLON = _refused(
    "header-without-colon", "RFC 9112 §5", "a header line is a name, a colon and a value", 400
)
HEADER_NAME_INVALID = _refused("header-name-invalid", "RFC 9110 §5.1", "a header's name is a token", 400)
SPACE_BEFORE_COLON = _refused(
    "space-before-colon",
    "RFC 9112 §5.1",
    "no white space stands between a header's name and the colon",
    400,
    is_demanded=True,
)
HEADER_VALUE_INVALID = _refused("header-value-invalid", "RFC 9110 §5.5", "a header's value holds no NUL and no CR", 400)
HEADER_FOLDED = _refused("header-folded", "RFC 9112 §5.2", "a header's value is not folded over several lines", 400)
CONTENT_LENGTH_INVALID = _refused(
    "content-length-invalid", "RFC 9112 §6.3", "Content-Length is one whole number", 400, is_demanded=True
)
LENGTH_AND_CODING = _refused(
    "length-and-coding", "RFC 9112 §6.2", "a message has Content-Length or Transfer-Encoding, not both", 400
)
CHUNK_MALFORMED = _refused(
    "chunk-malformed", "RFC 9112 §7.1", "a chunk is its size, a line break, so many bytes, a line break", 400
)
BODY_SHORT = _must("body-short", "RFC 9112 §8", "a body is as long as its head says", None)
BARE_LINE_FEED = Rule("bare-line-feed", "RFC 9112 §2.2", Level.MAY, "lines end with CR LF; a reader may take LF alone")

# Event streams

STREAM_STATUS = _note(
    "stream-status",
    "WHATWG HTML §9.2.3",
    "a status other than 200 is no event stream; after 204 no client comes again",
)
STREAM_CONTENT_TYPE = _note(
    "stream-content-type", "WHATWG HTML §9.2.3", "an answer that is no text/event-stream is no event stream"
)
STREAM_CHARSET = _note(
    "stream-charset", "WHATWG HTML §9.2.5", "an event stream is always UTF-8, whatever its charset says"
)
STREAM_UTF8 = _must(
    "stream-utf8",
    "WHATWG HTML §9.2.5",
    "an event stream is UTF-8; wrong bytes are read as replacement characters",
    None,
)
BOM_MID_STREAM = _note(
    "bom-mid-stream",
    "WHATWG HTML §9.2.5",
    "a byte order mark is skipped only at the start; later it is part of its line",
)
UNKNOWN_FIELD = _note("unknown-field", "WHATWG HTML §9.2.6", "fields other than data, event, id and retry are ignored")
ID_WITH_NUL = _note("id-with-nul", "WHATWG HTML §9.2.6", "an id that holds NUL is ignored")
RETRY_NOT_DIGITS = _note("retry-not-digits", "WHATWG HTML §9.2.6", "a retry that is not only ASCII digits is ignored")
EVENT_WITHOUT_DATA = _note(
    "event-without-data", "WHATWG HTML §9.2.6", "a block that sets a type but has no data dispatches nothing"
)
EVENT_UNTERMINATED = _note(
    "event-unterminated", "WHATWG HTML §9.2.6", "an event whose empty line never came is not dispatched"
)
EVENT_TOO_BIG = Rule(
    "event-too-big", "WHATWG HTML §9.2.6", Level.MAY, "a reader may refuse an event that is too big for it"
)

RULES: dict[str, Rule] = {rule.id: rule for rule in list(globals().values()) if isinstance(rule, Rule)}
"""Every rule by its id."""
