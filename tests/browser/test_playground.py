"""The playground in a real JupyterLab, in a real Chromium: what a person types, presses and sees."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.lab import Lab, Notebook

pytestmark = pytest.mark.browser

SERVER = """\
import asyncio
import lane_kernel as lane

# Rows are counted: a machine with much to do blocks the loop, which is a row of its own.
server = lane.Server(config=lane.Config(blocked_after=60))

@server.websocket("/echo")
async def echo(ws):
    async for message in ws:
        await ws.send(message)

@server.events("/clock")
async def clock(events):
    for n in range(1, 1000):
        await events.send(f'{{"n": {n}}}', event="tick", id=str(n))
        await asyncio.sleep(0.1)

await server.start()
"""
SCREENSHOTS = Path(__file__).parent / "screenshots"
SHOW = "play = lane.Playground(server)\nplay"
UPPER = "async def echo(ws):\nasync for message in ws:\nawait ws.send(message.upper())"
MISTAKE = "async def echo(ws):\nasync for message in ws:\nawait ws.send(message +)"
SIZES = [
    ("light", "JupyterLab Light", 1600, 1250),
    ("dark", "JupyterLab Dark", 1600, 1250),
    ("narrow", "JupyterLab Light", 900, 2000),
]


def open_playground(notebook: Notebook) -> Page:
    """Wait until every panel is drawn."""
    page = notebook.page
    page.locator(".lane-editor .cm-editor").wait_for()
    page.locator(".lane-timeline").wait_for()
    page.locator(".lane-playground").evaluate("(element) => element.scrollIntoView({ block: 'start' })")
    return page


def type_handler(page: Page, text: str) -> None:
    """Type a handler as a person does; the editor indents, and closes brackets."""
    page.locator(".lane-editor .cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("Delete")
    page.keyboard.type(text)


def row(page: Page, text: str) -> Locator:
    """The first row of the timeline in sight that has a text."""
    return page.locator(".lane-timeline .lane-layer .lane-row", has_text=text).first


def inspector(page: Page) -> Locator:
    """The playground's inspector, not the composer's."""
    return page.locator(".lane-columns .lane-inspector").last


def shown_bytes(page: Page) -> str:
    """What the inspector shows, in hexadecimal."""
    return " ".join(inspector(page).locator(".lane-hexes [data-offset]").all_text_contents())


def marked(page: Page, what: str) -> list[str]:
    """What is marked: bytes' offsets, or fields' names."""
    selector, attribute = {
        "bytes": (".lane-hexes .marked", "data-offset"),
        "fields": (".lane-field.marked", "data-field"),
    }[what]
    found = inspector(page).locator(selector)
    return [str(one.get_attribute(attribute)) for one in found.all()]


def test_a_person_types_a_handler_sends_a_frame_and_reads_its_bytes(lab: Lab, artifacts: Path) -> None:
    """The issue's own sentence, in order."""
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        cells = page.locator(".jp-Notebook .jp-Cell").count()
        page.screenshot(path=artifacts / "playground-empty.png")

        type_handler(page, UPPER)
        page.keyboard.press("Shift+Enter")
        expect(page.locator(".lane-handlers [role=status]", has_text="applied to /echo")).to_be_visible()
        assert page.locator(".jp-Notebook .jp-Cell").count() == cells, "Shift+Enter must not reach the notebook"

        page.get_by_role("tab", name="Composer").click()
        page.locator(".lane-composer textarea").fill("hello from a click")
        page.locator(".lane-composer .lane-hexes [data-offset='23']").wait_for()
        page.get_by_role("button", name="Send", exact=True).click()
        expect(row(page, "HELLO FROM A CLICK")).to_be_visible()
        expect(page.locator(".lane-composer", has_text="sent 24 bytes")).to_be_visible()

        row(page, "hello from a click").click()
        expect(inspector(page).locator(".lane-title")).to_contain_text("client ──► server · TEXT FIN M")
        data = notebook.value("play.inspector.entry.data.hex(' ')")
        assert shown_bytes(page) == data
        assert data.startswith("81 92 ")

        inspector(page).locator('[data-field="masking-key"]').hover()
        assert marked(page, "bytes") == ["2", "3", "4", "5"]
        inspector(page).locator(".lane-hexes [data-offset='0']").hover()
        assert marked(page, "fields") == ["FIN", "RSV1", "RSV2", "RSV3", "opcode"]
        inspector(page).locator('[data-field="opcode"]').hover()
        assert marked(page, "bytes") == ["0"]
        assert inspector(page).locator(".lane-bit.marked").all_text_contents() == ["0", "0", "0", "1"]
        page.screenshot(path=artifacts / "playground-frame.png")

        inspector(page).get_by_role("button", name="as the server received it").click()
        assert shown_bytes(page) == data
        assert not notebook.problems


