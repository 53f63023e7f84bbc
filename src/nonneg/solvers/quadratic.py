"""One factor moves while the other is fixed, for a quadratic loss: ½ tr(V G Vᵀ) − ⟨P, V⟩ + penalties.

Sweeps of coordinate descent where the penalties are sums over cells or quadratic in the components; proximal
gradient steps, V ← prox(V − ∇/L, 1/L) with L the curvature of a majoriser, where they are not.
"""

from __future__ import annotations

import numpy as np

from ..data.by_place import by_place
from ..penalties import Combined
from .gram import GramStats
from .kkt import Residual
from .least_squares import nonnegative_rows, unconstrained_rows
from .problem import Problem
from .pull import Pull

__all__ = [
    "Clip",
    "Exact",
    "Sweep",
    "columns_step",
    "curvature",
    "proximal_residual",
    "proximal_step",
    "rows_step",
]


class Sweep:
    """A few sweeps of coordinate descent (HALS)."""

    def __init__(self, times: int) -> None:
        self.times = times

    def rows(self, W: np.ndarray, G: np.ndarray, P: np.ndarray, low: float, high: float) -> None:
        """Move rows of W in place."""
        from ..kernels.hals import sweep_rows

        sweep_rows(W, G, P, low, high, self.times)

    def measured_rows(
        self, W: np.ndarray, G: np.ndarray, P: np.ndarray, d: np.ndarray, low: float, high: float
    ) -> tuple[float, float, float]:
        """Move rows of W in place; return Σ ΔW², and violation and scale of `kernels.hals.kkt_rows` afterwards."""
        from ..kernels.hals import sweep_rows_kkt

        return sweep_rows_kkt(W, G, P, d, low, high, self.times)

    def columns(self, H, A, B, low: float, high: float, frozen: np.ndarray) -> None:
        """Move the free rows of H in place."""
        from ..kernels.hals import sweep_columns

        sweep_columns(H, A, B, low, high, self.times, frozen)


class Exact(Sweep):
    """Solve every sub-problem to rounding (alternating non-negative least squares, Kim and Park 2008)."""

    def __init__(self) -> None:
        super().__init__(times=8)

    def rows(self, W: np.ndarray, G: np.ndarray, P: np.ndarray, low: float, high: float) -> None:
        """Replace rows of W by the answer."""
        W[...] = nonnegative_rows(G, P, low, high, 1e-12 if W.dtype == np.float64 else 1e-6)

    def measured_rows(
        self, W: np.ndarray, G: np.ndarray, P: np.ndarray, d: np.ndarray, low: float, high: float
    ) -> tuple[float, float, float]:
        """As for `Sweep`."""
        from ..kernels.hals import kkt_rows

        old = W.copy()
        self.rows(W, G, P, low, high)
        return _square_sum(W - old), *kkt_rows(W, G, P, d, low, high)

    def columns(self, H, A, B, low: float, high: float, frozen: np.ndarray) -> None:
        """Replace the free rows of H by the answer, given the frozen ones."""
        free = ~frozen
        rest = B[free] - A[np.ix_(free, frozen)] @ H[frozen]
        Ht = np.empty((H.shape[1], int(free.sum())), H.dtype)
        self.rows(Ht, np.ascontiguousarray(A[np.ix_(free, free)]), np.ascontiguousarray(rest.T), low, high)
        H[free] = Ht.T


class Clip(Exact):
    """Solve without bounds, then clip: no sub-problem is solved, nothing is guaranteed to fall."""

    def rows(self, W: np.ndarray, G: np.ndarray, P: np.ndarray, low: float, high: float) -> None:
        """Replace rows of W by the clipped unconstrained answer."""
        W[...] = np.clip(unconstrained_rows(G, P), low, high)


