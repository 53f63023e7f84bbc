"""Constraints: box, simplex, unit components, and a given level of sparsity.

A constraint is a penalty that is zero on a set and infinite outside it, so its prox is the projection onto
the set, and the step plays no part. Knows the sets; the arithmetic is in `projections.py`.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from nonneg.penalties.base import (
    Array,
    CoordinatePenalty,
    Factor,
    ProxPenalty,
    as_float,
    component_rows,
    rounding,
)
from nonneg.penalties.parameters import check_choice, check_number
from nonneg.penalties.projections import hoyer_sum, project_hoyer, project_simplex, project_sphere


def _indicator(met: bool) -> float:
    return 0.0 if met else math.inf


def _like(U: Array, V: Array, factor: Factor) -> Array:
    """Component vectors as rows back in V's layout and type."""
    return np.ascontiguousarray(component_rows(U, factor).astype(V.dtype, copy=False))


class Box(CoordinatePenalty):
    """low <= v <= high for every cell.

    Parameters
    ----------
    low : float >= 0, default=0.0
        Lower bound.
    high : float >= low and > 0, default=1.0
        Upper bound; may be infinite.

    Notes
    -----
    The bounds are in the unit of the factor as the user sees it, after any normalisation of the other factor.

    References
    ----------
    Lin (2007), Projected gradient methods for nonnegative matrix factorization, Neural Comput. 19, whose
    problem has bounds on both sides.
    """

    is_constraint = True

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        self.low = low
        self.high = high
        check_number(self, "low", low)
        check_number(self, "high", high, open_low=True, allow_inf=True)
        if float(low) > float(high):
            raise ValueError(f"Box: low must be <= high, got low={low!r} and high={high!r}.")

    @property
    def is_active(self) -> bool:
        """Whether the box is smaller than v >= 0."""
        return float(self.low) > 0 or math.isfinite(self.high)

    def bounds(self, factor: Factor) -> tuple[float, float]:
        """(low, high)."""
        return float(self.low), float(self.high)

    def fixes_scale(self, factor: Factor) -> bool:
        """True: scaling a component would carry cells over a bound."""
        return self.is_active

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """0 inside, inf outside."""
        V = as_float(V)
        # a bound of 0.1 is not a float32, and the nearest one may lie outside by an ulp
        slack = rounding(V) * (float(self.high) if math.isfinite(self.high) else float(self.low))
        return _indicator(
            not V.size
            or (float(V.min()) >= float(self.low) - slack and float(V.max()) <= float(self.high) + slack)
        )

    def rescaled(self, c: float, weight: float = 1.0) -> Box:
        """Bounds times c."""
        return Box(float(self.low) * c, float(self.high) * c)


class Simplex(ProxPenalty):
    """v >= 0 and Σ v = total for every row of the factor.

    Parameters
    ----------
    total : float > 0, default=1.0
        The sum of each row.

    Notes
    -----
    On W, a row holds what a sample has of each component: shares of a mixture, memberships. On H, a row is a
    component: a distribution over features (the same as ``UnitNorm("l1")``). For columns of W that sum to one
    use ``UnitNorm("l1")``.

    References
    ----------
    Projection: Duchi et al. (2008), ICML, figure 1. As the sum-to-one constraint of unmixing: Heinz & Chang
    (2001), IEEE Trans. Geosci. Remote Sens. 39.
    """

    is_constraint = True

    def __init__(self, total: float = 1.0) -> None:
        self.total = total
        check_number(self, "total", total, open_low=True)

    def by_component(self, factor: Factor) -> bool:
        """True on H, where a row is a component; on W it runs across the components."""
        return factor == "H"

    def fixes_scale(self, factor: Factor) -> bool:
        """True."""
        return True

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """0 when all rows are >= 0 and sum to total, inf otherwise."""
        V, total = as_float(V), float(self.total)
        slack = rounding(V) * total
        off = np.abs(V.sum(axis=1, dtype=np.float64) - total)
        return _indicator(not V.size or bool(float(V.min()) >= -slack and off.max() <= slack))

    def prox(self, V: ArrayLike, step: float, factor: Factor) -> Array:
        """Projection of each row."""
        V = as_float(V)
        return np.ascontiguousarray(project_simplex(V, float(self.total)).astype(V.dtype, copy=False))

    def rescaled(self, c: float, weight: float = 1.0) -> Simplex:
        """Total times c."""
        return Simplex(float(self.total) * c)