def test_a_mistake_shows_its_line_and_the_old_handler_stays(lab: Lab, artifacts: Path) -> None:
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        type_handler(page, MISTAKE)
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".lane-line-mistake")).to_contain_text("await ws.send(message +)")
        expect(page.locator(".lane-line-error")).to_contain_text("SyntaxError")
        expect(page.locator(".lane-trouble summary")).to_contain_text("The old handler goes on.")
        page.locator(".lane-trouble summary").click()
        expect(page.locator(".lane-trouble pre")).to_contain_text("line 3")
        page.screenshot(path=artifacts / "playground-mistake.png")
        echoed = (
            "async with lane.connect(server.url('/echo')) as ws:\n await ws.send('still')\n print(await ws.receive())"
        )
        assert notebook.execute(echoed) == "still\n"

        type_handler(page, UPPER)
        page.keyboard.press("Shift+Enter")
        expect(page.locator(".lane-line-error")).to_have_count(0)
        expect(page.locator(".lane-trouble")).to_be_hidden()
        assert notebook.execute(echoed) == "STILL\n"


def test_a_handler_that_raises_is_seen_in_the_log_at_its_line(lab: Lab) -> None:
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        notebook.execute("r = play.handlers.apply('async def echo(ws):\\n    await ws.receive()\\n    1 / 0\\n')")
        expect(page.locator(".lane-editor .cm-content")).to_contain_text("1 / 0")
        notebook.execute("ws = await lane.connect(server.url('/echo'))\nawait ws.send('x')")
        line = page.locator(".lane-log li", has_text="ZeroDivisionError")
        expect(line).to_contain_text("(line 3)")
        line.locator("summary").click()
        expect(line.locator("pre")).to_contain_text("1 / 0")
        expect(page.locator(".lane-routes tr", has_text="/echo")).to_contain_text("✖ ZeroDivisionError")


def test_the_pages_own_websocket_and_eventsource(lab: Lab) -> None:
    """The bytes of a frame that the browser itself sent; events as they arrive."""
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        url = notebook.value("server.url('/echo')")
        echoed = page.evaluate(
            """(url) => new Promise((resolve, reject) => {
                const socket = new WebSocket(url);
                socket.onopen = () => socket.send("from the page itself");
                socket.onmessage = ({ data }) => { resolve(data); socket.close(1000); };
                socket.onerror = () => reject(new Error("no WebSocket"));
            })""",
            url,
        )
        assert echoed == "from the page itself"
        page.locator(".lane-timeline .lane-scroller").focus()
        page.keyboard.press("Home")
        frame = row(page, "from the page itself")
        frame.click()
        expect(inspector(page).locator(".lane-title")).to_contain_text("TEXT FIN M")
        entry = "server.timeline[play.timeline.selected]"
        assert shown_bytes(page) == notebook.value(f"{entry}.data.hex(' ')")
        assert notebook.value(f"{entry}.payload.decode()") == "from the page itself"
        assert shown_bytes(page).startswith("81 94 ")
        expect(inspector(page).get_by_role("button")).to_have_count(0)

        page.get_by_role("tab", name="Events").click()
        data = page.evaluate(
            """(url) => new Promise((resolve, reject) => {
                const seen = [];
                const source = new EventSource(url);
                source.addEventListener("tick", ({ data, lastEventId }) => {
                    seen.push([lastEventId, data]);
                    if (seen.length === 5) { source.close(); resolve(seen); }
                });
                source.onerror = () => reject(new Error("no EventSource"));
            })""",
            notebook.value("server.url('/clock')"),
        )
        assert data == [[str(n), json.dumps({"n": n})] for n in range(1, 6)]
        events = page.locator(".lane-eventlog .lane-layer .lane-row")
        expect(events.nth(4)).to_contain_text('tick{"n": 5}')
        events.nth(2).click()
        expect(inspector(page).locator(".lane-title")).to_contain_text("event tick id 3")
        expect(inspector(page).locator(".lane-fields")).to_contain_text("tick")


