"""Archetypal analysis: X ≈ W A with A = C X, rows of W and of C on the simplex."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from ..data import Source, Summary
from ..data.centred import Centred
from ..data.products import Products
from ..data.threads import workers
from ..init.extremes import EXTREMES
from ..solvers import hull
from ..solvers.iterate import Arrays
from ..solvers.least_squares import simplex_rows
from .callbacks import with_callbacks
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import exponent_of, power_of, times

__all__ = ["ArchetypalAnalysis"]

TRIAL = 8  # steps after which "auto" compares its starts, or fewer, when one lowers the loss by less than
SETTLED = 1e-3  # of it
MARGIN = 1e-6  # of the losses


class ArchetypalAnalysis(IterativeFactorization):
    """Archetypal analysis: rows as mixtures of k extremes, which are mixtures of rows themselves.

    Minimises

        ½ Σ_i s_i ‖x_i − w_i A‖²,   A = C X,   W ≥ 0, W 1 = 1,   C ≥ 0, C 1 = 1

    over W (n, k) and C (k, n); s are the row weights. X may have any sign. The archetypes A lie in the convex hull of
    the rows of X and, for k > 1, on its boundary; W says how much of each a row is. For k = 1 the archetype is the
    mean. The problem has local optima.

    Given A, W solves its least squares exactly (an active set); given W, so do the archetypes, one after the other, as
    mixtures of a pool of rows that grows by the rows which lower the loss most. A step costs three products of X with
    k columns, and nothing has the size n × n (see `nonneg.solvers.hull`).

    Parameters
    ----------
    n_components : int, default=10
        k.
    init : {"auto", "furthest_sum", "furthest_first", "furthest_from_hull"}, default="auto"
        Which rows the archetypes start from: those with the largest sum of distances to each other (Mørup & Hansen
        2012), those whose nearest picked row is farthest, or those farthest from the hull of those picked. "auto" goes
        up to eight steps from each and on from the best.
    n_init : int, default=1
        Starts. The first is ``init``; the others are rows drawn at random.
    max_iter : int, default=500
        Most steps.
    tol : float, default=1e-4
        A fit has converged when ``kkt_residual_`` is at most this.
    max_time : float, optional
        Seconds after which a fit ends.
    checkpoint : path, optional
        Folder to which the fit is saved as it goes, and from which it goes on.
    random_state : int, RandomState, Generator or None
        For starts at random rows.
    verbose : int, default=0
        Positive: a line in the log every ten steps.

    Attributes
    ----------
    components_, archetypes_ : ndarray of shape (n_components, n_features_in_)
        A.
    support_ : ndarray of shape (p,)
        Indices of the rows that the archetypes are made of.
    coefficients_ : ndarray of shape (n_components, p)
        The columns of C that are not zero: ``archetypes_ = coefficients_ @ X[support_]``.
    reconstruction_err_ : float
        √(2 · loss).
    kkt_residual_ : float
        max |min(v, ∇ − θ)| over the entries v of W and C, with θ the multiplier of a row's sum and gradients in units
        of Σ s_i ‖x_i − mean‖² (for a row of W: of its mean over the rows).
    n_iter_, converged_, history_, restart_losses_
        As for every model that iterates.

    Raises
    ------
    ValueError
        For ``W_init`` (a start is a set of archetypes) and for an ``H_init`` of a wrong shape.

    Notes
    -----
    A single outlier is an archetype: look at it before you trust it. Columns with large units decide what is extreme,
    so scale columns that measure different things. ``H_init`` starts from the rows of X that are nearest to its rows.

    References
    ----------
    Cutler & Breiman (1994), Archetypal analysis, Technometrics 36 (the problem, and alternating between W and C); Mørup
    & Hansen (2012), Archetypal analysis for machine learning and data mining, Neurocomputing 80 (FurthestSum);
    Wolfe (1976), Finding the nearest point in a polytope, Math. Program. 11 (the active set).

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import ArchetypalAnalysis
    >>> corners = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])
    >>> inside = np.random.default_rng(0).dirichlet([1, 1, 1], 50) @ corners
    >>> model = ArchetypalAnalysis(3).fit(np.concatenate([corners, inside]))
    >>> sorted(model.support_.tolist())
    [0, 1, 2]
    >>> bool(np.allclose(model.transform([[2.0, 0.0]]).max(), 0.5))
    True
    """

    _any_sign = True
    _takes_weights = False
    _parameter_constraints = {**ITERATION_PARAMETERS, "init": [StrOptions({"auto", *EXTREMES})]}

    def __init__(
        self, n_components: int = 10, *, init: str = "auto", n_init: int = 1, max_iter: int = 500, tol: float = 1e-4,
        max_time: float | None = None, checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    @property
    def archetypes_(self) -> np.ndarray:
        """The archetypes, `components_`."""
        return self.components_

    def _extents(self) -> np.ndarray:
        return np.ones((self.n_components_, 1))

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        if W_init is not None:
            raise ValueError("W_init: archetypal analysis starts from archetypes alone; pass them as H_init")
        self._in_range(source, summary)
        k = int(self.n_components)
        near = None if H_init is None else self._given(H_init, k, source)
        with workers(len(source.bounds())) as pool:
            X = Centred(source, pool)

            def start(rng: np.random.Generator, first: bool) -> Arrays:
                if k == 1:
                    return self._mean(X)
                if near is not None:
                    return hull.begin(X, [_nearest(X, row) for row in near])
                return self._best_start(X, k) if first else hull.begin(X, _drawn(X, k, rng))

            best = self._search(
                source, start, lambda state: hull.step(X, state),
                given=() if near is None else (near,), fitted=lambda state: self._fitted(X, state),
            )  # fmt: skip
            for name, value in self._fitted(X, best.arrays).items():
                setattr(self, name, value)
        if k == 1:
            self.support_ = np.flatnonzero(X.weights > 0)
            self.coefficients_ = (X.weights[self.support_] / X.weights.sum())[None]
        else:
            self.support_, self.coefficients_ = best.arrays["rows"], best.arrays["C"]
        return self._rows(source)

    def _fitted(self, X: Centred, state: Any) -> dict[str, Any]:
        A = (state["Z"] + X.mean).astype(X.source.float_dtype)
        return {"components_": times(A, -power_of(X.source)), "n_components_": len(A)}

    def _given(self, H_init: Any, k: int, source: Source) -> np.ndarray:
        H = np.asarray(H_init)
        if H.shape != (k, source.shape[1]):
            raise ValueError(f"H_init has shape {H.shape}, expected {(k, source.shape[1])}")
        if H.dtype.kind not in "fiub" or not np.isfinite(H).all():
            raise ValueError("H_init must be finite and real")
        return times(H.astype(np.float64), power_of(source))

    def _mean(self, X: Centred) -> Arrays:
        """The state of one archetype: the mean, as a pool of its own."""
        state = hull.begin(X, [int(X.weights.argmax())])
        nothing = np.zeros_like(state["Z"])
        P = np.zeros_like(state["P"])
        return Arrays(state | {"V": nothing, "Z": nothing, "Z_before": nothing, "P": P, "P_before": P})

    def _best_start(self, X: Centred, k: int) -> Arrays:
        """The state at the named start, or a few steps from the best one."""
        if self.init != "auto":
            return hull.begin(X, EXTREMES[self.init](X, k))
        picks = {tuple(sorted(rows)): rows for rows in (pick(X, k) for pick in EXTREMES.values())}
        states = [hull.begin(X, rows) for rows in picks.values()]
        if len(states) == 1:
            return states[0]
        losses = np.array([_settled(X, state) for state in states])
        good = losses <= losses.min() * (1 + MARGIN) + MARGIN * X.total  # rounding does not choose
        return states[int(np.argmax(good))]

    def _rows(self, source: Source) -> np.ndarray:
        A = times(self.components_, power_of(source), np.float64)
        middle = A.mean(axis=0)  # W depends on differences alone
        A = A - middle
        with workers(len(source.bounds())) as pool:
            dtype = source.float_dtype
            P = Products(source, pool).right(A.T.astype(dtype)) - (A @ middle).astype(dtype)
        return simplex_rows(A @ A.T, P)

    def _transform_source(self, source: Source) -> np.ndarray:
        summary = source.summary()
        exponent = exponent_of([abs(summary.minimum), abs(summary.maximum), np.abs(self.components_).max()])
        source.scale = 2.0**-exponent
        return self._rows(source)


def _settled(X: Centred, state: Arrays) -> float:
    """The loss a few steps after a start."""
    loss = np.inf
    for _ in range(TRIAL):
        before, loss = loss, hull.step(X, state).loss
        if before - loss < SETTLED * loss:
            break
    return loss


def _nearest(X: Centred, row: np.ndarray) -> int:
    return int(np.argmin(np.where(X.weights > 0, X.distances(row - X.mean), np.inf)))


def _drawn(X: Centred, k: int, rng: np.random.Generator) -> list[int]:
    """Rows drawn with their weights, one more than once where there are fewer than k."""
    counted = np.flatnonzero(X.weights > 0)
    share = X.weights[counted] / X.weights.sum()
    return list(map(int, rng.choice(counted, k, replace=len(counted) < k, p=share)))
