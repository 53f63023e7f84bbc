"""Kernel NMF: convex NMF of the images of the rows in the feature space of a kernel."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.utils._param_validation import Interval, StrOptions

from ..data import Source, Summary
from ..exceptions import IncompatibleError
from ..solvers.convex import Gram, largest, lowest, normalized
from ..solvers.least_squares import nonnegative_rows
from .callbacks import with_callbacks
from .convex import descent
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import exponent_of, power_of, times
from .unweighted import UnweightedFactorization

__all__ = ["KernelNMF"]


class KernelNMF(UnweightedFactorization, IterativeFactorization):
    r"""Kernel NMF: images of the rows in a feature space as non-negative sums of convex combinations of such images.

    .. math:: \min_{W \ge 0,\; C \ge 0} \tfrac12 \lVert φ(X) - W C φ(X) \rVert^2, \qquad \sum_i C_{ji} = 1

    Only K = φ(X) φ(X)ᵀ enters, the kernel of all pairs of rows: an array (n, n) is held. Non-linear structure (rings,
    say) is linear in φ. New rows enter by their kernel with the training rows.

    Parameters
    ----------
    n_components : int, default 10
        k.
    kernel : {"rbf", "polynomial", "precomputed"} or callable, default "rbf"
        exp(−γ ‖x − y‖²), (γ x·y + ``coef0``)^``degree``, or X itself is the kernel: (n, n), symmetric and positive
        semidefinite, in ``fit``, and (n_new, n) in ``transform``. A callable takes A (a, m) and B (b, m), sparse where
        X is, and returns (a, b).
    gamma : float or None, default None
        γ; None is 1 / m. It is in units of 1 / X²: scale the columns first.
    degree : int, default 3
        Of the polynomial.
    coef0 : float, default 1
        Constant of the polynomial.
    solver : {"pg", "mu"}, default "pg"
        Projected gradient steps with extrapolation, or multiplicative updates.
    n_init : int, default 1
        Starts, of which the best is kept; see `ConvexNMF`.
    max_iter : int, default 500
    tol : float, default 1e-4
        The fit ends when the KKT residual, relative and without units, is at most this.
    max_time : float or None, default None
        Seconds.
    checkpoint : path or None, default None
        A folder from which the same fit goes on where it stopped.
    random_state : int, RandomState, Generator or None, default None
    verbose : int, default 0

    Attributes
    ----------
    coefficients_ : ndarray of shape (n_components, n_samples)
        C; rows sum to 1.
    components_ : ndarray of shape (n_components, n_features_in_)
        C X. The parts are C φ(X), which in general are the images of no row: C X shows where the rows are that
        they are made of, and is no pre-image. With ``kernel="precomputed"``, C K: the kernel of parts and training
        rows.
    component_kernel_ : ndarray of shape (n_components, n_components)
        C K Cᵀ.
    support_ : ndarray of int
        Training rows with a coefficient above 0: ``transform`` needs only these.
    n_components_, n_iter_ : int
    converged_ : bool
    kkt_residual_ : float
    reconstruction_err_ : float
        ‖φ(X) − W C φ(X)‖ at the last iteration.
    restart_losses_ : ndarray of shape (n_init,)
    history_ : dict of ndarray
        ``iteration, loss, kkt, change, seconds``.

    Raises
    ------
    ValueError
        For kernels that are not finite, not symmetric, or no scalar products (K_ij² > K_ii K_jj, or vᵀ K v < 0 for
        a v that thirty power iterations find).

    Notes
    -----
    There is no ``inverse_transform``: pre-images need not exist. ``score`` is −½ of the mean squared distance in the
    feature space, comparable within one kernel only. Memory is n² numbers, an iteration costs n² k. A γ too
    large makes all rows orthogonal to each other, one too small makes them all the same: look at K.

    References
    ----------
    Zhang, Zhou, Chen (2006), *Non-negative matrix factorization on kernels*, PRICAI (the idea). Ding, Li, Jordan
    (2010), *Convex and semi-nonnegative matrix factorizations*, IEEE TPAMI 32 (this problem, kernel NMF there). Buciu,
    Nikolaidis, Pitas (2008), *Nonnegative matrix factorization in polynomial feature space*, IEEE Trans. Neural
    Networks 19.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import KernelNMF
    >>> angle = np.linspace(0, 6.2, 60)
    >>> ring = np.c_[np.cos(angle), np.sin(angle)]
    >>> model = KernelNMF(6, gamma=4, random_state=0)
    >>> labels = model.fit_transform(np.vstack([ring, 3 * ring])).argmax(axis=1)
    >>> set(labels[:60]) & set(labels[60:])
    set()
    """

    _any_sign = True
    _takes_weights = False
    _why_unweighted = "only the kernel of pairs of rows enters, in which a row has no term of its own"
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "kernel": [StrOptions({"rbf", "polynomial", "precomputed"}), callable],
        "gamma": [Interval(Real, 0, None, closed="neither"), None],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "coef0": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"pg", "mu"})],
    }

    def __init__(
        self, n_components: int = 10, *, kernel: str | Callable[[Any, Any], np.ndarray] = "rbf",
        gamma: float | None = None, degree: int = 3, coef0: float = 1.0, solver: str = "pg", n_init: int = 1,
        max_iter: int = 500, tol: float = 1e-4, max_time: float | None = None, checkpoint: Any = None,
        random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.solver = solver
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def _extents(self) -> np.ndarray:
        return np.sqrt(np.maximum(np.diag(self.component_kernel_), 0))[:, None]

    _part_sizes = _extents

    def __sklearn_tags__(self) -> Any:
        """Pairwise where X is the kernel."""
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.kernel == "precomputed"
        return tags

    @property
    def inverse_transform(self) -> Any:  # type: ignore[override]
        """There is none: pre-images need not exist."""
        raise AttributeError("KernelNMF has no inverse_transform: its parts have no pre-images")

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        if H_init is not None:
            raise ValueError("H_init: the parts of KernelNMF are made of rows of X; give W_init, or nothing")
        k, n, given = int(self.n_components), source.shape[0], self.kernel == "precomputed"
        W0 = self._start_value("W_init", W_init, (n, k), source)
        if given:
            self._in_range(source, summary)
        X = _all_rows(source)
        K = _checked(X.toarray() if sp.issparse(X) else X, "X") if given else self._kernel(X, X)
        gram = Gram(lambda V: K @ V, np.ascontiguousarray(K.diagonal()), largest(K))
        start, step = descent(gram, k, self.solver, W0)

        def parts(C: np.ndarray) -> dict[str, Any]:
            C = normalized(C)
            power = -power_of(source) if given else 0
            return {
                "components_": times(np.ascontiguousarray((X.T @ C).T), power),
                "coefficients_": C.T.copy(),
                "component_kernel_": times(C.T @ (K @ C), power),
                "support_": np.flatnonzero(C.any(axis=1)),
                "n_components_": k,
            }

        def fitted(arrays: Any) -> dict[str, Any]:
            found = parts(arrays["C"])
            return {**found, "_support_rows": None if given else _kept(X[found["support_"]])}

        best = self._search(source, start, step, degree=1.0 if given else 0.0, given=(W0,), fitted=fitted)
        for name, value in fitted(best.arrays).items():
            setattr(self, name, value)
        return self._transform_source(source)

    def _kernel(self, A: Any, B: Any) -> np.ndarray:
        """The kernel of two sets of rows."""
        if callable(self.kernel):
            return _checked(np.asarray(self.kernel(A, B)), "kernel", (A.shape[0], B.shape[0]), A is B)
        # rbf and polynomial know X by squares and products alone: a power of two moves to γ
        power = -max(exponent_of(abs(V.data if sp.issparse(V) else V)) for V in (A, B))
        gamma = 1 / A.shape[1] if self.gamma is None else float(self.gamma)
        with np.errstate(over="ignore"):
            gamma = min(float(np.ldexp(gamma, -2 * power)), float(np.finfo(A.dtype).max))
        A, B = (V if power == 0 else V * V.dtype.type(2.0**power) for V in (A, B))
        with np.errstate(over="ignore", invalid="ignore"):
            if self.kernel == "rbf":
                return _checked(rbf_kernel(A, B, gamma=gamma), "kernel='rbf'")
            K = polynomial_kernel(A, B, degree=self.degree, gamma=gamma, coef0=self.coef0)
        return _checked(K.astype(A.dtype, copy=False), "kernel='polynomial'")

    def _products(self, source: Source) -> np.ndarray:
        """φ(X) (C φ(training rows))ᵀ of shape (n, k)."""
        C = self.coefficients_[:, self.support_].T.astype(source.float_dtype)
        found = np.zeros((source.shape[0], C.shape[1]), source.float_dtype)
        if not len(C):
            return found
        rows = None if self._support_rows is None else _given_back(self._support_rows, source.float_dtype)
        for block in source.blocks():
            K = block.X[:, self.support_] if rows is None else self._kernel(block.X, rows)
            found[block.rows] = K @ C
        return found

    def _transform_source(self, source: Source) -> np.ndarray:
        power = 0
        if self.kernel == "precomputed":
            self._in_range(source, source.summary())
            power = power_of(source)
        G = times(self.component_kernel_, power, source.float_dtype)
        return nonnegative_rows(G, self._products(source), 0.0, np.inf, 1e-10)

    def _score_source(self, source: Source, summary: Summary) -> float:
        """Minus half the mean squared distance of φ(x) and w C φ(X)."""
        if self.kernel == "precomputed":
            raise IncompatibleError(
                "score needs the kernel of each new row with itself, which kernel='precomputed' does not know; "
                "see reconstruction_err_ for the training rows"
            )
        W, P, total = self._transform_source(source), self._products(source), 0.0
        explained = 2 * np.einsum("ij,ij->i", W, P) - np.einsum("ij,jl,il->i", W, self.component_kernel_, W)
        for block in source.blocks():
            own = [self._kernel(row, row)[0, 0] for row in (block.X[[i]] for i in range(block.X.shape[0]))]
            gap = np.asarray(own, np.float64) - explained[block.rows]
            total += float(gap.sum() if block.row_weights is None else gap @ block.row_weights)
        weight = source.shape[0] if source.row_weights is None else float(source.row_weights.sum())
        return -0.5 * total / weight


def _all_rows(source: Source) -> Any:
    blocks = [block.X for block in source.blocks()]
    return sp.vstack(blocks, format="csr") if source.is_sparse else np.concatenate(blocks)


def _checked(
    K: np.ndarray, what: str, shape: tuple[int, int] | None = None, square: bool = False
) -> np.ndarray:
    """K, if it is finite, and what a Gram matrix must be where it is one."""
    if shape is not None and K.shape != shape:
        raise ValueError(f"{what} returned an array of shape {K.shape}, expected {shape}")
    if not np.isfinite(K).all():
        raise ValueError(f"{what} is not finite for some rows of X; divide X by its size, or set gamma")
    if shape is None and what != "X":
        return K
    if what == "X" or square:
        if K.shape[0] != K.shape[1]:
            raise ValueError(f"X must be a square kernel for kernel='precomputed', got shape {K.shape}")
        size = np.sqrt(np.maximum(K.diagonal(), 0))
        slack = 1e-4 * max(float(np.abs(K).max(initial=0)), float(np.finfo(K.dtype).tiny))
        if (np.abs(K - K.T) > slack).any():
            raise ValueError(f"{what} is no kernel of the training rows: it is not symmetric")
        if (np.abs(K) > np.outer(size, size) + slack).any():
            raise ValueError(f"{what} is no kernel: some |K_ij| exceed the root of K_ii K_jj")
        least = lowest(K)
        rounding = 64 * float(np.finfo(K.dtype).eps) * float(np.linalg.norm(K))
        if least < -max(slack, rounding):
            raise ValueError(
                f"{what} is no kernel: vᵀ K v = {least:.3g} for some unit vector v, beside cells up to "
                f"{float(np.abs(K).max()):.3g}; take a positive semidefinite one, or raise its diagonal"
            )
    return np.ascontiguousarray(K)


def _kept(rows: Any) -> Any:
    """Rows as what files can hold."""
    if not sp.issparse(rows):
        return np.ascontiguousarray(rows)
    return {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr, "shape": list(rows.shape)}


def _given_back(rows: Any, dtype: Any) -> Any:
    if isinstance(rows, np.ndarray):
        return rows.astype(dtype)
    parts = (rows["data"].astype(dtype), rows["indices"], rows["indptr"])
    return sp.csr_array(parts, shape=tuple(rows["shape"]))
