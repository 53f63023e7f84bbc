"""How much of each component the rows have: W as a heat map."""

from __future__ import annotations

import numpy as np

from ... import plots
from ..blocks import Drawing, Section
from ..facts import Facts
from ..figures import drawn
from ..words import counted, percent

__all__ = ["amounts"]

MOST = 60
ALONE = 1.05  # components: a mixture of one
UNEQUAL = 3.0  # the largest part over the smallest one


def amounts(facts: Facts) -> Section | None:
    """Heat map of W; None without rows."""
    W = facts.W
    if W is None or not len(W):
        return None
    zeros = float(np.mean(W == 0))
    sentences = [
        f"W has {counted(len(W), 'row')} and {counted(facts.k, 'component')}. {percent(zeros)} of its entries are zero."
    ]
    blank = int(facts.blank.sum())
    cautions = []
    if blank:
        cautions.append(
            f"{counted(blank, 'row')} {'has' if blank == 1 else 'have'} no amount of any component: the model says "
            "nothing of them."
        )
    P = facts.mixtures
    if P is not None and facts.k > 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(P > 0, P * np.log(P), 0).sum(axis=1)
        effective = float(np.median(np.exp(entropy)))
        if effective < ALONE:
            sentences.append("Half of the rows or more have (nearly) a single component.")
        else:
            sentences.append(
                f"Half of the rows are a mixture of {effective:.1f} components or more (exp of the entropy of their "
                "shares)."
            )
    if facts.shares is None:
        cautions.append("Codes of this model have any sign: they are coordinates, not amounts.")
    chosen = np.sort(facts.largest_first()[:MOST])
    titles = None if len(chosen) == facts.k else [str(j) for j in chosen]
    labels = facts.labels
    by = None if labels is None else labels.of_rows()
    svg = drawn(
        lambda axes: plots.heatmap(W[:, chosen], labels=by, titles=titles, axes=axes),
        "amounts",
        size=(4.8, 4.2),
    )
    alt = f"Heat map of W: {percent(zeros)} of the entries are zero."
    if facts.led is not None:
        first = int(facts.led.argmax())
        alt += f" Component {first} leads the most rows, {facts.led[first]:,} of {len(W):,}."
    order = "by label, then " if by is not None else ""
    caption = f"A line a row of X, sorted {order}by the strongest component; a column a component."
    extent = np.abs(facts.parts).sum(axis=1)
    alive = extent[extent > 0]
    if facts.shares is not None and alive.size and alive.max() > UNEQUAL * alive.min():
        caption += (
            " Parts differ in size, so compare colours within a column; shares take the sizes into account."
        )
    return Section("amounts", "Amounts in the rows", sentences, cautions, [Drawing(svg, alt, caption)])
