"""Semi-NMF: X ≈ W H with W ≥ 0 and H of any sign."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from ..data import Source, Summary
from ..data.filled import Filled, column_means
from ..data.products import Products
from ..data.threads import workers
from ..exceptions import warn_user
from ..init.nndsvd import EXACT, randomized_svd
from ..solvers.halfspace import nonnegative_basis
from ..solvers.iterate import Arrays
from ..solvers.momentum import at_rest, checked
from ..solvers.semi import ByCells, ByGram, cell_codes
from ..solvers.step import Record
from .callbacks import with_callbacks
from .codes import nonnegative_codes
from .inputs import frozen_mask
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import exponent_of, loss_times, power_of, times
from .unobserved import Unobserved

__all__ = ["SemiNMF"]

WAVES = 3.0  # radians that a row one standard deviation from the mean is away from it, in `_waves`
CLOSE = 1e-6  # a loss that is larger than the SVD's by this share of it attains it


class SemiNMF(IterativeFactorization):
    r"""Semi-NMF: non-negative amounts of parts of any sign.

    .. math:: \min_{W \ge 0,\; H} \tfrac12 \sum_{ij} s_i\, v_{ij} (X_{ij} - (W H)_{ij})^2

    X (n, m) may have any sign; s are the weights of rows and v those of cells, 1 unless given. In turn, H is solved for
    exactly and rows of W move by coordinate descent (HALS), with extrapolation. The start is an SVD: if the rows of the
    rank-k SVD lie in a half-space, a change of basis makes W non-negative, and no better factorization of rank k
    exists; if not, the SVD of rank k − 1 and one component more always give a non-negative W, and the fit goes on from
    there.

    Parameters
    ----------
    n_components : int, default 10
        k.
    n_init : int, default 1
        Starts, of which the best is kept; those after the first take what is positive of the SVD turned at random.
        Where cells are missing or weighted all are random, the first always the same.
    missing : {"error", "ignore", "unstored"}, default "error"
        ``"ignore"``: NaN cells have no influence. ``"unstored"``: neither have cells a sparse X does not store.
    frozen : array-like of int or None, default None
        Rows of ``H_init`` that stay as they are, bit for bit; the others are solved for given them.
    max_iter : int, default 500
    tol : float, default 1e-4
        The fit ends when the KKT residual of W, relative and without units, is at most this.
    max_time : float or None, default None
        Seconds.
    checkpoint : path or None, default None
        A folder from which the same fit goes on where it stopped.
    random_state : int, RandomState, Generator or None, default None
    verbose : int, default 0

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_in_)
        H, of any sign.
    svd_error_ : float
        ‖X − X_k‖ of the truncated SVD (a randomized one), with the row weights: no W H is nearer to X. NaN where cells
        are missing or have weights: there is no SVD of such data.
    attains_svd_ : bool
        Whether the fit is the SVD in another basis: its residual is ``svd_error_``, and W ≥ 0 was no restriction. False
        where ``svd_error_`` is NaN.
    n_components_, n_iter_ : int
    converged_ : bool
    kkt_residual_ : float
    reconstruction_err_ : float
        √(2 · loss) at the last iteration.
    restart_losses_ : ndarray of shape (n_init,)
    history_ : dict of ndarray
        ``iteration, loss, kkt, change, seconds``.

    Warns
    -----
    UserWarning
        When ``attains_svd_``: the parts are then one of infinitely many bases, and say no more than the SVD does. When
        a row or column has no observed cell.

    Notes
    -----
    The residual always lies between those of the SVDs of rank k and k − 1: W ≥ 0 costs at most one component. For
    non-negative X the first singular vector is non-negative, so that the bound is nearly always attained: take `NMF`
    or `ConvexNMF` for parts of such data. Semi-NMF restricts anything only where rows point in all directions
    (centred data). There the infimum need not be attained: W and H may grow without bound, ever more slowly, while
    W H converges, so that fits may end at ``max_iter``. Directions that span a plane, say, need no more than 3
    components, however many they are: there is not one component for each cluster of rows.

    Where cells are missing or have weights, every column of H is a least-squares problem of its own, and so is every
    row of W: an iteration takes nnz(X) k² in place of nnz(X) k, and holds k² / 2 numbers for each column. The start is
    no SVD then, whose last directions are those in which missing cells stand out, so that a fit from there predicts
    them badly where k is above the rank: it is a random non-negative function of each row, with missing cells at the
    mean of their column (those that a sparse X does not store: at 0). Whether W ≥ 0 restricts anything is not known.
    Columns with hardly more observed cells than components predict the others badly. A row without an observed cell has
    W = 1/k, a column without one holds the mean of the component's other entries; a warning says so.

    References
    ----------
    Ding, Li, Jordan (2010), *Convex and semi-nonnegative matrix factorizations*, IEEE TPAMI 32 (the problem,
    and H for given W). Gillis, Kumar (2015), *Exact and heuristic algorithms for semi-nonnegative matrix
    factorization*, SIAM J. Matrix Anal. Appl. 36 (when the SVD's bound is attained; the start).

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import SemiNMF
    >>> X = np.random.default_rng(0).standard_normal((80, 12))
    >>> model = SemiNMF(4, tol=1e-3, random_state=0)
    >>> W = model.fit_transform(X)
    >>> bool((W >= 0).all()), model.attains_svd_
    (True, False)
    >>> bool(model.svd_error_ < np.linalg.norm(X - W @ model.components_))
    True
    """

    _any_sign = True
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "missing": [StrOptions({"error", "ignore", "unstored"})],
        "frozen": ["array-like", None],
    }

    def __init__(
        self, n_components: int = 10, *, n_init: int = 1, missing: str = "error", frozen: Any = None,
        max_iter: int = 500, tol: float = 1e-4, max_time: float | None = None, checkpoint: Any = None,
        random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
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
        summary = self._in_range(source, summary)
        k, (n, m), power = int(self.n_components), source.shape, power_of(source)
        frozen, masked = frozen_mask(self.frozen, k, H_init), source.is_masked
        W0 = self._start_value("W_init", W_init, (n, k), source)
        H0 = self._start_value("H_init", H_init, (k, m), source, power=power, any_sign=True)
        unobserved = Unobserved.of(source)
        unobserved.warn(False)
        with workers(len(source.bounds())) as pool:
            semi = (ByCells if masked else ByGram)(source, summary, frozen, pool)
            complete = Products(Filled(source, column_means(source)) if masked else source, pool)
            A, bound, basis = (None, np.nan, None) if masked else _singular_rows(complete, summary, k)
            self.svd_error_ = loss_times(bound, source.weight_power / 2 - power)

            def start(rng: np.random.Generator, first: bool) -> dict[str, np.ndarray]:
                if W0 is not None:
                    W = W0
                elif H0 is not None:
                    W = semi.rows(H0)
                elif A is None:
                    W = _waves(complete, k, np.random.default_rng(0) if first else rng)
                else:
                    W = _nonnegative(A, basis, k, None if first else rng)
                W = np.where(unobserved.rows[:, None], W.dtype.type(0), W) if masked else W
                return at_rest(semi.start(W, H0))

            def step(state: Arrays) -> Record:
                return checked(state, semi, semi.move, ("W",), lambda at: (at["W"], at["H"]), float(self.tol))

            best = self._search(
                source,
                start,
                step,
                given=(W0, H0),
                fitted=lambda arrays: {"components_": times(arrays["H"], -power), "n_components_": k},
            )
        H = best.arrays["H"]
        if unobserved.columns.any():
            fill = H[:, ~unobserved.columns].mean(axis=1, keepdims=True, dtype=np.float64)
            H = np.where(unobserved.columns & ~frozen[:, None], fill, H).astype(H.dtype)
        rounding = 10 * float(np.finfo(source.float_dtype).eps) * summary.squares
        self.attains_svd_ = not masked and bool(best.loss <= 0.5 * bound**2 * (1 + CLOSE) + rounding)
        if self.attains_svd_:
            warn_user(
                f"SemiNMF only attains the bound of the SVD of rank {k}: W >= 0 is no restriction for these data, "
                "and the parts are one of many bases of what the SVD finds; take NMF or ConvexNMF for parts of "
                "their own"
            )
        self.components_ = times(H, -power)
        if frozen.any():  # bit for bit, also where the units of X have no place for them
            self.components_[frozen] = np.asarray(H_init)[frozen]
        self.n_components_ = k
        return self._rows(source)

    def _rows(self, source: Source) -> np.ndarray:
        if not source.is_masked:
            return nonnegative_codes(self.components_, source)
        own = -exponent_of(np.abs(self.components_))
        with workers(len(source.bounds())) as pool:
            W = cell_codes(source, times(self.components_, own, source.float_dtype), pool)
        power = own - power_of(source)
        if power == 0:
            return W
        return np.where(Unobserved.of(source).rows[:, None], W, times(W, power))

    def _transform_source(self, source: Source) -> np.ndarray:
        self._in_range(source, source.summary())
        return self._rows(source)


def _singular_rows(
    products: Products, summary: Summary, k: int
) -> tuple[np.ndarray, float, np.ndarray | None]:
    """X V (n, rank) of the SVD of rank k, its residual, and a basis in which X V is non-negative, if there is one."""
    source = products.source
    U, sigma, V = randomized_svd(source, summary, k, np.random.default_rng(0), spare=EXACT)
    bound = float(np.sqrt(max(summary.squares - float(sigma.astype(np.float64) @ sigma), 0.0)))
    rank = max(int(np.count_nonzero(sigma)), 1)
    signs = np.where(np.einsum("ij,ij->j", U, np.abs(U)) < 0, -1, 1)  # else the SVD's own, which mean nothing
    A = products.right((V * signs)[:, :rank])
    counted = None if source.row_weights is None else source.row_weights > 0
    return A, bound, nonnegative_basis(A, counted)


def _waves(complete: Products, k: int, rng: np.random.Generator) -> np.ndarray:
    """W_il = 1 + cos(3 g_l · x_i + b_l) for random directions g_l, in which the rows have variance 1, and phases b_l.

    As good as W drawn at random, but equal rows are equal, in whatever place and however often (waves of random
    directions are the features of Rahimi and Recht 2007).
    """
    source = complete.source
    P = complete.right(rng.standard_normal((source.shape[1], k)).astype(source.float_dtype))
    P = P.astype(np.float64)
    P -= np.average(P, axis=0, weights=source.row_weights)
    spread = np.sqrt(np.average(P**2, axis=0, weights=source.row_weights))
    P /= np.where(spread > 0, spread, 1)
    return (1 + np.cos(WAVES * P + rng.uniform(0, 2 * np.pi, k))).astype(source.float_dtype)


def _nonnegative(
    A: np.ndarray, basis: np.ndarray | None, k: int, rng: np.random.Generator | None
) -> np.ndarray:
    """W (n, k) from X V; with an ``rng``, what is positive of X V turned at random."""
    if basis is not None:
        W = A @ basis
    elif k == 1:
        W = A
    elif rng is not None:
        W = A @ np.linalg.qr(rng.standard_normal((A.shape[1], A.shape[1])))[0]
    else:  # (A + x 1ᵀ) Vᵀ − x (V 1)ᵀ is the SVD of rank k − 1 for every x
        W = A[:, : k - 1]
        x = np.maximum(-W.min(axis=1, keepdims=True), 0)
        W = np.hstack([W + x, x])
    W = np.maximum(W, 0).astype(A.dtype)
    return np.pad(W, ((0, 0), (0, k - W.shape[1])))
