"""What the inspector sends to its page."""

from __future__ import annotations

from lane_kernel.capture import Store
from lane_kernel.panels import Inspector
from lane_kernel.panels.inspector import SHOWN_BYTES, SHOWN_FIELDS, bytes_content, entry_content
from lane_kernel.sides import Direction, Side
from lane_kernel.timeline import Entry, EntryKind, Timeline
from lane_kernel.wire.frames import Frame, Opcode
from tests.panels.conversation import REQUEST, RESPONSE, add_events, add_fault, echo_store, masked
from tests.panels.messages import Page


def test_an_entrys_fields_count_from_its_first_byte() -> None:
    timeline = Timeline(echo_store("Hello", "again"))
    content, buffers = entry_content(timeline[5])
    assert buffers == [masked("again", 1)]
    assert content["base"] == len(REQUEST) + len(masked("Hello"))
    opcode = next(field for field in content["fields"] if field["name"] == "opcode")
    assert (opcode["start"], opcode["stop"], opcode["bit_offset"], opcode["bit_length"]) == (0, 1, 4, 4)
    payload = content["fields"][-1]
    assert (payload["start"], payload["stop"], payload["family"]) == (6, 11, "payload")
    assert "again" in payload["text"]
    assert "client ──► server" in content["title"]


def test_fields_tile_the_bytes_of_every_entry() -> None:
    store = echo_store("Hello")
    add_events(store, 2)
    for entry in Timeline(store):
        content, buffers = entry_content(entry)
        covered = {at for field in content["fields"] for at in range(field["start"], field["stop"])}
        assert covered == set(range(len(buffers[0])))


def both_ends(seen_by_server: bytes) -> Timeline:
    """A frame that a client in this kernel sent, and what reached the server."""
    store = Store()
    client = store.open(Side.CLIENT, "127.0.0.1:5000", "127.0.0.1:80", "client")
    server = store.open(Side.SERVER, "127.0.0.1:80", "127.0.0.1:5000", "server")
    for end in (client, server):
        store.append(end, Direction.TO_SERVER, REQUEST)
        store.append(end, Direction.TO_CLIENT, RESPONSE)
    store.append(client, Direction.TO_SERVER, masked("Hello"))
    store.append(server, Direction.TO_SERVER, seen_by_server)
    return Timeline(store, sees=lambda connection: connection is server)


def test_both_ends_are_shown_the_senders_first() -> None:
    timeline = both_ends(masked("Hello"))
    content, buffers = entry_content(timeline[3])
    assert [side["label"] for side in content["sides"]] == ["as the client sent it", "as the server received it"]
    assert content["same"] is True
    assert buffers == [masked("Hello")] * 2


def test_ends_that_saw_different_bytes_have_their_own_fields() -> None:
    changed = Frame(Opcode.BINARY, b"Hallo", masking_key=b"\0\0\0\0").encode()
    content, buffers = entry_content(both_ends(changed)[3])
    assert content["same"] is False
    assert buffers == [masked("Hello"), changed]
    opcodes = [
        next(field["text"] for field in side["fields"] if field["name"] == "opcode") for side in content["sides"]
    ]
    assert "TEXT" in opcodes[0]
    assert "BINARY" in opcodes[1]


def test_what_is_large_is_cut_and_says_so() -> None:
    data = Frame(Opcode.BINARY, bytes(100_000)).encode()
    content, buffers = bytes_content(data)
    assert len(buffers[0]) == SHOWN_BYTES
    assert content["length"] == len(data)
    assert all(len(field["text"]) <= 400 for field in content["fields"])


def test_many_fields_are_cut_and_say_so() -> None:
    content, _ = bytes_content(masked("x") * 100)
    assert len(content["fields"]) == SHOWN_FIELDS
    assert content["more_fields"] > 0


def test_what_is_not_bytes_has_none() -> None:
    timeline = Timeline(echo_store())
    assert timeline[0].kind is EntryKind.CONNECTION
    content, buffers = entry_content(timeline[0])
    assert (content["length"], content["fields"], buffers) == (0, [], [b""])


async def test_a_page_that_comes_is_sent_what_is_shown() -> None:
    inspector = Inspector(masked("Hello"))
    page = Page(inspector)
    page.say("hello")
    assert page.heard[-1][1] == [masked("Hello")]
    assert page.of("entry")[-1]["entry"]["title"] == "1 frame"
    inspector.show(None)
    assert page.of("entry")[-1]["entry"] is None
    assert "click a row" in page.of("entry")[-1]["hint"]
    inspector.close()


async def test_a_timelines_entry_is_chosen_by_its_index() -> None:
    inspector = Inspector(Timeline(echo_store("Hello")))
    inspector.show_index(3)
    assert inspector.entry is not None
    assert inspector.entry.payload == b"Hello"
    inspector.show_index(None)
    assert inspector.still() == Inspector().still()
    inspector.close()


def test_what_lets_others_in_is_overwritten() -> None:
    store = Store()
    connection = store.open(Side.SERVER, "127.0.0.1:80", "127.0.0.1:5000")
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: secret=1\r\n\r\n"
    store.append(connection, Direction.TO_SERVER, head)
    content, buffers = entry_content(Timeline(store)[1])
    assert "secret" not in str(content)
    assert buffers == [head.replace(b"secret=1", b"********")]


def faulted(meant: bytes, left: bytes, *done: str) -> Entry:
    """The entry of a fault after a WebSocket's only message was echoed."""
    store = echo_store("Hello")
    add_fault(store, store.connection(1), meant, left, *done)
    return Timeline(store)[-1]


def test_a_fault_shows_what_was_meant_beside_what_was_done() -> None:
    meant = Frame(Opcode.TEXT, b"Hello").encode()
    left = meant[:-1] + b"\x90"
    entry = faulted(meant, left, "corrupt byte 6: 6f → 90", "delay 1 s")
    content, buffers = entry_content(entry)
    assert buffers == [meant, left]
    assert content["title"] == "fault 5 · connection 1 · client ◄── server · corrupt byte 6: 6f → 90; delay 1 s"
    assert content["detail"].endswith(f"7 bytes meant for byte {len(RESPONSE) + 7:,} of its direction")
    assert [side["label"] for side in content["sides"]] == ["as it was meant", "as the fault left it"]
    assert "valid UTF-8" in content["fields"][-1]["meaning"]
    assert content["sides"][1]["fields"][-1]["text"] == "48 65 6c 6c 90"
    assert content["same"] is False
    for fields in (content["fields"], content["sides"][1]["fields"]):
        assert {at for field in fields for at in range(field["start"], field["stop"])} == set(range(7))


def test_of_a_unit_that_was_dropped_nothing_is_left() -> None:
    content, buffers = entry_content(faulted(Frame(Opcode.TEXT, b"Hello").encode(), b"", "drop"))
    assert buffers[1] == b""
    assert content["sides"][1]["length"] == 0
    assert content["sides"][1]["empty"] == "Nothing was left to be sent."


def test_what_was_only_late_has_one_side() -> None:
    meant = Frame(Opcode.TEXT, b"Hello").encode()
    content, buffers = entry_content(faulted(meant, meant, "delay 1 s"))
    assert buffers == [meant]
    assert content["same"] is True
