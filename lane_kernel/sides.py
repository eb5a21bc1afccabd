"""The two ends of a connection, and the two ways bytes travel between them.

"Sent" and "received" depend on who looks; a side and a direction do not.
"""

from __future__ import annotations

from enum import Enum


class Side(Enum):
    """One end of a connection."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def peer(self) -> Side:
        """The other end."""
        return Side.SERVER if self is Side.CLIENT else Side.CLIENT

    @property
    def outgoing(self) -> Direction:
        """The direction of the bytes that this end sends."""
        return Direction.TO_SERVER if self is Side.CLIENT else Direction.TO_CLIENT

    @property
    def incoming(self) -> Direction:
        """The direction of the bytes that reach this end."""
        return self.peer.outgoing


class Direction(Enum):
    """The way that bytes travel."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"

    @property
    def sender(self) -> Side:
        """The end whose bytes travel this way."""
        return Side.CLIENT if self is Direction.TO_SERVER else Side.SERVER

    @property
    def arrow(self) -> str:
        """An arrow for a drawing with the client on the left."""
        return "──►" if self is Direction.TO_SERVER else "◄──"
