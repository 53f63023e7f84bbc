"""A fit that is stopped around a look for a missed part, in its start, or by time, goes on as if it never had been."""

from __future__ import annotations

import time

import numpy as np
import pytest

from matrix_cases import fitted, planted
from nonneg import NMF
from nonneg.solvers import loop
from nonneg.solvers import start as starts

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")
X = planted()


def rare_part(seed=0, n=4000):
    """Five parts on disjoint columns, one of them in one row of a thousand."""
    rng = np.random.default_rng(seed)
    H = np.kron(np.eye(5), np.ones(8)) * (rng.random((1, 40)) + 0.5)
    W = rng.random((n, 5)) * (rng.random((n, 5)) < 0.6)
    W[:, 4] = 0
    rare = rng.choice(n, n // 1000, replace=False)
    W[rare] = 0
    W[rare, 4] = rng.random(len(rare)) + 0.5
    return W @ H + 0.01 * rng.random((n, 40))


RARE = rare_part()


@pytest.fixture(scope="module", params=[1e-2, 1e-3], ids=["tol=1e-2", "tol=1e-3"])
def looks(request):
    """A whole fit, its settings, and at which iterations it looked and with what answer."""
    given, asked, plain = {"n_components": 5, "random_state": 0, "tol": request.param}, [], loop.recover

    def recover(problem, solver, state, loss, pool):
        asked.append((loss, plain(problem, solver, state, loss, pool)))
        return asked[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "recover", recover)
        whole = NMF(**given).fit(RARE)
    losses = whole.history_["loss"].tolist()
    at = [(losses.index(loss) + 1, loss, answer) for loss, answer in asked if loss in losses]
    assert any(answer for *_, answer in at)
    return whole, given, at


def same(one, two):
    assert np.array_equal(one.components_, two.components_) and one.n_iter_ == two.n_iter_
    assert one.reconstruction_err_ == two.reconstruction_err_ and one.converged_ == two.converged_


def test_max_iter_at_the_iteration_of_a_look(looks, tmp_path):
    whole, given, at = looks
    for iteration, _, _ in at:
        folder = tmp_path / str(iteration)
        NMF(max_iter=iteration, checkpoint=folder, **given).fit(RARE)
        same(NMF(checkpoint=folder, **given).fit(RARE), whole)


def test_an_interrupt_within_a_look(looks, tmp_path, monkeypatch):
    whole, given, at = looks
    plain = loop.recover
    for iteration, when, _ in at:

        def recover(problem, solver, state, loss, pool, when=when):
            if loss == when:
                raise KeyboardInterrupt
            return plain(problem, solver, state, loss, pool)

        folder = tmp_path / str(iteration)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(loop, "recover", recover)
            NMF(checkpoint=folder, **given).fit(RARE)
        same(NMF(checkpoint=folder, **given).fit(RARE), whole)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_a_resumed_fit_does_not_start_again(loss, tmp_path, monkeypatch):
    given = {"loss": loss, "tol": 0, "n_init": 2, "random_state": 0}
    whole = fitted(X, max_iter=9, **given)
    fitted(X, max_iter=4, checkpoint=tmp_path, **given)
    monkeypatch.setattr("nonneg.models.nmf.starting_point", None)  # it would fail
    same(fitted(X, max_iter=9, checkpoint=tmp_path, **given), whole)


def test_an_interrupt_within_a_later_start(tmp_path, monkeypatch):
    given = {"loss": "kl", "tol": 0, "n_init": 2, "random_state": 0, "max_iter": 6}
    whole, plain = fitted(X, **given), starts.starting_point

    def failing(*args, first, **kwargs):
        if not first:
            raise KeyboardInterrupt
        return plain(*args, first=first, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("nonneg.models.nmf.starting_point", failing)
        fitted(X, checkpoint=tmp_path, **given)
    same(fitted(X, checkpoint=tmp_path, **given), whole)


def test_the_start_counts_as_time(monkeypatch):
    plain = starts.starting_point

    def slow(*args, **kwargs):
        time.sleep(0.2)
        return plain(*args, **kwargs)

    monkeypatch.setattr("nonneg.models.nmf.starting_point", slow)
    assert fitted(X, max_iter=3).history_["seconds"][0] >= 0.2
    assert fitted(X, loss="kl", max_time=0.1, tol=0).n_iter_ == 1


def test_time_that_is_over_is_over(tmp_path):
    first = fitted(X, loss="kl", tol=0, max_time=0.0, checkpoint=tmp_path)
    again = fitted(X, loss="kl", tol=0, max_time=0.0, checkpoint=tmp_path)
    assert first.n_iter_ == again.n_iter_ == 1
    same(first, again)


def test_a_time_limit_is_of_all_starts():
    model = fitted(X, loss="kl", tol=0, max_time=0.0, n_init=5)
    assert model.n_iter_ == 1 and len(model.restart_losses_) == 1
