"""Patterns of routes: "/echo", "/chat/{room}", "/item/{id:[0-9]+}", "/files/{path:.+}".

`{name}` stands for one segment, `{name:regex}` for one that the expression matches as a whole; as the last segment it
takes the rest of the path. A path is split at its slashes, then each segment is percent-decoded and matched.
"""

from __future__ import annotations

import re
from enum import IntEnum
from urllib.parse import unquote

from lane_kernel.errors import LaneError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class RouteError(LaneError):
    """A pattern is not one that can be routed."""


class Rank(IntEnum):
    """Which patterns are tried first."""

    STATIC = 0
    NAMED = 1
    EXPRESSION = 2


class Pattern:
    """A pattern that is known to be right.

    Attributes:
        text: The pattern as it was written.
        names: The names of its parameters, in their order.
        rank: Which patterns it is tried after.
    """

    def __init__(self, text: str) -> None:
        """Take a pattern apart.

        Raises:
            RouteError: It is empty, does not begin with "/", repeats a name, has a brace or an expression that is
                wrong, or something that the path of a request never has.
        """
        if not isinstance(text, str):
            raise RouteError(f'a pattern is a str such as "/echo", not {text!r}')
        if not text.startswith("/"):
            raise RouteError(f'pattern {text!r} does not begin with "/": write "/echo" or "/chat/{{room}}"')
        self.text = text
        self._segments = [_Segment(segment, text) for segment in _split(text)]
        self.names = tuple(segment.name for segment in self._segments if segment.name is not None)
        repeated = next((name for name in self.names if self.names.count(name) > 1), None)
        if repeated is not None:
            raise RouteError(f"pattern {text!r} uses a name twice: {repeated}")
        self.rank = max(segment.rank for segment in self._segments)
        self._takes_rest = self._segments[-1].rank is Rank.EXPRESSION

    def match(self, raw_path: str) -> dict[str, str] | None:
        """Match a path as it came.

        Returns:
            The parameters, percent-decoded; None where it does not match.
        """
        if self.rank is Rank.STATIC:
            return {} if decode_path(raw_path) == self.text else None
        parts = raw_path[1:].split("/", len(self._segments) - 1 if self._takes_rest else -1)
        if len(parts) != len(self._segments) or not raw_path.startswith("/"):
            return None
        found: dict[str, str] = {}
        for segment, part in zip(self._segments, parts, strict=True):
            value = unquote(part)
            if not segment.accepts(value):
                return None
            if segment.name is not None:
                found[segment.name] = value
        return found


class _Segment:
    """What stands between two slashes."""

    def __init__(self, text: str, pattern: str) -> None:
        self.name: str | None = None
        self._text = text
        self._expression: re.Pattern[str] | None = None
        if not text.startswith("{") or not text.endswith("}"):
            if "{" in text or "}" in text:
                raise _no_name(text, pattern)
            _refuse_unmatched(text, pattern)
            return
        self.name, colon, expression = text[1:-1].partition(":")
        if not _NAME.fullmatch(self.name) or (colon and not expression):
            raise _no_name(text, pattern)
        if colon:
            try:
                self._expression = re.compile(expression)
            except re.error as error:
                raise RouteError(f"expression {expression!r} of {pattern!r} is wrong: {error}") from error

    @property
    def rank(self) -> Rank:
        """What kind it is."""
        if self.name is None:
            return Rank.STATIC
        return Rank.NAMED if self._expression is None else Rank.EXPRESSION

    def accepts(self, value: str) -> bool:
        """Whether a decoded segment, or the rest of a path, is one of these."""
        if self.name is None:
            return value == self._text
        return bool(value) if self._expression is None else self._expression.fullmatch(value) is not None


def _no_name(segment: str, pattern: str) -> RouteError:
    return RouteError(
        f"segment {segment!r} of {pattern!r} is no name in braces: write {{room}}, or {{id:[0-9]+}} with an expression"
    )


def _refuse_unmatched(segment: str, pattern: str) -> None:
    """Refuse what a decoded path does not have, but by an accident.

    Source: RFC 3986 §3.3.
    """
    if found := re.search(r"[?#]", segment):
        before = pattern[: pattern.index(segment) + found.start()]
        if found.group() == "?":
            why = f"holds a query, which is no part of the path: write {before!r} and take it with @lane.request_query"
        else:
            why = f"holds a fragment, which no client sends: write {before!r}"
        raise RouteError(f"pattern {pattern!r} {why}")
    decoded = unquote(segment)
    if decoded.count("/"):
        raise RouteError(
            f"segment {segment!r} of {pattern!r} has an encoded '/', and segments are decoded before they are matched: "
            f"write `{{name:{re.escape(decoded)}}}`"
        )
    if decoded != segment:
        raise RouteError(
            f"segment {segment!r} of {pattern!r} is percent-encoded, and paths are decoded before they are matched: "
            f"write {pattern.replace(segment, decoded)!r}"
        )


def decode_path(raw_path: str) -> str | None:
    """A path as a static pattern would be written; None where a segment has an encoded slash, since none has."""
    path = unquote(raw_path)
    return path if path.count("/") == raw_path.count("/") else None


def _split(pattern: str) -> list[str]:
    """Cut a pattern at its slashes, except those inside an expression's braces; an escaped brace is none of these."""
    segments, depth, is_escaped = [""], 0, False
    for character in pattern[1:]:
        if not is_escaped:
            depth += {"{": 1, "}": -1}.get(character, 0)
        is_escaped = depth > 0 and character == "\\" and not is_escaped
        if character == "/" and depth <= 0:
            segments.append("")
        else:
            segments[-1] += character
    return segments
