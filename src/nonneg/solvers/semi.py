"""X ≈ W H with W ≥ 0 and H of any sign: H is solved for exactly, and rows of W move by coordinate descent.

Rows of H that are frozen stay, and the others are solved for given them. With a mask or weights of cells every row and
every column has a Gram matrix of its own; without, all share one, and one more product with X gives everything.
"""

from __future__ import annotations

import numpy as np

from ..data import Source, Summary
from ..data.products import Products, half_squares
from ..data.threads import Workers
from ..losses import as_loss
from .cell_grams import column_terms, unpacked
from .gram import cancels
from .kernel_rows import weighted_rows
from .kkt import Residual, balance, column_squares, residual_of
from .least_squares import nonnegative_rows
from .problem import Fixed, Problem
from .quadratic import Sweep
from .rows import solve_rows

__all__ = ["ByCells", "ByGram", "cell_codes"]

SWEEPS = 8  # of W per pair of products with X
COLUMNS = 1 << 22  # numbers in the Gram matrices that are solved with at a time

Factors = dict[str, np.ndarray]


class ByGram:
    """Descent where every cell is observed with weight 1.

    Parameters
    ----------
    source : Source
    summary : Summary
    frozen : ndarray of bool of shape (k,)
    pool : Workers
    """

    def __init__(self, source: Source, summary: Summary, frozen: np.ndarray, pool: Workers) -> None:
        self.source, self.summary, self.frozen, self.pool = source, summary, frozen, pool
        self.products = Products(source, pool)
        self.unit = np.sqrt(summary.squares / summary.total_weight) or 1.0
        self.exact = False  # whether losses are summed from the residual by now

    def start(self, W: np.ndarray, H: np.ndarray | None) -> Factors:
        """What `move` takes, from W and, where it is given, H."""
        H = self.parts(W) if H is None else H
        return {"W": W, "H": H, "P": self.products.right(H.T)}

    def rows(self, H: np.ndarray) -> np.ndarray:
        """W for given H, to rounding."""
        return nonnegative_rows(H @ H.T, self.products.right(H.T), 0.0, np.inf, 1e-10)

    def _weighted(self, W: np.ndarray) -> np.ndarray:
        s = self.source.row_weights
        return W if s is None else (W * s[:, None]).astype(W.dtype, copy=False)

    def parts(self, W: np.ndarray, H: np.ndarray | None = None) -> np.ndarray:
        """H = (Wᵀ S W)⁺ Wᵀ S X; with frozen rows, which are those of ``H``, the others given them."""
        SW = self._weighted(W)
        A, B = (SW.T @ W).astype(np.float64), self.products.left(SW).T
        if H is None or not self.frozen.any():
            return (_inverse(A, W.dtype) @ B).astype(W.dtype)
        free, kept, H = ~self.frozen, self.frozen, H.copy()
        if free.any():
            rest = B[free] - A[np.ix_(free, kept)] @ H[kept]
            H[free] = _inverse(A[np.ix_(free, free)], W.dtype) @ rest
        return H

    def move(self, factors: Factors) -> tuple[Factors, float, float]:
        """Sweeps over W, then the best H and P = X Hᵀ; with the loss and the KKT residual there.

        W may come extrapolated. The gradient of H is 0, that of W is W H Hᵀ − P.
        """
        H, P = factors["H"], factors["P"]
        W = factors["W"].copy()
        Sweep(SWEEPS).rows(W, H @ H.T, P, 0.0, np.inf)
        H = self.parts(W, H)
        P = self.products.right(H.T)
        return {"W": W, "H": H, "P": P}, self._loss(W, H, P), self._residual(W, H, P).relative

    def _loss(self, W: np.ndarray, H: np.ndarray, P: np.ndarray) -> float:
        if self.exact:
            return self.exact_loss(W, H)
        SW = self._weighted(W)
        cross = np.einsum("ij,ij->", P, SW, dtype=np.float64)
        square = np.einsum("ij,ij->", SW.T @ W, H @ H.T, dtype=np.float64)
        return max(float(0.5 * (self.summary.squares - 2 * cross + square)), 0.0)

    def _residual(self, W: np.ndarray, H: np.ndarray, P: np.ndarray) -> Residual:
        s = self.source.row_weights
        d = balance(column_squares(W, s), H, self.unit)
        return residual_of(W, P, W @ (H @ H.T), d, self.unit**-2, row_weights=s)

    def cancels(self, loss: float, fall: float) -> bool:
        """Whether losses must be summed from the residual from here on."""
        return not self.exact and cancels(loss, fall, self.summary.squares, np.dtype(self.source.float_dtype))

    def exact_loss(self, W: np.ndarray, H: np.ndarray) -> float:
        """The loss from the residual itself."""
        return half_squares(self.source, lambda rows: W[rows] @ H)

    def residual(self, W: np.ndarray, H: np.ndarray) -> Residual:
        """The KKT residual of these factors."""
        return self._residual(W, H, self.products.right(H.T))


