"""Factors of a Gram matrix: min over W, C ≥ 0 of ½ tr (I − W Cᵀ) K (I − W Cᵀ)ᵀ, for convex and for kernel NMF.

K (n, n) is the Gram matrix of the rows, X Xᵀ or a kernel; W and C are (n, k), and the parts are convex combinations of
the rows with weights C. The accelerated step knows K by products K V alone; only the multiplicative one needs its
entries. Row weights s are no case of their own: √s K √s, √s W and C/√s are the same problem without weights
(``roots`` = √s), and a row of weight 2 takes every step that two equal rows would take together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .kkt import balance, column_squares, residual_of
from .least_squares import nonnegative_rows
from .quadratic import Sweep

__all__ = ["Gram", "largest", "lowest", "multiply", "normalized", "search_step", "seeds"]

Factors = dict[str, np.ndarray]
SWEEPS = 8  # of W
STEPS = 8  # of C
LLOYD = 10
FLAT = 0.2  # added to the indicators of the start's clusters: multiplicative updates cannot leave 0


@dataclass
class Gram:
    """K, as far as the updates know it.

    Parameters
    ----------
    times : callable
        From V (n, p) to K V.
    diagonal : ndarray of shape (n,)
    top : float
        Its largest eigenvalue, or more.
    roots : ndarray of shape (n,), optional
        √s where K is √s K √s; rows where it is 0 do not count.
    """

    times: Callable[[np.ndarray], np.ndarray]
    diagonal: np.ndarray
    top: float
    roots: np.ndarray | None = None

    @property
    def trace(self) -> float:
        """Sum of the diagonal: twice the loss of W = 0."""
        return float(self.diagonal.sum(dtype=np.float64))

    def per_row(self, V: np.ndarray) -> np.ndarray:
        """V of the rows without weights."""
        if self.roots is None:
            return V
        return np.divide(V, self.roots[:, None], out=np.zeros_like(V), where=self.roots[:, None] > 0)


def seeds(gram: Gram, k: int, rng: np.random.Generator, first: bool) -> np.ndarray:
    """C (n, k) of the means of k clusters: rows far from each other, then Lloyd's iterations.

    The first start takes the row that is farthest from all before it, the others draw one in proportion to its squared
    distance (k-means++). Where all distances are 0, columns stay 0.
    """
    dtype, n = gram.diagonal.dtype, len(gram.diagonal)
    s = np.ones(n, dtype) if gram.roots is None else gram.roots**2
    roots = np.sqrt(s)
    squares = gram.per_row(gram.per_row(gram.diagonal[:, None]))[:, 0]
    C = np.zeros((n, k), dtype)
    seed = (roots / s.sum())[:, None].astype(dtype)  # the mean of all rows
    nearest = np.full(n, np.inf)
    for j in range(k):
        M = gram.times(seed)
        distance = squares - 2 * gram.per_row(M)[:, 0] + float(seed[:, 0] @ M[:, 0])
        distance = np.where(s > 0, np.maximum(distance, 0), 0)
        nearest = distance if j < 2 else np.minimum(nearest, distance)  # the mean is no seed
        none_left = nearest.max() <= 100 * np.finfo(dtype).eps * squares.max(initial=0)
        if none_left and (j > 0 or squares.max(initial=0) == 0):
            break
        chance = (s if none_left else nearest * s).astype(np.float64)
        row = int(chance.argmax() if none_left else nearest.argmax())
        row = row if first else int(rng.choice(n, p=chance / chance.sum()))
        C[row, j] = 1 / roots[row]
        seed = C[:, j : j + 1].copy()
    return _lloyd(gram, C, s, squares)


def _lloyd(gram: Gram, C: np.ndarray, s: np.ndarray, squares: np.ndarray) -> np.ndarray:
    used = int(np.count_nonzero(C.any(axis=0)))
    labels = None
    for _ in range(LLOYD if used > 1 else 0):
        M = gram.times(C[:, :used])
        distance = np.einsum("ij,ij->j", C[:, :used], M) - 2 * gram.per_row(M)
        before, labels = labels, distance.argmin(axis=1)
        sizes = np.bincount(labels, weights=s, minlength=used)
        if (before is not None and (before == labels).all()) or not sizes.all():
            break
        C = np.zeros_like(C)
        C[np.arange(len(C)), labels] = np.sqrt(s) / sizes[labels]
    return C


def first_factors(gram: Gram, C: np.ndarray, positive: bool) -> Factors:
    """W, C and M = K C from C; without zeros where multiplicative updates are to move them."""
    if positive:
        roots = np.ones(len(C), C.dtype) if gram.roots is None else gram.roots
        C = C + (FLAT * C.sum(axis=0) / max(len(C), 1)) * (roots[:, None] > 0)
    M = gram.times(C)
    W = nonnegative_rows(_symmetric(C.T @ M), M, 0.0, np.inf, 1e-10)
    return {"W": W + FLAT * W.mean() if positive else W, "C": C, "M": M}


def search_step(gram: Gram, factors: Factors) -> tuple[Factors, float, float]:
    """Sweeps over W, then projected gradient steps of C; the new factors with M = K C, their loss, their residual.

    The gradient of C is M A − K W with A = Wᵀ W. A is at most diag(A) times the largest eigenvalue λ of A scaled to
    unit diagonal, so C_j moves by 1 / (A_jj λ top). All may come extrapolated, beyond the bound too.
    """
    C, M = factors["C"], factors["M"]
    W = factors["W"].copy()
    Sweep(SWEEPS).rows(W, _symmetric(C.T @ M), np.ascontiguousarray(M), 0.0, np.inf)
    A, N = W.T @ W, gram.times(W)
    size = np.sqrt(np.diag(A).astype(np.float64))
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    spread = float(np.linalg.eigvalsh(A * np.outer(inverse, inverse))[-1])
    rate = (inverse**2 / (max(spread, 1.0) * gram.top) if gram.top > 0 else 0 * size).astype(C.dtype)
    C, M = _descended(gram, C, M, A, N, rate)
    return {"W": W, "C": C, "M": M}, *_measured(gram, W, C, M, A, N)


def _descended(
    gram: Gram, C: np.ndarray, M: np.ndarray, A: np.ndarray, N: np.ndarray, rate: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A few projected gradient steps with Nesterov's extrapolation, taken back where the loss rises; C and K C."""
    ahead, of_ahead, t, best = C, M, 1.0, np.inf
    for _ in range(STEPS):
        new = np.maximum(ahead - (of_ahead @ A - N) * rate, 0)
        of_new = gram.times(new)
        loss = float(np.vdot(new.T @ of_new, A)) / 2 - float(np.vdot(new, N))
        if loss > best:
            ahead, of_ahead, t = C, M, 1.0
            continue
        before, t = t, 0.5 * (1 + np.sqrt(1 + 4 * t * t))
        push = C.dtype.type((before - 1) / t)
        ahead, of_ahead = new + push * (new - C), of_new + push * (of_new - M)
        C, M, best = new, of_new, loss
    return C, M


