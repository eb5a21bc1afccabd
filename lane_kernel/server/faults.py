"""The faults of a server: for everything it sends, for a route, for one connection.

server.faults["/feed"] = lane.Faults(drop=True, every=3)
server.faults[3] = lane.Faults(stop_reading=True)       # the connection of this number on the timeline
server.faults.all = lane.Faults(delay=0.1)              # or server.faults["*"]
server.faults["/feed"] = None                           # no longer
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lane_kernel.net.faults import Faults, FaultsError, checked

if TYPE_CHECKING:
    from lane_kernel.net.stream import RecordedStream
    from lane_kernel.server.server import Server

ALL = "*"
"""The key of what holds for every connection."""

Key = str | int
"""A route's pattern, a connection's number, or `ALL`."""


class ServerFaults:
    """What a server does wrong on purpose: a connection's own faults go before its route's, and these before all's.

    A route's hold from where its handler begins until the connection's next request: for its frames, its events and
    its response. The answer to an opening handshake comes before, and is under all's. They take effect on the next
    unit. `Faults.none()` is no faults whatever stands behind; None is nothing said, so that what stands behind holds.
    """

    def __init__(self, server: Server) -> None:
        """Begin without any."""
        self._server = server
        self._faults: dict[str, Faults] = {}

    @property
    def all(self) -> Faults | None:
        """The faults of every connection that has none of its own or its route's."""
        return self._faults.get(ALL)

    @all.setter  # noqa: A003 - a server's face, where it reads as a word
    def all(self, faults: Faults | None) -> None:
        self[ALL] = faults

    def of(self, pattern: str | None) -> Faults | None:
        """The faults of a connection that a route's handler serves, or none does, where it has none of its own."""
        return self._faults.get(ALL if pattern is None else pattern, self._faults.get(ALL))

    def __getitem__(self, key: Key) -> Faults | None:
        """Answer what was set.

        Raises:
            FaultsError: There is no such route, or no such open connection.
        """
        if isinstance(key, int):
            return self._stream(key).faults.own
        self._check(key)
        return self._faults.get(key)

    def __setitem__(self, key: Key, faults: Faults | None) -> None:
        """Set faults, or None for none; from any thread.

        Raises:
            FaultsError: There is no such route, no such open connection, or these are no faults.
        """
        checked(faults)
        if isinstance(key, int):
            self._stream(key).faults.set(faults)
            return
        self._check(key)
        home = self._server.home
        if home is None:
            self._put(key, faults)
        else:
            home.call(self._put, key, faults)

    def __delitem__(self, key: Key) -> None:
        """Set no faults."""
        self[key] = None

    def __iter__(self) -> Iterator[str]:
        """Go through the patterns that have faults, `ALL` among them."""
        return iter(tuple(self._faults))

    def __len__(self) -> int:
        return len(self._faults)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def clear(self) -> None:
        """Set no faults for anything: all, each route, each open connection."""
        for key in self:
            self[key] = None
        for connection in self._server.connections:
            self[connection.number] = None

    def _put(self, key: str, faults: Faults | None) -> None:
        if faults is None:
            self._faults.pop(key, None)
        else:
            self._faults[key] = faults
        self._server.apply_faults()

    def _check(self, key: object) -> None:
        patterns = [route.pattern for route in self._server.routes]
        if key != ALL and key not in patterns and key not in self._faults:
            known = ", ".join(patterns) or "none yet"
            raise FaultsError(f"no route {key!r}: the routes are {known}; server.faults.all is for every connection")

    def _stream(self, number: int) -> RecordedStream:
        streams = self._server.streams
        for stream in streams:
            if stream.record.number == number:
                return stream
        known = ", ".join(str(stream.record.number) for stream in streams) or "none"
        raise FaultsError(f"no open connection {number!r}: those of server {self._server.name!r} are {known}")

    def __repr__(self) -> str:
        given = ", ".join(f"{key!r}: {faults}" for key, faults in self._faults.items())
        return f"<faults of server {self._server.name!r}: {given or 'none'}>"
