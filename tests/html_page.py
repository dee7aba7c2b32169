"""What a page of HTML is made of, for tests of reports."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """What a page is made of: its elements with attributes and all text within, in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(html)
        self.close()
        assert not self._open, [tag for tag, _ in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), attrs
        text: list[str] = []
        self.elements.append((tag, {name: value or "" for name, value in attrs}, text))
        if tag not in VOID:
            self._open.append((tag, text))

    def handle_endtag(self, tag: str) -> None:
        last, _ = self._open.pop()
        assert last == tag, f"</{tag}> closes <{last}>"

    def handle_data(self, data: str) -> None:
        for _, text in self._open:
            text.append(data)

    def all(self, *tags: str) -> list[tuple[dict[str, str], str]]:
        """Attributes and text of all elements with these tags."""
        return [(own, "".join(text)) for tag, own, text in self.elements if tag in tags]

    def attributes(self, name: str) -> list[str]:
        return [own[name] for _, own, _ in self.elements if name in own]

    @property
    def explorer(self) -> Any:
        """What the page's script reads."""
        found = [text for own, text in self.all("script") if own.get("id") == "explorer-data"]
        return json.loads(found[0], parse_constant=lambda name: pytest.fail(f"JSON has no {name}"))
