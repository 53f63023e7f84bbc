"""From a block to the right kernel: dense or CSR, with or without cell weights."""

from __future__ import annotations

import numpy as np

from ..data.block import Block
from .kkt import Residual
from .problem import Fixed

__all__ = ["kl_measure", "kl_rows", "weighted_rows"]


def kl_rows(
    block: Block, V: np.ndarray, fixed: Fixed, linear: np.ndarray, ridge: np.ndarray, low: float, high: float,
    frozen: np.ndarray, sweeps: int, tol: float, residual: np.ndarray | None = None,
) -> None:  # fmt: skip
    """Sweeps of `nonneg.kernels.scd` over the rows of V in place; to tolerance where ``tol`` is positive."""
    from ..kernels import scd

    X, M = block.X, block.weights
    rest = (linear, ridge, low, high, sweeps, tol, frozen, residual)
    if not block.is_sparse:
        if M is None:
            scd.kl_rows(V, fixed.rows, X, fixed.sums, *rest)
        else:
            scd.kl_rows_weighted(V, fixed.rows, X, M, *rest)
    elif M is None:
        scd.kl_rows_csr(V, fixed.columns, fixed.sums, X.data, X.indices, X.indptr, *rest)
    else:  # cells that are not stored are missing: no linear term but from stored ones
        nothing = np.zeros_like(fixed.sums)
        scd.kl_rows_csr_weighted(V, fixed.columns, nothing, 0.0, X.data, X.indices, X.indptr, M, *rest)


def kl_measure(
    block: Block, V: np.ndarray, fixed: Fixed, d: np.ndarray, frozen: np.ndarray, want_loss: bool = True
) -> tuple[Residual, float]:
    """KKT residual of a block's rows of V (compared as V d with ∇/d), and the KL divergence of the block."""
    from ..kernels import scd

    X, M, mine = block.X, block.weights, V[block.rows]
    zero = np.zeros(len(d), d.dtype)
    rest = (d, zero, zero, 0.0, np.inf, frozen)
    loss = 0.0
    if not block.is_sparse:
        if M is None:
            found = scd.kl_kkt_rows(mine, fixed.rows, X, fixed.sums, *rest)
            loss = scd.kl_loss(mine, fixed.rows, X) if want_loss else 0.0
        else:
            found = scd.kl_kkt_rows_weighted(mine, fixed.rows, X, M, *rest)
            loss = scd.kl_loss_weighted(mine, fixed.rows, X, M) if want_loss else 0.0
        return Residual(*map(float, found)), float(loss)
    stored = (X.data, X.indices, X.indptr)
    if M is None:
        found = scd.kl_kkt_rows_csr(mine, fixed.columns, fixed.sums, *stored, *rest)
        if want_loss:
            everywhere = np.dot(mine.sum(axis=0, dtype=np.float64), fixed.sums.astype(np.float64))
            loss = scd.kl_loss_csr(mine, fixed.columns, *stored) + everywhere
    else:
        nothing = np.zeros_like(fixed.sums)
        found = scd.kl_kkt_rows_csr_weighted(mine, fixed.columns, nothing, 0.0, *stored, M, *rest)
        loss = scd.kl_loss_csr_weighted(mine, fixed.columns, 0.0, *stored, M) if want_loss else 0.0
    return Residual(*map(float, found)), float(loss)


def weighted_rows(
    block: Block, V: np.ndarray, fixed: Fixed, linear: np.ndarray, ridge: np.ndarray, low: float, high: float,
    frozen: np.ndarray, sweeps: int,
) -> None:  # fmt: skip
    """Sweeps of `nonneg.kernels.weighted` over the rows of V in place, each with its own Gram matrix."""
    from ..kernels import weighted

    X, M = block.X, block.weights
    if not block.is_sparse:
        M = np.ones_like(X) if M is None else M
        weighted.sweep_rows_weighted(V, fixed.rows, X, M, ridge, linear, low, high, sweeps, frozen)
        return
    M, base, offset = (
        (np.ones_like(X.data), fixed.gram, 1.0) if M is None else (M, np.zeros_like(fixed.gram), 0.0)
    )
    weighted.sweep_rows_weighted_csr(
        V,
        fixed.columns,
        base,
        offset,
        X.data,
        X.indices,
        X.indptr,
        M,
        ridge,
        linear,
        low,
        high,
        sweeps,
        frozen,
    )
