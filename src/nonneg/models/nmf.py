"""NMF: X ≈ W H with W, H ≥ 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import Source, Summary
from ..data.threads import workers
from ..losses import as_loss
from ..penalties import combine
from ..solvers.loop import ROW_TOLERANCE, solve
from ..solvers.problem import Problem
from ..solvers.pull import build_penalties
from ..solvers.rows import solve_rows
from ..solvers.select import choose
from ..solvers.solution import Solution
from ..solvers.start import Start, starting_point
from .callbacks import CallbackSupportMixin, iteration_callback, with_callbacks, with_log
from .certificate import warn_of_useless
from .inputs import (
    checkpoint_of,
    fitted_so_far,
    frozen_mask,
    pull_state,
    rows_weight,
    start_value,
    warn_of_one_start,
)
from .iterative import best_of
from .matrix import MatrixFactorization
from .online import statistics_of
from .parameters import MATRIX_PARAMETERS
from .rows import RowFacts, lazy_rows, rows_times
from .stream import StreamMixin
from .units import (
    loss_times,
    power_of,
    rescaled,
    set_floor,
    times,
    weights_rescaled,
    within_range,
)  # fmt: skip
from .unobserved import Unobserved, filled

__all__ = ["NMF"]


#: Part of every checkpoint's fingerprint. Raise it when a resumed fit would no longer be the fit it was begun as.
CHECKPOINT_VERSION = 6


class NMF(CallbackSupportMixin, StreamMixin, MatrixFactorization):
    """Non-negative matrix factorization.

    ::

        minimise over W ≥ 0, H ≥ 0:   Σ_ij w_ij d(X_ij | (W H)_ij)

    with X (n_samples, n_features), W (n_samples, n_components) and H (n_components, n_features): each row of X is a
    sum of parts (rows of H) in non-negative amounts (W).

    Parameters
    ----------
    n_components : int, default=10
        Number of parts; may exceed both sides of X.
    loss : {"frobenius", "kl", "itakura-saito"}, float or loss object, default="frobenius"
        ½‖X − WH‖², the Kullback–Leibler divergence of counts, that of power spectra, or the β-divergence for a
        number β.
    solver : {"auto", "hals", "scd", "mu", "anls", "als"}, default="auto"
        `nonneg.solvers.select` documents the choice.
    init : {"auto", "random", "nndsvd", "nndsvda", "separable"}, default="auto"
        Where H starts; ``fit(H_init=…)`` overrides it.
    penalty_W, penalty_H : None, float, penalty or list of these, default=None
        A float is the strength of L2. Strengths multiply sums over the factor, beside the loss divided by the number
        of observed cells, in units in which the mean cell of X is 1; see `nonneg.penalties`.
    n_init : int, default=1
        Number of starts (the first one as ``init`` says, the others random); the lowest loss is kept. ``H_init`` is one
        start: with it no other is made, and a warning says so.
    missing : {"error", "ignore", "unstored"}, default="error"
        ``"ignore"``: NaN cells have no influence. ``"unstored"``: neither have cells a sparse X does not store.
    frozen : array-like of int, optional
        Rows of ``H_init`` that stay as they are, bit for bit.
    max_iter : int, default=500
        Iterations after which a fit ends in any case.
    tol : float, default=1e-4
        On the KKT residual; `nonneg.solvers.kkt` has its definition.
    max_time : float, optional
        Seconds, of all starts together, after which no further iteration is begun (nor a further start).
    checkpoint : path, optional
        Folder; a fit that was stopped goes on from there, with the same result as if it never had been.
    random_state : int, RandomState, Generator or None, default=None
        Seed of what is random about starts. An integer makes fits repeatable, bit for bit.
    verbose : int or callable, default=0
        1 logs every tenth iteration to the logger ``nonneg``; a function gets a dict of every iteration: ``iteration``,
        ``loss``, ``kkt``.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_in_)
        H, in the units of X; W has no unit. Without penalties all components have one size, the root mean square
        of each (frozen ones aside) being the mean of X, so that W says how much there is of each.
    labels_ : ndarray of shape (n_samples,)
        The component with the largest membership, for the training rows.
    kkt_residual_ : float
        Distance from a stationary point; 0 at one.
    converged_ : bool
        Whether ``kkt_residual_ <= tol``.
    reconstruction_err_ : float
        √(2 · loss); for Frobenius ‖X − WH‖.
    restart_losses_ : ndarray of shape (n_init,)
        The loss of every start (of those made, where ``max_time`` or a callback ended the fit).
    n_batches_ : int
        Calls of `partial_fit` so far, where there were any; it says what a batch leaves of the attributes above.
    n_iter_, n_components_, n_features_in_, history_
        ``history_`` has ``iteration, loss, kkt, change, seconds``.

    References
    ----------
    Lee and Seung (1999), Nature 401, 788. Cichocki and Phan (2009). Févotte and Idier (2011). Gillis (2020),
    *Nonnegative Matrix Factorization*, SIAM.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nonneg import NMF
    >>> X = load_iris().data
    >>> model = NMF(2).fit(X)
    >>> model.transform(X).shape
    (150, 2)
    """

    def __init__(
        self,
        n_components: int = 10,
        *,
        loss: Any = "frobenius",
        solver: str = "auto",
        init: str = "auto",
        penalty_W: Any = None,
        penalty_H: Any = None,
        n_init: int = 1,
        missing: str = "error",
        frozen: Any = None,
        max_iter: int = 500,
        tol: float = 1e-4,
        max_time: float | None = None,
        checkpoint: Any = None,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.loss = loss
        self.solver = solver
        self.init = init
        self.penalty_W = penalty_W
        self.penalty_H = penalty_H
        self.n_init = n_init
        self.missing = missing
        self.frozen = frozen
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    _parameter_constraints = MATRIX_PARAMETERS
    _takes_client = True
    _takes_device = True

    def _check_params(self) -> None:
        self._validate_params()
        super()._check_params()

    # -- fit ------------------------------------------------------------------------------------------------

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        loss = as_loss(self.loss)
        unobserved = Unobserved.of(source)
        unobserved.warn(bool(combine(self.penalty_W, "W") or combine(self.penalty_H, "H")))
        source.scale, summary = rescaled(source, summary)
        weight_power, summary = weights_rescaled(source, summary)
        set_floor(source, summary, loss.beta)
        k = int(self.n_components)
        frozen = frozen_mask(self.frozen, k, H_init)
        unit = summary.mean or 1.0
        penalties = build_penalties(
            self.penalty_W, self.penalty_H, shape=source.shape, k=k, weight=summary.total_weight, beta=loss.beta,
            unit=unit, rows_weight=rows_weight(source), source_scale=source.scale,
        )  # fmt: skip
        problem = Problem(
            source, loss, unit, summary.total_weight, summary.squares, frozen, penalties or None
        )
        solver = choose(self.solver, loss, source, penalties)
        W0, H0 = self._given(W_init, H_init, source)
        power = 0 if self._pins_H() else -power_of(source)
        starts = int(self.n_init) if H0 is None else 1
        callback = iteration_callback(self, int(self.max_iter) * starts, fitted_so_far(power))
        loss_power = weight_power + source.weight_power - power_of(source) * loss.beta
        tell = with_log(callback, self.verbose, type(self).__name__, loss_power)

        def fit(attempt: int, seed: int, left: float | None) -> Solution:
            problem.row_pull = None

            def start() -> Start:
                if H0 is None:
                    rng = np.random.default_rng(seed + attempt)
                    return starting_point(problem, solver, summary, self.init, rng, first=attempt == 0)
                return Start(H0.copy(), None if W0 is None else W0.copy())

            return solve(
                problem, solver, start,
                max_iter=int(self.max_iter), tol=float(self.tol), max_time=left, callback=tell,
                checkpoint=checkpoint_of(self, CHECKPOINT_VERSION, attempt, seed, source, W0, H0),
            )  # fmt: skip

        best, losses = best_of(starts, self.random_state, self.max_time, fit)
        if callback is not None:
            callback.finish()
        if unobserved.columns.any() and not penalties:
            best.arrays["H"] = filled(best.H, unobserved.columns, problem)
            with workers(source) as pool:
                best.arrays["W"] = solve_rows(problem, best.H, ROW_TOLERANCE[best.H.dtype], pool)
        self._row_pull = pull_state(best.row_pull, problem)
        if hasattr(self, "n_batches_"):
            del self.n_batches_
        self.restart_losses_ = loss_times(losses, loss_power)
        W = self._accept(best, problem, loss_power)
        self._past = None
        if (
            not penalties
            and best.stats is not None
            and np.array_equal(self._in_power(power_of(source)), best.H)
        ):
            with workers(source) as pool:
                found = statistics_of(problem, best.W, best.H, best.stats, pool)
            found = {name: np.ldexp(array, weight_power) for name, array in found.items()}
            units = {"power": power_of(source), "weight_power": source.weight_power}
            self._past = {**units, "beta": float(loss.beta), **found}
        return lazy_rows(source, W)

    def _accept(self, solution: Any, problem: Problem, loss_power: float) -> np.ndarray:
        """Set the attributes, back in the units of X.

        Raises
        ------
        ValueError
            Where a factor or the loss is no finite number: beyond what this loss can hold of such X.
        """
        with workers(problem.source) as pool:
            rows = RowFacts.of(problem.source, solution.W, solution.H, pool)
        if not (rows.finite and np.isfinite(solution.H).all() and np.isfinite(solution.loss)):
            raise ValueError(
                f"loss={self.loss!r}: its terms left {solution.H.dtype} during the fit, without finite factors; "
                "give X as float64, take a loss with β nearer 1, or leave the extreme cells of X out (weight 0)"
            )
        back = -power_of(problem.source)
        if self._pins_H():
            excess, self.components_ = back, solution.H
        else:
            excess, self.components_ = within_range(solution.H, back)
        W = rows_times(problem.source, solution.W, excess)
        self.n_components_ = len(solution.H)
        self.n_iter_ = solution.n_iter
        self.converged_ = solution.converged
        self.kkt_residual_ = solution.kkt
        self.history_ = solution.history.as_arrays()
        self.history_["loss"] = loss_times(self.history_["loss"], loss_power)
        self.reconstruction_err_ = loss_times(np.sqrt(2 * max(solution.loss, 0)), loss_power / 2)
        self.labels_ = rows.labels
        solution.warn(type(self).__name__, float(self.tol), solution.H.dtype)
        penalties = {"penalty_W": self.penalty_W, "penalty_H": self.penalty_H}
        unit = problem.unit if problem.squares > 0 else 0.0
        warn_of_useless(rows.means, rows.norms, len(rows.labels), solution.H, penalties, unit)
        return W

    def _given(self, W_init: Any, H_init: Any, source: Source) -> tuple[np.ndarray | None, np.ndarray | None]:
        k, (n, m) = int(self.n_components), source.shape
        W = start_value("W_init", W_init, (n, k), source, power=None)
        H = start_value("H_init", H_init, (k, m), source, power=None)
        if W is not None and H is None:
            raise ValueError("W_init was given without H_init; give both, or H_init alone")
        if H is not None and self.n_init > 1:
            warn_of_one_start(int(self.n_init))
        if H is not None and not self._pins_H():
            H = times(H, power_of(source))
        return W, H

    def _in_power(self, power: int) -> np.ndarray:
        """H in units in which X is multiplied by 2^power."""
        return times(self.components_, power)