def test_what_was_typed_stays(lab: Lab) -> None:
    """A draft comes back with its route; the composer's form stays while connections come and go."""
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        type_handler(page, UPPER)
        page.locator(".lane-routes tr", has_text="/clock").locator("button").click()
        expect(page.locator(".lane-editor .cm-content")).to_contain_text("async def clock")
        page.locator(".lane-routes tr", has_text="/echo").locator("button").click()
        expect(page.locator(".lane-editor .cm-content")).to_contain_text("message.upper()")
        expect(page.locator(".lane-handlers [role=status]", has_text="not applied yet")).to_be_visible()

        page.get_by_role("tab", name="Composer").click()
        path = page.locator(".lane-composer").get_by_label("path")
        path.fill("/echo?x=1")
        page.locator(".lane-composer").get_by_label("mask").select_option("not masked")
        for _ in range(2):
            notebook.execute("async with lane.connect(server.url('/echo')) as ws: await ws.send('x')")
            page.get_by_role("button", name="Send", exact=True).click()
            expect(row(page, "GET /echo?x=1")).to_be_visible()
        expect(path).to_have_value("/echo?x=1")
        assert notebook.value("play.composer.mask.value") == "none"
        assert not notebook.problems


def test_a_lost_kernel_is_said(lab: Lab, artifacts: Path) -> None:
    """What is shown is what was seen until then."""
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        notebook.execute("async with lane.connect(server.url('/echo')) as ws: await ws.send('before')")
        row(page, "before").click()
        page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        said = page.locator(".lane-status .lane-gone")
        expect(said).to_contain_text("The kernel is gone; this is what was seen until")
        expect(page.locator(".lane-gone:visible")).to_have_count(1)
        expect(row(page, "before")).to_be_visible()
        page.screenshot(path=artifacts / "kernel-gone.png")
        notebook.run_all()
        expect(page.locator(".lane-status .lane-light", has_text="running")).to_be_visible()
        expect(page.locator(".lane-gone:visible")).to_have_count(0)


def test_a_replaced_server_is_said(lab: Lab) -> None:
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        notebook.on_cell(0, "notebook:run-cell")
        expect(page.locator(".lane-status")).to_contain_text("○ replaced")
        expect(page.locator(".lane-status").get_by_role("button")).to_have_count(0)


def test_data_is_shown_and_never_run(lab: Lab) -> None:
    attack = "<img src=x onerror='window.attacked = true'><script>window.attacked = true</script>"
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        notebook.execute(
            f"attack = {attack!r}\nws = await lane.connect(server.url('/echo'))\nawait ws.send(attack)\n"
            "await ws.receive()\nserver.log.add('error', attack, details=attack)\n"
        )
        row(page, "<img").click()
        expect(inspector(page).locator('[data-field="payload data"]')).to_contain_text("<script>")
        expect(page.locator(".lane-log li", has_text="<img").first).to_be_visible()
        assert page.locator(".lane-playground img, .lane-playground script").count() == 0
        assert page.evaluate("window.attacked") is None


def test_follow_stops_for_a_person_who_reads_and_a_reload_comes_back(lab: Lab) -> None:
    more = "for n in range(200):\n    await ws.send(str(n)); await ws.receive()"
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        notebook.execute(f"ws = await lane.connect(server.url('/echo'))\n{more}")
        follow = page.locator(".lane-timeline .lane-follow")
        expect(row(page, "199")).to_be_visible()
        expect(follow).to_have_text("● Following")

        page.locator(".lane-timeline .lane-scroller").evaluate("(element) => { element.scrollTop -= 1000; }")
        expect(follow).to_contain_text("○ Follow (")
        first = page.locator(".lane-timeline .lane-layer .lane-row").nth(3)
        reading, place = first.get_attribute("data-row"), first.bounding_box()
        notebook.execute(more)
        page.locator(".lane-timeline[data-total='803']").wait_for()
        assert first.get_attribute("data-row") == reading, "new rows never move what is being read"
        assert first.bounding_box() == place
        follow.click()
        expect(row(page, "199")).to_be_visible()

        page.locator(".lane-timeline .lane-scroller").focus()
        page.keyboard.press("Home")
        expect(row(page, "opened")).to_have_attribute("aria-selected", "true")
        page.keyboard.press("ArrowDown")
        expect(inspector(page).locator(".lane-title")).to_contain_text("GET /echo")

        page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        page.reload()
        page.locator(".lane-timeline[data-total='803']").wait_for()
        expect(row(page, "GET /echo")).to_have_attribute("aria-selected", "true")
        assert notebook.value("play.timeline.source.feed.is_running")

        notebook.add_cell("play.timeline")
        expect(page.locator(".lane-timeline[data-total='803']")).to_have_count(2)
        expect(page.locator(".lane-timeline").last.locator(".lane-layer .lane-row").first).to_be_visible()


