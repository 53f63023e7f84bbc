"""Sums of k outer products of non-negative vectors, X ≈ Σ_k F_1[:, k] ∘ … ∘ F_N[:, k]: what its ways of descent share.

With all factors but F_d fixed, the unfolding of X along mode d is X_(d) ≈ F_d K_dᵀ, K_d the Khatri–Rao product of the
others: the row problem of NMF, with K_d in the place of Hᵀ. `tensor_gram` descends on least squares over all cells,
`tensor_cells` on KL and on cells with weights.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import reduce

import numpy as np

from ..data import Summary
from ..data.tensor import Tensor
from ..data.threads import Workers
from .kkt import Residual, column_squares
from .problem import Fixed

__all__ = ["CP", "hadamard", "khatri_rao"]

Factors = list[np.ndarray]


def khatri_rao(factors: list[np.ndarray], places: list[np.ndarray] | None = None) -> np.ndarray:
    """Products of one row of each factor, (rows, k): all combinations in C order, or those at ``places``."""
    if places is not None:
        return math.prod(F[index] for F, index in zip(factors, places, strict=True))  # type: ignore[return-value]
    return reduce(lambda K, F: (K[:, None, :] * F).reshape(-1, F.shape[1]), factors)


def hadamard(grams: list[np.ndarray]) -> np.ndarray:
    """The entrywise product."""
    return reduce(np.multiply, grams)


class CP(ABC):
    """The problem min Σ s_i w_c d(X_c | Σ_k ∏_d F_d) over F_d ≥ 0, and passes of descent on it.

    Parameters
    ----------
    tensor : Tensor
    beta : float
        2: half the squared distance; 1: KL.
    summary : Summary
    k : int
    pool : Workers

    Attributes
    ----------
    frozen : ndarray of bool, shape (k,)
        Components whose columns of all factors but the first stay as they are; none unless it is set.
    """

    def __init__(self, tensor: Tensor, beta: float, summary: Summary, k: int, pool: Workers) -> None:
        self.tensor, self.beta, self.k, self.pool = tensor, beta, k, pool
        self.unit, self.squares = summary.mean or 1.0, summary.squares
        self.s = tensor.source.row_weights
        self.frozen = np.zeros(k, bool)
        self.exact = False  # whether losses are summed from the residual by now

    @abstractmethod
    def move(self, factors: Factors) -> tuple[Factors, float, Residual]:
        """Every factor once (or a few times), their loss, and the residual met on the way."""

    @abstractmethod
    def residual(self, factors: Factors) -> Residual:
        """The KKT residual of these factors, every mode given the others."""

    @abstractmethod
    def exact_loss(self, factors: Factors) -> float:
        """The loss, not as a difference of large numbers where that can be helped."""

    def cancels(self, loss: float, fall: float) -> bool:
        """Whether losses must be summed from the residual from here on."""
        return False

    def counted(self, factors: Factors, power: float = 1.0) -> Factors:
        """The factors as the other modes see them: rows of the first one times their weights."""
        if self.s is None:
            return factors
        return [factors[0] * (self.s**power).astype(factors[0].dtype)[:, None], *factors[1:]]

    def held(self, d: int) -> np.ndarray:
        """Which columns of a factor stay."""
        return self.frozen if d else np.zeros(self.k, bool)

    def gram(self, d: int, factors: Factors) -> np.ndarray:
        """K_dᵀ S K_d."""
        seen = self.counted(factors)
        return hadamard([seen[e].T @ factors[e] for e in self.tensor.others(d)])

    def fixed(self, d: int, factors: Factors) -> Fixed:
        """K_d at the columns of the unfolding; its Gram matrix and sums are over all columns, also those left out."""
        return self.others(d, self.counted(factors) if d else factors, factors)

    def others(self, d: int, seen: Factors, factors: Factors) -> Fixed:
        """`fixed`, of factors ``seen`` with weights of some kind; the Gram matrix is between them and ``factors``."""
        others = self.tensor.others(d)
        fixed = Fixed(columns=khatri_rao([seen[e] for e in others], self.tensor.places(d)))
        fixed.gram = hadamard([seen[e].T @ factors[e] for e in others])
        fixed.sums = hadamard([seen[e].sum(axis=0) for e in others])
        return fixed

    def units(self, factors: Factors) -> Factors:
        """Factors of the columns that give all modes of a component one norm, X in units of its mean."""
        norms = np.sqrt([column_squares(F, self.s if d == 0 else None) for d, F in enumerate(factors)])
        usable = (norms > 0).all(axis=0)
        norms = np.where(usable, norms, 1)
        mean = np.exp((np.log(norms).sum(axis=0) - np.log(self.unit)) / len(norms))
        return [np.where(usable, mean / norm, 1) for norm in norms]

    def balanced(self, factors: Factors) -> Factors:
        """The same tensor with factors of one norm, but for frozen components."""
        root = self.unit ** (1 / len(factors))
        scales = [np.where(self.frozen, 1, unit * root) for unit in self.units(factors)]
        return [(F * scale).astype(F.dtype) for F, scale in zip(factors, scales, strict=True)]
