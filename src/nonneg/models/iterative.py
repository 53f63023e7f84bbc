"""What models with factors of their own share with each other: restarts, stopping, callbacks, checkpoints, history.

A model on this base says where it starts and what a step is; `nonneg.solvers.iterate.descend` does the rest. `NMF` has
a loop of its own (`nonneg.solvers.loop`), on the same iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..data import Source, Summary
from ..solvers.iterate import Arrays, descend
from ..solvers.solution import Outcome
from ..solvers.step import Record
from .base import Factorization
from .callbacks import CallbackSupportMixin, iteration_callback, with_log
from .certificate import warn_of_dead
from .inputs import checkpoint_of, draw_seed, start_value, warn_of_one_start
from .units import exponent_of, loss_times, power_of

__all__ = ["IterativeFactorization", "best_of"]

Found = TypeVar("Found", bound=Outcome)


def best_of(
    starts: int,
    random_state: Any,
    max_time: float | None,
    fit: Callable[[int, int, float | None], Found],
) -> tuple[Found, list[float]]:
    """The outcome with the lowest loss of several starts, and the losses of those made.

    A callback that stops one, or ``max_time``, which is of all of them, ends the others too.

    Parameters
    ----------
    starts : int
    random_state
        Gives every start a seed.
    max_time : float or None
        Seconds.
    fit : callable
        From the number of the start, its seed and the seconds left to its outcome.
    """
    best, losses, left = None, [], max_time
    for attempt in range(starts):
        outcome = fit(attempt, draw_seed(random_state), left)
        losses.append(outcome.loss)
        if best is None or outcome.loss < best.loss or np.isnan(best.loss):
            best = outcome
        left = outcome.time_left(left)
        if outcome.status == "stopped" or (left is not None and left <= 0):
            break
    assert best is not None
    return best, losses


class IterativeFactorization(CallbackSupportMixin, Factorization):
    """Base class of models that are fitted by `search`.

    Subclasses take these beside parameters of their own; `parameters.ITERATION_PARAMETERS` checks them.

    Parameters
    ----------
    n_components, n_init, max_iter, tol, max_time, checkpoint, random_state, verbose
        As for `NMF`.

    Attributes
    ----------
    restart_losses_ : ndarray of shape (n_init,)
    kkt_residual_ : float
    """

    n_init: int
    max_iter: int
    tol: float
    max_time: float | None
    checkpoint: Any
    random_state: Any
    verbose: Any
    _checkpoint_version = 1  # raise it when a resumed fit would no longer be the fit it was begun as

    _rests_unused = False  # whether components without use are no surprise

    def _check_params(self) -> None:
        self._validate_params()
        super()._check_params()

    def _remedy(self) -> str:
        """What a user could do about a fit that ended early, beside more iterations or a larger ``tol``."""
        return ""

    def _warn_of_parts(self, W: np.ndarray | None) -> None:
        if W is not None and not self._rests_unused:
            warn_of_dead(type(self).__name__, W, self._part_sizes())

    def _part_sizes(self) -> np.ndarray:
        """(n_components, any): rows with the norms of the parts, up to a common factor."""
        return self.parts()

    def _in_range(self, source: Source, summary: Summary) -> Summary:
        """Let the source multiply X by a power of two where its cells are far from 1; the summary after it."""
        exponent = exponent_of([abs(summary.minimum), abs(summary.maximum)])
        if exponent == 0:
            return summary
        source.scale = 2.0**-exponent
        return source.summary()

    _start_value = staticmethod(start_value)

    def _search(
        self,
        source: Source,
        start: Callable[[np.random.Generator, bool], dict[str, np.ndarray]],
        step: Callable[[Arrays], Record],
        *,
        degree: float = 2.0,
        given: tuple[np.ndarray | None, ...] = (),
        fitted: Callable[[Any], dict[str, Any]] | None = None,
        data: list[np.ndarray] | None = None,
    ) -> Outcome:
        """Descend from ``n_init`` starts; return the one with the lowest loss, after setting what all models report.

        Parameters
        ----------
        source : Source
            As `_in_range` left it.
        start : callable
            ``start(rng, first)`` returns the arrays of a start; ``first`` is False for all but the first of them.
        step : callable
            ``step(arrays)`` puts moved arrays in place of those it finds and returns a `Record`; see `descend`.
        degree : float
            The loss grows with X to this power.
        given : tuple of ndarray or None
            Start values of the user, for the fingerprint. Where there are any, one start is made.
        fitted : callable, optional
            From the arrays to the attributes `transform` needs, for callbacks that look at a model before its end.
        data : list of ndarray, optional
            What the fingerprint sees instead of the blocks of ``source``.
        """
        starts = int(self.n_init)
        if starts > 1 and any(array is not None for array in given):
            warn_of_one_start(starts)
            starts = 1
        callback = iteration_callback(self, int(self.max_iter) * starts, fitted or (lambda arrays: {}))
        power = source.weight_power - power_of(source) * degree
        tell = with_log(callback, self.verbose, type(self).__name__, power)

        def fit(attempt: int, seed: int, left: float | None) -> Outcome:
            rng = np.random.default_rng(seed + attempt)
            return descend(
                lambda: start(rng, attempt == 0),
                step,
                max_iter=int(self.max_iter),
                tol=float(self.tol),
                dtype=source.float_dtype,
                max_time=left,
                callback=tell,
                checkpoint=checkpoint_of(
                    self, self._checkpoint_version, attempt, seed, source, *given, data=data
                ),
            )

        best, losses = best_of(starts, self.random_state, self.max_time, fit)
        self._check_finite(best, source)
        if callback is not None:
            callback.finish()
        self._report(best, losses, power)
        best.warn(type(self).__name__, float(self.tol), source.float_dtype, self._remedy())
        return best

    def _check_finite(self, outcome: Outcome, source: Source) -> None:
        """Refuse factors and losses that are no finite numbers, whatever the residual says of them."""
        factors = [V for name, V in outcome.arrays.items() if name != "scalars"]
        if not np.isfinite(outcome.loss) or not all(np.isfinite(V).all() for V in factors):
            raise ValueError(
                f"X: {type(self).__name__} found no finite factors, its terms left {source.float_dtype} during the "
                "fit; give X as float64, leave extreme cells of X out (weight 0), or give start values nearer to X"
            )

    def _report(self, outcome: Outcome, losses: list[float], power: float) -> None:
        """Set the attributes that say how the search went, in the units of X."""
        self.n_iter_ = outcome.n_iter
        self.converged_ = outcome.converged
        self.kkt_residual_ = outcome.kkt
        self.restart_losses_ = loss_times(losses, power)
        self.history_ = outcome.history.as_arrays()
        self.history_["loss"] = loss_times(self.history_["loss"], power)
        self.reconstruction_err_ = loss_times(np.sqrt(2 * max(outcome.loss, 0)), power / 2)

    def _weigh_losses(self, power: int) -> None:
        """Bring losses found with row weights of another unit back to those of the user."""
        self.history_["loss"] = loss_times(self.history_["loss"], power)
        self.restart_losses_ = loss_times(self.restart_losses_, power)
        self.reconstruction_err_ = loss_times(self.reconstruction_err_, power / 2)
