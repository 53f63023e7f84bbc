"""Autoencoder-like deep NMF: its objective, both stages, communities, graphs by any name, and new rows."""

import tracemalloc

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls

import nonneg
from nonneg import DANMF
from nonneg.exceptions import CheckpointError
from nonneg.metrics import clustering_accuracy
from nonneg.solvers.stack import product, quadratic

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")

KARATE = nx.karate_club_graph()
CLUBS = np.array([KARATE.nodes[node]["club"] == "Officer" for node in KARATE]).astype(int)
TIES = nx.to_numpy_array(KARATE, weight=None)


def planted(n=40, m=15, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(0.4, size=(n, k)) @ rng.gamma(0.4, size=(k, m)) + 0.02 * rng.random((n, m))


def chain(n):
    """A path over rows."""
    return np.eye(n, k=1) + np.eye(n, k=-1)


def objective(X, W, layers, A=None, strength=0.0):
    M = product(layers)
    terms = np.linalg.norm(X - W @ M) ** 2 + np.linalg.norm(W - X @ M.T) ** 2
    if A is not None:
        terms += strength * np.trace(W.T @ (np.diag(A.sum(axis=1)) - A) @ W)
    return 0.5 * terms


def published(X, W, layers, A, strength, iterations):
    """The multiplicative updates of all factors, in the orientation of this library."""
    degrees, layers, W = A.sum(axis=1)[:, None], list(layers), W.copy()
    for _ in range(iterations):
        for level, Z in enumerate(layers):
            N = product([np.eye(len(Z)), *layers[level + 1 :]])
            B = product([np.eye(X.shape[1]), *layers[:level]])
            M = product(layers)
            down = N.T @ (W.T @ W @ M + M @ (X.T @ X)) @ B.T
            layers[level] = Z * (2 * N.T @ W.T @ X @ B.T) / np.maximum(down, 1e-12)
        M = product(layers)
        down = W @ (M @ M.T) + W + strength * degrees * W
        W = W * (2 * X @ M.T + strength * A @ W) / np.maximum(down, 1e-12)
    return objective(X, W, layers, A, strength)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("layers", [(), (8,), (9, 6)])
def test_not_above_the_published_updates(graph, layers):
    X = planted()
    A = chain(40) if graph else np.zeros((40, 40))
    model = DANMF(3, layers=layers, graph=A if graph else None, strength=0.2, tol=1e-6, random_state=0)
    model.fit(X)
    loss = model.history_["loss"][-1]
    assert loss == pytest.approx(objective(X, model.embedding_, model.layers_, A, 0.2), rel=1e-6)
    assert model.converged_ and 0.5 * model.reconstruction_err_**2 == pytest.approx(loss)
    rng = np.random.default_rng(0)
    shapes = [Z.shape for Z in model.layers_]
    found = [
        published(X, rng.random((40, 3)), [0.3 * rng.random(shape) for shape in shapes], A, 0.2, 3000)
        for _ in range(2)
    ]
    assert loss <= min(found) * 1.01
    # from where it ended they find nothing better
    again = published(X, model.embedding_, model.layers_, A, 0.2, 200)
    assert again == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("layers", [(), (8,), (9, 6)])
def test_the_objective_falls_at_every_stage(layers):
    model = DANMF(3, layers=layers, random_state=0, tol=1e-6).fit(planted())
    assert len(model.pretraining_losses_) == len(layers) + 1
    for losses in model.pretraining_losses_:
        assert len(losses) > 1 and (np.diff(losses) <= 1e-12).all() and 0 < losses[-1] < losses[0]
    tuned = model.history_["loss"]
    assert tuned[0] <= 0.5 * model.pretraining_err_**2 * (1 + 1e-12)
    assert (np.diff(tuned) <= 1e-12 * tuned[0]).all()
    if layers:
        assert tuned[-1] < 0.999 * 0.5 * model.pretraining_err_**2


@pytest.mark.parametrize("graph", [False, True])
def test_the_residual_is_that_of_first_order(graph):
    X, A = planted(), chain(40) if graph else None
    model = DANMF(3, layers=(6,), graph=A, tol=1e-7, max_iter=5000, random_state=0).fit(X)
    factors = [model.embedding_, *model.layers_]

    def value(entries):
        return objective(X, entries[0], entries[1:], A, 0.1)

    rng, worst = np.random.default_rng(0), 0.0
    for place, factor in enumerate(factors):
        for _ in range(20):
            i, j = rng.integers(factor.shape[0]), rng.integers(factor.shape[1])
            moved = []
            for step in (1e-5, -1e-5):
                changed = [V.copy() for V in factors]
                changed[place][i, j] += step
                moved.append(value(changed))
            slope = (moved[0] - moved[1]) / 2e-5
            worst = max(worst, abs(min(factor[i, j], slope)) if factor[i, j] < 1e-8 else abs(slope))
    assert model.kkt_residual_ <= 1e-7 and worst < 1e-4 * value(factors)


@pytest.mark.parametrize("layers", [(), (16,), (16, 8)])
@pytest.mark.parametrize("graph", [None, "X"])
def test_communities_of_the_karate_club(layers, graph):
    model = DANMF(2, layers=layers, graph=graph, random_state=0).fit(TIES)
    assert model.converged_
    assert (model.labels_ == model.embedding_.argmax(axis=1)).all()
    assert clustering_accuracy(CLUBS, model.labels_) >= 33 / 34
    np.testing.assert_array_equal(model.memberships(TIES).argmax(axis=1), model.labels_)


@pytest.mark.parametrize("graph", [None, "X"])
def test_a_planted_partition(graph):
    graph_of = nx.planted_partition_graph(4, 25, 0.4, 0.05, seed=1)
    truth = np.repeat(np.arange(4), 25)
    model = DANMF(4, layers=(32, 16), graph=graph, random_state=0).fit(nx.to_scipy_sparse_array(graph_of))
    assert clustering_accuracy(truth, model.labels_) == 1


def test_memberships_are_the_last_layer_and_not_its_parts():
    X = planted()
    model = DANMF(3, layers=(8,), random_state=0).fit(X)
    assert model.embedding_.shape == (40, 3)
    np.testing.assert_allclose(
        model.memberships(X), model.embedding_ / model.embedding_.sum(axis=1, keepdims=True)
    )
    np.testing.assert_array_equal(model.embedding_, model.transform(X))
    assert model.components_.shape == (3, 15) and [Z.shape for Z in model.layers_] == [(8, 15), (3, 8)]
    assert all((Z >= 0).all() for Z in [model.embedding_, *model.layers_])


@pytest.mark.parametrize("label", [str, lambda i: f"member {i}", lambda i: (i, "x"), lambda i: 100 - i])
def test_nodes_of_any_name(label, tmp_path):
    named = nx.relabel_nodes(KARATE, {node: label(node) for node in KARATE})
    for _, _, data in named.edges(data=True):
        data.pop("weight")
    plain = DANMF(2, graph="X", random_state=0).fit(TIES)
    model = DANMF(2, graph="X", random_state=0).fit(named)
    np.testing.assert_array_equal(model.labels_, plain.labels_)
    kept = [name if isinstance(name, int) else str(name) for name in map(label, KARATE)]
    assert model.node_names_ == kept
    assert all(name in kept for name, _ in model.top_features(3)[0])
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(nonneg.load(tmp_path / "model").transform(named), model.transform(named))
    with pytest.raises(ValueError, match="other nodes than the graph of the fit"):
        model.transform(KARATE if label(0) != 0 else nx.path_graph(34))


def test_a_graph_over_named_rows_is_matched_by_name():
    X = planted(12)
    names = [f"row {i}" for i in range(12)]
    shuffled = np.random.default_rng(0).permutation(12)
    graph = nx.Graph()
    graph.add_nodes_from(names[i] for i in shuffled)
    graph.add_edges_from((names[i], names[i + 1]) for i in range(11))
    frame = pd.DataFrame(X, index=names)
    expected = DANMF(3, graph=chain(12), random_state=0).fit(X).embedding_
    table = pd.DataFrame(chain(12), index=names, columns=names).iloc[shuffled, shuffled]
    for given in (graph, table, sp.csr_array(chain(12))):
        found = DANMF(3, graph=given, random_state=0).fit(frame).embedding_
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="the row 'row 11' of X is no node"):
        DANMF(3, graph=graph.subgraph(names[:11]), random_state=0).fit(frame)
    with pytest.raises(ValueError, match="the node 'other' is no row of X"):
        DANMF(3, graph=nx.relabel_nodes(graph, {"row 0": "other"}), random_state=0).fit(frame)


