"""Attributes on handlers: decorators that run in the order they are written.

    @lane.is_ws_upgrade_type
    @lane.try_get_websocket_request("body")
    async def handle(self, stream, ctx, body): ...

Each decorator records itself; one runner runs them all. Guards, extractions and setters run top first before the
body; what follows the body runs top first after it. A loop wraps everything written below it: above once, below per
message.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lane_kernel.errors import LaneError
from lane_kernel.server.hooks import Status
from lane_kernel.wire.handshake import HandshakeError, check_request

if TYPE_CHECKING:
    from lane_kernel.server.context import Context
    from lane_kernel.server.stream import Stream

Handle = TypeVar("Handle", bound=Callable[..., Awaitable[Status]])


class AttributeUseError(LaneError):
    """An attribute stands where it cannot work."""


@dataclass(slots=True)
class Call:
    """One run of a handler.

    Attributes:
        stream: The connection.
        ctx: The request's context.
        extracted: What attributes hand to the body, by parameter name.
    """

    stream: Stream
    ctx: Context
    extracted: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attribute:
    """What one decorator does; one of the three is given.

    Attributes:
        name: The decorator's name.
        before: Runs before the body; False means the body is not run.
        after: Runs after the body.
        loop: Yields once for each run of what is written below.
        variable: The parameter of the body that it fills.
    """

    name: str
    before: Callable[[Call], Awaitable[bool]] | None = None
    after: Callable[[Call], Awaitable[None]] | None = None
    loop: Callable[[Call], AsyncIterator[None]] | None = None
    variable: str | None = None


def attributes_of(function: object) -> tuple[Attribute, ...]:
    """The attributes of a handler, in written order."""
    found: tuple[Attribute, ...] = getattr(function, "__lane_attributes__", ())
    return found


def attach(attribute: Attribute, function: Handle) -> Handle:
    """Put an attribute on a handler, above those it has.

    Raises:
        AttributeUseError: The handler is no coroutine function, or lacks the parameter that the attribute fills.
    """
    body = inspect.unwrap(function)
    name = getattr(body, "__qualname__", repr(body))
    if not inspect.iscoroutinefunction(body):
        raise AttributeUseError(f"@{attribute.name} stands on {name}, which is no `async def`")
    if attribute.variable is not None:
        parameters = inspect.signature(body).parameters.values()
        takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
        if not takes_any and attribute.variable not in [parameter.name for parameter in parameters]:
            raise AttributeUseError(
                f"@{attribute.name}({attribute.variable!r}) fills a parameter that {name} does not have: "
                f"add `{attribute.variable}` to its parameters"
            )
    chain = (attribute, *attributes_of(function))

    @functools.wraps(body)
    async def run(*arguments: Any) -> Status:
        *owner, stream, ctx = arguments

        async def call_body(call: Call) -> Status:
            return await body(*owner, call.stream, call.ctx, **call.extracted)  # type: ignore[no-any-return]

        return await _run(chain, call_body, Call(stream, ctx))

    run.__lane_attributes__ = chain  # type: ignore[attr-defined]
    return run  # type: ignore[return-value]


async def _run(chain: tuple[Attribute, ...], body: Callable[[Call], Awaitable[Status]], call: Call) -> Status:
    at = next((index for index, attribute in enumerate(chain) if attribute.loop is not None), len(chain))
    for attribute in chain[:at]:
        if attribute.before is not None and not await attribute.before(call):
            return Status.CONTINUE
    status = Status.CONTINUE
    if at == len(chain):
        status = await body(call)
    else:
        status = await _run_loop(chain[at], chain[at + 1 :], body, call)
    for attribute in chain[:at]:
        if attribute.after is not None:
            await attribute.after(call)
    return status


async def _run_loop(
    attribute: Attribute, below: tuple[Attribute, ...], body: Callable[[Call], Awaitable[Status]], call: Call
) -> Status:
    status = Status.CONTINUE
    if attribute.loop is not None:
        async for _ in attribute.loop(call):
            status = await _run(below, body, call)
            if status is Status.REJECT:
                break
    return status


def is_ws_upgrade_type(handle: Handle) -> Handle:
    """Run the body only for a request that asks to become a WebSocket; any other is answered with 426.

    Source: RFC 6455 §4.2.1; the 426 answer RFC 9110 §15.5.22.
    """

    async def before(call: Call) -> bool:
        request = call.ctx.request
        if request.is_ws_upgrade_type:
            return True
        try:
            check_request(request.method, request.version, request.headers)
        except HandshakeError as error:
            call.ctx.response.set_status(error.status).set_body(f"{error}\n")
            for name, value in error.headers:
                call.ctx.response.set_header(name, value)
        return False

    return attach(Attribute("is_ws_upgrade_type", before=before), handle)


def try_get_websocket_request(variable: str) -> Callable[[Handle], Handle]:
    """Run the body once for each message, until the peer ends the connection.

    Args:
        variable: The parameter that takes the message: a `bytes` that also knows its `.opcode`.
    """

    async def loop(call: Call) -> AsyncIterator[None]:
        while (body := await call.stream.try_get_websocket_request()) is not None:
            call.ctx.request.body = body
            call.extracted[variable] = body
            yield

    def decorate(handle: Handle) -> Handle:
        return attach(Attribute("try_get_websocket_request", loop=loop, variable=variable), handle)

    if not str(variable).isidentifier():
        raise AttributeUseError(
            f'@try_get_websocket_request takes the name of a parameter, such as "body", not {variable!r}'
        )
    return decorate
