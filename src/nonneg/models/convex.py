"""Convex NMF: parts that are convex combinations of the rows of X."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from ..data import Source, Summary
from ..data.products import Products
from ..data.threads import workers
from ..init.nndsvd import randomized_svd
from ..solvers.convex import Gram, first_factors, multiply, normalized, search_step, seeds
from ..solvers.iterate import Arrays
from ..solvers.momentum import accelerated, at_rest
from ..solvers.step import Record
from .callbacks import with_callbacks
from .codes import nonnegative_codes
from .iterative import IterativeFactorization
from .parameters import ITERATION_PARAMETERS
from .units import power_of, times

__all__ = ["ConvexNMF", "descent", "whole"]

MOST_ROWS = 30_000  # whose Gram matrix multiplicative updates may hold
AT_ONCE = 256


class ConvexNMF(IterativeFactorization):
    r"""Convex NMF: every part is a convex combination of rows of X.

    .. math:: \min_{W \ge 0,\; C \ge 0} \tfrac12 \lVert X - W C X \rVert^2, \qquad \sum_i C_{ji} = 1

    X (n, m) may have any sign. The parts H = C X lie among the rows, like means of clusters, and C says of which rows
    they are made; both factors come out sparse. Rows of W move by coordinate descent, C by projected gradient steps,
    with extrapolation; X Xᵀ is not formed.

    Parameters
    ----------
    n_components : int, default 10
        k.
    solver : {"pg", "mu"}, default "pg"
        "mu" takes the multiplicative updates of the paper: slower, and they hold X Xᵀ, an array (n, n).
    n_init : int, default 1
        Starts, of which the best is kept. The first starts at means of clusters around rows that are far from each
        other and needs no random numbers; the others draw such rows (k-means++).
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
    components_ : ndarray of shape (n_components, n_features_in_)
        H = C X.
    coefficients_ : ndarray of shape (n_components, n_samples)
        C of the training rows; rows sum to 1 (to 0 for a component that the data do not need).
    n_components_, n_iter_ : int
    converged_ : bool
    kkt_residual_ : float
    reconstruction_err_ : float
        √(2 · loss) at the last iteration.
    restart_losses_ : ndarray of shape (n_init,)
    history_ : dict of ndarray
        ``iteration, loss, kkt, change, seconds``.

    Notes
    -----
    The residual is at least that of `SemiNMF`, which lets H be anything, and that is at least the SVD's. What is
    bought with it are parts that look like data. Where the hull of the rows has the origin inside, every H is such a
    combination times a number: then nothing is restricted, and convex NMF is semi-NMF. Parts lie inside the hull: for
    parts *on* it, and rows as mixtures of them, see archetypal analysis. ``sample_weight`` counts rows; ``fit`` takes
    ``W_init``, from whose columns C starts as well, and no ``H_init``.

    References
    ----------
    Ding, Li, Jordan (2010), *Convex and semi-nonnegative matrix factorizations*, IEEE TPAMI 32 (problem and
    multiplicative updates). Ang, Gillis (2019), *Accelerating nonnegative matrix factorization algorithms using
    extrapolation*, Neural Computation 31 (extrapolation with restart).

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import ConvexNMF
    >>> rng = np.random.default_rng(0)
    >>> X = np.repeat([[3.0, 0, 1], [0, 3, -1]], 20, axis=0) + 0.1 * rng.standard_normal((40, 3))
    >>> model = ConvexNMF(2, random_state=0)
    >>> labels = model.fit_transform(X).argmax(axis=1)
    >>> len(set(labels[:20])), len(set(labels[20:])), labels[0] == labels[-1]
    (1, 1, np.False_)
    >>> bool(np.allclose(model.coefficients_ @ X, model.components_))
    True
    """

    _any_sign = True
    _takes_weights = False
    _parameter_constraints = {**ITERATION_PARAMETERS, "solver": [StrOptions({"pg", "mu"})]}

    def __init__(
        self, n_components: int = 10, *, solver: str = "pg", n_init: int = 1, max_iter: int = 500, tol: float = 1e-4,
        max_time: float | None = None, checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.solver = solver
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
        if H_init is not None:
            raise ValueError("H_init: the parts of ConvexNMF are made of rows of X; give W_init, or nothing")
        self._in_range(source, summary)
        k, n, s = int(self.n_components), source.shape[0], source.row_weights
        W0 = self._start_value("W_init", W_init, (n, k), source)
        roots = None if s is None else np.sqrt(s).astype(source.float_dtype)
        with workers(len(source.bounds())) as pool:
            products = Products(source, pool)

            def weighted(V: np.ndarray) -> np.ndarray:
                return V if roots is None else V * roots[:, None]

            def parts(C: np.ndarray) -> dict[str, Any]:
                C = normalized(weighted(C))
                H = products.left(C).T
                return {
                    "components_": times(H, -power_of(source)),
                    "coefficients_": C.T.copy(),
                    "n_components_": k,
                }

            squares = _row_squares(source)
            _, sigma, _ = randomized_svd(source, summary, 1, np.random.default_rng(0))
            gram = Gram(
                lambda V: weighted(products.right(products.left(weighted(V)))),
                squares if s is None else (squares * s).astype(squares.dtype),
                float(sigma[0]) ** 2,
                roots,
            )
            start, step = descent(gram, k, self.solver, W0)
            best = self._search(source, start, step, given=(W0,), fitted=lambda arrays: parts(arrays["C"]))
            for name, value in parts(best.arrays["C"]).items():
                setattr(self, name, value)
        return self._rows(source)

    def _rows(self, source: Source) -> np.ndarray:
        return nonnegative_codes(self.components_, source)

    def _transform_source(self, source: Source) -> np.ndarray:
        self._in_range(source, source.summary())
        return self._rows(source)


def descent(gram: Gram, k: int, solver: str, W_init: np.ndarray | None = None) -> tuple[Any, Any]:
    """The functions ``start`` and ``step`` of a search, for convex and for kernel NMF."""
    K = whole(gram) if solver == "mu" else None

    def start(rng: np.random.Generator, first: bool) -> dict[str, np.ndarray]:
        if W_init is None:
            C = seeds(gram, k, rng, first)
        else:
            C = W_init if gram.roots is None else W_init * gram.roots[:, None]
            C = normalized(C)
        factors = first_factors(gram, C, K is not None)
        if W_init is not None:
            factors["W"] = W_init if gram.roots is None else W_init * gram.roots[:, None]
        return at_rest(factors)

    def step(state: Arrays) -> Record:
        if K is not None:
            return accelerated(state, lambda factors: multiply(K, gram, factors), ())
        return accelerated(state, lambda factors: search_step(gram, factors), ("W", "C", "M"), low=-np.inf)

    return start, step


def whole(gram: Gram) -> np.ndarray:
    """K itself, a few columns at a time."""
    n = len(gram.diagonal)
    if n > MOST_ROWS:
        raise ValueError(
            f"solver='mu' holds the Gram matrix of all rows, here {n} x {n}; take solver='pg', which does not"
        )
    K = np.empty((n, n), gram.diagonal.dtype)
    for first in range(0, n, AT_ONCE):
        columns = np.arange(first, min(first + AT_ONCE, n))
        unit = np.zeros((n, len(columns)), K.dtype)
        unit[columns, columns - first] = 1
        K[:, columns] = gram.times(unit)
    return K


def _row_squares(source: Source) -> np.ndarray:
    """‖x_i‖² of every row."""
    found = np.empty(source.shape[0], source.float_dtype)
    for block in source.blocks():
        X = block.X
        found[block.rows] = X.power(2).sum(axis=1) if block.is_sparse else np.einsum("ij,ij->i", X, X)
    return found
