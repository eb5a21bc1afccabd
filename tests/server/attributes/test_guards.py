"""Guards: for which requests the body runs, over real sockets."""

from __future__ import annotations

from typing import Any

import pytest

import lane_kernel as lane
from lane_kernel.net.heads import RequestHead, parse_request_head
from lane_kernel.server import Context, Request, Server, Status
from tests.server.attributes.asking import ask, body_of, request

GET, POST, BREW = request(), request("POST /x HTTP/1.1"), request("BREW /x HTTP/1.1")
HTTP_1_0 = request("GET /x HTTP/1.0")
H2C = request("GET /x HTTP/1.1", "Upgrade: h2c")
TLS = request("GET /x HTTP/1.1", "Upgrade: TLS/1.2, HTTP/1.1")
OTHER = request("GET /x HTTP/1.1", "Upgrade: IRC/6.9")
AT_8080 = request("GET /x HTTP/1.1", "Host: LOCALHOST:8080")
AT_ADDRESS = request("GET /x HTTP/1.1", "Host: 127.0.0.1:80")
AT_IPV6 = request("GET /x HTTP/1.1", "Host: [::1]:80")
FROM_HERE = request("GET /x HTTP/1.1", "Referer: http://localhost/page")
FROM_THERE = request("GET /x HTTP/1.1", "Referer: http://example.com/")


def is_post(ctx: Context) -> bool:
    return ctx.request.method == "POST"


async def is_post_after_a_while(ctx: Context) -> bool:
    return is_post(ctx)


