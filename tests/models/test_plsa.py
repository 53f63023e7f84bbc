"""PLSA: one model with KL-NMF, and what the hybrid of both finds (Ding, Li & Peng 2006)."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from sklearn.datasets import load_digits

from nonneg import NMF, PLSA
from nonneg.data import as_source
from nonneg.data.threads import workers
from nonneg.exceptions import ConvergenceWarning
from nonneg.losses import as_loss
from nonneg.metrics import match_components
from nonneg.solvers.plsi import em_step
from nonneg.solvers.problem import Problem

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")


def counts(n=30, m=12, k=3, seed=0, length=80):
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(k, 0.3), n) @ rng.dirichlet(np.full(m, 0.3), k)
    X = rng.poisson(length * P).astype(float)
    return X + np.eye(n, m)  # no word and no document without counts


def em_of_hofmann(X, p_z, p_d, p_w):
    """One step of EM with the posterior P(z | d, w) written out, (k, n, m)."""
    joint = p_z[:, None, None] * p_d[:, :, None] * p_w[:, None, :]
    expected = X * joint / joint.sum(axis=0)
    of_z = expected.sum(axis=(1, 2))
    return of_z / X.sum(), expected.sum(axis=2) / of_z[:, None], expected.sum(axis=1) / of_z[:, None]


def updates(X, W, H, *, at_once):
    """Lee and Seung's multiplicative updates for KL."""
    new = W * ((X / (W @ H)) @ H.T) / H.sum(axis=1)
    W_for_H = W if at_once else new
    return new, H * (W_for_H.T @ (X / (W_for_H @ H))) / W_for_H.sum(axis=0)[:, None]


def kl(X, Y):
    return float((np.where(X > 0, X * np.log(np.where(X > 0, X, 1) / Y), 0) - X + Y).sum())


def a_point(X, k, seed=1):
    rng = np.random.default_rng(seed)
    p_z = rng.dirichlet(np.ones(k))
    return p_z, rng.dirichlet(np.ones(len(X)), k), rng.dirichlet(np.ones(X.shape[1]), k)


def our_step(X, W, H):
    source = as_source(X)
    found = source.summary()
    problem = Problem(
        source, as_loss("kl"), found.mean, found.total_weight, found.squares, np.zeros(len(H), bool)
    )
    with workers(1) as pool:
        return em_step(problem, W, H, pool)


def test_a_step_of_em_is_one_of_simultaneous_multiplicative_updates():
    X = counts()
    X /= X.sum()
    p_z, p_d, p_w = a_point(X, 4)
    W, H = (p_z[:, None] * p_d).T, p_w
    new_z, new_d, new_w = em_of_hofmann(X, p_z, p_d, p_w)
    moved, parts = updates(X, W, H, at_once=True)
    np.testing.assert_allclose(moved.T, new_z[:, None] * new_d, rtol=1e-13)  # P(z) P(d | z)
    np.testing.assert_allclose(parts / parts.sum(axis=1, keepdims=True), new_w, rtol=1e-13)
    ours = our_step(X, W, H)
    np.testing.assert_allclose(ours[0], moved, rtol=1e-13)
    np.testing.assert_allclose(ours[1], new_w, rtol=1e-13)
    assert ours[2] == pytest.approx(kl(X, W @ H), rel=1e-12)
    in_turn = updates(X, W, H, at_once=False)[1]
    assert np.abs(in_turn / in_turn.sum(axis=1, keepdims=True) / new_w - 1).max() > 1e-2


def test_em_never_lowers_the_likelihood():
    X = counts(seed=2)
    _, p_d, p_w = a_point(X, 3)
    W, H = X.sum() * p_d.T / 3, p_w
    losses = []
    for _ in range(50):
        W, H, loss, _ = our_step(X, W, H)
        losses.append(loss)
    assert (np.diff(losses) < 0).all()


