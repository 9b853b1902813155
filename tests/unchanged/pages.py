"""What of an HTML report must stay: its embedded data, the ids of its elements, its texts with their numbers."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

SILENT = ("script", "style")
LABELS = ("aria-label", "title", "alt")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.values: list[str] = []
        self.labels: list[str] = []
        self.text: list[str] = []
        self.data: dict[str, Any] = {}
        self._silent = ""
        self._json = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.ids += [named["id"]] if "id" in named else []
        self.values += [f"{name}={value}" for name, value in named.items() if name.startswith("data-")]
        self.labels += [named[name] for name in LABELS if name in named]
        if tag in SILENT:
            self._silent = tag
            self._json = named.get("id", "data") if "json" in named.get("type", "") else ""

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self._silent = self._json = ""

    def handle_data(self, data: str) -> None:
        if self._json:
            self.data[self._json] = json.loads(data)
        elif not self._silent and data.strip():
            self.text.append(" ".join(data.split()))


def read_page(text: str) -> dict[str, Any]:
    """Return the parts of a page; style, script and drawings are left out."""
    page = _Page()
    page.feed(text)
    return {
        "ids": page.ids,
        "values": page.values,
        "labels": "\n".join(page.labels),
        "text": "\n".join(page.text),
        "data": page.data,
    }
