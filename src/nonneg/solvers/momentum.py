"""Extrapolation with restart, for any block descent on named factors.

From the accepted factors V and those before, the next pass starts at max(0, V + μ (V − V_before)). μ grows while the
loss falls; a pass that raises it is thrown away and repeated from V itself, with a smaller μ (Ang and Gillis 2019). So
accepted losses never rise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .hals import CEILING_GROWTH, DECAY, GROWTH
from .iterate import Arrays
from .step import Record, relative_change

__all__ = ["accelerated", "at_rest", "checked"]

MOMENTUM = 0.7
Factors = dict[str, np.ndarray]


def at_rest(factors: Factors) -> Factors:
    """The state of `accelerated` for factors from which nothing has moved yet.

    Its ``scalars`` are momentum, its ceiling, the loss, and one more that is the model's own.
    """
    return {**factors, "scalars": np.array([MOMENTUM, 1.0, np.inf, 0.0])}


def accelerated(
    state: Arrays,
    move: Callable[[Factors], tuple[Factors, float, float]],
    pushed: Sequence[str],
    low: float = 0.0,
) -> Record:
    """One pass from the extrapolated factors; where that raises the loss, one from the accepted ones.

    Parameters
    ----------
    state : Arrays
        Of `at_rest`, or as the last call left it.
    move : callable
        From factors to moved ones (new arrays, also scaled otherwise), their loss and their KKT residual.
    pushed : sequence of str
        Names of the factors that are extrapolated; the others start from the accepted ones.
    low : float
        Bound of extrapolated factors; −inf for those of any sign.
    """
    momentum, ceiling, best, own = state["scalars"]
    here = {name: V for name, V in state.items() if name != "scalars" and not name.startswith("push.")}
    ahead = {name: state.get(f"push.{name}", V) for name, V in here.items()}
    found, loss, kkt = move(ahead)
    if loss > best:
        momentum, ceiling = momentum / DECAY, momentum
        found, loss, kkt = move(here)
    if loss > best:  # a plain pass rises by rounding alone: the last accepted point stands
        found, loss = here, best
    moved = sum(float(np.linalg.norm(V - here[name])) ** 2 for name, V in found.items())
    size = sum(float(np.linalg.norm(V)) ** 2 for V in found.values())
    for name in pushed:
        step = found[name].dtype.type(momentum if np.isfinite(best) else 0.0)
        state[f"push.{name}"] = np.maximum(found[name] + step * (found[name] - here[name]), low)
    ceiling = min(1.0, CEILING_GROWTH * ceiling)
    state["scalars"] = np.array([min(ceiling, GROWTH * momentum), ceiling, loss, own])
    state.update(found)
    return Record(float(loss), float(kkt), relative_change(np.sqrt(moved), np.sqrt(size)))


def checked(
    state: Arrays,
    system: Any,
    move: Callable[[Factors], tuple[Factors, float, float]],
    pushed: Sequence[str],
    factors_of: Callable[[Arrays], tuple[Any, ...]],
    tol: float,
) -> Record:
    """A pass of `accelerated` whose loss and residual can be relied on.

    From the pass on in which the Gram form of the loss cancels it is summed from the residual itself (the last of the
    ``scalars`` says so), and a residual that seems to be at ``tol`` is found anew, at the accepted factors.

    Parameters
    ----------
    state, move, pushed
        As for `accelerated`.
    system : object
        With ``exact``, ``cancels(loss, fall)``, ``exact_loss(*factors)`` and ``residual(*factors)``.
    factors_of : callable
        From the state to what these two take.
    """
    system.exact, before = bool(state["scalars"][3]), state["scalars"][2]
    record = accelerated(state, move, pushed)
    factors = factors_of(state)
    if system.cancels(record.loss, before - record.loss):
        record.loss = system.exact_loss(*factors)
        state["scalars"] = np.array([*state["scalars"][:2], record.loss, 1.0])
    if record.kkt <= tol:
        record.kkt = system.residual(*factors).relative
    return record
