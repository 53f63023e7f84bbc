"""Least squares over all cells of a tensor: HALS for sums of outer products, with few products with X.

The factor F_d needs K_dᵀ K_d, the entrywise product of the k × k Gram matrices of the other factors, and X_(d) K_d
(MTTKRP). A dense tensor's modes are split once into two groups: one product of X with the Khatri–Rao product of one
group serves all factors of the other group, which move one after the other on what is left of X. So an iteration reads
X twice, whatever N is; for two modes it is that of `hals`. (Moving a group's factors several times on one product led
into slow stretches more often than it saved products.) A sparse tensor is multiplied mode by mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..data import Summary
from ..data.products import Products
from ..data.tensor import Tensor
from ..data.threads import Workers
from ..losses import as_loss
from .gram import cancels, data_product
from .kkt import Residual, residual_of
from .quadratic import Sweep
from .tensor import CP, Factors, hadamard, khatri_rao

__all__ = ["ByGram"]

SWEEPS = 8


class ByGram(CP):
    """Descent with Gram matrices; see `CP`."""

    def __init__(self, tensor: Tensor, beta: float, summary: Summary, k: int, pool: Workers) -> None:
        super().__init__(tensor, beta, summary, k, pool)
        shape = tensor.shape
        # so that what is left of X after either product is small
        cut = min(range(1, len(shape)), key=lambda p: math.prod(shape[:p]) + math.prod(shape[p:]))
        self.groups = [list(range(cut)), list(range(cut, len(shape)))]
        if tensor.source.is_sparse:
            self.groups = [[d] for d in tensor.modes]

    def move(self, factors: Factors) -> tuple[Factors, float, Residual]:
        """Every factor with several sweeps."""
        factors, residual = list(factors), Residual()
        for group in self.groups:
            product = self._product(group, factors)
            for d in group:
                P = product(d, factors)
                factors[d] = self._swept(factors[d], self.gram(d, factors), P, self.held(d))
            residual |= self._residual_of_group(group, factors, product)
        return factors, self._loss(factors, d, P), residual

    @staticmethod
    def _swept(V: np.ndarray, G: np.ndarray, P: np.ndarray, held: np.ndarray) -> np.ndarray:
        """V after several sweeps over its columns, those of ``held`` as they were."""
        V = V.copy()
        if not held.any():
            Sweep(SWEEPS).rows(V, G, P, 0.0, np.inf)
        elif not held.all():
            free = ~held
            rest = P[:, free] - V[:, held] @ G[np.ix_(held, free)]
            moved = np.ascontiguousarray(V[:, free])
            inner = np.ascontiguousarray(G[np.ix_(free, free)])
            Sweep(SWEEPS).rows(moved, inner, np.ascontiguousarray(rest), 0.0, np.inf)
            V[:, free] = moved
        return V

    def _residual_of_group(
        self, group: list[int], factors: Factors, product: Callable[..., np.ndarray]
    ) -> Residual:
        residual, units = Residual(), self.units(factors)
        for d in group:
            positive = factors[d] @ self.gram(d, factors)
            weights, free = self.s if d == 0 else None, ~self.held(d)
            V, negative, positive = (A[:, free] for A in (factors[d], product(d, factors), positive))
            residual |= residual_of(V, negative, positive, units[d][free], self.unit**-2, row_weights=weights)
        return residual

    def _product(self, group: list[int], factors: Factors) -> Callable[..., np.ndarray]:
        """X_(d) K_d for the modes of a group, whose other factors may have moved since."""
        if self.tensor.source.is_sparse:
            P = self._sparse_product(group[0], factors)
            return lambda d, factors: P
        seen = self.counted(factors)
        rest = khatri_rao([seen[e] for e in self.tensor.modes if e not in group])
        left = group[0] == 0
        X = Products(self.tensor.matrix(group[-1] + 1 if left else group[0]), self.pool)
        T = X.right(rest) if left else X.left(rest)
        T = np.ascontiguousarray(T.T)

        def product(d: int, factors: Factors) -> np.ndarray:
            seen, place, P = self.counted(factors), group.index(d), T
            if after := [seen[e] for e in group[place + 1 :]]:
                K = khatri_rao(after)
                P = (P.reshape(self.k, -1, len(K)) @ K.T[:, :, None])[:, :, 0]
            if before := [seen[e] for e in group[:place]]:
                K = khatri_rao(before)
                P = (K.T[:, None, :] @ P.reshape(self.k, len(K), -1))[:, 0]
            return np.ascontiguousarray(P.T)

        return product

    def _sparse_product(self, d: int, factors: Factors) -> np.ndarray:
        source, fixed = self.tensor.unfold(d), self.fixed(d, factors)
        fixed.padded  # noqa: B018 - made once, before the threads ask for it
        work = self.pool.map(lambda cut: data_product(source.block(*cut), fixed), source.bounds())
        return np.concatenate(list(work))

    def _loss(self, factors: Factors, d: int, P: np.ndarray) -> float:
        """½ (‖X‖² − 2 ⟨P, F_d⟩ + ⟨F_dᵀ F_d, K_dᵀ K_d⟩); P is that of the factor that moved last."""
        if self.exact:
            return self.exact_loss(factors)
        V = (factors[d] if d or self.s is None else self.counted(factors)[0]).astype(np.float64)
        inner = float(np.einsum("ij,ij->", P.astype(np.float64), V))
        squares = hadamard(
            [a.T.astype(np.float64) @ F for a, F in zip(self.counted(factors), factors, strict=True)]
        )
        return 0.5 * (self.squares - 2 * inner + float(squares.sum()))

    def residual(self, factors: Factors) -> Residual:
        """See `CP`."""
        found = Residual()
        for group in self.groups:
            found |= self._residual_of_group(group, factors, self._product(group, factors))
        return found

    def cancels(self, loss: float, fall: float) -> bool:
        """Whether losses must be summed from the residual from here on; a sparse X has no sum over all its cells."""
        if self.exact or self.tensor.source.is_sparse:
            return False
        return cancels(loss, fall, self.squares, np.dtype(self.tensor.source.float_dtype))

    def exact_loss(self, factors: Factors) -> float:
        """See `CP`."""
        if self.tensor.source.is_sparse:
            return self._loss(factors, 0, self._sparse_product(0, factors))
        p = len(self.groups[0])
        source, left = self.tensor.matrix(p), khatri_rao(factors[:p])
        right = np.ascontiguousarray(khatri_rao(factors[p:]).T)

        def value(cut: tuple[int, int]) -> float:
            block = source.block(*cut)
            return as_loss(2).value(block, left[block.rows], right)

        return sum(self.pool.map(value, source.bounds()))
