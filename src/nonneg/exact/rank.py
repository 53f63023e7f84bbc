"""The non-negative rank, as an interval with its proofs, and factors with as many components as the rank."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.utils._param_validation import validate_params

from ..exceptions import NoRankFactorization
from ..models.inputs import draw_seed
from ..models.units import taken_back
from .certificates import (
    Antichain,
    Certificate,
    FoolingSet,
    NestedPolygons,
    Rank,
    RectangleCover,
    RectangleWeights,
)
from .factors import SEARCH
from .lowrank import from_corners, of_rank_one, of_rank_two, relative_residual
from .matrix import matrix_of
from .search import polished, search

__all__ = ["RankInterval", "nonnegative_rank", "nonnegative_rank_factorization"]


@dataclass(frozen=True, eq=False)
class RankInterval:
    """lower ≤ rank₊(X) ≤ upper, with what proves either side.

    Attributes
    ----------
    lower, upper : int
    certificates : list of Certificate
        Lower bounds, the best first; ``certificate.check(X)`` repeats the proof.
    W, H : ndarray of shapes (n, upper) and (upper, m)
        Non-negative, X = W H up to ``tol``: the proof of the upper bound.
    n_starts : int
        Starts of the searches made for fewer components.
    """

    lower: int
    upper: int
    certificates: list[Certificate] = field(repr=False)
    W: np.ndarray = field(repr=False)
    H: np.ndarray = field(repr=False)
    n_starts: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether the two bounds meet."""
        return self.lower == self.upper


@validate_params(SEARCH, prefer_skip_nested_validation=True)
def nonnegative_rank(
    X: Any,
    *,
    tol: float = 1e-8,
    n_starts: int = 256,
    max_time: float | None = None,
    random_state: Any = None,
) -> RankInterval:
    """rank₊(X), the smallest r for which X = W H with W ≥ 0 (n, r) and H ≥ 0 (r, m), as an interval.

    Lower bounds: the rank; fooling sets; antichains of supports; fractional and integer covers by rectangles of
    positive cells; at rank 3 nested polygons, for the columns and for the rows (Gillis and Glineur 2012). Upper bounds:
    the distinct rows or columns; at rank 3 the corners of a smallest nested polygon; what `exact_nmf` finds between
    the bounds. At rank 0, 1 and 2 the non-negative rank is the rank, with factors in closed form.

    Parameters
    ----------
    X : array-like, sparse, DataFrame or path, (n, m)
    tol : float, default=1e-8
        Cells and singular values of at most ``tol`` times the largest count as 0 (a cell in units in which rows and
        columns have one size); factors with a relative residual of at most ``tol`` count as factors.
    n_starts : int, default=256
        Most starts of the search for each number of components.
    max_time : float, optional
        Seconds of the search for each number of components.
    random_state : int, RandomState, Generator or None

    Returns
    -------
    RankInterval

    Examples
    --------
    >>> from nonneg import nonnegative_rank
    >>> nonnegative_rank([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]])
    RankInterval(lower=4, upper=4, n_starts=0)
    """
    cells, power = matrix_of(X, "nonnegative_rank")
    found = _narrowed(_bounded(cells, tol), cells, tol, n_starts, max_time, random_state, cells.size)
    return _in_units(found, power)


