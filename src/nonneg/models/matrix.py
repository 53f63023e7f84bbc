"""What a fitted matrix model X ≈ W H offers on data: codes, scores, filled cells, certificates."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..data import Source, Summary
from ..data.block import Block
from ..data.passes import lazily
from ..data.threads import workers
from ..losses import BetaLoss, as_loss
from ..penalties import combine
from ..solvers.judge import judge
from ..solvers.loop import ROW_TOLERANCE
from ..solvers.problem import Fixed, Problem
from ..solvers.pull import build_penalties
from ..solvers.rows import solve_block, solve_rows
from .base import Factorization
from .cells import check_indices, imputed, predicted
from .certificate import Certificate, dead_components, duplicate_components, svd_bound
from .inputs import check_positive, frozen_mask, pull_on_rows, rows_weight
from .units import exponent_of, loss_times, power_of, rescaled, set_floor, times, weights_rescaled

__all__ = ["MatrixFactorization"]


class MatrixFactorization(Factorization):
    """Base class of models X ≈ W @ components_ with ``loss``, ``penalty_W``, ``penalty_H`` and ``frozen``.

    A fit sets ``components_``, ``n_components_``, ``restart_losses_`` and ``_row_pull`` (see `inputs.pull_state`).
    """

    loss: Any
    penalty_W: Any
    penalty_H: Any
    frozen: Any
    restart_losses_: np.ndarray
    _row_pull: dict[str, Any] | None

    def _pins_H(self) -> bool:
        """Whether a penalty pins the scale of H, so that W has the unit of X."""
        return combine(self.penalty_H, "H", "penalty_H").fixes_scale

    def _power_of_H(self, source: Source) -> int:
        """Power of two by which H is multiplied for a source: that of X, as in `fit`, where H then is near 1.

        Penalties tie it to that of X; else it is H's own.
        """
        if self._pins_H():
            return 0
        of_X = power_of(source)
        if self._row_pull is not None or exponent_of(self.components_, of_X) == 0:
            return of_X
        return -exponent_of(self.components_)

    def _components_for(self, source: Source) -> np.ndarray:
        """H in the units of a source."""
        return times(self.components_, self._power_of_H(source), source.float_dtype)

    def _problem(self, source: Source, summary: Summary) -> Problem:
        loss = as_loss(self.loss)
        source.scale, summary = rescaled(source, summary)
        set_floor(source, summary, loss.beta)
        frozen = np.zeros(self.n_components_, bool)
        problem = Problem(source, loss, summary.mean or 1.0, summary.total_weight, summary.squares, frozen)
        if self._row_pull is not None:
            problem.row_pull = pull_on_rows(self._row_pull, self.penalty_W, source, loss.beta)
        return problem

    def _transform_source(self, source: Source) -> np.ndarray:
        with np.errstate(over="ignore"):
            problem = self._problem(source, source.summary())
        W = self._rows(problem, source)
        return times(W, self._power_of_H(source) - power_of(source))

    def _lazy_codes(self, source: Source, summary: Summary) -> Any:
        """W as a dask array, made where and when it is asked for."""
        with np.errstate(over="ignore"):
            problem = self._problem(source, summary)
        fixed, pull, power = (
            self._fixed(source),
            problem.row_pull,
            self._power_of_H(source) - power_of(source),
        )
        tol = ROW_TOLERANCE[fixed.rows.dtype]

        def work(block: Block) -> np.ndarray:
            return times(solve_block(problem, block, fixed, pull, tol), power)

        return lazily(source, work, len(fixed.rows), fixed.rows.dtype)

    def _fixed(self, source: Source) -> Fixed:
        """H in the units of a source, with what the rows ask of it: made once, before threads do."""
        fixed = Fixed(rows=self._components_for(source))
        fixed.columns, fixed.gram, fixed.sums  # noqa: B018
        return fixed

    def _rows(self, problem: Problem, source: Source) -> np.ndarray:
        H = self._components_for(source)
        with workers(source) as pool:
            return np.asarray(solve_rows(problem, H, ROW_TOLERANCE[H.dtype], pool))

    def _score_source(self, source: Source, summary: Summary) -> float:
        problem = self._problem(source, summary)
        fixed = self._fixed(source)
        tol = ROW_TOLERANCE[fixed.rows.dtype]

        def work(block: Block) -> float:
            return problem.loss.value(
                block, solve_block(problem, block, fixed, problem.row_pull, tol), fixed.rows
            )

        with workers(source) as pool:
            loss = sum(pool.over(source, work, merge=operator.add))
        return -loss_times(loss / summary.total_weight, -power_of(source) * problem.loss.beta)

    def _check_data(self, source: Source, whom: str) -> Summary:
        summary = super()._check_data(source, whom)
        check_positive(as_loss(self.loss), summary, source)
        return summary

    def impute(self, X: Any, *, weights: Any = None) -> np.ndarray:
        """Return X dense, with missing cells filled by W @ H; observed cells keep their bits.

        Parameters
        ----------
        X : as for `transform`
            Its missing cells: NaN (with ``missing="ignore"`` or ``"unstored"``), not stored (``"unstored"``), or of
            weight 0.
        weights : array-like or sparse of shape (n_samples, n_features), optional
        """
        check_is_fitted(self)
        source = self._source(X, weights=weights, whom="impute")
        self._check_data(source, "impute")
        W = self._transform_source(source)
        source.scale = 1.0
        return imputed(source, W, self.components_, type(self).__name__)

    def predict_cells(self, X: Any, rows: Any, cols: Any, *, weights: Any = None) -> np.ndarray:
        """Return (W H)_ij for the pairs (rows[t], cols[t]), W being the `transform` of X.

        Parameters
        ----------
        X : as for `transform`
        rows, cols : array-like of int, of one length
        """
        check_is_fitted(self)
        source = self._source(X, weights=weights, whom="predict_cells")
        self._check_data(source, "predict_cells")
        rows = check_indices("rows", rows, source.shape[0])
        cols = check_indices("cols", cols, source.shape[1])
        if rows.shape != cols.shape:
            raise ValueError(f"rows and cols must have one length, got {len(rows)} and {len(cols)}")
        return predicted(self._transform_source(source), self.components_, rows, cols)

    def certificate(self, X: Any, *, weights: Any = None, sample_weight: Any = None) -> Certificate:
        """Say what can be proved of this fit on X: see `nonneg.models.certificate.Certificate`.

        The SVD bound takes one pass and an eigendecomposition of the smaller Gram matrix.
        """
        check_is_fitted(self)
        source = self._source(X, weights=weights, sample_weight=sample_weight, whom="certificate")
        _, summary = weights_rescaled(source, self._check_data(source, "certificate"))
        problem = self._problem(source, summary)
        W, H = self._rows(problem, source), self._components_for(source)
        problem.frozen = frozen_mask(self.frozen, len(H), H)
        penalties = build_penalties(
            self.penalty_W, self.penalty_H, shape=source.shape, k=len(H), weight=problem.total_weight,
            beta=problem.loss.beta, unit=problem.unit, rows_weight=rows_weight(source), source_scale=source.scale,
        )  # fmt: skip
        problem.penalties = penalties or None
        with workers(len(source.bounds())) as pool:
            kkt, loss, _ = judge(problem, W, H, pool)
        gap = np.nan
        if problem.loss == BetaLoss(2) and not source.is_masked and source.row_weights is None:
            bound, size = svd_bound(source, len(H))
            gap = (np.sqrt(2 * max(loss, 0)) - bound) / size if size > 0 else 0.0
        norms = np.linalg.norm(W.astype(np.float64), axis=0)
        return Certificate(
            kkt, float(gap), dead_components(H, norms), duplicate_components(H), self._spread()
        )

    def _spread(self) -> float:
        losses = getattr(self, "restart_losses_", np.empty(0))  # a stream has none
        if len(losses) < 2:
            return np.nan
        best = losses.min()
        return float((losses.max() - best) / best) if best > 0 else 0.0
