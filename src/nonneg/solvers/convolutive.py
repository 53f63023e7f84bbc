"""How convolutive NMF moves: X ≈ Σ_τ W(τ rows down) P_τ is a product of two matrices, one of them made of shifts.

Side by side, the k · width columns of W shifted by 0, …, width − 1 rows are S (n, k · width), and the patterns below
each other are H (k · width, m): X ≈ S H. So H moves as in NMF, and the gradient of W is that of S with the
shifts taken back and added up.

Where cells have weights v_tf, let c_f be the largest of a column. ½ Σ v (x − y)² lies below its tangent at the present
X̂ plus ½ Σ c (y − x̂)², so least squares move by the same sweeps, from the slopes of the observed cells and with Gram
matrices of all rows, in which columns weigh c: missing cells count as what was predicted, and the loss never rises. KL
has the weights in both halves of its gradient.
"""

from __future__ import annotations

import itertools

import numpy as np

from ..data import Source
from ..data.threads import Workers
from ..exceptions import ConvergenceWarning, warn_user
from ..losses.beta import Stats
from .iterate import Arrays
from .kkt import Residual, balance, column_squares, residual_of
from .momentum import accelerated, at_rest
from .mu import multiply
from .problem import Problem
from .quadratic import Sweep
from .shifts import down, folded, shifted
from .step import Record

__all__ = ["BACKGROUND", "Convolution"]

SWEEPS = 8  # of each factor in an iteration
BACKGROUND = 0.1  # of the mean of a pattern, where it is new: zeros would be slow to leave
SETTLED, MOVES, GAIN = (
    1e-4,
    8,
    1e-4,
)  # of the loss: when patterns are tried at other rows, for how long, and what counts
CHECK, MAX_SWEEPS, MAX_UPDATES, MAX_PASSES = 16, 4000, 2000, 1000  # for given patterns
UNSETTLED = 1e-6  # of the largest slope: what codes may leave without a warning
STILL = 1e-6  # of the largest amount: multiplicative updates that move none by more have ended


