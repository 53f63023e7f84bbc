"""Autoencoder-like deep NMF (DANMF): X ≈ W M and W ≈ X Mᵀ for a product M of non-negative layers."""

from __future__ import annotations

import os
from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from ..data import Source, Summary
from ..data.paths import open_path
from ..data.products import Products
from ..data.threads import workers
from ..exceptions import warn_user
from ..init.nndsvd import nndsvd
from ..init.random import random
from ..penalties import GraphLaplacian
from ..penalties.graph import adjacency
from ..solvers.encoder_stack import EncoderStack, Ties
from ..solvers.iterate import Arrays, descend
from ..solvers.least_squares import nonnegative_rows
from ..solvers.momentum import accelerated, at_rest
from ..solvers.solution import Outcome
from ..solvers.stack import balanced, layers_of
from .affinity import check_symmetric, matrix_of
from .callbacks import with_callbacks
from .codes import near_one
from .nodes import NodeNamesMixin, aligned, is_graph, names_of_nodes
from .stacked import STACK_PARAMETERS, StackedFactorization, stack_attributes
from .units import power_of, times

__all__ = ["DANMF"]

SETTLE = 10_000  # sweeps, at most, for the codes of a row


class DANMF(NodeNamesMixin, StackedFactorization):
    r"""Deep autoencoder-like NMF: non-negative layers that decode the memberships, and encode them backwards.

    .. math::
        \min_{W, Z_1, \ldots, Z_p \ge 0}
        \tfrac12 \lVert X - W M \rVert^2 + \tfrac12 \lVert W - X M^\top \rVert^2
        + \tfrac{\lambda}{2} \operatorname{tr}(W^\top L W), \qquad M = Z_p \cdots Z_1

    X (n, m) is an adjacency (its rows are the nodes of a graph and their ties), or any non-negative data. Row i of W
    (n, k) says how much row i belongs to each of k communities. The first term asks that layers rebuild X from W, the
    second that W are the rows of X seen through the same layers; this makes the parts M nearly orthonormal, as in
    `ProjectiveNMF`, and W carry the unit of X. The third, with L = D − A the Laplacian of a ``graph`` over the rows,
    asks neighbours to have like memberships. The paper writes A ≈ U_1 … U_p V_p, which is X here with V_p = Wᵀ and
    U_l = Z_lᵀ; X need not be square. Row weights s multiply the first two terms, row by row.

    The fit has two stages. Pretraining fits one layer after the other to the codes of the one below, by the first two
    terms; fine-tuning lowers the whole objective over W and all layers: rows of W by coordinate descent, layers by
    accelerated gradient steps, extrapolated. Neither objective ever rises.

    Parameters
    ----------
    n_components : int, default 10
        k, the width of the last layer: the number of communities.
    layers : sequence of int or None, default None
        Widths of the layers before it, from the data on: (256, 64) with k = 10 makes 3 layers. () is one layer. None:
        one layer, four times as wide as the code, at most as wide as X.
    graph : None, "X", array-like, sparse matrix or networkx graph, default None
        Over the rows of X. "X": X itself is a symmetric adjacency (n, n), its cells are the edges, relative to the
        largest. Else weights of edges (n, n), ≥ 0 and symmetric, or their Laplacian; where both the graph and X
        (a DataFrame, a graph) have names of nodes, these are matched. Where X has none, nodes 0, 1, …, n − 1 are
        numbers of rows in whatever order, a networkx graph with other nodes is refused, and the place in a matrix
        or DataFrame decides. None: no third term.
    strength : float, default 0.1
        λ, which is the paper's; without unit. Beside degrees d, λ d is compared with 1: where it is large, a minimum
        puts all rows into one community.
    pretrain_iter : int, default 100
        Iterations, at most, that each layer is pretrained with.
    n_init : int, default 1
        Starts, of which the best is kept; the first from the singular value decomposition, the others random.
    max_iter : int, default 500
        Iterations of fine-tuning.
    tol : float, default 1e-4
        A stage ends when the KKT residual, relative and without units, is at most this.
    max_time : float or None, default None
        Seconds, pretraining included.
    checkpoint : path or None, default None
        A folder from which the same fit goes on where it stopped.
    random_state : int, RandomState, Generator or None, default None
    verbose : int, default 0

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_components)
        W of the training rows: V_p transposed.
    labels_ : ndarray of int, shape (n_samples,)
        The largest entry of each row of ``embedding_``, as in the paper.
    components_ : ndarray of shape (n_components, n_features_in_)
        M = Z_p … Z_1, without unit.
    layers_ : list of ndarray
        Z_1 (k_1, n_features_in_), …, Z_p (n_components, k_{p−1}); rows of Z_l … Z_1 have norm 1 for all but the last.
    node_names_ : list of str or int, only when X has names of rows
        The nodes of a graph in the order of rows, or the names in a DataFrame; other objects by their ``str``.
    pretraining_losses_ : list of ndarray
        For every layer its objective after each iteration, as a share of ½‖W_{l−1}‖².
    pretraining_err_ : float
        √(2 · objective) of the whole stack before fine-tuning.
    n_components_, n_iter_ : int
    converged_ : bool
    kkt_residual_ : float
        The worst of W and the layers.
    reconstruction_err_ : float
        √(2 · objective), all terms, at the last iteration. ``score`` sees ‖X − W M‖ alone.
    restart_losses_ : ndarray of shape (n_init,)
    history_ : dict of ndarray
        Of fine-tuning: ``iteration, loss, kkt, change, seconds``.

    Raises
    ------
    ValueError, TypeError
        For widths that are none, a graph that does not fit X, row weights together with a graph, ``W_init`` and
        ``H_init``.

    Warns
    -----
    UserWarning
        When `transform` leaves out a ``graph`` other than "X", which has no edges to new rows.

    Notes
    -----
    `transform` folds new rows in: each gets the W ≥ 0 that minimises its own terms for the M of the fit, a problem
    with one answer. With ``graph="X"`` the row's own cells are its edges to the training rows, and their
    ``embedding_`` is in its third term. `memberships` are rows of W divided by their sums, whatever the sizes of
    parts: W is what the paper calls memberships.

    Depth adds no accuracy to the objective as such (a product of non-negative layers no narrower than the code can be
    any M); it is a path to other local minima, and gives codes of several widths (`transform_layers`).

    The paper's updates are multiplicative; these lock zeros and are slower. Its codes of the layers before the last,
    which the objective does not see, are solved for when they are asked for.

    References
    ----------
    Ye, Chen & Zheng (2018), Deep autoencoder-like nonnegative matrix factorization for community detection, CIKM.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import DANMF
    >>> A = np.kron(np.eye(2), np.ones((4, 4))) - np.eye(8)
    >>> model = DANMF(2, layers=(4,), graph="X", random_state=0).fit(A)
    >>> model.labels_.tolist() in ([0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0])
    True
    """

    _takes_weights = False
    _parameter_constraints = {
        **STACK_PARAMETERS,
        "graph": [StrOptions({"X"}), "array-like", "sparse matrix", HasMethods(["nodes", "edges"]), None],
        "strength": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self, n_components: int = 10, *, layers: Any = None, graph: Any = None, strength: float = 0.1,
        pretrain_iter: int = 100, n_init: int = 1, max_iter: int = 500, tol: float = 1e-4,
        max_time: float | None = None, checkpoint: Any = None, random_state: Any = None, verbose: int = 0,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.layers = layers
        self.graph = graph
        self.strength = strength
        self.pretrain_iter = pretrain_iter
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.max_time = max_time
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    @property
    def _is_own_graph(self) -> bool:
        return isinstance(self.graph, str)

    def _source(self, X: Any, **options: Any) -> Source:
        if isinstance(X, (str, os.PathLike)):
            X = open_path(X)
        names, graph, reset = (
            names_of_nodes(X, square=self._is_own_graph),
            is_graph(X),
            bool(options.get("reset")),
        )
        if graph:
            X = adjacency(X)
        if reset:
            self._nodes, self._of_nodes = names, graph or self._is_own_graph
        self._remember_nodes(names, graph=graph, reset=reset)
        return super()._source(X, **options)

    @with_callbacks
    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        self._refuse_starts(W_init, H_init)
        if source.row_weights is not None and self.graph is not None:
            raise TypeError(
                "DANMF.fit takes no sample_weight with a graph: its rows are no independent samples; leave one "
                "of them out"
            )
        names = self.__dict__.pop("_nodes")
        summary = self._in_range(source, summary)
        ties = self._ties(source, summary, names)
        with workers(len(source.bounds())) as pool:
            stack = EncoderStack(source, summary, pool, ties)
            beside = () if ties is None else ties.arrays()
            self._descend(source, self._widths(source.shape[1]), stack, self._pretrain, beside)
        if self.graph is None:
            self.embedding_ = self._last_codes(source)
        self.labels_ = self.embedding_.argmax(axis=1)
        return self._last_codes(source) if self._is_own_graph else self.embedding_.copy()

    def _ties(self, source: Source, summary: Summary, names: list[Any] | None) -> Ties | None:
        if self.graph is None:
            return None
        if self._is_own_graph:
            check_symmetric(source, names, instead="leave graph=None, or give a graph over the rows")
            largest = float(summary.maximum) or 1.0
            self._edge_unit = float(times(np.array(largest), -power_of(source)))
            graph = sp.csr_array(matrix_of(source)).astype(np.float64) / largest
        else:
            graph = aligned(self.graph, names)
        penalty = GraphLaplacian(1.0, graph)
        penalty.validate((source.shape[0], int(self.n_components)), "W")
        return Ties.of(penalty.laplacian, float(self.strength), source.float_dtype)

    def _pretrain(
        self, data: Source, width: int, left: float | None, rng: np.random.Generator, first: bool
    ) -> Outcome:
        """One layer without a graph, from the singular value decomposition or from chance."""
        summary, dtype = data.summary(), data.float_dtype
        with workers(len(data.bounds())) as pool:
            stack = EncoderStack(data, summary, pool)

            def start() -> dict[str, np.ndarray]:
                Z = (nndsvd if first else random)(data, summary, width, rng)
                norms = np.linalg.norm(Z.astype(np.float64), axis=1)
                Z = (Z / np.where(norms > 0, norms, 1)[:, None]).astype(dtype)
                return at_rest(stack.start(None, [Z]))

            return descend(
                start,
                lambda state: accelerated(state, stack.move, stack.pushed(1)),
                max_iter=int(self.pretrain_iter),
                tol=float(self.tol),
                dtype=dtype,
                max_time=left,
            )

    def _fitted(self, arrays: Arrays, source: Source) -> dict[str, Any]:
        found = stack_attributes(balanced(layers_of(arrays), 1.0, last=False), 0)
        return {**found, "embedding_": times(arrays["W"], -power_of(source))}

    def _codes(self, M: np.ndarray, source: Source) -> np.ndarray:
        M, P, power = near_one(M, source)
        G = M @ M.T + np.eye(len(M), dtype=M.dtype)
        return times(nonnegative_rows(G, 2 * P, 0.0, np.inf, 1e-10), power)

    def _last_codes(self, source: Source) -> np.ndarray:
        if not self._is_own_graph:
            return super()._last_codes(source)
        from ..kernels.graph import settle

        M, dtype, power = self.components_.astype(source.float_dtype), source.float_dtype, power_of(source)
        share = float(self.strength) / float(times(np.array(self._edge_unit), power))
        V = times(self.embedding_, power, dtype)
        with workers(len(source.bounds())) as pool:
            products = Products(source, pool)
            P = 2 * products.right(M.T) + dtype.type(share) * products.right(V)
            degrees = dtype.type(share) * products.right(np.ones((len(V), 1), dtype))[:, 0]
        W = np.zeros_like(P)
        settle(W, M @ M.T + np.eye(len(M), dtype=dtype), P, degrees, SETTLE, 1e-12)
        return times(W, -power)

    def _transform_source(self, source: Source) -> np.ndarray:
        if self.graph is not None and not self._is_own_graph:
            warn_user("transform leaves out graph=, which has no edges to new rows")
        return super()._transform_source(source)

    def _extents(self) -> np.ndarray:
        return np.eye(self.n_components_)

    def _part_names(self) -> Any:
        named = super()._part_names()
        return getattr(self, "node_names_", None) if named is None and self._of_nodes else named
