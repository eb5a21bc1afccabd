"""The hooks beside the route: in their order, with what they may change, reject, raise and answer."""

from __future__ import annotations

from functools import partial

import pytest

from lane_kernel.server import HookError, HookKind, Server, ServerHook, Status
from lane_kernel.wire.http1 import parse_head
from tests.server.raw import HANDSHAKE, raw

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def body_of(server: Server, request: bytes = GET % b"/") -> tuple[int, bytes]:
    async with raw(server) as peer:
        await peer.send(request)
        head = parse_head(await peer.head())
        length = head.first("Content-Length")
        return head.status, await peer.exactly(int(length or 0))


async def test_the_stages_run_in_their_order(server: Server) -> None:
    ran: list[str] = []

    def hook(name: str):
        async def run(stream, ctx):
            ran.append(name)

        run.__qualname__ = name
        return run

    server.response_middleware(2)(hook("response 2"))
    server.response_middleware(hook("response"))
    server.request_middleware(5)(hook("request 5"))
    server.request_middleware(-1)(hook("request -1"))
    server.request_middleware(hook("request a"))
    server.request_middleware()(hook("request b"))
    server.route("/")(hook("route"))
    assert (await body_of(server))[0] == 200
    assert ran == ["request a", "request b", "request -1", "request 5", "route", "response", "response 2"]


async def test_a_hook_hands_on_what_it_found(server: Server) -> None:
    @server.request_middleware
    class Who(ServerHook):
        async def handle(self, stream, ctx):
            ctx.attributes["who"] = ctx.request.header("X-Who")
            return Status.CONTINUE

    @server.route("/")
    async def page(stream, ctx):
        ctx.response.set_body(f"hello {ctx.attributes['who']}")

    @server.response_middleware
    async def sign(stream, ctx):
        ctx.response.set_body(ctx.response.body + b"!")

    assert await body_of(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Who: Ada\r\n\r\n") == (200, b"hello Ada!")


async def test_reject_ends_the_stages_for_this_request_alone(server: Server) -> None:
    ran: list[str] = []

    @server.request_middleware
    async def gate(stream, ctx):
        if ctx.request.path == "/shut":
            ctx.response.set_status(401).set_body("no")
            return Status.REJECT
        return Status.CONTINUE

    @server.route("/{path}")
    async def page(stream, ctx):
        ran.append(ctx.route_params["path"])
        return Status.REJECT

    @server.response_middleware
    async def after(stream, ctx):
        ran.append("after")

    async with raw(server) as peer:
        await peer.send(GET % b"/shut" + GET % b"/open")
        assert (await peer.head()).startswith(b"HTTP/1.1 401")
        assert await peer.exactly(2) == b"no"
        assert (await peer.head()).startswith(b"HTTP/1.1 200")
    assert ran == ["open"]


async def test_hooks_may_change_the_404(server: Server) -> None:
    @server.response_middleware
    async def soften(stream, ctx):
        if ctx.route is None:
            ctx.response.set_status(200).set_body("nothing here yet")

    assert await body_of(server) == (200, b"nothing here yet")


async def test_a_hook_of_the_same_name_replaces(server: Server) -> None:
    def define(text: str) -> None:
        @server.request_middleware
        async def stamp(stream, ctx):
            ctx.response.set_body(ctx.response.body + text.encode())

    define("old")
    define("new")
    assert len(server.hooks(HookKind.REQUEST_MIDDLEWARE)) == 2  # and the upgrade

    @server.route("/")
    async def page(stream, ctx):
        pass

    assert await body_of(server) == (200, b"new")
    server.remove_hook(server.hooks(HookKind.REQUEST_MIDDLEWARE)[0].name)
    assert await body_of(server) == (200, b"")
    with pytest.raises(HookError, match="Upgrade"):
        server.remove_hook("stamp")


@pytest.mark.parametrize("stage", ["request_middleware", "route", "response_middleware"])
async def test_a_panic_is_told_with_its_data(server: Server, stage: str) -> None:
    @server.route("/")
    async def page(stream, ctx):
        if stage == "route":
            raise KeyError("missing")

    if stage != "route":

        @getattr(server, stage)
        async def broken(stream, ctx):
            raise KeyError("missing")

    @server.task_panic
    async def tell(stream, ctx):
        data = ctx.task_panic_data
        assert ctx.response.status == 500
        assert "KeyError" in data.traceback
        ctx.response.set_status(503).set_body(f"{data.message} on {data.route}")

    assert await body_of(server) == (503, b"KeyError: 'missing' on /")
    with pytest.raises(ExceptionGroup) as caught:
        server.check()
    assert isinstance(caught.value.exceptions[0], KeyError)
    assert ("broken" in caught.value.exceptions[0].__notes__[0]) is (stage != "route")


async def test_a_panic_hook_that_panics_is_told_and_answers_500(server: Server) -> None:
    @server.route("/")
    async def page(stream, ctx):
        raise KeyError("first")

    @server.task_panic
    async def worse(stream, ctx):
        raise ValueError("second")

    assert (await body_of(server))[0] == 500
    with pytest.raises(ExceptionGroup) as caught:
        server.check()
    assert [type(error) for error in caught.value.exceptions] == [KeyError, ValueError]


@pytest.mark.parametrize(
    ("request_bytes", "status", "kind"),
    [(b"nonsense\r\n\r\n", 400, "Bad Request"), (b"GET / HTTP/2.0\r\n\r\n", 505, "HTTP Version Not Supported")],
)
async def test_a_request_that_cannot_be_read_goes_to_its_hooks(
    server: Server, request_bytes: bytes, status: int, kind: str
) -> None:
    @server.request_error
    async def explain(stream, ctx):
        error = ctx.request_error_data
        ctx.response.set_header("X-Kind", error.kind).set_body(f"sorry: {error.status}")

    async with raw(server) as peer:
        await peer.send(request_bytes)
        head = parse_head(await peer.head())
        assert (head.status, head.first("X-Kind"), head.first("Connection")) == (status, kind, "close")
        assert await peer.rest() == f"sorry: {status}".encode()


async def test_a_request_error_hook_that_fails_is_told_and_the_error_answered(server: Server) -> None:
    @server.request_error
    async def broken(stream, ctx):
        raise KeyError("x")

    async with raw(server) as peer:
        assert await peer.status(b"nonsense\r\n\r\n") == 400
    with pytest.raises(ExceptionGroup):
        server.check()


async def test_what_is_no_hook_fails_where_it_is_written(server: Server) -> None:
    with pytest.raises(HookError, match="int"):
        server.request_middleware("first")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="async def"):

        @server.task_panic
        def plain(stream, ctx):
            pass

    with pytest.raises(TypeError, match="async def handle"):

        @server.response_middleware(3)
        class Nothing:
            pass


