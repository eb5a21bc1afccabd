"""Handlers from source text: compiled, run beside the notebook's names, and swapped in whole or not at all."""

from __future__ import annotations

import ast
import builtins
import inspect
import itertools
import linecache
import textwrap
import traceback
from collections.abc import Mapping
from types import CodeType
from typing import TYPE_CHECKING, Any

from lane_kernel.errors import LaneError
from lane_kernel.server.hooks import Hook
from lane_kernel.server.log import line_in
from lane_kernel.server.routes import Definition, Route

if TYPE_CHECKING:
    from lane_kernel.server.registry import Registry

_versions = itertools.count(1)


class HandlerError(LaneError):
    """Source text that makes no handler.

    Attributes:
        message: What is wrong, in one line.
        line: The line of the text it is on, from 1, or None.
        traceback: The traceback, without our own frames.
    """

    def __init__(self, message: str, line: int | None = None, traceback: str = "") -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.message = message
        self.line = line
        self.traceback = traceback or message


class _Builtins(dict[str, Any]):
    """What a handler's text finds after its own names: the notebook's as they are when asked for, then Python's.

    They stand in for the builtins and not for the globals, since a class's body asks globals as a plain dict.
    """

    def __init__(self, outer: Mapping[str, Any]) -> None:
        # The names that Python itself asks for, some of them as of a plain dict.
        super().__init__({name: value for name, value in vars(builtins).items() if name.startswith("__")})
        self._outer = outer

    def __missing__(self, key: str) -> Any:
        return self._outer[key] if key in self._outer else vars(builtins)[key]


def apply(server: Registry, pattern: str, source: str, namespace: Mapping[str, Any] | None = None) -> Route:
    """Compile and run a handler's source, and swap it in.

    Args:
        server: The server.
        pattern: The route it is for, where the text has no decorator that says so.
        source: The text: a decorated handler, or a bare one whose parameters tell its kind.
        namespace: Names that the text may use, such as the notebook's.

    Raises:
        HandlerError: The text has a mistake. Nothing has changed.
    """
    filename = f"<handler {pattern} #{next(_versions)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    names = {"__builtins__": _Builtins(namespace or {}), "__name__": "lane_handlers", "server": server}
    try:
        with server.staging() as staged:
            exec(compile(source, filename, "exec"), names)  # noqa: S102 - running a person's handlers is what this is for
            if not staged:
                _register_bare(server, pattern, names, filename)
            elif all(isinstance(item, Hook) for item in staged):
                raise HandlerError(
                    "the text defines hooks, and no handler that a decorator routes: write "
                    f"`@server.websocket({pattern!r})` or another above it"
                )
    except (Exception, SystemExit) as error:
        failure = _explain(error, filename)
        linecache.cache.pop(filename, None)
        raise failure from error
    definition = Definition(source, filename)
    for hook in staged:
        if isinstance(hook, Hook):
            server.commit_hook(hook)
    routes = [server.commit(item, definition) for item in staged if not isinstance(item, Hook)]
    return next((route for route in routes if route.pattern == pattern), routes[-1])


def _register_bare(server: Registry, pattern: str, names: Mapping[str, Any], filename: str) -> None:
    """Register the last handler that the text defines, told by its form."""
    made = [value for value in dict(names).values() if (code := _code_of(value)) and code.co_filename == filename]
    if not made:
        raise HandlerError("the text defines no handler: write `async def echo(ws): …`")
    handler = made[-1]
    if inspect.isclass(handler):
        server.route(pattern)(handler)
        return
    parameters = list(inspect.signature(handler).parameters)
    if parameters[:1] == ["ws"]:
        server.websocket(pattern)(handler)
    elif parameters[:1] == ["events"]:
        server.events(pattern)(handler)
    elif parameters[:2] == ["stream", "ctx"]:
        server.route(pattern)(handler)
    else:
        code = _code_of(handler)
        raise HandlerError(
            f"{handler.__name__}({', '.join(parameters)}) does not tell what it speaks: "
            "name its first parameter ws or events, or its first two stream and ctx",
            None if code is None else code.co_firstlineno,
        )


def _explain(error: Exception | SystemExit, filename: str) -> HandlerError:
    if isinstance(error, HandlerError):
        return error
    if isinstance(error, SyntaxError) and error.filename == filename:
        text = "".join(traceback.format_exception_only(error))
        return HandlerError(f"{type(error).__name__}: {error.msg}", error.lineno, text)
    frames = traceback.extract_tb(error.__traceback__)
    first = next((index for index, frame in enumerate(frames) if frame.filename == filename), None)
    shown = traceback.format_list(frames[first:]) if first is not None else []
    text = "".join([*shown, *traceback.format_exception_only(error)])
    message = str(error) if isinstance(error, LaneError) else f"{type(error).__name__}: {error}"
    return HandlerError(message, line_in(error, filename), text)


def _code_of(handler: object) -> CodeType | None:
    """The code of a handler: a function's own, a class's `handle`."""
    function = inspect.unwrap(getattr(handler, "handle", handler)) if inspect.isclass(handler) else handler
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def definition_of(handler: object) -> Definition | None:
    """Find where a handler was written, in a file or a notebook's cell.

    Returns:
        Its source with its decorators, or None where the source cannot be had.
    """
    code = _code_of(handler)
    if code is None:
        return None
    lines = linecache.getlines(code.co_filename)
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None
    name = getattr(handler, "__name__", "")
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name != name:
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        if first <= code.co_firstlineno <= (node.end_lineno or first):
            text = textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
            return Definition(text, code.co_filename, first)
    return None
