"""Accepting where the process has no descriptor left, and making room for connections."""

from __future__ import annotations

import os
import sys

import pytest

from lane_kernel.capture import Store
from lane_kernel.net import descriptors, listener
from lane_kernel.server import Server
from tests.server.raw import raw, until

resource = pytest.importorskip("resource", reason="descriptors are counted on Unix only")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch):
    """Restore the process's limit."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_is_raised_as_far_as_it_goes_and_never_lowered(limits) -> None:
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    descriptors.make_room(200)
    assert descriptors.limit() == min(200 + descriptors.SPARE, hard)
    descriptors.make_room(1)
    assert descriptors.limit() == min(200 + descriptors.SPARE, hard)
    descriptors.make_room(10**9)
    assert descriptors.limit() in (hard, 10**9 + descriptors.SPARE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts open descriptors in /proc")
async def test_without_a_descriptor_left_those_who_wait_are_accepted_later(
    limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "RETRY", 0.05)
    server = Server("exhausted", store=Store())

    @server.route("/")
    async def page(stream, ctx):
        pass

    await server.start()
    async with raw(server) as peer:
        # The peer's own socket is open; what is left is less than an accepted one needs.
        await until(lambda: len(server.connections) == 1)
        held = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
            async with raw(server) as other:
                await until(lambda: len(server.connections) == 2)
                while True:
                    try:
                        held.append(os.open("/dev/null", os.O_RDONLY))
                    except OSError:
                        break
                os.close(held.pop())
                async with raw(server) as waiting:
                    await until(lambda: any("ulimit" in record.text for record in server.log.records))
                    assert await other.status(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200
                    while held:
                        os.close(held.pop())
                    assert await waiting.status(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200
        finally:
            for file in held:
                os.close(file)
        assert await peer.status(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200
    await server.stop()