class Convolution:
    """Steps of W (n, k) and of the patterns H (k · width, m) for the Frobenius loss or KL.

    Parameters
    ----------
    problem : Problem
    width : int
    pool : Workers
    """

    def __init__(self, problem: Problem, width: int, pool: Workers) -> None:
        self.problem, self.width, self.pool = problem, width, pool
        self.frozen = np.repeat(problem.frozen, width)  # rows of H
        self.ceilings = _ceilings(problem.source) if problem.source.is_masked else None

    def step(self, state: Arrays, tol: float) -> Record:
        """One move, extrapolated; where that no longer helps, a pattern may begin a row earlier or later.

        Patterns that begin at the wrong row, and so lose their other end, are the local optima met most often. ``tol``
        is compared with the exact residual.
        """
        before = state["scalars"][2]
        record = accelerated(state, self.move, ("H",) if self._squares else ("W", "H"))
        settled = record.kkt <= tol or before - record.loss <= SETTLED * record.loss
        if settled and not self.is_settled(state):
            found = self._nudged(state, record.loss)
            if found is None:
                state["scalars"] = np.append(state["scalars"][:3], 1.0)
            else:
                factors, loss, kkt = found
                state.clear()
                state.update(at_rest(factors))
                state["scalars"][2] = loss
                record = Record(loss, kkt, 1.0)
        if record.kkt <= tol:
            record.kkt = self.residual(state["W"], state["H"])
        return record

    def is_settled(self, state: Arrays) -> bool:
        """Whether the patterns have been tried at other rows in vain."""
        return bool(state["scalars"][3])

    def _nudged(self, state: Arrays, loss: float) -> tuple[dict[str, np.ndarray], float, float] | None:
        """The factors after a pattern was put a row up or down and a few moves, if their loss is lower."""
        for j, by in itertools.product(np.flatnonzero(~self.problem.frozen), (1, -1)):
            W, H = state["W"].copy(), state["H"].copy()
            pattern, amounts = self._patterns(H)[j], W[:, j]
            pattern[...] = down(pattern, by, BACKGROUND * pattern.mean())
            amounts[...] = down(amounts, -by, 0.0)
            at, last = {"W": W, "H": H}, np.inf
            for left in reversed(range(MOVES)):
                at, found, kkt = self.move(at)
                if (last - found) * left < found - (1 - GAIN) * loss:
                    break  # moves help less and less: it would not get there
                last = found
            if found < (1 - GAIN) * loss:
                return at, found, kkt
        return None

    def move(self, at: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float, float]:
        """W, then H; return them, their loss, and the KKT residual of each before it moved."""
        W, H = at["W"].copy(), at["H"]
        units = self._units(W, H)
        negative, positive = self.slopes(W, H)
        residual = residual_of(W, negative, positive, units, self._per)
        self._move_W(W, H, negative, positive)
        S = shifted(W, self.width)
        stats = self._stats(S, H)
        residual |= self._of_H(H, stats, units)
        moved = H.copy()
        if self._squares:
            G = S.T @ S
            Sweep(SWEEPS).columns(moved, G, self._pull(stats, G, H), 0.0, np.inf, self.frozen)
        else:
            multiply(moved, stats.negative, stats.positive, 1.0, self.problem.unit)
            moved[self.frozen] = H[self.frozen]
        return {"W": W, "H": moved}, self.loss(W, moved), residual.relative

    def solve(self, H: np.ndarray, tol: float) -> np.ndarray:
        """The W ≥ 0 of least loss for given patterns, to ``tol``: a convex problem, over all rows at once.

        Where a pattern would begin that has no observed cell under it, W is 0.
        """
        if self.ceilings is None:
            return self._squares_solved(H, tol) if self._squares else self._multiplied(H, tol)
        W = self._filled_in(H, tol) if self._squares else self._multiplied(H, tol)
        return np.where(self.slopes(np.ones_like(W), H)[1] > 0, W, W.dtype.type(0))

    def _multiplied(self, H: np.ndarray, tol: float) -> np.ndarray:
        n, k = self.problem.source.shape[0], len(H) // self.width
        W = np.full((n, k), 1 / k, H.dtype)
        for _ in range(MAX_UPDATES):
            negative, positive = self.slopes(W, H)
            slope = np.abs(np.minimum(W * H.sum() / k, positive - negative))
            if slope.max() <= tol * negative.max(initial=0):
                break
            before = W.copy()
            multiply(W, negative, positive, 1.0, 1.0)
            if np.abs(W - before).max() <= STILL * W.max():
                break
        return (
            W if self.ceilings is None else np.where(positive > 0, W, 0)
        )  # nothing observed: nothing begins

    def _squares_solved(self, H: np.ndarray, tol: float) -> np.ndarray:
        from ..kernels.convolutive import overlaps, sweep

        W = np.zeros((self.problem.source.shape[0], len(H) // self.width), H.dtype)
        C, T = folded(self._products(H), self.width), overlaps(self._patterns(H))
        largest, sizes = float(C.max(initial=0)), _sizes(T)
        for _ in range(0, MAX_SWEEPS, CHECK):
            sweep(W, C, T, CHECK)
            if np.abs(np.minimum(W * sizes, -C)).max(initial=0) <= tol * largest:
                break
        return W

    def _filled_in(self, H: np.ndarray, tol: float) -> np.ndarray:
        """Where cells have weights: sweeps as in a fit, extrapolated (Nesterov), from rest again where that turns."""
        from ..kernels.convolutive import sweep

        V = W = np.zeros((self.problem.source.shape[0], len(H) // self.width), H.dtype)
        T, largest, t = self._overlaps(H), 0.0, 1.0
        sizes = _sizes(T)
        for _ in range(MAX_PASSES):
            negative, positive = self.slopes(V, H)
            C, before, ahead = negative - positive, W, V
            largest = largest or float(C.max(initial=0))
            if np.abs(np.minimum(V * sizes, -C)).max(initial=0) <= tol * largest:
                return V
            W = V.copy()
            sweep(W, C, T, CHECK)
            if np.vdot(ahead - W, W - before) > 0:
                V, t = W, 1.0
            else:
                t, last = (1 + np.sqrt(1 + 4 * t * t)) / 2, t
                V = np.maximum(W + H.dtype.type((last - 1) / t) * (W - before), 0)
        negative, positive = self.slopes(W, H)
        left = float(np.abs(np.minimum(W * sizes, positive - negative)).max(initial=0))
        if left > max(UNSETTLED, 100 * tol) * largest:
            warn_user(
                f"codes of ConvolutiveNMF were not found in {MAX_PASSES} passes: the residual is {left / largest:.1e} "
                "and their loss may be far above the least; weights of cells that differ less are sooner met",
                ConvergenceWarning,
            )
        return W

    def residual(self, W: np.ndarray, H: np.ndarray) -> float:
        """The KKT residual of W and H, which stand still; see `kkt`."""
        units = self._units(W, H)
        found = residual_of(W, *self.slopes(W, H), units, self._per)
        return (found | self._of_H(H, self._stats(shifted(W, self.width), H), units)).relative

    def loss(self, W: np.ndarray, H: np.ndarray) -> float:
        """Loss of X, in float64."""
        S, loss, source = shifted(W, self.width), self.problem.loss, self.problem.source
        work = self.pool.map(
            lambda cut: loss.value(source.block(*cut), S[cut[0] : cut[1]], H), source.bounds()
        )
        return float(sum(work))

    def slopes(self, W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∇_W⁻ and ∇_W⁺."""
        S, source = shifted(W, self.width), self.problem.source
        negative, positive = np.empty_like(S), np.empty_like(S)

        def work(cut: tuple[int, int]) -> None:
            rows = slice(*cut)
            negative[rows], positive[rows] = self.problem.loss.row_terms(source.block(*cut), S[rows], H)

        for _ in self.pool.map(work, source.bounds()):
            pass
        return folded(negative, self.width), folded(positive, self.width)

    # -----------------------------------------------------------------------------------------------------------

    @property
    def _squares(self) -> bool:
        return bool(self.problem.loss.beta == 2)

    @property
    def _per(self) -> float:
        return float(self.problem.unit**-self.problem.loss.beta)

    def _patterns(self, H: np.ndarray) -> np.ndarray:
        return H.reshape(-1, self.width, H.shape[1])

    def _units(self, W: np.ndarray, H: np.ndarray) -> np.ndarray:
        """By which W is multiplied so that its columns and the patterns have equal norms."""
        whole = H.reshape(W.shape[1], -1)
        return balance(column_squares(W), whole, self.problem.unit).astype(H.dtype)

    def _move_W(self, W: np.ndarray, H: np.ndarray, negative: np.ndarray, positive: np.ndarray) -> None:
        from ..kernels.convolutive import sweep

        if self._squares:
            sweep(W, negative - positive, self._overlaps(H), SWEEPS)
        else:
            multiply(W, negative, positive, 1.0, 1.0)

    def _overlaps(self, H: np.ndarray) -> np.ndarray:
        """What the rows of W share, with the weights that columns have at most."""
        from ..kernels.convolutive import overlaps

        return overlaps(self._patterns(H if self.ceilings is None else H * np.sqrt(self.ceilings)))

    def _pull(self, stats: Stats, G: np.ndarray, H: np.ndarray) -> np.ndarray:
        """Sᵀ X, where cells have weights with what they lack filled in; G is Sᵀ S."""
        if self.ceilings is None:
            return stats.negative
        c = np.where(self.ceilings > 0, self.ceilings, 1)
        return G @ H + (stats.negative - stats.positive) / c

    def _products(self, H: np.ndarray) -> np.ndarray:
        source = self.problem.source
        parts = self.pool.map(lambda cut: np.asarray(source.block(*cut).X @ H.T), source.bounds())
        return np.concatenate(list(parts))

    def _stats(self, S: np.ndarray, H: np.ndarray) -> Stats:
        source, total = self.problem.source, None
        for found in self.pool.map(
            lambda cut: self.problem.loss.stats(source.block(*cut), S[cut[0] : cut[1]], H), source.bounds()
        ):
            total = found if total is None else total + found
        assert total is not None
        return total

    def _of_H(self, H: np.ndarray, stats: Stats, units: np.ndarray) -> Residual:
        to_H, free = np.repeat(1 / (self.problem.unit * units), self.width)[:, None], ~self.frozen
        halves = stats.negative[free], stats.positive[free]
        return residual_of(H[free], *halves, to_H[free].astype(H.dtype), self._per)


def _sizes(T: np.ndarray) -> np.ndarray:
    """Squares of the patterns, from their `overlaps`."""
    return np.maximum(T[0, -1].diagonal(), np.finfo(T.dtype).tiny)


def _ceilings(source: Source) -> np.ndarray:
    """The largest weight of a cell in every column."""
    largest = np.zeros(source.shape[1], source.float_dtype)
    for block in source.blocks():
        if block.weights is None:
            found = np.ones_like(largest)
        elif block.is_sparse:
            found = np.zeros_like(largest)
            np.maximum.at(found, block.X.indices, block.weights)
        else:
            found = block.weights.max(axis=0)
        np.maximum(largest, found, out=largest)
    return largest
