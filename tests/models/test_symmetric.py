"""Symmetric NMF: its objective against numerical minimisation, a club that split, pairs that are honoured."""

from __future__ import annotations

import tracemalloc

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize, nnls
from sklearn.base import clone
from sklearn.datasets import load_digits

import nonneg
from nonneg import SymmetricNMF
from nonneg.kernels.symmetric import least_quartic
from nonneg.metrics import ari


def blocks(n, k, within, between, seed):
    """A random graph with k planted groups, and the groups."""
    rng = np.random.default_rng(seed)
    y = rng.integers(k, size=n)
    A = np.triu(rng.random((n, n)) < np.where(y[:, None] == y, within, between), 1)
    return (A | A.T).astype(float), y


def club():
    graph = nx.karate_club_graph()
    side = np.array([graph.nodes[node]["club"] == "Officer" for node in graph]).astype(int)
    return graph, side


def misplaced(labels, side):
    return min(np.sum(labels != side), np.sum(labels == side))


def test_the_quartic_is_minimised():
    rng = np.random.default_rng(0)
    for a, b in rng.standard_normal((500, 2)) * 10.0 ** rng.uniform(-3, 3, (500, 2)):
        v = least_quartic.py_func(a, b)
        grid = np.linspace(0, 2 * np.sqrt(abs(a)) + 2 * np.cbrt(abs(b)), 2001)
        values = grid**4 / 4 + a * grid**2 / 2 + b * grid
        assert v >= 0 and v**4 / 4 + a * v**2 / 2 + b * v <= values.min() + 1e-12 * np.abs(values).max()


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_no_worse_than_bounded_quasi_newton(make):
    A, _ = blocks(30, 3, 0.6, 0.1, 0)

    def loss(h):
        H = h.reshape(30, 3)
        gap = A - H @ H.T
        return 0.5 * np.sum(gap**2), (-2 * gap @ H).ravel()

    rng = np.random.default_rng(1)
    found = [
        minimize(loss, rng.random(90), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 90) for _ in range(8)
    ]
    model = SymmetricNMF(3, random_state=0, n_init=4, tol=1e-8).fit(make(A))
    H = model.embedding_
    assert 0.5 * model.reconstruction_err_**2 == pytest.approx(loss(H.ravel())[0], rel=1e-9)
    assert loss(H.ravel())[0] <= min(result.fun for result in found) * (1 + 1e-6)
    gradient = loss(H.ravel())[1].reshape(H.shape)
    assert np.abs(np.minimum(H, gradient)).max() < 1e-5


def test_new_rows_are_least_squares_and_the_training_rows_come_back():
    A, _ = blocks(40, 2, 0.6, 0.1, 3)
    model = SymmetricNMF(2, random_state=0, tol=1e-9).fit(A)
    assert model.transform(A) == pytest.approx(model.embedding_, abs=1e-6)
    new = np.random.default_rng(0).random((5, 40))
    expected = np.array([nnls(model.embedding_, row)[0] for row in new])
    assert model.transform(new) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("weighting", [None, "degree", "pmi"])
def test_the_karate_club(weighting):
    graph, side = club()
    model = SymmetricNMF(2, weighting=weighting, random_state=0).fit(graph)
    assert misplaced(model.labels_, side) <= (2 if weighting == "pmi" else 1)
    named = nx.relabel_nodes(graph, {node: ("member", str(node)) for node in graph})
    assert np.array_equal(clone(model).fit(named).labels_, model.labels_)
    matrix = nx.to_scipy_sparse_array(graph).astype(float)
    assert clone(model).fit(matrix).embedding_ == pytest.approx(model.embedding_, abs=1e-9)


