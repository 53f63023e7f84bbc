"""Figures of `nonneg.plots` as SVG that takes part in the page: its text, its colours by day and by night.

Drawings have no background; texts and lines are drawn in the colour of the page's text, and the ten colours of
`nonneg.plots` become variables of the page's style, which has them for light and for dark.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import numpy as np

from ..exceptions import MissingExtraError
from ..plots import COLOURS, embed, new_figure
from ..plots.canvas import colours

__all__ = ["css_colour", "css_colours", "drawn", "flat_map"]

INK = "#010203"  # stands for the colour of the page's text until the drawing is done
STYLE: Any = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), INK),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
    "grid.color": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "nonneg",
    "font.size": 10.0,
}
DOTS = 150  # an inch, of what is drawn as a raster inside
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_FONT = re.compile(r"font: (?:\w+ )*?([\d.]+px) [^;]*")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_GONE = {"metadata", "style", "title"}


def drawn(draw: Callable[[Any], Any], key: str, *, size: tuple[float, float] = (4.8, 3.4)) -> str:
    """SVG of what ``draw(axes)`` draws, to stand inside a page.

    Parameters
    ----------
    draw : callable
        Gets empty axes.
    key : str
        Unique in the page: identifiers inside begin with it.
    size : (width, height)
        In inches. Narrow ones stay legible on a phone.
    """
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's browser has it
        figure, grid = new_figure(size=size)
        draw(grid[0, 0])
        for axes in figure.axes:
            legend = axes.get_legend()
            if legend is not None:
                legend.set_frame_on(False)
        figure.savefig(file, format="svg", dpi=DOTS, transparent=True, metadata={"Date": None})
    return _inline(file.getvalue(), key)


def css_colour(colour: str) -> str:
    """A colour of the plots as the page calls it."""
    found = colour.upper()
    return f"var(--c{COLOURS.index(found)})" if found in COLOURS else colour


def css_colours(count: int) -> list[str]:
    """The colours of ``count`` components or groups, in the words of the page."""
    return [css_colour(colour) for colour in colours(count)]


def flat_map(W: np.ndarray, how: str, n_points: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of at most ``n_points`` rows of W in the plane, (p, 2), and which rows they are.

    Parameters
    ----------
    W : ndarray of shape (n, k)
    how : {"t-sne", "umap"}
    n_points : int

    Raises
    ------
    MissingExtraError
        Without umap-learn.
    """
    if how == "t-sne":
        return embed(W, n_points=n_points, random_state=0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from umap import UMAP
    except ImportError as error:
        raise MissingExtraError("umap-learn", "cluster", "a map by UMAP") from error
    rows = np.sort(np.random.default_rng(0).permutation(len(W))[:n_points])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads and graphs in pieces
        points = UMAP(n_neighbors=min(15, len(rows) - 1), random_state=0).fit_transform(W[rows])
    return np.asarray(points, dtype=np.float64), rows


def _inline(text: str, key: str) -> str:
    """What matplotlib wrote, without what a page needs not, and with identifiers that are unique in it."""
    root = ET.fromstring(text)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in _GONE:
                parent.remove(child)
    referred = {name for element in root.iter() for name in _references(element)}
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = {_local(name): value for name, value in element.attrib.items()}
        element.attrib.clear()
        for name, value in attributes.items():
            if name == "id" and value not in referred:
                continue
            element.set(name, _attribute(name, value, key))
    _gather_styles(root)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("aria-hidden", "true")  # the figure around it says in words what it shows
    root.set("focusable", "false")
    return re.sub(r">\s+<", "><", ET.tostring(root, encoding="unicode")).strip()


def _local(name: Any) -> str:
    return str(name).rpartition("}")[2]


def _references(element: ET.Element) -> set[str]:
    found = set()
    for name, value in element.attrib.items():
        found |= set(_REFERENCE.findall(value))
        if _local(name) == "href" and value.startswith("#"):
            found.add(value[1:])
    return found


def _attribute(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{key}-{value[1:]}"
    value = _REFERENCE.sub(rf"url(#{key}-\1)", value)
    if name in ("style", "fill", "stroke"):
        value = _FONT.sub(r"font-size: \1", value)
        return re.sub(r"#[0-9a-fA-F]{6}\b", _as_css, value)
    if name in ("d", "x", "y", "transform", "points"):
        value = _NUMBER.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), value)
    return " ".join(value.split()) if name in ("d", "points") else value


def _as_css(found: re.Match[str]) -> str:
    return "currentColor" if found[0] == INK else css_colour(found[0])


def _gather_styles(root: ET.Element) -> None:
    """Points of a scatter repeat their style: say it once for all of them."""
    for parent in root.iter():
        marks = [child for child in parent if child.tag == "use"]
        styles = {mark.get("style") for mark in marks}
        if len(marks) > 1 and len(marks) == len(parent) and len(styles) == 1:
            style = marks[0].get("style")
            if style is not None and parent.get("style") is None:
                parent.set("style", style)
                for mark in marks:
                    mark.attrib.pop("style")
