"""What a panel sends to its pages, and what a page says to it, at the widget's own channel."""

from __future__ import annotations

from typing import Any

import ipywidgets


class Page:
    """A page that shows a widget: hears what is sent, and speaks as the front end does."""

    def __init__(self, widget: ipywidgets.Widget, name: str = "page") -> None:
        self.widget = widget
        self.name = name
        self.heard: list[tuple[dict[str, Any], list[bytes]]] = []
        widget.comm.publish_msg = self._publish

    def _publish(self, _kind: str, data: Any = None, buffers: Any = None, **_: Any) -> None:
        if data and data.get("method") == "custom":
            self.heard.append((data["content"], list(buffers or [])))

    def say(self, kind: str, **content: Any) -> None:
        """Send a message, on whatever thread this is called."""
        self.widget.comm.handle_msg(self.message(type=kind, page=self.name, **content))

    @staticmethod
    def message(**content: Any) -> dict[str, Any]:
        """A custom message as it comes over the wire."""
        return {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type that were heard."""
        return [content for content, _ in self.heard if content["type"] == kind]

    @property
    def rows(self) -> list[int]:
        """The numbers of all rows that were heard, in order."""
        segments = [segment for batch in self.of("rows") for segment in batch["segments"]]
        return [row for segment in segments for row in range(segment["first"], segment["first"] + segment["count"])]
