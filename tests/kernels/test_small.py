"""The compiled loop for small problems against the same iteration written with numpy and the general kernels."""

from __future__ import annotations

import numpy as np
import pytest

from nonneg.kernels import hals
from nonneg.kernels.small import fit_small


def problem(n=150, m=40, k=5, dtype=np.float64, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    X = rng.random((n, k)) @ rng.random((k, m)) + noise * rng.random((n, m))
    return X.astype(dtype), rng.random((n, k)).astype(dtype), rng.random((k, m)).astype(dtype)


def run(X, W, H, max_iter, tol=0.0, frozen=None, carry=None, cancels=1e-12):
    W, H = W.copy(), H.copy()
    sizes = np.einsum("ij,ij->j", W, W, dtype=np.float64)
    start = (H.copy(), sizes, np.array([0.7, 1.0, np.inf, 0.0, 0.0]))
    push, sizes, scalars = start if carry is None else carry
    history = np.full((max_iter, 3), np.nan)
    frozen = np.zeros(len(H), bool) if frozen is None else frozen
    squares = float(np.vdot(X, X))
    done, status = fit_small(
        X, W, H, push, sizes, scalars, squares, frozen, float(X.mean()) or 1.0, cancels, max_iter, tol, 8, history
    )  # fmt: skip
    return W, H, history[:done], status, (push, sizes, scalars)


@pytest.mark.parametrize(("n", "m", "k"), [(150, 40, 5), (64, 128, 4), (3, 2, 1), (130, 7, 11)])
def test_iterations_are_those_of_the_general_loop(n, m, k):
    X, W, H = problem(n, m, k)
    found_W, found_H, history, _, _ = run(X, W, H, 6)
    accepted, push, momentum, ceiling, best = H.copy(), H.copy(), 0.7, 1.0, np.inf
    for done in range(6):
        for plain in (False, True):
            new_W, new_H = W.copy(), push.copy()
            hals.sweep_rows(new_W, push @ push.T, X @ push.T, 0.0, np.inf, 8)
            A, B = new_W.T @ new_W, new_W.T @ X
            hals.sweep_columns(new_H, A, B, 0.0, np.inf, 8)
            loss = 0.5 * ((X - new_W @ new_H) ** 2).sum()
            if loss <= best or plain:
                break
            ceiling, momentum, push = momentum, momentum / 2, accepted.copy()
        sizes, lengths = np.linalg.norm(W, axis=0), np.linalg.norm(push, axis=1)
        usable = (sizes > 0) & (lengths > 0)
        d = np.where(usable, np.sqrt(X.mean() * lengths / np.where(usable, sizes, 1)), 1)
        of_W, of_H = (new_W @ (push @ push.T) - X @ push.T) / d, (A @ push - B) / (X.mean() / d)[:, None]
        violation = max(
            np.abs(np.minimum(new_W * d, of_W)).max(),
            np.abs(np.minimum(push * (X.mean() / d)[:, None], of_H)).max(),
        )
        scale = max((X @ push.T / d).max(), (B / (X.mean() / d)[:, None]).max())
        assert history[done, 0] == pytest.approx(loss, rel=1e-9, abs=1e-13 * (X**2).sum())
        assert history[done, 1] == pytest.approx(violation / scale, rel=1e-6)
        assert history[done, 2] == pytest.approx(np.linalg.norm(new_W - W) / np.linalg.norm(new_W), rel=1e-6)
        push = np.maximum(new_H + (momentum if best < np.inf else 0.0) * (new_H - accepted), 0)
        ceiling = min(1.0, 1.01 * ceiling)
        momentum = min(ceiling, 1.1 * momentum)
        W, accepted, best = new_W, new_H, loss
    np.testing.assert_allclose(found_W, W, atol=1e-9)
    np.testing.assert_allclose(found_H, accepted, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_monotone_and_stationary(dtype):
    X, W, H = problem(dtype=dtype)
    W, H, history, status, _ = run(X, W, H, 500, tol=1e-4)
    assert W.dtype == H.dtype == dtype
    assert status == 1
    assert history[-1, 1] <= 1e-4
    rounding = 1e-5 if dtype == np.float32 else 1e-12  # where it changes over to losses from the residual
    assert np.all(np.diff(history[:, 0]) <= rounding * history[-1, 0])
    assert history[-1, 0] == pytest.approx(
        0.5 * ((X - W @ H) ** 2).sum(), rel=1e-4 if dtype == np.float32 else 1e-9
    )


def test_two_calls_are_one():
    X, W, H = problem()
    W1, H1, all_at_once, _, _ = run(X, W, H, 30)
    W2, H2, first, _, carry = run(X, W, H, 12)
    W2, H2, second, _, _ = run(X, W2, H2, 18, carry=carry)
    np.testing.assert_allclose(np.vstack([first, second]), all_at_once, rtol=1e-12)
    np.testing.assert_array_equal(W1, W2)
    np.testing.assert_array_equal(H1, H2)


def test_frozen_rows_keep_every_bit():
    X, W, H = problem()
    frozen = np.array([True, False, False, True, False])
    H[0, :3] = -0.0
    _, after, history, _, (push, _, _) = run(X, W, H, 20, frozen=frozen)
    assert after[frozen].tobytes() == H[frozen].tobytes() == push[frozen].tobytes()
    assert not np.array_equal(after[~frozen], H[~frozen])
    assert np.all(np.diff(history[:, 0]) <= 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_data_are_fitted_below_cancellation(dtype):
    X, W, H = problem(60, 20, 2, dtype, noise=0.0)
    cancels = 1e-4 if dtype == np.float32 else 1e-10
    W, H, history, _, _ = run(X, W, H, 400, cancels=cancels)
    residual = 0.5 * ((X.astype(float) - W.astype(float) @ H) ** 2).sum()
    assert history[-1, 0] == pytest.approx(residual, rel=1e-6)
    assert residual < 100 * np.finfo(dtype).eps * (X**2).sum()


def test_zero_data_and_dead_components_stay_finite():
    W, H, history, _, _ = run(np.zeros((5, 4)), np.ones((5, 2)), np.ones((2, 4)), 5)
    assert np.isfinite(W).all() and np.isfinite(H).all() and np.isfinite(history).all()
    X, W, H = problem()
    W[:, 1], H[1] = 0, 0
    W, H, history, _, _ = run(X, W, H, 20)
    assert np.isfinite(W).all() and np.isfinite(H).all() and np.isfinite(history).all()