def test_a_burst_leaves_page_and_kernel_responsive(lab: Lab) -> None:
    burst = (
        "data = lane.Frame(lane.Opcode.TEXT, b'x' * 20, masking_key=b'abcd').encode() * 1000\n"
        "connection = server.capture.open(lane.Side.SERVER, 'a', 'b', server.name)\n"
        "from lane_kernel.capture import NoteKind\n"
        "old = next(e for e in server.timeline if e.what.startswith('GET'))\n"
        "for way, kind in ((lane.Direction.TO_SERVER, 'GET'), (lane.Direction.TO_CLIENT, '101')):\n"
        "    head = next(e for e in server.timeline if e.what.startswith(kind))\n"
        "    server.capture.append(connection, way, head.data)\n"
        "for _ in range(100):\n"
        "    server.capture.append(connection, lane.Direction.TO_SERVER, data)\n"
    )
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        notebook.execute("async with lane.connect(server.url('/echo')) as ws: await ws.send('x')")
        page.evaluate(
            """() => { window.long = []; new PerformanceObserver((list) => {
                for (const task of list.getEntries()) window.long.push(task.duration);
            }).observe({ type: "longtask" }); }"""
        )
        notebook.execute(LAG)
        notebook.execute(burst)
        page.wait_for_function("() => Number(document.querySelector('.lane-timeline').dataset.frames) > 100000")
        worst = notebook.value("max(lag.all)")
        long = page.evaluate("Math.max(0, ...window.long)")
        print(f"burst of 100,000: loop blocked {worst * 1e3:.0f} ms at most, the page's longest task {long:.0f} ms")
        assert long <= 100
        page.locator(".lane-timeline .lane-scroller").evaluate("(element) => { element.scrollTop = 1_000_000; }")
        expect(row(page, "TEXT FIN M")).to_be_visible()
        expect(page.locator(".lane-timeline .lane-absent")).to_have_count(0)


def test_a_cell_that_is_run_again_leaves_the_old_panels_at_rest(lab: Lab) -> None:
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        notebook.execute("first = play")
        assert notebook.value("first.is_watched")
        notebook.on_cell(1, "notebook:run-cell")
        page.wait_for_function("() => document.querySelectorAll('.lane-playground').length === 1")
        notebook.execute("async with lane.connect(server.url('/echo')) as ws: await ws.send('again')")
        expect(row(page, "again")).to_be_visible()
        assert notebook.value("[first is play, first.is_watched, play.is_watched]") == [False, False, True]
        assert not notebook.problems


# The loop is blocked for as long as it is late, but no longer than its process has worked meanwhile: when the machine
# gives the process no processor, nobody blocks the loop.
LAG = """
import asyncio, time
class Lag:
    def __init__(self):
        self.loop, self.all = asyncio.get_running_loop(), []
        self.due, self.worked = self.loop.time(), time.process_time()
        self.tick()
    def tick(self):
        now, worked = self.loop.time(), time.process_time()
        self.all.append(min(now - self.due, worked - self.worked))
        self.due, self.worked = now + 0.005, worked
        self.handle = self.loop.call_at(self.due, self.tick)
lag = Lag()
"""


