"""Deep semi-NMF: X ≈ W Z_p … Z_1 with non-negative codes on every layer and parts of any sign."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import Source, Summary
from ..data.products import half_squares
from ..data.threads import workers
from ..init.nndsvd import EXACT, randomized_svd
from ..solvers.iterate import Arrays, descend
from ..solvers.lines import one_each, spectral_lines
from ..solvers.momentum import at_rest, checked
from ..solvers.semi import ByGram
from ..solvers.semi_stack import SemiStack
from ..solvers.solution import Outcome
from ..solvers.stack import balanced, layers_of
from ..solvers.step import Record
from .callbacks import with_callbacks
from .codes import nonnegative_codes
from .stacked import STACK_PARAMETERS, StackedFactorization, stack_attributes
from .units import loss_times, power_of

__all__ = ["DeepSemiNMF"]

FLOOR = 0.2  # of a cluster's mean amount: what a start gives to all rows (Ding, Li and Jordan 2010)


class DeepSemiNMF(StackedFactorization):
    r"""Deep semi-NMF: non-negative codes on every layer, parts of any sign.

    .. math:: \min_{W \ge 0,\; Z_1, \ldots, Z_p} \tfrac12 \sum_i s_i \lVert x_i - w_i Z_p \cdots Z_1 \rVert^2

    X (n, m) may have any sign; s are the row weights (1). Layer l has k_l codes a row, W_l (n, k_l) ≥ 0, and parts
    Z_l … Z_1 (k_l, m) in data space: the last, narrowest layer is the code W, those before it describe the same rows
    in more detail (`transform_layers`).

    The fit has two stages. Pretraining makes one semi-NMF after the other, X ≈ W_1 Z_1, W_1 ≈ W_2 Z_2, and so on.
    Fine-tuning lowers the loss above over W and all layers at once: rows of W by coordinate descent, with
    extrapolation, then every layer exactly, the last one first. Neither loss ever rises.

    Parameters
    ----------
    n_components : int, default 10
        k, the width of the last layer: the code.
    layers : sequence of int or None, default None
        Widths of the layers before it, from the data on: (256, 64) with k = 10 makes 3 layers. () is semi-NMF. None:
        one layer, four times as wide as the code, at most as wide as X.
    pretrain_iter : int, default 100
        Iterations, at most, that each layer is pretrained with.
    n_init : int, default 1
        Starts, of which the best is kept; the first from clusters of rows that lie far apart, the others from drawn
        ones.
    max_iter : int, default 500
        Iterations of fine-tuning.
    tol : float, default 1e-4
        A stage ends when the KKT residual, relative and without units, is at most this: of W, and (fine-tuning) the
        gradients of all layers.
    max_time : float or None, default None
        Seconds, pretraining included.
    checkpoint : path or None, default None
        A folder from which the same fit goes on where it stopped.
    random_state : int, RandomState, Generator or None, default None
    verbose : int, default 0

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_in_)
        Z_p … Z_1, of any sign; rows have the mean norm of the rows of X (their root mean square).
    layers_ : list of ndarray
        Z_1 (k_1, n_features_in_), Z_2 (k_2, k_1), …, Z_p (n_components, k_{p−1}). Rows of every product Z_l … Z_1 have
        that norm too.
    pretraining_losses_ : list of ndarray
        For every layer its loss after each iteration, as a share of ½‖W_{l−1}‖².
    pretraining_err_ : float
        √(2 · loss) of the whole stack before fine-tuning.
    svd_error_ : float
        ‖X − X_r‖ of the truncated SVD (a randomized one), r the narrowest layer: no stack is nearer to X.
    n_components_, n_iter_ : int
    converged_ : bool
    kkt_residual_ : float
    reconstruction_err_ : float
        √(2 · loss) at the last iteration.
    restart_losses_ : ndarray of shape (n_init,)
    history_ : dict of ndarray
        Of fine-tuning: ``iteration, loss, kkt, change, seconds``.

    Raises
    ------
    ValueError, TypeError
        For widths that are none, and for ``W_init`` and ``H_init``: each layer starts from the one below.

    Notes
    -----
    Depth adds no accuracy: a product of linear layers has the rank of the narrowest one, and where that is the code,
    the best stack is as near to X as the best `SemiNMF` of k components. What depth adds is the path: codes of several
    widths, and a start that comes from them. As for `SemiNMF`, the bound of the SVD is (nearly) attained where X is
    non-negative: the parts are then one basis of many, and W means what the start, clusters of rows, made of it.

    Where a layer is wider than the rank of X (a code of more components than features), its least-squares codes are not
    unique: those of float32 data then differ by which rows are coded together, while what they reconstruct agrees.

    Two departures from the paper. It updates W by a multiplicative rule, and codes of the layers before it in
    between, which the loss does not see; here these are solved for when they are asked for. And it takes of the many
    best Z_l the smallest (a pseudo-inverse), by which a wide layer is cut down to the rank of the code; here the one
    nearest to the pretrained layer is taken.

    References
    ----------
    Trigeorgis, Bousmalis, Zafeiriou & Schuller (2014), A deep semi-NMF model for learning hidden representations, ICML;
    (2017), A deep matrix factorization method for learning attribute representations, IEEE TPAMI 39. Ding, Li & Jordan
    (2010), Convex and semi-nonnegative matrix factorizations, IEEE TPAMI 32 (semi-NMF, the start from clusters).

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import DeepSemiNMF
    >>> X = np.random.default_rng(0).standard_normal((80, 12))
    >>> model = DeepSemiNMF(4, layers=(8,), tol=1e-3, random_state=0).fit(X)
    >>> [Z.shape for Z in model.layers_]
    [(8, 12), (4, 8)]
    >>> [W.shape for W in model.transform_layers(X)]
    [(80, 8), (80, 4)]
    >>> bool(model.svd_error_ <= model.reconstruction_err_ <= model.pretraining_err_)
    True
    """

    _any_sign = True
    _takes_weights = False
    _parameter_constraints = STACK_PARAMETERS

    def __init__(
        self, n_components: int = 10, *, layers: Any = None, pretrain_iter: int = 100, n_init: int = 1,
        max_iter: int = 500, tol: float = 1e-4, max_time: float | None = None, checkpoint: Any = None,
        random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.layers = layers
        self.pretrain_iter = pretrain_iter
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
        self._refuse_starts(W_init, H_init)
        summary = self._in_range(source, summary)
        widths, power = self._widths(source.shape[1]), power_of(source)
        self.svd_error_ = loss_times(_svd_error(source, summary, min(widths)), -power)
        self._size = float(np.sqrt(summary.squares / summary.total_weight * source.shape[1])) or 1.0
        with workers(len(source.bounds())) as pool:
            stack = SemiStack(source, summary, np.zeros(widths[-1], bool), pool)
            self._descend(source, widths, stack, self._pretrain)
        del self._size
        return self._last_codes(source)

    def _step(self, state: Arrays, stack: Any, depth: int) -> Record:
        pushed, tol = stack.pushed(depth), float(self.tol)
        return checked(state, stack, stack.move, pushed, lambda at: (at["W"], *layers_of(at)), tol)

    def _fitted(self, arrays: Arrays, source: Source) -> dict[str, Any]:
        return stack_attributes(balanced(layers_of(arrays), self._size, last=True), -power_of(source))

    def _pretrain(
        self, data: Source, width: int, left: float | None, rng: np.random.Generator, first: bool
    ) -> Outcome:
        """Semi-NMF of one layer, from clusters of rows."""
        summary, tol = data.summary(), float(self.tol)
        with workers(len(data.bounds())) as pool:
            semi = ByGram(data, summary, np.zeros(width, bool), pool)

            def start() -> dict[str, np.ndarray]:
                V = randomized_svd(data, summary, width, np.random.default_rng(0))[2]
                rows = semi.products.right(V.astype(data.float_dtype))
                return at_rest(
                    semi.start(_clustered(rows, width, data.row_weights, None if first else rng), None)
                )

            outcome = descend(
                start,
                lambda state: checked(state, semi, semi.move, ("W",), lambda at: (at["W"], at["H"]), tol),
                max_iter=int(self.pretrain_iter),
                tol=tol,
                dtype=data.float_dtype,
                max_time=left,
            )
        W, H = outcome.arrays["W"], outcome.arrays["H"]
        lengths = np.linalg.norm(H.astype(np.float64), axis=1)
        lengths = np.where(lengths > 0, lengths, 1).astype(H.dtype)
        # columns of W then weigh as much in the next layer as they do in this one
        outcome.arrays |= {"W": W * lengths, "Z1": H / lengths[:, None]}
        return outcome

    def _codes(self, M: np.ndarray, source: Source) -> np.ndarray:
        return nonnegative_codes(M, source)


def _clustered(
    rows: np.ndarray, k: int, weights: np.ndarray | None, rng: np.random.Generator | None
) -> np.ndarray:
    """W (n, k) > 0 that has the clusters of rows in their subspace: amounts, and a fifth of their means everywhere."""
    labels, amounts = spectral_lines(rows, k, weights, rng)
    s = np.ones(len(rows)) if weights is None else weights.astype(np.float64)
    sizes = np.bincount(labels, s, k)
    means = np.bincount(labels, s * amounts, k) / np.where(sizes > 0, sizes, 1)
    return (one_each(labels, amounts, k) + FLOOR * means).astype(rows.dtype)


def _svd_error(source: Source, summary: Summary, rank: int) -> float:
    """‖X − (X V) Vᵀ‖ of a randomized SVD, with the row weights; ‖X‖² − Σ σ² would cancel where little is left."""
    V = np.linalg.qr(randomized_svd(source, summary, rank, np.random.default_rng(0), spare=EXACT)[2])[0]

    def nearest(rows: slice) -> np.ndarray:
        return source.block(rows.start, rows.stop).dense().X.astype(np.float64) @ V @ V.T

    return float(np.sqrt(2 * half_squares(source, nearest)))
