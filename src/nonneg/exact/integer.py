"""Integer factorization: X ≈ W H with W and H of non-negative integers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval

from ..data import Source, Summary
from ..data.block import Block
from ..data.products import half_squares
from ..data.threads import Workers, workers
from ..exceptions import warn_user
from ..init import initial_components
from ..models.callbacks import with_callbacks
from ..models.iterative import IterativeFactorization
from ..models.parameters import ITERATION_PARAMETERS
from ..solvers.iterate import Arrays
from ..solvers.least_squares import nonnegative_rows
from ..solvers.step import Record
from .moves import EXACT, keep_if_better, whole_numbers

__all__ = ["IntegerNMF"]

LARGEST = 2.0**50  # of a cell: sums of products of larger ones are no integers in float64
NODES = 2000  # of the search of a row
REAL_PASSES = 200
REAL_ENOUGH = 1e-3  # change of the largest entries: they will be rounded
EACH = 1_000_000  # cells up to which every component gets a size of its own
SIZES = (1, 2, 3, 4, 6, 9, 15)  # of the largest entry of a row of H, in the real factors that are rounded


class IntegerNMF(IterativeFactorization):
    """Integer factorization: X ≈ W H with W and H of non-negative integers, in a box where one is given.

        min over W ∈ {0, …, high_W}^(n × k), H ∈ {0, …, high_H}^(k × m) of ½ Σ_ij s_i (x_ij − (W H)_ij)²

    For counts that are counts of whole things: how often each of a few baskets, each with whole numbers of goods, was
    bought. Rounded factors of `NMF` are far from the best integers: what a row loses by rounding one component, the
    others could make up for.

    It alternates: given H, every row of W is an integer least-squares problem in a box, solved by branch and bound
    around its real answer (Schnorr and Euchner 1994), given W every column of H is one. It starts from real factors,
    those of three starts that promise most, whose components are scaled in several ways before they are rounded; the
    loss falls until a pass mends nothing.

    Parameters
    ----------
    n_components : int, default=10
        k, the number of components.
    high_W, high_H : int or None, default=None
        The largest entries allowed; None: any. With both 1, components add up as in `NMF`, unlike `BooleanNMF`.
    n_init, max_iter, max_time, checkpoint, random_state, verbose
        As for `nonneg.NMF`; ``max_iter=100``. Starts after the first begin at random.
    tol : float, default=0
        Passes end when one lowers the loss by at most this share of ½‖X‖². 0: when it mends nothing.

    Attributes
    ----------
    components_ : ndarray of int, (k, m)
        H.
    kkt_residual_ : float
        The fall of the loss in the last pass as a share of ½‖X‖²; 0 says that no row of W and no column of H, alone,
        is known to do better.
    reconstruction_err_ : float
        ‖X − W H‖.
    history_, restart_losses_, n_iter_, converged_
        As for `nonneg.NMF`.

    Notes
    -----
    W and H are integers, so X → c X changes the problem: X is not rescaled, and cells of 2⁵⁰ and more are refused. To
    fit quantities, divide X by the unit that one thing has; other cells than whole numbers are warned of. The problem
    of a row is NP-hard in k: up to about 15 components it is solved exactly, beyond that a row whose search takes more
    than 2000 nodes keeps the best answer met. Row weights count rows; cell weights are not taken. Many integer factors
    have a neighbour that is as good, and a start decides which one is found: ``n_init=10`` is well spent.

    References
    ----------
    Such alternations: Lin, Dong and Chu 2005, *Integer matrix factorization and its application*. The search of a row:
    Agrell, Eriksson, Vardy and Zeger 2002, IEEE Transactions on Information Theory 48, algorithm Decode.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import IntegerNMF
    >>> W, H = np.array([[2, 0], [1, 1], [0, 3], [1, 2]]), np.array([[1, 0, 2], [0, 3, 1]])
    >>> model = IntegerNMF(n_components=2).fit(W @ H)
    >>> model.reconstruction_err_
    0.0
    """

    _takes_weights = False
    _rests_unused = True
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "high_W": [Interval(Integral, 1, None, closed="left"), None],
        "high_H": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self, n_components: int = 10, *, high_W: int | None = None, high_H: int | None = None, n_init: int = 1,
        max_iter: int = 100, tol: float = 0.0, max_time: float | None = None, checkpoint: Any = None,
        random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.high_W = high_W
        self.high_H = high_H
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def _check_data(self, source: Source, whom: str) -> Summary:
        summary = super()._check_data(source, whom)
        if summary.maximum >= LARGEST:
            raise ValueError(
                f"X has a cell of {summary.maximum:.3g}: {type(self).__name__}.{whom} counts in units of 1 and takes "
                "cells below 2^50; divide X by a unit"
            )
        if whom == "fit":
            _warn_of_fractions(source)
        return summary

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        k, (n, m) = int(self.n_components), source.shape
        high_W, high_H = float(self.high_W or np.inf), float(self.high_H or np.inf)
        given = (
            whole_numbers("W_init", W_init, (n, k), high_W),
            whole_numbers("H_init", H_init, (k, m), high_H),
        )
        with workers(len(source.bounds())) as pool:
            sums = Sums(source, pool)

            def rows(W: np.ndarray, H: np.ndarray, nodes: int = NODES) -> np.ndarray:
                return _moved(_gram(H), sums.right(H), W, high_W, nodes)

            def columns(W: np.ndarray, H: np.ndarray, nodes: int = NODES) -> np.ndarray:
                return _moved(*sums.normal(W), H.T, high_H, nodes).T

            def with_loss(W: np.ndarray, H: np.ndarray) -> dict[str, np.ndarray]:
                return {"W": W, "H": H, "loss": np.array(sums.loss(W, H))}

            def promise(H: np.ndarray) -> float:
                """What components lead to in two cheap passes."""
                W = rows(np.zeros((n, k), np.int64), H, 0)
                H = columns(W, H, 0)
                return sums.loss(rows(W, H, 0), H)

            top = max(summary.maximum, 1.0)

            def start(rng: np.random.Generator, first: bool) -> dict[str, np.ndarray]:
                W, H = given
                if W is not None or H is not None:
                    W = np.zeros((n, k), np.int64) if W is None else W
                    return with_loss(W, columns(W, np.zeros((k, m), np.int64)) if H is None else H)
                found = []
                for init in ("nndsvda" if first else "random", "random", "random"):
                    real_W, real_H = _real_factors(source, summary, sums, k, init, rng)
                    best, scale = _best_scale(real_H, promise, min(high_H, top), each=n * m <= EACH)
                    found.append((best, real_W / scale, _rounded(real_H, scale)))
                _, W, H = min(found, key=lambda one: one[0])
                return with_loss(np.rint(np.minimum(W, high_W)).astype(np.int64), H)

            def step(state: Arrays) -> Record:
                H = columns(state["W"], state["H"])
                W = rows(state["W"], H)
                return keep_if_better(state, W, H, sums.loss(W, H), max(0.5 * sums.squares, 1e-300))

            best = self._search(source, start, step, given=given)
            self.components_ = np.ascontiguousarray(best.arrays["H"])
            self.n_components_ = k
            W = self._transform_source(source)
            # a search that ran out of nodes may end elsewhere from its cold start than in the fit
            self.reconstruction_err_ = float(np.sqrt(2 * sums.loss(W, self.components_)))
        return W

    def _transform_source(self, source: Source) -> np.ndarray:
        H = self.components_
        with workers(len(source.bounds())) as pool:
            P = Sums(source, pool).right(H)
        return _moved(_gram(H), P, np.zeros(P.shape, np.int64), float(self.high_W or np.inf), NODES)

    def __sklearn_tags__(self) -> Any:
        """Codes are integers whatever X is."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


