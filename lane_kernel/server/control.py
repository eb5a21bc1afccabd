"""What `run` answers in Hyperlane's model: something to wait on, and to shut down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lane_kernel.server.server import Server


class ServerControl:
    """A running server's control.

    Attributes:
        server: The server.
    """

    def __init__(self, server: Server) -> None:
        """Control a server."""
        self.server = server

    async def wait(self) -> None:
        """Wait until the server has stopped."""
        await self.server.wait_stopped()

    async def shutdown(self) -> None:
        """Stop the server: WebSockets are told 1001, the rest is closed."""
        await self.server.stop()