def test_fixed_points_are_shared():
    X = counts() + 0.1
    model = NMF(3, loss="kl", tol=1e-9, max_iter=5000, random_state=0).fit(X)
    H = model.components_ / model.components_.sum(axis=1, keepdims=True)
    W = model.transform(X) * model.components_.sum(axis=1)
    for moved in (our_step(X, W, H)[:2], updates(X, W, H, at_once=False)):
        np.testing.assert_allclose(moved[0] @ moved[1], W @ H, rtol=1e-5, atol=1e-7)
    em = PLSA(3, method="em", tol=0, max_iter=3000).fit(X, W_init=W, H_init=H)  # and stays there
    assert em.reconstruction_err_ == pytest.approx(model.reconstruction_err_, rel=1e-8)
    assert kl(X, X.sum(axis=1, keepdims=True) * (em.transform(X) @ em.p_w_given_z_)) == pytest.approx(
        0.5 * model.reconstruction_err_**2, rel=1e-8
    )


@pytest.mark.parametrize("method", ["em", "hybrid"])
def test_probabilities_and_sums(method):
    X = counts()
    model = PLSA(3, method=method, tol=1e-7, max_iter=4000, random_state=0).fit(X)
    for array, axis in ((model.p_z_, 0), (model.p_w_given_z_, 1), (model.p_d_given_z_, 1)):
        assert (array >= 0).all()
        np.testing.assert_allclose(array.sum(axis=axis), 1, rtol=1e-12)
    np.testing.assert_allclose(model.transform(X).sum(axis=1), 1, rtol=1e-12)
    joint = model.p_d_given_z_.T @ (model.p_z_[:, None] * model.p_w_given_z_)
    np.testing.assert_allclose(joint.sum(axis=1), X.sum(axis=1) / X.sum(), rtol=1e-10)
    np.testing.assert_allclose(joint.sum(axis=0), X.sum(axis=0) / X.sum(), rtol=1e-4)
    assert model.p_d_given_z_.shape == (3, 30) and model.components_ is model.p_w_given_z_


def test_one_topic_is_independence():
    X = counts()
    model = PLSA(1).fit(X)
    np.testing.assert_allclose(model.p_w_given_z_[0], X.sum(axis=0) / X.sum(), rtol=1e-12)
    np.testing.assert_allclose(model.p_d_given_z_[0], X.sum(axis=1) / X.sum(), rtol=1e-12)


def test_chi_square_is_twice_kl_near_independence():
    rng = np.random.default_rng(0)
    Y = np.outer(rng.dirichlet(np.ones(20)), rng.dirichlet(np.ones(10)))
    noise = rng.standard_normal(Y.shape)
    gaps = []
    for size in (1e-1, 1e-2, 1e-3):
        X = Y * (1 + size * noise / np.abs(noise).max())
        gaps.append(abs((((X - Y) ** 2 / Y).sum()) / (2 * kl(X, Y)) - 1))
    assert gaps[0] < 0.1 and gaps[1] < 0.2 * gaps[0] and gaps[2] < 0.2 * gaps[1]


def test_planted_topics():
    X = counts(n=300, m=40, k=4, length=300)
    truth = np.random.default_rng(0)
    truth.dirichlet(np.full(4, 0.3), 300)
    parts = truth.dirichlet(np.full(40, 0.3), 4)
    model = PLSA(4, method="hybrid", random_state=0).fit(X)
    similarity = match_components(model.components_, parts)[1]
    assert np.min(similarity) > 0.98


def test_folding_in_is_the_best_mixture():
    X = counts()
    model = PLSA(3, method="hybrid", random_state=0).fit(X)
    new = counts(n=4, seed=7)
    found = model.transform(new)
    for x, p in zip(new, found, strict=True):
        best = minimize(
            lambda v, x=x: -x @ np.log(v @ model.components_ + 1e-300),
            np.full(3, 1 / 3),
            bounds=[(0, 1)] * 3,
            constraints={"type": "eq", "fun": lambda v: v.sum() - 1},
            options={"ftol": 1e-12},
        )
        assert -x @ np.log(p @ model.components_) <= best.fun + 1e-7
    logs = np.log(found @ model.components_)
    assert model.perplexity(new) == pytest.approx(np.exp(-(new * logs).sum() / new.sum()), rel=1e-9)
    assert model.perplexity(sp.csr_array(new)) == pytest.approx(model.perplexity(new), rel=1e-9)
    assert model.score(new) == pytest.approx(-np.log(model.perplexity(new)), rel=1e-9)


