"""X = W H exactly: `exact_nmf`."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, validate_params

from ..models.inputs import draw_seed
from ..models.units import taken_back
from .lowrank import of_rank_one, of_rank_two, relative_residual
from .matrix import matrix_of
from .search import search

__all__ = ["SEARCH", "ExactResult", "exact_nmf"]

#: What the parameters of a search may be, in scikit-learn's words.
SEARCH: dict[str, Any] = {
    "tol": [Interval(Real, 0, 1, closed="neither")],
    "n_starts": [Interval(Integral, 1, None, closed="left")],
    "max_time": [Interval(Real, 0, None, closed="left"), None],
    "random_state": ["random_state", np.random.Generator],
}


@dataclass(frozen=True, eq=False)
class ExactResult:
    """What `exact_nmf` found.

    Attributes
    ----------
    found : bool
        Whether ``residual`` is at most ``tol``. False says that none was found, not that there is none.
    W, H : ndarray of shapes (n, r) and (r, m)
        The best factors found, in the units of X.
    residual : float
        ‖X − W H‖ / ‖X‖.
    n_starts : int
        Starts made; 0 where the factors are known in closed form.
    """

    found: bool
    W: np.ndarray = field(repr=False)
    H: np.ndarray = field(repr=False)
    residual: float
    n_starts: int = 0


@validate_params(
    {"r": [Interval(Integral, 1, None, closed="left")]} | SEARCH, prefer_skip_nested_validation=True
)
def exact_nmf(
    X: Any,
    r: int,
    *,
    tol: float = 1e-8,
    n_starts: int = 256,
    max_time: float | None = None,
    random_state: Any = None,
) -> ExactResult:
    """Find W ≥ 0 (n, r) and H ≥ 0 (r, m) with X = W H, to the precision of float64.

    To decide whether there are such factors is NP-hard (Vavasis 2009). In closed form: r ≥ min(n, m), matrices of rank
    at most 2, and r = 1 (the leading singular pair, which is also the best approximation). Elsewhere a search from many
    starts, each by hierarchical alternating least squares and then by projected Levenberg-Marquardt steps, with
    disturbances of the best (after Vandaele, Gillis, Glineur and Tuyttens 2016).

    Parameters
    ----------
    X : array-like, sparse, DataFrame or path, (n, m)
        Made dense, in float64. Cells stored in float32 are exact to 1e-7 only: raise ``tol`` for them.
    r : int
        Number of components.
    tol : float, default=1e-8
        Largest residual ‖X − W H‖ / ‖X‖ that counts as equality.
    n_starts : int, default=256
        Most starts. A search ends at the first factors within ``tol``.
    max_time : float, optional
        Seconds after which no more starts are made; where it ends a search, results depend on the machine.
    random_state : int, RandomState, Generator or None
        The same seed gives the same factors.

    Returns
    -------
    ExactResult
        With ``found=False`` the factors are the best approximation of the search.

    Notes
    -----
    Made for matrices of up to some hundred rows and columns: a start costs ((n + m) r)³ operations a step while
    (n + m) r ≤ 1500; beyond that, alternating updates are alone and need ``tol`` of 1e-4 or so.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import exact_nmf
    >>> X = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]])
    >>> exact_nmf(X, 4).found, exact_nmf(X, 3, random_state=0).found
    (True, False)
    """
    cells, power = matrix_of(X, "exact_nmf")
    W, H, done = _factors(cells, int(r), tol, n_starts, max_time, random_state)
    residual = relative_residual(cells, W, H)
    return ExactResult(residual <= tol, *taken_back(W, H, power), residual, done)


def _factors(
    X: np.ndarray, r: int, tol: float, n_starts: int, max_time: float | None, random_state: Any
) -> tuple[np.ndarray, np.ndarray, int]:
    n, m = X.shape
    if r >= min(n, m):
        W, H = (np.eye(n), X) if n <= m else (X, np.eye(m))
        return *_padded(W, H, r), 0
    if r == 1:
        return *of_rank_one(X), 0
    W, H = of_rank_two(X)
    if relative_residual(X, W, H) <= tol:
        return *_padded(W, H, r), 0
    rng = np.random.default_rng(draw_seed(random_state))
    found = search(X, r, tol, n_starts, max_time, rng)
    return found.W, found.H, found.n_starts


def _padded(W: np.ndarray, H: np.ndarray, r: int) -> tuple[np.ndarray, np.ndarray]:
    """The same product with r components, the others zero."""
    more = r - W.shape[1]
    return np.pad(W, ((0, 0), (0, more))), np.pad(H, ((0, more), (0, 0)))
