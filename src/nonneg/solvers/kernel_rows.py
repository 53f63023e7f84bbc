"""From a block to the right kernel: dense or CSR, with or without cell weights."""

from __future__ import annotations

import numpy as np

from ..data.block import Block
from .kkt import Residual
from .problem import Fixed

__all__ = ["kl_rows", "kl_value", "weighted_rows"]


def kl_rows(
    block: Block, V: np.ndarray, fixed: Fixed, linear: np.ndarray, ridge: np.ndarray, low: float, high: float,
    frozen: np.ndarray, sweeps: int, tol: float, d: np.ndarray | None = None,
) -> Residual:  # fmt: skip
    """Sweeps of `nonneg.kernels.scd` over the rows of V in place; to tolerance where ``tol`` is positive.

    With ``d`` returns the KKT residual of the rows before they moved (V d is compared with ∇/d), else zeros; rows of
    weight 0 do not count.
    """
    from ..kernels import scd

    X, M = block.X, block.weights
    marks = None if block.row_weights is None else np.where(block.row_weights > 0, 0, -1).astype(V.dtype)
    rest = (linear, ridge, low, high, sweeps, tol, frozen, marks, d)
    if not block.is_sparse:
        if M is None:
            found = scd.kl_rows(V, fixed.rows, X, fixed.sums, *rest)
        else:
            found = scd.kl_rows_weighted(V, fixed.rows, X, M, *rest)
    elif M is None:
        found = scd.kl_rows_csr(V, fixed.columns, fixed.sums, X.data, X.indices, X.indptr, *rest)
    else:  # cells that are not stored are missing: no linear term but from stored ones
        nothing = np.zeros_like(fixed.sums)
        found = scd.kl_rows_csr_weighted(
            V, fixed.columns, nothing, 0.0, X.data, X.indices, X.indptr, M, *rest
        )
    return Residual(*map(float, found[1:]))


def kl_value(block: Block, V: np.ndarray, fixed: Fixed) -> float:
    """The KL divergence of a block, whose rows of W are ``V``."""
    from ..kernels import scd_loss

    X, M = block.X, block.weights
    if not block.is_sparse:
        return float(
            scd_loss.kl_loss(V, fixed.rows, X)
            if M is None
            else scd_loss.kl_loss_weighted(V, fixed.rows, X, M)
        )
    stored = (X.data, X.indices, X.indptr)
    if M is not None:
        return float(scd_loss.kl_loss_csr_weighted(V, fixed.columns, 0.0, *stored, M))
    # summed in float64: the difference to the logarithms may be a small part of either
    everywhere = np.dot(V.sum(axis=0, dtype=np.float64), fixed.rows.sum(axis=1, dtype=np.float64))
    return float(scd_loss.kl_loss_csr(V, fixed.columns, *stored) + everywhere)


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
