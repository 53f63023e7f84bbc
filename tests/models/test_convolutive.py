"""Convolutive NMF: shifts and their adjoint, the kernel against plain NumPy, planted patterns, new rows."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment, nnls

from nonneg import NMF, ConvolutiveNMF
from nonneg.exceptions import ConvergenceWarning
from nonneg.kernels.convolutive import overlaps, sweep
from nonneg.solvers.shifts import folded, shifted

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")


def model_of(W, P):
    """Σ_τ W(τ rows down) P_τ, row by row."""
    X = np.zeros((len(W), P.shape[2]))
    for t in range(len(W)):
        for tau in range(min(P.shape[1], t + 1)):
            X[t] += W[t - tau] @ P[:, tau]
    return X


def planted(seed, n=300, m=20, k=3, width=6, noise=0.01):
    rng = np.random.default_rng(seed)
    P = rng.gamma(0.3, size=(k, width, m))
    P /= np.linalg.norm(P, axis=(1, 2))[:, None, None]
    W = (rng.random((n, k)) < 0.06) * rng.uniform(0.5, 2, (n, k))
    X = model_of(W, P)
    return X + noise * X.mean() * rng.random(X.shape), W, P


def cosines(found, truth, most=2):
    """Of the best pairs of patterns, each at its best shift by at most ``most`` rows; and the pairs."""
    k, best = len(truth), np.zeros((len(truth), len(found)))
    for i in range(k):
        for j in range(len(found)):
            padded = np.pad(found[j], ((most, most), (0, 0)))
            for shift in range(2 * most + 1):
                part = padded[shift : shift + len(truth[i])]
                size = np.linalg.norm(part) * np.linalg.norm(truth[i])
                best[i, j] = max(best[i, j], (part * truth[i]).sum() / max(size, 1e-300))
    pairs = linear_sum_assignment(-best)
    return best[pairs], pairs[1]


def test_shifts_and_their_adjoint():
    rng = np.random.default_rng(0)
    for n, width in ((9, 4), (3, 5), (6, 1)):
        W, P = rng.random((n, 2)), rng.random((2, width, 7))
        S = shifted(W, width)
        np.testing.assert_allclose(S @ P.reshape(-1, 7), model_of(W, P), rtol=1e-13)
        A = rng.random(S.shape)
        assert (folded(A, width) * W).sum() == pytest.approx((A * S).sum(), rel=1e-13)


@pytest.mark.parametrize(("n", "width"), [(15, 4), (3, 5), (6, 1)])
def test_the_sweep_is_coordinate_descent(n, width):
    rng = np.random.default_rng(1)
    P, X = rng.random((2, width, 5)), rng.random((n, 5))
    W = rng.random((n, 2))
    D = np.array([model_of(e.reshape(n, 2), P).ravel() for e in np.eye(2 * n)]).T  # X̂ = D W
    G, w = D.T @ D, W.ravel().copy()
    for i in range(2 * n):
        w[i] = max(0, w[i] + (D[:, i] @ X.ravel() - G[i] @ w) / G[i, i])
    C = (D.T @ X.ravel() - G @ W.ravel()).reshape(n, 2)
    sweep(W, C, overlaps(P), 1)
    np.testing.assert_allclose(W.ravel(), w, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(C.ravel(), D.T @ X.ravel() - G @ w, atol=1e-11)


@pytest.mark.parametrize(
    ("loss", "seed"), [("frobenius", 0), ("frobenius", 2), ("frobenius", 3), ("kl", 0), ("kl", 2)]
)
def test_planted_patterns_are_found(loss, seed):
    X, W, P = planted(seed)
    model = ConvolutiveNMF(3, width=6, loss=loss, max_iter=150, random_state=seed).fit(X)
    found, pairs = cosines(model.patterns_, P)
    assert found.min() > 0.99
    codes = model.transform(X)[:, pairs]
    for j in range(3):  # the moments too, up to the shift
        assert max(np.corrcoef(np.roll(codes[:, j], s), W[:, j])[0, 1] for s in range(-2, 3)) > 0.95
    assert np.linalg.norm(X - model.inverse_transform(model.transform(X))) < 0.05 * np.linalg.norm(X)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_losses_fall_and_shapes(loss):
    X, _, _ = planted(2)
    model = ConvolutiveNMF(4, width=5, loss=loss, max_iter=80, tol=0, random_state=0).fit(X)
    losses = model.history_["loss"]
    assert (np.diff(losses) <= 1e-12 * losses[:-1]).all() and losses[-1] < losses[0]
    assert model.patterns_.shape == (4, 5, 20) and (model.patterns_ >= 0).all()
    np.testing.assert_allclose(model.components_, model.patterns_.sum(axis=1))
    sizes = np.sqrt((model.patterns_**2).mean(axis=(1, 2)))
    np.testing.assert_allclose(sizes, X.mean(), rtol=1e-10)


def test_transform_solves_the_convex_problem_of_a_new_stretch():
    X, _, _ = planted(0, noise=0.3)
    model = ConvolutiveNMF(3, width=6, max_iter=30, random_state=0).fit(X[:200])
    new = X[200:240]
    D = np.array([model_of(e.reshape(40, 3), model.patterns_).ravel() for e in np.eye(120)]).T
    best, residual = nnls(D, new.ravel())
    np.testing.assert_allclose(model.transform(new).ravel(), best, atol=1e-7 * best.max())
    assert model.score(new) == pytest.approx(-0.5 * residual**2 / new.size, rel=1e-8)


def test_kl_of_a_new_stretch_is_stationary():
    X, _, _ = planted(0, noise=0.3)
    model = ConvolutiveNMF(3, width=6, loss="kl", max_iter=30, random_state=0).fit(X[:200])
    W, P = model.transform(X[200:260]), model.patterns_
    ratio = 1 - X[200:260] / model_of(W, P)
    slope = np.array(
        [
            [(ratio[t : t + 6] * P[j, : 60 - t]).sum() / P[j, : 60 - t].sum() for j in range(3)]
            for t in range(60)
        ]
    )
    assert slope.min() > -1e-3 and np.abs(slope[np.greater(W, 1e-2 * W.max())]).max() < 1e-3


def test_one_row_wide_is_nmf():
    X, _, _ = planted(1, width=1, noise=0.1)
    narrow = ConvolutiveNMF(3, width=1, n_init=3, random_state=0).fit(X)
    plain = NMF(3, random_state=0).fit(X)
    assert narrow.reconstruction_err_ == pytest.approx(plain.reconstruction_err_, rel=1e-3)


def test_a_pattern_begun_at_a_wrong_row_moves():
    X, _, P = planted(3)
    late = np.concatenate([P[:, 2:], np.zeros((3, 2, 20))], axis=1)  # two rows of each are lost
    model = ConvolutiveNMF(3, width=6, random_state=0).fit(X, H_init=late)
    assert cosines(model.patterns_, P)[0].min() > 0.99


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_sparse_agrees_and_units_do_not_matter(loss):
    X, _, _ = planted(1, noise=0)
    X[X < 0.05] = 0
    model = ConvolutiveNMF(3, width=6, loss=loss, max_iter=20, random_state=0).fit(X)
    sparse = ConvolutiveNMF(3, width=6, loss=loss, max_iter=20, random_state=0).fit(sp.csr_array(X))
    np.testing.assert_allclose(sparse.patterns_, model.patterns_, rtol=1e-6, atol=1e-9)
    huge = ConvolutiveNMF(3, width=6, loss=loss, max_iter=20, random_state=0).fit(X * 2.0**900)
    np.testing.assert_allclose(huge.patterns_ * 2.0**-900, model.patterns_, rtol=1e-6, atol=1e-9)


def holes(X, share=0.2):
    return np.random.default_rng(5).random(X.shape) < share


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_what_a_missing_cell_holds_has_no_influence(loss, make):
    X, _, _ = planted(1, n=80)
    gone, settings = holes(X), {"width": 6, "loss": loss, "max_iter": 15, "random_state": 0}
    fits = []
    for value in (X[gone], 1e6, np.inf):
        Y = X.copy()
        Y[gone] = value
        model = ConvolutiveNMF(3, **settings).fit(make(Y), weights=1.0 - gone)
        codes = model.transform(make(Y), weights=1.0 - gone)
        score = np.array(model.score(make(Y), weights=1.0 - gone))
        fits.append([model.patterns_, model.components_, codes, score])
    for other in fits[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(fits[0], other, strict=True))
    by_nan = ConvolutiveNMF(3, missing="ignore", **settings).fit(make(np.where(gone, np.nan, X)))
    np.testing.assert_allclose(by_nan.patterns_, fits[0][0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_weights_that_are_all_alike_change_nothing(loss):
    X, _, _ = planted(1, n=80)
    settings = {"width": 6, "loss": loss, "max_iter": 20, "tol": 0, "random_state": 0}
    plain = ConvolutiveNMF(3, **settings).fit(X)
    ones = ConvolutiveNMF(3, **settings).fit(X, weights=np.ones_like(X))
    np.testing.assert_array_equal(ones.patterns_, plain.patterns_)
    fours = np.full(X.shape, 4.0)  # by the updates of weighted cells
    heavy = ConvolutiveNMF(3, **settings).fit(X, weights=fours)
    np.testing.assert_allclose(heavy.patterns_, plain.patterns_, rtol=1e-6, atol=1e-6)
    assert heavy.reconstruction_err_ == pytest.approx(2 * plain.reconstruction_err_, rel=1e-6)
    np.testing.assert_allclose(heavy.transform(X, weights=fours), plain.transform(X), rtol=1e-6, atol=1e-6)
    assert heavy.score(X, weights=fours) == pytest.approx(plain.score(X), rel=1e-6)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_planted_patterns_behind_missing_cells(loss, seed):
    X, _, P = planted(seed)
    gone = holes(X)
    gone[100:102] = True  # two whole moments
    Y = np.where(gone, np.nan, X)
    model = ConvolutiveNMF(3, width=6, loss=loss, missing="ignore", max_iter=150, random_state=seed).fit(Y)
    losses = model.history_["loss"]
    assert (np.diff(losses) <= 1e-12 * losses[:-1]).all()
    assert cosines(model.patterns_, P)[0].min() > 0.99
    back = model.inverse_transform(model.transform(Y))
    assert np.linalg.norm((X - back)[gone]) < 0.05 * np.linalg.norm(X[gone])


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_transform_solves_the_weighted_problem(make):
    X, _, _ = planted(0, noise=0.3)
    model = ConvolutiveNMF(3, width=6, max_iter=30, random_state=0).fit(X[:200])
    new, rng = X[200:240], np.random.default_rng(0)
    V = rng.uniform(0.2, 3, new.shape) * (rng.random(new.shape) < 0.5)
    D = np.array([model_of(e.reshape(40, 3), model.patterns_).ravel() for e in np.eye(120)]).T
    root = np.sqrt(V).ravel()
    best, residual = nnls(root[:, None] * D, root * new.ravel())
    np.testing.assert_allclose(model.transform(make(new), weights=V).ravel(), best, atol=1e-6 * best.max())
    assert model.score(make(new), weights=V) == pytest.approx(-0.5 * residual**2 / V.sum(), rel=1e-8)


def test_kl_with_weights_is_stationary():
    X, _, _ = planted(0, noise=0.3)
    V = np.random.default_rng(0).uniform(0.2, 3, X.shape) * ~holes(X, 0.4)
    model = ConvolutiveNMF(3, width=6, loss="kl", max_iter=30, random_state=0).fit(X[:200], weights=V[:200])
    X, V = X[200:260], V[200:260]
    W, P = model.transform(X, weights=V), model.patterns_
    ratio = V * (1 - X / model_of(W, P))
    slope = np.array(
        [
            [
                (ratio[t : t + 6] * P[j, : 60 - t]).sum() / (V[t : t + 6] * P[j, : 60 - t]).sum()
                for j in range(3)
            ]
            for t in range(60)
        ]
    )
    assert slope.min() > -1e-3 and np.abs(slope[np.greater(W, 1e-2 * W.max())]).max() < 1e-3


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("masked", [False, True])
def test_frozen_patterns_stay(loss, masked):
    X, _, P = planted(3)
    Y = np.where(holes(X) & masked, np.nan, X)
    H = np.random.default_rng(1).random(P.shape) * P.mean()
    H[1] = 7 * P[2]
    settings = {"width": 6, "loss": loss, "missing": "ignore", "max_iter": 60, "random_state": 0}
    for unit in (1.0, 2.0**-900):
        model = ConvolutiveNMF(3, frozen=[1], **settings).fit(Y * unit, H_init=H * unit)
        assert np.array_equal(model.patterns_[1], H[1] * unit)
        assert np.array_equal(model.components_[1], (H[1] * unit).sum(axis=0))
        losses = model.history_["loss"]
        if unit == 1:  # the squares of the others are below the floats
            assert (np.diff(losses) <= 1e-12 * losses[:-1]).all() and losses[-1] < 0.5 * losses[0]
    assert cosines(model.patterns_ / unit, P)[0].min() > 0.95


def test_columns_and_stretches_of_which_nothing_was_observed():
    X, _, _ = planted(0)
    X[:, 4] = X[50:60] = np.nan
    for loss in ("frobenius", "kl"):
        with pytest.warns(UserWarning, match=r"no observed cell in column 4: components_ holds the mean"):
            model = ConvolutiveNMF(3, width=6, loss=loss, missing="ignore", max_iter=30, random_state=0).fit(
                X
            )
        rest = np.delete(model.patterns_, 4, axis=2)
        np.testing.assert_allclose(model.patterns_[:, :, 4], rest.mean(axis=2), rtol=1e-10)
        W = model.transform(X)
        assert (W[50:55] == 0).all() and np.isfinite(W).all()


def test_refusals():
    X, _, _ = planted(0)
    with pytest.raises(TypeError, match="sample_weight"):
        ConvolutiveNMF(3).fit(X, sample_weight=np.ones(len(X)))
    with pytest.raises(ValueError, match=r"H_init has shape \(3, 20\), expected \(3, 8, 20\)"):
        ConvolutiveNMF(3).fit(X, H_init=np.ones((3, 20)))
    with pytest.raises(ValueError, match="W_init was given without H_init"):
        ConvolutiveNMF(3).fit(X, W_init=np.ones((300, 3)))
    with pytest.raises(ValueError, match="frozen= needs H_init"):
        ConvolutiveNMF(3, frozen=[0]).fit(X)
    with pytest.raises(ValueError, match="width"):
        ConvolutiveNMF(3, width=0).fit(X)


def test_codes_that_are_not_found_are_said():
    rng = np.random.default_rng(0)
    X = rng.random((60, 10))
    model = ConvolutiveNMF(2, width=4, random_state=0, max_iter=5, tol=1.0).fit(X)
    model.transform(X, weights=np.exp(rng.standard_normal(X.shape)))  # in silence
    with pytest.warns(ConvergenceWarning, match="codes of ConvolutiveNMF were not found"):
        model.transform(X, weights=np.exp(6 * rng.standard_normal(X.shape)))