def test_perplexity_of_held_out_words():
    rng = np.random.default_rng(0)
    X = counts(n=60, m=20, length=200)
    X[:40] += 0.01  # every word has been seen
    model = PLSA(3, random_state=0).fit(X[:40])
    half = rng.binomial(X[40:].astype(int), 0.5)
    rest = X[40:] - half
    logs = np.log(model.transform(half) @ model.components_)
    held_out = model.perplexity(rest, fold_in=half)
    assert held_out == pytest.approx(np.exp(-(rest * logs).sum() / rest.sum()), rel=1e-9)
    assert model.perplexity(rest) < held_out < PLSA(1).fit(X[:40]).perplexity(rest)
    with pytest.raises(ValueError, match="fold_in has 3 rows"):
        model.perplexity(rest, fold_in=half[:3])


def test_a_word_never_seen_is_impossible():
    X = counts()
    X[:, 4] = 0
    model = PLSA(3, random_state=0).fit(X)
    assert np.isfinite(model.perplexity(X))
    X[0, 4] = 1
    assert model.perplexity(X) == np.inf


def test_a_document_without_words_is_undecided():
    model = PLSA(4, random_state=0).fit(counts())
    np.testing.assert_array_equal(model.transform(np.zeros((2, 12))), 0.25)
    with pytest.raises(ValueError, match="no positive cell"):
        PLSA(2).fit(np.zeros((3, 4)))


