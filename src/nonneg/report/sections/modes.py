"""The factors of a tensor model along each way of the array, or the views of a joint one."""

from __future__ import annotations

import numpy as np

from ... import plots
from ..blocks import Drawing, Section, Table
from ..facts import Facts
from ..figures import drawn
from ..words import counted, listed, number

__all__ = ["modes"]

ENTRIES, MOST = 3, 60


def modes(facts: Facts) -> Section | None:
    """Ways of a tensor, or views; None for a model of one matrix."""
    if getattr(facts.model, "tensor_shape_", None) is not None:
        return _ways(facts)
    if getattr(facts.model, "view_widths_", None) is not None:
        return _views(facts)
    return None


def _ways(facts: Facts) -> Section:
    shape = facts.model.tensor_shape_
    factors = [np.asarray(factor, dtype=np.float64) for factor in facts.model.factors_][-len(shape) :]
    blocks: list[Drawing | Table] = []
    for way, factor in enumerate(factors, 2):
        some = factor[:, :MOST]
        largest = [f"component {j} at entry {some[:, j].argmax()}" for j in range(some.shape[1])]
        svg = drawn(
            lambda axes, some=some: plots.heatmap(  # type: ignore[misc]
                some, order=np.arange(len(some)), axes=axes
            ).set_ylabel("entry"),
            f"way{way}",
        )
        alt = f"Way {way}, largest of {counted(len(factor), 'entry')}: {listed(largest)}."
        blocks.append(Drawing(svg, alt, f"Way {way}: the entries go down, the components to the right."))
        blocks.append(_largest_entries(way, some))
    sentences = [
        f"A sample is an array of {' × '.join(map(str, shape))}. Each component has one factor for each way of it: "
        "what it looks like along that way, wherever it stands along the others. The first way counts the samples.",
    ]
    if hasattr(facts.model, "core_"):
        core = facts.model.core_
        sentences.append(
            f"The factors meet in a core of {' × '.join(map(str, core.shape))}, which says which of them go together: "
            f"{number(int(np.count_nonzero(core)))} of its {core.size:,} entries are not zero."
        )
    return Section("ways", "The ways of the array", sentences, (), blocks)


def _largest_entries(way: int, factor: np.ndarray) -> Table:
    order = np.argsort(-factor, axis=0, kind="stable")[:ENTRIES]
    rows = [
        [f"Component {j}", *(f"{i} ({number(float(factor[i, j]))})" for i in order[:, j])]
        for j in range(factor.shape[1])
    ]
    head = ["Component", *("Largest", "Second", "Third")[: len(order)]]
    return Table(f"Largest entries along way {way}, with their weights", head, rows)


def _views(facts: Facts) -> Section:
    model = facts.model
    names = model.view_names_ or [f"view {v}" for v in range(len(model.view_widths_))]
    rows = [
        [str(name), int(width), float(weight)]
        for name, width, weight in zip(names, model.view_widths_, model.view_weights_, strict=True)
    ]
    sentences = [
        f"Rows have {counted(len(rows), 'view')}: several tables of the same rows, which share their amounts W. The "
        "columns of a part are those of the views, one after the other."
    ]
    table = Table("The views and their weights in the loss", ["View", "Columns", "Weight"], rows)
    return Section("views", "The views", sentences, (), [table])
