"""Separable NMF: X ≈ W H where the rows of H are rows of X."""

from __future__ import annotations

import time
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from ..data import Source, Summary
from ..data.centred import Centred
from ..data.threads import workers
from ..exceptions import warn_user
from ..init.picks import PICKS, Rows, pick
from ..solvers.least_squares import nonnegative_rows
from .base import Factorization
from .codes import near_one
from .units import loss_times, power_of, rescaled, times

__all__ = ["SeparableNMF"]

LEAST = 1e-100  # of the largest sum: smaller rows have no squares


class SeparableNMF(Factorization):
    """Separable NMF: finds rows of X of which all others are mixtures.

        X ≈ W H,   H = X[row_indices_],   W ≥ 0

    X is separable when such *pure* rows are among its rows: pixels of one material, documents of one topic. Then they
    are found one after the other, without start values, local optima or iterations: each is the row farthest from those
    picked before it. W minimises ½ ‖X − W H‖² exactly. A pick costs one or two products of X with one column.

    Parameters
    ----------
    n_components : int, default=10
        k, how many rows are picked. Fewer come, with a warning, when the rest are mixtures of those picked.
    method : {"spa", "snpa", "xray"}, default="spa"
        Farthest from what: the subspace of the picked rows ("spa", the fastest; at most rank(X) rows), their convex
        hull with 0 ("snpa", less disturbed by noise), or their cone ("xray", which goes to the extreme ray that the
        residual points to). The last two also find pure rows that depend on each other linearly.
    normalize : bool, default=True
        Whether rows are divided by their sums before rows are picked, so that a large mixture is not taken for a pure
        row. Without it rows of W are supposed to have Σ_k w_ik ≤ 1; better where rows near 0 are nothing but noise.
        W and H are those of X as it is.

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features_in_)
        H.
    row_indices_ : ndarray of shape (n_components_,)
        Which rows of X they are, in the order in which they were found.
    history_ : dict
        One record a pick: ``iteration``, ``row``, ``residual`` (the distance of the row farthest from those picked so
        far, as a share of the largest norm) and ``seconds``.
    reconstruction_err_ : float
        ‖X − W H‖, rows with their weights.
    n_components_, n_iter_ : int
        Rows that were picked.
    converged_ : bool
        Whether as many as asked for were.

    Raises
    ------
    ValueError
        For ``W_init`` or ``H_init``: there is nothing to start from.

    Notes
    -----
    Outliers are far from everything and are picked: look at ``row_indices_``. With noise of size ε, "spa" finds rows
    within O(ε κ²) of the pure ones, κ the condition number of H (Gillis & Vavasis 2014, theorem 3). A good start for
    `NMF`: ``NMF(k).fit(X, H_init=model.components_)``. A row weight does not change what is picked unless it is 0.

    References
    ----------
    Araújo et al. (2001), The successive projections algorithm for variable selection, Chemom. Intell. Lab. Syst. 57;
    Gillis & Vavasis (2014), Fast and robust recursive algorithms for separable NMF, IEEE TPAMI 36, algorithm 1; Gillis
    (2014), Successive nonnegative projection algorithm for robust nonnegative blind source separation, SIAM J. Imaging
    Sci. 7; Kumar, Sindhwani & Kambadur (2013), Fast conical hull algorithms for near-separable NMF, ICML,
    algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import SeparableNMF
    >>> rng = np.random.default_rng(0)
    >>> pure, mixed = rng.random((3, 8)), rng.random((40, 3))
    >>> X = np.concatenate([mixed @ pure, pure])
    >>> model = SeparableNMF(3, method="snpa").fit(X)
    >>> sorted(model.row_indices_.tolist())
    [40, 41, 42]
    """

    _takes_weights = False
    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions(set(PICKS))],
        "normalize": ["boolean"],
    }

    def __init__(self, n_components: int = 10, *, method: str = "spa", normalize: bool = True) -> None:
        self.n_components = n_components
        self.method = method
        self.normalize = normalize

    def _check_params(self) -> None:
        self._validate_params()
        super()._check_params()

    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        if W_init is not None or H_init is not None:
            raise ValueError("W_init and H_init: separable NMF has no start; leave them out")
        rescaled(source, summary)
        k, began, records = int(self.n_components), time.perf_counter(), []
        with workers(len(source.bounds())) as pool:
            X = Centred(source, pool, centred=False)
            eps = float(np.finfo(source.float_dtype).eps)
            for row, left in pick(self._rows_of(X), k, self.method, eps):
                records.append((row, left, time.perf_counter() - began))
        if not records:  # X = 0
            records.append((int(X.weights.argmax()), 0.0, time.perf_counter() - began))
        rows, residuals, seconds = (np.array(column) for column in zip(*records, strict=True))
        self.row_indices_ = rows.astype(np.int64)
        self.n_components_ = self.n_iter_ = len(rows)
        self.converged_ = len(rows) == k
        self.history_ = {
            "iteration": np.arange(1, len(rows) + 1),
            "row": self.row_indices_.copy(),
            "residual": residuals,
            "seconds": seconds,
        }
        self.components_ = times(source.take(rows), -power_of(source))
        W, error = self._rows(source)
        self.reconstruction_err_ = loss_times(error, -power_of(source))
        if len(rows) < k:
            warn_user(
                f"SeparableNMF picked {len(rows)} rows, not n_components={k}: what is left of the others is rounding; "
                "lower n_components" + (', or take method="snpa"' if self.method == "spa" else "")
            )
        return W

    def _rows_of(self, X: Centred) -> Rows:
        """The rows to pick from, in the units in which they are compared."""
        sums = X.right(np.ones((X.source.shape[1], 1)))[:, 0]
        able = (sums > LEAST * sums.max()) & (X.weights > 0)
        share = (
            np.divide(1.0, sums, out=np.zeros_like(sums), where=able)
            if self.normalize
            else able.astype(float)
        )
        return Rows(
            X.squares * share**2,
            lambda B: X.right(B) * share[:, None],
            lambda i: X.take(np.array([i]))[0] * share[i],
            sums * share,
        )

    def _rows(self, source: Source) -> tuple[np.ndarray, float]:
        """W, and ‖X − W H‖ in the units of ``source``."""
        H, P, power = near_one(self.components_, source)
        G = H @ H.T
        V = nonnegative_rows(G, P, 0.0, np.inf, 1e-10)
        W = times(V, power)
        if not source.is_sparse:
            return W, float(np.sqrt(2 * self._half_squares(source, W)))
        V = V.astype(np.float64)
        # the difference has as many cells as a dense X; its square does without them
        gained = np.einsum("ij,ij->i", V, 2 * P - V @ G)
        gained = gained.sum() if source.row_weights is None else gained @ source.row_weights
        return W, float(np.sqrt(max(source.summary().squares - gained, 0.0)))

    def _transform_source(self, source: Source) -> np.ndarray:
        rescaled(source, source.summary())
        return self._rows(source)[0]
