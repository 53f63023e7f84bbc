"""Smoothness along an axis and over a graph: neighbours should have similar values.

Knows quadratic forms Σ a_st (v_s − v_t)² over pairs (s, t) of samples (for W) or features (for H), each
component by itself. For W they couple all rows.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from scipy.sparse.linalg import eigsh

from nonneg.penalties.base import Array, Factor, SmoothPenalty, as_float, component_rows
from nonneg.penalties.parameters import check_choice


class Smoothness(SmoothPenalty):
    """strength · Σ_j Σ_t (v_{t+1,j} − v_{t,j})² along each component vector.

    Parameters
    ----------
    strength : float >= 0
        In units of (loss per observed cell) / (unit of V)². On W, neighbouring samples (rows of X) get
        similar coefficients, as in a time series; on H, neighbouring features, as in a spectrum.

    References
    ----------
    Virtanen (2007), Monaural sound source separation by NMF with temporal continuity and sparseness criteria,
    IEEE Trans. Audio Speech Lang. Process. 15 (there divided by the component's variance, against shrinking;
    here the other factor is normalised); Zdunek & Cichocki (2007), LNCS 4507.
    """

    degree = 2

    def __init__(self, strength: float) -> None:
        self.strength = strength
        self._check_strength()

    def by_component(self, factor: Factor) -> bool:
        """True."""
        return True

    def separable(self, factor: Factor) -> Literal["rows", "none"]:
        """Neighbouring rows of W meet in every term."""
        return "none"

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """Strength · Σ (v_{t+1} − v_t)²."""
        steps = np.diff(component_rows(as_float(V), factor).astype(np.float64), axis=1)
        return float(self.strength) * float(np.square(steps).sum())

    def gradient_parts(self, V: ArrayLike, factor: Factor) -> tuple[Array, Array]:
        """(2 strength · number of neighbours · v, 2 strength · sum of the neighbours)."""
        V = as_float(V)
        plus, minus = np.zeros(V.shape, V.dtype), np.zeros(V.shape, V.dtype)
        v, p, q = (component_rows(a, factor) for a in (V, plus, minus))
        p[:, 1:] += v[:, 1:]
        p[:, :-1] += v[:, :-1]
        q[:, 1:] += v[:, :-1]
        q[:, :-1] += v[:, 1:]
        twice = 2.0 * float(self.strength)
        return twice * plus, twice * minus

    def lipschitz(self, factor: Factor, shape: tuple[int, int]) -> float:
        """2 strength (2 + 2 cos(π/d)), exact: the largest eigenvalue of a path with d nodes."""
        d = shape[0] if factor == "W" else shape[1]
        return 2.0 * float(self.strength) * (2.0 + 2.0 * math.cos(math.pi / d)) if d > 1 else 0.0

    def rescaled(self, c: float, weight: float = 1.0) -> Smoothness:
        """Strength · weight / c²."""
        return Smoothness(float(self.strength) * weight / c / c)


class GraphLaplacian(SmoothPenalty):
    """strength · tr(Wᵀ L W) for W, strength · tr(H L Hᵀ) for H = strength · Σ over edges a_st ‖v_s − v_t‖².

    Parameters
    ----------
    strength : float >= 0
        In units of (loss per observed cell) / (unit of V)².
    graph : ndarray, sparse matrix or networkx graph
        Over the n samples (for W) or the m features (for H), symmetric. Either the weights a_st >= 0 of the
        edges (self-loops have no effect), or the Laplacian L = D − A itself. Networkx graphs are taken in
        their node order with the edge attribute "weight".
    form : {"auto", "adjacency", "laplacian"}, default="auto"
        What the matrix is. "auto": a Laplacian when an entry off the diagonal is negative.
    normalized : bool, default=False
        With an adjacency: L = I − D^-½ A D^-½ over the nodes with edges; nodes without edges have a zero row.

    References
    ----------
    Cai, He, Han & Huang (2011), Graph regularized nonnegative matrix factorization for data representation,
    IEEE Trans. Pattern Anal. Mach. Intell. 33 (the term λ tr(Vᵀ L V) of its objective).
    """

    degree = 2

    def __init__(
        self,
        strength: float,
        graph: Any,
        *,
        form: Literal["auto", "adjacency", "laplacian"] = "auto",
        normalized: bool = False,
    ) -> None:
        self.strength = strength
        self.graph = graph
        self.form = form
        self.normalized = normalized
        self._check_strength()
        check_choice(self, "form", form, ("auto", "adjacency", "laplacian"))
        if not isinstance(normalized, (bool, np.bool_)):
            raise TypeError(f"GraphLaplacian: normalized must be True or False, got {normalized!r}.")
        self._matrix = _as_symmetric(graph)
        self._diagonal, self._off = _laplacian(self._matrix, form, bool(normalized))

    @property
    def laplacian(self) -> sp.csr_array:
        """L, (d, d)."""
        return sp.csr_array(sp.diags_array(self._diagonal) + self._off)

    def by_component(self, factor: Factor) -> bool:
        """True."""
        return True

    def separable(self, factor: Factor) -> Literal["rows", "none"]:
        """Edges couple rows of W."""
        return "none"

    def _comparable(self) -> dict[str, Any]:
        return {**self.get_params(), "graph": self._matrix}

    def validate(self, shape: tuple[int, int], factor: Factor) -> None:
        """Refuse a graph with another number of nodes than V has samples or features."""
        super().validate(shape, factor)
        d, what = (shape[0], "samples") if factor == "W" else (shape[1], "features")
        if len(self._diagonal) != d:
            raise ValueError(
                f"GraphLaplacian on {factor} needs a graph over the {d} {what}, "
                f"got one with {len(self._diagonal)} nodes."
            )

    def value(self, V: ArrayLike, factor: Factor) -> float:
        """Strength · tr(V′ L V) with one column a component."""
        V = as_float(V)
        self.validate(V.shape, factor)
        nodes = component_rows(V, factor).T.astype(np.float64)
        LV = self._diagonal[:, None] * nodes + self._off @ nodes
        return float(self.strength) * float((nodes * LV).sum())

    def gradient_parts(self, V: ArrayLike, factor: Factor) -> tuple[Array, Array]:
        """2 strength L⁺ V and 2 strength L⁻ V, L = L⁺ − L⁻ cell by cell: degrees and neighbours."""
        V = as_float(V)
        self.validate(V.shape, factor)
        nodes = component_rows(V, factor).T
        twice = 2.0 * float(self.strength)
        plus = twice * (self._diagonal[:, None] * nodes + self._off.maximum(0) @ nodes)
        minus = -twice * (self._off.minimum(0) @ nodes)
        first, second = (
            np.ascontiguousarray(component_rows(part.T, factor).astype(V.dtype)) for part in (plus, minus)
        )
        return first, second

    def lipschitz(self, factor: Factor, shape: tuple[int, int]) -> float:
        """2 strength · max_s Σ_t |L_st| (Gershgorin), at most twice the largest eigenvalue for a Laplacian."""
        if not len(self._diagonal):
            return 0.0
        sums = self._diagonal + np.asarray(abs(self._off).sum(axis=1)).ravel()
        return 2.0 * float(self.strength) * float(sums.max())

    def rescaled(self, c: float, weight: float = 1.0) -> GraphLaplacian:
        """Strength · weight / c²."""
        strength = float(self.strength) * weight / c / c
        return GraphLaplacian(strength, self.graph, form=self.form, normalized=self.normalized)


def _as_symmetric(graph: Any) -> sp.csr_array:
    """The user's graph as a float64 CSR matrix; ValueError or TypeError unless square, finite, real and symmetric."""
    # networkx is not a dependency: its graphs are known by what they offer
    if hasattr(graph, "nodes") and hasattr(graph, "edges"):
        graph = adjacency(graph)
    try:
        matrix = sp.csr_array(graph if sp.issparse(graph) else np.asarray(graph))
        if matrix.dtype.kind not in "biuf":
            raise TypeError(f"its entries are {matrix.dtype}")
    except (TypeError, ValueError) as error:
        raise TypeError(
            "GraphLaplacian: graph must be a square array, a sparse matrix or a networkx graph, "
            f"got {type(graph).__name__} ({error})."
        ) from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"GraphLaplacian: graph must be square, got shape {matrix.shape}.")
    matrix = matrix.astype(np.float64)
    matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise ValueError("GraphLaplacian: graph contains NaN or infinity.")
    largest = float(abs(matrix.data).max()) if matrix.nnz else 0.0
    skew = abs(matrix - matrix.T)
    if skew.nnz and float(skew.max()) > 1e-8 * largest:
        raise ValueError(
            "GraphLaplacian: graph must be symmetric; take (A + A.T) / 2, or the maximum of A and A.T, "
            "of a directed one."
        )
    return matrix


