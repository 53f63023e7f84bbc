"""Components along their features: the largest ones by name, or all of them along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .canvas import COLOURS, axes_or_new, colours, component_names, grid_of, matrix, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["spectra", "top_features"]


def top_features(
    H: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    n: int = 10,
    n_columns: int = 5,
    titles: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw the largest features of every component as bars with their weights, one panel a component.

    Features of weight 0 are left out, so that a sparse component may have fewer than `n` bars and one of zeros
    has none. Bars of different panels have different scales; the numbers beside them are the entries of H.

    Parameters
    ----------
    H : array-like of shape (k, m)
        Components: `model.parts()`. Negative entries are ranked by magnitude, and their bars go to the left.
    names : sequence of m str, optional
        What the features are called (`feature_names_in_`), by default their numbers; more than 24 characters
        are shortened.
    n : int, default=10
        Bars a component, at most.
    n_columns : int, default=5
        Panels a line.
    titles : sequence of k str, optional
        Above each panel; by default the number of the component.
    figure : Figure, optional
        Empty figure to draw on.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        H is not a finite matrix, `names` or `titles` does not fit it, or `n` is not positive.
    """
    values = matrix(H, "H")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    if names is not None and len(names) != values.shape[1]:
        raise ValueError(f"names must hold {values.shape[1]} names, got {len(names)}.")
    above = component_names(titles, len(values), length=24)
    n_bars = min(n, values.shape[1])
    shown = [str(j) for j in range(values.shape[1])] if names is None else names
    best = [_largest(component, n_bars) for component in values]
    labels = [[shorten(shown[j]) for j in order] for order in best]
    longest = max((len(label) for some in labels for label in some), default=0)
    figure, grid = grid_of(len(values), n_columns, figure, (1.5 + 0.08 * longest, 0.5 + 0.17 * n_bars))
    for axes, component, order, some, title in zip(grid.flat, values, best, labels, above, strict=False):
        axes.set_title(title, fontsize=9)
        _draw_bars(axes, component[order], some)
        axes.set_ylim(n_bars - 0.4, -0.6)
    for axes in grid.flat[len(values) :]:
        axes.set_axis_off()
    return figure


def _places(x: ArrayLike, m: int) -> NDArray:
    """Return m numbers, also of texts such as names of columns, or m dates."""
    found = np.asarray(x)
    if found.shape != (m,):
        raise ValueError(f"x must have one entry for each of {m} features, got shape {found.shape}.")
    try:
        return found if found.dtype.kind == "M" else found.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"x must hold numbers or dates, got {found[0]!r}, …: leave it out for 0, 1, …."
        ) from None


def _largest(component: NDArray, n: int) -> NDArray[np.intp]:
    """Return which entries are largest in magnitude, largest first, and of equal ones the first; zeros are left out."""
    order = np.argsort(-abs(component), kind="stable")[:n]
    return order[component[order] != 0]


def _draw_bars(axes: Axes, weights: NDArray, labels: Sequence[str]) -> None:
    import matplotlib

    bars = axes.barh(np.arange(len(weights)), weights, height=0.75, color=COLOURS[0])
    axes.bar_label(bars, fmt="%.3g", padding=2, fontsize=7)
    axes.set_yticks(np.arange(len(weights)), labels, fontsize=8)
    axes.set_xticks([])
    axes.margins(x=0.4)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(weights):
        axes.axvline(0.0, color=matplotlib.rcParams["axes.edgecolor"], linewidth=0.8)
    else:
        axes.text(0.5, 0.5, "all zero", ha="center", va="center", fontsize=8, transform=axes.transAxes)


def spectra(
    H: ArrayLike,
    x: ArrayLike | None = None,
    *,
    stacked: bool | None = None,
    titles: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw components as lines along an axis: wavelengths, times, frequencies.

    Few lines share one scale. Many are stacked, each divided by its own largest magnitude and above a base line
    of its own, the first on top.

    Parameters
    ----------
    H : array-like of shape (k, m)
        Components.
    x : array-like of shape (m,), optional
        Where the features lie, in any order: numbers (also as text, as names of columns are) or dates; by default
        0, 1, ….
    stacked : bool, optional
        By default from 7 components on.
    titles : sequence of k str, optional
        Names of the components; by default their numbers.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        H is not a finite matrix, or `x` or `titles` does not fit it, or `x` holds other texts than numbers.
    """
    values = matrix(H, "H")
    count, m = values.shape
    names = component_names(titles, count)
    places = np.arange(m) if x is None else _places(x, m)
    order = np.argsort(places, kind="stable")
    stacked = count > 6 if stacked is None else stacked
    axes = axes_or_new(axes, (6.0, 3.2 if not stacked else 1.2 + 0.25 * count))
    if stacked:
        largest = abs(values).max(axis=1, keepdims=True)
        values = 0.9 * values / np.where(largest > 0, largest, 1.0) + np.arange(count)[::-1, None]
    marker = "o" if m == 1 else None
    paints = COLOURS[:1] * count if stacked else colours(count)  # stacked lines are told by their place
    for line, colour, name in zip(values, paints, names, strict=True):
        axes.plot(places[order], line[order], color=colour, linewidth=1.2, marker=marker, label=name)
    if stacked:
        axes.set_yticks(np.arange(count)[::-1], names, fontsize=8 if count <= 20 else 6)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", alpha=0.25)
    elif count > 1 or titles is not None:
        axes.legend(frameon=False, fontsize=8, ncols=min(count, 6), loc="lower left", bbox_to_anchor=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    return axes
