"""Numbers against iterations, epochs or noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .canvas import COLOURS, MARKERS, axes_or_new, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["convergence", "loss_curves", "metric_curves"]

#: Columns of a `history_` that count, time or steer: no losses.
OTHER = {"epoch", "iteration", "seconds", "learning_rate", "kkt", "change", "row"}


def metric_curves(
    levels: ArrayLike,
    curves: Mapping[str, tuple[ArrayLike, ArrayLike | None]],
    *,
    metric: str = "ACC",
    x_label: str = "noise level",
    title: str = "",
    legend: bool = True,
    axes: Axes | None = None,
) -> Axes:
    """Draw a metric against noise levels (or epochs), a line a method, its spread as a band.

    Parameters
    ----------
    levels : array-like of shape (l,)
        What is on the x axis.
    curves : mapping of str to (mean, sd)
        Arrays of shape (l,); NaN leaves a gap; sd may be None.
    metric : str, default="ACC"
        Name of the y axis.
    x_label, title : str
        Texts.
    legend : bool, default=True
        Whether to name the lines.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        A curve has another length than `levels`.
    """
    x = np.asarray(levels, dtype=np.float64)
    axes = axes_or_new(axes)
    for number, (name, (mean, sd)) in enumerate(curves.items()):
        y = np.asarray(mean, dtype=np.float64)
        if y.shape != x.shape or (sd is not None and np.shape(sd) != x.shape):
            raise ValueError(f"curve {name!r} must have {len(x)} values, one a level, got shape {y.shape}.")
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(
            x, y, color=colour, marker=MARKERS[number % len(MARKERS)], markersize=4, label=name, linewidth=1.3
        )
        if sd is not None:
            spread = np.asarray(sd, dtype=np.float64)
            axes.fill_between(x, y - spread, y + spread, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel=x_label, ylabel=metric, title=title)
    axes.grid(alpha=0.25)
    if legend and curves:
        axes.legend(frameon=False, fontsize=7)
    return axes


def loss_curves(
    history: Mapping[str, Any],
    *,
    terms: Sequence[str] | None = None,
    x: str = "epoch",
    title: str = "",
    axes: Axes | None = None,
) -> Axes:
    """Draw the terms of a `history_` on a logarithmic scale.

    Parameters
    ----------
    history : mapping of str to array
        An estimator's `history_`.
    terms : sequence of str, optional
        What to draw; by default everything but counts, times and rates.
    x : str, default="epoch"
        The x axis, a key of `history`; numbers 1, 2, … where it is absent.
    title : str
        Above.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        An unknown term.
    """
    other = {x, "epoch", "iteration", "seconds", "learning_rate"}
    chosen = [name for name in history if name not in other] if terms is None else list(terms)
    for name in chosen:
        if name not in history:
            raise ValueError(f"terms must be among {', '.join(history)}, got {name!r}.")
    axes = axes_or_new(axes)
    for number, name in enumerate(chosen):
        values = np.asarray(history[name], dtype=np.float64)
        steps = np.asarray(history[x]) if x in history else np.arange(1, len(values) + 1)
        shown = np.where(values > 0, values, np.nan)  # zero has no logarithm: a gap, not an error
        axes.plot(
            steps, shown, color=COLOURS[number % len(COLOURS)], label=name.replace("_", " "), linewidth=1.3
        )
    axes.set_yscale("log")
    axes.set(xlabel=x, ylabel="loss", title=title)
    axes.grid(alpha=0.25)
    if chosen:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, fontsize=7, frameon=False)
    return axes


def convergence(history: Mapping[str, Any], *, axes: Axes | None = None) -> Axes:
    """Draw what a fit minimised, and how far it was from a stationary point, against iterations or epochs.

    The loss is on the left, on a logarithmic scale where it fell to a tenth or more; the KKT residual, where
    the history has one, is dashed, on a logarithmic scale of its own on the right. What is not finite, and on a
    logarithmic scale what is not positive, leaves a gap.

    Parameters
    ----------
    history : mapping of str to array
        An estimator's `history_`. Without a column "loss" everything is drawn but counts, times and rates.
    axes : Axes, optional
        Where to draw; the scale of the KKT residual is a twin of it.

    Returns
    -------
    Axes
        The ones of the loss.

    Raises
    ------
    ValueError
        The history has no loss, or columns of different lengths.
    """
    from matplotlib.ticker import MaxNLocator

    terms = ["loss"] if "loss" in history else [name for name in history if name not in OTHER]
    if not terms:
        raise ValueError(f"history must have a column that is a loss, got {', '.join(history) or 'none'}.")
    x = next((name for name in ("epoch", "iteration") if name in history), "iteration")
    lines = {name: np.asarray(history[name], dtype=np.float64) for name in terms}
    count = len(lines[terms[0]])
    kkt = np.asarray(history.get("kkt", np.full(count, np.nan)), dtype=np.float64)
    steps = np.asarray(history.get(x, np.arange(1, count + 1)))
    for name, values in {**lines, "kkt": kkt, x: steps}.items():
        if values.shape != (count,):
            raise ValueError(f"history[{name!r}] must have {count} entries, got shape {values.shape}.")
    axes = axes_or_new(axes)
    marker = "o" if count == 1 else None
    for number, (name, values) in enumerate(lines.items()):
        label = shorten(name.replace("_", " "))
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(steps, values, color=colour, marker=marker, linewidth=1.5, label=label)
    if all(_falls_far(values) for values in lines.values()) or (
        len(lines) > 1 and _positive(*lines.values())
    ):
        axes.set_yscale("log", nonpositive="mask")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=x, ylabel=shorten(terms[0].replace("_", " ")) if len(terms) == 1 else "loss")
    axes.grid(alpha=0.25)
    handles = list(axes.lines)
    if _positive(kkt):
        handles += _kkt_line(axes, steps, kkt, marker)
    if len(handles) > 1:
        axes.legend(
            handles=handles, frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3
        )
    return axes


def _kkt_line(axes: Axes, steps: NDArray, kkt: NDArray, marker: str | None) -> list[Line2D]:
    twin = axes.twinx()
    lines = twin.plot(
        steps, kkt, color=COLOURS[5], linestyle="--", marker=marker, linewidth=1.2, label="KKT residual"
    )
    twin.set_yscale("log", nonpositive="mask")
    twin.set_ylabel("KKT residual")
    return lines


def _positive(*lines: NDArray) -> bool:
    """Whether something of each can be drawn on a logarithmic scale."""
    return all(bool(np.any(np.isfinite(values) & (values > 0))) for values in lines)


def _falls_far(values: NDArray) -> bool:
    shown = values[np.isfinite(values)]
    return len(shown) > 0 and shown.min() > 0 and shown.max() >= 10 * shown.min()
