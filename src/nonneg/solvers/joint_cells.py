"""Views with missing cells or weights of cells: `Joint` with a Gram matrix for every row of W and every column of H_v.

    ½ Σ_v α_v Σ_i s_i Σ_j w_v,ij (x_v,ij − W_i h_v,j)²

Row i meets Σ_v α_v Σ_j w_v,ij h_v,j h_v,jᵀ. Views without weights share theirs as before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cell_grams import column_terms, packed, row_terms, unpacked
from .joint import SWEEPS, Joint
from .kkt import Residual, residual_of

__all__ = ["JointCells"]

LONG = 500  # sweeps towards an answer, before the rest is found exactly


class JointCells(Joint):
    """See `Joint`; ``grams`` are packed here, as `kernels.weighted.sweep_rows_grams` takes them, one a row."""

    def row_terms(self, Hs: list[np.ndarray]) -> tuple[Any, np.ndarray]:
        """For H_v as (m_v, k): the packed Gram matrix of every row, and P = Σ_v α_v (w_v ∘ X_v) H_vᵀ."""
        dtype, (n, k) = Hs[0].dtype, (self.views.shape[0], Hs[0].shape[1])
        grams, P = np.zeros((n, k * (k + 1) // 2), dtype), np.zeros((n, k), dtype)
        for v, view, rows in self.there:
            alpha = dtype.type(self.alphas[v])
            if view.is_masked:
                found, product = row_terms(view, self.pool, Hs[v])
            else:
                found, product = packed(Hs[v].T @ Hs[v]), self.products[v].right(Hs[v])
            grams[rows] += alpha * found
            P[rows] += alpha * product
        return grams, P

    def solve(self, Hs: list[np.ndarray], tol: float) -> np.ndarray:
        """W for these H, to tolerance; 1/k in rows of which nothing is observed."""
        from ..kernels import bpp

        grams, P = self.row_terms(Hs)
        k = P.shape[1]
        W = np.full_like(P, 1 / k)
        slope = _swept(W, grams, P, LONG, np.zeros(k, bool))
        a, b = np.tril_indices(k)
        d = np.sqrt(grams[:, a == b].max(axis=0, initial=0))
        d = np.where(d > 0, d, 1)
        violation = np.abs(np.minimum(W * d, slope / d)).max(axis=1)
        for i in map(int, np.flatnonzero(~(violation <= tol * (P / d).max(axis=1)))):
            bpp.solve(unpacked(grams[i : i + 1], k)[0], P[i : i + 1], W[i : i + 1])
        return W

    def _sweep_rows(self, W: np.ndarray, grams: Any, P: np.ndarray) -> None:
        _swept(W, grams, P, SWEEPS, np.zeros(W.shape[1], bool))

    def _residual_of_rows(self, W: np.ndarray, Hs: list[np.ndarray], grams: Any, P: np.ndarray) -> Residual:
        pulled = _slopes(W, grams, np.zeros_like(P))
        return residual_of(W, P, pulled, self._units(W, Hs), self.unit**-2, row_weights=self.s)

    def _column_terms(self, v: int, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Packed Gram matrices of the columns of a view, or one where its cells have no weights, and (w ∘ X_v)ᵀ S W."""
        view = self.views.views[v]
        if not view.is_masked:  # type: ignore[union-attr]
            return super()._column_terms(v, W)
        return column_terms(view, self.pool, np.ascontiguousarray(W))  # type: ignore[arg-type]

    def _swept_columns(self, H: np.ndarray, A: np.ndarray, B: np.ndarray) -> np.ndarray:
        if _is_shared(H, A):
            return super()._swept_columns(H, A, B)
        moved, frozen = H.copy(), np.zeros(H.shape[1], bool)
        if self.free is not None:
            frozen = ~np.isin(np.arange(H.shape[1]), self.free)
        _swept(moved, A, B, SWEEPS, frozen)
        return moved

    def _square(self, H: np.ndarray, A: np.ndarray) -> float:
        if _is_shared(H, A):
            return super()._square(H, A)
        return float(np.einsum("ij,ij->", H, self._pulled(H, A), dtype=np.float64))

    def _pulled(self, H: np.ndarray, A: np.ndarray) -> np.ndarray:
        if _is_shared(H, A):
            return super()._pulled(H, A)
        return _slopes(H, A, np.zeros_like(H))


def _is_shared(H: np.ndarray, A: np.ndarray) -> bool:
    """Whether A is one Gram matrix (k, k) of all columns (a packed one of that shape is the same number)."""
    return A.shape == (H.shape[1],) * 2


def _swept(V: np.ndarray, grams: np.ndarray, P: np.ndarray, sweeps: int, frozen: np.ndarray) -> np.ndarray:
    """Move rows of V in place, each by its own packed Gram matrix; return v G − p afterwards."""
    from ..kernels.weighted import sweep_rows_grams

    return sweep_rows_grams(V, grams, P, 0.0, np.inf, sweeps, frozen)


def _slopes(V: np.ndarray, grams: np.ndarray, P: np.ndarray) -> np.ndarray:
    """V G − p of every row."""
    return _swept(V, grams, P, 0, np.zeros(V.shape[1], bool))
