"""The attributes of a handler, in written order, and the one runner that runs them.

Each decorator records its step; putting one on a handler makes the plan anew: which steps run before the loop, which
for each of its turns, which after. So that a turn costs its steps and the body, and nothing is decided in it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from lane_kernel.errors import LaneError
from lane_kernel.server.hooks import Status

if TYPE_CHECKING:
    from lane_kernel.server.context import Context
    from lane_kernel.server.stream import Stream

_GIVEN = ("self", "stream", "ctx")


class AttributeUseError(LaneError):
    """An attribute stands where it cannot work, or was given what it cannot use."""


class Place(Enum):
    """When an attribute's step runs.

    Attributes:
        BEFORE: Before the body.
        LOOP: Before each turn of what is written below it.
        AFTER: After the body.
    """

    BEFORE = "before"
    LOOP = "loop"
    AFTER = "after"


@dataclass(slots=True)
class Call:
    """One run of a handler.

    Attributes:
        stream: The connection.
        ctx: The request's context.
        body: The handler's body.
        extracted: What attributes hand to the body, by parameter name.
        status: What the handler answers.
        turns: How often the loop has turned.
    """

    stream: Stream
    ctx: Context
    body: Callable[..., Awaitable[Status | None]]
    extracted: dict[str, Any] = field(default_factory=dict)
    status: Status = Status.CONTINUE
    turns: int = 0


Step = Callable[[Call], bool | Awaitable[bool]]
"""What an attribute does. False ends what it stands in: before the body the body is not run, in a loop it turns no
more, after the body nothing follows. A step that waits for something answers an awaitable."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """What one decorator does.

    Attributes:
        name: The decorator's name.
        place: When it runs.
        step: What it does.
        variables: The parameters of the body that it fills.
        route_params: The route's parameters that it asks for.
    """

    name: str
    place: Place
    step: Step
    variables: tuple[str, ...] = ()
    route_params: tuple[str, ...] = ()


class _Plan:
    """The steps of a handler's attributes, sorted by when they run."""

    __slots__ = ("_after_loop", "_after_turn", "_before_loop", "_before_turn", "_loop", "attributes", "body", "run")

    def __init__(self, attributes: tuple[Attribute, ...], body: Callable[..., Any]) -> None:
        at = next((index for index, attribute in enumerate(attributes) if attribute.place is Place.LOOP), None)
        above, below = ((), attributes) if at is None else (attributes[:at], attributes[at + 1 :])
        self.attributes = attributes
        self.body = body
        self.run: Callable[..., Any] | None = None
        self._before_loop = _steps(above, Place.BEFORE)
        self._loop = None if at is None else attributes[at].step
        self._before_turn = _steps(below, Place.BEFORE)
        self._after_turn = _steps(below, Place.AFTER)
        self._after_loop = _steps(above, Place.AFTER)

    async def take(self, call: Call) -> Status:
        """Run the steps and the body."""
        if self._loop is None:
            await self._turn(call)
        elif await _take(self._before_loop, call):
            loop = self._loop
            while (answer := loop(call)) is True or (answer is not False and await answer):
                call.turns += 1
                await self._turn(call)
                if call.status is Status.REJECT:
                    break
            await _take(self._after_loop, call)
        return call.status

    async def _turn(self, call: Call) -> None:
        if self._before_turn and not await _take(self._before_turn, call):
            return
        answer = await call.body(call.stream, call.ctx, **call.extracted)
        call.status = answer if isinstance(answer, Status) else Status.CONTINUE
        if self._after_turn:
            await _take(self._after_turn, call)


def _steps(attributes: Iterable[Attribute], place: Place) -> tuple[Step, ...]:
    return tuple(attribute.step for attribute in attributes if attribute.place is place)


async def _take(steps: tuple[Step, ...], call: Call) -> bool:
    """Take steps until one answers False; answer whether all were taken."""
    for step in steps:
        answer = step(call)
        if answer is True:
            continue
        if answer is False or not await answer:
            return False
    return True


def attributes_of(function: object) -> tuple[Attribute, ...]:
    """The attributes of a handler, in written order."""
    found: tuple[Attribute, ...] = getattr(function, "__lane_attributes__", ())
    return found


def attach(added: tuple[Attribute, ...], function: Callable[..., Any]) -> Callable[..., Any]:
    """Put attributes on a handler, above those it has.

    Args:
        added: The attributes, the first on top.
        function: A coroutine function over stream and context, or a class's `handle`.

    Raises:
        AttributeUseError: The handler is no coroutine function, lacks a parameter that an attribute fills, has one
            filled twice, or has two loops.
    """
    attributes = (*added, *attributes_of(function))
    _check_coroutine(added, function)
    _check_positions(added, function)
    _check_variables(added, attributes, function)
    _check_loops(attributes, function)
    plan: _Plan | None = getattr(function, "__lane_plan__", None)
    # A decorator of the person's own between two attributes stays: it copies what the handler under it carries.
    if plan is not None and plan.run is function:
        plan = _Plan((*added, *plan.attributes), plan.body)
    else:
        plan = _Plan(added, function)
    return _runner(plan, attributes)


def _runner(plan: _Plan, attributes: tuple[Attribute, ...]) -> Callable[..., Any]:
    body, take = plan.body, plan.take

    @functools.wraps(body)
    async def run(*arguments: Any, **extracted: Any) -> Status:
        *owner, stream, ctx = arguments
        return await take(Call(stream, ctx, functools.partial(body, *owner) if owner else body, extracted))

    plan.run = run
    run.__lane_plan__ = plan  # type: ignore[attr-defined]
    run.__lane_attributes__ = attributes  # type: ignore[attr-defined]
    return run


