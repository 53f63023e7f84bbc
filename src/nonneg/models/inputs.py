"""What `NMF` does with its arguments before and after a solver sees them: checks, units, start values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ..data import Source, Summary
from ..exceptions import warn_user
from ..penalties import combine
from ..solvers.problem import Problem
from ..solvers.pull import Pull
from .remembered import arrays_of, checkpoint_of, plain
from .units import exponent_of, times

__all__ = [
    "arrays_of",
    "check_count",
    "check_positive",
    "checkpoint_of",
    "draw_seed",
    "fitted_so_far",
    "frozen_mask",
    "plain",
    "pull_on_rows",
    "pull_state",
    "rows_weight",
    "shares",
    "start_value",
    "warn_of_one_start",
]


SPARE_BITS = 8  # start values stay below 2^-8 of the root of the largest float: sums of squares are floats


def check_count(name: str, value: Any) -> int:
    """Return a positive number of things as an int, or raise naming it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}={value!r} must be an integer, at least 1")
    if value < 1:
        raise ValueError(f"{name}={value!r} must be at least 1")
    return int(value)


def draw_seed(random_state: Any) -> int:
    """Return an integer seed of 31 bits for a `random_state`: int, RandomState, Generator or None."""
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))


def warn_of_one_start(n_init: int) -> None:
    """Say that start values leave nothing to be repeated."""
    warn_user(
        f"n_init={n_init} with start values: one start is made, from these; set n_init=1, or leave them out to compare "
        "starts"
    )


def shares(W: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Share of each component in each row: W_ik Σ_j |H_kj|, rows normalised to 1 (1/k for a zero row)."""
    # relative to the largest, so that extreme units cannot overflow
    H = np.abs(H)
    sizes = times(H, -exponent_of(H), np.float64).sum(axis=1)
    W = times(W, -exponent_of(W), np.float64)
    shares = W * (sizes / (sizes.max(initial=0) or 1.0))
    total = shares.sum(axis=1, keepdims=True)
    flat = np.full_like(shares, 1 / W.shape[1])
    return np.divide(shares, total, out=flat, where=total > 0)


def fitted_so_far(power: int) -> Any:
    """From the solver's state to what `transform` needs, computed only when somebody asks."""

    def attributes(state: Any) -> dict[str, Any]:
        H = state.H
        return {
            "components_": times(H, power),
            "n_components_": len(H),
            "n_features_in_": H.shape[1],
            "_row_pull": None,
        }

    return attributes


def pull_state(pull: Pull | None, problem: Problem) -> dict[str, Any] | None:
    """What a fit's penalties ask of new rows, without units, as numbers and arrays; None where they ask nothing."""
    penalties = problem.penalties
    if pull is None or not penalties:
        return None
    plain = replace(pull, step=None).rescaled(1 / penalties.unit_W, problem.unit**-problem.loss.beta)
    return {
        "linear": plain.linear.astype(np.float64),
        "Q": plain.Q.astype(np.float64),
        "low": plain.low,
        "high": plain.high,
        "stepped": pull.step is not None,
        "unit": problem.unit / problem.source.scale,
        "weight": problem.total_weight,
        "weight_power": problem.source.weight_power,
        "W_carries": "data"
        if penalties.pinned_unit is not None
        else "unit"
        if penalties.pins_H
        else "nothing",
    }


def pull_on_rows(state: dict[str, Any], penalty_W: Any, source: Source, beta: float) -> Pull:
    """The pull on the rows of a source, from `pull_state` and the user's penalty on W."""
    kept = combine(penalty_W, "W", "penalty_W")
    rows = [penalty for penalty in kept.penalties if penalty.separable("W") == "rows"]
    if len(rows) < len(kept.penalties):
        dropped = ", ".join(repr(p) for p in kept.penalties if p.separable("W") != "rows")
        warn_user(f"transform leaves out what couples rows of W: {dropped}")
    unit = state["unit"] * source.scale
    unit_W = {"data": source.scale, "unit": unit, "nothing": 1.0}[state["W_carries"]]
    step = kept.keep(rows).rescaled(1.0, state["weight"]) if state["stepped"] else None
    beside = np.ldexp(unit**beta, state.get("weight_power", 0) - source.weight_power)  # weights of the fit
    pull = Pull(state["linear"], state["Q"], state["low"], state["high"], step).rescaled(
        unit_W, float(beside)
    )
    dtype = source.float_dtype
    return replace(pull, linear=pull.linear.astype(dtype), Q=pull.Q.astype(dtype))


def rows_weight(source: Source) -> float:
    """Total weight of the rows."""
    weights = source.row_weights
    return float(source.shape[0] if weights is None else weights.sum(dtype=np.float64))


def check_positive(loss: Any, summary: Summary, source: Source) -> None:
    """Refuse zeros where the loss would be infinite."""
    if getattr(loss, "needs_positive", False) and summary.minimum <= 0:
        raise ValueError(
            f"loss={loss.name!r} needs X > 0 everywhere: X contains zeros; add a small constant, give these cells "
            "weight 0, or take loss='kl'"
        )


def frozen_mask(frozen: Any, k: int, H_init: Any) -> np.ndarray:
    """Turn the indices of frozen components into a mask of shape (k,)."""
    mask = np.zeros(k, bool)
    if frozen is None:
        return mask
    indices = np.atleast_1d(np.asarray(frozen))
    if indices.size == 0:
        return mask
    if indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= k:
        raise ValueError(
            f"frozen={frozen!r} must hold component indices between 0 and n_components - 1 = {k - 1}"
        )
    if H_init is None:
        raise ValueError("frozen= needs H_init in fit: its rows are what is frozen")
    mask[indices] = True
    return mask


def start_value(
    name: str,
    value: Any,
    shape: tuple[int, ...],
    source: Source,
    *,
    power: int | None = 0,
    any_sign: bool = False,
) -> np.ndarray | None:
    """A start value of the user, times 2^power, as floats of the fit; None where there is none.

    ``power=None``: X is not brought near 1 before the fit, and the start value need not be near it either.

    Raises
    ------
    ValueError
        Naming it, for another shape, for cells that are no numbers and, unless ``any_sign``, for negative ones; also
        for cells so far above X that sums of their squares are no floats.
    """
    if value is None:
        return None
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    number = array.dtype.kind in "fiub" and bool(np.isfinite(array).all())
    if not number or (not any_sign and bool((array < 0).any())):
        raise ValueError(f"{name} must be finite{'' if any_sign else ' and non-negative'}")
    largest = 0.0 if power is None else float(np.abs(array).max(initial=0))
    power = power or 0
    if largest > 0 and np.frexp(largest)[1] + power > np.finfo(source.float_dtype).maxexp // 2 - SPARE_BITS:
        raise ValueError(
            f"{name} reaches {largest:.3g}, too far above X for a fit in {source.float_dtype}, which holds sums of "
            "its squares in units of X; give start values whose product is about as large as X"
        )
    return np.ascontiguousarray(times(array.astype(np.float64), power, source.float_dtype))