def adjacency(graph: Any) -> sp.csr_array:
    """Adjacency of a networkx graph in node order, with the edge attribute "weight"; parallel edges add up.

    Raises
    ------
    TypeError
        That names the first edge whose weight is no number.
    """
    index = {node: i for i, node in enumerate(graph.nodes)}
    rows, cols, weights = [], [], []
    for a, b, weight in graph.edges(data="weight", default=1.0):
        rows.append(index[a])
        cols.append(index[b])
        if isinstance(weight, str) or not hasattr(weight, "__float__"):
            raise TypeError(
                f"the edge ({a!r}, {b!r}) of the graph has weight {weight!r}, which is no number; give it one, or "
                "leave the attribute out (then it is 1)"
            )
        weights.append(float(weight))
    shape = (len(index), len(index))
    half = sp.csr_array(sp.coo_array((weights, (rows, cols)), shape=shape))
    if graph.is_directed():
        return half
    return sp.csr_array(half + half.T - sp.diags_array(half.diagonal()))


def _laplacian(matrix: sp.csr_array, form: str, normalized: bool) -> tuple[Array, sp.csr_array]:
    """(diagonal, off-diagonal part) of the Laplacian."""
    diagonal = np.asarray(matrix.diagonal())
    off = sp.csr_array(matrix - sp.diags_array(diagonal))
    off.eliminate_zeros()
    negative = bool(off.nnz and off.data.min() < 0)
    if form == "laplacian" or (form == "auto" and negative):
        return _given_laplacian(diagonal, off, normalized)
    if negative:
        raise ValueError(
            "GraphLaplacian: an adjacency must have weights >= 0, got a negative one; "
            "say form='laplacian' if the matrix is L."
        )
    degree = np.asarray(off.sum(axis=1)).ravel()
    if not normalized:
        return degree, sp.csr_array(-off)
    root = np.sqrt(degree)
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    scaled = sp.diags_array(inverse) @ off @ sp.diags_array(inverse)
    return (degree > 0).astype(np.float64), sp.csr_array(-scaled)


