"""What a graph may be, and that all ways to write one mean the same penalty."""

import json

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from penalty_cases import ring
from sklearn.base import clone

from nonneg.penalties import GraphLaplacian, Penalty
from nonneg.penalties.graph import _smallest_eigenvalue

A = ring(6)
L = np.diag(A.sum(axis=1)) - A
V = np.random.default_rng(0).random((6, 3))


def networkx_graph(matrix):
    graph = nx.Graph()
    graph.add_nodes_from(f"node {i}" for i in range(len(matrix)))
    for i, j in zip(*np.nonzero(np.triu(matrix)), strict=True):
        graph.add_edge(f"node {i}", f"node {j}", weight=matrix[i, j])
    return graph


@pytest.mark.parametrize(
    "graph",
    [
        A,
        L,
        A.tolist(),
        A.astype(np.float32),
        sp.coo_matrix(A),
        sp.csc_array(L),
        A + np.eye(6),
        networkx_graph(A),
    ],
    ids=["adjacency", "laplacian", "list", "float32", "coo", "sparse laplacian", "self-loops", "networkx"],
)
def test_all_ways_to_write_a_graph_agree(graph):
    penalty = GraphLaplacian(0.7, graph)
    assert penalty.value(V, "W") == pytest.approx(0.7 * np.trace(V.T @ L @ V), rel=1e-6)
    np.testing.assert_allclose(penalty.gradient(V, "W"), 1.4 * L @ V, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(penalty.gradient(V.T, "H"), (1.4 * L @ V).T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(penalty.laplacian.toarray(), L, rtol=1e-6)
    assert clone(penalty) == penalty
    assert Penalty.from_dict(json.loads(json.dumps(penalty.to_dict()))) == penalty


def test_it_is_the_sum_over_edges():
    pairs = sum(A[s, t] * np.square(V[s] - V[t]).sum() for s in range(6) for t in range(s))
    assert GraphLaplacian(1.0, A).value(V, "W") == pytest.approx(pairs, rel=1e-12)


def test_normalized_and_isolated_nodes():
    B = A.copy()
    B[2], B[:, 2] = 0.0, 0.0
    penalty = GraphLaplacian(1.0, B, normalized=True)
    root = np.sqrt(np.where(B.sum(axis=1) > 0, B.sum(axis=1), np.inf))
    expected = np.diag((B.sum(axis=1) > 0).astype(float)) - B / root[:, None] / root[None, :]
    np.testing.assert_allclose(penalty.laplacian.toarray(), expected, atol=1e-14)
    # the square roots of the degrees cost nothing
    free = np.where(np.isfinite(root), root, 5.0)[:, None]
    assert penalty.value(free, "W") == pytest.approx(0.0, abs=1e-12)
    # ready-made, the same matrix is taken for what it is
    assert GraphLaplacian(1.0, expected).value(V, "W") == pytest.approx(penalty.value(V, "W"), rel=1e-12)


def test_no_edges_and_no_nodes():
    assert GraphLaplacian(1.0, np.zeros((6, 6))).value(V, "W") == 0.0
    assert GraphLaplacian(1.0, np.zeros((0, 0))).lipschitz("W", (0, 3)) == 0.0


def test_multigraph_edges_add_and_loops_vanish():
    graph = nx.MultiGraph()
    graph.add_nodes_from(range(3))
    graph.add_weighted_edges_from([(0, 1, 1.0), (0, 1, 2.0), (2, 2, 9.0)])
    expected = GraphLaplacian(1.0, [[0, 3, 0], [3, 0, 0], [0, 0, 0]])
    assert (GraphLaplacian(1.0, graph).laplacian != expected.laplacian).nnz == 0


@pytest.mark.parametrize(
    ("graph", "options", "error", "message"),
    [
        (np.ones((2, 3)), {}, ValueError, r"graph must be square, got shape \(2, 3\)"),
        (np.ones(3), {}, ValueError, "graph must be square"),
        (np.triu(A), {}, ValueError, "graph must be symmetric; take"),
        (nx.DiGraph([(0, 1)]), {}, ValueError, "graph must be symmetric"),
        (np.where(A > 0, np.nan, 0.0), {}, ValueError, "graph contains NaN or infinity"),
        (-A, {}, ValueError, "negative eigenvalue, so the penalty has no lower bound"),
        (L, {"form": "adjacency"}, ValueError, "an adjacency must have weights >= 0"),
        (L, {"normalized": True}, ValueError, "normalized=True needs an adjacency"),
        (A, {"form": "matrix"}, ValueError, "form must be one of 'auto', 'adjacency', 'laplacian'"),
        (A, {"normalized": "yes"}, TypeError, "normalized must be True or False"),
        (A * 1j, {}, TypeError, "graph must be a square array, .* complex"),
        (None, {}, TypeError, "graph must be a square array"),
        ("karate", {}, TypeError, "graph must be a square array"),
        ([[0, 1], [1]], {}, TypeError, "graph must be a square array"),
    ],
)
def test_refusals_name_the_cause(graph, options, error, message):
    with pytest.raises(error, match="GraphLaplacian: .*" + message if "shape" not in message else message):
        GraphLaplacian(1.0, graph, **options)


def test_a_graph_of_another_size_is_refused_by_every_method():
    penalty = GraphLaplacian(1.0, A)
    for call in (penalty.value, penalty.gradient, penalty.gradient_parts):
        with pytest.raises(ValueError, match="graph over the 5 samples, got one with 6 nodes"):
            call(V[:5], "W")


def test_smallest_eigenvalue_of_a_large_sparse_matrix():
    d = 2500
    path = sp.diags_array([np.full(d - 1, -1.0), np.full(d - 1, -1.0)], offsets=[-1, 1])
    degree = np.r_[1.0, np.full(d - 2, 2.0), 1.0]
    shifted = sp.csr_array(path + sp.diags_array(degree) - 0.5 * sp.eye_array(d))
    assert _smallest_eigenvalue(shifted) == pytest.approx(-0.5, abs=1e-4)
