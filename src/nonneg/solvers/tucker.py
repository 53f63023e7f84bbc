"""X ≈ G ×_1 F_1 ×_2 F_2 ⋯ ×_N F_N with all parts non-negative: least squares, one part after the other.

Given the others, the unfolding along mode d is X_(d) ≈ F_d H, H = G_(d) (⊗_{e≠d} F_e)ᵀ: the row problem of NMF, with
the Gram matrix G_(d) (⊗ F_eᵀ F_e) G_(d)ᵀ. The core's problem is least squares with the Gram matrix ⊗ F_dᵀ F_d, never
made: accelerated projected gradient steps multiply by one F_dᵀ F_d after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..data import Summary
from ..data.block import Block
from ..data.tensor import Tensor
from ..data.threads import Workers
from ..losses import as_loss
from .gram import cancels, data_product
from .kkt import Residual, column_squares, residual_of
from .problem import Fixed
from .quadratic import Sweep
from .tensor import Factors

__all__ = ["Tucker", "times_mode"]

SWEEPS, CORE_STEPS = 8, 20


def times_mode(core: np.ndarray, A: np.ndarray, d: int) -> np.ndarray:
    """Core ×_d A: the sum of core over its mode d with the rows of A, (…, len(A), …)."""
    return np.moveaxis(np.tensordot(A, core, axes=(1, d)), 0, d)


def unfolded(core: np.ndarray, d: int) -> np.ndarray:
    """Mode ``d`` of an array against all others, in C order."""
    return np.moveaxis(core, d, 0).reshape(core.shape[d], -1)


class Tucker:
    """The problem above with row weights s, and passes of descent on it.

    Parameters
    ----------
    tensor : Tensor
    summary : Summary
    pool : Workers
    """

    def __init__(self, tensor: Tensor, summary: Summary, pool: Workers) -> None:
        self.tensor, self.pool, self.s = tensor, pool, tensor.source.row_weights
        self.squares, self.size = summary.squares, float(np.sqrt(summary.squares)) or 1.0
        self.per = 1 / self.size**2
        self.exact = False

    def counted(self, factors: Factors) -> Factors:
        """The factors as the other parts see them: rows of the first one times their weights."""
        return factors if self.s is None else [factors[0] * self.s[:, None], *factors[1:]]

    def grams(self, factors: Factors) -> Factors:
        """F_dᵀ S F_d."""
        return [seen.T @ F for seen, F in zip(self.counted(factors), factors, strict=True)]

    def fixed(self, d: int, core: np.ndarray, factors: Factors) -> Fixed:
        """H of mode ``d`` at the columns of its unfolding, with row weights, and its Gram matrix over all columns."""
        return self.others(d, core, self.counted(factors) if d else factors, factors)

    def others(self, d: int, core: np.ndarray, seen: Factors, factors: Factors) -> Fixed:
        """`fixed`, of factors ``seen`` with weights of some kind; the Gram matrix is between them and ``factors``."""
        others, places = self.tensor.others(d), self.tensor.places(d)
        inner = core
        for e in others:
            inner = times_mode(inner, seen[e].T @ factors[e], e)
        if places is None:
            wide = core
            for e in others:
                wide = times_mode(wide, seen[e], e)
            fixed = Fixed(rows=np.ascontiguousarray(unfolded(wide, d)))
        else:
            fixed = Fixed(columns=self._at_places(d, core, seen, places))
        fixed.gram = np.ascontiguousarray(unfolded(inner, d) @ unfolded(core, d).T)
        return fixed

    def _at_places(self, d: int, core: np.ndarray, seen: Factors, places: Factors) -> np.ndarray:
        """Columns of H where something is stored: the other modes are summed one by one, the last one first."""
        part = np.moveaxis(core, d, 0)[None]
        for e, index in reversed(list(zip(self.tensor.others(d), places, strict=True))):
            rows = seen[e][index].reshape(len(index), *[1] * (part.ndim - 2), -1)
            part = (part * rows).sum(axis=-1)
        return np.ascontiguousarray(part)

    def product(self, d: int, fixed: Fixed) -> np.ndarray:
        """X_(d) Hᵀ."""
        source = self.tensor.unfold(d)
        fixed.rows, fixed.padded if source.is_sparse else fixed.columns  # noqa: B018 - made before threads ask for them
        work = self.pool.map(lambda cut: data_product(source.block(*cut), fixed), source.bounds())
        return np.concatenate(list(work))

    # -- a pass ---------------------------------------------------------------------------------------------

    def move(self, core: np.ndarray, factors: Factors) -> tuple[np.ndarray, Factors, float, Residual]:
        """Every factor, then the core; their loss, and the residual met on the way."""
        factors, residual = list(factors), Residual()
        for d in self.tensor.modes:
            fixed = self.fixed(d, core, factors)
            P, V = self.product(d, fixed), factors[d].copy()
            Sweep(SWEEPS).rows(V, fixed.gram, P, 0.0, np.inf)
            factors[d] = V
            residual |= self._of_factor(d, V, P, V @ fixed.gram)
        Y = self.core_product(factors)
        core = self._core_steps(core, Y, self.grams(factors))
        residual |= self._of_core(core, Y, self._curved(core, self.grams(factors)), factors)
        return core, factors, self.loss(core, factors, Y), residual

    def core_product(
        self, factors: Factors, of: Callable[[Block], Any] = lambda block: block.X
    ) -> np.ndarray:
        """X ×_1 F_1ᵀ S ⋯ ×_N F_Nᵀ, block by block, or that of what ``of`` makes of the blocks of X."""
        source, places, first = self.tensor.unfold(0), self.tensor.places(0), self.counted(factors)[0]
        ranks, dtype = [F.shape[1] for F in factors], factors[0].dtype
        every = np.eye(int(np.prod(ranks[1:])), dtype=dtype).reshape(-1, *ranks[1:])
        columns = None
        if source.is_sparse:  # all products of one row of each other factor, where something is stored
            places = places if places is not None else [np.arange(len(factors[1]))]
            columns = self._at_places(0, every, factors, places)

        def work(cut: tuple[int, int]) -> np.ndarray:
            block = source.block(*cut)
            if columns is not None:
                part = of(block) @ columns
            else:
                part = of(block).reshape(-1, *self.tensor.shape[1:])
                for e in reversed(self.tensor.others(0)):
                    part = times_mode(part, factors[e].T, e)
                part = part.reshape(len(part), -1)
            return first[block.rows].T @ part

        total = np.zeros((ranks[0], len(every)), dtype)
        for part in self.pool.map(work, source.bounds()):
            total += part
        return total.reshape(ranks)

    def _core_steps(self, core: np.ndarray, Y: np.ndarray, grams: Factors) -> np.ndarray:
        """Accelerated projected gradient, restarted where it turns back."""
        L = float(np.prod([np.linalg.eigvalsh(G.astype(np.float64))[-1] for G in grams]))
        if not L > 0:
            return core
        here, ahead, t = core, core, 1.0
        for _ in range(CORE_STEPS):
            new = np.maximum(ahead - (self._curved(ahead, grams) - Y) / core.dtype.type(L), 0)
            if np.vdot(ahead - new, new - here) > 0:  # it turns back: from the last point without momentum
                new = np.maximum(here - (self._curved(here, grams) - Y) / core.dtype.type(L), 0)
                t = 1.0
            faster = (1 + np.sqrt(1 + 4 * t * t)) / 2
            ahead, here, t = new + core.dtype.type((t - 1) / faster) * (new - here), new, faster
        return here

    @staticmethod
    def _curved(core: np.ndarray, grams: Factors) -> np.ndarray:
        for d, G in enumerate(grams):
            core = times_mode(core, G, d)
        return core

    def balanced(self, core: np.ndarray, factors: Factors) -> tuple[np.ndarray, Factors]:
        """The same model with columns of norm 1, as far as there is anything in them."""
        for d, F in enumerate(factors):
            norms = np.sqrt(column_squares(F, self.s if d == 0 else None))
            norms = np.where(norms > 0, norms, 1).astype(F.dtype)
            factors[d], core = F / norms, times_mode(core, np.diag(norms), d)
        return core, factors

    # -- residual and loss ----------------------------------------------------------------------------------

    def _of_factor(self, d: int, V: np.ndarray, P: np.ndarray, positive: np.ndarray) -> Residual:
        """From the halves of the gradient; in units in which the columns of F_d and all of X have norm 1."""
        weights = self.s if d == 0 else None
        norms = np.sqrt(column_squares(V, weights))
        units = 1 / np.where(norms > 0, norms, 1)
        return residual_of(V, P, positive, units, self.per, row_weights=weights)

    def _of_core(self, core: np.ndarray, Y: np.ndarray, positive: np.ndarray, factors: Factors) -> Residual:
        grams, units = self.grams(factors), np.full((), 1 / self.size)
        for G in grams:
            norms = np.sqrt(np.diag(G).astype(np.float64))
            units = np.multiply.outer(units, np.where(norms > 0, norms, 1))
        return residual_of(core, Y, positive, units, self.per)

    def residual(self, core: np.ndarray, factors: Factors) -> Residual:
        """The KKT residual at these parts."""
        Y, curved = self.core_product(factors), self._curved(core, self.grams(factors))
        found = self._of_core(core, Y, curved, factors)
        for d in self.tensor.modes:
            fixed = self.fixed(d, core, factors)
            found |= self._of_factor(d, factors[d], self.product(d, fixed), factors[d] @ fixed.gram)
        return found

    def loss(self, core: np.ndarray, factors: Factors, Y: np.ndarray) -> float:
        """½ (‖X‖² − 2 ⟨Y, G⟩ + ⟨G, G ×_d F_dᵀ F_d⟩), or from the residual itself."""
        if self.exact:
            return self.exact_loss(core, factors)
        wide = core.astype(np.float64)
        curved = self._curved(wide, [G.astype(np.float64) for G in self.grams(factors)])
        return 0.5 * (
            self.squares - 2 * float(np.vdot(Y.astype(np.float64), wide)) + float(np.vdot(wide, curved))
        )

    def cancels(self, loss: float, fall: float) -> bool:
        """Whether losses must be summed from the residual from here on; a sparse X has no sum over all its cells."""
        if self.exact or self.tensor.source.is_sparse:
            return False
        return cancels(loss, fall, self.squares, np.dtype(self.tensor.source.float_dtype))

    def exact_loss(self, core: np.ndarray, factors: Factors) -> float:
        """The loss from the residual itself; for a sparse X without weights, from products."""
        source = self.tensor.unfold(0)
        if source.is_sparse and not source.is_masked:
            return self.loss(core, factors, self.core_product(factors))
        fixed = self.fixed(0, core, factors)
        fixed.rows  # noqa: B018 - made once, before the threads ask for it

        def value(cut: tuple[int, int]) -> float:
            block = source.block(*cut)
            return as_loss(2).value(block, factors[0][block.rows], fixed.rows)

        return sum(self.pool.map(value, source.bounds()))
