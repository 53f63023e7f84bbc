"""Boolean factorization: X ≈ W ∘ H with all three of zeros and ones."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from ..data import Source, Summary
from ..data.threads import workers
from ..exceptions import warn_user
from ..models.callbacks import with_callbacks
from ..models.iterative import IterativeFactorization
from ..models.parameters import ITERATION_PARAMETERS
from ..solvers.iterate import Arrays
from ..solvers.step import Record
from .boolean_starts import asso, associations, fill, grecond
from .moves import keep_if_better, whole_numbers
from .unions import Ones, choose_columns, choose_rows, choose_rows_anew, wrong_cells

__all__ = ["BooleanNMF"]

LOOK_AHEAD = 10  # passes before two starts are compared
EXCHANGED = 3  # components that are tried


class BooleanNMF(IterativeFactorization):
    """Boolean matrix factorization: (W ∘ H)_ij = max_k W_ik H_kj, an *or* of *ands*, with the fewest wrong cells.

        min over W ∈ {0, 1}^(n × k), H ∈ {0, 1}^(k × m) of ½ Σ_ij s_i |x_ij − (W ∘ H)_ij|

    A component is a set of columns that occur together, and the rows in which they do. Ones that two components cover
    count once, where `NMF` adds them up to 2.

    It starts from ASSO and from GreConD, whichever is better after rows of W have chosen, and then alternates: given
    H, every row of W takes the best of its 2^k choices, given W every column of H does (with more than 8 components,
    8 at a time). Where a pass mends no cell, one of the three weakest components is exchanged for the best candidate of
    ASSO; the search ends where that mends nothing either.

    Parameters
    ----------
    n_components : int, default=10
        k, the number of components.
    threshold : float or None, default=0.5
        Cells above it are 1, all others 0: data need not be zero and one, and 0 makes counts into presence. None
        refuses data with other values than 0 and 1. A threshold that makes all cells alike is warned of.
    init : {"auto", "asso", "grecond", "random"}, default="auto"
        Where H starts; ``"auto"`` is the better of the first two. Further starts (``n_init``) are rows of X.
    n_init, max_iter, max_time, checkpoint, random_state, verbose
        As for `nonneg.NMF`; ``max_iter=100``.
    tol : float, default=0
        Passes end when one mends at most this share of the ones of X. 0: when it mends none.

    Attributes
    ----------
    components_ : ndarray of int, (k, m)
        H.
    reconstruction_err_ : float
        √(wrong cells), as the Frobenius norm of X − W ∘ H.
    kkt_residual_ : float
        The share of the ones that the last pass mended; 0 says that no row of W and no column of H, alone, can do
        better.
    history_, restart_losses_, n_iter_, converged_
        As for `nonneg.NMF`; the loss is half the number of wrong cells.

    Notes
    -----
    The problem is NP-hard, and so is the smallest k with no wrong cell, the Boolean rank: `nonneg.exact.boolean_rank`
    bounds it. ``inverse_transform`` gives W ∘ H, and ``score`` minus half the share of wrong cells. Row weights count
    rows; cell weights are not taken. ASSO may cover zeros, GreConD does not: which is better depends on whether ones
    are missing or too many.

    A pass costs n m 2^min(k, 8), also for a sparse X, of which never more than a few rows are dense at a time.

    References
    ----------
    Miettinen et al. 2008, IEEE TKDE 20 (ASSO); Belohlavek and Vychodil 2010, Journal of Computer and System Sciences 76
    (GreConD).

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import BooleanNMF
    >>> X = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]])
    >>> model = BooleanNMF(n_components=2)
    >>> W = model.fit_transform(X)
    >>> bool((model.inverse_transform(W) == X).all())
    True
    """

    _takes_weights = False
    _rests_unused = True
    _zero_one = True
    _parameter_constraints = {
        **ITERATION_PARAMETERS,
        "threshold": [Interval(Real, 0, None, closed="left"), None],
        "init": [StrOptions({"auto", "asso", "grecond", "random"})],
    }

    def __init__(
        self, n_components: int = 10, *, threshold: float | None = 0.5, init: str = "auto", n_init: int = 1,
        max_iter: int = 100, tol: float = 0.0, max_time: float | None = None, checkpoint: Any = None,
        random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.threshold = threshold
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def _check_data(self, source: Source, whom: str) -> Summary:
        summary = super()._check_data(source, whom)
        if whom == "fit" and self.threshold is not None:
            _warn_of_threshold(float(self.threshold), summary)
        if self.threshold is None:
            for block in source.blocks():
                values = block.X.data if block.is_sparse else block.X
                other = values[(values != 0) & (values != 1)]
                if other.size:
                    raise ValueError(
                        f"X: {type(self).__name__}.{whom} expects 0 and 1 for threshold=None, found "
                        f"{float(other.flat[0])!r}; set threshold, above which a cell counts as 1"
                    )
        return summary

    def _ones(self, source: Source, pool: Any) -> Ones:
        return Ones(source, 0.5 if self.threshold is None else float(self.threshold), pool)

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        k, (n, m) = int(self.n_components), source.shape
        given = whole_numbers("W_init", W_init, (n, k), 1), whole_numbers("H_init", H_init, (k, m), 1)
        with workers(len(source.bounds())) as pool:
            ones = self._ones(source, pool)
            total = sum(ones.map(lambda X, s, rows: float(s @ np.asarray(X.sum(axis=1)).ravel())))

            def begun(H: np.ndarray) -> dict[str, np.ndarray]:
                W = np.concatenate(list(ones.map(lambda X, s, rows: choose_rows_anew(X, H))))
                return with_loss(W, H)

            def with_loss(W: np.ndarray, H: np.ndarray) -> dict[str, np.ndarray]:
                return {"W": W, "H": H, "loss": np.array(_loss(ones, W, H)), "turn": np.array(0)}

            def start(rng: np.random.Generator, first: bool) -> dict[str, np.ndarray]:
                W, H = given
                if H is None and W is not None:
                    H = choose_columns(ones, W, np.zeros((k, m), np.int64))
                if H is not None:
                    return begun(H) if W is None else with_loss(W, H)
                if self.init == "random" or not first:
                    return begun(_random_rows(ones, k, rng))
                if self.init == "asso":
                    return begun(asso(ones, k, candidates))
                concepts = begun(grecond(ones, k))
                if self.init == "grecond":
                    return concepts
                return min(begun(asso(ones, k, candidates)), concepts, key=promise)

            def promise(found: dict[str, np.ndarray]) -> float:
                """What a start leads to in a few passes."""
                state = Arrays(found)
                return min(passed(state, state["W"], state["H"]).loss for _ in range(LOOK_AHEAD))

            def passed(state: Arrays, W: np.ndarray, H: np.ndarray) -> Record:
                """Columns choose, then rows."""
                W, turn = W.copy(), int(state["turn"])
                H = choose_columns(ones, W, H, turn)
                for _ in ones.map(lambda X, s, rows: choose_rows(X, W[rows], H, turn)):
                    pass
                state["turn"] = np.array(turn + 1)
                return keep_if_better(state, W, H, _loss(ones, W, H), max(0.5 * total, 1e-300))

            def step(state: Arrays) -> Record:
                """A pass; where it mends nothing, one from a component exchanged for a better candidate."""
                record = passed(state, state["W"], state["H"])
                for j in () if record.kkt > 0 or record.loss == 0 else _weakest(ones, state["W"], state["H"]):
                    W, H = state["W"].copy(), state["H"].copy()
                    W[:, j], H[j] = 0, 0
                    if fill(ones, candidates, W, H, j):
                        record = passed(state, W, H)
                    if record.kkt > 0:
                        break
                return record

            candidates = associations(ones, k)
            best = self._search(source, start, step, given=given)
        self.components_ = best.arrays["H"]
        self.n_components_ = k
        return self._transform_source(source)

    def _transform_source(self, source: Source) -> np.ndarray:
        with workers(len(source.bounds())) as pool:
            parts = self._ones(source, pool).map(lambda X, s, rows: choose_rows_anew(X, self.components_))
            return np.concatenate(list(parts))

    def _inverse(self, W: np.ndarray) -> np.ndarray:
        return ((W.astype(np.float64) @ self.components_) > 0).astype(np.int64)

    def _score_source(self, source: Source, summary: Summary) -> float:
        """Minus half the share of wrong cells."""
        W = self._transform_source(source)
        with workers(len(source.bounds())) as pool:
            return -_loss(self._ones(source, pool), W, self.components_) / summary.total_weight

    def __sklearn_tags__(self) -> Any:
        """Codes are integers whatever X is."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _warn_of_threshold(threshold: float, summary: Summary) -> None:
    """Say where all cells count as the same and are not."""
    low, high = summary.minimum, summary.maximum
    if 0 < high <= threshold:
        alike, where = 0, f"below {high:.3g}"
    elif low > threshold and (low, high) != (1, 1):
        alike, where = 1, f"of {low:.3g} or more"
    else:
        return
    warn_user(
        f"threshold={threshold:.3g} makes every cell of X a {alike}, for they are between {low:.3g} and {high:.3g}: "
        f"there is nothing to find; set a threshold {where}"
    )


def _loss(ones: Ones, W: np.ndarray, H: np.ndarray) -> float:
    """Half the number of wrong cells."""
    return 0.5 * sum(ones.map(lambda X, s, rows: float(s @ wrong_cells(X, W[rows], H))))


def _weakest(ones: Ones, W: np.ndarray, H: np.ndarray) -> np.ndarray:
    """The few components without which the fewest cells would be wrong."""
    left = [_loss(ones, np.delete(W, j, axis=1), np.delete(H, j, axis=0)) for j in range(len(H))]
    return np.argsort(left, kind="stable")[:EXCHANGED]


def _random_rows(ones: Ones, k: int, rng: np.random.Generator) -> np.ndarray:
    """H of rows of X, drawn by their weights."""
    weights = ones.source.row_weights
    share = None if weights is None else weights.astype(np.float64) / weights.sum(dtype=np.float64)
    drawn = rng.choice(ones.source.shape[0], size=k, p=share)
    return (ones.source.take(drawn) > ones.threshold).astype(np.int64)
