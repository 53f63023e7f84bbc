"""The KKT residual: how far (W, H) is from a stationary point.

    max |min(V, ∇V)| over the entries V of W and H, divided by max |∇⁻|,

after balancing (columns of W and rows of H get equal norms) and in units in which the mean cell of X is 1. It is 0
at a stationary point, and does not change under X → cX or W → W D, H → D⁻¹ H. For entries with bounds [lo, hi]
min(V, ∇V) reads V − clip(V − ∇V, lo, hi) = clip(∇V, V − hi, V − lo). Frozen rows of H do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data import Source
from ..data.by_place import by_place
from ..data.threads import Workers

__all__ = [
    "Residual",
    "balance",
    "column_sizes",
    "column_squares",
    "merged",
    "relative_residual",
    "residual_of",
    "size_sums",
]


@dataclass
class Residual:
    """A maximum of violations and a maximum of |∇⁻|; joined by ``|``."""

    violation: float = 0.0
    scale: float = 0.0

    def __or__(self, other: Residual) -> Residual:
        return Residual(max(self.violation, other.violation), max(self.scale, other.scale))

    @property
    def relative(self) -> float:
        """The KKT residual; 0 where there is nothing to explain (∇⁻ = 0 everywhere)."""
        if self.scale > 0:
            return self.violation / self.scale
        return 0.0 if self.violation == 0 else float("inf")


def merged(a: tuple[Any, ...], b: tuple[Any, ...]) -> Any:
    """What two runs of rows found, as one: residuals are joined, everything else is added."""
    return tuple(x | y if isinstance(x, Residual) else x + y for x, y in zip(a, b, strict=True))


@by_place
def column_squares(W: np.ndarray, row_weights: np.ndarray | None = None) -> np.ndarray:
    """Σ_i s_i W_ij² of every column, in float64."""
    weighted = W if row_weights is None else W * row_weights[:, None]
    return np.einsum("ij,ij->j", weighted, W, dtype=np.float64)


def column_sizes(source: Source, W: Any, pool: Workers) -> tuple[np.ndarray, np.ndarray]:
    """Σ_i s_i W_ij and Σ_i s_i W_ij² of every column of a row array, (k,) in float64, block by block."""
    sums, squares = sum(pool.along(source, size_sums, W, source.row_weights), np.zeros((2, W.shape[1])))
    return sums, squares


@by_place
def size_sums(W: np.ndarray, row_weights: np.ndarray | None) -> np.ndarray:
    """Σ_i s_i W_ij and Σ_i s_i W_ij² of some rows, (2, k) in float64."""
    weighted = W if row_weights is None else W * row_weights[:, None]
    return np.stack([weighted.sum(axis=0, dtype=np.float64), column_squares(W, row_weights)])


def balance(squares: np.ndarray, H: np.ndarray, unit: float) -> np.ndarray:
    """Return d (k,) such that W d and H / (unit d) have columns and rows of equal norm (1 where one of them is 0).

    ``squares`` are the `column_squares` of W.
    """
    a = np.sqrt(squares)
    b = np.sqrt(np.einsum("ij,ij->i", H, H, dtype=np.float64)) / unit
    usable = (a > 0) & (b > 0)
    return np.where(usable, np.sqrt(np.where(usable, b, 1) / np.where(usable, a, 1)), 1.0)


@by_place
def residual_of(
    V: np.ndarray,
    negative: np.ndarray,
    positive: np.ndarray,
    units: np.ndarray,
    gradient_units: float,
    lo: float = 0.0,
    hi: float = np.inf,
    row_weights: np.ndarray | None = None,
) -> Residual:
    """Residual of the entries of V, given the halves of its gradient.

    Parameters
    ----------
    V, negative, positive : ndarray of one shape
        Entries, ∇⁻ and ∇⁺.
    units : ndarray that broadcasts to V
        V · units is balanced; the gradient is divided by it.
    gradient_units : float
        By which the gradient is multiplied: 1 / unit^β.
    row_weights : ndarray, optional
        Rows of weight 0 do not count.
    """
    if row_weights is not None:
        seen = row_weights > 0
        V, negative, positive = V[seen], negative[seen], positive[seen]
    if V.size == 0:
        return Residual()
    scaled = V * units
    slope = (positive - negative) * (gradient_units / units)
    # V − clip(V − ∇V, lo, hi) without a difference in which a small ∇V would be lost beside V
    low, high = scaled - lo * units, scaled - (hi * units if np.isfinite(hi) else np.inf)
    violation = np.abs(np.clip(slope, high, low))
    return Residual(float(violation.max()), float((negative * (gradient_units / units)).max()))


def relative_residual(V: np.ndarray, negative: np.ndarray, positive: np.ndarray) -> float:
    """Return max |min(V / max V, ∇ / max ∇⁻)|: for a factor that has no partner to be balanced with, as in A ≈ H Hᵀ.

    Parameters
    ----------
    V, negative, positive : ndarray of one shape
        Entries, ∇⁻ and ∇⁺.
    """
    size, slope = float(V.max(initial=0.0)), float(negative.max(initial=0.0))
    if not slope > 0:
        return 0.0 if not V.any() else float(np.abs(np.minimum(V / size, positive - negative)).max())
    return float(np.abs(np.minimum(V / (size or 1.0), (positive - negative) / slope)).max())
