"""Non-negative Tucker decomposition: a small core and one factor for each way of an n-way array."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from ..data import Source, Summary
from ..data.threads import Workers, workers
from ..losses import as_loss
from ..solvers.iterate import Arrays
from ..solvers.least_squares import MAX_SWEEPS
from ..solvers.loop import ROW_TOLERANCE
from ..solvers.momentum import at_rest, checked
from ..solvers.problem import Problem
from ..solvers.rows import START_SWEEPS, START_TOLERANCE, solve_rows
from ..solvers.step import Record
from ..solvers.tucker import Tucker, times_mode
from ..solvers.tucker_cells import TuckerCells
from .callbacks import with_callbacks
from .nway import TensorFactorization
from .parameters import ITERATION_PARAMETERS
from .tensor import BACKGROUND
from .units import exponent_of, loss_times, power_of, times, weights_rescaled
from .unobserved import UnobservedSlices

__all__ = ["NonnegativeTucker"]


class NonnegativeTucker(TensorFactorization):
    """Non-negative Tucker decomposition of an n-way array.

        X_ijl… ≈ Σ_pqr… G_pqr… A_ip B_jq C_lr ⋯ ,  G, A, B, … ≥ 0

    minimising ½ Σ s_i w_ijl… (X − model)², with row weights s and cell weights w. Each way has a number of components
    of its own, and the core G says how they go together; with a diagonal core it is `NTF`. The first way counts
    samples: A is what `transform` finds for new ones. Only `NTF` has ``frozen``: here the core would mix it.

    Parameters
    ----------
    ranks : int or sequence of int, default=3
        Components of each way, the first of them ``n_components_``; one number for all.
    missing : {"error", "ignore", "unstored"}, default="error"
        ``"ignore"``: NaN cells are missing. ``"unstored"``: so are cells that a sparse X does not store.
        A ``sparse.COO`` with NaN needs ``"unstored"``. Where nothing is observed of a slice, its row of the factor is
        the mean of the others, W of such a sample 1 / n_components, and a warning says so.
    n_init : int, default=1
        Random starts; the best is kept.
    max_iter : int, default=500
    tol : float, default=1e-4
        The largest KKT residual at which a fit has converged.
    max_time : float, optional
        Seconds.
    checkpoint : path, optional
        A folder; an interrupted fit goes on from there.
    random_state : int, RandomState, Generator or None
    verbose : int, default=0

    Attributes
    ----------
    core_ : ndarray of shape ranks
        G, in the units of X.
    factors_ : list of ndarray of shapes (I_d, ranks[d])
        A, B, …, with columns of norm 1 (0 where a component has vanished).
    components_ : ndarray of shape (ranks[0], I_2, …)
        The core times all factors but the first; the root mean square of each component is the mean of X. X ≈ Σ_p W_p ∘
        components_[p] with W = `transform` of X. Computed when it is asked for.
    tensor_shape_ : tuple of int
        (I_2, …).
    kkt_residual_ : float
        As for `NMF`, in units in which columns of the factors and X as a whole have norm 1.
    converged_, reconstruction_err_, restart_losses_, n_iter_, n_components_, n_features_in_, history_
        As for `NMF`; ``n_features_in_`` is I_2 ⋯ I_N.

    Notes
    -----
    X may be dense, of two ways or more, or a ``sparse.COO``, which is never made dense. Unlike `NTF`, the decomposition
    is not unique in general; zeros in core and factors make it nearly so. An iteration holds the model without one
    factor, ranks[d] / I_d times the size of a dense X. Where cells have weights or are missing, factors move by one
    Gram matrix a row, and the core on cells filled by the model: several passes over X more an iteration.

    References
    ----------
    Kim and Choi (2007), *Nonnegative Tucker decomposition*, CVPR, eq. 7. Phan and Cichocki (2011), HALS for it. Kim and
    Choi (2009), *Weighted nonnegative matrix factorization*, ICASSP, for the filled cells.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import NonnegativeTucker
    >>> rng = np.random.default_rng(0)
    >>> X = np.einsum("pqr,ip,jq,lr->ijl", *(rng.random(s) for s in [(2, 3, 2), (30, 2), (8, 3), (5, 2)]))
    >>> model = NonnegativeTucker((2, 3, 2), random_state=0).fit(X)
    >>> model.core_.shape, model.transform(X[:4]).shape
    ((2, 3, 2), (4, 2))
    """

    _parameter_constraints = {
        **{name: allowed for name, allowed in ITERATION_PARAMETERS.items() if name != "n_components"},
        "ranks": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "missing": [StrOptions({"error", "ignore", "unstored"})],
    }

    def __init__(
        self, ranks: Any = 3, *, missing: str = "error", n_init: int = 1, max_iter: int = 500, tol: float = 1e-4,
        max_time: float | None = None, checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.ranks = ranks
        self.missing = missing
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def _check_params(self) -> None:
        self._validate_params()

    def _checked_ranks(self) -> list[int]:
        ways = 1 + len(self.tensor_shape_)
        ranks = [self.ranks] * ways if isinstance(self.ranks, Integral) else list(self.ranks)
        whole = all(isinstance(rank, (int, np.integer)) and rank >= 1 for rank in ranks)
        if len(ranks) != ways or not whole:
            raise ValueError(
                f"ranks={self.ranks!r} must be {ways} integers, at least 1, one for each way of X"
            )
        return list(map(int, ranks))

    @property
    def components_(self) -> np.ndarray:
        """The core times all factors but the first, (ranks[0], I_2, …)."""
        if not hasattr(self, "core_"):
            raise AttributeError(f"this {type(self).__name__} has no components_: it is not fitted yet")
        return self._without_first(self.core_)

    def _without_first(self, core: np.ndarray) -> np.ndarray:
        found = (core.T.astype(np.float64) / self._norms).T
        for d, F in enumerate(self.factors_[1:], start=1):
            found = times_mode(found, F.astype(np.float64), d)
        return found.astype(core.dtype)

    # -- fit ------------------------------------------------------------------------------------------------

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        if W_init is not None or H_init is not None:
            raise ValueError(f"{type(self).__name__} takes no start values: leave out W_init and H_init")
        ranks = self._checked_ranks()
        summary = self._in_range(source, summary)
        weight_power, summary = weights_rescaled(source, summary)
        names = [f"F{d}" for d in range(len(ranks))]
        with workers(len(source.bounds())) as pool:
            tucker = self._tucker(source, summary, pool)
            lost = UnobservedSlices.of(tucker.tensor)
            lost.warn()

            def start(rng: np.random.Generator, first: bool) -> Arrays:
                sides = zip(self.tensor_shape_, ranks[1:], strict=True)
                rest = [rng.random((side, rank)).astype(source.float_dtype) for side, rank in sides]
                rest = [lost.cleared(d, F) for d, F in enumerate(rest, start=1)]
                core = ((summary.mean or 1.0) * rng.random(ranks)).astype(source.float_dtype)
                W = self._rows(tucker, core, rest, summary, START_TOLERANCE, START_SWEEPS)
                W += W.dtype.type(BACKGROUND * np.average(W, weights=source.row_weights, axis=0).mean())
                core, factors = tucker.balanced(core, [lost.cleared(0, W), *rest])
                return Arrays(at_rest({"core": core, **dict(zip(names, factors, strict=True))}))

            def move(at: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float, float]:
                core, factors, loss, residual = tucker.move(at["core"], [at[name] for name in names])
                core, factors = tucker.balanced(core, factors)
                return {"core": core, **dict(zip(names, factors, strict=True))}, loss, residual.relative

            def factors_of(at: Arrays) -> tuple[Any, ...]:
                return at["core"], [at[name] for name in names]

            def step(state: Arrays) -> Record:
                return checked(state, tucker, move, ["core", *names[1:]], factors_of, float(self.tol))

            best = self._search(source, start, step)
            core, factors = best.arrays["core"], [best.arrays[name] for name in names]
            if not self.converged_:
                self.kkt_residual_ = tucker.residual(core, factors).relative
        self._weigh_losses(weight_power)
        factors = [lost.filled(d, F) for d, F in enumerate(factors)]
        return self._accept(core, factors, source, summary)

    def _accept(
        self, core: np.ndarray, factors: list[np.ndarray], source: Source, summary: Summary
    ) -> np.ndarray:
        """Set core and factors, and the first factor to what `transform` finds; return W."""
        norms = [np.linalg.norm(F, axis=0) for F in factors[1:]]
        norms = [np.where(norm > 0, norm, 1) for norm in norms]
        self.factors_ = [factors[0], *(F / norm for F, norm in zip(factors[1:], norms, strict=True))]
        for d, norm in enumerate(norms, start=1):
            core = times_mode(core, np.diag(norm), d)
        self.n_components_, self._norms = len(core), np.ones(len(core))
        wide = curved = core.astype(np.float64)  # ‖G_p ×_2 B ⋯‖² from Gram matrices: components_ may be huge
        for d, F in enumerate(self.factors_[1:], start=1):
            curved = times_mode(curved, F.T.astype(np.float64) @ F, d)
        squares = (wide * curved).reshape(len(core), -1).sum(axis=1)
        cells = float(np.prod(self.tensor_shape_, dtype=np.float64))
        sizes = np.sqrt(np.maximum(squares, 0) / cells) / (summary.mean or 1.0)
        core = (core.T / np.where(sizes > 0, sizes, 1)).T
        self.core_ = times(core, -power_of(source), factors[0].dtype)
        W = self._in_units(self._codes(source, summary), source)
        norm = np.linalg.norm(W.astype(np.float64), axis=0)
        self._norms = np.where(norm > 0, norm, 1)
        self.factors_[0] = (W / self._norms).astype(W.dtype)
        self.core_ = (self.core_.T * self._norms).T.astype(W.dtype)
        return self._in_units(
            self._codes(source, summary), source
        )  # from the core as it is kept: to the bit what transform finds

    # -- rows -----------------------------------------------------------------------------------------------

    def _core_near_one(self, dtype: np.dtype) -> np.ndarray:
        """The core beside codes, by a power of two of its own: those of other data may be far from it."""
        core = (self.core_.T / self._norms).T
        return times(core, -exponent_of(core), dtype)

    def _in_units(self, codes: np.ndarray, source: Source) -> np.ndarray:
        """`_codes` as codes for ``components_``."""
        W = times(codes, -exponent_of((self.core_.T / self._norms).T) - power_of(source))
        nothing = UnobservedSlices.of(self._tensor(source)).ways[0]
        return np.where(nothing[:, None], 1 / W.shape[1], W).astype(W.dtype)

    def _codes(self, source: Source, summary: Summary) -> np.ndarray:
        """The rows nearest to X as the source hands it out, for `_core_near_one`."""
        dtype = np.dtype(source.float_dtype)
        rest = [F.astype(dtype, copy=False) for F in self.factors_[1:]]
        with workers(len(source.bounds())) as pool:
            tucker = self._tucker(source, summary, pool)
            return self._rows(tucker, self._core_near_one(dtype), rest, summary, ROW_TOLERANCE[dtype])

    def _rows(
        self, tucker: Tucker, core: np.ndarray, rest: list[np.ndarray], summary: Summary, tol: float,
        sweeps: int = MAX_SWEEPS,
    ) -> np.ndarray:  # fmt: skip
        """The first factor for a given core and given others."""
        nobody = np.zeros((1, len(core)), core.dtype)
        source = tucker.tensor.unfold(0)
        problem = Problem(
            source,
            as_loss(2),
            summary.mean or 1.0,
            summary.total_weight,
            summary.squares,
            np.zeros(len(core), bool),
        )
        return solve_rows(problem, tucker.fixed(0, core, [nobody, *rest]), tol, tucker.pool, sweeps)

    def _transform_source(self, source: Source) -> np.ndarray:
        return self._in_units(self._codes(source, self._in_range(source, source.summary())), source)

    def _score_source(self, source: Source, summary: Summary) -> float:
        summary = self._in_range(source, summary)
        W = self._codes(source, summary)
        core = self._core_near_one(W.dtype)
        factors = [W, *(F.astype(W.dtype, copy=False) for F in self.factors_[1:])]
        with workers(len(source.bounds())) as pool:
            loss = self._tucker(source, summary, pool).exact_loss(core, factors)
        return -loss_times(loss / summary.total_weight, -2 * power_of(source))

    def _tucker(self, source: Source, summary: Summary, pool: Workers) -> Tucker:
        how = TuckerCells if source.is_masked else Tucker
        return how(self._tensor(source), summary, pool)
