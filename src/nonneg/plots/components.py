"""Components beside each other: how alike they are, and how sparse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..metrics import hoyer_sparsity
from .canvas import COLOURS, axes_or_new, component_names, component_ticks, matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["similarity", "sparsity"]


def similarity(H: ArrayLike, *, titles: Sequence[str] | None = None, axes: Axes | None = None) -> Axes:
    r"""Draw the cosines between components as a matrix of colours.

    .. math:: c_{ij} = \frac{\langle H_i, H_j \rangle}{\|H_i\| \|H_j\|}

    Duplicates are dark cells off the diagonal. Up to 12 components the numbers stand in the cells. A component
    of zeros has no direction: its line and column stay empty.

    Parameters
    ----------
    H : array-like of shape (k, m)
        Components. With negative entries the scale goes from -1 to 1, else from 0 to 1.
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
        H is not a finite matrix, or `titles` does not fit.
    """
    values = matrix(H, "H")
    count = len(values)
    names = component_names(titles, count)
    found = cosines(values)
    text = 0.07 * max(map(len, names))
    axes = axes_or_new(axes, (2.6 + 0.1 * count + text, 1.8 + 0.1 * count + text))
    signed = bool((values < 0).any())
    cmap, bottom = ("RdBu_r", -1.0) if signed else ("Blues", 0.0)
    image = axes.imshow(np.ma.masked_invalid(found), cmap=cmap, vmin=bottom, vmax=1.0, aspect="auto")
    axes.figure.colorbar(image, ax=axes, label="cosine")
    for axis in (axes.xaxis, axes.yaxis):
        component_ticks(axis, names, named=titles is not None)
    if count <= 12:
        for (i, j), ink in np.ndenumerate(_legible_on(image.to_rgba(found))):
            if np.isfinite(found[i, j]):
                axes.text(j, i, f"{found[i, j]:.2f}", ha="center", va="center", fontsize=7, color=ink)
    return axes


def sparsity(H: ArrayLike, *, titles: Sequence[str] | None = None, axes: Axes | None = None) -> Axes:
    """Draw one bar a component: Hoyer's sparsity, from 0 (all entries equal) to 1 (a single entry).

    Dead components, which are all zero, have no sparsity: a cross stands in place of their bar.

    Parameters
    ----------
    H : array-like of shape (k, m)
        Components.
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
        H is not a finite matrix, or `titles` does not fit.

    References
    ----------
    Hoyer (2004), Non-negative matrix factorization with sparseness constraints, JMLR 5, section 3.1.
    """
    values = matrix(H, "H")
    names = component_names(titles, len(values))
    found = hoyer_sparsity(values, axis=1)
    dead = np.isnan(found)
    axes = axes_or_new(axes, (2.5 + 0.1 * len(values), 2.8))
    axes.bar(np.arange(len(values)), np.where(dead, 0.0, found), color=COLOURS[0])
    if dead.any():
        axes.plot(
            np.flatnonzero(dead), np.full(dead.sum(), 0.03), "x", color=COLOURS[5], label="dead (all zero)"
        )
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    axes.set(ylim=(0, 1), xlim=(-0.6, len(values) - 0.4), xlabel="component", ylabel="sparsity (Hoyer)")
    component_ticks(axes.xaxis, names, named=titles is not None)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def cosines(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosines of rows, NaN for rows of zeros."""
    # each row over its largest entry first, so that squares fit
    largest = abs(values).max(axis=1, keepdims=True)
    scaled = values / np.where(largest > 0, largest, 1.0)
    directions = scaled / np.where(largest > 0, np.linalg.norm(scaled, axis=1, keepdims=True), np.nan)
    return np.clip(directions @ directions.T, -1.0, 1.0)


def _legible_on(paint: NDArray) -> NDArray:
    """Black or white, whichever is told better from a colour, for these cells have a ground of their own."""
    return np.where(paint[..., :3] @ np.array([0.299, 0.587, 0.114]) > 0.5, "black", "white")
