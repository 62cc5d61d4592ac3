"""Reads a PEP 503 page with nothing of crane's: the standard library's parser."""

from __future__ import annotations

from html.parser import HTMLParser


class HtmlPage(HTMLParser):
    """The page's anchors and meta elements, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: list[dict[str, str]] = []
        self.texts: list[str] = []
        self.metas: list[tuple[str, str]] = []
        self.elements: list[str] = []
        self.doctype = ""
        self._inside = False
        self.feed(text)
        self.close()

    def handle_decl(self, decl: str) -> None:
        self.doctype = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        values = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.anchors.append(values)
            self.texts.append("")
            self._inside = True
        elif tag == "meta":
            self.metas.append((values.get("name", ""), values.get("content", "")))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[-1] += data

    def meta(self, name: str) -> list[str]:
        """Return the contents of the meta elements with this name."""
        return [content for key, content in self.metas if key == name]
