"""Penalties and constraints on W and H.

============================  ===========================================  ==========  =============
class                         what it adds                                 kind        rows of W
============================  ===========================================  ==========  =============
`L1`, `L2`, `ElasticNet`      sums over cells                              coordinate  one by one
`Box`                         low <= v <= high                             coordinate  one by one
`Orthogonality`               overlap of components                        quadratic   one by one
`MinimumVolume`               log-volume of the components                 quadratic   coupled
`Group`                       length of components, or of items            prox        items only
`Simplex`                     rows sum to one                              prox        one by one
`UnitNorm`                    components of length or sum one              prox        coupled
`HoyerSparsity`               components of a given sparsity               prox        coupled
`Smoothness`                  neighbours along the axis alike              smooth      coupled
`GraphLaplacian`              neighbours in a graph alike                  smooth      coupled
============================  ===========================================  ==========  =============

One class serves both factors. `nonneg.penalties.base` is the contract between penalties and solvers.
"""

from __future__ import annotations

from nonneg.penalties.base import (
    CoordinatePenalty,
    Penalty,
    ProxPenalty,
    QuadraticPenalty,
    SmoothPenalty,
)
from nonneg.penalties.combine import Combined, as_penalties, combine, factor_to_normalise
from nonneg.penalties.graph import GraphLaplacian, Smoothness
from nonneg.penalties.norms import L1, L2, ElasticNet, Group
from nonneg.penalties.sets import Box, HoyerSparsity, Simplex, UnitNorm
from nonneg.penalties.volume import MinimumVolume, Orthogonality

__all__ = [
    "L1",
    "L2",
    "Box",
    "Combined",
    "CoordinatePenalty",
    "ElasticNet",
    "GraphLaplacian",
    "Group",
    "HoyerSparsity",
    "MinimumVolume",
    "Orthogonality",
    "Penalty",
    "ProxPenalty",
    "QuadraticPenalty",
    "Simplex",
    "SmoothPenalty",
    "Smoothness",
    "UnitNorm",
    "as_penalties",
    "combine",
    "factor_to_normalise",
]