def load(url: str, *arguments: object) -> dict[str, Any]:
    """Run a client in a process of its own."""
    command = [sys.executable, "-m", "tests.browser.load", url, *map(str, arguments)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
    return dict(json.loads(done.stdout))


def test_every_frame_of_a_thousand_a_second_is_on_the_page(lab: Lab, artifacts: Path) -> None:
    """Issue 2: the page shows every frame, p95 from wire to page ≤ 200 ms, the loop blocked ≤ 50 ms."""
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        url = notebook.value("server.url('/echo')")
        notebook.execute(LAG)
        sent = load(url, "paced", 500, 10)["sent"]
        page.wait_for_function(
            "(frames) => Number(document.querySelector('.lane-timeline').dataset.frames) >= frames", arg=2 * sent
        )
        stats = page.evaluate("document.querySelector('.lane-timeline').laneStats()")
        worst = notebook.value("max(lag.all)")
        stats["loop_blocked_ms"] = worst * 1e3
        print("1,000 frames/s for 10 s:", json.dumps(stats))
        (artifacts / "rate.json").write_text(json.dumps(stats, indent=2))
        assert stats["rows"] == stats["total"] == notebook.value("len(server.timeline)")
        assert stats["frames"] >= 2 * sent
        assert stats["measured"] >= 2 * sent
        assert stats["p95"] <= 200
        assert stats["dropped"] == 0
        assert worst <= 0.05


def test_the_echo_keeps_its_rate_while_the_playground_is_open(lab: Lab, artifacts: Path) -> None:
    """Issue 2: ≥ 0.7 of the rate without it. In turns, and compared pair by pair, since the machine may be shared."""
    with lab.notebook(SERVER, SHOW) as notebook:
        page = open_playground(notebook)
        url = notebook.value("server.url('/echo')")
        load(url, "flood", 1)
        rates: dict[str, list[float]] = {"without": [], "with": []}
        for _ in range(4):
            notebook.on_cell(1, "notebook:clear-cell-output")
            page.locator(".lane-playground").wait_for(state="detached")
            assert not notebook.value("play.is_watched")
            rates["without"].append(load(url, "flood", 2)["rate"])
            notebook.on_cell(1, "notebook:run-cell")
            open_playground(notebook)
            rates["with"].append(load(url, "flood", 2)["rate"])
            assert notebook.value("play.is_watched")
        shares = [beside / alone for alone, beside in zip(rates["without"], rates["with"], strict=True)]
        share = statistics.median(shares)
        alone, beside = (statistics.median(rates[name]) for name in ("without", "with"))
        print(f"echoes/s without {alone:,.0f}, with the playground {beside:,.0f}; by pairs {share:.2f}")
        (artifacts / "echo.json").write_text(json.dumps({**rates, "share": share}, indent=2))
        assert share >= 0.7


@pytest.mark.parametrize(("name", "theme", "width", "height"), SIZES)
def test_how_it_looks(lab: Lab, artifacts: Path, name: str, theme: str, width: int, height: int) -> None:
    """Nothing sticks out, and there is a picture of each state to look at."""
    with lab.notebook(SERVER, SHOW, theme=theme, width=width, height=height) as notebook:
        page = open_playground(notebook)
        page.screenshot(path=artifacts / f"{name}-empty.png")
        notebook.execute(
            "ws = await lane.connect(server.url('/echo'))\n"
            "for text in ['Hello', 'grüße', '<b>bold</b>', 'x' * 300]:\n"
            "    await ws.send(text); await ws.receive()\n"
            "await ws.ping(b'p')\nawait ws.send_frame(lane.Frame(lane.Opcode.TEXT, b'naked'))\n"
            "async with lane.EventSource(server.url('/clock')) as source: await source.take(3, timeout=5)\n"
        )
        page.locator(".lane-timeline .lane-scroller").focus()
        page.keyboard.press("Home")
        for state, text in (("frame", "Hello"), ("finding", "naked"), ("head", "GET /echo")):
            row(page, text).click()
            expect(inspector(page).locator(".lane-title")).to_contain_text("TEXT" if state != "head" else "GET")
            inspector(page).locator(".lane-field").nth(4).hover()
            page.screenshot(path=artifacts / f"{name}-{state}.png")
            if (name, state) == ("light", "frame") and os.environ.get("LANE_UPDATE_SCREENSHOTS") == "1":
                page.locator(".lane-playground").screenshot(path=SCREENSHOTS / "playground.png")
        for tab in ("Composer", "Events", "Handlers"):
            page.get_by_role("tab", name=tab).click()
            if tab == "Events":
                expect(page.locator(".lane-eventlog .lane-layer .lane-row")).to_have_count(3)
            page.screenshot(path=artifacts / f"{name}-{tab.lower()}.png")
        type_handler(page, MISTAKE)
        page.keyboard.press("Shift+Enter")
        page.locator(".lane-line-error").wait_for()
        page.screenshot(path=artifacts / f"{name}-mistake.png")
        out = page.evaluate(
            """() => {
                const right = (one) => one.getBoundingClientRect().right;
                const edge = right(document.querySelector(".lane-playground")) + 1;
                const panels = [...document.querySelectorAll(".lane-playground .lane")];
                return panels.filter((one) => right(one) > edge).map((one) => one.className);
            }"""
        )
        assert out == []
        notebook.execute("await server.stop()")
        expect(page.locator(".lane-status")).to_contain_text("○ stopped")
        expect(page.locator(".lane-handlers .lane-empty")).to_contain_text("await server.start()")
        page.screenshot(path=artifacts / f"{name}-stopped.png")
