"""Extraction: a part of the request is handed to the body as a keyword argument.

    @lane.route_param("room")                         # fills `room`
    @lane.request_header("User-Agent", "agent")       # fills `agent`
    @lane.request_query(page="p", size="s")           # fills `page` and `size`
    async def handle(self, stream, ctx, room, agent, page, size): ...

Where it is missing or wrong, the plain form raises `ExtractionError`, as Hyperlane panics; the `try_get_` form hands
None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lane_kernel.errors import LaneError
from lane_kernel.server.attributes.chain import Attribute, AttributeUseError, Call, Place
from lane_kernel.server.attributes.decorators import Extraction, check_variable
from lane_kernel.server.context import Context


class ExtractionError(LaneError):
    """What an attribute was to hand to the body is missing or wrong."""


class _Whole(Protocol):
    """Fills each named parameter with the whole of something."""

    def __call__(self, *variables: str) -> Extraction: ...


class _Keyed(Protocol):
    """Fills a parameter with what has a key: the key's own name, another, or several as `variable="key"`."""

    def __call__(self, key: str = ..., variable: str = ..., /, **keys: str) -> Extraction: ...


def _whole(name: str, get: Callable[[Context], object], does: str) -> _Whole:
    """Make an attribute that hands over the whole of something."""

    def make(*variables: str) -> Extraction:
        if not variables:
            raise AttributeUseError(f'@{name} takes the parameters that it fills, such as @lane.{name}("value")')
        names = tuple(check_variable(name, variable) for variable in variables)

        def step(call: Call) -> bool:
            value = get(call.ctx)
            for variable in names:
                call.extracted[variable] = value
            return True

        return Extraction(Attribute(name, Place.BEFORE, step, variables=names), does=does)

    _name(make, name, does)
    return make


def _keyed(
    name: str, get: Callable[[Context, str], object], does: str, *, missing: str | None, is_route: bool = False
) -> _Keyed:
    """Make an attribute that hands over what has a key.

    Args:
        name: The attribute's name.
        get: Looks a key up; None where there is none.
        does: What the attribute does, for `help`.
        missing: What is missing where the key is not there, for the error; None hands None to the body.
        is_route: Whether the keys are the route's parameters.
    """

    def make(*key_and_variable: str, **keys: str) -> Extraction:
        pairs = _pairs(name, key_and_variable, keys)

        def step(call: Call) -> bool:
            for variable, key in pairs.items():
                value = get(call.ctx, key)
                if value is None and missing is not None:
                    raise ExtractionError(
                        f"@{name}: {missing} {key!r} is missing in this {call.ctx.request.method} request for "
                        f"{call.ctx.request.path}; @lane.try_get_{name} hands None instead"
                    )
                call.extracted[variable] = value
            return True

        wanted = tuple(pairs.values()) if is_route else ()
        return Extraction(Attribute(name, Place.BEFORE, step, variables=tuple(pairs), route_params=wanted), does=does)

    _name(make, name, does)
    return make


def _pairs(name: str, given: tuple[object, ...], keys: Mapping[str, object]) -> dict[str, str]:
    """The keys to look up by the parameter that each fills.

    Raises:
        AttributeUseError: None is given, or something that is no key or no parameter's name.
    """
    pairs = {}
    if given:
        key, variable = given[0], given[-1]
        if not isinstance(key, str) or not isinstance(variable, str) or len(given) > 2:
            raise AttributeUseError(f"@{name} takes a key and the parameter that it fills, not {given!r}")
        if len(given) == 1 and not variable.isidentifier():
            raise AttributeUseError(
                f"@{name} cannot fill a parameter called {variable!r}: write "
                f'@lane.{name}("{variable}", "value"), with the name of the parameter'
            )
        if variable in keys:
            raise AttributeUseError(f"@{name} fills the parameter {variable!r} twice: give one of them another name")
        pairs[check_variable(name, variable)] = key
    pairs.update({variable: key for variable, key in keys.items() if isinstance(key, str)})
    if len(pairs) < max(1, len(keys)):
        raise AttributeUseError(
            f'@{name} takes what to look up, such as @lane.{name}("key"), @lane.{name}("key", "variable") or '
            f'@lane.{name}(variable="key")'
        )
    return pairs


def _name(make: Callable[..., Extraction], name: str, does: str) -> None:
    make.__name__ = make.__qualname__ = name
    make.__doc__ = does


def _optional(name: str, get: Callable[[Context], object], wanted: str, does: str) -> _Whole:
    """Make an attribute that hands over something that may be missing, or raises where it is."""

    def required(ctx: Context) -> object:
        value = get(ctx)
        if value is None:
            raise ExtractionError(f"@{name}: {wanted}; @lane.try_get_{name} hands None instead")
        return value

    return _whole(name, required, does)


