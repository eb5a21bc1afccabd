"""What runs after the body: sending, flushing, and ending the connection after this request."""

from __future__ import annotations

from lane_kernel.server.attributes.chain import Attribute, Call, Place
from lane_kernel.server.attributes.decorators import Decorator, Sending
from lane_kernel.server.stream import Stream


async def _flush(call: Call) -> bool:
    await call.stream.flush()
    return True


async def _try_flush(call: Call) -> bool:
    await call.stream.try_flush()
    return True


def _close(call: Call) -> bool:
    call.stream.set_closed(True)
    return True


send = Sending(
    "send",
    Stream.send,
    does="""After the body, send the built response, or with `@lane.send(data)` any bytes.

    The data may be a callable that makes it of ctx. It raises where the connection is gone.
    """,
)

try_send = Sending(
    "try_send",
    Stream.try_send,
    does="""After the body, send the built response, or with `@lane.try_send(data)` any bytes.

    The data may be a callable that makes it of ctx. A connection that is gone is passed over.
    """,
)

flush = Decorator(
    Attribute("flush", Place.AFTER, _flush),
    does="After the body, wait until the socket has taken everything; it raises where the connection is gone.",
)

try_flush = Decorator(
    Attribute("try_flush", Place.AFTER, _try_flush),
    does="After the body, wait until the socket has taken everything; a connection that is gone is passed over.",
)

closed = Decorator(
    Attribute("closed", Place.AFTER, _close),
    does="After the body, say that the connection ends with this request.",
)