def _inverse(A: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return np.linalg.pinv(A, rcond=len(A) * float(np.finfo(dtype).eps), hermitian=True)


class ByCells(ByGram):
    """Descent where cells have weights or are missing; a row or column of which nothing is observed is zero."""

    def start(self, W: np.ndarray, H: np.ndarray | None) -> Factors:
        """See `ByGram`."""
        return {"W": W, "H": self.parts(W) if H is None else H}

    def rows(self, H: np.ndarray) -> np.ndarray:
        """See `ByGram`."""
        return cell_codes(self.source, H, self.pool)

    def parts(self, W: np.ndarray, H: np.ndarray | None = None) -> np.ndarray:
        """H_j = (Σ_i s_i w_ij W_i W_iᵀ)⁻¹ Σ_i s_i w_ij x_ij W_i for every column j."""
        k, m = W.shape[1], self.source.shape[1]
        free = ~self.frozen if H is not None else np.ones(k, bool)
        found = np.zeros((k, m), W.dtype) if H is None else H.copy()
        grams, B = column_terms(self.source, self.pool, W)
        step = max(1, COLUMNS // k**2)
        for start in range(0, m if free.any() else 0, step):
            columns = slice(start, start + step)
            A, b = unpacked(grams[columns], k).astype(np.float64), B[columns].astype(np.float64)
            if not free.all():
                b = b - np.einsum("jab,bj->ja", A[:, :, ~free], found[~free, columns], dtype=np.float64)
                A, b = A[:, free][:, :, free], b[:, free]
            found[free, columns] = _solved(A, b, W.dtype).T
        return found

    def move(self, factors: Factors) -> tuple[Factors, float, float]:
        """See `ByGram`; the gradient of W is (w ∘ (W H − X)) Hᵀ."""
        H, W = factors["H"], factors["W"].copy()
        k = len(H)
        nothing, free, fixed = np.zeros(k, W.dtype), np.zeros(k, bool), Fixed(rows=H)
        fixed.columns, fixed.gram  # noqa: B018 - made once, before the threads ask for them

        def sweep(cut: tuple[int, int]) -> None:
            block = self.source.block(*cut)
            weighted_rows(block, W[block.rows], fixed, nothing, nothing, 0.0, np.inf, free, SWEEPS)

        for _ in self.pool.map(sweep, self.source.bounds()):
            pass
        H = self.parts(W, H)
        total, residual = self._measured(W, H)
        return {"W": W, "H": H}, total, residual.relative

    def _measured(self, W: np.ndarray, H: np.ndarray) -> tuple[float, Residual]:
        d, loss = balance(column_squares(W, self.source.row_weights), H, self.unit), as_loss(2)

        def measure(cut: tuple[int, int]) -> tuple[float, Residual]:
            block = self.source.block(*cut)
            mine, s = W[block.rows], block.row_weights
            negative, positive = loss.row_terms(block, mine, H)
            residual = residual_of(mine, negative, positive, d, self.unit**-2, row_weights=s)
            return loss.value(block, mine, H), residual

        total, residual = 0.0, Residual()
        for value, found in self.pool.map(measure, self.source.bounds()):
            total, residual = total + value, residual | found
        return total, residual

    def cancels(self, loss: float, fall: float) -> bool:
        """Never: losses are summed from the residual."""
        return False

    def residual(self, W: np.ndarray, H: np.ndarray) -> Residual:
        """See `ByGram`."""
        return self._measured(W, H)[1]


def _solved(A: np.ndarray, b: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A_j⁻¹ b_j; what A_j does not know (few cells observed, components without use) is held near 0 by a ridge."""
    k = A.shape[1]
    size = np.trace(A, axis1=1, axis2=2)
    ridge = np.where(size > 0, k * float(np.finfo(dtype).eps) * size, 1.0)
    return np.linalg.solve(A + ridge[:, None, None] * np.eye(k), b[:, :, None])[:, :, 0]


def cell_codes(source: Source, H: np.ndarray, pool: Workers) -> np.ndarray:
    """W ≥ 0 with the least Σ_j w_ij (x_ij − w_i h_j)² for every row; 1/k where nothing is observed."""
    problem = Problem(source, as_loss(2), 1.0, 1.0, 0.0, np.zeros(len(H), bool))
    return solve_rows(problem, H, 1e-10, pool)
