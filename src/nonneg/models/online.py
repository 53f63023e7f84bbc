"""Fitting to a stream of batches: the statistics of the block loop, kept between calls.

For the Frobenius loss A = Σ ρ^age Wᵀ S W and B = Σ ρ^age Wᵀ S X (Mairal, Bach, Ponce and Sapiro 2010), then sweeps over
H; for the other losses the two halves of the multiplicative update, H ∘ ∇⁻ and ∇⁺, summed in the same way (Lefèvre,
Bach and Févotte 2011). ρ is the forgetting factor: 1 weighs all batches alike, below 1 old ones fade.

With cells of different weights A would be another matrix for every column. So from the first batch that has missing
cells or weights the Frobenius loss goes by the second way, too: at the H of that moment the halves are
∇⁻ = B and ∇⁺ = A H, exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.threads import Workers
from ..losses.beta import Stats
from ..solvers.gram import GramStats, gram_of, gram_stats
from ..solvers.problem import Problem

__all__ = ["in_units", "learn_batch", "statistics_of"]

SWEEPS = 8


def statistics_of(
    problem: Problem, W: Any, H: np.ndarray, stats: Stats, pool: Workers
) -> dict[str, np.ndarray]:
    """What a fit leaves for `learn_batch` to go on from, given the halves of ∇_H at (W, H)."""
    if problem.loss.beta == 2 and not problem.source.is_masked:
        return {"A": gram_of(problem.source, W, pool), "B": stats.negative}
    return _halves(problem, H, stats)


def _halves(problem: Problem, H: np.ndarray, stats: Stats) -> dict[str, np.ndarray]:
    return {"numerator": H ** (1 / problem.loss.exponent) * stats.negative, "denominator": stats.positive}


def in_units(past: dict[str, Any], power: int, loss: Any) -> dict[str, np.ndarray]:
    """The statistics of earlier batches in units in which X is multiplied by 2^power (``past["power"]``: theirs)."""
    degrees = {"A": 0, "B": 1, "numerator": 1 / loss.exponent + loss.beta - 1, "denominator": loss.beta - 1}
    shift = power - past["power"]
    found = {name: array for name, array in past.items() if name in degrees}
    if shift == 0:
        return found
    factors = {name: np.exp2(np.clip(shift * degrees[name], -1000, 1000)) for name in found}
    with np.errstate(over="ignore", under="ignore"):
        return {
            name: (array.astype(np.float64) * factors[name]).astype(array.dtype)
            for name, array in found.items()
        }


def learn_batch(
    problem: Problem,
    W: np.ndarray,
    H: np.ndarray,
    past: dict[str, np.ndarray],
    forgetting: float,
    pool: Workers,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return H after one more batch, and the statistics to pass to the next call.

    Parameters
    ----------
    problem : Problem
        Of the batch.
    W : ndarray of shape (n, k)
        Its rows, solved for H.
    H : ndarray of shape (k, m)
    past : dict
        What the last call returned, in the units of the problem (see `in_units`).
    forgetting : float
        ρ in (0, 1].
    """
    if "A" in past:
        if not problem.source.is_masked:
            return _least_squares(problem, W, H, past, forgetting, pool)
        past = {"numerator": H * past["B"], "denominator": past["A"] @ H}
    stats: Any = None
    for found in pool.map(
        lambda cut: problem.loss.stats(block := problem.source.block(*cut), W[block.rows], H),
        problem.source.bounds(),
    ):
        stats = found if stats is None else stats + found
    exponent = problem.loss.exponent
    new = _halves(problem, H, stats)
    new = {name: forgetting * past[name].astype(H.dtype) + new[name] for name in new}
    seen = new["denominator"] > 0
    moved = np.divide(new["numerator"], new["denominator"], out=H ** (1 / exponent), where=seen) ** exponent
    return np.where(problem.frozen[:, None], H, moved), new


def _least_squares(problem, W, H, past, forgetting, pool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    from ..kernels.hals import sweep_columns

    stats: Any = GramStats(forgetting * past["A"], forgetting * past["B"], np.zeros(len(H)))
    for found in pool.map(
        lambda cut: gram_stats(block := problem.source.block(*cut), W[block.rows]), problem.source.bounds()
    ):
        stats = stats + found
    A, B = (np.ascontiguousarray(part, dtype=H.dtype) for part in (stats.A, stats.B))
    H = H.copy()
    sweep_columns(H, A, B, 0.0, np.inf, SWEEPS, problem.frozen)
    return H, {"A": A, "B": B}
