"""``partial_fit``: what a matrix model does with one batch of rows after the other; the mathematics is in `online`."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any, Self

import numpy as np

from ..data import Source, Summary
from ..data.threads import workers
from ..exceptions import ConvergenceWarning, IncompatibleError
from ..losses import as_loss
from ..penalties import combine
from ..solvers.problem import Problem
from .inputs import frozen_mask
from .online import in_units, learn_batch
from .units import exponent_of, set_floor, times

__all__ = ["StreamMixin"]

#: Attributes of one fit of one X, which a batch does not leave behind.
OF_ONE_FIT = ("labels_", "history_", "kkt_residual_", "converged_", "reconstruction_err_", "restart_losses_")


class StreamMixin:
    """Gives a `MatrixFactorization` its ``partial_fit``. A fit sets ``_past``, or None where none can follow."""

    loss: Any
    n_components: int
    penalty_W: Any
    penalty_H: Any
    frozen: Any
    components_: np.ndarray
    n_components_: int
    n_batches_: int
    _past: dict[str, Any] | None

    def partial_fit(
        self,
        X: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        weights: Any = None,
        forgetting: float = 1.0,
    ) -> Self:
        """Learn from one more batch of rows; the first call starts the model with a `fit` of its batch.

        After every call, the first one too, the model has ``components_``, ``n_components_``, ``n_features_in_``,
        ``feature_names_in_`` (where X has names), ``n_batches_`` and ``n_iter_`` (iterations of the fit that the stream
        began with). It does not have what describes one fit of one X: ``labels_``, ``history_``, ``kkt_residual_``,
        ``converged_``, ``reconstruction_err_`` and ``restart_losses_``. ``memberships``, ``score`` and ``certificate``
        say the like of any X.

        Parameters
        ----------
        X : as for `fit`, (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), optional
        weights : array-like or sparse of shape (n_samples, n_features), optional
            Weights of the cells; 0 means missing. A column that no batch has observed keeps its first values.
        forgetting : float in (0, 1], default=1.0
            What the statistics of earlier batches are multiplied by at each call.

        Returns
        -------
        self

        Raises
        ------
        IncompatibleError
            With penalties: they are fitted by `fit` alone.
        ValueError
            For ``n_components`` or ``loss`` that were changed since the first batch, and where the fit before cannot be
            gone on from.
        """
        self._check_params()  # type: ignore[attr-defined]
        if isinstance(forgetting, bool) or not isinstance(forgetting, Real):
            raise TypeError(
                f"forgetting={forgetting!r} must be a number in (0, 1]: 1 weighs all batches alike"
            )
        if not 0 < forgetting <= 1:
            raise ValueError(f"forgetting={forgetting!r} must lie in (0, 1]: 1 weighs all batches alike")
        if combine(self.penalty_W, "W") or combine(self.penalty_H, "H"):
            raise IncompatibleError(
                "partial_fit takes no penalties; call fit, or drop penalty_W and penalty_H"
            )
        if not hasattr(self, "components_"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                self.fit(X, sample_weight=sample_weight, weights=weights)  # type: ignore[attr-defined]
        else:
            self._check_unchanged()
            source = self._source(X, weights=weights, sample_weight=sample_weight, whom="partial_fit")  # type: ignore[attr-defined]
            self._learn(source, self._check_data(source, "partial_fit"), float(forgetting))  # type: ignore[attr-defined]
        for stale in OF_ONE_FIT:
            vars(self).pop(stale, None)
        self.n_batches_ = getattr(self, "n_batches_", 0) + 1
        return self

    def _check_unchanged(self) -> None:
        """Refuse to go on where the components so far, or their statistics, answer another question."""
        if self.n_components != self.n_components_:
            raise ValueError(
                f"n_components={self.n_components} differs from the {self.n_components_} components that partial_fit "
                f"has learnt: set it back to {self.n_components_}, or start afresh with fit or sklearn.base.clone"
            )
        if self._past is None:
            raise ValueError(
                "partial_fit cannot go on from this fit: it had penalties, or its components reach the end of the "
                "floats; fit afresh without penalties, or multiply X by a constant"
            )
        beta = float(as_loss(self.loss).beta)
        if self._past.get("beta", beta) != beta:
            raise ValueError(
                f"loss={self.loss!r} is not the loss of the batches before: set it back, or start afresh with fit or "
                "sklearn.base.clone"
            )

    def _learn(self, source: Source, summary: Summary, forgetting: float) -> None:
        """One batch, in units in which the larger of its cells and the components so far are about 1."""
        assert self._past is not None
        loss, H = as_loss(self.loss), self.components_
        W = self._transform_source(source).astype(H.dtype, copy=False)  # type: ignore[attr-defined]
        power = -exponent_of([summary.maximum, float(H.max(initial=0.0))])
        source.scale, source.floor = 2.0**power, 0.0
        if power:
            summary = source.summary()
        set_floor(source, summary, loss.beta)
        frozen = frozen_mask(self.frozen, self.n_components_, H)
        problem = Problem(source, loss, summary.mean or 1.0, summary.total_weight, summary.squares, frozen)
        lighter = self._past.get("weight_power", 0) - source.weight_power
        with np.errstate(over="ignore", under="ignore"):
            past = {name: np.ldexp(V, lighter) for name, V in in_units(self._past, power, loss).items()}
        if not all(np.isfinite(V).all() for V in past.values()):
            raise ValueError(
                f"weights of this batch are about 2^{-lighter} times those before, and beside them {H.dtype} does not "
                "hold what was learnt; give all batches weights in one unit"
            )
        with workers(len(source.bounds())) as pool:
            moved, past = learn_batch(problem, W, times(H, power), past, forgetting, pool)
        self.components_ = np.where(frozen[:, None], H, times(moved, -power))
        units = {"power": power, "weight_power": source.weight_power}
        self._past = {**units, "beta": float(loss.beta), **past}
