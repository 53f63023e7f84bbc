"""Points that lie near k half-lines through 0: factors with one positive entry a row.

A non-negative factor has orthogonal columns exactly when no row has two positive entries. Given the other factor,
its best rows are projections: point x goes to the half-line {t h_k, t ≥ 0} that leaves least of it, which is the
one with the largest x·h_k / ‖h_k‖, and t = x·h_k / ‖h_k‖². With the mean direction as the best line of a cluster
this is k-means for directions that are weighted by their length (Pompili, Gillis, Absil & Glineur 2014).

With weights w of the cells all of this holds for the products Σ_j w_ij x_ij h_kj and the squares Σ_j w_ij h_kj², which
then depend on the row.
"""

from __future__ import annotations

import numpy as np

from ..data import Source
from ..data.products import like, values

__all__ = [
    "NOTHING",
    "balance",
    "idle",
    "most_left",
    "one_each",
    "project",
    "spectral_lines",
    "squares_of",
    "unit_columns",
]

ROUNDS = 50
NOTHING = 1e-10  # of the largest point: rounding errors
TIE = 64  # rounding errors, relative, of a length


def project(
    P: np.ndarray, squares: np.ndarray, tie: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest half-line of every point.

    Where cells are missing, a point may lie as near to several: a row of which one cell is seen lies on every line that
    is not 0 there. On the way to a fit it does not matter which one takes it, and rounding may decide. What is reported
    must be the same for lines and for multiples of them: then ``tie``.

    Parameters
    ----------
    P : ndarray of shape (n, k)
        x_i · h_k.
    squares : ndarray of shape (k,) or (n, k)
        ‖h_k‖², as every row sees it where cells have weights; a line of length 0 takes nothing.
    tie : bool
        Whether lines that are equally near but for rounding errors are a tie, which goes to the first of them.

    Returns
    -------
    labels : ndarray of int, shape (n,)
    amounts : ndarray of shape (n,)
        t ≥ 0.
    gains : ndarray of shape (n,), float64
        ‖x_i‖² − ‖x_i − t h‖².
    """
    inverse = np.divide(1.0, squares, out=np.zeros(squares.shape), where=squares > 0)
    lengths = np.maximum(P, 0) * np.sqrt(inverse)
    least = lengths.max(axis=1, keepdims=True)
    if tie:
        least = least * lengths.dtype.type(1 - TIE * np.finfo(P.dtype).eps)
    labels = (lengths >= least).argmax(axis=1)
    rows = np.arange(len(P))
    length = lengths[rows, labels].astype(np.float64)
    own = np.broadcast_to(np.sqrt(inverse), P.shape)[rows, labels]
    return labels, (length * own).astype(P.dtype), length**2


def one_each(labels: np.ndarray, amounts: np.ndarray, k: int) -> np.ndarray:
    """The factor (n, k) whose row i has ``amounts[i]`` in column ``labels[i]``."""
    factor = np.zeros((len(labels), k), amounts.dtype)
    factor[np.arange(len(labels)), labels] = amounts
    return factor


def unit_columns(V: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """V with columns of (weighted) norm 1, or 0 where they are 0, and their squares before."""
    weighted = V if weights is None else V * weights[:, None]
    squares = np.einsum("ij,ij->j", weighted, V, dtype=np.float64)
    inverse = np.divide(1.0, np.sqrt(squares), out=np.zeros(len(squares)), where=squares > 0)
    return (V * inverse).astype(V.dtype), squares


def balance(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Scales of a factor's columns that give them the norms of what they meet; from squares, 1 where one is 0."""
    usable = (own > 0) & (other > 0)
    ratio = np.where(usable, other, 1.0) / np.where(usable, own, 1.0)
    return np.where(usable, ratio**0.25, 1.0)


def idle(sizes: np.ndarray, left: np.ndarray, points: np.ndarray) -> float:
    """What a line without points could take, as a share of the largest point; 0 where every line has some."""
    top = float(points.max(initial=0.0))
    share = float(left.max(initial=0.0)) / top if top > 0 else 0.0
    return share if (sizes == 0).any() and share > NOTHING else 0.0


def most_left(left: np.ndarray, rng: np.random.Generator | None = None) -> int:
    """The point of which most is left; with ``rng`` a point drawn with that as its chance."""
    chances = np.maximum(left, 0)  # rounding may have gone below
    total = float(chances.sum())
    if rng is None or not total > 0:
        return int(left.argmax())
    return int(rng.choice(len(left), p=chances / total))


def squares_of(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Σ_j w_ij x_ij² of the rows, and Σ_i s_i w_ij x_ij² of the columns, in float64; w of cells, s of rows."""
    rows, columns = np.zeros(source.shape[0]), np.zeros(source.shape[1])
    for block in source.blocks():
        X = block.X.astype(np.float64)
        if block.weights is not None:
            X = like(X, values(X) * np.sqrt(block.weights))
        squares = X.multiply(X) if block.is_sparse else X * X
        rows[block.rows] = np.asarray(squares.sum(axis=1)).ravel()
        ones = np.ones(X.shape[0]) if block.row_weights is None else block.row_weights.astype(np.float64)
        columns += squares.T @ ones
    return rows, columns


def spectral_lines(
    Y: np.ndarray, k: int, weights: np.ndarray | None, rng: np.random.Generator | None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and amounts of points in few dimensions: lines through far points, then k-means for directions.

    Parameters
    ----------
    Y : ndarray of shape (n, r)
        Points, of any sign.
    k : int
    weights : ndarray of shape (n,), optional
        Points of weight 0 do not count. How often a point is there, or in which place, does not matter.
    rng : Generator, optional
        Points are drawn with a chance that grows with what the lines so far leave of them. Without it, the next is
        the point of which most is left.
    """
    Y = Y.astype(np.float64)
    s = np.ones(len(Y)) if weights is None else weights.astype(np.float64)
    lines = np.zeros((Y.shape[1], k))
    squares = np.einsum("ij,ij->i", Y, Y) * (s > 0)
    left, limit = squares.copy(), squares.max(initial=0.0) * 1e-12
    for j in range(k):
        if left.max(initial=0.0) <= limit:
            break
        chances = np.where(left > limit, left * s, 0.0)
        row = int(left.argmax()) if rng is None else int(rng.choice(len(Y), p=chances / chances.sum()))
        lines[:, j] = Y[row] / np.linalg.norm(Y[row])
        left = np.minimum(left, squares - np.maximum(Y @ lines[:, j], 0) ** 2)
    labels = np.zeros(len(Y), np.int64)
    amounts = np.zeros(len(Y))
    for _ in range(ROUNDS):
        before = labels
        labels, amounts, _ = project(Y @ lines, np.einsum("ij,ij->j", lines, lines))
        lines = unit_columns(Y.T @ one_each(labels, amounts * s, k))[0]
        if np.array_equal(labels, before):
            break
    return labels, amounts
