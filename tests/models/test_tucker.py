"""Non-negative Tucker decomposition: planted cores, agreement of kinds of data, and with simpler models."""

from __future__ import annotations

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
import sparse

from nonneg import NMF, NonnegativeTucker

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")


def planted(seed=0):
    """A sparse core and factors with pure rows, which make the decomposition unique."""
    rng = np.random.default_rng(seed)
    core = np.array([[[3.0, 0], [0, 1], [0, 0]], [[0, 0], [0, 0], [2, 0]]])
    core[1, 0, 1] = 1.5
    factors = []
    for side, rank in ((20, 2), (10, 3), (8, 2)):
        mixed = rng.random((side, rank)) * (rng.random((side, rank)) > 0.5)
        mixed[:rank] = np.eye(rank)
        factors.append(mixed)
    return np.einsum("pqr,ip,jq,lr->ijl", core, *factors), core, factors


def test_a_planted_core_is_recovered_up_to_order():
    X, core, factors = planted()
    model = NonnegativeTucker((2, 3, 2), n_init=5, tol=1e-8, max_iter=5000, random_state=0).fit(X)
    norms = [np.linalg.norm(F, axis=0) for F in factors]
    planted_core = np.einsum("pqr,p,q,r->pqr", core, *norms)
    found = min(
        (
            (np.abs(model.core_[np.ix_(a, b, c)] - planted_core).max(), (a, b, c))
            for a in permutations(range(2))
            for b in permutations(range(3))
            for c in permutations(range(2))
        ),
        key=lambda pair: pair[0],
    )
    assert found[0] < 1e-3 * planted_core.max()
    for F, G, norm, order in zip(factors, model.factors_, norms, found[1], strict=True):
        assert np.abs(G[:, list(order)] - F / norm).max() < 1e-3


def test_the_end_is_stationary():
    rng = np.random.default_rng(1)
    X = planted()[0] + rng.random((20, 10, 8))
    model = NonnegativeTucker((2, 3, 2), tol=1e-7, max_iter=5000, random_state=0).fit(X)
    assert model.converged_
    parts = [model.core_, *model.factors_]
    loss = 0.5 * np.linalg.norm(X - np.einsum("pqr,ip,jq,lr->ijl", *parts)) ** 2
    assert loss == pytest.approx(0.5 * model.reconstruction_err_**2, rel=1e-9)
    R = np.einsum("pqr,ip,jq,lr->ijl", *parts) - X
    G, A, B, C = parts
    slopes = [
        np.einsum("ijl,ip,jq,lr->pqr", R, A, B, C),
        np.einsum("ijl,pqr,jq,lr->ip", R, G, B, C),
        np.einsum("ijl,pqr,ip,lr->jq", R, G, A, C),
        np.einsum("ijl,pqr,ip,jq->lr", R, G, A, B),
    ]
    size = np.linalg.norm(X)
    for V, slope, unit in zip(parts, slopes, (size, 1, 1, 1), strict=True):
        assert np.abs(np.minimum(V / unit, slope * unit / size**2)).max() < 1e-5


@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_is_dense(weighted):
    X = planted()[0]
    X *= np.quantile(X, 0.8) < X
    rows = np.random.default_rng(2).integers(0, 3, len(X)) if weighted else None
    fit = {"random_state": 0, "tol": 1e-5, "max_iter": 2000}
    dense = NonnegativeTucker((2, 3, 2), **fit).fit(X, sample_weight=rows)
    coo = NonnegativeTucker((2, 3, 2), **fit).fit(sparse.COO.from_numpy(X), sample_weight=rows)
    assert coo.core_ == pytest.approx(dense.core_, rel=1e-3, abs=1e-4 * dense.core_.max())
    assert coo.reconstruction_err_ == pytest.approx(dense.reconstruction_err_, rel=1e-6)
    assert coo.transform(sparse.COO.from_numpy(X[:3])) == pytest.approx(
        coo.transform(X[:3]), rel=1e-6, abs=1e-9
    )