def multiply(K: np.ndarray, gram: Gram, factors: Factors) -> tuple[Factors, float, float]:
    """The multiplicative updates of Ding, Li and Jordan (2010), which need the halves K = K⁺ − K⁻."""
    W, C = factors["W"], factors["C"]
    positive, negative = np.maximum(K, 0), np.maximum(-K, 0)
    tiny = np.finfo(C.dtype).tiny
    up, down = positive @ C, negative @ C
    W = W * np.sqrt((up + W @ (C.T @ down)) / np.maximum(down + W @ (C.T @ up), tiny))
    A = W.T @ W
    rise, fall = positive @ W, negative @ W
    C = C * np.sqrt((rise + down @ A) / np.maximum(fall + up @ A, tiny))
    M = gram.times(C)
    return {"W": W, "C": C, "M": M}, *_measured(gram, W, C, M, A, rise - fall)


def _measured(
    gram: Gram, W: np.ndarray, C: np.ndarray, M: np.ndarray, A: np.ndarray, N: np.ndarray
) -> tuple[float, float]:
    """Loss and KKT residual at W and C, from M = K C, A = Wᵀ W and N = K W.

    The residual is relative to what draws W and C up, M and N: halves of the gradient by sign would cancel each other
    where rows of both signs do, and make any point look stationary.
    """
    G, trace = _symmetric(C.T @ M), gram.trace
    cross = np.einsum("ij,ij->", N, C, dtype=np.float64)
    loss = 0.5 * (trace - 2 * cross + np.einsum("ij,ij->", A, G, dtype=np.float64))
    d = balance(column_squares(W), C.T, 1.0).astype(C.dtype)
    seen, per = gram.roots, 1 / trace if trace > 0 else 1.0
    V, Mr = gram.per_row(W), gram.per_row(M)
    residual = residual_of(V, Mr, V @ G, d, per, row_weights=seen)
    residual |= residual_of(gram.per_row(C), gram.per_row(N), Mr @ A, 1 / d, per, row_weights=seen)
    return max(float(loss), 0.0), residual.relative


def _symmetric(G: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(0.5 * (G + G.T))


def normalized(C: np.ndarray) -> np.ndarray:
    """Columns that sum to 1; those of zeros as they are."""
    total = C.sum(axis=0, dtype=np.float64)
    return (C / np.where(total > 0, total, 1)).astype(C.dtype)


def largest(K: np.ndarray) -> float:
    """The largest eigenvalue of K, by power iterations: within the tenth that is added."""
    v, found = np.random.default_rng(0).standard_normal(len(K)).astype(K.dtype), 0.0
    for _ in range(30):
        v = K @ v
        size = float(np.linalg.norm(v))
        if size == 0:
            break
        v, found = v / K.dtype.type(size), size
    return 1.1 * found


def lowest(K: np.ndarray) -> float:
    """vᵀ K v for a unit v on its way to the lowest eigenvector: below 0 only where K is indefinite."""
    top, v = K.dtype.type(largest(K)), np.random.default_rng(0).standard_normal(len(K)).astype(K.dtype)
    for _ in range(30):
        v = top * v - K @ v
        v /= np.linalg.norm(v) or K.dtype.type(1)
    return float(v @ (K @ v))
