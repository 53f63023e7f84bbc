"""Many least-squares problems that share a Gram matrix: min over low ≤ v ≤ high of ½ v G vᵀ − p·v, row by row."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

__all__ = ["MAX_SWEEPS", "nonnegative_rows", "unconstrained_rows"]

MAX_SWEEPS = 2000


def nonnegative_rows(
    G: np.ndarray, P: np.ndarray, low: float, high: float, tol: float, sweeps: int = MAX_SWEEPS
) -> np.ndarray:
    """Coordinate descent from the clipped unconstrained answer; slow rows are finished by active sets.

    Parameters
    ----------
    G, P : ndarray of shapes (k, k) and (b, k)
    low, high : float
    tol : float
        A row stops when its own KKT residual is at most this, relative to its largest |p|.
    sweeps : int
        Fewer than `MAX_SWEEPS`: only so many, wherever they lead.

    Returns
    -------
    V : ndarray of shape (b, k)
    """
    from ..kernels.hals import solve_rows

    V = np.clip(unconstrained_rows(G, P), low, high)
    residual = np.empty(len(V), V.dtype)
    solve_rows(V, G, P, low, high, sweeps, tol, residual)
    late = np.flatnonzero(~(residual <= tol))
    if late.size and sweeps == MAX_SWEEPS and low == 0 and high == np.inf:
        V[late] = _active_set(G, P[late])
    return V


def unconstrained_rows(G: np.ndarray, P: np.ndarray) -> np.ndarray:
    """P G⁻¹, the answer without bounds (with a small ridge, because G may be singular)."""
    k = len(G)
    ridge = max(float(np.trace(G, dtype=np.float64)) / k, np.finfo(np.float64).tiny) * 1e-6
    return P @ np.linalg.inv(G.astype(np.float64) + ridge * np.eye(k)).astype(P.dtype)


def _active_set(G: np.ndarray, P: np.ndarray) -> np.ndarray:
    """The exact answer by Lawson and Hanson's active sets, for rows on which coordinate descent is slow."""
    values, vectors = np.linalg.eigh(G.astype(np.float64))
    kept = values > values[-1] * np.finfo(np.float64).eps * len(G)
    root = np.sqrt(values[kept])
    factor, images = root[:, None] * vectors[:, kept].T, (P @ vectors[:, kept]) / root
    return np.array([nnls(factor, image)[0] for image in images], dtype=P.dtype)