def _name_of(function: object) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _check_coroutine(added: tuple[Attribute, ...], function: object) -> None:
    name = added[0].name
    if inspect.isclass(function):
        raise AttributeUseError(
            f"@{name} stands on the class {function.__qualname__}: put it on its `async def handle(self, stream, ctx)`"
        )
    if not inspect.iscoroutinefunction(function):
        what = "yields: an attribute takes" if inspect.isasyncgenfunction(function) else "is no `async def`: write"
        raise AttributeUseError(
            f"@{name} stands on {_name_of(function)}, which {what} `async def {getattr(function, '__name__', 'handle')}"
            "(stream, ctx)`"
        )


def _check_positions(added: tuple[Attribute, ...], function: Callable[..., Any]) -> None:
    """Refuse a handler that cannot be given stream and context, or that a route has already."""
    if (taken_by := getattr(function, "__lane_taken_by__", None)) is not None:
        raise AttributeUseError(
            f"@{added[0].name} stands above {taken_by} on {_name_of(function)}, which has taken the handler without "
            "it: write it below"
        )
    try:
        inspect.signature(function).bind_partial(None, None)
    except TypeError:
        raise AttributeUseError(
            f"@{added[0].name} stands on {_name_of(function)}, which does not take stream and ctx: an attribute stands "
            "on `async def handle(stream, ctx)`, as `server.route` takes it"
        ) from None


def _check_variables(
    added: tuple[Attribute, ...], attributes: tuple[Attribute, ...], function: Callable[..., Any]
) -> None:
    """Hold the parameters that attributes fill against those that the body has."""
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    fillable = {
        name
        for name, parameter in list(parameters.items())[2:]
        if name not in _GIVEN
        and parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    }
    filled: dict[str, str] = {}
    for attribute in reversed(attributes):
        for variable in attribute.variables:
            if variable in filled:
                raise AttributeUseError(
                    f"@{attribute.name} fills the parameter {variable!r} of {_name_of(function)}, which "
                    f"@{filled[variable]} fills already: give one of them another name"
                )
            filled[variable] = attribute.name
    for attribute in added:
        for variable in attribute.variables:
            if variable not in fillable and (not takes_any or variable in parameters):
                raise AttributeUseError(
                    f"@{attribute.name} fills the parameter {variable!r}, which {_name_of(function)} does not have: "
                    f"add `{variable}` to its parameters, after `stream, ctx`"
                )


def _check_loops(attributes: tuple[Attribute, ...], function: object) -> None:
    loops = [attribute.name for attribute in attributes if attribute.place is Place.LOOP]
    if len(loops) > 1:
        raise AttributeUseError(
            f"@{loops[0]} stands above @{loops[1]} on {_name_of(function)}: a handler has one loop, keep one of them"
        )


def check_filled(handle: Callable[..., Any], *, is_method: bool) -> None:
    """Hold a handler's parameters against what its attributes fill.

    Args:
        handle: The coroutine function, with its attributes.
        is_method: Whether it takes its own object before stream and context.

    Raises:
        AttributeUseError: Nothing fills one of them.
    """
    filled = {variable for attribute in attributes_of(handle) for variable in attribute.variables}
    for name, parameter in list(inspect.signature(handle).parameters.items())[3 if is_method else 2 :]:
        is_variadic = parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        if parameter.default is inspect.Parameter.empty and not is_variadic and name not in filled:
            raise AttributeUseError(
                f"nothing fills the parameter {name!r} of {_name_of(handle)}: put an attribute above it that does, "
                f'such as @lane.route_param("{name}") or @lane.request_body("{name}")'
            )


def check_route_params(handle: object, pattern: str, names: Iterable[str]) -> None:
    """Hold a handler's attributes against the route that it is given to.

    Args:
        handle: The coroutine function, with its attributes.
        pattern: The route's pattern.
        names: The parameters of that pattern.

    Raises:
        AttributeUseError: An attribute asks for a parameter that the pattern lacks.
    """
    known = set(names)
    for attribute in attributes_of(handle):
        for name in attribute.route_params:
            if name not in known:
                raise AttributeUseError(
                    f"@{attribute.name} on {_name_of(handle)} asks for {name!r}, which the route {pattern!r} does not "
                    f"have: write `{{{name}}}` as a segment of it, or name one of {', '.join(sorted(known)) or 'none'}"
                )


def mark_taken(handle: object, taken_by: str) -> None:
    """Remember what has taken a function, so that an attribute put on it later is refused, and not passed over.

    Args:
        handle: The handler.
        taken_by: What it is registered with, such as "@server.route('/echo')".
    """
    if inspect.isfunction(handle):
        handle.__lane_taken_by__ = taken_by  # type: ignore[attr-defined]


def refuse_attributes(handler: object, pattern: str) -> None:
    """Refuse attributes on a handler over a session, which is given no stream and no context.

    Raises:
        AttributeUseError: It has some.
    """
    for attribute in attributes_of(handler):
        raise AttributeUseError(
            f"@{attribute.name} stands on {_name_of(handler)}, the handler of {pattern!r} over a session: attributes "
            f"are for handlers over stream and ctx, which `@server.route({pattern!r})` takes"
        )
