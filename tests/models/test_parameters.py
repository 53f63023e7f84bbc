"""What the parameters of NMF and the arguments of fit do."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest

import reference as ref
from matrix_cases import fitted, planted, quietly, relative
from nonneg import NMF
from nonneg.exceptions import ConvergenceWarning

X = planted()
RNG = np.random.default_rng(7)


@pytest.mark.parametrize("solver", ["hals", "anls", "mu"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_frozen_rows_stay_bit_for_bit(solver, dtype):
    H0 = RNG.random((4, 9)).astype(dtype)
    for scale in (1.0, 2.0**60, 2.0**-60):
        model = fitted(
            (X * scale).astype(dtype),
            4,
            solver=solver,
            frozen=[2, 0],
            fit={"H_init": H0 * dtype(scale)},
            max_iter=30,
        )
        assert np.array_equal(model.components_[[0, 2]], (H0 * dtype(scale))[[0, 2]])
        assert relative(model.components_[[1, 3]], (H0 * dtype(scale))[[1, 3]]) > 0.01


@pytest.mark.parametrize("loss", ["kl", 1.5])
@pytest.mark.parametrize("given", [{}, {"weights": (RNG.random(X.shape) < 0.8).astype(float)}])
def test_frozen_rows_with_other_losses_and_masks(loss, given):
    H0 = RNG.random((3, 9))
    model = fitted(X, loss=loss, frozen=[1], fit={"H_init": H0, **given}, max_iter=30)
    assert np.array_equal(model.components_[1], H0[1])
    assert not np.array_equal(model.components_[[0, 2]], H0[[0, 2]])


def test_all_rows_frozen_is_transform():
    H0 = RNG.random((3, 9))
    model = fitted(X, frozen=range(3), fit={"H_init": H0})
    assert np.array_equal(model.components_, H0) and model.converged_
    assert relative(model.transform(X), ref.nnls_transform(X, H0)) < 1e-6


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_a_solution_given_back_is_kept(loss):
    first = fitted(X, loss=loss, tol=1e-5, max_iter=3000)
    assert first.converged_
    both = {"H_init": first.components_, "W_init": first.transform(X)}
    again = fitted(X, loss=loss, tol=1e-5, fit=both)
    assert again.n_iter_ <= 3 and relative(again.components_, first.components_) < 1e-4
    again = fitted(X, loss=loss, tol=1e-5, max_iter=3000, fit={"H_init": first.components_})
    assert again.reconstruction_err_ <= first.reconstruction_err_ * (1 + 1e-6)


def test_starts_given_are_not_written_to():
    W0, H0 = ref.start(X, 3)
    before = W0.copy(), H0.copy()
    fitted(X, max_iter=5, fit={"W_init": W0, "H_init": H0})
    assert np.array_equal(W0, before[0]) and np.array_equal(H0, before[1])


def test_scale_of_the_start_does_not_matter():
    W0, H0 = ref.start(X, 3)
    for loss in ("frobenius", "kl"):
        one = fitted(X, loss=loss, max_iter=200, tol=1e-7, fit={"W_init": W0, "H_init": H0})
        two = fitted(X, loss=loss, max_iter=200, tol=1e-7, fit={"W_init": W0 / 10, "H_init": H0 * 10})
        Y1, Y2 = (m.transform(X) @ m.components_ for m in (one, two))
        assert relative(Y2, Y1) < 1e-4
        assert two.reconstruction_err_ == pytest.approx(one.reconstruction_err_, rel=1e-5)


def test_more_starts_are_never_worse_and_the_first_is_the_one_without():
    errors = [fitted(X, 5, init="random", n_init=n, max_iter=50).reconstruction_err_ for n in (1, 2, 4)]
    assert errors[0] >= errors[1] >= errors[2]
    one, four = fitted(X, 5, n_init=1, max_iter=50), fitted(X, 5, n_init=4, max_iter=50)
    assert four.reconstruction_err_ <= one.reconstruction_err_
    assert four.restart_losses_[0] == one.restart_losses_[0] and len(four.restart_losses_) == 4


def test_max_time_stops_and_says_so():
    with pytest.warns(ConvergenceWarning, match=r"max_time"):
        model = NMF(3, loss="kl", solver="mu", max_time=0.0, tol=0, random_state=0).fit(X)
    assert model.n_iter_ == 1 and not model.converged_
    with quietly():
        model = NMF(3, solver="mu", max_iter=10**7, tol=0, max_time=0.05, random_state=0).fit(
            planted(noise=1.0)
        )
    assert model.n_iter_ < 10**6


def test_max_iter_warns_and_convergence_does_not():
    with pytest.warns(ConvergenceWarning, match=r"max_iter=2 .*KKT residual .*raise max_iter"):
        model = NMF(3, max_iter=2, tol=1e-12).fit(X)
    assert model.n_iter_ == 2 and not model.converged_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert NMF(3, tol=1e-3, random_state=0).fit(X).converged_


def test_components_that_do_not_help_are_named_once():
    with pytest.warns(UserWarning, match=r"components .*(dead|duplicates).*smaller n_components") as seen:
        NMF(3, random_state=0, tol=1e-8, max_iter=2000).fit(np.outer(np.arange(1, 9.0), np.arange(1, 6.0)))
    assert len(seen) == 1


def test_verbose_logs_and_silence_is_the_default(caplog, capsys):
    with caplog.at_level(logging.DEBUG, logger="nonneg"):
        fitted(X, max_iter=25, tol=0)
        assert not caplog.records
        fitted(X, max_iter=25, tol=0, verbose=1)
    assert caplog.records and capsys.readouterr().out == ""


def test_memberships_labels_and_top_features():
    import pandas as pd

    names = [f"gene{j}" for j in range(9)]
    model = fitted(pd.DataFrame(X, columns=names))
    shares = model.memberships(pd.DataFrame(X, columns=names))
    assert shares.shape == (70, 3) and (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)
    W = model.transform(pd.DataFrame(X, columns=names))
    wanted = W * model.components_.sum(axis=1)
    np.testing.assert_allclose(shares, wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-9)
    assert np.array_equal(model.labels_, shares.argmax(axis=1))
    top = model.top_features(4)
    assert [len(part) for part in top] == [4, 4, 4]
    for part, row in zip(top, model.components_, strict=True):
        assert [weight for _, weight in part] == sorted(row, reverse=True)[:4]
        assert [name for name, _ in part] == [names[j] for j in np.argsort(-row, kind="stable")[:4]]
    zeros = pd.DataFrame(np.zeros((1, 9)), columns=names)
    np.testing.assert_allclose(model.memberships(zeros), 1 / 3)
    assert fitted(X).top_features(1)[0][0][0] == int(fitted(X).components_[0].argmax())


def test_parts_are_a_copy_of_the_components():
    model = fitted(X)
    parts = model.parts()
    assert np.array_equal(parts, model.components_)
    parts[...] = 0
    assert model.components_.any()


def test_inverse_transform():
    model = fitted(X)
    W = model.transform(X)
    np.testing.assert_allclose(model.inverse_transform(W), W @ model.components_, rtol=1e-12)
    assert model.inverse_transform(W[:1].astype(np.float32)).shape == (1, 9)


def test_score_prefers_better_models_on_held_out_rows():
    train, test = X[:50], X[50:]
    scores = [fitted(train, k, tol=1e-5, max_iter=2000).score(test) for k in (1, 2, 3)]
    assert scores[0] < scores[1] < scores[2] < 0


def test_weights_of_rows_of_zero_leave_them_out():
    kept = np.arange(70) % 3 > 0
    # not to the very end: these data leave a direction open, along which rounding decides where a fit stops
    one = fitted(X[kept], tol=1e-3)
    two = fitted(X, tol=1e-3, fit={"sample_weight": kept})
    assert relative(two.components_, one.components_) < 1e-9
    assert two.transform(X).shape == (70, 3)