class UnitNorm(ProxPenalty):
    """‖component vector‖ = radius: for the columns of W or the rows of H.

    Parameters
    ----------
    norm : {"l2", "l1"}, default="l2"
        Euclidean length, or sum.
    radius : float > 0, default=1.0
        The norm's value.

    Notes
    -----
    "l1" is convex (each component on a simplex); "l2" is a sphere, and not. A zero component is sent to the
    diagonal.
    """

    is_constraint = True

    def __init__(self, norm: Literal["l2", "l1"] = "l2", radius: float = 1.0) -> None:
        self.norm = norm
        self.radius = radius
        check_choice(self, "norm", norm, ("l2", "l1"))
        check_number(self, "radius", radius, open_low=True)

    @property
    def convex(self) -> bool:  # type: ignore[override]
        """Whether the set is a simplex rather than a sphere."""
        return self.norm == "l1"

    def by_component(self, factor: Factor) -> bool:
        """True."""
        return True

    def separable(self, factor: Factor) -> Literal["rows", "none"]:
        """A column of W runs through all rows."""
        return "none"

    def fixes_scale(self, factor: Factor) -> bool:
        """True."""
        return True

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """0 when all components are >= 0 and have the norm, inf otherwise."""
        V, radius = as_float(V), float(self.radius)
        rows, slack = component_rows(V, factor), rounding(V) * radius
        if self.norm == "l1":
            norms = np.abs(rows).sum(axis=1, dtype=np.float64)
        else:
            norms = np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1))
        return _indicator(
            not V.size or bool(float(V.min()) >= -slack and np.abs(norms - radius).max() <= slack)
        )

    def prox(self, V: ArrayLike, step: float, factor: Factor) -> Array:
        """Projection of each component vector."""
        V = as_float(V)
        project = project_simplex if self.norm == "l1" else project_sphere
        return _like(project(component_rows(V, factor), float(self.radius)), V, factor)

    def rescaled(self, c: float, weight: float = 1.0) -> UnitNorm:
        """Radius times c."""
        return UnitNorm(self.norm, float(self.radius) * c)


class HoyerSparsity(ProxPenalty):
    """(√d − ‖v‖₁/‖v‖₂) / (√d − 1) = level for every component vector v of length d.

    Parameters
    ----------
    level : float in [0, 1]
        0: all cells equal. 1: one single cell. d is n for W, m for H, and must be at least 2.

    Notes
    -----
    The set is a cone (scaling a component keeps it inside), not convex; zero belongs to it. Hoyer also keeps
    ‖v‖₂ as it was, which fixes the length that the nearest point on the cone is free to choose here.

    References
    ----------
    Hoyer (2004), Non-negative matrix factorization with sparseness constraints, JMLR 5, section 3.
    """

    degree = 0
    convex = False
    is_constraint = True

    def __init__(self, level: float) -> None:
        self.level = level
        check_number(self, "level", level, 0.0, 1.0)

    def by_component(self, factor: Factor) -> bool:
        """True."""
        return True

    def separable(self, factor: Factor) -> Literal["rows", "none"]:
        """A column of W runs through all rows."""
        return "none"

    def validate(self, shape: tuple[int, int], factor: Factor) -> None:
        """Refuse component vectors with a single cell, whose sparsity is 0/0."""
        super().validate(shape, factor)
        if shape[0 if factor == "W" else 1] < 2:
            raise ValueError(
                f"HoyerSparsity on {factor} needs component vectors of length >= 2, got a factor of shape "
                f"{tuple(shape)}: the sparsity of a single cell is not defined. Remove the penalty."
            )

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """0 when every component has the level (or is zero), inf otherwise."""
        V = as_float(V)
        self.validate(V.shape, factor)
        rows = component_rows(V, factor).astype(np.float64)
        largest = np.abs(rows).max(axis=1, keepdims=True)
        rows = rows[largest[:, 0] > 0] / largest[largest[:, 0] > 0]
        if not rows.size:
            return 0.0
        ratio = np.abs(rows).sum(axis=1) / np.sqrt(np.square(rows).sum(axis=1))
        d = rows.shape[1]
        off = np.abs(ratio - hoyer_sum(float(self.level), d)) / math.sqrt(d)
        return _indicator(bool(float(rows.min()) >= -rounding(V) and off.max() <= rounding(V)))

    def prox(self, V: ArrayLike, step: float, factor: Factor) -> Array:
        """Projection of each component vector onto the cone."""
        V = as_float(V)
        self.validate(V.shape, factor)
        return _like(project_hoyer(component_rows(V, factor), float(self.level)), V, factor)

    def rescaled(self, c: float, weight: float = 1.0) -> HoyerSparsity:
        """The same."""
        return HoyerSparsity(self.level)


class NormalisedCone(ProxPenalty):
    """Component vectors in a cone, cut by the sphere of the given radius: what solvers make of a cone they normalise.

    Parameters
    ----------
    cone : ProxPenalty
        A constraint that scaling does not change (degree 0), such as `HoyerSparsity`.
    radius : float > 0
        Euclidean length of each component vector.

    Notes
    -----
    The nearest point of cone ∩ sphere is the nearest point of the cone, brought to the radius.
    """

    is_constraint = True
    convex = False

    def __init__(self, cone: ProxPenalty, radius: float = 1.0) -> None:
        self.cone = cone
        self.radius = radius
        check_number(self, "radius", radius, open_low=True)

    def by_component(self, factor: Factor) -> bool:
        """As the cone."""
        return self.cone.by_component(factor)

    def separable(self, factor: Factor) -> Literal["rows", "none"]:
        """A column of W runs through all rows."""
        return "none"

    def fixes_scale(self, factor: Factor) -> bool:
        """True."""
        return True

    def validate(self, shape: tuple[int, int], factor: Factor) -> None:
        """As the cone."""
        self.cone.validate(shape, factor)

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """0 inside both sets, inf elsewhere."""
        return self.cone.value(V, factor) + UnitNorm("l2", self.radius).value(V, factor)

    def prox(self, V: ArrayLike, step: float, factor: Factor) -> Array:
        """Projection onto the cone, then onto the sphere."""
        return UnitNorm("l2", self.radius).prox(self.cone.prox(V, step, factor), step, factor)

    def rescaled(self, c: float, weight: float = 1.0) -> NormalisedCone:
        """Radius times c."""
        return NormalisedCone(self.cone, float(self.radius) * c)
