"""Integer factors: planted ones come back, rounding is beaten, every move is the best one in the box."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp

from nonneg import NMF, IntegerNMF

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")


def planted(n=60, m=20, k=4, high=(3, 4), noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    W = rng.integers(0, high[0] + 1, (n, k)) * (rng.random((n, k)) < 0.6)
    H = rng.integers(0, high[1] + 1, (k, m)) * (rng.random((k, m)) < 0.6)
    return np.maximum(W @ H + np.rint(noise * rng.normal(size=(n, m))), 0).astype(float), W, H


def error(model, X):
    return np.linalg.norm(X - model.transform(X) @ model.components_)


def rounded(X, k, sizes):
    """The best of NMF's factors, rounded after rows of H got a largest entry of each of the sizes (None: balanced)."""
    model = NMF(k, random_state=0, tol=1e-6, max_iter=2000).fit(X)
    W, H = model.transform(X), model.components_
    errors = []
    for size in sizes:
        d = np.sqrt(W.max(axis=0) / H.max(axis=1)) if size is None else size / H.max(axis=1)
        errors.append(np.linalg.norm(X - np.rint(W / d) @ np.rint(H * d[:, None])))
    return min(errors)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [3, 6])
def test_planted_factors_are_found(k, seed):
    X, _, _ = planted(k=k, seed=seed)
    model = IntegerNMF(k, n_init=3, random_state=0).fit(X)
    assert error(model, X) == model.reconstruction_err_ == 0
    assert model.components_.dtype == np.int64 == model.transform(X).dtype
    assert model.components_.min() >= 0 and model.transform(X).min() >= 0


@pytest.mark.parametrize("seed", range(12))
def test_beats_rounding(seed):
    k = 3 + seed % 4
    X, W, H = planted(k=k, noise=0.5 + seed % 3, seed=seed)
    model = IntegerNMF(k, n_init=3, random_state=0).fit(X)
    found = error(model, X)
    assert found == pytest.approx(model.reconstruction_err_)
    assert found <= 1.03 * np.linalg.norm(X - W @ H)  # what was planted
    assert found < rounded(X, k, [None])
    assert found <= rounded(X, k, [None, 1, 2, 3, 4, 6, 9])  # even where rounding is told the best scale


@pytest.mark.filterwarnings("ignore:X has cells that are no whole numbers:UserWarning")
def test_data_that_are_no_integers():
    X = np.random.default_rng(0).gamma(1.0, 3.0, (50, 12))
    model = IntegerNMF(3, n_init=3, random_state=0).fit(X)
    assert error(model, X) < rounded(X, 3, [None, 1, 2, 3, 4, 6, 9])
    real = NMF(3, random_state=0).fit(X)
    assert error(model, X) > np.linalg.norm(X - real.transform(X) @ real.components_)


@pytest.mark.parametrize("high", [1, 2])
def test_at_the_end_no_row_and_no_column_can_do_better(high):
    X, _, _ = planted(n=30, m=12, k=4, noise=1.5, seed=5)
    model = IntegerNMF(3, high_W=high, high_H=high, random_state=0).fit(X)
    assert model.converged_ and model.kkt_residual_ == 0
    W, H = model.transform(X), model.components_
    assert max(W.max(), H.max()) <= high
    choices = np.array(list(itertools.product(range(high + 1), repeat=3)))
    best_rows = (((choices @ H)[:, None] - X[None]) ** 2).sum(axis=2).min(axis=0)
    assert ((X - W @ H) ** 2).sum(axis=1) == pytest.approx(best_rows)
    best_columns = (((W @ choices.T).T[:, None] - X.T[None]) ** 2).sum(axis=2).min(axis=0)
    assert ((X - W @ H) ** 2).sum(axis=0) == pytest.approx(best_columns)


def test_kinds_of_data_and_weights():
    X, _, _ = planted(noise=1.0, seed=7)
    model = IntegerNMF(4, random_state=0).fit(X)
    for kind in (X.astype(np.uint8), X.astype(np.float32), sp.csr_array(X)):
        again = IntegerNMF(4, random_state=0).fit(kind)
        assert error(again, X) == pytest.approx(error(model, X), rel=0.02)
        assert again.reconstruction_err_ == pytest.approx(error(again, X), rel=1e-12)
    weights = np.random.default_rng(1).integers(0, 3, 60)
    heavy = IntegerNMF(4, random_state=0).fit(X, sample_weight=weights)
    repeated = IntegerNMF(4, random_state=0).fit(np.repeat(X, weights, axis=0))
    assert np.array_equal(heavy.components_, repeated.components_)


def test_large_counts_are_exact_and_larger_ones_refused():
    X, W, H = planted(seed=2)
    big = 10**6 * X
    model = IntegerNMF(4).fit(big)
    assert error(model, big) <= 1e-3 * np.linalg.norm(big)
    with pytest.raises(ValueError, match=r"X has a cell of 1\.13e\+15: IntegerNMF.fit counts in units of 1"):
        IntegerNMF(4).fit(np.full((3, 3), 2.0**50))
    given = IntegerNMF(4).fit(X, W_init=W, H_init=H)
    assert given.reconstruction_err_ == 0
    assert IntegerNMF(4).fit(X, H_init=H).reconstruction_err_ == 0
    assert IntegerNMF(4).fit(X, W_init=W).reconstruction_err_ == 0
    with pytest.raises(ValueError, match="H_init must hold whole numbers from 0 alone"):
        IntegerNMF(4).fit(X, H_init=H + 0.5)
    with pytest.raises(ValueError, match="W_init must hold whole numbers from 0 to 2 alone"):
        IntegerNMF(4, high_W=2).fit(X, W_init=W)
    with pytest.raises(ValueError, match="'high_H' parameter"):
        IntegerNMF(4, high_H=0).fit(X)


@pytest.mark.parametrize("unit", [1.0, 1e6, 1e12])
def test_the_error_of_large_cells_is_that_of_the_residual(unit):
    """Beyond 2^53 sums of squares are no integers: the loss is summed from the residual itself."""
    rng = np.random.default_rng(3)
    X = rng.integers(0, 4, (30, 3)) @ rng.integers(0, 4, (3, 12)) * unit
    model = IntegerNMF(3, n_init=3, random_state=0).fit(X)
    gap = np.linalg.norm(X - model.transform(X) @ model.components_.astype(float))
    assert model.reconstruction_err_ == pytest.approx(gap, rel=1e-9, abs=1e-9)
    assert gap < 1e-6 * np.linalg.norm(X)


def test_fractions_are_warned_of_and_whole_numbers_are_not():
    X = planted()[0]
    for whole in (X, X.astype(np.float32), X.astype(np.int16), sp.csr_array(X)):
        IntegerNMF(2, max_iter=2, random_state=0).fit(whole)
    for some in (X + 0.25, sp.csr_array(X * 1.25)):
        with pytest.warns(UserWarning, match="no whole numbers, for instance .*divide X by the unit"):
            IntegerNMF(2, max_iter=2, random_state=0).fit(some)