def _json(ctx: Context) -> object:
    try:
        return ctx.request.body_json
    except ValueError as error:
        raise ExtractionError(
            f"@request_body_json: the body of this {ctx.request.method} request for {ctx.request.path} is no JSON "
            f"({error}); @lane.try_get_request_body_json hands None instead"
        ) from error


def _try_json(ctx: Context) -> object:
    try:
        return ctx.request.body_json
    except ValueError:
        return None


request_body = _whole("request_body", lambda ctx: ctx.request.body, "Hand the request's body over, as bytes.")
request_body_json = _whole("request_body_json", _json, "Hand over what the request's body says in JSON.")
try_get_request_body_json = _whole(
    "try_get_request_body_json", _try_json, "Hand over what the request's body says in JSON, or None where it is none."
)
request_path = _whole("request_path", lambda ctx: ctx.request.path, "Hand the request's path over, percent-decoded.")
request_version = _whole(
    "request_version", lambda ctx: ctx.request.version, 'Hand the request\'s version over, such as "HTTP/1.1".'
)

route_param = _keyed(
    "route_param",
    lambda ctx, key: ctx.route_params.get(key),
    "Hand a parameter of the route over.",
    missing="the route's parameter",
    is_route=True,
)
try_get_route_param = _keyed(
    "try_get_route_param",
    lambda ctx, key: ctx.route_params.get(key),
    "Hand a parameter of the route over, or None where the route has none of that name.",
    missing=None,
)
route_params = _whole(
    "route_params", lambda ctx: ctx.route_params, "Hand all parameters of the route over, as a dict by name."
)

request_query = _keyed(
    "request_query",
    lambda ctx, key: ctx.request.query(key),
    "Hand a parameter of the query over; of several with one name the last.",
    missing="the query's parameter",
)
try_get_request_query = _keyed(
    "try_get_request_query",
    lambda ctx, key: ctx.request.query(key),
    "Hand a parameter of the query over, or None.",
    missing=None,
)
request_queries = _whole(
    "request_queries", lambda ctx: ctx.request.queries, "Hand all parameters of the query over, as a dict by name."
)

request_header = _keyed(
    "request_header",
    lambda ctx, key: ctx.request.header(key),
    "Hand a header over; of several with one name the last.",
    missing="the header",
)
try_get_request_header = _keyed(
    "try_get_request_header",
    lambda ctx, key: ctx.request.header(key),
    "Hand a header over, or None.",
    missing=None,
)
request_headers = _whole(
    "request_headers", lambda ctx: ctx.request.headers, "Hand the header lines over, as pairs of name and value."
)

request_cookie = _keyed(
    "request_cookie",
    lambda ctx, key: ctx.request.cookie(key),
    "Hand a cookie over.",
    missing="the cookie",
)
try_get_request_cookie = _keyed(
    "try_get_request_cookie",
    lambda ctx, key: ctx.request.cookie(key),
    "Hand a cookie over, or None.",
    missing=None,
)
request_cookies = _whole(
    "request_cookies", lambda ctx: ctx.request.cookies, "Hand all cookies over, as a dict by name."
)

attribute = _keyed(
    "attribute",
    lambda ctx, key: ctx.attributes.get(key),
    "Hand over an attribute that an earlier hook has put into `ctx.attributes`.",
    missing="the attribute",
)
try_get_attribute = _keyed(
    "try_get_attribute",
    lambda ctx, key: ctx.attributes.get(key),
    "Hand over an attribute that an earlier hook has put into `ctx.attributes`, or None.",
    missing=None,
)
attributes = _whole("attributes", lambda ctx: ctx.attributes, "Hand `ctx.attributes` over.")

task_panic_data = _optional(
    "task_panic_data",
    lambda ctx: ctx.task_panic_data,
    "no hook of this request has raised, so put it on a `task_panic` hook",
    "Hand over what a hook raised.",
)
try_get_task_panic_data = _whole(
    "try_get_task_panic_data", lambda ctx: ctx.task_panic_data, "Hand over what a hook raised, or None."
)
request_error_data = _optional(
    "request_error_data",
    lambda ctx: ctx.request_error_data,
    "this request could be read, so put it on a `request_error` hook",
    "Hand over why the request could not be read.",
)
try_get_request_error_data = _whole(
    "try_get_request_error_data",
    lambda ctx: ctx.request_error_data,
    "Hand over why the request could not be read, or None.",
)
