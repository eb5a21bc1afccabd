"""What attributes are to a person: objects that are put on a handler with `@`, or listed in `prologue_macros`.

A `Decorator` keeps a handler's type. An `Extraction` fills parameters of the body, so the handler that it makes takes
stream and context alone; which parameters it fills is known by name only, and checked when the handler is defined.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Self, TypeAlias, TypeVar, overload

from lane_kernel.server.attributes.chain import Attribute, AttributeUseError, Call, Place, Step, attach
from lane_kernel.server.context import Data
from lane_kernel.server.hooks import Status

if TYPE_CHECKING:
    from lane_kernel.server.context import Context
    from lane_kernel.server.stream import Stream

Answer = Coroutine[Any, Any, Status | None]
"""What calling a handler gives; None is CONTINUE."""

Function: TypeAlias = "Callable[Concatenate[Stream, Context, ...], Answer]"
Method: TypeAlias = "Callable[Concatenate[Owner, Stream, Context, ...], Answer]"

Owner = TypeVar("Owner")
Value = TypeVar("Value")
Handle = TypeVar("Handle", bound="Function | Method[Any]")
"""A handler as it is defined: a coroutine function over stream and context, or a class's `handle`."""

Given: TypeAlias = "Callable[[Context], Value | Awaitable[Value]] | Value"
"""A value, or a callable that makes it of the context when it is needed."""


class AnyAttribute:
    """What every attribute is.

    Attributes:
        attributes: What it puts on a handler, top first.
        name: The name it is written with.
    """

    def __init__(self, *attributes: Attribute, name: str = "", does: str = "") -> None:
        """Make it of what it does.

        Args:
            attributes: What it puts on a handler, top first.
            name: The name it is written with; that of its attribute by default.
            does: What it does, for `help`.
        """
        self.attributes = attributes
        self.name = name or attributes[0].name
        if does:
            self.__doc__ = does

    def __repr__(self) -> str:
        return f"@lane.{self.name}"


def refuse_uncalled(handler: object) -> None:
    """Refuse an attribute in a handler's place: written without its arguments, it has taken the handler for one.

    Raises:
        AttributeUseError: It is one.
    """
    if isinstance(handler, AnyAttribute):
        raise AttributeUseError(
            f"{handler!r} was written without its arguments, and took the handler for one: write "
            f"{handler!r}(…) above it"
        )


class Decorator(AnyAttribute):
    """An attribute that fills no parameter: `@lane.flush`, or `@lane.flush()`."""

    @overload
    def __call__(self, /) -> Self: ...

    @overload
    def __call__(self, handle: Handle, /) -> Handle: ...

    def __call__(self, handle: Any = None, /) -> Any:
        """Put it on a handler.

        Raises:
            AttributeUseError: It cannot stand there.
        """
        return self if handle is None else attach(self.attributes, handle)


class Extraction(AnyAttribute):
    """An attribute that fills parameters of the body."""

    @overload
    def __call__(self, handle: Function, /) -> Callable[[Stream, Context], Coroutine[Any, Any, Status]]: ...

    @overload
    def __call__(self, handle: Method[Owner], /) -> Callable[[Owner, Stream, Context], Coroutine[Any, Any, Status]]: ...

    def __call__(self, handle: Callable[..., Any], /) -> Callable[..., Any]:
        """Put it on a handler.

        Raises:
            AttributeUseError: It cannot stand there.
        """
        return attach(self.attributes, handle)


class Loop(AnyAttribute):
    """A loop around what is written below it: `@lane.try_get_http_request`, or with the parameter that it fills."""

    def __init__(self, name: str, make_step: Callable[[str | None], Step], *, does: str) -> None:
        """Make it of its turn.

        Args:
            name: Its name.
            make_step: Makes what waits for the next turn, and fills the parameter where one is named.
            does: What it does, for `help`.
        """
        super().__init__(Attribute(name, Place.LOOP, make_step(None)), does=does)
        self._make_step = make_step

    @overload
    def __call__(self, /) -> Decorator: ...

    @overload
    def __call__(self, variable: str, /) -> Extraction: ...

    @overload
    def __call__(self, handle: Handle, /) -> Handle: ...

    def __call__(self, given: Any = None, /) -> Any:
        """Put it on a handler, or say which parameter it fills.

        Raises:
            AttributeUseError: It cannot stand there, or the parameter is no name.
        """
        if given is None:
            return Decorator(*self.attributes)
        if callable(given):
            return attach(self.attributes, given)
        variable = check_variable(self.name, given)
        return Extraction(Attribute(self.name, Place.LOOP, self._make_step(variable), variables=(variable,)))


class Sending(AnyAttribute):
    """What sends after the body: `@lane.send` the built response, `@lane.send(data)` any bytes."""

    def __init__(self, name: str, send: Callable[[Stream, Data], Awaitable[object]], *, does: str) -> None:
        """Make it of how it sends.

        Args:
            name: Its name.
            send: Sends bytes on a stream.
            does: What it does, for `help`.
        """
        super().__init__(_sending(name, send, lambda ctx: ctx.response.build()), does=does)
        self._send = send

    @overload
    def __call__(self, /) -> Decorator: ...

    @overload
    def __call__(self, data: Given[Data], /) -> Decorator: ...

    @overload
    def __call__(self, handle: Handle, /) -> Handle: ...

    def __call__(self, given: Any = None, /) -> Any:
        """Put it on a handler, or say what it sends.

        Raises:
            AttributeUseError: It cannot stand there, or it was given what cannot be sent.
        """
        if given is None:
            return Decorator(*self.attributes)
        if is_handler(given):
            return attach(self.attributes, given)
        check_given(self.name, given, (str, bytes, bytearray, memoryview), "str or bytes")
        return Decorator(_sending(self.name, self._send, given))


def _sending(name: str, send: Callable[[Stream, Data], Awaitable[object]], data: Given[Data]) -> Attribute:
    async def step(call: Call) -> bool:
        await send(call.stream, await value_of(data, call.ctx))
        return True

    return Attribute(name, Place.AFTER, step)


async def value_of(given: Given[Value], ctx: Context) -> Value:
    """A given value, made of the context where it is a callable."""
    if not callable(given):
        return given
    made = given(ctx)
    return await made if inspect.isawaitable(made) else made


def is_handler(given: object) -> bool:
    """Whether something is what an attribute is put on, and no callable of the context: that takes ctx alone."""
    if inspect.isclass(given):
        return True
    if not callable(given):
        return False
    try:
        signature = inspect.signature(given)
        signature.bind(None)
    except TypeError:
        return True
    except ValueError:  # a callable of C's, which does not say what it takes
        return False
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    return inspect.iscoroutinefunction(given) and inspect.Parameter.VAR_POSITIONAL in kinds


def check_given(name: str, given: object, types: tuple[type, ...], wanted: str) -> None:
    """Hold a constant against its type; a callable of the context is taken on trust.

    Raises:
        AttributeUseError: It is neither.
    """
    is_constant = isinstance(given, types) and not isinstance(given, bool)
    if not is_constant and (not callable(given) or is_handler(given)):
        raise AttributeUseError(
            f"@{name} takes {wanted}, or a callable that makes it of ctx, not {given!r}: write @lane.{name}(value)"
        )


def check_variable(name: str, variable: object) -> str:
    """Hold the name of a parameter against what can be one.

    Raises:
        AttributeUseError: It is no name.
    """
    if not isinstance(variable, str) or not variable.isidentifier():
        raise AttributeUseError(
            f'@{name} takes the name of a parameter of the body, such as @lane.{name}("value"), not {variable!r}'
        )
    return variable
