"""A stage of a request's way: a class with `handle(stream, ctx)`, answering a `Status`."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lane_kernel.server.context import Context
    from lane_kernel.server.stream import Stream


class Status(Enum):
    """What a hook answers.

    Attributes:
        CONTINUE: Go on to the next stage.
        REJECT: This was the last stage for this request.
    """

    CONTINUE = "continue"
    REJECT = "reject"


class ServerHook:
    """A handler in Hyperlane's form. A new object is made for each request.

        @server.route("/hello")
        class Hello(lane.ServerHook):
            async def handle(self, stream, ctx):
                await stream.send(ctx.response.set_body("hello").build())
                return lane.Status.CONTINUE

    A subclass may take more parameters in `handle` than `stream` and `ctx` where its attributes fill them.
    """

    def __init__(self, stream: Stream, ctx: Context) -> None:
        """Prepare for one request; Hyperlane calls this `new`."""

    async def handle(self, stream: Stream, ctx: Context) -> Status:
        """Handle the request."""
        raise NotImplementedError(f"{type(self).__name__} has no `async def handle(self, stream, ctx)`")
