"""Tucker where cells have weights: each factor by the row kernels of NMF, the core by majorisation.

Given the core, a factor's rows are least squares with one Gram matrix each. For the core, the cells are filled with
X̃ = X̂ + (w / max w) (X − X̂): ½ Σ s (X̃ − model)² touches the weighted loss, divided by max w, at the model X̂ and lies
above it elsewhere. So what lowers the one lowers the other (Kim and Choi 2009, *Weighted nonnegative matrix
factorization*, for two ways).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..data import Summary
from ..data.block import Block
from ..data.filled import mean_weight
from ..data.products import like, values
from ..data.tensor import Tensor
from ..data.threads import Workers
from ..losses import as_loss
from .kernel_rows import weighted_rows
from .kkt import Residual
from .problem import Fixed
from .tensor import Factors
from .tensor_cells import unfolded_blocks
from .tucker import SWEEPS, Tucker

__all__ = ["TuckerCells"]

FILLS = 3  # of the cells, in an iteration


class TuckerCells(Tucker):
    """The problem min ½ Σ s_i w_c (X_c − model)², and passes of descent on it; see `Tucker`."""

    def __init__(self, tensor: Tensor, summary: Summary, pool: Workers) -> None:
        super().__init__(tensor, summary, pool)
        source, self.top = tensor.source, 1.0
        self.size /= np.sqrt(mean_weight(source))  # that of X has no weights in it
        if source.weights is not None:  # what is set beside a NaN counts for nothing
            tops = [1.0 if b.weights is None else float(b.weights.max(initial=0)) for b in source.blocks()]
            self.top = max(tops) or 1.0

    def _mode(
        self, d: int, core: np.ndarray, factors: Factors
    ) -> tuple[Fixed, Callable[[tuple[int, int]], Block]]:
        """H and blocks of mode ``d``, both with the roots of the row weights."""
        seen = factors
        if d and self.s is not None:
            seen = [factors[0] * np.sqrt(self.s).astype(factors[0].dtype)[:, None], *factors[1:]]
        fixed = self.others(d, core, seen, seen)
        fixed.rows, fixed.columns  # noqa: B018 - made once, before the threads ask for them
        return fixed, unfolded_blocks(self.tensor, d, self.s, 0.5)

    def move(self, core: np.ndarray, factors: Factors) -> tuple[np.ndarray, Factors, float, Residual]:
        """Every factor, then the core; see `Tucker`."""
        factors = list(factors)
        for d in self.tensor.modes:
            (fixed, block_at), V = self._mode(d, core, factors), factors[d].copy()
            nothing, free = np.zeros(V.shape[1], V.dtype), np.zeros(V.shape[1], bool)

            def work(
                cut: tuple[int, int], V=V, fixed=fixed, block_at=block_at, nothing=nothing, free=free
            ) -> None:
                block = block_at(cut)
                weighted_rows(block, V[block.rows], fixed, nothing, nothing, 0.0, np.inf, free, SWEEPS)

            for _ in self.pool.map(work, self.tensor.unfold(d).bounds()):
                pass
            factors[d] = V
        grams = self.grams(factors)
        for _ in range(FILLS):
            gap = self._gap_product(core, factors) / core.dtype.type(self.top)
            core = self._core_steps(core, self._curved(core, grams) + gap, grams)
        return core, factors, self.exact_loss(core, factors), self.residual(core, factors)

    def _gap_product(self, core: np.ndarray, factors: Factors) -> np.ndarray:
        """`core_product` of w (X − X̂)."""
        fixed, _ = self._mode(0, core, factors)

        def gap(block: Block) -> Any:
            V = factors[0][block.rows]
            if not block.is_masked:  # a block without a missing cell: those that CSR does not store count too
                block = block.dense()
            if block.is_sparse:
                rows = np.repeat(np.arange(len(V)), np.diff(block.X.indptr))
                model = np.einsum("ij,ij->i", V[rows], fixed.columns[block.X.indices])
            else:
                model = V @ fixed.rows
            return _weighted(block, values(block.X) - model)

        return self.core_product(factors, gap)

    def residual(self, core: np.ndarray, factors: Factors) -> Residual:
        """The KKT residual at these parts."""
        Y = self.core_product(factors, lambda block: _weighted(block, values(block.X)))
        found = self._of_core(core, Y, Y - self._gap_product(core, factors), factors)
        for d in self.tensor.modes:
            (fixed, block_at), V = self._mode(d, core, factors), factors[d]

            def halves(
                cut: tuple[int, int], V=V, fixed=fixed, block_at=block_at
            ) -> tuple[np.ndarray, np.ndarray]:
                block = block_at(cut)
                return as_loss(2).row_terms(block, V[block.rows], fixed.rows)

            work = list(self.pool.map(halves, self.tensor.unfold(d).bounds()))
            found |= self._of_factor(d, V, *map(np.concatenate, zip(*work, strict=True)))
        return found

    def cancels(self, loss: float, fall: float) -> bool:
        """Never: losses are summed from the residual."""
        return False


def _weighted(block: Block, cells: np.ndarray) -> Any:
    return like(block.X, cells if block.weights is None else cells * block.weights)
