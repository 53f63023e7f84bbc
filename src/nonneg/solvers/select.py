"""Which solver takes which problem, and what "auto" chooses."""

from __future__ import annotations

from typing import Any

from ..data import Source
from ..exceptions import IncompatibleError
from .hals import HALS
from .mu import MU
from .pull import Penalties
from .step import Solver

__all__ = ["SOLVERS", "choose"]

SOLVERS = ("hals", "scd", "mu", "anls", "als")
SPARSE_SWEEPS, DENSE_SWEEPS = 4, 8


def choose(name: str, loss: Any, source: Source, penalties: Penalties | None = None) -> Solver:
    """Return the solver for a problem.

    Raises
    ------
    ValueError
        For an unknown name.
    IncompatibleError
        For a solver that cannot take this loss or these data, with what can.
    """
    if name == "auto":
        name = "hals" if loss.beta == 2 and not source.is_masked else "mu"
    if name == "mu":
        return MU()
    if name == "hals":
        if loss.beta != 2:
            raise IncompatibleError(
                f"solver='hals' minimises the Frobenius loss, not {loss.name}; take solver='auto' or 'mu'"
            )
        if source.is_masked:
            raise IncompatibleError(
                "solver='hals' does not take missing cells or weights; take solver='auto' or 'mu'"
            )
        return HALS(SPARSE_SWEEPS if source.is_sparse else DENSE_SWEEPS)
    raise ValueError(f"solver={name!r} is unknown; choose 'auto' or one of {', '.join(map(repr, SOLVERS))}")
