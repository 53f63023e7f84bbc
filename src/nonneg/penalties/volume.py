"""Penalties on how the components stand to each other: pairwise overlap, and the volume they span.

Knows functions of the Gram matrix of the component vectors. Both reach a solver as a (k, k) matrix to be
added to its own Gram matrix, so they cost next to nothing.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from nonneg.penalties.base import Array, Factor, QuadraticPenalty, as_float, component_rows
from nonneg.penalties.parameters import check_number


def _gram(V: Array, factor: Factor) -> Array:
    """Inner products of the component vectors, (k, k), in float64."""
    rows = component_rows(V, factor).astype(np.float64, copy=False)
    return rows @ rows.T


class Orthogonality(QuadraticPenalty):
    """strength · Σ_{i<j} ⟨v_i, v_j⟩ over pairs of component vectors: overlap costs.

    Parameters
    ----------
    strength : float >= 0
        In units of (loss per observed cell) / (unit of V)². For non-negative vectors a zero inner product
        means disjoint supports: on W, samples belong to one component (clusters); on H, parts share no
        features.

    Notes
    -----
    = ½ tr(V Q Vᵀ) with Q = strength (1 1ᵀ − I), exact and constant, a sum over the rows of W. Q is
    indefinite, so the problem in the whole factor is not convex, but it is in each component alone.

    References
    ----------
    Li, Hou, Zhang & Cheng (2001), Learning spatially localized, parts-based representation, CVPR (the term
    Σ_{i≠j} u_ij of local NMF).
    """

    degree = 2
    convex = False

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self._check_strength()

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """Half the sum of the off-diagonal Gram entries."""
        gram = _gram(as_float(V), factor)
        np.fill_diagonal(gram, 0.0)
        return 0.5 * float(self.strength) * float(gram.sum())

    def quadratic(self, V: ArrayLike, factor: Factor) -> Array:
        """Strength (1 1ᵀ − I)."""
        V = as_float(V)
        k = component_rows(V, factor).shape[0]
        Q = np.full((k, k), float(self.strength), dtype=V.dtype)
        np.fill_diagonal(Q, 0.0)
        return Q

    def rescaled(self, c: float, weight: float = 1.0) -> Orthogonality:
        """Strength · weight / c²."""
        return Orthogonality(float(self.strength) * weight / c / c)


class MinimumVolume(QuadraticPenalty):
    """strength · (log det(G + delta I) − k log delta), G the Gram matrix of the components (W'W or HH').

    Parameters
    ----------
    strength : float >= 0
        In units of loss per observed cell.
    delta : float > 0, default=0.1
        Where the logarithm stops growing: components shorter than √delta (in units of V) hardly count, which
        lets some of them vanish when k is too large.

    Notes
    -----
    Among factorizations that fit equally well, it takes the one whose components span the least volume: parts
    that touch the data, which is what makes the solution unique. Usually on H, with W on the simplex or H's
    scale fixed otherwise. log det is concave, so with Y = G(V₀) + delta I the tangent log det(Y) + tr(Y⁻¹ (G
    − G₀)) majorises it with contact at V₀: Q = 2 strength Y⁻¹. The constant −k log delta makes the penalty of
    V = 0 zero.

    References
    ----------
    Fu, Huang, Yang, Ma & Sidiropoulos (2016), Robust volume minimization-based matrix factorization for
    remote sensing and document clustering, IEEE Trans. Signal Process. 64 (the log det and its majoriser);
    Leplat, Ang & Gillis (2019), Minimum-volume rank-deficient nonnegative matrix factorizations, ICASSP
    (delta, and k too large).
    """

    convex = False

    def __init__(self, strength: float, delta: float = 0.1) -> None:
        self.strength = strength
        self.delta = delta
        self._check_strength()
        check_number(self, "delta", delta, open_low=True)

    def separable(self, factor: Factor) -> Literal["rows", "none"]:
        """The Gram matrix is a sum over all rows."""
        return "none"

    def _eigen(self, V: Array, factor: Factor) -> tuple[Array, Array]:
        """Eigenvalues (clipped at zero against rounding) and vectors of G / delta."""
        values, vectors = np.linalg.eigh(_gram(V / math.sqrt(float(self.delta)), factor))
        return np.maximum(values, 0.0), vectors

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """Strength · Σ log(1 + λ / delta) over the eigenvalues λ of G."""
        values, _ = self._eigen(as_float(V), factor)
        return float(self.strength) * float(np.log1p(values).sum())

    def quadratic(self, V: ArrayLike, factor: Factor) -> Array:
        """2 strength (G + delta I)⁻¹ at V."""
        V = as_float(V)
        values, vectors = self._eigen(V, factor)
        Q = (vectors / (1.0 + values)) @ vectors.T * (2.0 * float(self.strength) / float(self.delta))
        # the halves differ by rounding, and coordinate descent reads either
        return np.ascontiguousarray((0.5 * (Q + Q.T)).astype(V.dtype))

    def rescaled(self, c: float, weight: float = 1.0) -> MinimumVolume:
        """Strength · weight and delta · c²."""
        return MinimumVolume(float(self.strength) * weight, float(self.delta) * c * c)
