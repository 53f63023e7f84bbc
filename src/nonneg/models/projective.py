"""Projective NMF: X ≈ X Hᵀ H, codes that are sums of features."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import Source, Summary, as_source
from ..data.products import Products
from ..data.threads import workers
from ..init.nndsvd import nndsvd
from ..init.random import random
from ..solvers.iterate import Arrays
from ..solvers.kkt import relative_residual
from ..solvers.step import Record, relative_change
from .affinity import matrix_of
from .callbacks import with_callbacks
from .inputs import start_value
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import power_of, times

__all__ = ["ProjectiveNMF"]


class ProjectiveNMF(IterativeFactorization):
    """Projective NMF: the least ½ Σ s_i ‖x_i − x_i Hᵀ H‖² over H ≥ 0.

    Codes are W = X Hᵀ: no problem is solved for new rows, they are multiplied. Where PCA projects onto orthonormal
    directions of any sign, this projects onto non-negative ones, and they come out nearly orthogonal by themselves:
    parts that hardly share features, sparser than those of `NMF`, for a somewhat larger loss.

    The method is coordinate descent: in one entry of H the objective is a quartic, which a cubic equation
    minimises. It never rises, without the exponents and normalisations that multiplicative updates need for that.
    It walks over columns of X: data on disk are read into memory.

    Parameters
    ----------
    n_components : int, default=10
    n_init : int, default=1
        Starts: the first from the singular value decomposition, the others random; the lowest loss is kept.
    max_iter, tol, max_time, checkpoint, random_state, verbose
        As for `NMF`.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_in_)
        H, without unit.
    n_iter_, converged_, kkt_residual_, reconstruction_err_, history_, restart_losses_
        As for `NMF`.

    Notes
    -----
    ``H_init`` starts the fit; ``W_init`` is refused, since W follows from H.

    References
    ----------
    Yuan & Oja (2005), Projective nonnegative matrix factorization for image compression and feature extraction, SCIA;
    and Yang & Oja (2010), Linear and nonlinear projective nonnegative matrix factorization, IEEE Trans. Neural
    Networks 21. Both use multiplicative updates, of which the first rises at times.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import ProjectiveNMF
    >>> X = np.kron(np.eye(2), np.ones((3, 2)))
    >>> model = ProjectiveNMF(2, random_state=0).fit(X)
    >>> bool(np.allclose(model.components_ @ model.components_.T, np.eye(2), atol=1e-3))
    True
    """

    _takes_weights = False
    _parameter_constraints = ITERATION_PARAMETERS

    def __init__(
        self, n_components: int = 10, *, n_init: int = 1, max_iter: int = 500, tol: float = 1e-4,
        max_time: float | None = None, checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.n_init = n_init
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
        if W_init is not None:
            raise ValueError("W_init has no place in ProjectiveNMF: W is X Hᵀ; give H_init instead")
        summary = self._in_range(source, summary)
        k, (n, m) = int(self.n_components), source.shape
        given = start_value("H_init", H_init, (k, m), source)
        s = np.ones(n) if source.row_weights is None else source.row_weights.astype(np.float64)
        columns = _columns(source)

        def start(rng: np.random.Generator, first: bool) -> dict[str, np.ndarray]:
            found = (nndsvd if first else random)(source, summary, k, rng) if given is None else given
            V = np.ascontiguousarray(found.T, np.float64)
            if given is None:
                norms = np.linalg.norm(V, axis=0)
                V /= np.where(norms > 0, norms, 1)
            Y = _codes(source, V)
            C, A = (Y * s[:, None]).T @ Y, V.T @ V
            both = float(np.vdot(A, C))
            return {"V": V * np.sqrt(np.trace(C) / both) if both > 0 else V}  # the best multiple of H Hᵀ

        def step(state: Arrays) -> Record:
            V = state["V"].copy()
            Y = _codes(source, V)
            _sweep(columns, s, V, Y)
            moved = float(np.linalg.norm(V - state["V"]))
            state["V"] = V
            A, R = V.T @ V, np.zeros((m, k))
            C = np.zeros((k, k))
            for block in source.blocks():
                codes = block.X @ V
                weighted = codes * s[block.rows, None]
                C += weighted.T @ codes
                R += block.X.T @ weighted
            loss = 0.5 * summary.squares - np.trace(C) + 0.5 * float(np.vdot(A, C))
            residual = relative_residual(V, 2 * R, R @ A + V @ C)
            return Record(max(float(loss), 0.0), residual, relative_change(moved, float(np.linalg.norm(V))))

        best = self._search(source, start, step, given=(given,))
        self.components_ = np.ascontiguousarray(best.arrays["V"].T.astype(source.float_dtype))
        self.n_components_ = k
        return self._rows(source)

    def _rows(self, source: Source) -> np.ndarray:
        with workers(len(source.bounds())) as pool:
            W = Products(source, pool).right(self.components_.T.astype(source.float_dtype))
        return times(W, -power_of(source))

    def _transform_source(self, source: Source) -> np.ndarray:
        self._in_range(source, source.summary())
        return self._rows(source)


def _columns(source: Source) -> Source:
    """The columns of the data as rows; data on disk are read for it."""
    held = source if source.in_memory else as_source(matrix_of(source))
    return held.columns()


def _codes(source: Source, V: np.ndarray) -> np.ndarray:
    """X V in float64."""
    return np.concatenate([block.X @ V for block in source.blocks()])


def _sweep(columns: Source, s: np.ndarray, V: np.ndarray, Y: np.ndarray) -> None:
    """Move every row of V once, in place; Y follows."""
    from ..kernels.projective import sweep_dense, sweep_sparse

    A, C = V.T @ V, (Y * s[:, None]).T @ Y
    for block in columns.blocks():
        X = block.X
        if block.is_sparse:
            sweep_sparse(X.data, X.indices, X.indptr, s, V, Y, A, C, block.start)
        else:
            sweep_dense(X, s, V, Y, A, C, block.start)