@validate_params(SEARCH, prefer_skip_nested_validation=True)
def nonnegative_rank_factorization(
    X: Any,
    *,
    tol: float = 1e-8,
    n_starts: int = 256,
    max_time: float | None = None,
    random_state: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """W ≥ 0 (n, r) and H ≥ 0 (r, m) with X = W H, where r is the rank of X.

    Parameters
    ----------
    X, tol, n_starts, max_time, random_state
        As for `nonnegative_rank`.

    Returns
    -------
    W, H : ndarray

    Raises
    ------
    NoRankFactorization
        Where a lower bound excludes such factors (``error.proven``, and ``error.interval.certificates``), which at
        rank 3 is always decided; and where none were found although no bound excludes them.

    Examples
    --------
    >>> from nonneg import nonnegative_rank_factorization
    >>> W, H = nonnegative_rank_factorization([[1, 2], [2, 4], [0, 1]])
    >>> W.shape
    (3, 2)
    """
    cells, power = matrix_of(X, "nonnegative_rank_factorization")
    start = _bounded(cells, tol)
    rank = next((one.bound for one in start.certificates if isinstance(one, Rank)), 0)
    found = _in_units(_narrowed(start, cells, tol, n_starts, max_time, random_state, rank), power)
    if found.upper == rank:
        return found.W, found.H
    if found.lower > rank:
        best = found.certificates[0]
        raise NoRankFactorization(
            f"X has no non-negative rank factorization: its rank is {rank} and its non-negative rank at least "
            f"{found.lower}, by {type(best).__name__} (interval.certificates[0]); take exact_nmf with more components",
            rank,
            found,
        )
    raise NoRankFactorization(
        f"no non-negative rank factorization of X was found in {found.n_starts} starts, and no bound excludes one: its "
        f"rank is {rank} and its non-negative rank between {rank} and {found.upper}; raise n_starts to search on",
        rank,
        found,
    )


def _in_units(found: RankInterval, power: int) -> RankInterval:
    W, H = taken_back(found.W, found.H, power)
    return replace(found, W=W, H=H)


def _bounded(X: np.ndarray, tol: float) -> RankInterval:
    """The interval without any search."""
    n, m = X.shape
    if not X.any():
        return RankInterval(0, 0, [], np.zeros((n, 0)), np.zeros((0, m)))
    rank = Rank.of(X, tol)
    if rank.bound <= 2:
        W, H = of_rank_one(X) if rank.bound == 1 else of_rank_two(X)
        if relative_residual(X, W, H) <= tol:
            return RankInterval(rank.bound, rank.bound, [rank], W, H)
    proofs: list[Certificate | None] = [
        rank,
        FoolingSet.of(X, tol),
        Antichain.of(X, tol),
        RectangleWeights.of(X, tol),
    ]
    rows, columns = Lines.of_matrix(X), Lines.of_matrix(X.T)
    core = X[np.ix_(rows.first, columns.first)]
    side = np.eye(len(core)), core
    factors = [side if len(core) <= core.shape[1] else (core, np.eye(core.shape[1]))]
    factors[0] = rows.spread(factors[0][0].T).T, columns.spread(factors[0][1])
    if rank.bound == 3:
        polygons = [one for axis in (0, 1) if (one := NestedPolygons.of(X, tol, axis)) is not None]
        proofs += polygons
        factors += [_from_polygon(X, one, tol) for one in polygons]
    kept = sorted((proof for proof in proofs if proof is not None), key=lambda proof: -proof.bound)
    exact = [pair for pair in factors if relative_residual(X, *pair) <= tol]
    W, H = min(exact or factors[:1], key=lambda pair: pair[0].shape[1])
    return RankInterval(min(kept[0].bound, W.shape[1]), W.shape[1], kept, W, H)


def _from_polygon(X: np.ndarray, found: NestedPolygons, tol: float) -> tuple[np.ndarray, np.ndarray]:
    """Factors whose columns, or rows, are the corners of a nested polygon, to the last digit."""
    if found.axis:
        return polished(X, *from_corners(X, found.polygon), tol)
    W, H = from_corners(X.T, found.polygon)
    return polished(X, H.T, W.T, tol)


def _narrowed(
    start: RankInterval,
    X: np.ndarray,
    tol: float,
    n_starts: int,
    max_time: float | None,
    random_state: Any,
    highest: int,
) -> RankInterval:
    """The interval after searches for as many components as the lower bound and more, up to ``highest``."""
    if start.is_exact:
        return start
    rng = np.random.default_rng(draw_seed(random_state))
    rows, columns = Lines.of_matrix(X), Lines.of_matrix(X.T)
    core = X[np.ix_(rows.first, columns.first)]
    proofs, lower, done, r = start.certificates, start.lower, 0, start.lower
    while r < min(start.upper, highest + 1):
        found = search(
            core, r, tol / 4, n_starts, max_time, rng
        )  # what is spread over all rows may weigh more
        done += found.n_starts
        W, H = rows.spread(found.W.T).T, columns.spread(found.H)
        if relative_residual(X, W, H) <= tol:
            return RankInterval(lower, r, proofs, W, H, done)
        if r == start.lower and (cover := RectangleCover.of(X, tol)) is not None:
            proofs = sorted([*proofs, cover], key=lambda proof: -proof.bound)
            lower = min(max(lower, cover.bound), start.upper)
        r = max(r + 1, lower)
    return replace(start, lower=lower, certificates=proofs, n_starts=done)


@dataclass(frozen=True)
class Lines:
    """Rows of a matrix, each a multiple of one of those that come first: X_i = times_i · X_first[of_i]."""

    first: np.ndarray
    of: np.ndarray
    times: np.ndarray

    @classmethod
    def of_matrix(cls, X: np.ndarray) -> Lines:
        """Rows that agree to rounding once they are divided by their sums; zero rows are 0 times the first."""
        sums = X.sum(axis=1)
        seen = np.flatnonzero(sums > 0)
        points = X[seen] / sums[seen, None]
        close = cdist(points, points, "chebyshev") <= 1e-14
        leaders = close.argmax(axis=1)
        first = np.unique(leaders)
        of, times = np.zeros(len(X), np.int64), np.zeros(len(X))
        of[seen] = np.searchsorted(first, leaders)
        times[seen] = sums[seen] / sums[seen[leaders]]
        return cls(seen[first], of, times)

    def spread(self, V: np.ndarray) -> np.ndarray:
        """Columns of V, which belong to the first rows, for all rows."""
        return V[:, self.of] * self.times
