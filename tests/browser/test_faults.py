"""Faults in a real JupyterLab: a line each on the timeline, and what was meant in the inspector."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab

pytestmark = pytest.mark.browser

SERVER = """\
import lane_kernel as lane

server = lane.Server()

@server.websocket("/count")
async def count(ws):
    for number in range(1, 4):
        await ws.send(f"number {number}")
    await ws.receive()

await server.start()
server.faults["/count"] = lane.Faults(drop=True, nth=2)
lane.Playground(server)
"""
CLIENT = """\
async with lane.connect(server.url("/count")) as ws:
    got = [await ws.receive() for _ in range(2)]
    server.websockets[0].faults = lane.Faults(corrupt=4, chop=4, nth=1)
    await server.websockets[0].send("text")
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_fault_shows_as_what_it_is_with_what_was_meant(lab: Lab, artifacts: Path, theme: str) -> None:
    with lab.notebook(SERVER, CLIENT, theme=f"JupyterLab {theme.title()}") as notebook:
        page = notebook.page
        faults = page.locator(".lane-timeline .lane-k-fault")
        expect(faults).to_have_text(["fault: drop", "fault: corrupt byte 4: 78 → 87; chop into 4-byte writes"])
        faults.first.click()
        inspector = page.locator(".lane-inspector:visible")
        expect(inspector.locator(".lane-title")).to_contain_text("client ◄── server · drop")
        expect(inspector.locator('[data-field="payload data"]')).to_contain_text("number 2")
        page.screenshot(path=str(artifacts / f"faults-{theme}.png"))
        inspector.get_by_role("button", name="as the fault left it").click()
        expect(inspector.locator(".lane-bytes")).to_have_text("Nothing was left to be sent.")
        assert notebook.value("got") == ["number 1", "number 3"]
        assert notebook.problems == []
