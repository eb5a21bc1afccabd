"""The handlers panel: routes, the editor of one handler, and what the handlers said and how they failed."""

from __future__ import annotations

import hashlib
from typing import Any

import traitlets
from IPython import get_ipython

from lane_kernel.errors import LaneError
from lane_kernel.panels.base import Panel, PanelError, bundle
from lane_kernel.server import HandlerError, LogRecord, Route, Server

EDITOR = "editor.js"
"""The editor's bundle: large, so each page asks for it once, and no notebook is saved with it."""

TEMPLATE = """\
async def handler(ws):
    async for message in ws:
        await ws.send(message)
"""
"""What a new route begins with."""

_POLL = 0.1
_RECORDS = 200
_NOT_RUNNING = (
    "The server is not running: run `await server.start()` in a cell. Handlers can be applied before it runs."
)
_NO_ROUTES = "No routes yet: name one below, write its handler, and press Apply."


class HandlersPanel(Panel):
    """The routes of a server, a Python editor that swaps a handler while connections stay open, and the handlers' log.

    The log has what handlers print, log and raise, the tasks they leave running, and what blocked the loop.

    Attributes:
        server: Whose handlers.
        pattern: The route in the editor.
        source: The source text in the editor, as it was last opened or applied.
        mistake: Why the last Apply failed: line, message, traceback and what stays; None where it did not.
    """

    pattern = traitlets.Unicode("/echo").tag(sync=True)
    source = traitlets.Unicode(TEMPLATE).tag(sync=True)
    mistake: Any = traitlets.Dict(None, allow_none=True).tag(sync=True)
    editor_version = traitlets.Unicode().tag(sync=True)

    def __init__(self, server: Server) -> None:
        """Show a server's handlers.

        Args:
            server: Whose handlers.
        """
        super().__init__("handlers", editor_version=hashlib.sha256(bundle(EDITOR).encode()).hexdigest()[:16])
        self.server = server
        self._seen: object = None
        self._logged = 0
        first = next((route.pattern for route in server.routes if route.source is not None), None)
        if first is not None:
            self.edit(first)
        self.while_watched(_POLL, self._poll)

    def edit(self, pattern: str) -> None:
        """Put a route's handler into the editor, as a click on the route does.

        Args:
            pattern: The route's pattern.

        Raises:
            PanelError: There is no such route.
        """
        route = self._route(pattern)
        if route is None:
            known = ", ".join(route.pattern for route in self.server.routes) or "none"
            raise PanelError(f"there is no route {pattern!r}: the routes are {known}")
        self.pattern = pattern
        self.source = (
            route.source or f"# The source of {pattern} cannot be had. What is applied here takes its place.\n"
        )
        self.mistake = None
        self.send({"type": "opened"})

    def new(self) -> None:
        """Begin a handler for a new route, as the button does."""
        taken = {route.pattern for route in self.server.routes}
        number = 1
        while f"/new{number}" in taken:
            number += 1
        self.pattern = f"/new{number}"
        self.source = TEMPLATE
        self.mistake = None
        self.send({"type": "opened"})

    def apply(self, source: str | None = None, pattern: str | None = None) -> Route:
        """Swap the handler, as Apply does; connections stay open, and their next message goes to the new handler.

        Args:
            source: The new source text; what is in the editor by default.
            pattern: The route; the one in the editor by default.

        Returns:
            The route.

        Raises:
            HandlerError: The source does not make a handler; the old one stays, and the panel shows why.
            LaneError: The pattern cannot be routed.
        """
        route = self._apply(self.pattern if pattern is None else pattern, self.source if source is None else source)
        self.send({"type": "opened"})
        return route

    def heard(self, content: dict[str, Any]) -> None:
        """Do what a person pressed on the page."""
        kind = content.get("type")
        if kind == "hello":
            self._post_state()
            self._post_log(max(0, self.server.log.total - _RECORDS))
        elif kind == "editor":
            self.send({"type": "editor"}, [bundle(EDITOR).encode()])
        elif kind == "open":
            self.edit(str(content["pattern"]))
        elif kind == "new":
            self.new()
        elif kind == "apply":
            self._apply_from_page(str(content["pattern"]), str(content["source"]))

    def _route(self, pattern: str) -> Route | None:
        return next((route for route in self.server.routes if route.pattern == pattern), None)

    def _apply_from_page(self, pattern: str, source: str) -> None:
        try:
            route = self._apply(pattern, source)
        except LaneError:
            # Shown by the panel, at its line.
            self.send({"type": "result", "text": "not applied"})
            return
        if route.pattern != pattern:
            # The text's own decorator says where it belongs.
            self.pattern = route.pattern
            self.send({"type": "opened"})
        self.send({"type": "result", "text": f"applied to {route.pattern}"})

    def _apply(self, pattern: str, source: str) -> Route:
        existed = self._route(pattern) is not None
        self.pattern, self.source = pattern, source
        try:
            route = self.server.apply(pattern, source, _notebook_names())
        except LaneError as error:
            self._show_mistake(error, existed=existed)
            raise
        self.mistake = None
        return route

    def _show_mistake(self, error: LaneError, *, existed: bool) -> None:
        of_source = isinstance(error, HandlerError)
        self.mistake = {
            "line": error.line if isinstance(error, HandlerError) else None,
            "message": error.message if isinstance(error, HandlerError) else str(error),
            "traceback": error.traceback if isinstance(error, HandlerError) else "",
            "kept": "The old handler goes on." if existed and of_source else "Nothing was changed.",
        }

    def _poll(self) -> None:
        if self._seen == self._look():
            return
        self._post_state()
        if self.server.log.total > self._logged:
            self._post_log(self._logged)

    def _look(self) -> object:
        return self.server.revision, [(route.hits, route.open, route.error) for route in self.server.routes]

    def _post_state(self) -> None:
        self._seen = self._look()
        routes = [
            {
                "pattern": route.pattern,
                "kind": route.kind.value,
                "hits": route.hits,
                "open": route.open,
                "error": route.error,
                "editable": route.source is not None,
            }
            for route in self.server.routes
        ]
        hint = "" if self.server.running else _NOT_RUNNING
        self.send({"type": "state", "routes": routes, "hint": hint if routes or hint else _NO_ROUTES})

    def _post_log(self, since: int) -> None:
        log = self.server.log
        self._logged = log.total
        count = min(log.total - since, len(log.records), _RECORDS)
        records = list(log.records)[len(log.records) - count :]
        self.send({"type": "log", "first": log.total - count, "records": [_record(record) for record in records]})


def _record(record: LogRecord) -> dict[str, Any]:
    return {
        "time": record.time_ns,
        "route": record.route,
        "connection": record.connection,
        "level": record.level,
        "text": record.text,
        "line": record.line,
        "traceback": record.traceback,
        "source": record.source,
    }


def _notebook_names() -> dict[str, Any] | None:
    """The notebook's own names, which handlers may use; None outside a notebook."""
    shell = get_ipython()
    return None if shell is None else shell.user_ns
