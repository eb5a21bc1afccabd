"""Routes: which handler a path belongs to.

Static patterns come first, then those with `{name}` segments, then those with expressions; each in the order they
were added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from lane_kernel.server.hooks import Run
from lane_kernel.server.log import line_in
from lane_kernel.server.patterns import Pattern, Rank, RouteError, decode_path


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
        shape: The pattern, taken apart.
        kind: What it speaks.
        run: The handler as the pipeline calls it.
        definition: Where the handler was written, or None where that cannot be told.
        generation: Grows when the handler is replaced.
        hits: Requests that came here.
        open: Requests that are being handled now.
        error: The last failure in one line, or None.
        error_line: Where it happened in the source, counted from 1, or None.
    """

    shape: Pattern
    kind: RouteKind
    run: Run
    definition: Definition | None = None
    generation: int = 0
    hits: int = 0
    open: int = 0
    error: str | None = None
    error_line: int | None = None

    @property
    def pattern(self) -> str:
        """The pattern, such as "/chat/{room}"."""
        return self.shape.text

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


class Routes:
    """The routes of a server."""

    def __init__(self) -> None:
        """Begin empty."""
        self._routes: dict[str, Route] = {}
        self._patterned: list[Route] = []

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
            route = self._routes[pattern] = Route(Pattern(pattern), kind, run, definition)
            self._sort()
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
        self._sort()

    def _sort(self) -> None:
        patterned = (route for route in self._routes.values() if route.shape.rank is not Rank.STATIC)
        self._patterned = sorted(patterned, key=lambda route: route.shape.rank)

    def find(self, raw_path: str) -> tuple[Route, dict[str, str]] | None:
        """Find the route of a path as it came, with its parameters: static ones first, expressions last."""
        path = decode_path(raw_path)
        static = None if path is None else self._routes.get(path)
        if static is not None and static.shape.rank is Rank.STATIC:
            return static, {}
        for route in self._patterned:
            parameters = route.shape.match(raw_path)
            if parameters is not None:
                return route, parameters
        return None
