"""What a section of a report is made of. Everything is plain text or numbers; the template escapes and formats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

__all__ = ["Card", "Cards", "Code", "Drawing", "Gallery", "Picture", "Section", "Table"]


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG text, with what it shows in words.

    ``alt`` says what is found in it, ``caption`` how to read it; ``legend`` are (colour, name).
    """

    kind: ClassVar[str] = "drawing"
    svg: str
    alt: str
    caption: str
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Picture:
    """A small raster image: a data URI, its size in pixels, and words."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side."""

    kind: ClassVar[str] = "gallery"
    caption: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers. The first cell of a row names it."""

    kind: ClassVar[str] = "table"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold nothing but numbers."""
        numbers = (int, float, np.number)
        return [
            all(isinstance(value, numbers) for value in column) for column in zip(*self.rows, strict=True)
        ]


@dataclass(frozen=True)
class Card:
    """The largest features of a component: (name, weight, weight over the largest)."""

    title: str
    note: str
    rows: Sequence[tuple[str, float, float]]


@dataclass(frozen=True)
class Cards:
    """Cards side by side."""

    kind: ClassVar[str] = "cards"
    head: tuple[str, str]
    cards: Sequence[Card]


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    kind: ClassVar[str] = "code"
    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """One heading of the report.

    Parameters
    ----------
    key : str
        Its address in the page.
    title : str
    sentences : sequence of str
        What a reader sees, and how to read it.
    cautions : sequence of str
        What to be careful of; the first section collects them all.
    blocks : sequence of Drawing, Gallery, Table, Cards or Code
    """

    key: str
    title: str
    sentences: Sequence[str] = ()
    cautions: Sequence[str] = ()
    blocks: Sequence[Any] = field(default=())
