"""What the rows are made of, in shares: the structure plot."""

from __future__ import annotations

import numpy as np

from ... import plots
from ...plots.canvas import colours
from ..blocks import Drawing, Section
from ..facts import Facts
from ..figures import drawn
from ..words import counted, percent, shown

__all__ = ["memberships"]

MOST = 50  # colours
CLEAR = 0.5
ALIKE = 0.02  # standard deviation of every share
UPRIGHT = 80  # letters below the bars, with which names stand upright


def memberships(facts: Facts) -> Section | None:
    """Structure plot of the shares; None where there are none."""
    P = facts.mixtures
    if facts.shares is None or P is None or facts.k < 2:
        return None
    largest = P.max(axis=1)
    clear = float(np.mean(largest > CLEAR))
    sentences = [
        "The share of a component in a row is its amount times the size of its part, over the sum of all. "
        f"The largest share of a row is {percent(float(np.median(largest)))} in the median; "
        f"{percent(clear) if clear else 'none'} of the rows belong to one component by more than half."
    ]
    cautions = []
    if clear < CLEAR:
        cautions.append(
            "Most rows are mixtures. A row's dominant component is then a poor summary of it: read the shares."
        )
    if len(P) > 10 and float(P.std(axis=0).max()) < ALIKE:
        cautions.append(
            "The shares hardly differ from row to row: the components say little of what tells rows apart. The fit may "
            "not be at its end, or the parts hold what all rows have."
        )
    shown_parts, names = _at_most(facts, np.where(facts.blank[:, None], 0, facts.shares))
    labels = facts.labels
    by = None if labels is None else labels.of_rows()

    def draw(axes: object) -> None:
        found = plots.memberships(shown_parts, labels=by, titles=names, axes=axes)  # type: ignore[arg-type]
        legend = found.get_legend()
        if legend is not None:
            legend.remove()  # it stands beside the figure, where it can wrap
        for bars in found.patches:
            bars.set_rasterized(True)  # thousands of steps

    legend = list(zip(colours(len(names)), (f"Component {name}" for name in names), strict=True))
    if names[-1] == "other":
        legend[-1] = (legend[-1][0], f"The other {facts.k - len(names) + 1:,} components")
    counts = np.bincount(P.argmax(axis=1), minlength=facts.k)
    first = int(counts.argmax())
    alt = (
        f"Shares of {counted(facts.k, 'component')} in {counted(len(P), 'row')}. Component {first} is the largest in "
        f"{counts[first]:,} of them; {percent(clear)} have one above one half."
    )
    if by is not None:
        assert labels is not None
        alt += f" Rows are grouped by label, {shown(labels.names[labels.most_frequent(1)[0]])} being the most frequent."
    caption = (
        "A bar a row, divided among the components; rows with the same largest component stand together."
        f"{' Rows without any amount have no bar.' if facts.blank.any() else ''}"
    )
    upright = by is not None and max(map(len, labels.names)) * len(labels.names) > UPRIGHT  # type: ignore[union-attr]
    svg = drawn(draw, "shares", size=(4.8, 4.4 if upright else 2.8))
    return Section(
        "memberships", "What the rows are made of", sentences, cautions, [Drawing(svg, alt, caption, legend)]
    )


def _at_most(facts: Facts, P: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Shares of the largest components, and of the others together."""
    if facts.k <= MOST:
        return P, [str(j) for j in range(facts.k)]
    order = facts.largest_first()
    chosen, rest = np.sort(order[: MOST - 1]), order[MOST - 1 :]
    together = np.column_stack([P[:, chosen], P[:, rest].sum(axis=1)])
    return together, [*(str(j) for j in chosen), "other"]
