"""What each parameter of a matrix model may be, in scikit-learn's own words: its checks and its messages."""

from __future__ import annotations

import os
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from ..init import INITS
from ..losses.beta import LOSS_NAMES
from ..solvers.select import SOLVERS

__all__ = ["ITERATION_PARAMETERS", "LOSS", "MATRIX_PARAMETERS"]

#: Of every model that is fitted by iterating.
ITERATION_PARAMETERS: dict[str, Any] = {
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "n_init": [Interval(Integral, 1, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "max_time": [Interval(Real, 0, None, closed="left"), None],
    "checkpoint": [str, os.PathLike, None],
    "random_state": ["random_state", np.random.Generator],
    "verbose": ["verbose", callable],
}

LOSS = [
    StrOptions(set(LOSS_NAMES)),
    Interval(Real, None, None, closed="neither"),
    HasMethods(["row_terms", "stats", "value"]),
]

MATRIX_PARAMETERS: dict[str, Any] = {
    **ITERATION_PARAMETERS,
    "loss": LOSS,
    "solver": [StrOptions({"auto", *SOLVERS})],
    "init": [StrOptions({"auto", *INITS})],
    "penalty_W": "no_validation",  # `nonneg.penalties.combine` knows more about them
    "penalty_H": "no_validation",
    "missing": [StrOptions({"error", "ignore", "unstored"})],
    "frozen": ["array-like", None],
}