def test_a_huge_sparse_tensor_stays_sparse():
    rng, shape = np.random.default_rng(4), (300, 4000, 5000)
    cells = np.stack([rng.integers(0, side, 2000) for side in shape])
    X = sparse.COO(cells, rng.random(2000) + 0.1, shape)
    NonnegativeTucker((2, 3, 2), max_iter=1).fit(X)  # compiled
    tracemalloc.start()
    model = NonnegativeTucker((2, 3, 2), max_iter=2, random_state=0).fit(X)
    model.score(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # components_ would be 320e6, X 48e9


def test_components_have_the_size_of_the_data():
    X = planted()[0] + 0.1
    model = NonnegativeTucker((2, 3, 2), random_state=0).fit(X)
    sizes = np.sqrt((model.components_**2).mean(axis=(1, 2)))
    assert sizes == pytest.approx(X.mean(), rel=1e-9)


def test_a_row_of_weight_two_is_the_row_twice():
    rng = np.random.default_rng(3)
    X, counts = rng.gamma(1.0, size=(9, 5, 4)), rng.integers(0, 3, 9)
    fit = {"random_state": 0, "max_iter": 30, "tol": 0}
    weighted = NonnegativeTucker((2, 3, 2), **fit).fit(X, sample_weight=counts)
    twice = NonnegativeTucker((2, 3, 2), **fit).fit(np.repeat(X, counts, axis=0))
    assert weighted.components_ == pytest.approx(twice.components_, rel=1e-6)


def test_two_ways_have_the_loss_of_nmf():
    """With ranks (k, k), X ≈ A G Bᵀ is A (G Bᵀ): no better and no worse than NMF."""
    X = np.random.default_rng(4).gamma(1.0, size=(30, 8))
    tucker = NonnegativeTucker((3, 3), n_init=5, tol=1e-6, max_iter=5000, random_state=0).fit(X)
    nmf = NMF(3, n_init=10, init="random", tol=1e-6, max_iter=5000, random_state=0).fit(X)
    assert tucker.reconstruction_err_ == pytest.approx(nmf.reconstruction_err_, rel=1e-3)


def test_shapes_and_units():
    X = planted()[0]
    model = NonnegativeTucker((2, 3, 2), random_state=0).fit(X)
    W = model.transform(X)
    assert (
        model.core_.shape == (2, 3, 2) and model.components_.shape == (2, 10, 8) and model.n_components_ == 2
    )
    assert np.sqrt((model.components_**2).mean(axis=(1, 2))) == pytest.approx([X.mean()] * 2)
    for F in model.factors_:
        assert np.linalg.norm(F, axis=0) == pytest.approx(np.ones(F.shape[1]))
    whole = np.einsum("pqr,ip,jq,lr->ijl", model.core_, *model.factors_)
    assert model.inverse_transform(W) == pytest.approx(whole, rel=1e-8, abs=1e-10)
    scaled = NonnegativeTucker((2, 3, 2), random_state=0).fit(2.0**600 * X)
    assert scaled.core_ == pytest.approx(2.0**600 * model.core_, rel=1e-9)


def test_ways_to_say_that_cells_are_missing():
    """Two in ten are missing, and are found again."""
    X = planted()[0]
    seen = np.random.default_rng(5).random(X.shape) < 0.8
    fit = {"n_init": 3, "tol": 1e-6, "max_iter": 3000, "random_state": 0}
    by_weight = NonnegativeTucker((2, 3, 2), **fit).fit(np.where(seen, X, np.inf), weights=seen.astype(float))
    by_nan = NonnegativeTucker((2, 3, 2), missing="ignore", **fit).fit(np.where(seen, X, np.nan))
    stored = sparse.COO.from_numpy(np.where(seen, X + 1e-9, 0))
    unstored = NonnegativeTucker((2, 3, 2), missing="unstored", **fit).fit(stored)
    for model in (by_weight, by_nan, unstored):
        whole = np.einsum("pqr,ip,jq,lr->ijl", model.core_, *model.factors_)
        assert np.abs(whole - X).max() < 1e-2 * X.max()  # also where nothing was seen
    codes = by_nan.transform(np.where(seen, X, np.nan)[:4])
    assert codes == pytest.approx(by_nan.transform(X[:4], weights=seen[:4].astype(float)), rel=1e-5)


@pytest.mark.parametrize("make", [np.asarray, sparse.COO.from_numpy])
def test_the_end_is_stationary_under_weights(make):
    rng = np.random.default_rng(1)
    X = planted()[0] + rng.random((20, 10, 8))
    M, s = rng.uniform(0.2, 3, X.shape) * (rng.random(X.shape) < 0.8), rng.uniform(0.5, 2, 20)
    model = NonnegativeTucker((2, 3, 2), tol=1e-6, max_iter=5000, random_state=0)
    model.fit(make(X), weights=make(M), sample_weight=s)
    assert model.converged_
    parts = [model.core_, *model.factors_]
    R = (np.einsum("pqr,ip,jq,lr->ijl", *parts) - X) * np.sqrt(M * s[:, None, None])
    assert np.sum(R**2) == pytest.approx(model.reconstruction_err_**2, rel=1e-9)
    R *= np.sqrt(M * s[:, None, None])
    G, A, B, C = parts
    slopes = [
        np.einsum("ijl,ip,jq,lr->pqr", R, A, B, C),
        np.einsum("ijl,pqr,jq,lr->ip", R, G, B, C),
        np.einsum("ijl,pqr,ip,lr->jq", R, G, A, C),
        np.einsum("ijl,pqr,ip,jq->lr", R, G, A, B),
    ]
    size = np.linalg.norm(X)
    for V, slope, unit in zip(parts, slopes, (size, 1, 1, 1), strict=True):
        assert np.abs(np.minimum(V / unit, slope * unit / size**2)).max() < 1e-5


def test_a_weight_beside_nan_has_no_influence():
    rng = np.random.default_rng(0)
    X, M = rng.random((10, 5, 4)), rng.uniform(0.5, 1.5, (10, 5, 4))
    X[rng.random(X.shape) < 0.2] = np.nan
    fits = [
        NonnegativeTucker(2, missing="ignore", max_iter=20, tol=0, random_state=0).fit(
            X, weights=np.where(np.isnan(X), hidden, M)
        )
        for hidden in (0.0, 1e3)
    ]
    assert np.array_equal(fits[0].core_, fits[1].core_)


def test_rows_of_weight_two_under_cell_weights():
    rng = np.random.default_rng(3)
    X, counts = rng.gamma(1.0, size=(9, 5, 4)), rng.integers(0, 3, 9)
    M, fit = rng.random(X.shape), {"random_state": 0, "max_iter": 30, "tol": 0}
    weighted = NonnegativeTucker((2, 3, 2), **fit).fit(X, sample_weight=counts, weights=M)
    again = {"weights": np.repeat(M, counts, axis=0)}
    twice = NonnegativeTucker((2, 3, 2), **fit).fit(np.repeat(X, counts, axis=0), **again)
    assert weighted.components_ == pytest.approx(twice.components_, rel=1e-6)


def test_refusals():
    X = planted()[0]
    with pytest.raises(ValueError, match="one for each way of X"):
        NonnegativeTucker((2, 3)).fit(X)
    with pytest.raises(ValueError, match="at least 1"):
        NonnegativeTucker((2, 0, 2)).fit(X)
    with pytest.raises(ValueError, match="no start values"):
        NonnegativeTucker(2).fit(X, H_init=np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"NonnegativeTucker\.fit fits missing cells with missing='ignore'"):
        NonnegativeTucker(2).fit(np.where(np.arange(len(X))[:, None, None] == 1, np.nan, X))
