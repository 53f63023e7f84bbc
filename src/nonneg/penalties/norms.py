"""Norms as penalties: L1, L2, elastic net, and the group norm that switches whole vectors off.

Knows sums over cells and over groups of cells. Everything here is convex, and shrinks: on its own, none of it
means anything, because scaling a component down in this factor and up in the other makes the value as small
as one likes. Solvers therefore normalise the other factor.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from nonneg.penalties.base import Array, CoordinatePenalty, Factor, ProxPenalty, as_float
from nonneg.penalties.parameters import check_choice, check_number


class L1(CoordinatePenalty):
    """strength · Σ |v|: makes cells exactly zero.

    Parameters
    ----------
    strength : float >= 0
        In units of (loss per observed cell) / (unit of V). On W it makes the coefficients of each sample
        sparse, on H the parts.

    References
    ----------
    Tibshirani (1996), Regression shrinkage and selection via the lasso, J. R. Statist. Soc. B 58. For NMF:
    Hoyer (2002), Non-negative sparse coding, Proc. IEEE NNSP.
    """

    degree = 1

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self._check_strength()

    def linear(self, factor: Factor) -> float:
        """The strength."""
        return float(self.strength)

    def rescaled(self, c: float, weight: float = 1.0) -> L1:
        """Strength · weight / c."""
        return L1(float(self.strength) * weight / c)


class L2(CoordinatePenalty):
    """strength · ½ Σ v²: shrinks, and makes the sub-problems strictly convex.

    Parameters
    ----------
    strength : float >= 0
        In units of (loss per observed cell) / (unit of V)². A bare number given as `penalty_W` or `penalty_H`
        is this.

    References
    ----------
    Tikhonov; Hoerl & Kennard (1970), Ridge regression, Technometrics 12. For NMF: Pauca, Piper & Plemmons
    (2006), Nonnegative matrix factorization for spectral data analysis, Linear Algebra Appl. 416.
    """

    degree = 2

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self._check_strength()

    def quadratic_diag(self, factor: Factor) -> float:
        """The strength."""
        return float(self.strength)

    def rescaled(self, c: float, weight: float = 1.0) -> L2:
        """Strength · weight / c²."""
        return L2(float(self.strength) * weight / c / c)


class ElasticNet(CoordinatePenalty):
    """strength · Σ (l1_ratio |v| + ½ (1 − l1_ratio) v²).

    Parameters
    ----------
    strength : float >= 0
        Common factor of both terms.
    l1_ratio : float in [0, 1], default=0.5
        1 is `L1`, 0 is `L2`.

    References
    ----------
    Zou & Hastie (2005), Regularization and variable selection via the elastic net, J. R. Statist. Soc. B 67,
    in the parametrisation of scikit-learn's `NMF` and `ElasticNet`.
    """

    def __init__(self, strength: float, l1_ratio: float = 0.5) -> None:
        self.strength = strength
        self.l1_ratio = l1_ratio
        self._check_strength()
        check_number(self, "l1_ratio", l1_ratio, 0.0, 1.0)

    def linear(self, factor: Factor) -> float:
        """Strength · l1_ratio."""
        return float(self.strength) * float(self.l1_ratio)

    def quadratic_diag(self, factor: Factor) -> float:
        """Strength · (1 − l1_ratio)."""
        return float(self.strength) * (1.0 - float(self.l1_ratio))

    def rescaled(self, c: float, weight: float = 1.0) -> ElasticNet:
        """The two terms scale differently: a weight / c and b weight / c²."""
        a = self.linear("W") * weight / c
        b = self.quadratic_diag("W") * weight / c / c
        total = a + b
        return ElasticNet(total, a / total if total > 0 else self.l1_ratio)


class Group(ProxPenalty):
    """strength · Σ_g ‖V_g‖₂ over groups of cells: a group is used, or it is zero as a whole.

    Parameters
    ----------
    strength : float >= 0
        In units of (loss per observed cell) / (unit of V).
    over : {"components", "items"}, default="components"
        "components": a group is a component vector, W[:, j] or H[j, :], and superfluous components die.
        "items": a group is what one item has in all components, the row W[i, :] of a sample or the column
        H[:, f] of a feature, and samples or features drop out.

    Notes
    -----
    The prox under U >= 0 is max(0, 1 − step·strength / ‖V₊‖) V₊ group by group with V₊ = max(V, 0): where u >
    0, stationarity reads v = u (1 + step·strength / ‖u‖), so u keeps the direction of V₊, and u = 0 where v
    <= 0.

    References
    ----------
    Yuan & Lin (2006), Model selection and estimation in regression with grouped variables, J. R. Statist.
    Soc. B 68; Parikh & Boyd (2014), Proximal Algorithms, section 6.5.4 (sum of norms).
    """

    degree = 1

    def __init__(self, strength: float, over: Literal["components", "items"] = "components") -> None:
        self.strength = strength
        self.over = over
        self._check_strength()
        check_choice(self, "over", over, ("components", "items"))

    def by_component(self, factor: Factor) -> bool:
        """Whether the groups are the component vectors."""
        return self.over == "components"

    def separable(self, factor: Factor) -> Literal["rows", "none"]:
        """Rows of W when the groups are items; a component spans all rows."""
        return "rows" if self.over == "items" else "none"

    def _axis(self, factor: Factor) -> int:
        """Axis of V along which a group's cells lie."""
        along_component = 0 if factor == "W" else 1
        return along_component if self.over == "components" else 1 - along_component

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """Strength · Σ_g ‖V_g‖₂."""
        squares = np.square(as_float(V), dtype=np.float64)
        return float(self.strength) * float(np.sqrt(squares.sum(axis=self._axis(factor))).sum())

    def prox(self, V: ArrayLike, step: float, factor: Factor) -> Array:
        """Group soft-thresholding of the positive part."""
        V = as_float(V)
        positive = np.maximum(V, 0)
        squares = np.square(positive, dtype=np.float64)
        norms = np.sqrt(squares.sum(axis=self._axis(factor), keepdims=True))
        threshold = float(step) * float(self.strength)
        shrink = np.zeros_like(norms)
        np.divide(norms - threshold, norms, out=shrink, where=norms > threshold)
        return np.ascontiguousarray(positive * shrink.astype(V.dtype))

    def rescaled(self, c: float, weight: float = 1.0) -> Group:
        """Strength · weight / c."""
        return Group(float(self.strength) * weight / c, self.over)


__all__ = ["L1", "L2", "ElasticNet", "Group"]
