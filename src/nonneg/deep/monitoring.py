"""Charts of a process: what is known of rows, and limits that normal rows exceed at a stated rate.

Arrays in, numbers out: knows neither networks nor models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

__all__ = [
    "LimitKind",
    "Monitoring",
    "control_limits",
    "inverse_covariance",
    "least_rows",
    "weighted_quantiles",
]

LimitKind = Literal["auto", "quantile", "kde"]


@dataclass(frozen=True, eq=False)
class Monitoring:
    """What `NonnegativeAutoencoder.monitor` finds of n rows with m features.

    Parameters
    ----------
    t2 : ndarray of shape (n,)
        Distance of a row's code from the codes of normal rows.
    spe : ndarray of shape (n,)
        Squared distance of a row from its reconstruction, on the scale of the network.
    t2_limit, spe_limit : float
        Their limits.
    alarms : ndarray of bool of shape (n,)
        Whether a row exceeds one of them (or both).
    contributions : ndarray of shape (n, m)
        The terms of ``spe``, feature by feature: each row sums to its ``spe``.
    false_alarm_rate : float
        The rate at which normal rows are expected to give an alarm.
    limit : {"quantile", "kde"}
        How the limits were found.
    """

    t2: np.ndarray
    spe: np.ndarray
    t2_limit: float
    spe_limit: float
    alarms: np.ndarray
    contributions: np.ndarray
    false_alarm_rate: float
    limit: str


def least_rows(rate: float) -> int:
    """Return how many normal rows a limit by order statistics needs: the least n with (n + 1) · rate ≥ 1."""
    return math.ceil(1 / rate - 1e-9) - 1


def control_limits(
    values: np.ndarray, sizes: np.ndarray, rate: float, kind: LimitKind = "auto"
) -> tuple[np.ndarray, str]:
    """Return one limit for each statistic, such that a new normal row exceeds any of them at ``rate``.

    The limits are c · sizes, and c is a limit of the one number u_i = max_s v_is / size_s.

    Parameters
    ----------
    values : ndarray of shape (n, n_statistics), not negative
        Of normal rows that neither the model nor ``sizes`` know.
    sizes : ndarray of shape (n_statistics,)
        What is large for each statistic: its .99 quantile among the rows trained on, say. They share the alarms out
        between the statistics.
    rate : float
        In (0, 1).
    kind : {"auto", "quantile", "kde"}, default="auto"
        "quantile": c is the ⌈(n + 1)(1 − rate)⌉-th smallest u. A new row like the n others exceeds it with probability
        at most ``rate``, whatever the distribution (and at least rate − 1/(n + 1) without ties).
        "kde": c is the quantile of a Gaussian kernel density estimate of log u (Silverman's width): finite for any n,
        but smoothing moves it outwards. "auto": "quantile" where n suffices, else "kde".

    Raises
    ------
    ValueError
        Too few rows for "quantile".

    Notes
    -----
    Source: Vovk, Gammerman, Shafer (2005), Algorithmic Learning in a Random World, section 2.2 (order statistics of
    exchangeable rows); Silverman (1986), eq. 3.31 (the width).
    """
    n = len(values)
    enough = n >= least_rows(rate)
    if kind == "quantile" and not enough:
        raise ValueError(
            f"false_alarm_rate={rate:g} with limit='quantile' needs {least_rows(rate)} normal rows outside training, "
            f"there are {n}; give more to calibrate, raise the rate, or take limit='kde'"
        )
    tiny = np.finfo(np.float64).tiny
    sizes = np.maximum(sizes, tiny)
    u = np.max(values / sizes, axis=1)
    chosen = kind if kind != "auto" else "quantile" if enough else "kde"
    if chosen == "quantile":
        c = float(np.sort(u)[math.ceil((n + 1) * (1 - rate) - 1e-9) - 1])
    else:
        c = math.exp(_kernel_quantile(np.log(np.maximum(u, tiny)), rate))
    return c * sizes, chosen


def _kernel_quantile(values: np.ndarray, rate: float) -> float:
    """The (1 − rate)-quantile of a Gaussian kernel density estimate, by bisection."""
    quarter, three = np.quantile(values, [0.25, 0.75])
    spread = min(float(values.std()), float(three - quarter) / 1.34) or float(values.std())
    width = max(0.9 * spread * len(values) ** -0.2, 1e-9)
    low, high = float(values.min()) - 10 * width, float(values.max()) + 10 * width
    for _ in range(60):
        middle = 0.5 * (low + high)
        if ndtr((values - middle) / width).mean() > rate:
            low = middle
        else:
            high = middle
    return high


def weighted_quantiles(values: np.ndarray, share: float, weights: np.ndarray | None) -> np.ndarray:
    """Return for every column of (n, c) its smallest value that, with those below it, has this share of the weight.

    A row of weight 2 counts as two rows, one of weight 0 as none.
    """
    counted = np.ones(len(values)) if weights is None else weights
    order = np.argsort(values, axis=0, kind="stable")
    below = np.cumsum(counted[order], axis=0)
    reached = below >= share * below[-1] * (1 - 1e-12)
    places = order[reached.argmax(axis=0), np.arange(values.shape[1])]
    return values[places, np.arange(values.shape[1])]


def inverse_covariance(gap: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Return the inverse covariance of centred rows; no variance counts as less than 1e-9 of the largest."""
    counted = np.ones(len(gap)) if weights is None else weights
    covariance = (gap * counted[:, None]).T @ gap / counted.sum()
    variances, directions = np.linalg.eigh(covariance)
    least = max(1e-9 * float(variances[-1]), np.finfo(np.float64).tiny)
    return (directions / np.maximum(variances, least)) @ directions.T
