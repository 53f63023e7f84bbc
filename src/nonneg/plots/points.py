"""Rows as points of the plane, so that neighbours in many dimensions are neighbours on paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .canvas import axes_or_new, colours, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["embed", "embedding"]


def embed(
    H: ArrayLike, *, n_points: int = 2000, random_state: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return a t-SNE of codes, of at most `n_points` of their rows.

    Parameters
    ----------
    H : array-like of shape (n, k)
        Codes.
    n_points : int, default=2000
        Rows that are embedded, drawn at random where there are more.
    random_state : int, default=0
        Of the draw and of t-SNE.

    Returns
    -------
    points : ndarray of shape (p, 2)
    rows : ndarray of shape (p,)
        Which rows of H they are.

    Raises
    ------
    ValueError
        H has fewer than five rows, or is not a finite matrix.

    References
    ----------
    van der Maaten and Hinton (2008), Visualizing data using t-SNE, JMLR 9.
    """
    from sklearn.manifold import TSNE

    codes = np.asarray(H, dtype=np.float64)
    if codes.ndim != 2 or len(codes) < 5 or not np.isfinite(codes).all():
        raise ValueError(f"H must be a finite matrix of at least five rows, got shape {codes.shape}.")
    rng = np.random.default_rng(random_state)
    rows = np.sort(rng.permutation(len(codes))[:n_points])
    chosen = codes[rows] - codes[rows].mean(axis=0)
    spread = np.sqrt(np.mean(chosen**2))
    chosen = chosen / spread if spread > 0 else chosen + 1e-6 * rng.standard_normal(chosen.shape)
    perplexity = min(30.0, (len(rows) - 1) / 3)
    start = "pca" if min(chosen.shape) >= 2 else "random"
    model = TSNE(2, perplexity=perplexity, init=start, random_state=random_state)
    return model.fit_transform(chosen).astype(np.float64), rows


def embedding(
    points: ArrayLike,
    labels: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
    legend: bool = True,
    axes: Axes | None = None,
) -> Axes:
    """Scatter two-dimensional points, a colour a label; the fewer there are, the larger.

    Parameters
    ----------
    points : array-like of shape (n, 2)
        For instance from `embed`.
    labels : array-like of shape (n,)
        Classes or clusters.
    names : sequence of str, optional
        What the labels 0, 1, … are called.
    title : str
        Above.
    legend : bool, default=True
        Whether to name the colours.
    axes : Axes, optional
        Where to draw.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        Shapes that do not fit.
    """
    where, found = np.asarray(points, dtype=np.float64), np.asarray(labels)
    if where.ndim != 2 or where.shape[1] != 2:
        raise ValueError(f"points must have shape (n, 2), got {where.shape}.")
    if found.shape != (len(where),):
        raise ValueError(
            f"labels must have one entry for each of {len(where)} points, got shape {found.shape}."
        )
    axes = axes_or_new(axes)
    present = np.unique(found)
    size = float(np.clip(8000 / max(1, len(where)), 5, 40))
    for colour, label in zip(colours(len(present)), present, strict=True):
        chosen = where[found == label]
        name = shorten(label if names is None else names[int(label)])
        axes.scatter(chosen[:, 0], chosen[:, 1], s=size, color=colour, label=name, linewidths=0, alpha=0.8)
    axes.set(title=title, xticks=[], yticks=[])
    if legend:
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=8,
            markerscale=2.5 * (5 / size) ** 0.5,
        )
    return axes