class Sums:
    """Products with X in float64, in which integers are exact, over blocks in order; rows count by their weights."""

    def __init__(self, source: Source, pool: Workers) -> None:
        self.source, self.pool = source, pool
        self.squares = float(self._sum(_squares))

    def _sum(self, work: Callable[[Block], Any]) -> Any:
        blocks = self.pool.map(lambda cut: work(self.source.block(*cut)), self.source.bounds())
        return functools.reduce(np.add, blocks)

    def right(self, H: np.ndarray) -> np.ndarray:
        """X Hᵀ, (n, k)."""
        B = H.T.astype(np.float64)
        parts = self.pool.map(lambda cut: self.source.block(*cut).X @ B, self.source.bounds())
        return np.concatenate(list(parts))

    def normal(self, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wᵀ S W, (k, k), and Xᵀ S W, (m, k)."""
        s = self.source.row_weights
        weighted = W.astype(np.float64) if s is None else W * s[:, None].astype(np.float64)
        return weighted.T @ W, self._sum(lambda block: block.X.T @ weighted[block.rows])

    def loss(self, W: np.ndarray, H: np.ndarray) -> float:
        """½ Σ s_i (x_ij − (W H)_ij)²: from sums of products where these are exact, else from the residual itself."""
        if self.squares < EXACT:
            A, B = self.normal(W)
            return max(0.5 * float(self.squares - 2 * np.vdot(B, H.T) + np.vdot(A, _gram(H))), 0.0)
        right = H.astype(np.float64)
        return half_squares(self.source, lambda rows: W[rows] @ right)


def _warn_of_fractions(source: Source) -> None:
    """Say where X has cells that no integers give."""
    if source.dtype.kind in "iub":
        return
    for block in source.blocks():
        values = block.X.data if block.is_sparse else block.X
        fractions = values[values != np.rint(values)]
        if fractions.size:
            warn_user(
                f"X has cells that are no whole numbers, for instance {fractions.flat[0]:.6g}, and W @ components_ has "
                "whole numbers only: divide X by the unit that one thing has, or take NMF for quantities"
            )
            return


def _squares(block: Block) -> float:
    cells = block.X.data.astype(np.float64) if block.is_sparse else block.X.astype(np.float64)
    if block.row_weights is None:
        return float(np.vdot(cells, cells))
    if block.is_sparse:
        return float((cells**2) @ np.repeat(block.row_weights, np.diff(block.X.indptr)))
    return float((cells**2).sum(axis=1) @ block.row_weights)


def _gram(H: np.ndarray) -> np.ndarray:
    """H Hᵀ; squares of large integers leave int64, not float64."""
    H = H.astype(np.float64)
    return H @ H.T


def _moved(G: np.ndarray, P: np.ndarray, V: np.ndarray, high: float, nodes: int) -> np.ndarray:
    """The rows of V moved to the best integers; see `nonneg.kernels.integer.solve`."""
    from ..kernels.integer import solve

    moved = np.array(V, dtype=np.float64, order="C")
    solve(G, P, moved, high, nodes)
    return moved.astype(np.int64)


def _real_factors(
    source: Source, summary: Summary, sums: Sums, k: int, init: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """W and H ≥ 0 of real numbers, by alternating non-negative least squares; rows of H have a largest entry of 1."""
    H = initial_components(init, source, summary, k, rng).astype(np.float64)
    H /= np.maximum(H.max(axis=1, keepdims=True), 1e-300)
    for _ in range(REAL_PASSES):
        W = nonnegative_rows(H @ H.T, sums.right(H), 0.0, np.inf, 1e-8)
        A, B = sums.normal(W)
        old, H = H, np.ascontiguousarray(nonnegative_rows(A, B, 0.0, np.inf, 1e-8).T)
        H /= np.maximum(H.max(axis=1, keepdims=True), 1e-300)
        if np.abs(H - old).max() < REAL_ENOUGH:
            break
    return W, H


def _best_scale(
    H: np.ndarray, promise: Callable[[np.ndarray], float], high: float, each: bool
) -> tuple[float, np.ndarray]:
    """What is promised, and sizes of the components before they are rounded: the best for all, then for each."""
    more = 2.0 ** np.arange(5, 50)
    sizes = np.array([size for size in (*SIZES, *more) if size <= high], dtype=float)
    scale = min((np.full(len(H), size) for size in sizes), key=lambda scale: promise(_rounded(H, scale)))
    best = promise(_rounded(H, scale))
    for j in range(len(H) if each else 0):
        for size in sizes:
            other = np.where(np.arange(len(H)) == j, size, scale)
            if (found := promise(_rounded(H, other))) < best:
                scale, best = other, found
    return best, scale


def _rounded(H: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.rint(H * scale[:, None]).astype(np.int64)