CASES: list[tuple[Any, list[bytes], list[bytes]]] = [
    *[
        (getattr(lane, f"is_{name.lower()}_method"), [request(f"{name} /x HTTP/1.1")], [BREW])
        for name in ("CONNECT", "DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
    ],
    (lane.is_get_method(), [GET], [POST]),
    (lane.is_unknown_method, [BREW], [GET, POST]),
    (lane.methods("GET", "brew"), [GET, BREW], [POST]),
    (lane.is_http1_0_version, [HTTP_1_0], [GET]),
    (lane.is_http1_1_version, [GET], [HTTP_1_0]),
    (lane.is_http1_1_or_higher_version, [GET], [HTTP_1_0]),
    (lane.is_http0_9_version, [], [GET, HTTP_1_0]),
    (lane.is_http2_version, [], [GET, HTTP_1_0]),
    (lane.is_http3_version, [], [GET, HTTP_1_0]),
    (lane.is_http_version, [GET, HTTP_1_0], [request("GET /x HTTP/1.7")]),
    (lane.is_unknown_version, [request("GET /x HTTP/1.7")], [GET, HTTP_1_0]),
    (lane.is_h2c_upgrade_type, [H2C], [GET, TLS, OTHER]),
    (lane.is_tls_upgrade_type, [TLS], [GET, H2C, OTHER]),
    (lane.is_unknown_upgrade_type, [GET, OTHER], [H2C, TLS]),
    (lane.host("localhost"), [GET, AT_8080], [AT_ADDRESS]),
    (lane.host("LocalHost:8080", "127.0.0.1"), [AT_8080, AT_ADDRESS], [GET]),
    (lane.host("::1"), [AT_IPV6], [GET]),
    (lane.reject_host("localhost"), [AT_ADDRESS], [GET, AT_8080]),
    (lane.referer("http://localhost/page", "http://localhost/"), [FROM_HERE], [FROM_THERE, GET]),
    (lane.reject_referer("http://example.com/"), [FROM_HERE, GET], [FROM_THERE]),
    (lane.filter(True), [GET], []),
    (lane.filter(is_post), [POST], [GET]),
    (lane.filter(lambda ctx: ctx.request.referer), [FROM_HERE], [GET]),
    (lane.filter(is_post_after_a_while), [POST], [GET]),
    (lane.reject(is_post), [GET], [POST]),
    (lane.reject(is_post_after_a_while), [GET], [POST]),
    (lane.reject(False), [GET], []),
]


@pytest.mark.parametrize(("guard", "met", "unmet"), CASES, ids=[f"{n}-{c[0].name}" for n, c in enumerate(CASES)])
async def test_the_body_runs_for_the_requests_that_meet_it(
    server: Server, guard: Any, met: list[bytes], unmet: list[bytes]
) -> None:
    after: list[str] = []

    async def note(stream, ctx):
        after.append(ctx.request.method)

    @server.route("/x")
    @guard
    @lane.response_header("X-Below", "1")
    @lane.epilogue_hooks(note)
    async def handle(stream, ctx):
        ctx.response.set_body("met")

    for asked in met:
        answer = await ask(server, asked)
        assert body_of(answer) == b"met", asked
        assert b"X-Below: 1" in answer
    assert len(after) == len(met)
    for asked in unmet:
        answer = await ask(server, asked)
        assert body_of(answer) == b"", asked
        assert b"X-Below" not in answer
    assert len(after) == len(met)
    server.check()


async def test_head_has_a_guard_of_its_own(server: Server) -> None:
    seen: list[str] = []

    @server.route("/x")
    @lane.is_head_method
    async def handle(stream, ctx):
        seen.append(ctx.request.method)

    for method in ("HEAD", "GET"):
        await ask(server, request(f"{method} /x HTTP/1.1"))
    assert seen == ["HEAD"]


def context(version: str) -> Context:
    head = parse_request_head(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return Context(Request(RequestHead(head.method, head.target, version, head.headers)))


@pytest.mark.parametrize(
    ("version", "guards"),
    [
        ("HTTP/0.9", [lane.is_http0_9_version, lane.is_http_version]),
        ("HTTP/2", [lane.is_http2_version, lane.is_http_version, lane.is_http1_1_or_higher_version]),
        ("HTTP/3.0", [lane.is_http3_version, lane.is_http_version, lane.is_http1_1_or_higher_version]),
    ],
)
async def test_versions_that_no_request_line_here_can_have(version: str, guards: list[Any]) -> None:
    """This server answers them with 505; a request made by a hook of one's own may still have them."""
    names = [name for name in lane.__all__ if name.startswith("is_http") and name.endswith("_version")]
    met = []
    for guard in [getattr(lane, name) for name in names]:

        @guard
        async def handle(stream, ctx, guard=guard):
            met.append(guard)

        await handle(None, context(version))
    assert set(met) == set(guards)


async def test_reject_answers_reject_and_other_guards_continue() -> None:
    """What ends the stages of a request, and what only passes over this one."""

    @lane.reject(True)
    async def rejected(stream, ctx):
        raise AssertionError

    @lane.filter(False)
    async def filtered(stream, ctx):
        raise AssertionError

    @lane.reject_host("localhost")
    async def elsewhere(stream, ctx):
        raise AssertionError

    handlers: list[Any] = [rejected, filtered, elsewhere]
    answers = [await handle(None, context("HTTP/1.1")) for handle in handlers]
    assert answers == [Status.REJECT, Status.CONTINUE, Status.CONTINUE]


@pytest.mark.parametrize(
    ("asked", "status"),
    [(GET, b"426"), (POST, b"426"), (request("GET /x HTTP/1.1", "Upgrade: websocket"), b"400")],
    ids=["GET", "POST", "no key"],
)
async def test_a_route_with_is_ws_upgrade_type_answers_what_is_wrong(
    server: Server, asked: bytes, status: bytes
) -> None:
    """RFC 6455 §4.2.1 and RFC 9110 §15.5.22."""

    @server.route("/x")
    @lane.is_ws_upgrade_type
    async def handle(stream, ctx):
        raise AssertionError

    assert (await ask(server, asked)).split(b" ")[1] == status
    server.check()


async def test_is_ws_upgrade_type_on_a_hook_passes_other_requests_over() -> None:
    """It leaves the response alone, which is for the route to make."""

    @lane.is_ws_upgrade_type
    async def hook(stream, ctx):
        raise AssertionError

    ctx = context("HTTP/1.1")
    passed: Any = hook
    assert await passed(None, ctx) is Status.CONTINUE
    assert ctx.response.build() == ctx.new_response().build()
