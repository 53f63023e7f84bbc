"""Boolean factors: planted ones come back, every move is the best one, and the Boolean rank where it is known."""

import itertools
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from exact_cases import without_diagonal
from nonneg import BooleanNMF
from nonneg.data import as_source
from nonneg.data.threads import workers
from nonneg.exact import boolean_rank
from nonneg.exact.boolean_starts import asso, associations, grecond
from nonneg.exact.unions import Ones, choose_rows, choose_rows_anew


def planted(n=60, m=30, k=4, share=0.25, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    W, H = rng.random((n, k)) < share, rng.random((k, m)) < share
    X = (W[:, :, None] & H[None]).any(axis=1)
    return (X ^ (rng.random((n, m)) < noise)).astype(float), X


def union(W, H):
    """W ∘ H, cell by cell."""
    return (W.astype(bool)[:, :, None] & H.astype(bool)[None]).any(axis=1)


def wrong(model, X):
    return int((union(model.transform(X), model.components_) != (X > 0.5)).sum())


@pytest.mark.parametrize("seed", range(5))
def test_planted_factors_are_found(seed):
    X, _ = planted(seed=seed)
    model = BooleanNMF(4, n_init=3, random_state=0).fit(X)
    assert wrong(model, X) == 0 and model.reconstruction_err_ == 0 and model.score(X) == 0
    assert model.components_.dtype == np.int64 and set(np.unique(model.components_)) <= {0, 1}


@pytest.mark.parametrize("seed", range(5))
def test_no_more_wrong_cells_than_were_made(seed):
    X, clean = planted(n=200, m=40, noise=0.05, seed=seed)
    model = BooleanNMF(4, n_init=3, random_state=0).fit(X)
    assert wrong(model, X) <= (clean != X).sum()
    assert model.reconstruction_err_ == pytest.approx(np.sqrt(wrong(model, X)))
    assert model.score(X) == pytest.approx(-0.5 * wrong(model, X) / X.size)


@pytest.mark.parametrize("init", ["asso", "grecond", "random"])
def test_at_the_end_no_row_and_no_column_can_do_better(init):
    X, _ = planted(n=40, m=20, k=5, noise=0.1, seed=3)
    model = BooleanNMF(3, init=init, random_state=0).fit(X)
    assert model.converged_ and model.kkt_residual_ == 0
    W, H = model.transform(X), model.components_
    choices = np.array(list(itertools.product((0, 1), repeat=3)))
    best_rows = (union(choices, H)[:, None] != (X > 0)[None]).sum(axis=2).min(axis=0)
    assert np.array_equal((union(W, H) != X).sum(axis=1), best_rows)
    best_columns = (union(W, choices.T).T[:, None] != (X > 0).T[None]).sum(axis=2).min(axis=0)
    assert np.array_equal((union(W, H) != X).sum(axis=0), best_columns)


def test_grecond_takes_concepts_and_asso_associations():
    X, _ = planted(n=80, m=25, k=5, noise=0.1, seed=1)
    with workers(1) as pool:
        ones = Ones(as_source(X), 0.5, pool)
        from_below, associated = grecond(ones, 5), asso(ones, 5, associations(ones, 5))
    for H, closed in ((from_below, True), (associated, False)):
        assert H.any(axis=1).all()
        shared = [X[(X[:, row > 0] > 0).all(axis=1)].min(axis=0, initial=1) for row in H]
        assert np.array_equal(shared, H) == closed


def test_nmf_adds_what_a_union_does_not():
    H = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])
    X = union(np.array([[1, 0], [0, 1], [1, 1]]), H).astype(float)
    model = BooleanNMF(2).fit(X)
    assert wrong(model, X) == 0
    assert np.linalg.matrix_rank(X) == 3  # so that no two components add up to X


@pytest.mark.parametrize("k", [3, 11])
def test_a_move_of_rows_is_the_best_of_a_group_and_never_worse(k):
    rng = np.random.default_rng(k)
    X = (rng.random((30, 25)) < 0.5).astype(np.float32)
    W, H = rng.integers(0, 2, (30, k)), (rng.random((k, 25)) < 0.3).astype(np.int64)
    before = (union(W, H) != X).sum(axis=1)
    choose_rows(X, W, H)
    after = (union(W, H) != X).sum(axis=1)
    assert (after <= before).all() and after.sum() < before.sum()
    if k == 3:
        every = np.array(list(itertools.product((0, 1), repeat=3)))
        assert np.array_equal(after, (union(every, H)[:, None] != X[None]).sum(axis=2).min(axis=0))
    anew = (union(choose_rows_anew(X, H), H) != X).sum(axis=1)
    assert anew.mean() <= 1.02 * after.mean()


