"""What handlers print, log and leave running, and what blocks the loop, as a person sees it in JupyterLab."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.lab import Lab

pytestmark = pytest.mark.browser

SERVER = """\
import asyncio, logging, sys, time
import lane_kernel as lane

server = lane.Server()

async def refresh():
    await asyncio.sleep(3600)

@server.websocket("/shop/{item}")
async def shop(ws, item):
    kept = asyncio.create_task(refresh())
    async for message in ws:
        print("asked for", message, item)
        print("no such currency", file=sys.stderr)
        logging.getLogger("shop.stock").warning("%d %s left", 3, item)
        try:
            {}["price"]
        except KeyError:
            logging.getLogger("shop").exception("no price")
        await ws.send("done")
        return

await server.start()
"""
SHOW = "play = lane.Playground(server)\nplay"
ASK = """\
async with lane.connect(server.url("/shop/apples")) as ws:
    await ws.send("3")
    await ws.receive()
"""
BLOCK = "total = 0\nfor _ in range(2):\n    time.sleep(0.6)"


@pytest.mark.parametrize(("name", "theme"), [("light", "JupyterLab Light"), ("dark", "JupyterLab Dark")])
def test_the_log_shows_what_handlers_say_and_the_bar_how_long_the_loop_was_blocked(
    lab: Lab, artifacts: Path, name: str, theme: str
) -> None:
    with lab.notebook(SERVER, SHOW, theme=theme, width=1600, height=1250) as notebook:
        page = notebook.page
        page.locator(".lane-timeline").wait_for()
        page.locator(".lane-editor .cm-editor").wait_for()
        notebook.add_cell(ASK)
        lines = page.locator(".lane-log li")
        for words, look in (
            ("asked for 3 apples", "lane-printed"),
            ("no such currency", "lane-printed"),
            ("3 apples left", "lane-s-warning"),
            ("no price", "lane-bad"),
            ("ended and left a task running: refresh()", "lane-s-warning"),
        ):
            expect(lines.filter(has_text=words).first).to_have_class(look)
            expect(lines.filter(has_text=words).locator(".lane-where").first).to_contain_text("/shop/{item} 1")
        expect(lines.filter(has_text="no such currency").locator(".lane-source")).to_have_text("stderr")
        expect(lines.filter(has_text="3 apples left").locator(".lane-source")).to_have_text("shop.stock")
        expect(lines.filter(has_text="asked for").locator(".lane-source")).to_have_count(0)
        lines.filter(has_text="no price").locator("summary").click()
        expect(lines.filter(has_text="no price").locator("pre")).to_contain_text("KeyError: 'price'")

        notebook.add_cell(BLOCK)
        blocked = lines.filter(has_text="the loop was blocked for 1.2 s by cell [4], line 3: time.sleep(0.6)")
        expect(blocked).to_have_class("lane-s-warning")
        bar = page.locator(".lane-blocked")
        expect(bar).to_contain_text("▲ loop blocked")
        expect(bar).to_have_class("lane-blocked lane-s-warning")
        assert "cell [4], line 3" in str(bar.get_attribute("title"))
        expect(page.locator(".lane-timeline .lane-row", has_text="loop blocked").first).to_be_visible()
        page.locator(".lane-playground").evaluate("(element) => element.scrollIntoView({ block: 'start' })")
        page.screenshot(path=artifacts / f"watching-{name}.png")
        page.locator(".lane-handlers").screenshot(path=artifacts / f"watching-log-{name}.png")
        assert not notebook.problems
