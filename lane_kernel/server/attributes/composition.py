"""Composition: hooks of one's own, and lists of attributes, before the body or after it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, overload

from lane_kernel.server.attributes.chain import Attribute, AttributeUseError, Call, Place
from lane_kernel.server.attributes.decorators import AnyAttribute, Decorator, Extraction
from lane_kernel.server.context import Context
from lane_kernel.server.hooks import ServerHook, Status
from lane_kernel.server.stream import Stream

Hook = Callable[[Stream, Context], Awaitable[Status | None]] | type[ServerHook]
"""A coroutine function over stream and context, or a class with such a `handle`."""


def prologue_hooks(*hooks: Hook) -> Decorator:
    """Run hooks before the body, in the order they are named; one that answers REJECT ends the handler with REJECT.

    Raises:
        AttributeUseError: None is named, or something that is no hook.
    """
    return _hooks("prologue_hooks", Place.BEFORE, hooks)


def epilogue_hooks(*hooks: Hook) -> Decorator:
    """Run hooks after the body, in the order they are named; one that answers REJECT is the last, and the answer.

    Raises:
        AttributeUseError: None is named, or something that is no hook.
    """
    return _hooks("epilogue_hooks", Place.AFTER, hooks)


def _hooks(name: str, place: Place, hooks: tuple[Hook, ...]) -> Decorator:
    if not hooks:
        raise AttributeUseError(f"@{name} takes hooks, such as @lane.{name}(check_user): name at least one")
    return Decorator(*(Attribute(name, place, _hook_step(_hook_run(name, hook))) for hook in hooks))


def _hook_run(name: str, hook: Any) -> Callable[[Stream, Context], Awaitable[object]]:
    is_class = inspect.isclass(hook)
    function = getattr(hook, "handle", None) if is_class else hook
    if function is ServerHook.handle or not inspect.iscoroutinefunction(function):
        called = getattr(hook, "__qualname__", repr(hook))
        raise AttributeUseError(
            f"@{name} takes coroutine functions over (stream, ctx) and ServerHook classes, which {called} is not: "
            f"write `async def {getattr(hook, '__name__', 'hook')}(stream, ctx)`"
        )
    try:
        inspect.signature(function).bind(*(None,) * (3 if is_class else 2))
    except TypeError as error:
        raise AttributeUseError(
            f"@{name} calls {function.__qualname__} with stream and ctx alone, which it does not take: {error}"
        ) from None

    async def handle(stream: Stream, ctx: Context) -> object:
        answer: object = await hook(stream, ctx).handle(stream, ctx)
        return answer

    return handle if is_class else function


def _hook_step(run: Callable[[Stream, Context], Awaitable[object]]) -> Callable[[Call], Awaitable[bool]]:
    async def step(call: Call) -> bool:
        if await run(call.stream, call.ctx) is not Status.REJECT:
            return True
        call.status = Status.REJECT
        return False

    return step


@overload
def prologue_macros(*attributes: Decorator) -> Decorator: ...  # type: ignore[overload-overlap] # the first that fits


@overload
def prologue_macros(*attributes: AnyAttribute) -> Extraction: ...


def prologue_macros(*attributes: AnyAttribute) -> AnyAttribute:
    """Run attributes before the body, in the order they are named, those too that otherwise run after it.

    Args:
        attributes: Attributes as they are written after `@`, such as `lane.is_get_method, lane.response_body("hi"),
            lane.send`; a loop among them wraps what is named after it.

    Raises:
        AttributeUseError: None is named, or something that is no attribute.
    """
    moved = [
        attribute if attribute.place is Place.LOOP else dataclasses.replace(attribute, place=Place.BEFORE)
        for attribute in _flat("prologue_macros", attributes)
    ]
    is_filling = any(attribute.variables for attribute in moved)
    kind = Extraction if is_filling else Decorator
    return kind(*moved, name="prologue_macros")


def epilogue_macros(*attributes: AnyAttribute) -> Decorator:
    """Run attributes after the body, in the order they are named; a guard that is not met is the last.

    Args:
        attributes: Attributes as they are written after `@`, such as `lane.response_status_code(201), lane.send`.

    Raises:
        AttributeUseError: None is named, or something that is no attribute, or that makes no sense after the body.
    """
    moved = []
    for attribute in _flat("epilogue_macros", attributes):
        if attribute.place is Place.LOOP or attribute.variables:
            why = "is a loop around the body" if attribute.place is Place.LOOP else "fills a parameter of the body"
            raise AttributeUseError(
                f"@{attribute.name} in @epilogue_macros {why}, which has run by then: write @lane.{attribute.name} or "
                f"@lane.prologue_macros(lane.{attribute.name}(…))"
            )
        moved.append(dataclasses.replace(attribute, place=Place.AFTER))
    return Decorator(*moved, name="epilogue_macros")


def _flat(name: str, attributes: tuple[object, ...]) -> list[Attribute]:
    """What a list of attributes puts on a handler, in its order."""
    if not attributes:
        raise AttributeUseError(f"@{name} takes attributes, such as @lane.{name}(lane.send): name at least one")
    flat: list[Attribute] = []
    for given in attributes:
        if not isinstance(given, AnyAttribute):
            called = getattr(given, "__qualname__", None) or repr(given)
            raise AttributeUseError(
                f"@{name} takes attributes as they are written after @, such as @lane.{name}(lane.send), not {called}"
            )
        flat += given.attributes
    return flat
