"""The upgrade to a WebSocket: a request middleware, which can be replaced to answer wrongly on purpose.

    @server.upgrade
    class Wrong(lane.Upgrade):
        def answer(self, accept, agreement):
            return super().answer("wrong" + accept, agreement)

Source: RFC 6455 §4.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lane_kernel.server.hooks import ServerHook, Status
from lane_kernel.server.routes import RouteKind
from lane_kernel.wire.handshake import Agreement, HandshakeError, check_request, upgrade_response

if TYPE_CHECKING:
    from lane_kernel.server.context import Context
    from lane_kernel.server.stream import Stream

UPGRADE_ORDER = 1000
"""The upgrade's place among the request middleware: hooks without an order, and with a lower one, come before it."""


class Upgrade(ServerHook):
    """Answers the opening handshake of a route that speaks WebSocket, and begins its frames."""

    async def handle(self, stream: Stream, ctx: Context) -> Status:
        """Answer 101 and go on with frames; or answer what is wrong with the handshake, and reject."""
        if ctx.route is None or ctx.route.kind is not RouteKind.WEBSOCKET or stream.websocket is not None:
            return Status.CONTINUE
        request = ctx.request
        try:
            accept = check_request(request.method, request.version, request.headers)
        except HandshakeError as error:
            return await self.refuse(stream, ctx, error)
        agreement = stream.agree(request)
        await stream.send(self.answer(accept, agreement))
        stream.begin_frames(request, agreement)
        return Status.CONTINUE

    def answer(self, accept: str, agreement: Agreement) -> bytes:
        """Make the response's bytes: 101, the accept key, and what was agreed on.

        Args:
            accept: The Sec-WebSocket-Accept that the request's key asks for.
            agreement: The subprotocol and the extension that were agreed on.
        """
        return upgrade_response(accept, agreement.headers)

    async def refuse(self, stream: Stream, ctx: Context, error: HandshakeError) -> Status:
        """Answer a handshake that is wrong: its status, and what a person can do.

        Args:
            stream: The connection, which ends with this answer.
            ctx: The request's context.
            error: What is wrong.
        """
        stream.report("warning", f"{error.status}: {error}")
        response = ctx.response.set_status(error.status).set_body(f"{error}\n")
        for name, value in error.headers:
            response.set_header(name, value)
        await stream.answer_last(response)
        return Status.REJECT