@by_place
def rows_step(
    W: np.ndarray,
    G: np.ndarray,
    P: np.ndarray,
    pull: Pull | None,
    problem: Problem,
    d: np.ndarray,
    move: Sweep,
    seen: np.ndarray | None = None,
) -> tuple[Residual, float]:
    """Move rows of W in place; return their KKT residual afterwards, and Σ ΔW².

    Parameters
    ----------
    W : ndarray of shape (b, k)
    G, P : ndarray of shapes (k, k) and (b, k)
        H Hᵀ and X Hᵀ.
    pull : Pull or None
    d : ndarray of shape (k,)
        Balancing scales of the columns of W.
    move : Sweep
    seen : ndarray of bool, optional
        Rows with a positive weight: the others do not count in the residual.
    """
    from ..kernels.hals import kkt_rows

    per = problem.unit**-2
    if pull is not None and pull.step is not None:
        assert problem.penalties is not None
        L, old = curvature(G, pull.step, W), W.copy()
        for _ in range(move.times):
            W[...] = proximal_step(W, W @ G - P, pull.step, L)
        units = problem.penalties.unit_W * per
        return proximal_residual(W, W @ G - P, P, pull.step, L, units), _square_sum(W - old)
    low, high = 0.0, np.inf
    if pull is not None:
        G, P, low, high = G + pull.Q, P - pull.linear, pull.low, pull.high
    # the kernel compares V·u with ∇/u; with u = unit·d both sides are unit times what `kkt` defines
    units = d * d.dtype.type(problem.unit)
    moved, violation, scale = move.measured_rows(W, G, P, units, low, high)
    if seen is not None and not seen.all():
        violation, scale = kkt_rows(W[seen], G, P[seen], units, low, high)
    return Residual(violation / problem.unit, scale / problem.unit), moved


def columns_step(
    H: np.ndarray, stats: GramStats, pull: Pull | None, problem: Problem, d: np.ndarray, move: Sweep
) -> tuple[np.ndarray, Residual]:
    """Return H moved (frozen rows as they are), and the KKT residual of H before it moved."""
    from ..kernels.hals import kkt_columns

    A, B = np.ascontiguousarray(stats.A), np.ascontiguousarray(stats.B)
    moved, per = H.copy(), problem.unit**-2
    if pull is not None and pull.step is not None:
        assert problem.penalties is not None
        free = ~problem.frozen
        L = curvature(A, pull.step, H)
        residual = proximal_residual(H, A @ H - B, B, pull.step, L, problem.penalties.unit_H * per)
        for _ in range(move.times):
            moved[free] = proximal_step(moved, A @ moved - B, pull.step, L)[free]
        return moved, residual
    low, high = 0.0, np.inf
    if pull is not None:
        A, B, low, high = A + pull.Q, B - pull.linear[:, None], pull.low, pull.high
    violation, scale = kkt_columns(H, A, B, (1 / d).astype(H.dtype), low, high, problem.frozen)
    move.columns(moved, A, B, low, high, problem.frozen)
    return moved, Residual(violation / problem.unit, scale / problem.unit)


def _square_sum(gap: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", gap, gap, dtype=np.float64))


def curvature(G: np.ndarray, penalty: Combined, V: np.ndarray) -> float:
    """Curvature of a majoriser of the quadratic and the coupled penalties at V."""
    largest = float(np.linalg.eigvalsh(G.astype(np.float64))[-1]) + penalty.lipschitz(V)
    return max(largest, float(np.finfo(V.dtype).tiny))


def proximal_step(V: np.ndarray, gradient: np.ndarray, penalty: Combined, L: float) -> np.ndarray:
    """V ← prox(V − ∇/L, 1/L), ∇ with the smooth penalties."""
    slope = gradient + penalty.coupled_gradient(V)
    return penalty.prox(V - slope * V.dtype.type(1 / L), 1 / L)


def proximal_residual(
    V: np.ndarray, gradient: np.ndarray, negative: np.ndarray, penalty: Combined, L: float, units: float
) -> Residual:
    """The gradient mapping L (V − prox(V − ∇/L, 1/L)): ∇ itself where nothing constrains V.

    ``units`` brings a gradient into units of 1: unit of V / unit of X^β.
    """
    violation = np.abs(V - proximal_step(V, gradient, penalty, L)).max(initial=0.0) * L * units
    return Residual(float(violation), float(negative.max(initial=0.0)) * units)
