"""Routes: which handler a path belongs to.

Static patterns come first, then those with `{name}` segments, in the order they were added.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lane_kernel.errors import LaneError
from lane_kernel.server.hooks import Status
from lane_kernel.server.log import line_in

if TYPE_CHECKING:
    from lane_kernel.server.context import Context
    from lane_kernel.server.stream import Stream

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

Run = Callable[["Stream", "Context"], Awaitable[Status]]
"""A handler as the pipeline calls it, whatever form it was written in."""


class RouteError(LaneError):
    """A pattern is not one that can be routed."""


class RouteKind(Enum):
    """What a route speaks."""

    WEBSOCKET = "ws"
    EVENTS = "sse"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Definition:
    """Where a handler was written.

    Attributes:
        text: Its source text, decorators included.
        filename: The file, cell or editor that a traceback names.
        first_line: The line of that file which the text begins on, from 1.
    """

    text: str
    filename: str
    first_line: int = 1


@dataclass(slots=True, eq=False)
class Route:
    """A pattern and its handler.

    Attributes:
        pattern: The pattern, such as "/chat/{room}".
        kind: What it speaks.
        run: The handler as the pipeline calls it.
        definition: Where the handler was written, or None where that cannot be told.
        generation: Grows when the handler is replaced.
        hits: Requests that came here.
        open: Requests that are being handled now.
        error: The last failure in one line, or None.
        error_line: Where it happened in the source, counted from 1, or None.
    """

    pattern: str
    kind: RouteKind
    run: Run
    definition: Definition | None = None
    generation: int = 0
    hits: int = 0
    open: int = 0
    error: str | None = None
    error_line: int | None = None
    _expression: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the pattern."""
        self._expression = compile_pattern(self.pattern)

    @property
    def source(self) -> str | None:
        """The handler's source text, or None where it cannot be had."""
        return None if self.definition is None else self.definition.text

    def line_of(self, error: BaseException) -> int | None:
        """The line of the handler's source, from 1, that an error came from, or None."""
        if self.definition is None:
            return None
        line = line_in(error, self.definition.filename)
        return None if line is None else line - self.definition.first_line + 1

    @property
    def is_static(self) -> bool:
        """Whether the pattern has no `{name}`."""
        return "{" not in self.pattern

    def match(self, raw_path: str) -> dict[str, str] | None:
        """Match a path as it came; the parameters are percent-decoded."""
        found = self._expression.fullmatch(raw_path if not self.is_static else unquote(raw_path))
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a pattern to a regular expression over paths.

    Raises:
        RouteError: It is empty, does not begin with "/", repeats a name, or has a brace that is no `{name}`.
    """
    if not isinstance(pattern, str):
        raise RouteError(f'a pattern is a str, not {pattern!r}: write @server.websocket("/echo"), with the path')
    if not pattern.startswith("/"):
        raise RouteError(f'pattern {pattern!r} does not begin with "/": write "/echo" or "/chat/{{room}}"')
    parts: list[str] = []
    for segment in pattern.split("/"):
        named = _NAME.fullmatch(segment)
        if named is None and ("{" in segment or "}" in segment):
            raise RouteError(f"segment {segment!r} of {pattern!r} is no name in braces: write {{room}}")
        parts.append(f"(?P<{named[1]}>[^/]+)" if named else re.escape(segment))
    try:
        return re.compile("/".join(parts))
    except re.error as error:
        raise RouteError(f"pattern {pattern!r} uses a name twice: {error}") from error


class Routes:
    """The routes of a server."""

    def __init__(self) -> None:
        """Begin empty."""
        self._routes: dict[str, Route] = {}

    def __iter__(self) -> Iterator[Route]:
        return iter(tuple(self._routes.values()))

    def get(self, pattern: str) -> Route | None:
        """The route of a pattern, or None."""
        return self._routes.get(pattern)

    def put(self, pattern: str, kind: RouteKind, run: Run, definition: Definition | None) -> Route:
        """Add a route, or give the one of that pattern another handler.

        Raises:
            RouteError: The pattern cannot be routed.
        """
        route = self._routes.get(pattern)
        if route is None:
            route = self._routes[pattern] = Route(pattern, kind, run, definition)
            return route
        route.kind, route.run, route.definition = kind, run, definition
        route.generation += 1
        route.error = route.error_line = None
        return route

    def remove(self, pattern: str) -> None:
        """Remove a route.

        Raises:
            RouteError: There is none of that pattern.
        """
        if pattern not in self._routes:
            raise RouteError(f"there is no route {pattern!r}: the routes are {', '.join(self._routes) or 'none'}")
        del self._routes[pattern]

    def find(self, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """Find the route of a path, with its parameters: static ones first."""
        for route in sorted(self._routes.values(), key=lambda route: not route.is_static):
            parameters = route.match(raw_path)
            if parameters is not None:
                return route, parameters
        return None
