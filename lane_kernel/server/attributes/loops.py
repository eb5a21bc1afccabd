"""Loops: all that is written below one runs once for each request or message, until the peer ends."""

from __future__ import annotations

from lane_kernel.server.attributes.chain import Call, Step
from lane_kernel.server.attributes.decorators import Loop


def _next_request(variable: str | None) -> Step:
    async def step(call: Call) -> bool:
        """Make the next request the context's; the first turn is for the one that came here."""
        stream, ctx = call.stream, call.ctx
        if call.turns:
            if not stream.has_sent:
                await stream.send(ctx.response.build())
            if not stream.is_keep_alive(ctx.request.is_enable_keep_alive):
                stream.set_closed(True)
                return False
            if (request := await stream.get_http_request()) is None:
                return False
            stream.begin_request()
            ctx.request = request
            ctx.response = ctx.new_response()
        if variable is not None:
            call.extracted[variable] = ctx.request
        return True

    return step


def _next_message(variable: str | None) -> Step:
    async def step(call: Call) -> bool:
        """Make the next message the body of the context's request."""
        stream = call.stream
        if stream.is_set_closed or (message := await stream.try_get_websocket_request()) is None:
            return False
        call.ctx.request.body = message
        if variable is not None:
            call.extracted[variable] = message
        return True

    return step


try_get_http_request = Loop(
    "try_get_http_request",
    _next_request,
    does="""Run what is written below for each request of the connection, beginning with the one that came here.

    `@lane.try_get_http_request("request")` also fills a parameter with it. Each is `ctx.request`, with a response of
    its own; a response that nobody has sent is sent before the next request is read. The loop ends with the
    connection, after a request that wants no more, and after `stream.set_closed(True)`.
    """,
)

try_get_websocket_request = Loop(
    "try_get_websocket_request",
    _next_message,
    does="""Run what is written below for each message, until the peer ends the connection.

    `@lane.try_get_websocket_request("body")` also fills a parameter with it: a `bytes` that knows its `.opcode`, which
    is `ctx.request.body` too. The loop also ends after `stream.set_closed(True)` and where the body answers REJECT.
    """,
)
