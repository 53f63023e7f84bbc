"""KL, and cells with weights, on a tensor: the row kernels of NMF, mode by mode.

Each mode holds the Khatri–Rao product of the other factors: all of it for a dense tensor (k / I_d times the size of X),
the rows where something is stored for a sparse one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..data.block import Block
from ..data.scaled import times_columns
from ..data.tensor import Tensor
from ..losses import as_loss
from .alternating import _times_rows
from .kernel_rows import kl_rows, kl_value, weighted_rows
from .kkt import Residual, residual_of
from .problem import Fixed
from .tensor import CP, Factors, hadamard

__all__ = ["ByCells", "unfolded_blocks"]

SWEEPS, KL_SWEEPS = 8, 2


def unfolded_blocks(
    tensor: Tensor, d: int, s: np.ndarray | None, power: float
) -> Callable[[tuple[int, int]], Block]:
    """Blocks of an unfolding; row weights of the tensor are factors s^power of columns there, but for mode 0."""
    source = tensor.unfold(d)
    if d == 0 or s is None:
        return lambda cut: source.block(*cut)
    places, s = tensor.places(d), (s**power).astype(source.float_dtype)
    weights = np.repeat(s, source.shape[1] // len(s)) if places is None else s[places[0]]

    def block(cut: tuple[int, int]) -> Block:
        found = source.block(*cut)
        return Block(found.start, found.stop, times_columns(found.X, weights), found.weights)

    return block


class ByCells(CP):
    """Descent with one Gram matrix a row (least squares), or coordinate descent (KL); see `CP`."""

    @property
    def power(self) -> float:
        """A row weight s is a factor of the loss: s d_β(x | y) = d_β(s^(1/β) x | s^(1/β) y)."""
        return 1 / self.beta

    def _blocks(self, d: int) -> Callable[[tuple[int, int]], Block]:
        return unfolded_blocks(self.tensor, d, self.s, self.power)

    def _fixed(self, d: int, factors: Factors) -> Fixed:
        if d == 0:
            return self.others(0, factors, factors)
        seen = self.counted(factors, self.power)
        return self.others(d, seen, seen if self.beta == 2 else factors)

    def move(self, factors: Factors) -> tuple[Factors, float, Residual]:
        """Every factor in turn; see `CP`."""
        factors = list(factors)
        nothing, residual = np.zeros(self.k, factors[0].dtype), Residual()
        for d in self.tensor.modes:
            fixed, block_at, V = self._fixed(d, factors), self._blocks(d), factors[d].copy()
            fixed.rows, fixed.columns  # noqa: B018
            units = (self.units(factors)[d] * np.sqrt(self.unit)).astype(V.dtype)

            def work(cut: tuple[int, int], d=d, V=V, fixed=fixed, block_at=block_at, units=units) -> Residual:
                block = block_at(cut)
                args = (block, V[block.rows], fixed, nothing, nothing, 0.0, np.inf, self.held(d))
                if self.beta == 1:
                    return kl_rows(*args, KL_SWEEPS, 0.0, units)
                weighted_rows(*args, SWEEPS)
                return Residual()

            for found in self.pool.map(work, self.tensor.unfold(d).bounds()):
                residual |= found
            factors[d] = V
        measured = self.beta == 1 and not self.frozen.any()
        return factors, self.exact_loss(factors), residual if measured else self.residual(factors)

    def residual(self, factors: Factors) -> Residual:
        """See `CP`."""
        residual, units, loss = Residual(), self.units(factors), as_loss(self.beta)
        for d in self.tensor.modes:
            fixed, block_at, V = self._fixed(d, factors), self._blocks(d), factors[d]
            fixed.rows, fixed.columns  # noqa: B018

            def work(cut: tuple[int, int], d=d, V=V, fixed=fixed, block_at=block_at) -> Residual:
                block = block_at(cut)
                mine = V[block.rows]
                negative, positive = loss.row_terms(block, mine, fixed.rows)
                if block.is_sparse and not block.is_masked:
                    positive = np.tile(fixed.sums, (len(mine), 1))
                per, free = self.unit**-self.beta, ~self.held(d)
                mine, negative, positive = (A[:, free] for A in (mine, negative, positive))
                return residual_of(
                    mine, negative, positive, units[d][free], per, row_weights=block.row_weights
                )

            for found in self.pool.map(work, self.tensor.unfold(d).bounds()):
                residual |= found
        return residual

    def exact_loss(self, factors: Factors) -> float:
        """See `CP`."""
        source, fixed, V = self.tensor.unfold(0), self.others(0, factors, factors), factors[0]
        fixed.rows, fixed.columns  # noqa: B018 - made once, before the threads ask for them

        def value(cut: tuple[int, int]) -> float:
            block = source.block(*cut)
            mine = V[block.rows]
            if self.beta == 1:
                return kl_value(*_times_rows(block, mine), fixed)
            return as_loss(2).value(block, mine, fixed.rows)

        left_out = self._sums_left_out(factors, fixed) if self.beta == 1 else 0.0
        return sum(self.pool.map(value, source.bounds())) + left_out

    def _sums_left_out(self, factors: Factors, fixed: Fixed) -> float:
        """The sum of the model over the columns that a sparse unfolding leaves out: nothing is stored there."""
        if self.tensor.places(0) is None or self.tensor.source.is_masked:
            return 0.0
        everywhere = hadamard([F.sum(axis=0, dtype=np.float64) for F in factors[1:]])
        first = self.counted(factors)[0].sum(axis=0, dtype=np.float64)
        return float(first @ (everywhere - fixed.columns.sum(axis=0, dtype=np.float64)))