def test_a_pair_places_the_last_member():
    graph, side = club()
    plain = SymmetricNMF(2, random_state=0).fit(graph)
    wrong = np.flatnonzero((plain.labels_ != side) ^ (np.mean(plain.labels_ != side) > 0.5))
    pairs = [(i, 33 if side[i] else 0) for i in wrong]
    assert len(pairs) == 1
    assert misplaced(SymmetricNMF(2, must_link=pairs, random_state=0).fit(graph).labels_, side) == 0


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_pairs_are_honoured_and_help(kind):
    A, y = blocks(200, 3, 0.14, 0.05, 0)
    pairs = np.random.default_rng(1).choice(200, (150, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    must, cannot = pairs[same], pairs[~same]
    plain = ari(y, SymmetricNMF(3, random_state=0).fit(kind(A)).labels_)
    for links in ({"must_link": must}, {"cannot_link": cannot}, {"must_link": must, "cannot_link": cannot}):
        model = SymmetricNMF(3, random_state=0, n_init=5, **links).fit(kind(A))
        left, right = model.labels_[must].T if "must_link" in links else ([], [])
        assert np.array_equal(left, right)
        if "cannot_link" in links:
            left, right = model.labels_[cannot].T
            assert (left != right).all()
            H = model.embedding_
            assert np.abs(np.sum(H[cannot[:, 0]] * H[cannot[:, 1]], axis=1)).max() < 1e-9  # disjoint supports
        assert ari(y, model.labels_) > plain


def test_rows_that_must_be_together_minimise_the_loss_with_shared_rows():
    A, _ = blocks(24, 2, 0.6, 0.1, 5)
    groups = np.r_[0, 0, 0, np.arange(1, 22)]  # rows 0, 1 and 2 are one
    model = SymmetricNMF(2, must_link=[(0, 1), (1, 2)], random_state=0, tol=1e-9, n_init=4).fit(A)

    def loss(z):
        H = z.reshape(22, 2)[groups]
        return 0.5 * np.sum((A - H @ H.T) ** 2)

    rng = np.random.default_rng(0)
    best = min(
        minimize(loss, rng.random(44), method="L-BFGS-B", bounds=[(0, None)] * 44).fun for _ in range(6)
    )
    H = model.embedding_
    assert np.array_equal(H[0], H[1]) and np.array_equal(H[1], H[2])
    assert 0.5 * model.reconstruction_err_**2 == pytest.approx(0.5 * np.sum((A - H @ H.T) ** 2), rel=1e-9)
    assert 0.5 * model.reconstruction_err_**2 <= best * (1 + 1e-5)


def test_contradictions_are_named():
    A, _ = blocks(12, 2, 0.8, 0.1, 0)
    with pytest.raises(ValueError, match=r"cannot_link holds the pair \(0, 2\)"):
        SymmetricNMF(2, must_link=[(0, 1), (1, 2)], cannot_link=[(0, 2)]).fit(A)
    with pytest.raises(ValueError, match="row 3 paired with itself"):
        SymmetricNMF(2, cannot_link=[(3, 3)]).fit(A)
    with pytest.raises(ValueError, match=r"must_link has an index outside 0 … 11"):
        SymmetricNMF(2, must_link=[(0, 12)]).fit(A)
    with pytest.raises(ValueError, match=r"must_link must hold pairs"):
        SymmetricNMF(2, must_link=[0, 1, 2]).fit(A)
    with pytest.warns(UserWarning, match=r"cannot_link: 1 pair\(s\)"):
        SymmetricNMF(2, cannot_link=[(0, 1), (1, 2), (0, 2)], random_state=0).fit(A)


def test_what_is_no_affinity_is_refused():
    A, _ = blocks(12, 2, 0.8, 0.1, 0)
    with pytest.raises(ValueError, match=r"square affinity.*affinity='nearest_neighbors'"):
        SymmetricNMF(2).fit(A[:7])
    A[3, 5] += 1
    with pytest.raises(ValueError, match=r"symmetric: row and column [35] differ"):
        SymmetricNMF(2).fit(A)
    wheel = np.ones((2000, 2000), np.uint8)  # one arrow among many edges, in single precision
    wheel[7, 9] = 0
    with pytest.raises(ValueError, match=r"symmetric: row and column [79] differ"):
        SymmetricNMF(2).fit(wheel)


def test_the_unit_of_the_affinity_does_not_matter():
    A, _ = blocks(40, 3, 0.6, 0.1, 2)
    plain = SymmetricNMF(3, random_state=0).fit(A)
    for power in (-301, 3, 500):
        again = SymmetricNMF(3, random_state=0).fit(np.ldexp(A, 2 * power))
        assert again.embedding_ == pytest.approx(np.ldexp(plain.embedding_, power), rel=1e-6)
        assert np.array_equal(again.labels_, plain.labels_)
        assert np.ldexp(again.transform(np.ldexp(A, 2 * power)), -power) == pytest.approx(
            plain.transform(A), abs=1e-6
        )


@pytest.mark.parametrize("affinity", ["nearest_neighbors", "rbf"])
@pytest.mark.parametrize("weighting", [None, "degree", "pmi"])
def test_data_instead_of_affinities(affinity, weighting):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 40)
    X = rng.standard_normal((120, 2)) + 8 * np.array([[0, 0], [1, 0], [0, 1]])[y]
    model = SymmetricNMF(3, affinity=affinity, weighting=weighting, random_state=0)
    found = model.fit(X).labels_
    assert ari(y, found) == 1 and model.components_.shape == (3, 120)
    assert np.array_equal(model.transform(X + 1e-9).argmax(axis=1), found)  # new data find their cluster
    assert np.array_equal(clone(model).fit(X * 1e200).labels_, found)
    assert np.array_equal(clone(model).fit(sp.csr_array(X)).labels_, found)


@pytest.mark.parametrize("affinity", ["nearest_neighbors", "rbf"])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_files_hold_the_training_rows(affinity, make, tmp_path):
    X = make(np.random.default_rng(0).standard_normal((30, 4)))
    model = SymmetricNMF(3, affinity=affinity, weighting="degree", gamma=0.5, random_state=0).fit(X)
    model.save(tmp_path / "model.nmf")
    assert np.array_equal(nonneg.load(tmp_path / "model.nmf").transform(X), model.transform(X))


def test_gamma_is_per_unit_of_the_data():
    X = np.random.default_rng(0).standard_normal((30, 2))
    model = SymmetricNMF(2, affinity="rbf", gamma=0.5, random_state=0, tol=1e-8, n_init=3).fit(X)
    A = np.exp(-0.5 * np.sum((X[:, None] - X) ** 2, axis=2))
    assert model.reconstruction_err_ == pytest.approx(
        np.linalg.norm(A - model.embedding_ @ model.components_), rel=1e-6
    )
    scaled = SymmetricNMF(2, affinity="rbf", gamma=np.ldexp(0.5, -100), random_state=0, tol=1e-8, n_init=3)
    assert scaled.fit(np.ldexp(X, 50)).embedding_ == pytest.approx(model.embedding_, abs=1e-6)
    automatic = SymmetricNMF(2, affinity="rbf", random_state=0, tol=1e-8, n_init=3).fit(X)
    A = np.exp(-np.sum((X[:, None] - X) ** 2, axis=2) / (2 * X.var()))
    gap = np.linalg.norm(A - automatic.embedding_ @ automatic.components_)
    assert automatic.reconstruction_err_ == pytest.approx(gap, rel=1e-6)


@pytest.mark.parametrize("weighting", ["degree", "pmi"])
def test_weightings_against_their_formulas(weighting):
    A, _ = blocks(30, 2, 0.7, 0.2, 0)
    d = A.sum(axis=1)
    with np.errstate(divide="ignore"):
        expected = {
            "degree": A / np.sqrt(np.outer(d, d)),
            "pmi": np.maximum(np.log(A * d.sum() / np.outer(d, d)), 0),
        }[weighting]
    for kind in (np.asarray, sp.csr_array):
        model = SymmetricNMF(2, weighting=weighting, random_state=0, tol=1e-8).fit(kind(A))
        plain = SymmetricNMF(2, random_state=0, tol=1e-8).fit(kind(expected))
        assert model.embedding_ == pytest.approx(plain.embedding_, abs=1e-8)
        assert model.transform(kind(A)) == pytest.approx(plain.transform(kind(expected)), abs=1e-8)


def test_starts_of_the_user():
    A, _ = blocks(30, 2, 0.7, 0.2, 0)
    fitted = SymmetricNMF(2, random_state=0, tol=1e-8).fit(A)
    for start in ({"W_init": fitted.embedding_}, {"H_init": fitted.components_}):
        again = SymmetricNMF(2, tol=1e-6).fit(A, **start)
        assert again.n_iter_ == 1 and again.embedding_ == pytest.approx(fitted.embedding_, abs=1e-5)


def test_digits_by_their_neighbours():
    X, y = load_digits(return_X_y=True)
    model = SymmetricNMF(10, affinity="nearest_neighbors", weighting="degree", random_state=0).fit(X)
    assert ari(y, model.labels_) > 0.65  # .72 to .83 by seed and rounding; spectral clustering has .76


def test_a_large_sparse_graph_stays_sparse():
    n = 4000
    rng = np.random.default_rng(0)
    y = np.arange(n) % 4
    i = rng.integers(n, size=40000)
    j = np.where(
        rng.random(40000) < 0.9, (rng.integers(n // 4, size=40000) * 4 + y[i]), rng.integers(n, size=40000)
    )
    A = sp.csr_array(sp.coo_array((np.ones(80000), (np.r_[i, j], np.r_[j, i])), shape=(n, n)))
    links = {"must_link": [(0, 4), (1, 5)], "cannot_link": [(0, 1)]}
    SymmetricNMF(4, random_state=0, max_iter=2, tol=1, **links).fit(A)  # compiled before memory is counted
    for options in ({}, {"weighting": "degree"}, {"weighting": "pmi"}, links):
        model = SymmetricNMF(4, random_state=0, max_iter=30, tol=1e-3, **options)
        tracemalloc.start()
        labels = model.fit(A).labels_
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert ari(y, labels) > 0.95
        assert peak < n * n  # bytes: an eighth of a dense affinity


def test_score_of_a_sparse_affinity_makes_no_dense_copy():
    A = sp.random_array((3000, 3000), density=0.001, rng=np.random.default_rng(0), format="csr")
    A = sp.csr_array(A + A.T)
    model = SymmetricNMF(2, max_iter=5, tol=1, random_state=0).fit(A)
    tracemalloc.start()
    score = model.score(A)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * 8 * 3000**2
    error = np.square(A.toarray() - model.transform(A) @ model.components_).mean()
    assert score == pytest.approx(-0.5 * error, rel=1e-9)


@pytest.mark.parametrize("affinity", ["precomputed", "rbf"])
def test_score_counts_rows_with_their_weights(affinity):
    X = np.random.default_rng(0).random((20, 20))
    X = X + X.T
    model = SymmetricNMF(3, affinity=affinity, random_state=0).fit(X)
    weights = np.arange(20) % 3
    assert model.score(X, sample_weight=weights) == pytest.approx(
        model.score(np.repeat(X, weights, axis=0)), rel=1e-9
    )


@pytest.mark.parametrize("k", [2, 3, 4])
def test_pairs_that_can_be_kept_apart_are(k):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        A, groups = rng.random((30, 30)), rng.integers(k, size=30)
        pairs = rng.integers(30, size=(60, 2))
        together = groups[pairs[:, 0]] == groups[pairs[:, 1]]
        must, cannot = pairs[together], pairs[~together]
        model = SymmetricNMF(k, must_link=must, cannot_link=cannot, max_iter=100, tol=1, random_state=seed)
        labels = model.fit(A + A.T).labels_
        assert (labels[must[:, 0]] == labels[must[:, 1]]).all()
        assert (labels[cannot[:, 0]] != labels[cannot[:, 1]]).all()


def test_nodes_have_names(tmp_path):
    graph, _ = club()
    named = nx.relabel_nodes(graph, {node: f"m{node}" for node in graph})
    by_number = {"must_link": [(8, 0)], "cannot_link": [(0, 33)]}
    by_name = {"must_link": [("m8", "m0")], "cannot_link": [("m0", "m33")]}
    wanted = SymmetricNMF(2, random_state=0, **by_number).fit(graph)
    assert wanted.node_names_ == list(range(34))
    frame = nx.to_pandas_adjacency(named)
    for X, links in ((named, by_name), (named, by_number), (frame, by_name), (frame, by_number)):
        model = SymmetricNMF(2, random_state=0, **links).fit(X)
        assert np.array_equal(model.labels_, wanted.labels_)
        assert model.node_names_ == [f"m{i}" for i in range(34)]
        assert {name for part in model.top_features(1) for name, _ in part} <= set(model.node_names_)
    model.save(tmp_path / "model.nmf")
    assert nonneg.load(tmp_path / "model.nmf").node_names_ == model.node_names_
    assert not hasattr(model.set_params(**by_number).fit(frame.to_numpy()), "node_names_")
    shifted = nx.relabel_nodes(graph, {node: node + 1 for node in graph})  # names that are numbers are names
    again = SymmetricNMF(2, random_state=0, must_link=[(9, 1)], cannot_link=[(1, 34)]).fit(shifted)
    assert np.array_equal(again.labels_, wanted.labels_)
    with pytest.raises(ValueError, match="must_link has the node 0, which X has not; its nodes are 1, 2, 3"):
        SymmetricNMF(2, must_link=[(0, 1)]).fit(shifted)
    with pytest.raises(ValueError, match="other nodes than the graph of the fit"):
        again.transform(named)


def test_messages_about_nodes_name_them():
    graph, _ = club()
    named = nx.relabel_nodes(graph, {node: f"m{node}" for node in graph})
    frame = nx.to_pandas_adjacency(named)
    with pytest.raises(
        ValueError, match="cannot_link has the node 'x', which X has not; its nodes are 'm0', 'm1'"
    ):
        SymmetricNMF(2, cannot_link=[("m0", "x")]).fit(named)
    with pytest.raises(ValueError, match=r"the pair \('m2', 'm1'\), which must_link puts together"):
        SymmetricNMF(2, must_link=[("m1", "m2")], cannot_link=[("m2", "m1")]).fit(named)
    with pytest.raises(ValueError, match=r"must_link must hold pairs of nodes, found \['m0'\]"):
        SymmetricNMF(2, must_link=["m0"]).fit(named)
    with pytest.raises(ValueError, match=r"row 0 is 'm33', column 0 is 'm0'; take X.loc\[X.columns\]"):
        SymmetricNMF(2).fit(frame.iloc[::-1])
    arrows = frame.copy()
    arrows.loc["m3", "m30"] += 1
    with pytest.raises(ValueError, match=r"symmetric: row and column 'm(3|30)' differ"):
        SymmetricNMF(2).fit(arrows)
    for affinity in ("rbf", "nearest_neighbors"):
        with pytest.raises(ValueError, match=f"affinity='{affinity}' takes data .*, X is a graph"):
            SymmetricNMF(2, affinity=affinity).fit(named)
    for weight in (None, "heavy"):
        named["m0"]["m1"]["weight"] = weight
        with pytest.raises(TypeError, match=rf"edge \('m0', 'm1'\) of the graph has weight {weight!r}"):
            SymmetricNMF(2).fit(named)
