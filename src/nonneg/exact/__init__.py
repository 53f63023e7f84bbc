"""Exact factorization, the non-negative rank with its proofs, and factors of integers and of zeros and ones."""

from ..exceptions import NoRankFactorization
from .boolean import BooleanNMF
from .certificates import (
    Antichain,
    Certificate,
    FoolingSet,
    NestedPolygons,
    Rank,
    RectangleCover,
    RectangleWeights,
)
from .covers import boolean_rank
from .factors import ExactResult, exact_nmf
from .integer import IntegerNMF
from .rank import RankInterval, nonnegative_rank, nonnegative_rank_factorization

__all__ = [
    "Antichain",
    "BooleanNMF",
    "Certificate",
    "ExactResult",
    "FoolingSet",
    "IntegerNMF",
    "NestedPolygons",
    "NoRankFactorization",
    "Rank",
    "RankInterval",
    "RectangleCover",
    "RectangleWeights",
    "boolean_rank",
    "exact_nmf",
    "nonnegative_rank",
    "nonnegative_rank_factorization",
]
