"""The problems that the tests of solvers and models run over.

`COMBINATIONS` holds every loss, kind of data and solver that `nonneg.solvers.select` lets together, so a new solver
is tested by being registered there.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

import reference as ref
from nonneg import NMF
from nonneg.data import as_source
from nonneg.exceptions import ConvergenceWarning
from nonneg.losses import as_loss
from nonneg.solvers.select import SOLVERS, choose

LOSSES = ["frobenius", "kl", "itakura-saito", -1, 0.5, 1.5, 3]
N, M, K = 70, 9, 3


@dataclass
class Case:
    """Data, how to say what is missing, and the same in dense float64 for the oracle."""

    X: Any
    exact: np.ndarray
    weights: np.ndarray  # of the cells, those of the rows left out
    rows: np.ndarray
    init: dict = field(default_factory=dict)
    fit: dict = field(default_factory=dict)

    @property
    def given(self) -> dict:
        """What `transform` and `score` take."""
        return {name: value for name, value in self.fit.items() if name == "weights"}


def residual_of(problem: Case, W: np.ndarray, H: np.ndarray, beta: float) -> float:
    """`reference.kkt_residual` for weights of rows: they weigh the gradient of H and the mean, not a row's own W."""
    X, weights = ref.observed(problem.exact, problem.weights)
    rows, seen = problem.rows[:, None], problem.rows > 0
    unit = (rows * weights * X).sum() / (rows * weights).sum()
    W, H = np.array(W, float), np.array(H, float) / unit
    sizes_W, sizes_H = np.sqrt((rows * W**2).sum(axis=0)), np.linalg.norm(H, axis=1)
    usable = (sizes_W > 0) & (sizes_H > 0)
    d = np.where(usable, np.sqrt(np.where(usable, sizes_H, 1) / np.where(usable, sizes_W, 1)), 1.0)
    W, H = W * d, H / d[:, None]
    (up_W, down_W), _ = ref.gradient_halves(X / unit, W, H, beta, weights)
    _, (up_H, down_H) = ref.gradient_halves(X / unit, W, H, beta, rows * weights)
    worst = max(np.abs(np.minimum(W, up_W - down_W))[seen].max(), np.abs(np.minimum(H, up_H - down_H)).max())
    return float(worst / max(down_W[seen].max(), down_H.max()))


def planted(seed: int = 0, n: int = N, m: int = M, k: int = K, noise: float = 0.1) -> np.ndarray:
    """Sums of sparse parts with positive noise."""
    rng = np.random.default_rng(seed)
    W = rng.gamma(1.0, 1.0, (n, k))
    H = rng.gamma(0.5, 1.0, (k, m))
    return W @ H + noise * rng.gamma(1.0, 1.0, (n, m))


def case(kind: str, loss: Any = "frobenius", seed: int = 0, **size: Any) -> Case:
    """The problem of a kind; X has zeros for β ≥ 1 (below, the slope at a prediction of 0 is infinite).

    ``size`` is what `planted` takes.
    """
    rng = np.random.default_rng(seed + 100)
    X = planted(seed, **size)
    if as_loss(loss).beta >= 1:
        X = X * (rng.random(X.shape) < (0.4 if "CSR" in kind or kind == "unstored" else 0.8))
        X[3], X[:, 4] = 0, 0
        X[3, 0] = X[5, 4] = 1.0  # every row and column keeps a cell
    mask = (rng.random(X.shape) < 0.8).astype(float)
    mask[0], mask[:, 0] = 1, 1
    ones, all_rows = np.ones_like(X), np.ones(len(X))
    rows = rng.integers(0, 3, len(X)).astype(float)
    if kind == "dense":
        return Case(X, X, ones, all_rows)
    if kind == "CSR":
        return Case(sp.csr_array(X), X, ones, all_rows)
    if kind == "NaN":
        return Case(np.where(mask > 0, X, np.nan), X, mask, all_rows, {"missing": "ignore"})
    if kind == "CSR, NaN":
        holes = sp.csr_array(np.where(mask > 0, X, np.nan))
        return Case(holes, X, mask, all_rows, {"missing": "ignore"})
    if kind == "weights":
        weights = mask * rng.random(X.shape)
        return Case(X, X, weights, all_rows, {}, {"weights": weights})
    if kind == "unstored":
        stored = sp.csr_array(X)
        return Case(stored, X, (stored.toarray() > 0).astype(float), all_rows, {"missing": "unstored"})
    if kind == "rows":
        return Case(X, X, ones, rows, {}, {"sample_weight": rows})
    raise ValueError(kind)


KINDS = ["dense", "CSR", "NaN", "CSR, NaN", "weights", "unstored", "rows"]
# every β but 1 and 2 takes the same path through the code: each kind of data is met by one of them
FEW_KINDS = {
    "itakura-saito": ["dense", "NaN", "unstored"],
    -1: ["dense", "weights"],
    0.5: ["dense", "CSR"],
    1.5: ["dense", "NaN", "rows"],
    3: ["dense", "CSR, NaN"],
}


def _allowed(kind: str, loss: Any, solver: str) -> bool:
    problem = case(kind, loss)
    source = as_source(
        problem.X, missing=problem.init.get("missing", "error"), weights=problem.fit.get("weights")
    )
    try:
        choose(solver, as_loss(loss), source, None)
    except ValueError:
        return False
    return True


COMBINATIONS = [
    (kind, loss, solver)
    for loss in LOSSES
    for kind in FEW_KINDS.get(loss, KINDS)
    for solver in SOLVERS
    if _allowed(kind, loss, solver)
]
MONOTONE = [combination for combination in COMBINATIONS if combination[2] != "als"]


@contextmanager
def quietly():
    """Without the warnings that are about the data of a test, not about the library."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", ".*a smaller n_components would do", UserWarning)
        warnings.filterwarnings("ignore", ".*nothing is left of W @ components_", UserWarning)
        warnings.filterwarnings("ignore", "X has no observed cell", UserWarning)
        yield


def fitted(X: Any, n_components: int = K, *, fit: dict | None = None, **parameters: Any) -> NMF:
    """An NMF fitted to X, with a seed; warnings of convergence are not this helper's business."""
    parameters = {"random_state": 0, **parameters}
    with quietly():
        return NMF(n_components, **parameters).fit(X, **(fit or {}))


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference, relative to the largest entry."""
    size = float(np.abs(wanted).max(initial=0.0))
    return float(np.abs(np.asarray(found, float) - wanted).max(initial=0.0)) / (size or 1.0)
