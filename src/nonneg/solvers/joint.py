"""X_v ≈ W H_v for several views v of the same rows: least squares with one W.

    ½ Σ_v α_v Σ_{i has v} s_i ‖X_v,i − W_i H_v‖²

A row of W meets the Gram matrix Σ_v α_v H_v H_vᵀ of the views it has: rows with the same views are solved together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.filled import mean_weight
from ..data.products import Products
from ..data.threads import Workers
from ..data.views import Views
from ..losses import as_loss
from .gram import cancels
from .kkt import Residual, column_squares, residual_of
from .least_squares import nonnegative_rows
from .quadratic import Sweep

__all__ = ["Joint"]

SWEEPS = 8


class Joint:
    """The problem above, and passes of descent on it.

    Parameters
    ----------
    views : Views
    alphas : ndarray of shape (views,)
        α, for the views as their sources hand them out.
    pool : Workers
    frozen : ndarray of bool of shape (k,), optional
        Components whose H_v stay, bit for bit.

    Attributes
    ----------
    sizes : ndarray of shape (views,)
        α times the mean weight of a view's cells: how much its cells count.
    """

    def __init__(
        self, views: Views, alphas: np.ndarray, pool: Workers, frozen: np.ndarray | None = None
    ) -> None:
        self.views, self.alphas, self.s = views, alphas, views.row_weights
        self.free = None if frozen is None or not frozen.any() else np.flatnonzero(~frozen)
        self.there = views.there()
        self.products = {v: Products(view, pool) for v, view, _ in self.there}
        self.pool, self.exact = pool, False
        found = {v: view.summary() for v, view, _ in self.there}
        self.squares = {v: summary.squares for v, summary in found.items()}
        self.total = sum(float(alphas[v]) * squares for v, squares in self.squares.items())
        means = np.ones(len(alphas))  # of the weights of cells, which α may have absorbed
        for v, view, _ in self.there:
            means[v] = mean_weight(view)
        self.sizes = alphas * means
        cells = sum(summary.total_weight / means[v] for v, summary in found.items())
        mean = sum(np.sqrt(self.sizes[v]) * summary.sum / means[v] for v, summary in found.items()) / (
            cells or 1
        )
        self.unit = float(mean) or 1.0
        kinds, self.kind = np.unique(views.present(), axis=0, return_inverse=True)
        self.kinds, self.kind = kinds, self.kind.reshape(-1)

    # -- W given all H --------------------------------------------------------------------------------------

    def row_terms(self, Hs: list[np.ndarray]) -> tuple[Any, np.ndarray]:
        """For H_v as (m_v, k): the Gram matrix of every kind of row, and P = Σ_v α_v X_v H_vᵀ."""
        dtype, k = Hs[0].dtype, Hs[0].shape[1]
        P = np.zeros((self.views.shape[0], k), dtype)
        for v, _, rows in self.there:
            P[rows] += dtype.type(self.alphas[v]) * self.products[v].right(Hs[v])
        grams = [dtype.type(alpha) * (H.T @ H) for alpha, H in zip(self.alphas, Hs, strict=True)]
        return [
            sum((grams[v] for v in np.flatnonzero(kind)), np.zeros((k, k), dtype)) for kind in self.kinds
        ], P

    def groups(self) -> list[np.ndarray | slice]:
        """The rows of every kind."""
        if len(self.kinds) == 1:
            return [slice(None)]
        return [np.flatnonzero(self.kind == kind) for kind in range(len(self.kinds))]

    def solve(self, Hs: list[np.ndarray], tol: float) -> np.ndarray:
        """W for these H, to tolerance; 1/k in rows that have no view."""
        grams, P = self.row_terms(Hs)
        W = np.full_like(P, 1 / P.shape[1])
        for rows, G, kind in zip(self.groups(), grams, self.kinds, strict=True):
            if kind.any():
                W[rows] = nonnegative_rows(G, np.ascontiguousarray(P[rows]), 0.0, np.inf, tol)
        return W

    # -- a pass ---------------------------------------------------------------------------------------------

    def move(
        self, W: np.ndarray, Hs: list[np.ndarray]
    ) -> tuple[np.ndarray, list[np.ndarray], float, Residual]:
        """W, then every H_v; their loss, and the residual met on the way."""
        grams, P = self.row_terms(Hs)
        W = W.copy()
        self._sweep_rows(W, grams, P)
        residual = self._residual_of_rows(W, Hs, grams, P)
        moved, loss = list(Hs), 0.0
        terms = {}
        for v, _, rows in self.there:
            A, B = terms[v] = self._column_terms(v, W[rows])
            moved[v] = self._swept_columns(Hs[v], A, B)
            inner = float(np.einsum("ij,ij->", B.astype(np.float64), moved[v]))
            loss += 0.5 * float(self.alphas[v]) * (self.squares[v] - 2 * inner + self._square(moved[v], A))
        d = self._units(W, moved)
        for v, (A, B) in terms.items():
            residual |= self._residual_of_columns(v, moved[v], A, B, d)
        return W, moved, self.exact_loss(W, moved) if self.exact else loss, residual

    def _sweep_rows(self, W: np.ndarray, grams: Any, P: np.ndarray) -> None:
        """Move rows of W in place."""
        for rows, G in zip(self.groups(), grams, strict=True):
            part = np.ascontiguousarray(W[rows])
            Sweep(SWEEPS).rows(part, G, np.ascontiguousarray(P[rows]), 0.0, np.inf)
            W[rows] = part

    def _swept_columns(self, H: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        """H_v (m_v, k) moved, its frozen columns as they are."""
        moved = H.copy()
        if self.free is None:
            Sweep(SWEEPS).rows(moved, A, B, 0.0, np.inf)
        elif len(self.free):
            free, kept = self.free, np.setdiff1d(np.arange(len(A)), self.free)
            part = np.ascontiguousarray(H[:, free])
            rest = np.ascontiguousarray(B[:, free] - H[:, kept] @ A[np.ix_(kept, free)])
            Sweep(SWEEPS).rows(part, np.ascontiguousarray(A[np.ix_(free, free)]), rest, 0.0, np.inf)
            moved[:, free] = part
        return moved

    def _square(self, H: np.ndarray, A: np.ndarray) -> float:
        """Σ_j h_j A_j h_j over the columns of a view."""
        H64 = H.astype(np.float64)
        return float(np.einsum("ij,ij->", A.astype(np.float64), H64.T @ H64))

    def _pulled(self, H: np.ndarray, A: np.ndarray) -> np.ndarray:
        """A_j h_j of every column of a view."""
        return H @ A

    def _column_terms(self, v: int, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wᵀ S W and X_vᵀ S W over the rows of a view."""
        s = self.views.views[v].row_weights  # type: ignore[union-attr]
        weighted = W if s is None else W * s[:, None]
        return weighted.T @ W, np.ascontiguousarray(self.products[v].left(weighted).astype(W.dtype))

    def _units(self, W: np.ndarray, Hs: list[np.ndarray]) -> np.ndarray:
        """The d such that columns of W d and rows of all √size_v H_v / (unit d) together have equal norms."""
        a = np.sqrt(column_squares(W, self.s))
        b = np.sqrt(sum(size * column_squares(H) for size, H in zip(self.sizes, Hs, strict=True))) / self.unit
        usable = (a > 0) & (b > 0)
        return np.where(usable, np.sqrt(np.where(usable, b, 1) / np.where(usable, a, 1)), 1.0)

    def _residual_of_rows(self, W: np.ndarray, Hs: list[np.ndarray], grams: Any, P: np.ndarray) -> Residual:
        found, d = Residual(), self._units(W, Hs)
        for rows, G in zip(self.groups(), grams, strict=True):
            weights = None if self.s is None else self.s[rows]
            found |= residual_of(W[rows], P[rows], W[rows] @ G, d, self.unit**-2, row_weights=weights)
        return found

    def _residual_of_columns(
        self, v: int, H: np.ndarray, A: np.ndarray, B: np.ndarray, d: np.ndarray
    ) -> Residual:
        alpha, size = float(self.alphas[v]), float(self.sizes[v])
        units = np.sqrt(size) / (self.unit * d) if size > 0 else 1 / d
        free = slice(None) if self.free is None else self.free
        pulled = alpha * self._pulled(H, A)
        return residual_of(H[:, free], alpha * B[:, free], pulled[:, free], units[free], self.unit**-2)

    def residual(self, W: np.ndarray, Hs: list[np.ndarray]) -> Residual:
        """The KKT residual at these factors."""
        found, d = self._residual_of_rows(W, Hs, *self.row_terms(Hs)), self._units(W, Hs)
        for v, _, rows in self.there:
            found |= self._residual_of_columns(v, Hs[v], *self._column_terms(v, W[rows]), d)
        return found

    # -- the loss -------------------------------------------------------------------------------------------

    def cancels(self, loss: float, fall: float) -> bool:
        """Whether losses must be summed from the residual from here on."""
        return not self.exact and cancels(loss, fall, self.total, np.dtype(self.views.float_dtype))

    def exact_loss(self, W: np.ndarray, Hs: list[np.ndarray]) -> float:
        """The loss from the residuals themselves."""
        total = 0.0
        for v, view, rows in self.there:
            mine, H = W[rows], np.ascontiguousarray(Hs[v].T)

            def value(cut: tuple[int, int], view=view, mine=mine, H=H) -> float:
                block = view.block(*cut)
                return as_loss(2).value(block, mine[block.rows], H)

            total += float(self.alphas[v]) * sum(self.pool.map(value, view.bounds()))
        return total
