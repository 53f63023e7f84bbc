"""The start of KL fits: the Frobenius loss on X scaled by the roots of the sums of its rows and columns."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from nonneg import NMF
from nonneg.data import as_source, scaled, source
from nonneg.datasets import make_counts
from nonneg.losses import as_loss
from nonneg.solvers import start
from nonneg.solvers.problem import Problem
from nonneg.solvers.select import choose
from nonneg.solvers.start import starting_point

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COUNTS = make_counts(400, 60, 6, mean=2.0, random_state=0).data.astype(np.float64)


def begin(X, k, *, init="auto", seed=0, first=True, sample_weight=None):
    data = as_source(X)
    data.row_weights = sample_weight
    summary, loss = data.summary(), as_loss("kl")
    problem = Problem(
        data, loss, summary.mean or 1.0, summary.total_weight, summary.squares, np.zeros(k, bool)
    )
    solver = choose("auto", loss, data)
    return starting_point(problem, solver, summary, init, np.random.default_rng(seed), first=first)


def divergence(X, Y):
    seen = X > 0
    return float((X[seen] * np.log(X[seen] / Y[seen])).sum() - X.sum() + Y.sum())


def test_it_is_much_nearer_than_an_svd():
    best = min(
        NMF(6, loss="kl", random_state=seed, max_iter=300, tol=1e-3).fit(COUNTS).history_["loss"][-1]
        for seed in (0, 1)
    )
    excess = {
        init: NMF(6, loss="kl", init=init, random_state=0, max_iter=1, tol=0).fit(COUNTS).history_["loss"][0]
        - best
        for init in ("auto", "nndsvda", "random")
    }
    assert excess["auto"] < 0.2 * min(excess["nndsvda"], excess["random"])


def test_independent_rows_and_columns_are_met_up_to_the_background():
    rng = np.random.default_rng(0)
    X = np.outer(rng.random(30) + 0.1, rng.random(20) + 0.1)
    found = begin(X, 1)
    H = found.H[0] - found.H[0].mean() * start.BACKGROUND_H / (1 + start.BACKGROUND_H)
    W = found.W[:, 0] - found.W[:, 0].mean() * start.BACKGROUND_W / (1 + start.BACKGROUND_W)
    np.testing.assert_allclose(np.outer(W, H), X, rtol=1e-6)


def test_sparse_and_dense_data_start_alike():
    """Sweeps differ in number, so not to the digit."""
    dense, sparse = (begin(kind(COUNTS), 6) for kind in (np.asarray, sp.csr_array))
    np.testing.assert_allclose(
        *(divergence(COUNTS, found.W @ found.H) for found in (dense, sparse)), rtol=0.02
    )


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_a_weight_is_a_row_given_so_often(kind):
    weights = np.tile([0.0, 1.0, 2.0], 134)[: len(COUNTS)]
    weighted = begin(kind(COUNTS), 4, sample_weight=weights)
    repeated = begin(kind(np.repeat(COUNTS, weights.astype(int), axis=0)), 4)
    np.testing.assert_allclose(weighted.H, repeated.H, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_empty_rows_and_columns_and_any_size(kind, dtype):
    X = COUNTS[:90].astype(dtype)
    X[::7], X[:, ::5] = 0, 0
    X[3] *= 1e3
    X[:, 3] /= 1e3
    found = begin(kind(X), 4)
    for factor in (found.H, found.W):
        assert factor.dtype == dtype
        assert np.isfinite(factor).all() and (factor > 0).any(axis=0).all()
    model = NMF(4, loss="kl", random_state=0, tol=0, max_iter=50).fit(kind(X))
    assert (np.diff(model.history_["loss"]) <= 1e-5 * model.history_["loss"][:-1]).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_later_starts_differ(seed):
    assert np.abs(begin(COUNTS, 6, seed=seed).H - begin(COUNTS, 6, seed=seed, first=False).H).max() > 0.1


def test_named_inits_and_other_problems_are_left_alone():
    named = begin(COUNTS, 6, init="nndsvda")
    assert named.W is None
    np.testing.assert_array_equal(named.H, start.initial_components(
        "nndsvda", as_source(COUNTS), as_source(COUNTS).summary(), 6, np.random.default_rng(0)))  # fmt: skip
    holes = COUNTS.copy()
    holes[0, 0] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start, "_chi_square", None)
        NMF(3, loss="kl", missing="ignore", max_iter=3, tol=1).fit(holes)
        NMF(3, loss="kl", penalty_H=0.1, max_iter=3, tol=1).fit(COUNTS)
        NMF(3, loss=1.5, max_iter=3, tol=1).fit(COUNTS + 0.1)
        with pytest.raises(TypeError):
            NMF(3, loss="kl", max_iter=3, tol=1).fit(COUNTS)


ISOLATED = np.zeros((408, 68))  # eight single counts, each in a row and a column of its own
ISOLATED[:400, :60] = COUNTS
ISOLATED[range(400, 408), range(60, 68)] = 1


def short_documents(seed):
    """Few words each, most of them rare, as in texts."""
    rng = np.random.default_rng(seed)
    words = 1 / np.arange(1, 301)
    topics = rng.dirichlet(20 * words / words.sum(), 6)
    return np.stack([rng.multinomial(rng.poisson(12) + 1, topics[rng.integers(6)]) for _ in range(300)])


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(
    ("X", "k"),
    [(ISOLATED, 6), (short_documents(0), 6), (short_documents(1), 6)],
    ids=["isolated", "texts", "more"],
)
def test_rare_rows_with_rare_columns_take_no_component(X, k, kind):
    """Without smoothing the first of these ends twice as high as from an SVD."""
    ours, theirs = (
        min(
            NMF(k, loss="kl", init=init, random_state=seed, max_iter=150).fit(kind(X)).reconstruction_err_
            for seed in (0, 1)
        )
        for init in ("auto", "nndsvda")
    )
    assert ours**2 < 1.01 * theirs**2


@pytest.mark.parametrize("is_sorted", [False, True])
def test_a_part_of_few_rows_is_found(is_sorted, monkeypatch):
    """24,000 rows, one part in 24 of them alone: the start sees all rows."""
    monkeypatch.setattr(source, "BLOCK_BYTES", 16_384)
    rng = np.random.default_rng(0)
    H = np.zeros((5, 40))
    for part in range(5):
        H[part, 8 * part : 8 * part + 8] = rng.random(8) + 0.5
    which = rng.integers(0, 4, 24_000)
    which[rng.choice(24_000, 24, replace=False)] = 4
    if is_sorted:
        which.sort()
    X = rng.poisson(6 * H[which]).astype(np.float32)
    found = NMF(5, loss="kl", random_state=0, max_iter=60, tol=1e-3).fit(X).components_
    cosines = (found / np.linalg.norm(found, axis=1, keepdims=True)) @ (H[4] / np.linalg.norm(H[4]))
    assert cosines.max() > 0.95


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_scaled_sources(kind):
    rng = np.random.default_rng(0)
    rows, columns = rng.random(len(COUNTS)), rng.random(COUNTS.shape[1])
    expected = rows[:, None] * COUNTS * columns
    for found in (
        scaled.scaled(as_source(kind(COUNTS)), rows, columns),
        scaled.Scaled(as_source(kind(COUNTS)), rows, columns),
    ):
        cells = np.concatenate([block.dense().X for block in found.blocks()])
        np.testing.assert_allclose(cells, expected, rtol=1e-14)
        np.testing.assert_allclose(found.take([5, 3]), expected[[5, 3]], rtol=1e-14)
        assert found.shape == COUNTS.shape


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_float32_losses_of_large_counts(kind):
    """The loss is a small difference of large sums: 5e10 in all against 1.7e4."""
    X = make_counts(500, 100, 5, mean=1e6, random_state=0).data
    model = NMF(5, loss="kl", random_state=0, max_iter=40, tol=1e-3).fit(kind(X.astype(np.float32)))
    Y = model.transform(kind(X.astype(np.float32))).astype(np.float64) @ model.components_.astype(np.float64)
    exact = divergence(
        X.astype(np.float64), Y
    )  # after the last pass, so a little lower than the last of the history
    assert 0.99 * exact < model.history_["loss"][-1] < 1.05 * exact
    assert model.reconstruction_err_**2 / 2 == pytest.approx(exact, rel=0.01)
