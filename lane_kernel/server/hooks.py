"""A stage of a request's way: a class with `handle(stream, ctx)`, answering a `Status`; and when each one runs.

accept → read the request → request middleware, in order → the matched route → response middleware, in order →
keep-alive? → the next request
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from types import FunctionType
from typing import TYPE_CHECKING

from lane_kernel.errors import LaneError

if TYPE_CHECKING:
    from lane_kernel.server.context import Context
    from lane_kernel.server.stream import Stream


class Status(Enum):
    """What a hook answers.

    Attributes:
        CONTINUE: Go on to the next stage.
        REJECT: This was the last stage for this request.
    """

    CONTINUE = "continue"
    REJECT = "reject"


class ServerHook:
    """A handler in Hyperlane's form. A new object is made for each request.

        @server.route("/hello")
        class Hello(lane.ServerHook):
            async def handle(self, stream, ctx):
                await stream.send(ctx.response.set_body("hello").build())
                return lane.Status.CONTINUE

    A subclass may take more parameters in `handle` than `stream` and `ctx` where its attributes fill them.
    """

    def __init__(self, stream: Stream, ctx: Context) -> None:
        """Prepare for one request; Hyperlane calls this `new`."""

    async def handle(self, stream: Stream, ctx: Context) -> Status:
        """Handle the request."""
        raise NotImplementedError(f"{type(self).__name__} has no `async def handle(self, stream, ctx)`")


_PLAIN = (str, bytes, int, float)

Run = Callable[["Stream", "Context"], Awaitable[Status]]
"""A handler as the pipeline calls it, whatever form it was written in."""


class HookError(LaneError):
    """A hook cannot be what it was registered for."""


class HookKind(Enum):
    """When a hook runs, besides the route's own.

    Attributes:
        REQUEST_MIDDLEWARE: Before the route.
        RESPONSE_MIDDLEWARE: After the route, unless something rejected.
        TASK_PANIC: Where a hook or a handler raised; `ctx.task_panic_data` says what.
        REQUEST_ERROR: Where a request could not be read; `ctx.request_error_data` says why.
    """

    REQUEST_MIDDLEWARE = "request middleware"
    RESPONSE_MIDDLEWARE = "response middleware"
    TASK_PANIC = "task panic hook"
    REQUEST_ERROR = "request error hook"


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook and when it runs.

    Attributes:
        kind: At which stage.
        name: Its name; a hook of the same kind and name replaces it, so that a cell can be run again.
        run: The hook as the pipeline calls it.
        order: Its place among those of its kind: those without one come first, in the order they were added.
        made: The class or function that it was made of.
    """

    kind: HookKind
    name: str
    run: Run
    order: int | None = None
    made: object = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"


class Hooks:
    """The hooks of a server, by kind and in their order."""

    def __init__(self) -> None:
        """Begin empty."""
        self._hooks: dict[HookKind, tuple[Hook, ...]] = dict.fromkeys(HookKind, ())

    def of(self, kind: HookKind) -> tuple[Hook, ...]:
        """The hooks of one kind, in the order they run."""
        return self._hooks[kind]

    def put(self, hook: Hook) -> Hook | None:
        """Add a hook, or replace the one of its kind and name where that stands; answer the one that was there."""
        hooks = list(self._hooks[hook.kind])
        at = next((index for index, other in enumerate(hooks) if other.name == hook.name), len(hooks))
        replaced = hooks[at] if at < len(hooks) else None
        hooks[at : at + 1] = [hook]
        self._hooks[hook.kind] = tuple(sorted(hooks, key=_place))
        return replaced

    def remove(self, name: str) -> None:
        """Remove the hooks of a name.

        Raises:
            HookError: There is none.
        """
        if all(hook.name != name for hooks in self._hooks.values() for hook in hooks):
            names = ", ".join(hook.name for hooks in self._hooks.values() for hook in hooks)
            raise HookError(f"there is no hook {name!r}: the hooks are {names or 'none'}")
        for kind, hooks in self._hooks.items():
            self._hooks[kind] = tuple(hook for hook in hooks if hook.name != name)


def is_another(old: object, new: object) -> bool:
    """Whether of two hooks of one name the second is not the first, defined again.

    A cell that runs again compiles its functions again. Where both have one code object, a factory has made them: they
    are the same where they enclose the same.
    """
    before, after = _function_of(old), _function_of(new)
    if before is None or after is None or before.__code__ is not after.__code__:
        return False
    return before is not after and not all(map(_is_same, _enclosed(before), _enclosed(after)))


def _function_of(made: object) -> FunctionType | None:
    function = getattr(made, "handle", made) if inspect.isclass(made) else made
    function = inspect.unwrap(function) if callable(function) else None
    return function if isinstance(function, FunctionType) else None


def _enclosed(function: FunctionType) -> list[object]:
    """What a function has from around it; its code says how many values these are."""
    enclosed = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            enclosed.append(cell.cell_contents)
        except ValueError:  # a name that is bound later, such as the function's own
            enclosed.append(None)
    return enclosed


def _is_same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, _PLAIN) and type(one) is type(other) and one == other)


def _place(hook: Hook) -> tuple[bool, int]:
    return hook.order is not None, hook.order or 0
