"""The rows as points of a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ... import plots
from ..blocks import Drawing, Section
from ..facts import Facts
from ..figures import css_colours, drawn
from ..words import counted, number, percent, shown

__all__ = ["plane"]

GROUPS = 20  # colours; what is left is called other
NAMES = {"t-sne": "t-SNE", "umap": "UMAP"}


def plane(facts: Facts) -> Section | None:
    """Maps of W by dominant component and by label; None where nothing is mapped."""
    if facts.map is None or facts.embedding is None:
        return None
    points, rows = facts.map
    how = NAMES[facts.embedding]
    n = facts.n_rows
    some = f"{len(rows):,} of {n:,} rows, drawn at random" if len(rows) < n else counted(n, "row")
    sentences = [
        f"{how} puts rows with similar amounts next to each other: {some}. Which points are neighbours can be read; "
        "distances between groups, their areas and the directions can not."
    ]
    blocks = []
    if facts.dominant is not None:
        names = [f"Component {j}" for j in range(facts.k)]
        some_led = ~facts.blank[rows]  # rows of zeros have no dominant component
        where, which = points[some_led], facts.dominant[rows[some_led]]
        alt = f"Map of the rows by dominant component: {_purity(where, which)}"
        blocks.append(_map(where, which, names, "bypart", alt, "Coloured by dominant component."))
    if facts.labels is not None and facts.labels.are_classes:
        codes = facts.labels.codes[rows]
        names = [shown(name) for name in facts.labels.names]
        alt = f"Map of the rows by label: {_purity(points, codes)}"
        blocks.append(_map(points, codes, names, "bylabel", alt, "Coloured by label."))
    if not blocks:
        alone = np.zeros(len(rows), int)
        alt = f"Map of {some}."
        blocks.append(_map(points, alone, ["Rows"], "bynone", alt, "One point a row."))
    return Section("map", "Map of the rows", sentences, (), blocks)


def _purity(points: np.ndarray, codes: np.ndarray) -> str:
    """How often the nearest point has the same colour, and how often it would by chance."""
    if len(points) < 2:
        return counted(len(points), "point") + "."
    from scipy.spatial import KDTree

    nearest = KDTree(points).query(points, k=2)[1][:, 1]
    same = float(np.mean(codes == codes[nearest]))
    chance = float(((np.bincount(codes) / len(codes)) ** 2).sum())
    return (
        f"the nearest neighbour has the same colour for {percent(same)} of the points, by chance it would for "
        f"{percent(chance)}."
    )


def _map(
    points: np.ndarray, codes: np.ndarray, names: Sequence[str], key: str, alt: str, caption: str
) -> Drawing:
    counts = np.bincount(codes, minlength=len(names))
    if len(names) > GROUPS:
        kept = np.sort(np.argsort(-counts, kind="stable")[: GROUPS - 1])
        place = np.full(len(names), GROUPS - 1)
        place[kept] = np.arange(GROUPS - 1)
        codes, left = place[codes], len(names) - len(kept)
        names = [*(names[j] for j in kept), f"{number(left)} others"]
    # a point nowhere for each group: a group without points takes its colour all the same
    where = np.vstack([points, np.full((len(names), 2), np.nan)])
    which = np.append(codes, np.arange(len(names)))
    svg = drawn(lambda axes: plots.embedding(where, which, legend=False, axes=axes), key, size=(4.8, 4.2))
    legend = list(zip(css_colours(len(names)), names, strict=True)) if len(names) > 1 else []
    return Drawing(svg, alt, caption, legend)