@pytest.mark.parametrize("method", ["em", "hybrid"])
def test_weights_of_rows_count_them(method):
    X = counts()
    weights = np.arange(30) % 3
    H = np.random.default_rng(0).random((3, 12))
    weighted = PLSA(3, method=method, max_iter=40).fit(X, sample_weight=weights, H_init=H)
    repeated = PLSA(3, method=method, max_iter=40).fit(np.repeat(X, weights, axis=0), H_init=H)
    np.testing.assert_allclose(weighted.components_, repeated.components_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(weighted.p_z_, repeated.p_z_, rtol=1e-6)
    together = np.zeros((3, 30))
    np.add.at(together.T, np.repeat(np.arange(30), weights), repeated.p_d_given_z_.T)
    np.testing.assert_allclose(weighted.p_d_given_z_, together, rtol=1e-5, atol=1e-9)


def test_the_hybrid_has_falling_losses_and_goes_on_bitwise(tmp_path):
    X, settings = counts(), {"method": "hybrid", "init": "random", "tol": 0, "random_state": 3}
    whole = PLSA(3, max_iter=60, **settings).fit(X)
    loss = whole.history_["loss"]
    assert (np.diff(loss) <= 0).all() and loss[-1] == pytest.approx(0.5 * whole.reconstruction_err_**2)
    PLSA(3, max_iter=11, checkpoint=tmp_path, **settings).fit(X)
    resumed = PLSA(3, max_iter=60, checkpoint=tmp_path, **settings).fit(X)
    np.testing.assert_array_equal(resumed.components_, whole.components_)
    np.testing.assert_array_equal(resumed.history_["loss"], loss)


def test_the_hybrid_agrees_on_sparse_data():
    X = counts()
    fits = [PLSA(3, method="hybrid", tol=1e-8, random_state=0).fit(kind) for kind in (X, sp.csr_array(X))]
    np.testing.assert_allclose(fits[1].components_, fits[0].components_, atol=1e-6)


def holed(share=0.2, **how):
    """Counts, which of them are missing, and the topics."""
    X = counts(n=300, m=40, k=4, length=300, **how)
    truth = np.random.default_rng(how.get("seed", 0))
    truth.dirichlet(np.full(4, 0.3), 300)
    return X, np.random.default_rng(9).random(X.shape) < share, truth.dirichlet(np.full(40, 0.3), 4)


@pytest.mark.parametrize("method", ["em", "hybrid"])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_what_a_missing_cell_holds_has_no_influence(method, make):
    X, gone, _ = holed()
    X, gone = X[:60], gone[:60]
    fits = []
    for value in (X[gone], 1e6, np.inf):
        Y = X.copy()
        Y[gone] = value
        model = PLSA(4, method=method, max_iter=30, random_state=0).fit(make(Y), weights=1.0 - gone)
        codes = model.transform(make(Y), weights=1.0 - gone)
        scores = model.score(make(Y), weights=1.0 - gone), model.perplexity(make(Y), weights=1.0 - gone)
        fits.append([model.components_, model.p_z_, model.p_d_given_z_, codes, np.array(scores)])
    for other in fits[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(fits[0], other, strict=True))
    Y = np.where(gone, np.nan, X)
    by_nan = PLSA(4, method=method, missing="ignore", max_iter=30, random_state=0).fit(make(Y))
    np.testing.assert_allclose(by_nan.components_, fits[0][0], atol=1e-9)
    assert by_nan.score(make(Y)) == pytest.approx(fits[0][4][0], rel=1e-9)


@pytest.mark.parametrize("method", ["em", "hybrid"])
def test_weights_that_are_all_alike_change_nothing(method):
    X = counts()
    plain = PLSA(3, method=method, max_iter=60, random_state=0).fit(X)
    ones = PLSA(3, method=method, max_iter=60, random_state=0).fit(X, weights=np.ones_like(X))
    np.testing.assert_array_equal(ones.components_, plain.components_)
    settings = {"method": method, "max_iter": 25, "tol": 0}
    H = np.random.default_rng(0).random((3, 12))
    plain = PLSA(3, **settings).fit(X, H_init=H)  # by the updates of weighted cells
    twos = PLSA(3, **settings).fit(X, H_init=H, weights=np.full(X.shape, 2.0))
    np.testing.assert_allclose(twos.components_, plain.components_, atol=1e-6)
    np.testing.assert_allclose(twos.p_d_given_z_, plain.p_d_given_z_, atol=1e-6)
    assert twos.reconstruction_err_ == pytest.approx(np.sqrt(2) * plain.reconstruction_err_, rel=1e-6)
    assert twos.score(X, weights=np.full(X.shape, 2.0)) == pytest.approx(plain.score(X), rel=1e-6)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_planted_topics_behind_missing_cells(share):
    X, gone, parts = holed(share)
    Y = np.where(gone, np.nan, X)
    model = PLSA(4, method="hybrid", missing="ignore", random_state=0).fit(Y)
    assert model.converged_ and np.min(match_components(model.components_, parts)[1]) > 0.98
    whole = PLSA(4, method="hybrid", random_state=0).fit(X)
    order = match_components(whole.components_, model.components_)[0]
    np.testing.assert_allclose(model.p_z_[order], whole.p_z_, atol=0.02)  # missing counts are reckoned with
    assert np.abs(model.transform(Y)[:, order] - whole.transform(X)).mean() < 0.04


@pytest.mark.parametrize("weights", ["missing", "weighted"])
def test_with_weights_it_is_kl_nmf_with_weights(weights):
    X, gone, _ = holed()
    X, V = X[:60] + 0.1, (1.0 - gone[:60]) * (1 if weights == "missing" else 1 + np.arange(40) % 3)
    nmf = NMF(3, loss="kl", tol=1e-9, max_iter=5000, random_state=0).fit(X, weights=V)
    H = nmf.components_ / nmf.components_.sum(axis=1, keepdims=True)
    W = nmf.transform(X, weights=V) * nmf.components_.sum(axis=1)
    em = PLSA(3, tol=0, max_iter=300).fit(X, W_init=W, H_init=H, weights=V)  # and stays there
    assert em.reconstruction_err_ == pytest.approx(nmf.reconstruction_err_, rel=1e-8)
    np.testing.assert_allclose(em.components_, H, atol=1e-5)
    # the value is that of the likelihood among the observed cells, with the best length of every document
    P = em.transform(X, weights=V) @ em.components_
    Y = P * ((V * X).sum(axis=1) / (V * P).sum(axis=1))[:, None]
    cells = X * np.log(X / Y) - X + Y
    assert 0.5 * em.reconstruction_err_**2 == pytest.approx((V * cells).sum(), rel=1e-8)
    logs = np.log(P / (P * (V > 0)).sum(axis=1, keepdims=True))
    wanted = (V * X * logs).sum() / (V * X).sum()
    assert em.score(X, weights=V) == pytest.approx(wanted, rel=1e-8)
    assert em.perplexity(sp.csr_array(X), weights=sp.csr_array(V)) == pytest.approx(np.exp(-wanted), rel=1e-8)


def test_a_step_with_missing_cells_never_lowers_the_likelihood():
    X, gone, _ = holed(0.6)
    source = as_source(X[:60], weights=(1.0 - gone[:60]) * np.linspace(0.1, 5, 40))
    found = source.summary()
    problem = Problem(source, as_loss("kl"), found.mean, found.total_weight, found.squares, np.zeros(5, bool))
    rng, losses = np.random.default_rng(0), []
    W, H = found.mean * 40 * rng.random((60, 5)), rng.dirichlet(np.ones(40), 5)
    with workers(1) as pool:
        for _ in range(60):
            W, H, loss, _ = em_step(problem, W, H, pool)
            losses.append(loss)
    assert (np.diff(losses) < 0).all() and losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("method", ["em", "hybrid"])
@pytest.mark.parametrize("masked", [False, True])
def test_frozen_topics_stay(method, masked):
    X, gone, parts = holed()
    if masked:
        X = np.where(gone, np.nan, X)
    H = np.random.default_rng(0).dirichlet(np.ones(40), 4)
    H[[1, 3]] = parts[[2, 0]] / parts[[2, 0]].sum(axis=1, keepdims=True)
    settings = {"method": method, "missing": "ignore", "max_iter": 60, "tol": 0}
    for Y in (X, sp.csr_array(X), X * 2.0**-900):
        model = PLSA(4, frozen=[1, 3], **settings).fit(Y, H_init=H)
        assert np.array_equal(model.components_[[1, 3]], H[[1, 3]])
        loss = model.history_["loss"]
        assert (np.diff(loss) <= 0).all() and loss[-1] < 0.6 * loss[0]
        assert np.min(match_components(model.components_[[0, 2]], parts[[1, 3]])[1]) > 0.98
        assert model.kkt_residual_ < (1 if method == "em" else 1e-4)  # frozen rows do not count
    start = {"H_init": H, "W_init": np.ones((300, 4))}
    assert np.array_equal(PLSA(4, frozen=[1], **settings).fit(X, **start).components_[1], H[1])


def test_refusals_of_frozen_topics():
    X, H = counts(), np.random.default_rng(0).random((3, 12))
    with pytest.raises(
        ValueError, match=r"row 1 of H_init has the sum \S+; frozen topics are .* rows of sum 1"
    ):
        PLSA(3, frozen=[1]).fit(X, H_init=H)
    with pytest.raises(ValueError, match="frozen= needs H_init"):
        PLSA(3, frozen=[1]).fit(X)


def test_words_and_documents_of_which_nothing_was_observed():
    X, _, _ = holed()
    X[:, 5] = np.nan
    X[7] = np.nan
    with pytest.warns(
        UserWarning, match="no observed cell in column 5.* and in row 7: W is 1 / n_components"
    ):
        model = PLSA(4, method="hybrid", missing="ignore", random_state=0).fit(X)
    rest = np.delete(model.components_, 5, axis=1)
    np.testing.assert_allclose(model.components_[:, 5], rest.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(model.components_.sum(axis=1), 1, rtol=1e-12)
    assert model.transform(X)[7] == pytest.approx(0.25) and (model.p_d_given_z_[:, 7] == 0).all()


def test_start_values():
    X = counts()
    with pytest.raises(ValueError, match="W_init was given without H_init"):
        PLSA(3).fit(X, W_init=np.ones((30, 3)))


@pytest.mark.parametrize("method", ["em", "hybrid"])
def test_sparse_data_stay_sparse(method):
    X = sp.random_array((20_000, 10_000), density=1e-4, rng=np.random.default_rng(0), format="csr")
    PLSA(2, method=method, max_iter=1).fit(X[:50])  # compiled
    tracemalloc.start()
    model = PLSA(3, method=method, max_iter=2, init="random", random_state=0).fit(X)
    model.perplexity(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # dense it would be 1.6e9


def test_the_hybrid_leaves_optima_of_em_and_of_nmf_alone():
    X = load_digits().data[:100]
    k, found = 6, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        H, W = rng.random((k, 64)), X.mean() * rng.random((100, k))
        em = PLSA(k, method="em", max_iter=100).fit(X, W_init=W, H_init=H)
        there = {"H_init": em.components_, "W_init": X.sum() * (em.p_z_[:, None] * em.p_d_given_z_).T}
        fits = [
            NMF(k, loss="kl", tol=1e-6).fit(X, **there),  # the optimum that EM was on its way to
            NMF(k, loss="kl", tol=1e-6).fit(X, W_init=W, H_init=H),
            PLSA(k, method="hybrid").fit(X, W_init=W, H_init=H),
        ]
        found.append([0.5 * fit.reconstruction_err_**2 / X.sum() for fit in fits])
    em, nmf, hybrid = np.array(found).T
    assert (hybrid < 0.999 * em).sum() >= 10
    assert (hybrid < 0.999 * np.minimum(em, nmf)).sum() >= 5
    assert (hybrid > 1.001 * np.minimum(em, nmf)).sum() <= 2
    assert hybrid.mean() < min(em.mean(), nmf.mean())


@pytest.mark.parametrize("method", ["em", "hybrid"])
@pytest.mark.parametrize("given", ["H", "W and H"])
def test_starts_that_exclude_what_was_counted_get_a_background(method, given):
    rng = np.random.default_rng(0)
    X = rng.poisson(30 * rng.dirichlet(np.full(3, 0.3), 60) @ rng.dirichlet(np.full(20, 0.5), 3))
    H = X[:3].astype(float)
    H[:, :4] = 0  # words that no topic has
    starts = {"H_init": H} | ({"W_init": np.eye(3)[np.arange(60) % 3]} if given == "W and H" else {})
    model = PLSA(3, method=method, max_iter=3000, tol=1e-2).fit(X, **starts)
    least = PLSA(3, method="hybrid", n_init=3, random_state=0).fit(X).reconstruction_err_
    assert model.converged_ and model.reconstruction_err_ < 1.05 * least


def test_zeros_of_a_possible_start_get_no_background():
    rng = np.random.default_rng(0)
    H = np.kron(np.eye(2), rng.random((1, 4)))
    H[1, :4] += 0.1
    X = rng.random((30, 2)) @ H
    assert (PLSA(2, max_iter=50, tol=1e-3).fit(X, H_init=H).components_[0, 4:] < 1e-12).all()


def test_an_early_end_of_em_names_the_hybrid():
    X = np.random.default_rng(0).poisson(3, (30, 12))
    with pytest.warns(ConvergenceWarning, match=r"raise max_iter.*method='hybrid' mostly converges"):
        PLSA(3, max_iter=2, random_state=0).fit(X)
    with pytest.warns(ConvergenceWarning, match=r"raise max_iter.*is enough$"):
        PLSA(3, method="hybrid", max_iter=2, random_state=0).fit(X)
