"""Missing and weighted cells: what a block says about them, however the user says it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from nonneg.data import as_source

RNG = np.random.default_rng(1)
X = RNG.integers(0, 4, (130, 6)).astype(np.float64)
WEIGHTS = RNG.integers(0, 3, (130, 6)).astype(np.float64)


def cells(source):
    """(values, weights) of all cells, dense; weights in the unit of the user."""
    blocks = [block.dense() for block in source.blocks()]
    values = np.concatenate([block.X for block in blocks])
    weights = [np.ones_like(b.X) if b.weights is None else b.weights for b in blocks]
    return values, np.ldexp(np.concatenate(weights), source.weight_power)


def expected(values, weights):
    return np.where(weights > 0, values, 0), weights


def same(found, wanted):
    return np.array_equal(found[0], wanted[0]) and np.array_equal(found[1], wanted[1])


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sp.csr_array, sp.coo_array])
@pytest.mark.parametrize("weights", [WEIGHTS, WEIGHTS.tolist(), np.asfortranarray(WEIGHTS.astype(np.uint8))])
def test_dense_weights(kind, weights, small_blocks):
    source = as_source(kind(X), weights=weights)
    assert source.is_masked
    assert same(cells(source), expected(X, WEIGHTS))
    turned = cells(source.columns())
    assert same((turned[0].T, turned[1].T), expected(X, WEIGHTS))


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csc_array, sp.coo_array])
def test_sparse_weights_give_weight_zero_to_what_they_do_not_store(kind, small_blocks):
    stored = WEIGHTS * (X > 0)
    for data in (X, sp.csr_array(X)):
        source = as_source(data, weights=kind(stored))
        assert same(cells(source), expected(X, stored))
        turned = cells(source.columns())
        assert same((turned[0].T, turned[1].T), expected(X, stored))


def test_sparse_weights_may_be_in_any_order_with_duplicates_and_explicit_zeros():
    S = sp.csr_array(np.array([[1.0, 2, 0], [0, 3, 4]]))
    rows, columns = [1, 1, 0, 1, 0], [2, 1, 1, 2, 0]
    weights = sp.coo_array(([1.0, 5, 2, 1, 0], (rows, columns)), shape=(2, 3))
    values, found = cells(as_source(S, weights=weights))
    assert np.array_equal(found, [[0, 2, 0], [0, 5, 2]])
    assert np.array_equal(values, [[0, 2, 0], [0, 3, 4]])


def test_a_weight_where_sparse_X_stores_nothing_is_refused():
    S = sp.csr_array(np.array([[1.0, 0], [0, 1]]))
    with pytest.raises(ValueError, match=r"weights.*does not store"):
        as_source(S, weights=sp.csr_array(np.ones((2, 2))))


def test_nan_is_missing_in_dense_and_sparse(small_blocks):
    holes = RNG.random(X.shape) < 0.2
    A = np.where(holes, np.nan, X)
    for data in (A, np.asfortranarray(A), A.astype(np.float32), sp.csr_array(A)):
        assert same(cells(as_source(data, missing="ignore")), expected(X, np.where(holes, 0.0, 1.0)))
    both = as_source(A, weights=WEIGHTS, missing="ignore")
    assert same(cells(both), expected(X, np.where(holes, 0, WEIGHTS)))
    both = as_source(sp.csr_array(A), weights=WEIGHTS, missing="ignore")
    assert same(cells(both), expected(X, np.where(holes, 0, WEIGHTS)))


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("c", [1.0, 3, 1e-6, 2.0**100, 1e39, 1e-46, 1e300, 1e-300])
def test_weights_are_handed_out_near_one(kind, dtype, c, small_blocks):
    source = as_source(kind(X.astype(dtype)), weights=c * WEIGHTS)
    found = np.concatenate([block.dense().weights for block in source.blocks()])
    assert found.dtype == dtype and 0.7 < found[found > 0].mean() < 1.42
    back = np.ldexp(found.astype(np.float64), source.weight_power)
    assert np.allclose(back, c * WEIGHTS, rtol=1e-6, atol=0) and np.array_equal(found > 0, WEIGHTS > 0)
    plain = as_source(kind(X.astype(dtype)), weights=np.minimum(WEIGHTS, 1))
    assert plain.weight_power == 0


def test_weights_beside_nan_do_not_count():
    A = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
    for kind in (np.asarray, sp.csr_array):
        sources = [
            as_source(kind(A), weights=np.where(np.isnan(A), hidden, WEIGHTS), missing="ignore")
            for hidden in (0.0, 1e30)
        ]
        assert sources[0].weight_power == sources[1].weight_power
        assert same(*map(cells, sources))


def test_weights_too_far_apart_are_refused():
    M = np.where(np.arange(6) == 0, 1e-40, np.ones(X.shape))
    assert as_source(X, weights=M).weights.min() == 1e-40
    with pytest.raises(ValueError, match=r"weights reach from 1e-40 to 1, .*float32.*pass X as float64"):
        as_source(X.astype(np.float32), weights=M)
    with pytest.raises(ValueError, match=r"weights reach from 1e-200 to 1e\+200, .*set them to 0$"):
        as_source(X, weights=np.where(np.arange(6) == 0, 1e-200, np.full(X.shape, 1e200)))


def test_unstored_is_missing_and_stored_zeros_are_not(small_blocks):
    S = sp.csr_array(X)
    S.data[::3] = 0
    stored = np.zeros(X.shape)
    stored[S.nonzero()] = 0
    rows = np.repeat(np.arange(130), np.diff(S.indptr))
    stored[rows, S.indices] = 1
    assert same(cells(as_source(S, missing="unstored")), expected(S.toarray(), stored))
    # dense weights on top: unstored cells stay missing, whatever weight they get
    source = as_source(S, missing="unstored", weights=WEIGHTS)
    assert same(cells(source), expected(S.toarray(), stored * WEIGHTS))
    # and so are stored NaN
    S.data[1] = np.nan
    values, weights = cells(as_source(S, missing="unstored"))
    assert weights.sum() == stored.sum() - 1 and np.isfinite(values).all()


def test_unstored_needs_sparse_data():
    with pytest.raises(ValueError, match=r"unstored.*sparse"):
        as_source(X, missing="unstored")


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -5.0, 1e308])
def test_what_stands_in_a_cell_of_weight_zero_is_never_seen(kind, value, small_blocks):
    weights = np.where(WEIGHTS > 0, WEIGHTS, 0.0)
    hidden = np.where(weights == 0, value, X)
    for given in (weights, sp.csr_array(np.where(X > 0, weights, 0))):
        A, B = (X, hidden) if isinstance(given, np.ndarray) else (X, np.where(given.toarray() == 0, value, X))
        B = B if kind is np.asarray or isinstance(given, np.ndarray) else np.where(X > 0, B, 0)
        one, two = as_source(kind(A), weights=given), as_source(kind(B), weights=given)
        for a, b in zip(one.blocks(), two.blocks(), strict=True):
            assert np.array_equal(a.dense().X, b.dense().X)
            assert np.array_equal(a.dense().weights, b.dense().weights)
        assert one.summary() == two.summary()


def test_row_weights_come_with_their_rows(small_blocks):
    sample_weight = RNG.random(130)
    source = as_source(X.astype(np.float32), sample_weight=sample_weight)
    found = np.concatenate([block.row_weights for block in source.blocks()])
    assert found.dtype == np.float32 and np.array_equal(found, sample_weight.astype(np.float32))
    for block in as_source(X, weights=WEIGHTS, sample_weight=sample_weight).blocks():
        wanted = (block.weights.sum(axis=1) * block.row_weights).sum()
        assert block.total_weight() == pytest.approx(wanted, rel=1e-12)
    assert as_source(X, sample_weight=3.0).row_weights.tolist() == [3.0] * 130


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": np.ones((130, 5))}, r"weights has shape \(130, 5\)"),
        ({"weights": np.ones(130)}, r"weights has shape \(130,\)"),
        ({"weights": -WEIGHTS}, "weights must be finite and non-negative"),
        ({"weights": np.where(WEIGHTS > 1, np.nan, 1)}, "weights must be finite"),
        ({"weights": np.where(WEIGHTS > 1, np.inf, 1)}, "weights must be finite"),
        ({"weights": WEIGHTS * 1j}, "weights must be"),
        ({"weights": WEIGHTS.astype(str)}, "weights must be"),
        ({"sample_weight": np.ones(129)}, "sample_weight.shape"),
        ({"sample_weight": np.ones((130, 1))}, "sample_weight.shape"),
        ({"sample_weight": -np.ones(130)}, "sample_weight must be finite and non-negative"),
        ({"sample_weight": np.full(130, np.nan)}, "sample_weight must be finite"),
        ({"sample_weight": np.zeros(130)}, "sample_weight is zero for every row"),
        ({"sample_weight": ["a"] * 130}, "sample_weight"),
        ({"sample_weight": np.ones(130) * 1j}, "sample_weight"),
        ({"missing": "nan"}, "missing='nan' is unknown"),
        ({"missing": None}, "missing=None is unknown"),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_unusable_weights_are_named(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        as_source(kind(X), **arguments)