@pytest.mark.parametrize("data", [lambda X: X, pd.DataFrame, sp.csr_array])
def test_nodes_that_are_numbers_of_rows_are_taken_by_number(data):
    """Whatever the order in which they came into the graph, where rows of X are only numbered."""
    X = data(planted(12))
    shuffled = np.random.default_rng(0).permutation(12)
    graph = nx.Graph()
    graph.add_nodes_from(shuffled.tolist())
    graph.add_edges_from((i, i + 1) for i in range(11))
    expected = DANMF(3, graph=chain(12), random_state=0).fit(X).embedding_
    table = pd.DataFrame(chain(12)).iloc[shuffled, shuffled]
    for given in (graph, table):
        np.testing.assert_array_equal(DANMF(3, graph=given, random_state=0).fit(X).embedding_, expected)
    named = nx.relabel_nodes(graph, {i: f"row {i}" for i in range(12)})
    with pytest.raises(ValueError, match="the rows of X have none to match"):
        DANMF(3, graph=named, random_state=0).fit(X)
    table = pd.DataFrame(chain(12), index=list("abcdefghijkl"), columns=list("abcdefghijkl"))
    np.testing.assert_array_equal(DANMF(3, graph=table, random_state=0).fit(X).embedding_, expected)


def test_neighbours_become_alike():
    X = np.random.default_rng(0).random((30, 12))

    def roughness(model):
        W = model.embedding_
        return np.linalg.norm(np.diff(W, axis=0)) / np.linalg.norm(W)

    found = [roughness(DANMF(3, graph=chain(30), strength=s, random_state=0).fit(X)) for s in (0.0, 0.3, 3.0)]
    assert found[1] < 0.8 * found[0] and found[2] < 0.5 * found[1]


