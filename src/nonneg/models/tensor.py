"""Non-negative tensor factorization: X as a sum of outer products of non-negative vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

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
from ..solvers.tensor import CP, khatri_rao
from ..solvers.tensor_cells import ByCells
from ..solvers.tensor_gram import ByGram
from .callbacks import with_callbacks
from .inputs import frozen_mask
from .nway import TensorFactorization
from .parameters import ITERATION_PARAMETERS
from .units import loss_times, power_of, set_floor, times, weights_rescaled
from .unobserved import UnobservedSlices

__all__ = ["NTF"]

BACKGROUND = 0.1  # of the mean of W, on top of where it starts: no component begins without rows


class NTF(TensorFactorization):
    """Non-negative tensor factorization (canonical polyadic, CP, PARAFAC) of an n-way array.

        X_ij… ≈ Σ_k λ_k A_ik B_jk ⋯ ,  A, B, … ≥ 0

    minimising Σ s_i w_ij… d(X_ij… | model), with row weights s and cell weights w. The first way counts samples: A is
    what `transform` finds for new ones. With two ways this is `NMF`.

    Parameters
    ----------
    n_components : int, default=10
        k, the number of outer products.
    loss : {"frobenius", "kl"}, default="frobenius"
        ½ (x − y)², or x log(x / y) − x + y for counts.
    missing : {"error", "ignore", "unstored"}, default="error"
        ``"ignore"``: NaN cells are missing. ``"unstored"``: so are cells that a sparse X does not store.
        A ``sparse.COO`` with NaN needs ``"unstored"``. Where nothing is observed of a slice, its row of the factor is
        the mean of the others, W of such a sample 1 / n_components, and a warning says so.
    frozen : array-like of int, optional
        Components whose columns of ``H_init`` stay bit for bit, and at the size they have there, in all ``factors_``
        but the first and in ``components_``.
    n_init : int, default=1
        Random starts; the best is kept. The loss has many local minima: more starts are worth their time.
    max_iter : int, default=500
    tol : float, default=1e-4
        The largest KKT residual (see ``kkt_residual_``) at which a fit has converged.
    max_time : float, optional
        Seconds.
    checkpoint : path, optional
        A folder; an interrupted fit goes on from there.
    random_state : int, RandomState, Generator or None
    verbose : int, default=0

    Attributes
    ----------
    factors_ : list of ndarray of shapes (I_d, n_components)
        A, B, …, with columns of norm 1 (0 where a component has vanished), but for ``frozen`` ones.
    weights_ : ndarray of shape (n_components,)
        λ, in the units of X.
    components_ : ndarray of shape (n_components, I_2, …)
        The outer products of all factors but the first, at one size: the root mean square of each is the mean of X
        (``frozen`` ones at their own size).
        X ≈ Σ_k W_k ∘ components_[k] with W = `transform` of X. Computed when it is asked for; it is dense.
    tensor_shape_ : tuple of int
        (I_2, …).
    kkt_residual_, converged_, reconstruction_err_, restart_losses_, n_iter_, n_components_, n_features_in_, history_
        As for `NMF`; ``n_features_in_`` is I_2 ⋯ I_N.

    Notes
    -----
    X may be anything that `NMF` takes, a dense array of three ways or more, or a ``sparse.COO``, which is never made
    dense; ``weights`` have X's shape. For KL, and where cells have weights, an iteration holds the Khatri–Rao product
    of all factors but one, k / I_d times the size of a dense X: short ways cost memory there.

    A sum of k outer products is, unlike a product of two matrices, mostly unique up to order and scale. But k too large
    invites components that resemble each other.

    References
    ----------
    Shashua and Hazan (2005), *Non-negative tensor factorization with applications to statistics and computer vision*,
    ICML, eq. 1. Cichocki and Phan (2009), HALS. Ang and Gillis (2019), extrapolation. Chi and Kolda (2012), KL on
    sparse counts.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import NTF
    >>> rng = np.random.default_rng(0)
    >>> A, B, C = rng.random((30, 2)), rng.random((8, 2)), rng.random((5, 2))
    >>> X = np.einsum("ik,jk,lk->ijl", A, B, C)
    >>> model = NTF(2, random_state=0).fit(X)
    >>> [F.shape for F in model.factors_], model.transform(X[:3]).shape
    ([(30, 2), (8, 2), (5, 2)], (3, 2))
    """

    _lengths: list[np.ndarray] | None = None  # of frozen columns
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "loss": [StrOptions({"frobenius", "kl"})],
        "missing": [StrOptions({"error", "ignore", "unstored"})],
        "frozen": ["array-like", None],
    }

    def __init__(
        self, n_components: int = 10, *, loss: str = "frobenius", missing: str = "error", frozen: Any = None,
        n_init: int = 1, max_iter: int = 500, tol: float = 1e-4, max_time: float | None = None,
        checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.loss = loss
        self.missing = missing
        self.frozen = frozen
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    @property
    def components_(self) -> np.ndarray:
        """The outer products of all factors but the first, (n_components, I_2, …)."""
        if not hasattr(self, "factors_"):
            raise AttributeError(f"this {type(self).__name__} has no components_: it is not fitted yet")
        dtype = self.factors_[0].dtype
        parts = khatri_rao([F.astype(np.float64) for F in self.factors_[1:]])
        parts = (
            parts.T * self._size if self._lengths is None else (parts * np.where(self._held, 1, self._size)).T
        )
        return parts.reshape(-1, *self.tensor_shape_).astype(dtype)

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        beta, frozen = as_loss(self.loss).beta, frozen_mask(self.frozen, int(self.n_components), H_init)
        summary = self._in_range(source, summary)
        weight_power, summary = weights_rescaled(source, summary)
        set_floor(source, summary, beta)
        given = self._start_values(W_init, H_init, source)
        with workers(len(source.bounds())) as pool:
            cp = self._cp(source, summary, pool)
            cp.frozen = frozen
            names = [f"F{d}" for d in cp.tensor.modes]
            lost = UnobservedSlices.of(cp.tensor)
            lost.warn()

            def start(rng: np.random.Generator, first: bool) -> Arrays:
                factors = [
                    rng.random((side, cp.k)).astype(source.float_dtype) if F is None else F
                    for side, F in zip(self.tensor_shape_, given[1:], strict=True)
                ]
                factors = [lost.cleared(d, F, frozen) for d, F in enumerate(factors, start=1)]
                W = given[0]
                if W is None:
                    W = self._rows(cp, factors, summary, START_TOLERANCE, START_SWEEPS)
                    W += W.dtype.type(BACKGROUND * np.average(W, weights=source.row_weights, axis=0).mean())
                factors = [lost.cleared(0, W), *factors]
                return Arrays(at_rest(dict(zip(names, cp.balanced(factors), strict=True))))

            def move(at: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], float, float]:
                factors, loss, residual = cp.move([at[name] for name in names])
                return dict(zip(names, cp.balanced(factors), strict=True)), loss, residual.relative

            def factors_of(at: Arrays) -> tuple[Any, ...]:
                return ([at[name] for name in names],)

            def step(state: Arrays) -> Record:
                return checked(state, cp, move, names[1:], factors_of, float(self.tol))

            best = self._search(source, start, step, degree=beta, given=tuple(given))
            factors = [best.arrays[name] for name in names]
            if not self.converged_:
                self.kkt_residual_ = cp.residual(factors).relative
        self._weigh_losses(weight_power)
        factors = [lost.filled(d, F) for d, F in enumerate(factors)]
        return self._accept(factors, source, summary, frozen, self._factors_of(H_init))

    def _accept(
        self,
        factors: list[np.ndarray],
        source: Source,
        summary: Summary,
        frozen: np.ndarray,
        given: list[Any],
    ) -> np.ndarray:
        """Set the factors, free columns of norm 1, and the first one to what `transform` finds; return W."""
        norms = [np.linalg.norm(F, axis=0) for F in factors]
        self.factors_ = [F / np.where(norm > 0, norm, 1) for F, norm in zip(factors, norms, strict=True)]
        self.n_components_ = int(self.n_components)
        power, cells = power_of(source), float(np.prod(self.tensor_shape_, dtype=np.float64))
        self._lengths = None
        if frozen.any():
            self._held = frozen
            given = [np.asarray(G).astype(F.dtype) for F, G in zip(factors[1:], given, strict=True)]
            for F, G in zip(self.factors_[1:], given, strict=True):
                F[:, frozen] = G[:, frozen]
            self._lengths = [np.where(frozen, _lengths(G), 1) for G in given]
        self._size = float(np.ldexp((summary.mean or 1.0) * np.sqrt(cells), -power))
        codes = self._codes(source, summary)
        norm = np.linalg.norm(codes.astype(np.float64), axis=0)
        self.factors_[0] = (codes / np.where(norm > 0, norm, 1)).astype(codes.dtype)
        self.weights_ = times(norm / self._outer_lengths(), -power)
        return self._in_size(codes, source)

    def _outer_lengths(self) -> Any:
        """Norms of the outer products of frozen columns; 1 for free components, whose columns have norm 1."""
        return 1 if self._lengths is None else np.prod(self._lengths, axis=0)

    def _units(self, dtype: np.dtype) -> list[np.ndarray]:
        """All factors but the first, with columns of norm 1."""
        factors = self.factors_[1:]
        if self._lengths is None:
            return [F.astype(dtype, copy=False) for F in factors]
        sized = zip(factors, self._lengths, strict=True)
        return [(F.astype(np.float64) / lengths).astype(dtype) for F, lengths in sized]

    def _part_sizes(self) -> np.ndarray:
        if self._lengths is None:
            return super()._part_sizes()
        return np.where(self._held, self._outer_lengths() / self._size, 1)[:, None]

    def _start_values(self, W_init: Any, H_init: Any, source: Source) -> list[np.ndarray | None]:
        k, sides = int(self.n_components), self.tensor_shape_
        if W_init is not None and H_init is None:
            raise ValueError("W_init was given without H_init; give both, or H_init alone")
        if H_init is None:
            return [None] * (1 + len(sides))
        H_init = self._factors_of(H_init)
        if len(H_init) != len(sides):
            raise ValueError(
                f"H_init has {len(H_init)} factors, expected {len(sides)}, one for each way but the first"
            )
        powers = [power_of(source)] + [0] * (len(sides) - 1)
        factors = [
            self._start_value("H_init", F, (side, k), source, power=power)
            for F, side, power in zip(H_init, sides, powers, strict=True)
        ]
        return [self._start_value("W_init", W_init, (source.shape[0], k), source), *factors]

    def _factors_of(self, H_init: Any) -> Any:
        """One array for each way but the first, as the user gave them."""
        if len(self.tensor_shape_) == 1 and H_init is not None and np.ndim(H_init) == 2:
            return [np.asarray(H_init).T]
        return H_init

    def _codes(self, source: Source, summary: Summary) -> np.ndarray:
        """The rows that, with the other factors at norm 1, are nearest to X as the source hands it out."""
        dtype = np.dtype(source.float_dtype)
        with workers(len(source.bounds())) as pool:
            factors, cp = self._units(dtype), self._cp(source, summary, pool)
            codes = self._rows(cp, factors, summary, ROW_TOLERANCE[dtype])
        nothing = UnobservedSlices.of(cp.tensor).ways[0][:, None]
        return np.where(nothing, self._sizes(source) / cp.k, codes).astype(dtype)  # W = 1 / k there

    def _rows(
        self, cp: CP, factors: list[np.ndarray], summary: Summary, tol: float, sweeps: int = MAX_SWEEPS
    ) -> np.ndarray:
        """The first factor for given others."""
        source, free = cp.tensor.unfold(0), np.zeros(cp.k, bool)
        problem = Problem(source, as_loss(self.loss), cp.unit, summary.total_weight, summary.squares, free)
        return solve_rows(problem, cp.fixed(0, [factors[0], *factors]), tol, cp.pool, sweeps)

    def _cp(self, source: Source, summary: Summary, pool: Workers) -> CP:
        beta = as_loss(self.loss).beta
        how = ByGram if beta == 2 and not source.is_masked else ByCells
        return how(self._tensor(source), beta, summary, int(self.n_components), pool)

    def _in_size(self, codes: np.ndarray, source: Source) -> np.ndarray:
        """Codes for components of norm 1 as codes for ``components_``."""
        with np.errstate(over="ignore"):  # infinite where frozen components lie so far below X
            return (codes / self._sizes(source)).astype(codes.dtype)

    def _sizes(self, source: Source) -> Any:
        """The norms of ``components_``, in the units of the source."""
        size = (
            self._size if self._lengths is None else np.where(self._held, self._outer_lengths(), self._size)
        )
        return np.ldexp(size, power_of(source))

    def _prepared(self, source: Source, summary: Summary) -> Summary:
        summary = self._in_range(source, summary)
        set_floor(source, summary, as_loss(self.loss).beta)
        return summary

    def _transform_source(self, source: Source) -> np.ndarray:
        summary = self._prepared(source, source.summary())
        return self._in_size(self._codes(source, summary), source)

    def _score_source(self, source: Source, summary: Summary) -> float:
        summary = self._prepared(source, summary)
        codes = self._codes(source, summary)
        factors = self._units(codes.dtype)
        with workers(len(source.bounds())) as pool:
            cp = self._cp(source, summary, pool)
            loss = cp.exact_loss([codes, *factors])
        return -loss_times(loss / summary.total_weight, -power_of(source) * cp.beta)


def _lengths(F: np.ndarray) -> np.ndarray:
    """Norms of the columns, 1 where they are 0; also of columns whose squares are no floats."""
    largest = F.max(axis=0).astype(np.float64)
    largest = np.where(largest > 0, largest, 1)
    norms = np.linalg.norm(F / largest, axis=0) * largest
    return np.where(norms > 0, norms, 1)
