"""Guards: the body runs only for a request that meets them; else the handler answers CONTINUE and does nothing."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

from lane_kernel.server.attributes.chain import Attribute, AttributeUseError, Call, Place
from lane_kernel.server.attributes.decorators import Decorator, is_handler
from lane_kernel.server.context import HTTP_VERSIONS, METHODS, Request, UpgradeType
from lane_kernel.server.hooks import Status

if TYPE_CHECKING:
    from lane_kernel.server.context import Context

Condition = bool | Callable[["Context"], object]
"""Whether something is so, or a callable that tells it of the context: what it answers is true or false to Python, or
an awaitable of that."""


def _guard(name: str, is_met: Callable[[Request], bool], does: str = "") -> Decorator:
    return Decorator(Attribute(name, Place.BEFORE, lambda call: is_met(call.ctx.request)), does=does)


def _method(method: str) -> Decorator:
    def is_met(request: Request) -> bool:
        return request.method == method

    return _guard(f"is_{method.lower()}_method", is_met, f"Run the body only for {method} requests.")


def _version(name: str, versions: Collection[str], does: str) -> Decorator:
    return _guard(name, lambda request: request.version in versions, does)


def _upgrade_type(name: str, kind: UpgradeType, does: str) -> Decorator:
    return _guard(name, lambda request: request.upgrade_type is kind, does)


is_connect_method = _method("CONNECT")
is_delete_method = _method("DELETE")
is_get_method = _method("GET")
is_head_method = _method("HEAD")
is_options_method = _method("OPTIONS")
is_patch_method = _method("PATCH")
is_post_method = _method("POST")
is_put_method = _method("PUT")
is_trace_method = _method("TRACE")
is_unknown_method = _guard(
    "is_unknown_method",
    lambda request: request.method not in METHODS,
    "Run the body only for a method that RFC 9110 and RFC 5789 do not have.",
)

is_http0_9_version = _version("is_http0_9_version", {"HTTP/0.9"}, "Run the body only for HTTP/0.9.")
is_http1_0_version = _version("is_http1_0_version", {"HTTP/1.0"}, "Run the body only for HTTP/1.0.")
is_http1_1_version = _version("is_http1_1_version", {"HTTP/1.1"}, "Run the body only for HTTP/1.1.")
is_http2_version = _version("is_http2_version", {"HTTP/2", "HTTP/2.0"}, "Run the body only for HTTP/2.")
is_http3_version = _version("is_http3_version", {"HTTP/3", "HTTP/3.0"}, "Run the body only for HTTP/3.")
is_http1_1_or_higher_version = _version(
    "is_http1_1_or_higher_version",
    set(HTTP_VERSIONS) - {"HTTP/0.9", "HTTP/1.0"},
    "Run the body only for HTTP/1.1, HTTP/2 or HTTP/3.",
)
is_http_version = _version(
    "is_http_version", HTTP_VERSIONS, "Run the body only for a version of HTTP that there is, HTTP/0.9 to HTTP/3."
)
is_unknown_version = _guard(
    "is_unknown_version",
    lambda request: request.version not in HTTP_VERSIONS,
    "Run the body only for a version that is none of HTTP/0.9 to HTTP/3.",
)

is_h2c_upgrade_type = _upgrade_type(
    "is_h2c_upgrade_type", UpgradeType.H2C, "Run the body only for a request that asks for HTTP/2 without TLS."
)
is_tls_upgrade_type = _upgrade_type(
    "is_tls_upgrade_type", UpgradeType.TLS, "Run the body only for a request that asks for TLS (RFC 2817)."
)
is_unknown_upgrade_type = _upgrade_type(
    "is_unknown_upgrade_type",
    UpgradeType.UNKNOWN,
    "Run the body only for a request that asks for no upgrade, or for one that has no name here.",
)


is_ws_upgrade_type = _guard(
    "is_ws_upgrade_type",
    lambda request: request.is_ws_upgrade_type,
    """Run the body only for a request that asks to become a WebSocket.

    A route with it speaks WebSocket, so the upgrade answers any other request with 426 before it comes here.

    Source: RFC 6455 §4.2.1; the 426 answer RFC 9110 §15.5.22.
    """,
)


def methods(*names: str) -> Decorator:
    """Run the body only for requests of some methods.

    Args:
        names: The methods, in upper or lower case, such as "GET", "POST".

    Raises:
        AttributeUseError: None is named, or something that is no name.
    """
    allowed = {name.upper() for name in _texts("methods", names, '"GET", "POST"')}
    return _guard("methods", lambda request: request.method in allowed)


def host(*hosts: str) -> Decorator:
    """Run the body only for requests to some hosts.

    Args:
        hosts: What the Host header says, such as "localhost" for any port of it, or "localhost:8080".

    Raises:
        AttributeUseError: None is named, or something that is no text.
    """
    wanted = {name.lower() for name in _texts("host", hosts, '"localhost"')}
    return _guard("host", lambda request: _is_at(request, wanted))


def reject_host(*hosts: str) -> Decorator:
    """Run the body only for requests to other hosts than these.

    Args:
        hosts: As `host` takes them.

    Raises:
        AttributeUseError: None is named, or something that is no text.
    """
    unwanted = {name.lower() for name in _texts("reject_host", hosts, '"localhost"')}
    return _guard("reject_host", lambda request: not _is_at(request, unwanted))


def _is_at(request: Request, hosts: Collection[str]) -> bool:
    return request.host.lower() in hosts or request.host_name in hosts


def referer(*urls: str) -> Decorator:
    """Run the body only for requests whose Referer header is one of these, to the letter.

    Raises:
        AttributeUseError: None is named, or something that is no text.
    """
    wanted = _texts("referer", urls, '"http://localhost/"')
    return _guard("referer", lambda request: request.referer in wanted)


def reject_referer(*urls: str) -> Decorator:
    """Run the body only for requests whose Referer header is none of these; it may be missing.

    Raises:
        AttributeUseError: None is named, or something that is no text.
    """
    unwanted = _texts("reject_referer", urls, '"http://localhost/"')
    return _guard("reject_referer", lambda request: request.referer not in unwanted)


def filter(condition: Condition) -> Decorator:
    """Run the body only where a condition holds.

    Args:
        condition: Whether it does, or a callable that tells it of ctx; it may be a coroutine function.

    Raises:
        AttributeUseError: It is neither.
    """
    _check_condition("filter", condition)

    def step(call: Call) -> bool | Awaitable[bool]:
        answer = condition(call.ctx) if callable(condition) else condition
        return answer if isinstance(answer, bool) else _truth(answer)

    return Decorator(Attribute("filter", Place.BEFORE, step))


def reject(condition: Condition) -> Decorator:
    """Where a condition holds, answer REJECT and do not run the body: this was the last stage for the request.

    Args:
        condition: Whether it does, or a callable that tells it of ctx; it may be a coroutine function.

    Raises:
        AttributeUseError: It is neither.
    """
    _check_condition("reject", condition)

    async def step(call: Call) -> bool:
        answer = condition(call.ctx) if callable(condition) else condition
        if not await _truth(answer):
            return True
        call.status = Status.REJECT
        return False

    return Decorator(Attribute("reject", Place.BEFORE, step))


async def _truth(answer: object) -> bool:
    """What a condition answered as true or false; it may be anything that Python takes for one of them."""
    return bool(await answer if inspect.isawaitable(answer) else answer)


def _check_condition(name: str, condition: object) -> None:
    if not isinstance(condition, bool) and (not callable(condition) or is_handler(condition)):
        raise AttributeUseError(
            f"@{name} takes a callable of ctx, such as @lane.{name}(lambda ctx: ctx.request.body), not {condition!r}"
        )


def _texts(name: str, given: tuple[str, ...], example: str) -> tuple[str, ...]:
    if not given or not all(isinstance(text, str) for text in given):
        what = "nothing" if not given else ", ".join(repr(text) for text in given)
        raise AttributeUseError(f"@{name} takes one text or several, such as @lane.{name}({example}), not {what}")
    return given