def test_new_rows_are_folded_in():
    X, new = planted(), planted(7, seed=1)
    model = DANMF(3, layers=(8,), random_state=0).fit(X)
    for M, codes in zip(
        (model.layers_[0], model.components_), model.transform_layers(new), strict=True
    ):  # both terms: x ≈ w M and w ≈ M x
        stacked = np.vstack([M.T, np.eye(len(M))])
        expected = [nnls(stacked, np.concatenate([x, M @ x]))[0] for x in new]
        np.testing.assert_allclose(codes, expected, atol=1e-8)


def test_new_nodes_are_folded_in_with_their_edges():
    model = DANMF(2, layers=(8,), graph="X", strength=0.3, tol=1e-7, max_iter=3000, random_state=0)
    W = model.fit_transform(TIES)
    np.testing.assert_array_equal(W, model.transform(TIES))
    np.testing.assert_allclose(W, model.embedding_, atol=1e-5)  # the fixed point of the fit
    x, M, V = TIES[0], model.components_, model.embedding_
    ties = np.sqrt(0.3 * x)[:, None]
    stacked = np.vstack([M.T, np.eye(2), np.repeat(ties, 2, axis=0) * np.tile(np.eye(2), (34, 1))])
    wanted = np.concatenate([x, M @ x, (ties * V).ravel()])
    np.testing.assert_allclose(W[0], nnls(stacked, wanted)[0], atol=1e-8)


def test_a_graph_of_its_own_has_no_edges_to_new_rows():
    X = planted()
    model = DANMF(3, graph=chain(40), random_state=0)
    np.testing.assert_array_equal(model.fit_transform(X), model.embedding_)
    with pytest.warns(UserWarning, match="no edges to new rows"):
        assert model.transform(X[:3]).shape == (3, 3)


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (30, 30)])
def test_rectangular_data_with_and_without_a_gram_matrix(shape, monkeypatch):
    X = planted(*shape)
    expected = DANMF(3, layers=(5,), tol=1e-6, max_iter=2000, random_state=0).fit(X)
    monkeypatch.setattr("nonneg.solvers.encoder_stack.GRAM_UP_TO", 0)
    found = DANMF(3, layers=(5,), tol=1e-6, max_iter=2000, random_state=0).fit(X)
    assert found.embedding_.shape == (shape[0], 3)
    assert found.reconstruction_err_ == pytest.approx(expected.reconstruction_err_, rel=1e-2)


