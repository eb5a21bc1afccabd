"""What mypy --strict says of handlers: it accepts right ones, in a class and alone, and names what is wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = [
    pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed: pip install -e '.[dev]'"),
    pytest.mark.timeout(300),  # without its cache, mypy reads the whole package first
]

EXAMPLES = """
from typing import assert_type
from collections.abc import Callable, Coroutine
from typing import Any

import lane_kernel as lane


class Echo(lane.ServerHook):
    @lane.is_ws_upgrade_type
    @lane.route_param("room")
    @lane.try_get_websocket_request("body")
    @lane.flush
    async def handle(self, stream: lane.Stream, ctx: lane.Context, room: str, body: bytes) -> lane.Status:
        await stream.send_list(lane.WebSocketFrame.create_frame_list(body))
        return lane.Status.CONTINUE


class Turns(lane.ServerHook):
    @lane.try_get_http_request
    @lane.send
    async def handle(self, stream: lane.Stream, ctx: lane.Context) -> lane.Status:
        return lane.Status.CONTINUE


@lane.methods("GET")
@lane.filter(lambda ctx: ctx.request.host == "localhost")
@lane.response_status_code(lambda ctx: 404 if ctx.request.body else 200)
@lane.response_header("X-A", "1")
@lane.response_header({"X-A": lambda ctx: ctx.request.path})
@lane.send()
@lane.try_send(lambda ctx: ctx.request.body)
async def alone(stream: lane.Stream, ctx: lane.Context) -> None: ...


@lane.request_query("page", size="s")
async def extracted(stream: lane.Stream, ctx: lane.Context, page: str, *, size: str | None = None) -> lane.Status:
    return lane.Status.CONTINUE


@lane.prologue_macros(lane.is_get_method, lane.request_body("body"))
@lane.epilogue_macros(lane.send("x"), lane.closed)
@lane.prologue_hooks(extracted, Turns)
async def listed(stream: lane.Stream, ctx: lane.Context, body: bytes, **more: Any) -> None: ...


@lane.prologue_macros(lane.is_get_method, lane.closed)  # E: type-var
async def number(stream: lane.Stream, ctx: lane.Context) -> int:
    return 1


# An attribute that fills nothing keeps the handler's type; one that does makes it a handler of stream and ctx.
assert_type(extracted, Callable[[lane.Stream, lane.Context], Coroutine[Any, Any, lane.Status]])
assert_type(listed, Callable[[lane.Stream, lane.Context], Coroutine[Any, Any, lane.Status]])


async def use(stream: lane.Stream, ctx: lane.Context) -> None:
    assert_type(await Echo(stream, ctx).handle(stream, ctx), lane.Status)
    await alone(stream=stream, ctx=ctx)
    await alone(stream)  # E: call-arg
    await extracted(stream, ctx, "1")  # E: call-arg
    async for request in stream.requests():
        assert_type(request, lane.Request)
    async for message in stream.messages():
        assert_type(bytes(message), bytes)
    await stream.send_list(["a", b"b", bytearray(b"c"), memoryview(b"d")])
    await stream.send(5)  # E: arg-type


class Unfilled(lane.ServerHook):
    async def handle(self, stream: lane.Stream, ctx: lane.Context, body: bytes) -> lane.Status:  # E: override
        return lane.Status.CONTINUE


@lane.flush  # E: type-var
def plain(stream: lane.Stream, ctx: lane.Context) -> lane.Status:
    return lane.Status.CONTINUE


@lane.send  # E: arg-type
def plainly_sent(stream: lane.Stream, ctx: lane.Context) -> lane.Status:
    return lane.Status.CONTINUE


@lane.closed  # E: type-var
async def backwards(ctx: lane.Context, stream: lane.Stream) -> None: ...


@lane.request_body("body")  # E: arg-type
async def swapped(ctx: lane.Context, stream: lane.Stream, body: bytes) -> None: ...


@lane.response_status_code("404")  # E: arg-type
@lane.methods(1)  # E: arg-type
@lane.filter("yes")  # E: arg-type
async def wrong_values(stream: lane.Stream, ctx: lane.Context) -> None: ...


lane.response_header("X-A")  # E: call-overload
lane.route_param(1)  # E: arg-type
lane.route_param("a", "b", "c")  # E: call-arg
lane.epilogue_macros(alone)  # E: arg-type
lane.prologue_hooks(plain)  # E: arg-type
"""


def test_mypy_accepts_what_is_right_and_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "examples.py"
    path.write_text(EXAMPLES, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [*command, "--no-error-summary", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    found = {
        (int(line), code)
        for line, code in re.findall(r"^.*examples\.py:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    }
    lines = EXAMPLES.split("\n")
    wanted = {(number, line.partition("# E: ")[2]) for number, line in enumerate(lines, start=1) if "# E: " in line}
    assert len(wanted) > 10
    assert found == wanted, done.stdout + done.stderr
