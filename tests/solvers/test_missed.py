"""Rare parts: not lost by the progressive start, by momentum, or by the order of the rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from nonneg import NMF
from nonneg.data import source
from nonneg.exceptions import ConvergenceWarning
from nonneg.solvers import loop, missed, progressive

N, SHARE = 90_000, 1000  # one row in a thousand has the last part, and no other


def planted(seed: int, n: int = N) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Five parts on disjoint columns; return X, the parts, and the part that is largest in each row."""
    rng = np.random.default_rng(seed)
    H = np.kron(np.eye(5), np.ones(8)) * (rng.random((1, 40)) + 0.5)
    W = rng.random((n, 5)) * (rng.random((n, 5)) < 0.6)
    W[:, 4] = 0
    rare = rng.choice(n, n // SHARE, replace=False)
    W[rare] = 0
    W[rare, 4] = rng.random(len(rare)) + 0.5
    X = W @ H + 0.01 * rng.random((n, 40))
    return X.astype(np.float32), H, W.argmax(axis=1)


def similarity(H: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Cosine of each part with the component most like it."""
    H = H / np.linalg.norm(H, axis=1, keepdims=True)
    found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-30)
    return (H @ found.T).max(axis=1)


@pytest.fixture
def sampled(monkeypatch) -> list[int]:
    """Blocks small enough for the progressive start; gets an entry when it is used."""
    used: list[int] = []

    def head_start(*args):
        used.append(1)
        return progressive.head_start(*args)

    monkeypatch.setattr(source, "BLOCK_BYTES", 65_536)
    monkeypatch.setattr(loop, "head_start", head_start)
    return used


@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_part_of_one_row_in_a_thousand_is_found(seed, is_sorted, sampled):
    X, H, classes = planted(seed)
    if is_sorted:
        X = X[np.argsort(classes, kind="stable")]
    model = NMF(5, random_state=seed).fit(X)
    assert sampled
    assert similarity(H, model.components_).min() > 0.99
    assert model.converged_


def test_without_the_look_the_part_is_lost(monkeypatch):
    """The data above are a case: if this fails, they no longer test anything."""
    monkeypatch.setattr(loop, "can_look", lambda problem: False)
    X, H, _ = planted(0, 4000)
    with pytest.warns(ConvergenceWarning):
        model = NMF(5, random_state=0, max_iter=60).fit(X)
    assert similarity(H, model.components_)[4] < 0.5


@pytest.mark.parametrize("how", ["sparse", "weighted", "float64"])
def test_also_where_all_rows_are_used_from_the_start(how):
    X, H, _ = planted(3, 4000)
    X = np.where(X > 0.011, X, 0) if how == "sparse" else X.astype(np.float64)
    weights = np.linspace(0.5, 1.5, len(X)) if how == "weighted" else None
    data = sparse.csr_array(X) if how == "sparse" else X
    model = NMF(5, random_state=3).fit(data, sample_weight=weights)
    assert similarity(H, model.components_).min() > 0.99
    losses = model.history_["loss"]
    assert np.all(np.diff(losses) <= 1e-7 * losses[0])


def test_a_component_is_given_up_only_for_a_lower_loss(monkeypatch):
    """On data without structure the look may find nothing better; it must not make anything worse."""
    seen = []

    def watched(problem, solver, state, loss, pool):
        changed = missed.recover(problem, solver, state, loss, pool)
        seen.append(changed)
        return changed

    monkeypatch.setattr(loop, "recover", watched)
    monkeypatch.setattr(missed, "_spared", lambda G, squares: np.zeros(len(G)))  # everything can be spared
    X = np.random.default_rng(0).random((300, 60))
    looked = NMF(6, random_state=0, tol=1e-6).fit(X)
    assert seen
    assert np.all(np.diff(looked.history_["loss"]) <= 1e-12 * looked.history_["loss"][0])
    monkeypatch.setattr(loop, "can_look", lambda problem: False)
    plain = NMF(6, random_state=0, tol=1e-6).fit(X)
    assert looked.reconstruction_err_ <= plain.reconstruction_err_ * (1 + 1e-9)


def test_frozen_components_are_not_given_up():
    X, _, _ = planted(4, 4000)
    start = np.random.default_rng(0).random((5, 40)).astype(np.float32)
    model = NMF(5, frozen=[0, 1, 2, 3], random_state=0).fit(X, H_init=start)
    assert np.array_equal(model.components_[:4], start[:4])


@pytest.mark.parametrize("k", [3, 7])
def test_worth_of_a_component_is_the_cost_of_refitting_without_it(k):
    rng = np.random.default_rng(k)
    W, H = rng.random((50, k)), rng.random((k, 20))
    X = W @ H
    for j, worth in enumerate(missed._spared(H @ H.T, (W**2).sum(axis=0))):
        others = np.delete(H, j, axis=0)
        refitted = X - X @ np.linalg.pinv(others) @ others
        np.testing.assert_allclose(worth, np.sum(refitted**2), rtol=1e-6)


def test_the_progressive_start_gives_the_same_bits_on_two_threads(threads, sampled):
    X, _, _ = planted(5, 40_000)
    found = []
    for count in (1, 2):
        with threads(count):
            found.append(NMF(5, random_state=0, max_iter=100, tol=1e-3).fit(X).components_)
    assert len(sampled) == 2
    assert np.array_equal(*found)
