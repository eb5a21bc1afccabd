"""How many sockets a process may have open."""

from __future__ import annotations

import sys

SPARE = 256
"""Descriptors for all that is no connection: files, the kernel's own sockets, clients beside the server."""


def limit() -> int | None:
    """How many descriptors this process may have open; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def make_room(connections: int) -> None:
    """Raise this process's limit, as far as its hard limit allows, so that so many connections have room.

    Args:
        connections: How many.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE if hard == resource.RLIM_INFINITY else min(connections + SPARE, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
