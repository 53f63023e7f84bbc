"""How alike the components are."""

from __future__ import annotations

import numpy as np

from ... import plots
from ...plots.components import cosines
from ..blocks import Drawing, Section, Table
from ..facts import Facts
from ..figures import drawn
from ..words import number

__all__ = ["similarity"]

MOST, PAIRS = 60, 5
ALIKE = 0.9


def similarity(facts: Facts) -> Section | None:
    """Cosines between parts; None for one component."""
    chosen = np.sort(facts.largest_first()[:MOST])
    alive = chosen[facts.parts[chosen].any(axis=1)]
    if len(alive) < 2:
        return None
    i, j = np.triu_indices(len(alive), 1)
    found = cosines(facts.parts[alive])[i, j]
    order = np.argsort(-found, kind="stable")[:PAIRS]
    rows = [(f"Components {alive[i[p]]} and {alive[j[p]]}", float(found[p])) for p in order]
    closest = rows[0]
    mean = float(found.mean())
    sentences = [
        "The cosine between two parts is 1 where they differ by scale alone, and 0 where they share no feature. "
        f"{closest[0]} are closest, with {number(closest[1])}; the mean over all pairs is {number(mean)}."
    ]
    cautions = []
    alike = int((found > ALIKE).sum())
    if alike:
        cautions.append(
            f"{alike} of {len(i):,} pairs of components have a cosine above {ALIKE}: their amounts in a row are hard "
            "to tell apart, so read sums of them rather than each."
        )
    if len(chosen) < facts.k:
        sentences.append(f"Shown are the {len(chosen)} largest of {facts.k:,} components.")
    titles = None if len(chosen) == facts.k else [str(number_) for number_ in chosen]
    svg = drawn(
        lambda axes: plots.similarity(facts.parts[chosen], titles=titles, axes=axes),
        "cosines",
        size=(4.8, 4.0),
    )
    drawing = Drawing(
        svg,
        f"Cosines between the parts: {closest[0].lower()} are closest, with {number(closest[1])}.",
        "Cosine between the parts of any two components.",
    )
    table = Table("The closest pairs", ["Pair", "Cosine"], rows)
    return Section("similarity", "Similarity of components", sentences, cautions, [drawing, table])
