"""Many least-squares problems that share a Gram matrix: min over low ≤ v ≤ high of ½ v G vᵀ − p·v, row by row."""

from __future__ import annotations

import numpy as np

from ..data.by_place import by_place

__all__ = ["MAX_SWEEPS", "nonnegative_rows", "simplex_rows", "unconstrained_rows"]

MAX_SWEEPS = 2000
WARM_SWEEPS = 24
ROUNDINGS = 16  # eps: a row whose residual is that small is as good as exact
FEW = 16  # components: pivoting alone is as fast, and one kernel less to compile
SHORT = 4096  # rows: with few components not worth an inexact answer either


@by_place
def nonnegative_rows(
    G: np.ndarray, P: np.ndarray, low: float, high: float, tol: float, sweeps: int = MAX_SWEEPS
) -> np.ndarray:
    """The answer for every row: block principal pivoting, for many components where sweeps leave more than rounding.

    Parameters
    ----------
    G, P : ndarray of shapes (k, k) and (b, k)
    low, high : float
        Bounds other than [0, inf) are left to coordinate descent alone.
    tol : float
        Where coordinate descent is alone, a row stops when its KKT residual, relative to its largest |p|, is this.
    sweeps : int
        Fewer than `MAX_SWEEPS`: only so many sweeps, wherever they lead, unless the answer costs no more.

    Returns
    -------
    V : ndarray of shape (b, k)
    """
    from ..kernels import bpp, hals

    V = np.clip(unconstrained_rows(G, P), low, high)
    few = len(G) <= FEW
    exact = low == 0 and high == np.inf and (sweeps == MAX_SWEEPS or (few and len(V) <= SHORT))
    if exact and few:
        bpp.solve(G, P, V)
        return V
    residual = np.empty(len(V), V.dtype)
    if not exact:
        hals.solve_rows(V, G, P, low, high, sweeps, tol, residual)
        return V
    rounding = ROUNDINGS * float(np.finfo(V.dtype).eps)
    hals.solve_rows(V, G, P, low, high, WARM_SWEEPS, rounding, residual)
    rest = np.flatnonzero(~(residual <= rounding))
    if len(rest) == len(V):
        bpp.solve(G, P, V)
    elif len(rest):
        last = V[rest]
        bpp.solve(G, P[rest], last)
        V[rest] = last
    return V


def simplex_rows(G: np.ndarray, P: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """The answer for every row with v ≥ 0 and Σ v = 1: an active set (exact); see `kernels.simplex`.

    Parameters
    ----------
    G, P : ndarray of shapes (k, k) and (b, k)
    start : ndarray of shape (b, k), optional
        Its positive entries are the first guess of the supports; without it a row's answer depends on nothing but the
        row.

    Returns
    -------
    V : ndarray of shape (b, k)
    """
    from ..kernels import simplex

    V = np.zeros_like(P) if start is None else start.copy()
    simplex.solve(G, P, V)
    return V


def unconstrained_rows(G: np.ndarray, P: np.ndarray) -> np.ndarray:
    """P G⁻¹, the answer without bounds (with a small ridge, because G may be singular)."""
    k = len(G)
    size = float(np.trace(G, dtype=np.float64)) / k
    ridge = 1e-6 * (size if size > 4 * np.finfo(G.dtype).tiny else 1.0)
    return (P @ np.linalg.inv(G.astype(np.float64) + ridge * np.eye(k))).astype(P.dtype)
