"""Stills: HTML without script, everything escaped."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from lane_kernel.capture import Store
from lane_kernel.panels import EventLog, Inspector, TimelinePanel, refresh_stills
from lane_kernel.panels.still import ROWS, events_html, inspector_html, timeline_html
from lane_kernel.sides import Direction, Side
from lane_kernel.timeline import Timeline
from lane_kernel.wire.eventstream import encode_event
from tests.panels.conversation import SCRIPT, add_events, echo_store, masked

ALLOWED = {"section", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "pre", "ul", "li"}


class Tags(HTMLParser):
    """The tags, attributes and words of some HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.words += data


def timeline() -> Timeline:
    """A conversation of HTML in every place where a peer may put it."""
    store = echo_store(SCRIPT, "<img src=x onerror=alert(1)>")
    add_events(store, 1)
    connection = store.connection(2)
    store.append(connection, Direction.TO_CLIENT, encode_event(SCRIPT, event="<b>", id="<i>"))
    return Timeline(store)


def stills() -> list[str]:
    """Every still of that conversation."""
    shown = timeline()
    entries = [inspector_html(entry) for entry in shown]
    return [timeline_html(shown), events_html(shown), inspector_html(masked(SCRIPT)), inspector_html(None), *entries]


def test_data_stays_text() -> None:
    for html in stills():
        found = Tags(html)
        assert found.tags <= ALLOWED
        assert found.attributes <= {"class", "style"}


def test_a_still_shows_what_was_seen() -> None:
    words = Tags(timeline_html(timeline())).words
    assert SCRIPT in words
    assert "GET /echo" in words
    assert "101 Switching Protocols" in words
    assert "──►" in words
    assert "grüße 0" in Tags(events_html(timeline())).words
    fields = Tags(inspector_html(timeline()[3])).words
    assert "masking-key" in fields
    assert "81 99 37 fa 21 3d" in fields


def test_only_the_latest_rows_are_shown_and_it_says_so() -> None:
    html = timeline_html(Timeline(echo_store(*["x"] * ROWS)))
    assert html.count("<tr>") == ROWS + 1
    assert f"the last {ROWS}" in html


def test_what_lets_others_in_is_overwritten() -> None:
    store = Store()
    connection = store.open(Side.SERVER, "127.0.0.1:80", "127.0.0.1:5000")
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: secret=1\r\nAuthorization: Basic c2VjcmV0\r\n\r\n"
    store.append(connection, Direction.TO_SERVER, head)
    words = Tags(inspector_html(Timeline(store)[1])).words
    assert "secret" not in words
    assert "c2VjcmV0" not in words
    assert b"secret=1".hex(" ") not in words
    assert "*" * len("secret=1") in words
    assert "localhost" in words


async def test_a_still_travels_beside_the_widget() -> None:
    shown = timeline()
    for panel in (TimelinePanel(shown), EventLog(shown), Inspector(shown)):
        data, _ = panel._repr_mimebundle_()
        assert data["text/html"] == panel.still()
        assert "application/vnd.jupyter.widget-view+json" in data
        panel.close()


async def test_a_displayed_still_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython.display

    from lane_kernel.panels import still

    updates: list[str] = []

    class Handle(IPython.display.DisplayHandle):
        def update(self, obj: dict[str, str], **kwargs: object) -> None:
            updates.append(obj["text/html"])

    monkeypatch.setattr(still, "display", lambda *_, **__: Handle())  # type: ignore[no-untyped-call]
    store = echo_store()
    panel = TimelinePanel(Timeline(store))
    panel._ipython_display_()
    store.append(store.connection(1), Direction.TO_SERVER, masked("news"))
    assert refresh_stills() == 1
    assert "news" in updates[0]
    panel._heard(panel, {"type": "hello", "page": "a"}, [])
    assert refresh_stills() == 0, "a page shows the widget itself"
    assert refresh_stills(force=True) == 1
    panel.close()
