"""What a solver found, and how it got there."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..exceptions import ConvergenceWarning, warn_user
from ..losses.beta import Stats
from .pull import Pull

__all__ = ["History", "Outcome", "Solution"]

_ADVICE = {
    "max_iter": "stopped after max_iter={n} iterations with KKT residual {kkt:.2e} > tol={tol:.0e}; "
    "raise max_iter, or tol if this accuracy is enough",
    "max_time": "stopped after max_time with KKT residual {kkt:.2e} > tol={tol:.0e}; raise max_time or tol",
    "stalled": "stopped after {n} iterations with KKT residual {kkt:.2e} > tol={tol:.0e}, because the loss no longer "
    "changes in {dtype}; raise tol{wider}",
}


class History:
    """One record an iteration: ``iteration, loss, kkt, change, seconds``."""

    names = ("iteration", "loss", "kkt", "change", "seconds")

    def __init__(self) -> None:
        self.records: list[tuple[float, ...]] = []

    def add(self, iteration: int, loss: float, kkt: float, change: float, seconds: float) -> None:
        """Append a record."""
        self.records.append((iteration, loss, kkt, change, seconds))

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Return a dict of 1-D arrays of equal length."""
        table = np.array(self.records, dtype=np.float64).reshape(-1, len(self.names))
        found = {name: table[:, i].copy() for i, name in enumerate(self.names)}
        found["iteration"] = found["iteration"].astype(np.int64)
        return found


@dataclass
class Outcome:
    """Where a search ended.

    ``status`` is "converged" (KKT residual ≤ tol), "stalled" (the loss no longer changes in this precision),
    "max_iter", "max_time" or "stopped" (a callback said so).
    """

    loss: float
    kkt: float
    status: str
    n_iter: int
    history: History = field(default_factory=History)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def converged(self) -> bool:
        """Whether the KKT residual is at most ``tol``."""
        return self.status == "converged"

    def time_left(self, before: float | None) -> float | None:
        """What is left of a time limit after this search; None where there was none."""
        if before is None or not self.history.records:
            return before
        return before - self.history.records[-1][-1]

    def warn(self, name: str, tol: float, dtype: np.dtype, remedy: str = "") -> None:
        """Say in one `ConvergenceWarning` why the search ended early, if it did, and what a model's own remedy is."""
        if self.status not in _ADVICE or (self.status == "stalled" and tol == 0):
            return  # with tol = 0 a fit that runs until its loss stops is what was asked for
        wider = ", or pass X as float64" if dtype == np.float32 else ""
        advice = _ADVICE[self.status].format(n=self.n_iter, kkt=self.kkt, tol=tol, dtype=dtype, wider=wider)
        warn_user(f"{name} {advice}{remedy}", ConvergenceWarning)


@dataclass
class Solution(Outcome):
    """Where a search for X ≈ W H ended: the factors in the units of the data, and what a fit keeps beside them."""

    row_pull: Pull | None = None
    stats: Stats | None = None

    @property
    def W(self) -> np.ndarray:
        """(n, k)."""
        return self.arrays["W"]

    @property
    def H(self) -> np.ndarray:
        """(k, m)."""
        return self.arrays["H"]
