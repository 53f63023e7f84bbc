"""A page of HTML as a test sees it: read by the parser of the standard library, nothing forgiven."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

VOID = {"meta", "link", "img", "br", "hr", "input"}
OUTSIDE = ("http:", "https:", "//", "file:", "ftp:")


class Page(HTMLParser):
    """What stands in a file, and in ``faults`` what should not."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = Path(path).read_text(encoding="utf-8")
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.alts: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.sections: dict[str, str] = {}
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(self.source)
        self.close()
        self.faults += [f"<{tag}> stays open" for tag, _ in self._open]
        self._check()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.sections.values()).split())

    def section(self, key: str) -> str:
        return " ".join(self.sections.get(key, "").split())

    def handle_startendtag(self, tag, attrs):
        self._element(tag, dict(attrs))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self._element(tag, found)
        if tag not in VOID:
            self._open.append((tag, found))
        if tag == "table":
            self._rows, self._caption = [], ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag):
        if not self._open or self._open[-1][0] != tag:
            self.faults.append(f"</{tag}> closes nothing")
            return
        self._open.pop()
        if tag == "table":
            self.tables[" ".join(self._caption.split())] = self._rows

    def handle_data(self, data):
        inside = [tag for tag, _ in self._open]
        if "style" in inside or not inside:
            return
        key = next((found["id"] for tag, found in self._open if tag == "section" and "id" in found), "top")
        self.sections[key] = self.sections.get(key, "") + data
        if {"td", "th"} & set(inside):
            self._rows[-1][-1] += data.strip()
        if "caption" in inside:
            self._caption += data
        if {"h1", "h2", "h3", "h4"} & set(inside):  # also in a <bdi> of it
            level, words = self.headings[-1]
            self.headings[-1] = (level, words + data)

    def _element(self, tag, attributes):
        if tag in ("script", "iframe", "object", "embed", "base", "form"):
            self.faults.append(f"<{tag}> has no place in a report")
        for name, value in attributes.items():
            if name.startswith("on"):
                self.faults.append(f"{tag} has {name}")
            if name in ("src", "href", "xlink:href", "action") and (value or "").strip().startswith(OUTSIDE):
                self.faults.append(f"{tag} asks for {value}")
            if "url(" in (value or "") and "url(#" not in (value or ""):
                self.faults.append(f"{tag} has {name}={value}")
        if "id" in attributes:
            self.ids.append(attributes["id"])
        for name in ("href", "aria-labelledby", "xlink:href"):
            value = attributes.get(name) or ""
            if name == "aria-labelledby" and value:
                self.links.append(value)
            elif value.startswith("#"):
                self.links.append(value[1:])
        if tag == "img" or attributes.get("role") == "img":
            self.alts.append((attributes.get("alt") or attributes.get("aria-label") or "").strip())
        if tag == "th" and attributes.get("scope") not in ("row", "col"):
            self.faults.append("th without scope")
        if tag == "svg" and attributes.get("aria-hidden") != "true" and attributes.get("role") != "img":
            self.faults.append("svg that nobody describes")

    def _check(self):
        self.faults += [
            f"id {key} comes twice" for key in {key for key in self.ids if self.ids.count(key) > 1}
        ]
        self.faults += [f"link to #{key} leads nowhere" for key in set(self.links) - set(self.ids)]
        self.faults += ["picture without words"] * self.alts.count("")
        levels = [level for level, _ in self.headings]
        if levels.count(1) != 1 or levels[0] != 1:
            self.faults.append("not one h1, first")
        self.faults += [
            f"h{level} after h{before}" for before, level in pairwise(levels) if level > before + 1
        ]
        if "@import" in self.source or "url(http" in self.source:
            self.faults.append("style from elsewhere")
