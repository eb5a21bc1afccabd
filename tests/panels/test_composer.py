"""The composer: what it draws before, and what it sends, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lane_kernel.capture import Store
from lane_kernel.panels import Composer, PanelError, Playground
from lane_kernel.server import Server
from lane_kernel.timeline import EntryKind
from lane_kernel.wire.frames import Frame, Opcode


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A running echo server with a store of its own."""
    server = Server("composer", store=Store())

    @server.websocket("/echo")
    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    @server.websocket("/chat/{room}")
    async def chat(ws, room):
        await ws.receive()

    async with server:
        yield server


@pytest.fixture
async def composer(server: Server) -> AsyncIterator[Composer]:
    """Its composer."""
    composer = Composer(server)
    yield composer
    composer.close()


async def until(composer: Composer, words: str) -> None:
    """Wait until the composer says something."""
    said = asyncio.Event()

    def look(change: dict[str, str]) -> None:
        if words in change["new"]:
            said.set()

    composer.said.observe(look, "value")
    if words not in composer.said.value:
        await asyncio.wait_for(said.wait(), 5)


async def test_it_draws_what_it_would_send(composer: Composer) -> None:
    composer.mask.value = "fixed"
    assert composer.preview.data == bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58"), "RFC 6455 §5.7"
    composer.fin.value = False
    composer.rsv[1].value = True
    composer.opcode.value = 0xB
    composer.mask.value = "none"
    composer.payload_form.value = "hex"
    composer.payload.value = "00 ff"
    assert composer.preview.data == bytes.fromhex("2b 02 00 ff")


@pytest.mark.parametrize(
    ("form", "payload", "key", "words"),
    [
        ("hex", "0", "37fa213d", "the payload is not hexadecimal"),
        ("hex", "<script>", "37fa213d", "Write pairs of 0-9 and a-f"),
        ("text", "", "37", "a masking-key has 4 bytes, this one has 1"),
        ("text", "", "xyz", "the masking-key is not hexadecimal"),
    ],
)
async def test_what_cannot_be_sent_is_said_before(
    composer: Composer, form: str, payload: str, key: str, words: str
) -> None:
    composer.mask.value = "fixed"
    composer.payload_form.value, composer.payload.value, composer.key.value = form, payload, key
    assert words in composer.preview.trouble
    assert composer.preview.data is None
    with pytest.raises(PanelError, match=words.split(",", maxsplit=1)[0]):
        await composer.send()
    composer.payload_form.value, composer.payload.value, composer.key.value = "text", "well", "00000000"
    assert composer.preview.trouble == ""


async def test_send_connects_and_the_bytes_cross_the_wire(server: Server, composer: Composer) -> None:
    composer.payload.value = "from the composer"
    frame = await composer.send()
    assert isinstance(frame, Frame)
    (session,) = server.websockets
    client = await composer.connect()
    assert client.is_open, "the same connection is used again"
    assert len(server.websockets) == 1
    assert session.is_open
    await composer.disconnect()  # its closing handshake comes after the frame
    entries = [entry for entry in server.timeline if entry.kind is EntryKind.FRAME]
    assert entries[0].data == frame.encode()


async def test_the_server_sends_on_an_open_connection(server: Server, composer: Composer) -> None:
    client = await composer.connect()
    number = server.websockets[0].connection.number
    composer.refresh()
    composer.target.value = f"server:{number}"
    assert composer.mask.value == "none", "RFC 6455 §5.1: a server does not mask"
    composer.opcode.value = int(Opcode.PING)
    composer.payload.value = "p"
    await composer.send()
    pings = [entry for entry in server.timeline if entry.what == "PING FIN"]
    assert [entry.payload for entry in pings] == [b"p"]
    await composer.disconnect()
    assert not client.is_open
    assert composer.target.value == "client:/echo", "what is closed can no longer be chosen"


async def test_the_buttons_do_what_the_methods_do_and_failures_are_shown(server: Server, composer: Composer) -> None:
    composer.send_button.click()
    await until(composer, "sent 11 bytes")
    composer.close_button.click()
    await until(composer, "closed")
    composer.close_button.disabled = False
    composer.close_button.click()
    await until(composer, "no connection to /echo is open here")
    composer.path.value = "/<b>nowhere</b>"
    composer.connect_button.click()
    await until(composer, "404")
    assert "<b>" not in composer.said.value


async def test_a_name_in_braces_needs_a_value(composer: Composer) -> None:
    composer.target.value = "client:/chat/{room}"
    with pytest.raises(PanelError, match="put a value in its place"):
        await composer.send()
    composer.path.value = "/chat/1"
    await composer.send()


async def test_a_server_that_does_not_run_is_said_so() -> None:
    server = Server("stopped", store=Store())
    composer = Composer(server)
    with pytest.raises(PanelError, match=r"await server\.start"):
        await composer.send()
    composer.close()


async def test_closing_the_composer_closes_its_connections(server: Server, composer: Composer) -> None:
    client = await composer.connect()
    readers = list(composer._readers)
    composer.close()
    await asyncio.wait_for(asyncio.gather(*readers), 5)
    assert not client.is_open


async def test_the_playground_joins_its_panels(server: Server) -> None:
    playground = Playground(server)
    playground.composer.payload.value = "joined"
    await playground.composer.send()
    await playground.composer.disconnect()
    index = next(entry.index for entry in server.timeline if entry.preview == "joined")
    playground.timeline.select(index)
    assert playground.inspector.entry is not None
    assert playground.inspector.entry.payload == b"joined"
    assert "joined" in playground.still()
    feed = playground.timeline.source.feed
    playground.close()
    assert not feed.is_running


async def test_the_playground_starts_and_stops_the_server() -> None:
    server = Server("started", store=Store())
    playground = Playground(server)
    assert playground.status.state["running"] is False
    await playground.start()
    assert playground.status.state["address"] == server.url("")
    await playground.stop()
    assert not server.running
    playground.close()
