"""How the fit went."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import plots
from ...plots.curves import OTHER
from ..blocks import Drawing, Section
from ..facts import Facts
from ..figures import css_colours, drawn
from ..words import counted, listed, number

__all__ = ["convergence"]

POINTS = 500


def convergence(facts: Facts) -> Section | None:
    """Loss and KKT residual against iterations; None where the model has no history."""
    model = facts.model
    history = {name: np.asarray(values) for name, values in (getattr(model, "history_", None) or {}).items()}
    terms = ["loss"] if "loss" in history else [name for name in history if name not in OTHER]
    count = len(history[terms[0]]) if terms else 0
    if not count:
        return None
    step = "epoch" if "epoch" in history else "iteration"
    sentences = [_ended(facts, step)]
    if "seconds" in history and len(history["seconds"]):
        sentences.append(f"It took {number(float(history['seconds'][-1]))} seconds.")
    changes = [
        f"{name.replace('_', ' ')} went from {number(float(values[0]))} to {number(float(values[-1]))}"
        for name, values in ((name, history[name]) for name in terms)
        if len(values) > 1
    ]
    if changes:
        text = f"{listed(changes)}."
        sentences.append(text[0].upper() + text[1:])
    legend = []
    if len(terms) > 1:  # beside the figure, where they can wrap
        legend = [
            (colour, name.replace("_", " "))
            for colour, name in zip(css_colours(len(terms)), terms, strict=True)
        ]

    def draw(axes: Any) -> None:
        lines = plots.convergence(_thinned(history, count), axes=axes).get_legend()
        if legend and lines is not None:
            lines.remove()

    svg = drawn(draw, "fit", size=(4.8, 3.4))
    alt = f"{counted(count, step)} of the fit. {'; '.join(changes) or 'One point'}."
    caption = f"{'Loss' if terms == ['loss'] else 'The terms of the loss'} after each {step}."
    if "kkt" in history and np.isfinite(history["kkt"]).any():
        caption += " The KKT residual is 0 where W and H cannot be improved by small changes."
    return Section(
        "fit", "How the fit went", sentences, _cautions(facts, step), [Drawing(svg, alt, caption, legend)]
    )


def _ended(facts: Facts, step: str) -> str:
    model = facts.model
    state = "converged" if model.converged_ else "ended without convergence"
    tol = f" (tol={number(float(model.tol))})" if isinstance(getattr(model, "tol", None), float) else ""
    return f"The fit {state} after {counted(int(model.n_iter_), step)}{tol}."


def _cautions(facts: Facts, step: str) -> list[str]:
    if facts.model.converged_:
        return []
    limit = "max_epochs" if step == "epoch" else "max_iter"
    if not hasattr(facts.model, limit):
        return ["The fit has not converged: what is said here is of an answer on its way."]
    return [
        f"The fit has not converged: the parts may still move. Raise {limit} (it ended at "
        f"{counted(int(facts.model.n_iter_), step)}) if the curve still falls."
    ]


def _thinned(history: dict[str, Any], count: int) -> dict[str, Any]:
    """At most POINTS records, the first and the last among them."""
    rows = np.unique(np.linspace(0, count - 1, min(count, POINTS)).astype(int))
    return {name: values[rows] for name, values in history.items() if len(values) == count}
