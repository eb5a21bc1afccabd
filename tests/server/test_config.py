"""The bounds: what cannot be is refused where it is written; each bound on a head has its status."""

from __future__ import annotations

from dataclasses import fields

import pytest

from lane_kernel.net.config import Config, ConfigError
from lane_kernel.server import Server
from tests.server.raw import raw


@pytest.mark.parametrize("value", [0, -1, True, "1", None, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["max_head", "head_timeout", "max_queue"])
def test_what_is_no_bound_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Config(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.5, 1.5])
def test_what_is_counted_is_whole(value: float) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        Config(max_queue=value)  # type: ignore[arg-type]


def test_a_timeout_that_may_be_none_may_be_none() -> None:
    assert Config(idle_timeout=None, ping_interval=None).idle_timeout is None


def test_the_presets_are_in_order() -> None:
    low, default, high = Config.low_security(), Config(), Config.high_security()
    for field in fields(Config):
        wide, middle, narrow = (getattr(one, field.name) or 1e9 for one in (low, default, high))
        assert wide >= middle >= narrow, field.name


_SMALL = Config(max_path=20, max_header_count=3, max_header_name=15, max_header_value=15, max_body=10)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /ok HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
        (b"GET /%b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (b"a" * 20), 414),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAAAAAAAAAAAAAAAA: 1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: 1234567890123456\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 11\r\n\r\n", 413),
    ],
)
async def test_each_bound_has_its_status(server: Server, request_bytes: bytes, status: int) -> None:
    server.config = _SMALL
    async with raw(server) as client:
        assert await client.status(request_bytes) == status
    async with raw(server) as client:
        assert await client.status(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == 404
