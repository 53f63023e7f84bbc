"""The β-divergences: the maths of the data term, every β branch in one place.

For y = (W H)_ij > 0 and x = X_ij >= 0 (Févotte and Idier 2011, eq. 2)::

    d_β(x | y) = (x^β + (β − 1) y^β − β x y^(β−1)) / (β (β − 1))
    d_2 = ½ (x − y)²        d_1 = x log(x / y) − x + y        d_0 = x / y − log(x / y) − 1

and the loss is Σ_ij s_i w_ij d_β(X_ij | (W H)_ij), with row weights s and cell weights w over the observed cells.
Its gradient splits into two non-negative halves, ∇ = ∇⁺ − ∇⁻::

    ∇_W⁻ = R Hᵀ,  ∇_W⁺ = S Hᵀ      ∇_H⁻ = Wᵀ s R,  ∇_H⁺ = Wᵀ s S      R = w x y^(β−2),  S = w y^(β−1)

This module knows blocks, W and H; it knows nothing of solvers, which only ask for these halves. A sparse X is
never made dense for β = 1 and 2; for other β a few rows at a time are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..data.block import Block
from ..data.by_place import by_place

__all__ = ["LOSS_NAMES", "BetaLoss", "Stats", "as_loss"]

LOSS_NAMES = {"frobenius": 2.0, "kl": 1.0, "kullback-leibler": 1.0, "itakura-saito": 0.0}
_CHUNK_CELLS = 1 << 20  # dense cells at once where a sparse block must become dense
SAFE_CURVATURE = 0.25  # of its expectation: the least curvature of a cell that a Newton step counts on


@dataclass
class Stats:
    """What H needs to know of some rows; addable. ``negative`` and ``positive`` are ∇_H⁻ and ∇_H⁺ (k, m)."""

    negative: np.ndarray
    positive: np.ndarray
    loss: float

    def __add__(self, other: Stats) -> Stats:
        self.negative += other.negative
        self.positive += other.positive
        self.loss += other.loss
        return self


@dataclass
class RowModel:
    """The loss of some rows about a point of W: the halves of its gradient, its value and its curvature.

    Parameters
    ----------
    negative, positive : ndarray of shape (b, k)
        ∇_W⁻ and ∇_W⁺.
    value, size : ndarray of shape (b,)
        The loss up to a constant of the row, and the sum of the sizes of its terms: what rounding is relative to.
    curvature : ndarray of shape (b, m)
        c of the Hessian Σ_j c_ij H_:j H_:jᵀ of row i.
    """

    negative: np.ndarray
    positive: np.ndarray
    value: np.ndarray
    size: np.ndarray
    curvature: np.ndarray


class BetaLoss:
    """The β-divergence as a loss object.

    Parameters
    ----------
    beta : float
        2: Frobenius, ½‖X − WH‖²; 1: generalized Kullback–Leibler (Poisson counts); 0: Itakura–Saito.
    """

    def __init__(self, beta: float) -> None:
        self.beta = float(beta)
        if not np.isfinite(self.beta):
            raise ValueError(f"loss: beta={beta!r} must be finite")

    def __repr__(self) -> str:
        return f"BetaLoss({self.beta:g})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BetaLoss) and other.beta == self.beta

    def __hash__(self) -> int:
        return hash((BetaLoss, self.beta))

    @property
    def name(self) -> str:
        """Its name, where the field has one."""
        return next((name for name, beta in LOSS_NAMES.items() if beta == self.beta), f"beta={self.beta:g}")

    @property
    def needs_positive(self) -> bool:
        """Whether X = 0 costs infinitely much (β ≤ 0)."""
        return self.beta <= 0

    @property
    def exponent(self) -> float:
        """Exponent of the multiplicative update that makes it monotone (Févotte and Idier 2011, eq. 57)."""
        if self.beta < 1:
            return 1 / (2 - self.beta)
        return 1.0 if self.beta <= 2 else 1 / (self.beta - 1)

    # -- values ---------------------------------------------------------------------------------------------

    def cells(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """d_β(x | y), cell by cell, in float64; Y must be positive where β < 2."""
        x, y = np.asarray(X, np.float64), np.asarray(Y, np.float64)
        beta = self.beta
        if beta == 2:
            return 0.5 * (x - y) ** 2
        if beta == 1:
            return _xlogx_over_y(x, y) - x + y
        if beta == 0:
            ratio = x / y
            return ratio - np.log(ratio) - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            mixed = x * y ** (beta - 1)
        mixed = np.where((x == 0) & (y == 0), 0.0, mixed)
        return (x**beta + (beta - 1) * y**beta - beta * mixed) / (beta * (beta - 1))

    @by_place
    def value(self, block: Block, W: np.ndarray, H: np.ndarray) -> float:
        """Loss of a block, in float64."""
        if self.beta == 1 and block.is_sparse:
            return _kl_value_sparse(block, W, H, _stored_prediction(block, W, H))
        if self.beta == 2 and block.is_sparse and block.weights is None:
            return _gram_value(block, W, H, np.asarray(block.X @ H.T))
        return sum(self._value(part, self._predict(W[rows], H)) for part, rows in dense_parts(block))

    def _value(self, part: Block, Y: np.ndarray) -> float:
        if part.weights is None and self.beta == 2:
            return 0.5 * float(_row_weighted(_row_squares(part.X - Y), part))
        if part.weights is None:
            cells = self.cells(part.X, Y)
        else:  # where nothing is observed x = y: d_β(0 | y) is infinite for β ≤ 0, and 0 · ∞ is no number
            cells = self.cells(np.where(part.weights > 0, part.X, Y), Y) * part.weights
        return float(_row_weighted(cells.sum(axis=1), part))

    # -- the two halves of the gradient -----------------------------------------------------------------------

    @by_place
    def row_terms(self, block: Block, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∇_W⁻ and ∇_W⁺ of a block, each (b, k); row weights are left out, they cancel within a row."""
        if self.beta == 2 and block.weights is None:
            return np.asarray(block.X @ H.T), W @ (H @ H.T)
        if self.beta == 1 and block.is_sparse:
            R, S = _kl_halves_sparse(block, _stored_prediction(block, W, H))
            return R @ H.T, np.tile(H.sum(axis=1), (len(W), 1)) if S is None else S @ H.T
        negative, positive = np.empty_like(W), np.empty_like(W)
        for part, rows in dense_parts(block):
            R, S = self._halves(part, self._predict(W[rows], H))
            negative[rows], positive[rows] = R @ H.T, S @ H.T
        return negative, positive

    def row_model(self, part: Block, W: np.ndarray, H: np.ndarray) -> RowModel:
        """What a Newton step of every row of a dense block needs, for β ≠ 1.

        The second derivative of a cell is ((β − 1) S + (2 − β) R) / y; where it falls below a part of what it is at
        x = y, S / y, it is held there, so that a step goes down also where the loss is not convex (β < 1, β > 2).
        """
        Y = self._predict(W, H)
        R, S = self._halves(part, Y)
        beta, negative, positive = self.beta, R @ H.T, S @ H.T
        if beta == 0:
            weights = np.ones(1, Y.dtype) if part.weights is None else part.weights
            up, down = _row_products(weights, np.log(Y)), _row_products(R, Y)
        else:
            up, down = _row_products(S, Y) / beta, _row_products(R, Y) / (1 - beta)
        Y = np.maximum(Y, floor_of(Y.dtype, beta))
        with np.errstate(over="ignore", invalid="ignore"):
            slope = S / Y
            curvature = (beta - 1) * slope + (2 - beta) * (R / Y)
            if not 1 <= beta <= 2:
                np.maximum(curvature, SAFE_CURVATURE * slope, out=curvature)
        return RowModel(negative, positive, up + down, np.abs(up) + np.abs(down), curvature)

    @by_place
    def stats(self, block: Block, W: np.ndarray, H: np.ndarray) -> Stats:
        """∇_H⁻, ∇_H⁺ and the loss of a block."""
        weighted = W if block.row_weights is None else W * block.row_weights[:, None]
        if self.beta == 2 and block.weights is None:
            negative = np.ascontiguousarray((block.X.T @ weighted).T)
            return Stats(negative, (weighted.T @ W) @ H, self.value(block, W, H))
        if self.beta == 1 and block.is_sparse:
            Y = _stored_prediction(block, W, H)
            loss = _kl_value_sparse(block, W, H, Y)
            return _kl_stats_sparse(*_kl_halves_sparse(block, Y), weighted, H, loss)
        found = Stats(np.zeros_like(H), np.zeros_like(H), 0.0)
        for part, rows in dense_parts(block):
            Y = self._predict(W[rows], H)
            found.loss += self._value(part, Y)
            R, S = self._halves(part, Y)
            found.negative += weighted[rows].T @ R
            found.positive += weighted[rows].T @ S
        return found

    @by_place
    def both(self, block: Block, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray, Stats]:
        """`row_terms` and `stats` of one point; for KL on sparse X at the cost of one of them."""
        if self.beta != 1 or not block.is_sparse:
            return *self.row_terms(block, W, H), self.stats(block, W, H)
        weighted = W if block.row_weights is None else W * block.row_weights[:, None]
        Y = _stored_prediction(block, W, H)
        loss = _kl_value_sparse(block, W, H, Y)
        R, S = _kl_halves_sparse(block, Y)
        positive = np.tile(H.sum(axis=1), (len(W), 1)) if S is None else S @ H.T
        return R @ H.T, positive, _kl_stats_sparse(R, S, weighted, H, loss)

    def _halves(self, part: Block, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """R = w x y^(β−2) and S = w y^(β−1), dense."""
        X = part.X
        if self.beta == 2:
            R, S = X, Y
        elif self.beta == 1:
            R, S = X / Y, np.ones_like(Y)
        elif self.beta == 0:
            S = 1 / Y
            R = X * S * S
        else:
            R, S = X * Y ** (self.beta - 2), Y ** (self.beta - 1)
        return (R, S) if part.weights is None else (R * part.weights, S * part.weights)

    def _predict(self, W: np.ndarray, H: np.ndarray) -> np.ndarray:
        """W @ H, held above zero where the loss divides by it."""
        Y = W @ H
        return Y if self.beta >= 2 else np.maximum(Y, floor_of(Y.dtype, self.beta), out=Y)


def floor_of(dtype: Any, beta: float = 1.0) -> float:
    """Smallest value ε by which the losses divide: 1 / ε and the largest slope, ε^(β − 1), are far from overflow."""
    return float(np.finfo(dtype).tiny) ** (0.5 / max(1.0, 1 - beta))


def _row_products(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Σ_j A_ij B_ij of every row, in float64."""
    return np.einsum("ij,ij->i", np.broadcast_to(A, B.shape), B, dtype=np.float64)


def _xlogx_over_y(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x > 0, x * np.log(np.divide(x, y)), 0.0)


def _row_squares(gap: np.ndarray) -> np.ndarray:
    """Σ_j gap² of every row, in float64; within a row in the dtype of the cells, where that is in range."""
    squares = np.einsum("ij,ij->i", gap, gap).astype(np.float64)
    if not np.isfinite(squares).all():
        squares = np.einsum("ij,ij->i", gap, gap, dtype=np.float64)
    return squares


def _row_weighted(row_values: np.ndarray, block: Block) -> float:
    return row_values.sum() if block.row_weights is None else np.dot(row_values, block.row_weights)


def dense_parts(block: Block, most: int | None = None) -> Iterator[tuple[Block, slice]]:
    """Split a block into dense pieces of bounded size, with the rows of each within the block.

    A dense block is one piece, unless ``most`` says how many rows a piece has at most.
    """
    b, m = block.X.shape
    step = b if not block.is_sparse else max(1, _CHUNK_CELLS // m)
    step = step if most is None else min(step, most)
    if step >= b and not block.is_sparse:
        yield block, slice(None)
        return
    for start in range(0, b, step):
        rows = slice(start, min(start + step, b))
        weights = block.weights
        if weights is not None and block.is_sparse:
            weights = weights[block.X.indptr[rows.start] : block.X.indptr[rows.stop]]
        elif weights is not None:
            weights = weights[rows]
        row_weights = None if block.row_weights is None else block.row_weights[rows]
        yield Block(rows.start, rows.stop, block.X[rows], weights, row_weights).dense(), rows


# -- KL on sparse blocks: only stored cells are visited, the rest is in the sums of W and H -------------------------


def _stored_prediction(block: Block, W: np.ndarray, H: np.ndarray) -> np.ndarray:
    """(W H) at the stored cells."""
    from ..kernels.sampled import sampled_product

    X = block.X
    Y = np.empty(X.nnz, W.dtype)
    sampled_product(np.ascontiguousarray(W), np.ascontiguousarray(H.T), X.indices, X.indptr, Y)
    return np.maximum(Y, floor_of(Y.dtype), out=Y)


def _kl_value_sparse(block: Block, W: np.ndarray, H: np.ndarray, Y: np.ndarray) -> float:
    X = block.X
    cells = np.zeros(X.nnz + 1)  # one more, for `_row_sums`; the only array of this size in float64
    here = cells[:-1]
    np.divide(X.data, Y, out=here, dtype=np.float64)
    np.log(here, out=here, where=here > 0)
    here *= X.data
    here -= X.data
    if block.weights is not None:
        here += Y
        here *= block.weights
    per_row = _row_sums(X.indptr, cells)
    if block.weights is None:
        per_row = per_row + W.astype(np.float64) @ H.sum(axis=1, dtype=np.float64)
    return float(_row_weighted(per_row, block))


def _row_sums(indptr: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of the cells of each row; ``values`` has one more than there are cells."""
    return np.add.reduceat(values, indptr[:-1]) * (np.diff(indptr) > 0)


def _kl_halves_sparse(block: Block, Y: np.ndarray) -> tuple[sp.csr_array, sp.csr_array | None]:
    """R (in place of ``Y``) and S as CSR; S is None where every cell is observed with weight 1 (it is 1 everywhere)."""
    X = block.X
    ratio = np.divide(X.data, Y, out=Y)
    if block.weights is None:
        return sp.csr_array((ratio, X.indices, X.indptr), shape=X.shape), None
    ratio *= block.weights
    S = sp.csr_array((block.weights, X.indices, X.indptr), shape=X.shape)
    return sp.csr_array((ratio, X.indices, X.indptr), shape=X.shape), S


def _kl_stats_sparse(
    R: sp.csr_array, S: sp.csr_array | None, weighted: np.ndarray, H: np.ndarray, loss: float
) -> Stats:
    if S is None:
        positive = np.repeat(weighted.sum(axis=0)[:, None], H.shape[1], axis=1)
    else:
        positive = np.ascontiguousarray((S.T @ weighted).T)
    return Stats(np.ascontiguousarray((R.T @ weighted).T), positive, loss)


def _gram_value(block: Block, W: np.ndarray, H: np.ndarray, P: np.ndarray) -> float:
    """½ Σ_i s_i (‖x_i‖² − 2 w_i·p_i + w_i H Hᵀ w_i) of a sparse block, P = X Hᵀ, in float64."""
    X = block.X
    w = W.astype(np.float64)
    squares = _row_sums(X.indptr, np.append(X.data.astype(np.float64) ** 2, 0.0))
    H64 = H.astype(np.float64)
    per_row = squares - 2 * np.einsum("ij,ij->i", w, P) + np.einsum("ij,ij->i", w @ (H64 @ H64.T), w)
    return 0.5 * float(_row_weighted(np.maximum(per_row, 0), block))


def as_loss(loss: Any) -> Any:
    """Return the loss object for a name, a number β, or a loss object itself.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if isinstance(loss, str):
        if loss not in LOSS_NAMES:
            raise ValueError(
                f"loss={loss!r} is unknown; choose one of {', '.join(map(repr, LOSS_NAMES))}, or a number β"
            )
        return BetaLoss(LOSS_NAMES[loss])
    if isinstance(loss, Real) and not isinstance(loss, bool):
        return BetaLoss(float(loss))
    if all(hasattr(loss, method) for method in ("row_terms", "stats", "value")):
        return loss
    raise TypeError(f"loss={loss!r} must be a name, a number β, or an object with row_terms, stats and value")
