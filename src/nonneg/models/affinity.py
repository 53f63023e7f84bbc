"""Affinities of rows with each other: from data or a graph to the matrix that `SymmetricNMF` factorizes.

It knows how affinities are made, weighted and contracted. Sparse ones stay sparse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from ..data import Source
from ..data.limit import shown_bytes
from .nodes import shown_node

__all__ = [
    "check_symmetric",
    "contracted",
    "excluding",
    "groups_of",
    "matrix_of",
    "nearest",
    "pairs",
    "weighted",
]

PROBES = 4
SLACK = 64  # roundings
FOR_DATA = "set affinity='nearest_neighbors' or 'rbf'"


def check_symmetric(source: Source, names: list[Any] | None = None, *, instead: str = FOR_DATA) -> None:
    """Raise unless A is square and, by its products with a few random vectors, symmetric: two passes over blocks.

    ``instead`` says what to do with data that are no affinity.
    """
    n, m = source.shape
    if n != m:
        raise ValueError(
            f"X must be a square affinity matrix, (n_samples, n_samples), got shape {source.shape}; for data "
            f"(n_samples, n_features) {instead}"
        )
    probe = np.random.default_rng(0).random((n, PROBES))
    right, left = np.zeros((2, n, PROBES))
    for block in source.blocks():
        right[block.rows] = block.X @ probe
        left += block.X.T @ probe[block.rows]
    # cells of a symmetric A may have been rounded apart
    slack = SLACK * float(np.finfo(source.float_dtype).eps) * np.maximum(right, left)
    gap = (np.abs(right - left) - slack).max(axis=1)
    if gap.max() > 0:
        raise ValueError(
            f"X must be symmetric: row and column {shown_node(int(gap.argmax()), names)} differ; take (X + X.T) / 2, "
            "or the larger of X and X.T, of a directed graph"
        )


def matrix_of(source: Source) -> Any:
    """All rows as one array, dense or CSR.

    Raises
    ------
    ValueError
        Where X is in storage and takes more than its ``memory_limit``.
    """
    limit, (n, m) = getattr(source, "memory_limit", None), source.shape
    size = n * m * source.float_dtype.itemsize
    if limit is not None and not source.is_sparse and size > limit:
        raise ValueError(
            f"X takes {shown_bytes(size)} and memory_limit is {shown_bytes(limit)}, but this model holds all of "
            "X in memory; allow more, or take NMF, which reads X a few rows at a time"
        )
    if source.is_sparse:
        return sp.csr_array(sp.vstack([block.X for block in source.blocks()], "csr"))
    found = np.empty(source.shape, source.float_dtype)
    for block in source.blocks():
        found[block.rows] = block.X
    return found


def nearest(rows: Any, known: Any, n_neighbors: int) -> sp.csr_array:
    """CSR with a 1 where one of the `known` rows is among the nearest ones of a row."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=min(n_neighbors, known.shape[0])).fit(known)
    return sp.csr_array(index.kneighbors_graph(rows))


def weighted(A: Any, weighting: str, degrees: np.ndarray) -> Any:
    """The rows of A in other units: those of a normalised cut, or of mutual information.

    Parameters
    ----------
    A : ndarray or csr_array of shape (b, n)
    weighting : {"degree", "pmi"}
        a_ij / √(d_i d_j), or max(0, log(a_ij Σ d / (d_i d_j))), with d_i the sums of the rows.
    degrees : ndarray of shape (n,)
        d_j of the columns.
    """
    values = A.data if sp.issparse(A) else A
    own = np.asarray(A.sum(axis=1, dtype=np.float64)).ravel()
    if sp.issparse(A):
        d_row, d_column = np.repeat(own, np.diff(A.indptr)), degrees[A.indices]
    else:
        d_row, d_column = own[:, None], degrees
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if weighting == "degree":
            found = values / (np.sqrt(d_row) * np.sqrt(d_column))
        else:
            found = np.maximum(np.log(values / d_row) + np.log(degrees.sum() / d_column), 0)
    found = np.where((values > 0) & np.isfinite(found), found, 0).astype(values.dtype)
    return sp.csr_array((found, A.indices, A.indptr), shape=A.shape) if sp.issparse(A) else found


def pairs(name: str, value: Any, n: int) -> np.ndarray:
    """Index pairs as an int array (p, 2), or raise naming the parameter."""
    if value is None:
        return np.empty((0, 2), np.int64)
    found = np.asarray(value)
    if found.size == 0:
        return np.empty((0, 2), np.int64)
    if found.ndim != 2 or found.shape[1] != 2 or found.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must hold pairs of row numbers (or of names, where X has them), an array of shape (p, 2); got "
            f"shape {found.shape} of dtype {found.dtype}"
        )
    if found.min() < 0 or found.max() >= n:
        odd = found.min() if found.min() < 0 else found.max()
        raise ValueError(f"{name} has an index outside 0 … {n - 1}: {odd}, but X has {n} rows")
    return found.astype(np.int64)


def groups_of(must: np.ndarray, n: int) -> np.ndarray:
    """For every row the number of its group: rows that must be together, directly or through others."""
    links = sp.coo_array((np.ones(len(must), np.int8), (must[:, 0], must[:, 1])), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)


def excluding(cannot: np.ndarray, groups: np.ndarray, names: list[Any] | None = None) -> sp.csr_array:
    """The groups that exclude each other, as a symmetric CSR array of ones, or raise for a contradiction."""
    g, ends = int(groups.max()) + 1, groups[cannot]
    same = np.flatnonzero(ends[:, 0] == ends[:, 1])
    if len(same):
        i, j = (shown_node(row, names) for row in cannot[same[0]])
        raise ValueError(
            f"cannot_link holds the pair ({i}, {j}), which must_link puts together (directly or through other rows)"
            if i != j
            else f"cannot_link holds row {i} paired with itself"
        )
    ends = np.concatenate([ends, ends[:, ::-1]])
    apart = sp.csr_array(sp.coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(g, g)))
    apart.sum_duplicates()
    apart.data[:] = 1.0
    return apart


def contracted(source: Source, groups: np.ndarray) -> Any:
    """D^-½ Zᵀ A Z D^-½ for the indicator Z (n, g) of the groups and their sizes D: A for rows that move together."""
    n, g = len(groups), int(groups.max()) + 1
    roots = 1 / np.sqrt(np.bincount(groups, minlength=g))
    Z = sp.csr_array((roots[groups], groups, np.arange(n + 1)), shape=(n, g))
    if source.is_sparse:
        return sp.csr_array(Z.T @ matrix_of(source) @ Z)
    found = np.zeros((g, g))
    for block in source.blocks():
        found += Z[block.rows].T @ (block.X @ Z)
    return (found + found.T) / 2
