"""Wrong use fails where the handler is defined, or where it is given to a route, with a message that names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lane_kernel as lane
from lane_kernel.server import Server, ServerHook, Status, try_get_websocket_request
from lane_kernel.server.attributes import AttributeUseError, attributes_of

wrong: Any = lane
"""The same names without their types, which would not let most of this pass."""


def plain(stream, ctx):
    pass


async def generator(stream, ctx):
    yield


async def takes_nothing(stream, ctx):
    pass


async def takes_body(stream, ctx, body):
    pass


async def by_position(stream, ctx, body, /):
    pass


async def over_a_session(ws):
    pass


class Hook(ServerHook):
    pass


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: wrong.is_ws_upgrade_type(plain), ["@is_ws_upgrade_type", "plain", "`async def plain(stream, ctx)`"]),
        (lambda: wrong.send(plain), ["@send", "plain", "no `async def`"]),
        (lambda: wrong.flush(generator), ["@flush", "generator", "yields"]),
        (lambda: wrong.closed(Hook), ["@closed", "class Hook", "async def handle(self, stream, ctx)"]),
        (lambda: wrong.send(Hook), ["@send", "class Hook", "async def handle(self, stream, ctx)"]),
        (
            lambda: wrong.host("localhost")(over_a_session),
            ["@host", "over_a_session", "stream and ctx"],
        ),
        (lambda: wrong.request_body("body")(takes_nothing), ["@request_body", "'body'", "takes_nothing", "add `body`"]),
        (lambda: wrong.request_body("body")(by_position), ["@request_body", "'body'", "by_position"]),
        (lambda: wrong.request_body("ctx")(takes_nothing), ["@request_body", "'ctx'"]),
        (
            lambda: wrong.request_path("body")(wrong.request_body("body")(takes_body)),
            ["@request_path", "@request_body", "'body'", "takes_body", "already"],
        ),
        (lambda: wrong.request_body("body", "body")(takes_body), ["@request_body", "'body'", "already"]),
        (
            lambda: wrong.try_get_http_request(wrong.try_get_websocket_request(takes_nothing)),
            ["@try_get_http_request", "@try_get_websocket_request", "takes_nothing", "one loop"],
        ),
        (
            lambda: wrong.try_get_websocket_request("a b"),
            ["@try_get_websocket_request", "'a b'", "name"],
        ),
        (lambda: wrong.request_body(takes_body), ["@request_body", "name of a parameter", "takes_body"]),
        (wrong.request_body, ["@request_body", '@lane.request_body("value")']),
        (wrong.route_param, ["@route_param", '@lane.route_param("key")']),
        (lambda: wrong.route_param(takes_body), ["@route_param", "takes_body"]),
        (lambda: wrong.route_param("a", "b", "c"), ["@route_param", "'c'"]),
        (lambda: wrong.route_param(a=1), ["@route_param", '(variable="key")']),
        (lambda: wrong.route_param("a", a="b"), ["@route_param", "'a' twice"]),
        (
            lambda: wrong.request_header("User-Agent"),
            ["@request_header", '("User-Agent", "value")'],
        ),
        (wrong.methods, ["@methods", "nothing"]),
        (lambda: wrong.host(takes_nothing), ["@host", '@lane.host("localhost")', "takes_nothing"]),
        (lambda: wrong.referer(1), ["@referer", "1"]),
        (lambda: wrong.filter(takes_nothing), ["@filter", "takes_nothing", "lambda ctx"]),
        (lambda: wrong.reject("yes"), ["@reject", "'yes'", "lambda ctx"]),
        (lambda: wrong.response_status_code("404"), ["@response_status_code", "'404'", "404"]),
        (lambda: wrong.response_status_code(True), ["@response_status_code", "True"]),
        (lambda: wrong.response_body(5), ["@response_body", "5", "str or bytes"]),
        (lambda: wrong.response_body(takes_nothing), ["@response_body", "takes_nothing", "@lane.response_body(value)"]),
        (lambda: wrong.response_header("X-A"), ["@response_header", "'X-A'", "adds", "sets"]),
        (lambda: wrong.response_header({}), ["@response_header", "{}"]),
        (lambda: wrong.response_header({"X-A": 1}), ["@response_header", "1"]),
        (lambda: wrong.response_header({"X-A": "1"}, "2"), ["@response_header", "'2'"]),
        (lambda: wrong.send(5), ["@send", "5", "str or bytes"]),
        (wrong.prologue_hooks, ["@prologue_hooks", "at least one"]),
        (lambda: wrong.prologue_hooks(plain), ["@prologue_hooks", "plain", "`async def plain(stream, ctx)`"]),
        (lambda: wrong.epilogue_hooks(takes_body), ["@epilogue_hooks", "takes_body", "'body'"]),
        (wrong.prologue_macros, ["@prologue_macros", "at least one"]),
        (lambda: wrong.prologue_macros(lane.send)(plain), ["@send", "plain", "no `async def`"]),
        (lambda: wrong.prologue_macros(lane.methods), ["@prologue_macros", "methods"]),
        (lambda: wrong.epilogue_macros(takes_nothing), ["@epilogue_macros", "takes_nothing"]),
        (lambda: wrong.epilogue_macros(wrong.request_body("body")), ["@request_body", "@epilogue_macros", "fills"]),
        (lambda: wrong.epilogue_macros(try_get_websocket_request), ["@try_get_websocket_request", "loop"]),
    ],
)
def test_wrong_use_fails_where_the_handler_is_defined(make: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(AttributeUseError) as caught:
        make()
    assert [word for word in words if word not in str(caught.value)] == []


ABOVE: list[tuple[Callable[[Server], Any], str]] = [
    (lambda server: server.route("/x"), r"@server\.route\('/x'\)"),
    (lambda server: server.websocket("/x/{ctx}"), r"@server\.websocket\('/x/\{ctx\}'\)"),
    (lambda server: server.events("/x/{ctx}"), r"@server\.events\('/x/\{ctx\}'\)"),
    (lambda server: server.request_middleware, r"@server\.request_middleware"),
    (lambda server: server.task_panic(1), r"@server\.task_panic"),
]


@pytest.mark.parametrize(("decorator", "name"), ABOVE, ids=[name for _, name in ABOVE])
def test_an_attribute_above_what_takes_the_handler_would_not_be_seen(
    decorator: Callable[[Server], Any], name: str
) -> None:
    server = Server("above")
    with pytest.raises(AttributeUseError, match=f"@send stands above {name} on .*handle.*below"):

        @lane.send
        @decorator(server)
        async def handle(stream, ctx):
            pass


def test_a_hook_is_held_against_its_parameters_too() -> None:
    server = Server("hooks")
    with pytest.raises(AttributeUseError, match=r"nothing fills .*'body' of .*Check\.handle"):

        @server.request_middleware
        class Check(ServerHook):
            async def handle(self, stream, ctx, body):  # type: ignore[override] # mypy says so, too
                return Status.CONTINUE


async def over_nothing():
    raise NotImplementedError


async def over_ctx(ctx):
    raise NotImplementedError


class NoSelf(ServerHook):
    async def handle(stream, ctx):  # type: ignore[override] # noqa: N805 - that is what is tested
        raise NotImplementedError


class NoHandle(ServerHook):
    pass


CALLED_WITH_BOTH: list[tuple[Any, str]] = [
    (over_a_session, r"over_a_session\(ws\) .* `async def over_a_session\(stream, ctx\)`"),
    (over_nothing, r"over_nothing\(\) .* `async def over_nothing\(stream, ctx\)`"),
    (over_ctx, r"over_ctx\(ctx\) .* `async def over_ctx\(stream, ctx\)`"),
    (NoSelf, r"NoSelf.handle\(stream, ctx\) .* `async def handle\(self, stream, ctx\)`"),
    (NoHandle, r"NoHandle has no `async def handle\(self, stream, ctx\)`"),
]


@pytest.mark.parametrize(("handler", "words"), CALLED_WITH_BOTH)
def test_a_handler_that_cannot_be_called_with_stream_and_ctx(handler: Any, words: str) -> None:
    server = Server("called")
    for decorate in (server.route("/x"), server.request_middleware, server.task_panic(1), server.upgrade):
        with pytest.raises(TypeError, match=words):
            decorate(handler)
    assert server.routes == ()


def test_a_hook_without_handle_is_refused_beside_a_handler_too() -> None:
    with pytest.raises(AttributeUseError, match=r"@prologue_hooks takes .* which NoHandle is not"):
        lane.prologue_hooks(NoHandle)


def test_an_attribute_that_took_the_handler_for_its_argument() -> None:
    class Hook(ServerHook):
        handle = lane.epilogue_hooks(over_nothing_more)  # type: ignore[assignment] # that is what is tested

    server = Server("uncalled")
    for decorate, name, handler in (
        (server.route("/x"), "prologue_hooks", lane.prologue_hooks(over_nothing_more)),
        (server.websocket("/x"), "prologue_hooks", lane.prologue_hooks(over_nothing_more)),
        (server.request_middleware, "epilogue_hooks", Hook),
    ):
        with pytest.raises(AttributeUseError, match=rf"@lane\.{name} .* took the handler .*: write @lane\.{name}\(…\)"):
            decorate(handler)


async def over_nothing_more(stream, ctx):
    raise NotImplementedError


def test_a_handle_that_takes_no_self_as_python_has_it() -> None:
    class Static(ServerHook):
        @staticmethod
        async def handle(stream, ctx) -> Status:
            raise NotImplementedError

    class OfClass(ServerHook):
        @classmethod
        async def handle(cls, stream, ctx) -> Status:
            raise NotImplementedError

    server = Server("static")
    server.route("/static")(Static)
    server.route("/class")(OfClass)
    assert len(server.routes) == 2


def test_the_message_names_the_handler_of_a_class() -> None:
    with pytest.raises(AttributeUseError, match=r"'body', which .*Echo\.handle does not have"):

        class Echo(ServerHook):
            @try_get_websocket_request("body")
            async def handle(self, stream, ctx):
                return Status.CONTINUE


def test_a_handler_that_takes_any_keyword_takes_whatever_is_extracted() -> None:
    @lane.request_body("body")
    @lane.request_path("path")
    async def handle(stream, ctx, **extracted):
        pass

    assert [attribute.variables for attribute in attributes_of(handle)] == [("body",), ("path",)]


def test_a_route_is_held_against_what_the_handler_asks_for() -> None:
    server = Server("asks")
    with pytest.raises(AttributeUseError, match=r"@route_param on .*'room'.*'/chat/\{name\}'.*\{room\}.*name"):

        @server.route("/chat/{name}")
        @lane.route_param("room")
        async def handle(stream, ctx, room):
            pass

    with pytest.raises(AttributeUseError, match=r"nothing fills .*'room'.*Chat\.handle.*@lane\.route_param"):

        @server.route("/chat/{room}")
        class Chat(ServerHook):
            async def handle(self, stream, ctx, room):  # type: ignore[override] # mypy says so, too
                return Status.CONTINUE

    with pytest.raises(AttributeUseError, match=r"nothing fills .*'body'"):

        @server.route("/body")
        @try_get_websocket_request
        async def bare(stream, ctx, body):
            pass

    @server.route("/default")
    @lane.try_get_route_param("room")
    async def optional(stream, ctx, room, more=None, **rest):
        pass

    assert [route.pattern for route in server.routes] == ["/default"]


@pytest.mark.parametrize("kind", ["websocket", "events"])
def test_a_handler_over_a_session_has_no_attributes(kind: str) -> None:
    server = Server("sessions")
    with pytest.raises(AttributeUseError, match=r"@flush stands on .*chat, .*'/chat/\{room\}'.*server\.route"):

        @getattr(server, kind)("/chat/{room}")
        @lane.flush
        async def chat(ws, room):
            pass

    assert not server.routes