def test_units():
    # a power of two changes no digit; edges of an adjacency count relative to the largest
    for graph in (None, "X"):
        first = DANMF(2, graph=graph, random_state=0).fit(TIES)
        for factor in (2.0**600, 2.0**-600):
            other = DANMF(2, graph=graph, random_state=0).fit(TIES * factor)
            np.testing.assert_allclose(other.components_, first.components_, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(other.embedding_ / factor, first.embedding_, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(
                other.transform(TIES * factor) / factor, first.transform(TIES), rtol=1e-9, atol=1e-12
            )


def test_row_weights_count_rows():
    X, s = planted(), np.random.default_rng(0).integers(0, 3, 40)
    weighted = DANMF(3, layers=(6,), random_state=0, tol=1e-6).fit(X, sample_weight=s)
    repeated = DANMF(3, layers=(6,), random_state=0, tol=1e-6).fit(np.repeat(X, s, axis=0))
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=1e-6, atol=1e-8)


def test_sparse_data_stay_sparse():
    rng = np.random.default_rng(0)
    X = sp.random_array((5000, 5000), density=1e-3, rng=rng, format="csr")
    X = sp.csr_array(X + X.T)
    model = DANMF(3, layers=(6,), graph="X", random_state=0, pretrain_iter=2, max_iter=2)
    model.fit(X[:50, :50])  # what is compiled is not counted
    tracemalloc.start()
    model.fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.shape[0] * X.shape[1] * 8 / 8


@pytest.mark.parametrize(
    ("parameters", "X", "error", "match"),
    [
        ({"graph": "X"}, planted(), ValueError, "square affinity.*leave graph=None"),
        ({"graph": "X"}, np.triu(np.ones((6, 6))), ValueError, "symmetric"),
        ({"graph": "Y"}, planted(), ValueError, "graph"),
        ({"graph": np.ones((3, 3))}, planted(), ValueError, "over the 40 samples"),
        ({"graph": np.triu(np.ones((40, 40)))}, planted(), ValueError, "graph must be symmetric"),
        ({"strength": -1.0}, planted(), ValueError, "strength"),
        ({"layers": "8"}, planted(), ValueError, "layers"),
    ],
)
def test_refusals(parameters, X, error, match):
    with pytest.raises(error, match=match):
        DANMF(3, **parameters).fit(X)


def test_a_checkpoint_belongs_to_its_graph(tmp_path):
    X, ring = planted(), sp.csr_array(np.roll(np.eye(40), 1, axis=0) + np.roll(np.eye(40), -1, axis=0))
    order = np.random.default_rng(0).permutation(40)
    other = ring[order][:, order]  # as many edges elsewhere
    kept = {"random_state": 0, "tol": 0, "checkpoint": tmp_path}
    DANMF(3, graph=ring, max_iter=5, **kept).fit(X)
    with pytest.raises(CheckpointError, match="belongs to other data"):
        DANMF(3, graph=other, max_iter=8, **kept).fit(X)
    resumed = DANMF(3, graph=ring, max_iter=8, **kept).fit(X)
    whole = DANMF(3, graph=ring, max_iter=8, random_state=0, tol=0).fit(X)
    np.testing.assert_array_equal(resumed.embedding_, whole.embedding_)
    assert resumed.n_iter_ == 8


def test_rows_of_a_graph_have_no_weights():
    with pytest.raises(TypeError, match=r"takes no sample_weight with a graph"):
        DANMF(2, graph="X").fit(TIES, sample_weight=np.ones(34))


def test_steps_of_a_layer_never_rise_and_reach_the_answer():
    rng = np.random.default_rng(0)
    root = rng.random((20, 8))
    Q, linear = root.T @ root, rng.standard_normal((8, 3))
    Z = rng.random((8, 3))
    values = []
    for _ in range(300):
        Z = quadratic(Z, lambda V: Q @ V, Q.sum(axis=1, keepdims=True), linear, 8)
        values.append(0.5 * np.vdot(Z, Q @ Z) - np.vdot(linear, Z))
    assert (np.diff(values) <= 1e-12).all()
    upper = np.linalg.cholesky(Q).T
    expected = np.array([nnls(upper, np.linalg.solve(upper.T, column))[0] for column in linear.T]).T
    np.testing.assert_allclose(Z, expected, atol=1e-7)
