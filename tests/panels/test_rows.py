"""The binary rows: one fixture holds this side and the page's to one layout."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from lane_kernel.panels.rows import KINDS, RECORD, event_cells, pack, timeline_cells
from lane_kernel.sides import Direction
from lane_kernel.timeline import EntryKind, Timeline
from lane_kernel.wire.frames import Frame, Opcode
from tests.panels.conversation import SCRIPT, add_events, add_fault, echo_store, entries_at_fixed_times

FIXTURE = Path(__file__).parents[2] / "lane_kernel/panels/frontend/tests/fixtures/rows.json"


def conversation() -> dict[str, Any]:
    """What both sides must agree on."""
    store = echo_store("Hello", "grüße 🙂", SCRIPT)
    add_events(store, 2)
    add_fault(store, store.connection(1), Frame(Opcode.TEXT, b"lost").encode(), b"", "drop")
    entries = entries_at_fixed_times(store)
    events = [entry for entry in entries if entry.kind is EntryKind.EVENT]
    cases = {}
    for name, chosen, cells in (("timeline", entries, timeline_cells), ("events", events, event_cells)):
        records, text = pack(chosen, cells)
        rows = [
            {
                "index": entry.index,
                "time": entry.time_ns,
                "connection": entry.connection.number if entry.connection else 0,
                "length": entry.length,
                "kind": entry.kind.value,
                "direction": 0 if entry.direction is None else 1 + (entry.direction.value == "to client"),
                "cells": list(cells(entry)),
            }
            for entry in chosen
        ]
        cases[name] = {"records": records.hex(), "text": text.hex(), "rows": rows}
    return {"record_size": RECORD.size, "kinds": list(KINDS), "cases": cases}


def test_the_fixture_is_what_python_writes_now() -> None:
    """Stale? Run this test with LANE_WRITE_FIXTURES=1, then the front end's tests."""
    fresh = json.dumps(conversation(), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("LANE_WRITE_FIXTURES") == "1":
        FIXTURE.parent.mkdir(parents=True, exist_ok=True)
        FIXTURE.write_text(fresh, encoding="utf-8")
    assert FIXTURE.read_text(encoding="utf-8") == fresh, "stale: run with LANE_WRITE_FIXTURES=1"


def test_kinds_are_all_of_the_timelines() -> None:
    assert set(KINDS) == {kind.value for kind in EntryKind}


def test_the_first_row_has_no_delta_and_the_others_have() -> None:
    entries = entries_at_fixed_times(echo_store("a"))
    records, _ = pack(entries)
    deltas = [record[1] for record in RECORD.iter_unpack(records)]
    assert math.isnan(deltas[0])
    assert deltas[1:] == [2_500_000.0] * (len(entries) - 1)


def test_a_run_that_goes_on_knows_the_row_before() -> None:
    entries = entries_at_fixed_times(echo_store("a"))
    records, _ = pack(entries[3:], timeline_cells, entries[2].time_ns, 100)
    first = RECORD.unpack_from(records)
    assert first[1] == 2_500_000.0
    assert first[5] == 100


def test_a_finding_shows_as_the_gravest_sign() -> None:
    """RFC 6455 §5.1: a client's frame is masked."""
    store = echo_store()
    connection = store.connection(1)

    store.append(connection, Direction.TO_SERVER, Frame(Opcode.TEXT, b"naked").encode())
    records, _ = pack(list(Timeline(store)))
    assert [record[-3] for record in RECORD.iter_unpack(records)] == [0, 0, 0, 3]


@pytest.mark.parametrize("text", ["\ud800", "x" * 5000])
def test_any_text_fits(text: str) -> None:
    entries = entries_at_fixed_times(echo_store("a"))
    _, packed = pack(entries[:1], lambda _: (text, "", "", ""))
    assert 0 < len(packed) <= 1200
