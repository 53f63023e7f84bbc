"""Convolutive NMF: patterns that last several rows, such as sounds in a spectrogram."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from ..data import Source, Summary
from ..data.threads import Workers, workers
from ..losses import as_loss
from ..solvers.convolutive import BACKGROUND, Convolution
from ..solvers.iterate import Arrays
from ..solvers.loop import ROW_TOLERANCE
from ..solvers.momentum import at_rest
from ..solvers.problem import Problem
from ..solvers.shifts import shifted
from ..solvers.start import observed_means
from .callbacks import with_callbacks
from .inputs import frozen_mask
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import loss_times, power_of, set_floor, times
from .unobserved import Unobserved
from .unweighted import WeightedCellsFactorization

__all__ = ["ConvolutiveNMF"]

STEPS = 100  # of least squares before KL, at most


class ConvolutiveNMF(WeightedCellsFactorization, IterativeFactorization):
    r"""Convolutive NMF of a sequence of rows: parts are patterns of ``width`` rows, W says when each begins.

    .. math:: x_t \approx \sum_k \sum_{\tau=0}^{width-1} W_{t-\tau,\,k}\; P_{k\tau}, \qquad W \ge 0,\; P \ge 0

    Rows of X (n_times, n_features) are moments at equal steps, in their order; columns are what is measured: for
    sounds, X is the *transposed* spectrogram, (n_times, n_frequencies). W (n_times, k) is the amount of each pattern
    that begins at each moment. With ``width=1`` this is `NMF`.

    Parameters
    ----------
    n_components : int, default=10
        k, the number of patterns.
    width : int, default=8
        Rows that a pattern lasts.
    loss : {"frobenius", "kl"}, default="frobenius"
        ½ ‖X − X̂‖² by coordinate descent on either factor, extrapolated; or Σ x log(x / x̂) − x + x̂, usual for
        magnitudes of sounds, by multiplicative updates, extrapolated, from where least squares settled. Accepted losses
        never rise.
    n_init : int, default=1
        Starts, of which the best is kept: patterns begin as stretches of X that those before explain worst, drawn at
        random. Local optima are many; several starts are worth their time.
    missing : {"error", "ignore"}, default="error"
        ``"ignore"``: NaN cells have no influence.
    frozen : array-like of int, optional
        Patterns of ``H_init`` that stay as they are, bit for bit, sizes included.
    max_iter, tol, max_time, checkpoint, random_state, verbose
        As for `NMF`.

    Attributes
    ----------
    patterns_ : ndarray of shape (n_components, width, n_features_in_)
        P, all of one size (frozen ones aside): the root mean square of each is the mean of X.
    components_ : ndarray of shape (n_components, n_features_in_)
        The sum of each pattern over its rows: what it adds to X in all.
    kkt_residual_, converged_, reconstruction_err_, restart_losses_, n_iter_, n_components_, n_features_in_, history_
        As for `NMF`.

    Notes
    -----
    `transform` finds W for a new stretch of time, which may have any length, by solving a convex problem over all its
    rows at once: the answer for a row depends on its neighbours, and rows must not be shuffled, nor split for
    cross-validation but by time. Patterns cut off by the end of X count with the rows that are there; one that began
    before the first row cannot be told. Rows have no weights: they are no samples of their own.

    Cells may have ``weights``, v ≥ 0, in `fit`, `transform` and `score`: the loss is Σ v d(x, x̂), and 0 means missing,
    as NaN does with ``missing="ignore"``. A moment that was not observed is told by its neighbours; where nothing was
    observed as long as a pattern lasts, W says that it does not begin. A column without any observed cell gets in each
    row of a pattern the mean of the others, with a warning. Least squares move as if missing cells held what was
    predicted: the more of a column is missing, or weighs little beside its heaviest cell, the more passes it takes.

    Many local optima are patterns that begin at a wrong row and so lose their other end. Where a fit settles, each
    pattern is tried a row earlier and later, and what ends lower is kept. A pattern shorter than ``width`` is known up
    to a shift (begun a row earlier, with a first row of zeros). ``H_init`` has the shape of ``patterns_``.

    An iteration costs nnz(X) · k · width, and W, shifted, is held ``width`` times.

    References
    ----------
    Smaragdis (2004), *Non-negative matrix factor deconvolution*, ICA, eq. 3–6; Smaragdis (2007), *Convolutive speech
    bases and their application to supervised speech separation*, IEEE TASLP 15.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import ConvolutiveNMF
    >>> pattern = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    >>> X = np.zeros((20, 3))
    >>> for begin in (2, 9, 15):
    ...     X[begin : begin + 3] += pattern
    >>> model = ConvolutiveNMF(1, width=3, random_state=0).fit(X)
    >>> np.flatnonzero(model.transform(X)[:, 0] > 0.1 * model.transform(X).max()).tolist()
    [2, 9, 15]
    """

    _coupled_rows = True  # a row's answer depends on the rows around it
    _in_runs = False
    _why_unweighted = "rows are moments of one sequence"
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "width": [Interval(Integral, 1, None, closed="left")],
        "loss": [StrOptions({"frobenius", "kl"})],
        "missing": [StrOptions({"error", "ignore"})],
        "frozen": ["array-like", None],
    }

    def __init__(
        self, n_components: int = 10, *, width: int = 8, loss: str = "frobenius", n_init: int = 1,
        missing: str = "error", frozen: Any = None, max_iter: int = 500, tol: float = 1e-4,
        max_time: float | None = None, checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.width = width
        self.loss = loss
        self.n_init = n_init
        self.missing = missing
        self.frozen = frozen
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        k, width, (n, m) = int(self.n_components), int(self.width), source.shape
        unobserved = Unobserved.of(source).columns
        Unobserved(np.zeros(n, bool), unobserved).warn(penalised=False)  # rows are told by their neighbours
        summary = self._prepared(source, summary)
        power = power_of(source)
        W0 = self._start_value("W_init", W_init, (n, k), source)
        H0 = self._start_value("H_init", H_init, (k, width, m), source, power=power)  # type: ignore[arg-type]
        if W0 is not None and H0 is None:
            raise ValueError("W_init was given without H_init; give both, or H_init alone")
        frozen = frozen_mask(self.frozen, k, H_init)
        with workers(len(source.bounds())) as pool:
            steps = self._steps(source, summary, frozen, width, pool)

            def start(rng: np.random.Generator, first: bool) -> Arrays:
                H = _first_patterns(steps, k, rng) if H0 is None else H0.reshape(k * width, m)
                W = steps.solve(H, 1e-2) + H.dtype.type(BACKGROUND / n) if W0 is None else W0
                return Arrays(at_rest({"W": W, "H": H}))

            best = self._search(
                source,
                start,
                lambda state: steps.step(state, float(self.tol)),
                degree=steps.problem.loss.beta,
                given=(W0, H0),
                fitted=lambda at: self._fitted(at["H"], power),
            )
        H = best.arrays["H"].copy()
        if unobserved.any():
            H[:, unobserved] = H[:, ~unobserved].mean(axis=1, keepdims=True)
        sizes = np.sqrt(np.mean(H.reshape(k, -1).astype(np.float64) ** 2, axis=1)) / (summary.mean or 1.0)
        sizes = np.repeat(np.where(sizes > 0, sizes, 1), width)[:, None]
        fitted = self._fitted((H / sizes).astype(H.dtype), power)
        if frozen.any():
            fitted["patterns_"][frozen] = np.asarray(H_init)[frozen]
            fitted["components_"] = fitted["patterns_"].sum(axis=1)
        for name, value in fitted.items():
            setattr(self, name, value)
        return self._codes(source, summary)

    def _fitted(self, H: np.ndarray, power: int) -> dict[str, Any]:
        patterns = times(H, -power).reshape(-1, int(self.width), H.shape[1])
        with np.errstate(over="ignore"):
            sums = patterns.sum(axis=1)
        return {"patterns_": patterns, "components_": sums, "n_components_": len(patterns)}

    def _prepared(self, source: Source, summary: Summary) -> Summary:
        summary = self._in_range(source, summary)
        set_floor(source, summary, as_loss(self.loss).beta)
        return summary

    def _steps(
        self, source: Source, summary: Summary, frozen: np.ndarray, width: int, pool: Workers
    ) -> Convolution:
        unit, loss = summary.mean or 1.0, as_loss(self.loss)
        problem = Problem(source, loss, unit, summary.total_weight, summary.squares, frozen)
        return Convolution(problem, width, pool)

    def _flat(self, power: int, dtype: Any) -> np.ndarray:
        k, width, m = self.patterns_.shape
        return times(self.patterns_.reshape(k * width, m), power, dtype)

    def _codes(self, source: Source, summary: Summary) -> np.ndarray:
        k, width, _ = self.patterns_.shape
        dtype = np.dtype(source.float_dtype)
        with workers(len(source.bounds())) as pool:
            steps = self._steps(source, summary, np.zeros(k, bool), width, pool)
            return steps.solve(self._flat(power_of(source), dtype), ROW_TOLERANCE[dtype])

    def _transform_source(self, source: Source) -> np.ndarray:
        return self._codes(source, self._prepared(source, source.summary()))

    def _inverse(self, W: np.ndarray) -> np.ndarray:
        return shifted(W, self.patterns_.shape[1]) @ self._flat(0, self.patterns_.dtype)

    def _score_source(self, source: Source, summary: Summary) -> float:
        summary = self._prepared(source, summary)
        k, width, _ = self.patterns_.shape
        W, power = self._codes(source, summary), power_of(source)
        with workers(len(source.bounds())) as pool:
            steps = self._steps(source, summary, np.zeros(k, bool), width, pool)
            loss = steps.loss(W, self._flat(power, W.dtype))
        return -loss_times(loss / summary.total_weight, -power * steps.problem.loss.beta)


def _first_patterns(steps: Convolution, k: int, rng: np.random.Generator) -> np.ndarray:
    """Patterns from which a fit goes: stretches of X, for KL followed by what least squares makes of them."""
    problem, free = steps.problem, np.zeros(k, bool)
    least = Problem(
        problem.source, as_loss("frobenius"), problem.unit, problem.total_weight, problem.squares, free
    )
    squares = Convolution(least, steps.width, steps.pool)
    H = _with_background(_stretches(squares, k, rng))
    if problem.loss.beta == 2:
        return H
    state = Arrays(at_rest({"W": squares.solve(H, 1e-2), "H": H}))
    for _ in range(STEPS):
        squares.step(state, 0.0)
        if squares.is_settled(state):
            break
    return _with_background(state["H"])


def _with_background(H: np.ndarray) -> np.ndarray:
    return H + H.dtype.type(BACKGROUND) * H.mean(axis=1, keepdims=True)


def _stretches(squares: Convolution, k: int, rng: np.random.Generator) -> np.ndarray:
    """Stretches of X as patterns, each drawn by how badly the ones before explain it (squares over ``width`` rows).

    A missing cell of a stretch holds the mean of its column.
    """
    source, width = squares.problem.source, squares.width
    n, m = source.shape
    H = np.zeros((k * width, m), source.float_dtype)
    means = observed_means(source, squares.pool)[1] if source.is_masked else None
    for j in range(k):
        S = shifted(squares.solve(H[: j * width], 1e-2), width) if j else np.zeros((n, 0), H.dtype)
        left = np.empty(n)
        for block in source.blocks():
            dense = block.dense()
            gap = dense.X - S[block.rows] @ H[: j * width]
            if dense.weights is not None:
                gap *= np.sqrt(dense.weights)
            left[block.rows] = np.einsum("ij,ij->i", gap, gap, dtype=np.float64)
        sums = np.cumsum(np.append(0, left))
        ends = np.minimum(np.arange(n) + width, n)
        chances = np.maximum(sums[ends] - sums[:-1], 0) ** 2
        total = chances.sum()
        begin = int(rng.choice(n, p=chances / total if total > 0 else None))
        stop = min(begin + width, n)
        if means is not None:
            dense = source.block(begin, stop).dense()
            found = np.where(1.0 if dense.weights is None else dense.weights, dense.X, means)
        else:
            found = source.take(np.arange(begin, stop))
        H[j * width : j * width + len(found)] = found
    return H
