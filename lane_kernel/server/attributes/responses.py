"""Response setters: they run before the body, which may still change what they set.

Each takes a constant, or a callable that makes the value of ctx.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import overload

from lane_kernel.server.attributes.chain import Attribute, AttributeUseError, Call, Place
from lane_kernel.server.attributes.decorators import Decorator, Given, check_given, value_of
from lane_kernel.server.context import Data


def response_status_code(code: Given[int]) -> Decorator:
    """Set the response's status code.

    Args:
        code: The code, such as 404.

    Raises:
        AttributeUseError: It is no number.
    """
    check_given("response_status_code", code, (int,), "a status code such as 404")

    async def step(call: Call) -> bool:
        call.ctx.response.set_status(await value_of(code, call.ctx), call.ctx.response.reason)
        return True

    return Decorator(Attribute("response_status_code", Place.BEFORE, step))


def response_reason_phrase(phrase: Given[str]) -> Decorator:
    """Set the response's reason phrase.

    Raises:
        AttributeUseError: It is no text.
    """
    check_given("response_reason_phrase", phrase, (str,), 'a phrase such as "Not Here"')

    async def step(call: Call) -> bool:
        call.ctx.response.set_reason(await value_of(phrase, call.ctx))
        return True

    return Decorator(Attribute("response_reason_phrase", Place.BEFORE, step))


def response_version(version: Given[str]) -> Decorator:
    """Set the version that the response's status line says.

    Args:
        version: The version, such as "HTTP/1.0".

    Raises:
        AttributeUseError: It is no text.
    """
    check_given("response_version", version, (str,), 'a version such as "HTTP/1.1"')

    async def step(call: Call) -> bool:
        call.ctx.response.set_version(await value_of(version, call.ctx))
        return True

    return Decorator(Attribute("response_version", Place.BEFORE, step))


def response_body(body: Given[Data]) -> Decorator:
    """Set the response's body.

    Raises:
        AttributeUseError: It is neither str nor bytes.
    """
    check_given("response_body", body, (str, bytes, bytearray, memoryview), "str or bytes")

    async def step(call: Call) -> bool:
        call.ctx.response.set_body(await value_of(body, call.ctx))
        return True

    return Decorator(Attribute("response_body", Place.BEFORE, step))


@overload
def response_header(name: str, value: Given[str], /) -> Decorator: ...


@overload
def response_header(headers: Mapping[str, Given[str]], /) -> Decorator: ...


def response_header(name: str | Mapping[str, Given[str]], value: Given[str] | None = None, /) -> Decorator:
    """Add a header to the response, or set headers in place of those they have the name of.

    Args:
        name: A header's name, and its value follows: it is added. Or a mapping of names to values: they are set, as
            `name => value` sets in Rust.
        value: The value of the header to add.

    Raises:
        AttributeUseError: It is neither form.
    """
    is_set = isinstance(name, Mapping)
    headers: dict[str, Given[str]] = {}
    if isinstance(name, Mapping) and value is None:
        headers.update(name)
    elif isinstance(name, str) and value is not None:
        headers[name] = value
    if not headers:
        raise AttributeUseError(
            '@response_header takes @lane.response_header("X-Name", "value"), which adds, or '
            f'@lane.response_header({{"X-Name": "value"}}), which sets, not {name!r} and {value!r}'
        )
    for given in headers.values():
        check_given("response_header", given, (str,), "the header's value as str")

    async def step(call: Call) -> bool:
        response = call.ctx.response
        put = response.set_header if is_set else response.add_header
        for key, given in headers.items():
            put(key, await value_of(given, call.ctx))
        return True

    return Decorator(Attribute("response_header", Place.BEFORE, step))


def _clear_headers(call: Call) -> bool:
    call.ctx.response.clear_headers()
    return True


clear_response_headers = Decorator(
    Attribute("clear_response_headers", Place.BEFORE, _clear_headers),
    does="Forget the headers set so far; those that a response must have are added when it is built.",
)
