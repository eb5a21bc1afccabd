"""A real Redis for the tests that need one: skipped without it, unless LANE_REQUIRE_REDIS=1."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from lane_kernel.broadcast import RedisBroadcastMap
from tests.broadcast.redis_server import MISSING, RedisServer, find_redis_server


def require_redis() -> None:
    if find_redis_server() is None:
        if os.environ.get("LANE_REQUIRE_REDIS") == "1":
            pytest.fail(f"LANE_REQUIRE_REDIS=1, but {MISSING}")
        pytest.skip(MISSING)


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that leave it running; each uses keys of its own."""
    require_redis()
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of a test's own, to be stopped and killed."""
    require_redis()
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def rooms(shared_redis: RedisServer, request: pytest.FixtureRequest) -> AsyncIterator[RedisBroadcastMap]:
    """A map with keys of its own."""
    made = RedisBroadcastMap(shared_redis.url, prefix=f"{request.node.name}:", send_timeout=10)
    yield made
    await made.close()


@pytest.fixture
async def others(shared_redis: RedisServer, request: pytest.FixtureRequest) -> AsyncIterator[RedisBroadcastMap]:
    """The same channels, as another kernel has them."""
    made = RedisBroadcastMap(shared_redis.url, prefix=f"{request.node.name}:", send_timeout=10)
    yield made
    await made.close()