def test_thresholds():
    X, _ = planted()
    counts = X * np.random.default_rng(0).integers(1, 9, X.shape)
    plain, of_counts = BooleanNMF(4).fit(X), BooleanNMF(4, threshold=0).fit(counts)
    assert np.array_equal(plain.components_, of_counts.components_)
    assert np.array_equal(plain.components_, BooleanNMF(4, threshold=None).fit(X.astype(bool)).components_)
    with pytest.raises(ValueError, match=r"expects 0 and 1 for threshold=None, found 0\.2"):
        BooleanNMF(4, threshold=None).fit(np.array([[0.0, 1.0], [0.2, 1.0]]))
    with pytest.raises(ValueError, match="'threshold' parameter"):
        BooleanNMF(4, threshold=-1).fit(X)


@pytest.mark.parametrize("k", [4, 10])
def test_sparse_rows_and_weights(k):
    X, _ = planted(n=120, m=30, k=6, noise=0.03, seed=2)
    dense = BooleanNMF(k, random_state=0).fit(X)
    sparse = BooleanNMF(k, random_state=0).fit(sp.csr_array(X))
    assert np.array_equal(dense.components_, sparse.components_)
    weights = np.random.default_rng(1).integers(0, 3, 120)
    heavy = BooleanNMF(k, random_state=0).fit(X, sample_weight=weights)
    repeated = BooleanNMF(k, random_state=0).fit(np.repeat(X, weights, axis=0))
    assert np.array_equal(heavy.components_, repeated.components_)


def test_given_starts():
    X, _ = planted(noise=0.05)
    model = BooleanNMF(4, n_init=2, random_state=1).fit(X)
    again = BooleanNMF(4).fit(X, H_init=model.components_)
    assert wrong(again, X) <= wrong(model, X) and again.n_iter_ <= 2
    from_rows = BooleanNMF(4).fit(X, W_init=model.transform(X))
    assert wrong(from_rows, X) <= wrong(model, X)
    with pytest.raises(ValueError, match="H_init must hold whole numbers from 0 to 1 alone"):
        BooleanNMF(4).fit(X, H_init=np.full((4, 30), 0.5))
    with pytest.raises(ValueError, match=r"W_init has shape \(60, 3\), expected \(60, 4\)"):
        BooleanNMF(4).fit(X, W_init=np.ones((60, 3)))


@pytest.mark.parametrize(("n", "rank"), [(2, 2), (3, 3), (6, 4), (7, 5), (10, 5), (11, 6), (20, 6)])
def test_boolean_rank_without_the_diagonal(n, rank):
    X = without_diagonal(n)
    found = boolean_rank(X, random_state=0)
    assert (found.lower, found.upper) == (rank, rank)
    assert np.array_equal(union(found.W, found.H), X > 0)
    assert all(one.check(X) and one.of_pattern for one in found.certificates)


def test_boolean_rank_of_other_patterns():
    X = np.zeros((9, 8))
    assert (boolean_rank(X).lower, boolean_rank(X).upper) == (0, 0)
    X[2:5, 1:4] = 3.0
    assert (boolean_rank(X).lower, boolean_rank(X).upper) == (1, 1)
    X[4:7, 3:6] = 0.5
    found = boolean_rank(X)
    assert (found.lower, found.upper) == (2, 2) and np.array_equal(union(found.W, found.H), X > 0)
    # what a budget of one start does not find is an interval, and still true
    short = boolean_rank(without_diagonal(20), n_starts=1, random_state=4)
    assert short.lower == 6 <= short.upper
    assert np.array_equal(union(short.W, short.H), without_diagonal(20) > 0)


def test_exchanged_components_leave_poor_starts():
    found = [
        wrong(BooleanNMF(4, init="random", random_state=0).fit(X), X)
        for X in (planted(seed=seed)[0] for seed in range(6))
    ]
    assert sum(count == 0 for count in found) >= 5


def test_no_more_wrong_than_the_starts_alone():
    X, _ = planted(n=150, m=40, k=10, noise=0.05, seed=4)
    with workers(1) as pool:
        ones = Ones(as_source(X), 0.5, pool)
        starts = [grecond(ones, 10), asso(ones, 10, associations(ones, 10))]
    alone = [(union(choose_rows_anew(X.astype(np.float32), H), H) != (X > 0)).sum() for H in starts]
    assert wrong(BooleanNMF(10, random_state=0).fit(X), X) < 0.8 * min(alone)


def test_sparse_data_stay_sparse():
    X = sp.random_array((20_000, 1000), density=1e-4, rng=np.random.default_rng(0), format="csr")
    tracemalloc.start()
    BooleanNMF(3, init="random", tol=1.0, random_state=0).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # in float32, X would be 80e6, and so would W ∘ H


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_a_threshold_that_leaves_nothing_to_find_is_warned_of(kind):
    X = planted()[0].astype(float)
    with pytest.warns(
        UserWarning, match=r"makes every cell of X a 0, .*between 0 and 0\.4.*set a threshold below 0\.4"
    ):
        BooleanNMF(2, random_state=0).fit(kind(0.4 * X))
    with pytest.warns(UserWarning, match=r"threshold=0 makes every cell of X a 1, .*between 1 and 3"):
        BooleanNMF(2, threshold=0, random_state=0).fit(kind(1 + 2 * X))
    for plain in (X, np.zeros((4, 3)), np.ones((4, 3))):
        BooleanNMF(2, random_state=0).fit(kind(plain))