async def test_a_hook_stands_before_the_upgrade_or_after_it(server: Server) -> None:
    seen: list[object] = []

    @server.request_middleware
    async def before(stream, ctx):
        seen.append(stream.websocket)
        if "secret" not in ctx.request.queries:
            ctx.response.set_status(401)
            return Status.REJECT
        return Status.CONTINUE

    @server.request_middleware(2000)
    async def after(stream, ctx):
        seen.append(stream.websocket is not None)

    @server.websocket("/ws")
    async def ws(ws):
        await ws.send("in")

    async with raw(server) as peer:
        assert await peer.status(HANDSHAKE % b"/ws") == 401
    async with raw(server) as peer:
        assert await peer.status(HANDSHAKE % b"/ws?secret=1") == 101
        assert await peer.exactly(4) == b"\x81\x02in"
    assert seen == [None, None, True]


def make_check(letter: str, ran: list[str], thing: object = None):
    async def check(stream, ctx):
        ran.append(letter)

    return check


def make_class(letter: str):
    class Check(ServerHook):
        async def handle(self, stream, ctx):
            ctx.response.set_header("X", letter)
            return Status.CONTINUE

    return Check


@pytest.mark.parametrize("make", [lambda letter: make_check(letter, []), make_class])
def test_a_factorys_second_hook_does_not_take_the_firsts_place_unsaid(make) -> None:
    server = Server("factory")
    server.request_middleware(make("A"))
    assert not server.log.records
    server.request_middleware(make("B"))
    (record,) = server.log.records
    assert record.level == "warning"
    assert "took the place of another one" in record.text
    assert "server.request_middleware(…, name=…)" in record.text


async def test_hooks_of_names_of_their_own_stand_beside_each_other(server: Server) -> None:
    ran: list[str] = []
    server.request_middleware(make_check("A", ran), name="a")
    server.request_middleware(2, name="b")(make_check("B", ran))
    server.request_middleware(make_check("C", ran), name="a")
    assert (await body_of(server))[0] == 404
    assert ran == ["C", "B"]
    server.remove_hook("b")
    assert "b" not in [hook.name for hook in server.hooks(HookKind.REQUEST_MIDDLEWARE)]


def test_a_cell_that_runs_again_replaces_and_says_nothing() -> None:
    server, ran = Server("again"), list[str]()
    cell = "async def check(stream, ctx): pass\nserver.request_middleware(check)\nserver.task_panic(check)"
    for _ in range(2):
        exec(cell, {"server": server})
        server.response_middleware(make_check("A", ran))
    assert len(server.hooks(HookKind.RESPONSE_MIDDLEWARE)) == 1
    assert not server.log.records


def test_a_hook_without_a_name_asks_for_one() -> None:
    server = Server("nameless")
    hook = partial(make_check("A", []))
    with pytest.raises(HookError, match="name="):
        server.request_middleware(hook)
    server.request_middleware(hook, name="check")
