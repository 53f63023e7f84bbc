"""What the components look like: images, spectra, or their largest features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import plots
from ..blocks import Card, Cards, Drawing, Gallery, Picture, Section
from ..facts import Facts
from ..figures import drawn
from ..images import data_uri, has_signs, picture_of
from ..words import counted, listed, number, percent, shown

__all__ = ["parts"]

MOST = {"images": 100, "features": 60, "spectra": 24}
BYTES = 600_000  # of pixels, before they are packed
FEATURES, LINES = 10, 6  # a component, and a drawing
BINS = 300  # along an axis: the lowest and the highest of each


def parts(facts: Facts) -> Section | None:
    """The parts, in the order of the model; of many the largest."""
    view = facts.parts_as
    chosen = np.sort(facts.largest_first()[: MOST[view]])
    ways: dict[str, Callable[[Facts, np.ndarray], tuple[list[str], list[str], list[Any]]]] = {
        "images": _pictures,
        "features": _features,
        "spectra": _spectra,
    }
    sentences, cautions, blocks = ways[view](facts, chosen)
    if len(chosen) < facts.k:
        sentences.append(f"Shown are the {len(chosen)} largest of {facts.k:,} components.")
    return Section("parts", "The parts", sentences, cautions, blocks)


def _whole(facts: Facts) -> str:
    return "the amounts" if facts.mixtures is not None else "the sum of all parts"


def _weight(facts: Facts, j: int) -> str:
    return f"{percent(float(facts.sizes[j]))} of {_whole(facts)}"


def _pictures(facts: Facts, chosen: np.ndarray) -> tuple[list[str], list[str], list[Gallery]]:
    patterns = getattr(facts.model, "patterns_", None)
    shape = facts.image_shape
    assert shape is not None
    images = facts.parts.reshape(-1, *shape) if patterns is None else np.swapaxes(patterns, 1, 2)
    side = max(8, int(np.sqrt(BYTES / (len(chosen) * (3 if images.ndim == 4 else 1)))))
    largest, signed = float(np.abs(images).max(initial=0.0)), has_signs(images)
    pictures = []
    for j in chosen:
        content, width, height = picture_of(images[j], largest, side, signed=signed)
        alt = f"Component {j}: {_where(images[j])}"
        pictures.append(
            Picture(data_uri(content), width, height, alt, f"Component {j}, {percent(float(facts.sizes[j]))}")
        )
    sentences = ["Each picture is what one component adds to a row of X, at the place of its pixels."]
    if signed:
        sentences.append("Red is above 0, blue below; each picture has a scale of its own.")
    elif images.ndim == 4:
        below = " What is below 0 is black too." if (images < 0).any() else ""
        sentences.append(f"Black is 0; each picture has a scale of its own.{below}")
    else:
        sentences.append("White is 0, black the largest value; each picture has a scale of its own.")
    cautions = []
    if signed and not facts.model._any_sign:
        cautions.append("Parts of this model may take away as well as add: they are effects, not amounts.")
    what = "Time goes to the right, columns of X go down." if patterns is not None else ""
    return (
        sentences,
        cautions,
        [
            Gallery(
                f"Components as images of {_sides(images)}, and their shares of {_whole(facts)}. {what}",
                pictures,
            )
        ],
    )


def _sides(images: np.ndarray) -> str:
    return f"{images.shape[1]} × {images.shape[2]} pixels"


def _where(image: np.ndarray) -> str:
    """In words where an image is: its largest pixel, and how many hold half of it."""
    flat = np.abs(image).reshape(image.shape[0], image.shape[1], -1).sum(axis=2)
    total = flat.sum()
    if total <= 0:
        return "blank"
    row, column = np.unravel_index(int(flat.argmax()), flat.shape)
    half = int(np.searchsorted(np.cumsum(np.sort(flat.ravel())[::-1]), total / 2)) + 1
    return (
        f"strongest at row {row}, column {column} (from 0, top left); half of its weight lies in "
        f"{half:,} of {counted(flat.size, 'pixel')}."
    )


def _features(facts: Facts, chosen: np.ndarray) -> tuple[list[str], list[str], list[Cards]]:
    cards, seen = [], Counter[int]()
    for j in chosen:
        part = facts.parts[j]
        order = np.argsort(-np.abs(part), kind="stable")[:FEATURES]
        order = order[part[order] != 0]
        top = float(np.abs(part[order]).max(initial=0.0)) or 1.0
        rows = [(shown(facts.feature(f)), float(part[f]), float(np.abs(part[f]) / top)) for f in order]
        seen.update(int(f) for f in order)
        cards.append(
            Card(f"Component {j}", _weight(facts, j) if rows else "zero everywhere: a dead component", rows)
        )
    sentences = [
        f"The largest features of each component, at most {FEATURES}, with their weights. Compare weights within a "
        "component: each has a scale of its own."
    ]
    cautions = []
    common = [f for f, count in seen.most_common() if count > len(chosen) / 2]
    if len(chosen) >= 4 and common and facts.parts.shape[1] > 2 * FEATURES:
        # isolated (U+2068, U+2069), so that a name from right to left turns no other word around
        names = listed([f"“\u2068{shown(facts.feature(f))}\u2069”" for f in common], 5)
        are, tell = ("is", "tells") if len(common) == 1 else ("are", "tell")
        cautions.append(
            f"{names} {are} among the largest features of more than half of the components, and so {tell} them apart "
            "badly; features that are large everywhere may be left out of X, or weighted down (tf-idf, say)."
        )
    return sentences, cautions, [Cards(("Feature", "Weight"), cards)]


def _spectra(facts: Facts, chosen: np.ndarray) -> tuple[list[str], list[str], list[Drawing]]:
    m = facts.parts.shape[1]
    axis = facts.axis if facts.axis is not None else np.arange(m, dtype=float)
    blocks = []
    for first in range(0, len(chosen), LINES):
        some = chosen[first : first + LINES]
        x, lines = _thinned(axis, facts.parts[some])
        peaks = [
            f"component {j} peaks at {number(float(axis[np.abs(facts.parts[j]).argmax()]))}" for j in some
        ]
        svg = drawn(
            lambda axes, x=x, lines=lines, some=some: plots.spectra(  # type: ignore[misc]
                lines, x, titles=[str(j) for j in some], axes=axes
            ),
            f"spectra{first}",
        )
        caption = f"Components {listed(list(some))} along the columns of X."
        blocks.append(Drawing(svg, f"{listed(peaks)}.".capitalize(), caption))
    sentences = ["Each line is what one component adds to a row of X, along the columns."]
    if m > 2 * BINS:
        sentences.append(f"Of {m:,} columns the lowest and the highest of each {-(-m // BINS)} are drawn.")
    return sentences, [], blocks


def _thinned(x: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines with at most 2 × BINS points: the lowest and the highest of every bin, so that no peak is lost."""
    m = len(x)
    if m <= 2 * BINS:
        return x, lines
    starts = np.linspace(0, m, BINS + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(lines, starts, axis=1), np.maximum.reduceat(lines, starts, axis=1)
    return np.repeat(x[starts], 2), np.stack([low, high], axis=2).reshape(len(lines), -1)
