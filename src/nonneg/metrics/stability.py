"""Which component of one fit is which component of another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["ComponentMatch", "match_components"]


class ComponentMatch(NamedTuple):
    """The answer of :func:`match_components`.

    Attributes
    ----------
    permutation : ndarray of shape (k1,)
        Row `permutation[i]` of H2 belongs to row i of H1; -1 where H2 has no row left for it.
    similarity : ndarray of shape (k1,)
        Cosine of the matched rows; NaN where there is none.
    """

    permutation: NDArray[np.intp]
    similarity: NDArray[np.float64]


def _unit_rows(H: ArrayLike, name: str) -> NDArray[np.float64]:
    values = np.asarray(H, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{name} must be a non-empty matrix (components, features), got shape {values.shape}."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinite entries: remove those components first.")
    scale = np.abs(values).max(axis=1, keepdims=True)
    scaled = values / np.where(scale > 0, scale, 1.0)
    norms = np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / np.where(norms > 0, norms, 1.0)


def match_components(H1: ArrayLike, H2: ArrayLike) -> ComponentMatch:
    r"""Pair the rows of two component matrices so that their cosines sum to the most.

    .. math:: \max_\pi \sum_i \frac{\langle H1_i, H2_{\pi(i)} \rangle}{\|H1_i\| \, \|H2_{\pi(i)}\|}

    Parameters
    ----------
    H1 : array-like of shape (k1, m)
        The components to be named.
    H2 : array-like of shape (k2, m)
        The components to choose from. k2 may differ from k1. Scales of rows do not matter; a zero row has cosine 0
        with everything.

    Returns
    -------
    ComponentMatch
        `permutation` (k1,) and `similarity` (k1,). With k1 ≤ k2, `H2[permutation]` is H2 in the order of H1.

    Raises
    ------
    ValueError
        A matrix is empty, not 2-D or not finite, or the numbers of features differ.

    References
    ----------
    Kuhn (1955), The Hungarian method for the assignment problem.
    """
    a, b = _unit_rows(H1, "H1"), _unit_rows(H2, "H2")
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"H1 has {a.shape[1]} features and H2 {b.shape[1]}: both must describe the same features."
        )
    cosine = np.clip(a @ b.T, -1.0, 1.0)
    rows, columns = linear_sum_assignment(cosine, maximize=True)
    permutation = np.full(len(a), -1, dtype=np.intp)
    similarity = np.full(len(a), np.nan)
    permutation[rows] = columns
    similarity[rows] = cosine[rows, columns]
    return ComponentMatch(permutation, similarity)
