"""Orthogonal, projective and tri-factor NMF: exact constraints, planted clusters, optima by hand and by SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from sklearn.base import clone

from nonneg import NMF, OrthogonalNMF, ProjectiveNMF, TriNMF
from nonneg.kernels.projective import least_step
from nonneg.metrics import ari

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")


def board(k, p, noise, seed, n=90, m=70):
    """A k × p board of blocks whose rows and columns are shuffled and have sizes of their own."""
    rng = np.random.default_rng(seed)
    core = rng.random((k, p)) * 2 + 4 * np.eye(k, p)
    rows, columns = rng.permutation(np.arange(n) % k), rng.permutation(np.arange(m) % p)
    X = core[rows][:, columns] * np.outer(rng.uniform(0.5, 2, n), rng.uniform(0.5, 2, m))
    return np.maximum(X + noise * rng.standard_normal(X.shape), 0), rows, columns


def best_line(X):
    """What is left of rows by their best common line: all but the largest singular value."""
    return 0.5 * np.sum(np.linalg.svd(X, compute_uv=False)[1:] ** 2)


@pytest.mark.parametrize("side", ["W", "H"])
def test_no_partition_is_better(side):
    X = np.random.default_rng(0).random((7, 5))
    items = X if side == "W" else X.T
    best = min(
        sum(best_line(items[np.array(split) == c]) for c in set(split))
        for split in itertools.product(range(2), repeat=len(items))
    )
    model = OrthogonalNMF(2, orthogonal=side, n_init=10, tol=1e-9, random_state=0).fit(X)
    assert 0.5 * model.reconstruction_err_**2 == pytest.approx(best, rel=1e-6)
    W, H = model.transform(X), model.components_
    assert 0.5 * np.sum((X - W @ H) ** 2) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_the_constraint_holds_and_clusters_are_found(make):
    X, rows, columns = board(4, 4, 0.3, 1)
    by_rows = OrthogonalNMF(4, random_state=0).fit(make(X))
    W = by_rows.transform(make(X))
    assert np.abs(W.T @ W - np.eye(4)).max() < 1e-6 and ((W > 0).sum(axis=1) <= 1).all()
    assert ari(rows, by_rows.labels_) == 1 and np.array_equal(W.argmax(axis=1), by_rows.labels_)
    by_columns = OrthogonalNMF(4, orthogonal="H", random_state=0).fit(make(X))
    H = by_columns.components_
    assert np.abs(H @ H.T - np.eye(4)).max() < 1e-12 and ari(columns, by_columns.labels_) == 1


def test_a_cluster_that_lost_its_rows_gets_what_fits_worst():
    X = np.vstack([np.eye(3)[[0, 0, 1, 1]], 5 * np.eye(3)[[2]]])
    model = OrthogonalNMF(3, random_state=0).fit(X, H_init=np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]]))
    assert model.reconstruction_err_ < 1e-7 and set(model.labels_) == {0, 1, 2}
    core = TriNMF(3, random_state=0).fit(X, W_init=np.eye(3)[[0, 0, 1, 1, 1]])
    assert core.reconstruction_err_ < 1e-7 and set(core.row_labels_) == {0, 1, 2}


@pytest.mark.parametrize(("k", "p"), [(3, 3), (3, 4), (4, 3), (5, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_board_is_found(k, p, seed):
    X, rows, columns = board(k, p, 0.3, seed)
    model = TriNMF((k, p), random_state=0, n_init=3).fit(X)
    assert ari(rows, model.row_labels_) == 1 and ari(columns, model.column_labels_) == 1
    F, S, G = model.row_factor_, model.core_, model.column_factor_
    assert (
        F.shape == (90, k) and S.shape == (k, p) and G.shape == (70, p) and model.components_.shape == (k, 70)
    )
    assert np.abs(F.T @ F - np.eye(k)).max() < 1e-9 and np.abs(G.T @ G - np.eye(p)).max() < 1e-12
    assert np.sum((X - F @ S @ G.T) ** 2) == pytest.approx(model.reconstruction_err_**2, rel=1e-4)
    assert model.components_ == pytest.approx(S @ G.T) and model.transform(X) == pytest.approx(F)
    assert np.abs(F.T @ X @ G - S).max() < 1e-3 * S.max()
    sparse = TriNMF((k, p), random_state=0, n_init=3).fit(sp.csr_array(X))
    assert ari(rows, sparse.row_labels_) == 1 and ari(columns, sparse.column_labels_) == 1


def weighted_line(X, M, rng):
    """The least ½ Σ m (x − t h)² of one common half-line, by alternating quotients from several starts."""
    best = np.inf
    for _ in range(5):
        h = rng.random(X.shape[1])
        for _ in range(100):
            t = (M * X) @ h / np.maximum(M @ h**2, 1e-300)
            h = (M * X).T @ t / np.maximum(M.T @ t**2, 1e-300)
        best = min(best, 0.5 * np.sum(M * (X - np.outer(t, h)) ** 2))
    return best


@pytest.mark.parametrize("seed", [3, 5, 16])
@pytest.mark.parametrize("side", ["W", "H"])
def test_no_partition_is_better_under_weights(side, seed):
    rng = np.random.default_rng(seed)
    X, M = rng.random((7, 5)) + 0.1, rng.uniform(0.2, 2, (7, 5))
    M[rng.integers(0, 7, 4), rng.integers(0, 5, 4)] = 0
    Y, N = (X, M) if side == "W" else (X.T, M.T)
    best = min(
        sum(weighted_line(Y[labels == c], N[labels == c], rng) for c in (0, 1) if c in labels)
        for labels in (np.array([0, *rest]) for rest in itertools.product([0, 1], repeat=len(Y) - 1))
    )
    model = OrthogonalNMF(2, orthogonal=side, n_init=60, tol=1e-9, random_state=0).fit(X, weights=M)
    assert 0.5 * model.reconstruction_err_**2 == pytest.approx(best, rel=1e-6)
    gap = M * (X - model.transform(X, weights=M) @ model.components_) ** 2
    assert 0.5 * gap.sum() == pytest.approx(best, rel=1e-6)
    assert model.score(X, weights=M) == pytest.approx(-best / M.sum(), rel=1e-6)
    W, H = model.transform(X, weights=M), model.components_
    product = W.T @ W if side == "W" else H @ H.T
    assert np.abs(product - np.eye(2)).max() < 1e-6


def test_the_first_start_knows_weights():
    """An outlier of next to no weight is as good as missing."""
    X, _, _ = board(3, 3, 0.3, 2)
    M = (np.random.default_rng(1).random(X.shape) < 0.9).astype(float)
    X[0, 0], errors = 1e9, []
    for M[0, 0] in (0, 1e-30):
        errors.append(OrthogonalNMF(3, random_state=0).fit(X, weights=M).reconstruction_err_)
    assert errors[1] == pytest.approx(errors[0], rel=1e-3)


@pytest.mark.parametrize("make", ["nan", "weights", "unstored"])
def test_planted_clusters_behind_missing_cells(make):
    X, rows, columns = board(3, 4, 0.3, 2)
    seen = np.random.default_rng(0).random(X.shape) < 0.8
    kind = {
        "nan": (np.where(seen, X, np.nan), None, "ignore"),
        "weights": (np.where(seen, X, 99), seen.astype(float), "error"),
        "unstored": (sp.csr_array(np.where(seen, X + 1e-9, 0)), None, "unstored"),
    }
    data, weights, missing = kind[make]
    fit = {"random_state": 0, "n_init": 20, "missing": missing}
    assert ari(rows, OrthogonalNMF(3, **fit).fit(data, weights=weights).labels_) == 1
    model = TriNMF((3, 4), **fit).fit(data, weights=weights)
    assert ari(rows, model.row_labels_) == 1 and ari(columns, model.column_labels_) == 1
    F, S, G = model.row_factor_, model.core_, model.column_factor_
    assert np.abs(F.T @ F - np.eye(3)).max() < 1e-9 and np.abs(G.T @ G - np.eye(4)).max() < 1e-12
    gap = X - F @ S @ G.T
    assert np.sum(gap[seen] ** 2) == pytest.approx(model.reconstruction_err_**2, rel=1e-4)
    assert np.sqrt(np.mean(gap[~seen] ** 2)) < 0.4  # the noise is 0.3
    if make != "unstored":
        assert np.allclose(model.transform(data, weights=weights), F)


@pytest.mark.filterwarnings("ignore:X has no observed cell")
@pytest.mark.parametrize("missing", [0.7, 0.9])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rows_that_lie_as_near_to_several_lines(missing, dtype, seed):
    """A row of which one cell is seen lies on every line: fit, scales and transform must take the same one."""
    rng = np.random.default_rng(seed)
    X = rng.random((100, 15)).astype(dtype)
    M = (rng.random(X.shape) > missing).astype(dtype)
    eps = 1e-12 if dtype == np.float64 else 1e-5
    model = TriNMF((4, 4), random_state=0).fit(X, weights=M)
    F, used = model.row_factor_, model.row_factor_.any(axis=0)
    assert np.abs(F.T @ F - np.diag(used)).max() < eps and used.sum() >= 3
    assert np.array_equal(F.argmax(axis=1), model.row_labels_) and ((F > 0).sum(axis=1) <= 1).all()
    assert np.array_equal(model.transform(X, weights=M), F)
    model = OrthogonalNMF(4, random_state=0).fit(X, weights=M)
    W = model.transform(X, weights=M)
    assert np.abs(W.T @ W - np.diag(W.any(axis=0))).max() < eps
    assert np.array_equal(W.argmax(axis=1), model.labels_)
    gap = M * (X - W @ model.components_)
    assert np.linalg.norm(gap) == pytest.approx(model.reconstruction_err_, rel=1e-4)


def test_rows_of_weight_two_under_cell_weights():
    X, _, _ = board(3, 3, 0.5, 4)
    rng = np.random.default_rng(1)
    counts, M = rng.integers(0, 3, len(X)), rng.random(X.shape)
    for model in (OrthogonalNMF(3), OrthogonalNMF(3, orthogonal="H"), TriNMF(3)):
        model.set_params(random_state=0, tol=1e-9)
        weighted = clone(model).fit(X, weights=M, sample_weight=counts)
        twice = clone(model).fit(np.repeat(X, counts, axis=0), weights=np.repeat(M, counts, axis=0))
        assert weighted.components_ == pytest.approx(twice.components_, rel=1e-6)
        assert weighted.reconstruction_err_ == pytest.approx(twice.reconstruction_err_, rel=1e-9)


def test_later_starts_differ():
    X, _, _ = board(3, 8, 1.0, 0)
    losses = TriNMF((3, 8), n_init=10, random_state=0).fit(X).restart_losses_
    assert len(np.unique(losses.round(6))) >= 5 and losses.min() < losses[0] * (1 + 1e-9)


def test_pairs_of_clusters_are_checked():
    X = np.ones((4, 3))
    planted, _, _ = board(2, 3, 0.1, 0)
    for pair in ([2, 3], np.array([2, 3]), (np.int32(2), 3)):
        assert TriNMF(pair, random_state=0).fit(planted).core_.shape == (2, 3)
    for bad in (np.array([2]), np.array([[2, 3]]), np.array([2.0, 3.0])):
        with pytest.raises((ValueError, TypeError), match="n_components"):
            TriNMF(bad).fit(X)
    for bad in ((2,), (1, 2, 3), (2, 0), (2, 1.5), [0, 1]):
        with pytest.raises((ValueError, TypeError), match="n_components"):
            TriNMF(bad).fit(X)


def test_the_best_step_along_a_quartic():
    rng = np.random.default_rng(0)
    for a, b, c in rng.standard_normal((300, 3)) * 10.0 ** rng.uniform(-2, 2, (300, 3)):
        e, low = 10 ** rng.uniform(-2, 2), -(10 ** rng.uniform(-2, 1))
        d = least_step.py_func(a, b, c, e, low)
        grid = np.linspace(low, 5 * (abs(c / e) + np.sqrt(abs(b / e)) + np.cbrt(abs(a / e))), 2001)
        values = np.polyval([e, c, b, a, 0], grid)
        assert d >= low and np.polyval([e, c, b, a, 0], d) <= values.min() + 1e-9 * abs(values.min())


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_projective_is_no_worse_than_bounded_quasi_newton(make):
    X = np.random.default_rng(0).random((30, 8))
    X[X < 0.3] = 0

    def loss(v):
        V = v.reshape(8, 3)
        gap = X - X @ V @ V.T
        return 0.5 * np.sum(gap**2), -(X.T @ gap @ V + gap.T @ X @ V).ravel()

    rng = np.random.default_rng(1)
    found = [
        minimize(loss, rng.random(24), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 24)
        for _ in range(10)
    ]
    model = ProjectiveNMF(3, n_init=10, tol=1e-7, random_state=0).fit(make(X))
    H = model.components_
    assert 0.5 * model.reconstruction_err_**2 == pytest.approx(loss(H.T.ravel())[0], rel=1e-9)
    assert loss(H.T.ravel())[0] <= min(result.fun for result in found) * (1 + 1e-6)
    assert model.transform(make(X)) == pytest.approx(X @ H.T)


def test_projective_weights_are_repetitions():
    rng = np.random.default_rng(0)
    X, times = rng.random((20, 6)), rng.integers(0, 4, 20)
    weighted = ProjectiveNMF(2, random_state=0, tol=1e-8).fit(X, sample_weight=times)
    repeated = ProjectiveNMF(2, random_state=0, tol=1e-8).fit(np.repeat(X, times, axis=0))
    assert weighted.components_ == pytest.approx(repeated.components_, abs=1e-8)


@pytest.mark.parametrize("side", ["W", "H"])
def test_weights_of_rows_are_repetitions(side):
    X, _, _ = board(3, 3, 0.5, 2)
    times = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = OrthogonalNMF(3, orthogonal=side, random_state=0, tol=1e-9).fit(X, sample_weight=times)
    repeated = OrthogonalNMF(3, orthogonal=side, random_state=0, tol=1e-9).fit(np.repeat(X, times, axis=0))
    assert weighted.components_ == pytest.approx(repeated.components_, rel=1e-6)
    assert weighted.reconstruction_err_ == pytest.approx(repeated.reconstruction_err_, rel=1e-9)


@pytest.mark.parametrize("side", ["W", "H"])
def test_a_fit_goes_on_from_its_own_factors(side):
    X, _, _ = board(3, 3, 0.5, 2)
    fitted = OrthogonalNMF(3, orthogonal=side, random_state=0, tol=1e-10).fit(X)
    starts = ({"H_init": fitted.components_}, {"W_init": fitted.transform(X)})
    for start in starts:
        again = OrthogonalNMF(3, orthogonal=side, tol=1e-6).fit(X, **start)
        assert again.n_iter_ == 1 and again.components_ == pytest.approx(fitted.components_, rel=1e-6)


def test_losses_are_ordered_by_what_the_models_may_do():
    X, _, _ = board(3, 3, 1.0, 0)
    losses = [
        model(3, random_state=0, n_init=3, tol=1e-6).fit(X).reconstruction_err_
        for model in (NMF, ProjectiveNMF, OrthogonalNMF, TriNMF)
    ]
    assert losses[0] < min(losses[1:]) and losses[2] < losses[3]
    by_columns = OrthogonalNMF(3, orthogonal="H", random_state=0, n_init=3, tol=1e-6).fit(X)
    assert losses[1] <= by_columns.reconstruction_err_  # disjoint unit parts are projections


def test_projective_refuses_a_start_of_the_codes():
    with pytest.raises(ValueError, match="W_init has no place in ProjectiveNMF"):
        ProjectiveNMF(2).fit(np.ones((4, 3)), W_init=np.ones((4, 2)))
