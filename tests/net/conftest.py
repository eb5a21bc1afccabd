"""The server of `tests.server`, for what is seen at both ends of a connection."""

from tests.server.conftest import server

__all__ = ["server"]
