"""What a solver is: how W and H move in one outer iteration.

Two shapes. With ``h_update = "stats"`` the new H is a function of sums over row blocks (a Gram matrix, the halves
of a gradient): one pass, any source. With ``h_update = "columns"`` H moves like W does, on Xᵀ, which only data in
memory offer. A solver gets a `Problem` and a `State`, changes the state, and returns a `Record` of a point (W, H)
that it accepted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.threads import Workers
from .problem import Problem

__all__ = ["Record", "Solver", "State", "relative_change"]

SCRATCH = ("spare",)  # buffers of ``State.extra`` that are written before they are read, each like W


@dataclass
class Record:
    """What an iteration found: the loss, the KKT residual and the relative change of the factors at one point."""

    loss: float
    kkt: float
    change: float


@dataclass
class State:
    """The factors, and what else a solver carries from one iteration to the next (``extra``: arrays)."""

    W: Any  # a row array
    H: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def snapshot(self) -> State:
        """The state by reference, its scalars by value: solvers replace factors, and write into scalars and buffers."""
        extra = {name: array.copy() if name == "scalars" else array for name, array in self.extra.items()}
        return State(self.W, self.H, extra)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays under names of their own, buffers by their name alone."""
        extra = {f"extra.{name}": array for name, array in self.extra.items() if name not in SCRATCH}
        empty = {f"extra.{name}": np.empty(0) for name in SCRATCH if name in self.extra}
        return {"W": np.asarray(self.W), "H": self.H, **extra, **empty}

    def placed(self, problem: Problem, pool: Workers) -> State:
        """The state of a checkpoint with its rows where the pool has them."""
        W = pool.given(problem.source, self.W)
        scratch = {
            name: pool.given(problem.source, self.extra[name]) for name in SCRATCH if name in self.extra
        }
        return State(W, self.H, self.extra | scratch)

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> State:
        """Return the state that gave these `arrays`."""
        W = arrays["W"]
        extra = {
            name.removeprefix("extra."): array for name, array in arrays.items() if name.startswith("extra.")
        }
        extra |= {name: np.zeros_like(W) for name in SCRATCH if name in extra}
        return cls(W, arrays["H"], extra)


def relative_change(moved: float, size: float) -> float:
    """``moved / size``, finite; 1 where everything that was there has become zero."""
    if size > 0:
        return min(float(moved) / float(size), 1e300)
    return float(moved > 0)


class Solver(ABC):
    """Base of the solvers; `nonneg.solvers.select` says which data, losses and penalties each takes."""

    name: str
    h_update: str = "stats"
    from_zero = False  # a pass moves W well from 0: without penalties a start needs no W

    def start(self, problem: Problem, state: State, pool: Workers) -> None:  # noqa: B027 - most need nothing
        """Prepare ``state.extra``; nothing by default."""

    @abstractmethod
    def iterate(self, problem: Problem, state: State, pool: Workers) -> Record:
        """Move W, then H; in place where that is possible."""

    def settle(self, problem: Problem, state: State, pool: Workers, until: float, passes: int) -> None:
        """Iterate until a pass lowers the loss by less than ``until`` of it, at most ``passes`` times: for a start."""
        loss = np.inf
        for _ in range(passes):
            record = self.iterate(problem, state, pool)
            if loss - record.loss < until * record.loss:
                break
            loss = record.loss

    def advance(self, problem: Problem, state: State, pool: Workers, most: int, tol: float) -> list[Record]:
        """Make between 1 and ``most`` iterations and stop at ``tol``: one, unless a solver can do several at once."""
        return [self.iterate(problem, state, pool)]