def _given_laplacian(diagonal: Array, off: sp.csr_array, normalized: bool) -> tuple[Array, sp.csr_array]:
    """Check a Laplacian that came ready-made: a form that can be negative would have no minimum."""
    if normalized:
        raise ValueError(
            "GraphLaplacian: normalized=True needs an adjacency, got a Laplacian; normalise it first."
        )
    dominated = diagonal + 1e-8 * np.abs(diagonal) >= np.asarray(abs(off).sum(axis=1)).ravel()
    if not dominated.all():
        # a normalised Laplacian is not diagonally dominant, and still positive semidefinite
        matrix = sp.csr_array(sp.diags_array(diagonal) + off)
        if _smallest_eigenvalue(matrix) < -1e-8 * max(float(np.abs(diagonal).max()), 1e-300):
            raise ValueError(
                "GraphLaplacian: the Laplacian has a negative eigenvalue, so the penalty has no lower bound. "
                "Expected L = D − A with weights >= 0 (give the adjacency A instead, with form='adjacency')."
            )
    return diagonal, off


def _smallest_eigenvalue(matrix: sp.csr_array) -> float:
    """Smallest eigenvalue: exact up to 2,000 nodes, by Lanczos on the shifted matrix above."""
    d = matrix.shape[0]
    if d <= 2000:
        return float(np.linalg.eigvalsh(matrix.toarray())[0])
    top = float(np.asarray(abs(matrix).sum(axis=1)).max())
    shifted = sp.csr_array(sp.diags_array(np.full(d, top)) - matrix)
    start = np.random.default_rng(0).standard_normal(d)
    largest = eigsh(shifted, k=1, which="LA", v0=start, tol=1e-10, return_eigenvectors=False)[0]
    return top - float(largest)
