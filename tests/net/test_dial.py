"""TLS to real servers: who is trusted, what is recorded, and what a person is told where it does not come about."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from lane_kernel.capture import Chunk, Store
from lane_kernel.client import connect, connect_raw
from lane_kernel.net.dial import DialError, RecordedTlsStream, Target, dial
from lane_kernel.net.stream import StreamClosedError
from lane_kernel.timeline import EntryKind, Timeline
from tests.peers import peer
from tests.tls import Authority, aiohttp_echo, tornado_echo, websockets_echo

Echo = Callable[[ssl.SSLContext | None], AbstractAsyncContextManager[int]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def counting(context: ssl.SSLContext, go: threading.Event) -> AsyncIterator[int]:
    """A server in TLS that reads once, and when it is told to says how many bytes it read; gives its port."""

    def talk(listening: socket.socket) -> None:
        sock, _ = listening.accept()
        with sock:
            sock.settimeout(5)
            try:
                secured = context.wrap_socket(sock, server_side=True)
            except ssl.SSLError:
                return  # the client does not trust it
            with secured:
                count = len(secured.recv(1000))
                go.wait(5)
                secured.sendall(b"%d bytes" % count)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        talking = asyncio.create_task(asyncio.to_thread(talk, listening))
        yield listening.getsockname()[1]
        await talking


@asynccontextmanager
async def in_tls(authority: Authority, *names: str) -> AsyncIterator[int]:
    """A server whose certificate has these names; gives its port."""
    go = threading.Event()
    go.set()
    async with counting(authority.server_context(*names), go) as port:
        yield port


@pytest.mark.parametrize("echo", [websockets_echo, aiohttp_echo, tornado_echo])
@pytest.mark.parametrize("way", ["ca", "ssl"])
async def test_wss_with_a_ca_of_ones_own(authority: Authority, echo: Echo, way: str) -> None:
    store = Store()
    trust = {"ca": authority.file} if way == "ca" else {"ssl": authority.client_context()}
    async with echo(authority.server_context("localhost", "127.0.0.1")) as port:
        async with connect(f"wss://127.0.0.1:{port}/", store=store, **trust) as ws:
            for message in ("hi", b"\xff" * 300_000, "é" * 70_000, ""):
                await ws.send(message)
                assert await asyncio.wait_for(ws.receive(), 10) == message
        assert ws.close_code == 1000
    entries = list(Timeline(store))
    assert entries[1].what == "GET /", "what is inside TLS is recorded"
    assert not any(entry.findings for entry in entries)
    assert sum(entry.kind is EntryKind.FRAME for entry in entries) == 10


async def test_the_ca_is_trusted_besides_those_of_the_machine(authority: Authority) -> None:
    context = ssl.create_default_context()
    context.load_verify_locations(authority.file)
    async with in_tls(authority, "localhost") as port:
        raw = await connect_raw(f"https://localhost:{port}", ca=str(authority.file), store=Store())
        made = raw._stream
        assert isinstance(made, RecordedTlsStream)
        assert made.socket.context.cert_store_stats() == context.cert_store_stats()
        await raw.send(b"x")
        assert await raw.receive_all() == b"1 bytes"
        await raw.close()


async def test_a_certificate_that_nobody_vouches_for(authority: Authority) -> None:
    store = Store()
    async with in_tls(authority, "127.0.0.1") as port:
        with pytest.raises(DialError, match=r"certificate of 127.0.0.1:\d+ is not trusted: .*file of its CA with ca="):
            await connect(f"wss://127.0.0.1:{port}/", store=store)
    assert store.next == 0


async def test_a_certificate_for_another_host(authority: Authority) -> None:
    for host in ("localhost", "127.0.0.1"):
        async with in_tls(authority, "example.org") as port:
            with pytest.raises(DialError, match=rf"is for another host: .*{host}.*a name that stands in it"):
                await connect(f"wss://{host}:{port}/", ca=authority.file)


@pytest.mark.parametrize(
    ("echo", "what"),
    [(aiohttp_echo, "does not answer in TLS"), (websockets_echo, "did not finish the TLS handshake")],
    ids=["answers", "hangs up"],
)
async def test_a_server_in_plain_text(authority: Authority, echo: Echo, what: str) -> None:
    async with echo(None) as port:
        with pytest.raises(DialError, match=rf"{what}: .*in plain text the URL begins with ws:// or http://"):
            await connect(f"wss://127.0.0.1:{port}/", ca=authority.file)


async def test_a_server_that_hangs_up_in_the_handshake(authority: Authority) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with peer(hang_up) as port:
        with pytest.raises(DialError, match="did not finish the TLS handshake"):
            await connect(f"wss://127.0.0.1:{port}/", ca=authority.file)


async def test_the_tls_handshake_has_a_bound(authority: Authority) -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with peer(wait) as port:
        with pytest.raises(DialError, match=r"did not answer within 0\.05 s"):
            await connect(f"wss://127.0.0.1:{port}/", ca=authority.file, timeout=0.05)


async def test_what_is_no_ca(tmp_path: Path, authority: Authority) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing", encoding="ascii")
    for file in (empty, tmp_path / "missing.pem"):
        with pytest.raises(DialError, match=f"ca='{file}' is no file of certificates"):
            await connect("wss://127.0.0.1:1/", ca=file)
    with pytest.raises(DialError, match="both given"):
        await connect("wss://127.0.0.1:1/", ca=authority.file, ssl=authority.client_context())


async def test_one_direction_of_tls_ends(authority: Authority) -> None:
    """What the server says after our end is still decrypted."""
    store, go = Store(), threading.Event()
    async with counting(authority.server_context("127.0.0.1"), go) as port:
        target = Target(f"https://127.0.0.1:{port}/", ("https",))
        stream = await dial(target, store, "client", ca=authority.file)
        stream.send(b"x" * 100)
        await stream.drained()
        stream.end_writing()
        go.set()
        assert await stream.read_bytes(9) == b"100 bytes"
        with pytest.raises(StreamClosedError):
            await stream.read_bytes(1)
        stream.end_writing()
    chunks = [record.data for record in store.records() if isinstance(record, Chunk)]
    assert chunks == [b"x" * 100, b"100 bytes"]


@pytest.mark.parametrize(
    ("url", "authority_line", "port"),
    [
        ("wss://example.org/x", "example.org", 443),
        ("https://example.org:443/", "example.org", 443),
        ("https://example.org:80/", "example.org:80", 80),
        ("ws://example.org", "example.org", 80),
        ("http://[::1]:8080/", "[::1]:8080", 8080),
    ],
)
def test_the_usual_port_is_the_schemes(url: str, authority_line: str, port: int) -> None:
    """RFC 6455 §3; RFC 9110 §4.2."""
    target = Target(url, ("ws", "wss", "http", "https"))
    assert (target.authority, target.port, target.is_secure) == (
        authority_line,
        port,
        url.partition(":")[0] in ("wss", "https"),
    )
