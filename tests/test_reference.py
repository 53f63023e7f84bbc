"""The oracle, checked by finite differences, by SciPy and scikit-learn, and on values known in closed form."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import non_negative_factorization
from sklearn.decomposition._nmf import _beta_divergence

sys.path.insert(0, str(Path(__file__).parent))
import reference as ref

BETAS = [-1.5, 0, 0.5, 1, 1.5, 2, 3.5]
IRIS = load_iris().data


@pytest.fixture
def problem():
    """Positive X, W, H, and weights of which a quarter is zero."""
    rng = np.random.default_rng(0)
    X, W, H = rng.random((6, 5)) + 0.1, rng.random((6, 3)) + 0.1, rng.random((3, 5)) + 0.1
    return X, W, H, rng.random((6, 5)) * (rng.random((6, 5)) > 0.25)


# --- loss and gradients --------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
def test_divergence_is_zero_at_equality_positive_elsewhere_and_bends_at_the_right_rate(beta):
    for x in (0.01, 1.0, 30.0):
        assert ref.beta_divergence(x, x, beta) == pytest.approx(0, abs=1e-14 * max(x**beta, 1))
        assert min(ref.beta_divergence(x, c * x, beta) for c in (0.5, 0.99, 1.01, 2.0)) > 0
        # second derivative x^(β−2) at y = x: what distinguishes one β from another
        h = 1e-4 * x
        bend = (ref.beta_divergence(x, x + h, beta) + ref.beta_divergence(x, x - h, beta)) / h**2
        assert bend == pytest.approx(x ** (beta - 2), rel=1e-4)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("x", [0.3, 2.0])
@pytest.mark.parametrize("y", [0.7, 5.0])
def test_divergence_scales_and_is_continuous_in_beta(beta, x, y):
    here = ref.beta_divergence(x, y, beta)
    assert ref.beta_divergence(3 * x, 3 * y, beta) == pytest.approx(3.0**beta * here, rel=1e-12)
    assert ref.beta_divergence(x, y, beta + 1e-7) == pytest.approx(here, rel=1e-5)


@pytest.mark.parametrize(
    ("x", "y", "beta", "expected"),
    [
        (0, 3, 2, 4.5),
        (3, 0, 2, 4.5),
        (0, 3, 1, 3),
        (0, 3, 0.5, 2 * 3**0.5),
        (0, 4, 1.5, 8 / 1.5),
        (3, 0, 1, np.inf),
        (3, 0, 0.5, np.inf),
        (4, 0, 1.5, 8 / 0.75),
        (0, 3, 0, np.inf),
        (0, 3, -1, np.inf),
        (3, 0, 0, np.inf),
        (0, 0, 1, 0),
        (0, 0, 0.5, 0),
        (0, 0, 2, 0),
    ],
)
def test_divergence_at_zero(x, y, beta, expected):
    assert ref.beta_divergence(x, y, beta) == pytest.approx(expected)
    if beta > 0 and x == 0 and y > 0:
        assert ref.beta_divergence(1e-14, y, beta) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("beta", BETAS)
def test_loss_agrees_with_scikit_learn_and_with_the_fast_form(problem, beta):
    X, W, H, weights = problem
    assert ref.loss(X, W, H, beta) == pytest.approx(_beta_divergence(X, W, H, beta), rel=1e-12)
    assert ref.loss(X, W, H, beta, weights) == pytest.approx(ref.fast_loss(X, W, H, beta, weights), rel=1e-12)


def test_a_weight_is_a_repetition(problem):
    X, W, H, _ = problem
    counts = np.random.default_rng(1).integers(0, 3, size=6)
    weights = np.repeat(counts[:, None], 5, axis=1)
    times = np.repeat(np.arange(6), counts)
    for beta in BETAS:
        assert ref.loss(X, W, H, beta, weights) == pytest.approx(
            ref.loss(X[times], W[times], H, beta), rel=1e-12
        )


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_by_finite_differences(problem, beta, weighted):
    X, W, H, weights = problem
    weights = weights if weighted else None
    grad_W, grad_H = ref.gradients(X, W, H, beta, weights)
    error = check_grad(
        lambda w: ref.loss(X, w.reshape(W.shape), H, beta, weights),
        lambda w: grad_W.ravel(),
        W.ravel(),
        epsilon=1e-7,
    )
    assert error < 1e-4 * np.linalg.norm(grad_W)
    error = check_grad(
        lambda h: ref.loss(X, W, h.reshape(H.shape), beta, weights),
        lambda h: grad_H.ravel(),
        H.ravel(),
        epsilon=1e-7,
    )
    assert error < 1e-4 * np.linalg.norm(grad_H)
    for up, down in ref.gradient_halves(X, W, H, beta, weights):
        assert min(up.min(), down.min()) >= 0


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -7.0, 1e300])
def test_what_a_missing_cell_holds_is_without_influence(problem, beta, rubbish):
    X, W, H, weights = problem
    spoiled = np.where(weights > 0, X, rubbish)

    def everything(X):
        yield ref.loss(X, W, H, beta, weights)
        yield from ref.gradients(X, W, H, beta, weights)
        yield from ref.mu_step(X, W, H, beta, weights)
        yield ref.kkt_residual(X, W, H, beta, weights)
        if beta == 2:
            yield from ref.hals_step(X, W, H, weights)
            yield ref.nnls_transform(X, H, weights)

    for clean, dirty in zip(everything(X), everything(spoiled), strict=True):
        np.testing.assert_array_equal(clean, dirty)


def test_nan_is_missing_without_being_told(problem):
    X, W, H, _ = problem
    weights = np.ones_like(X)
    weights[1, 2] = 0
    spoiled = X.copy()
    spoiled[1, 2] = np.nan
    assert ref.loss(spoiled, W, H) == ref.loss(X, W, H, weights=weights)
    np.testing.assert_array_equal(ref.nnls_transform(spoiled, H), ref.nnls_transform(X, H, weights))


# --- steps ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("weighted", [False, True])
def test_multiplicative_steps_never_increase_the_loss_and_stop_where_stationary(problem, beta, weighted):
    X, W, H, weights = problem
    weights = weights if weighted else None
    losses = [ref.loss(X, W, H, beta, weights)]
    for _ in range(40):
        W = ref.mu_W(X, W, H, beta, weights)
        losses.append(ref.fast_loss(X, W, H, beta, weights))
        H = ref.mu_H(X, W, H, beta, weights)
        losses.append(ref.fast_loss(X, W, H, beta, weights))
    assert (np.diff(losses) <= 1e-12 * losses[0]).all()
    assert losses[-1] < 0.9 * losses[0]
    assert ref.kkt_residual(X, W, H, beta, weights) < ref.kkt_residual(*problem[:3], beta, weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_hals_finds_the_exact_minimum_of_each_column(problem, weighted):
    X, W, H, weights = problem
    weights = weights if weighted else None
    l1, l2 = (0.1, 0.05), (0.2, 0.3)

    def objective(W, H):
        return (
            ref.fast_loss(X, W, H, 2.0, weights)
            + l1[0] * W.sum()
            + l1[1] * H.sum()
            + 0.5 * l2[0] * (W**2).sum()
            + 0.5 * l2[1] * (H**2).sum()
        )

    values = [objective(W, H)]
    for _ in range(2000):
        W, H = ref.hals_step(X, W, H, weights, l1, l2)
        values.append(objective(W, H))
    assert (np.diff(values) <= 1e-13).all()
    grad_W, grad_H = ref.gradients(X, W, H, 2.0, weights)
    assert np.abs(np.minimum(W, grad_W + l1[0] + l2[0] * W)).max() < 1e-9
    assert np.abs(np.minimum(H, grad_H + l1[1] + l2[1] * H)).max() < 1e-9
    assert W.any()


def test_gram_form_hals_is_the_same_map_as_the_residual_form():
    X = np.random.default_rng(0).random((8, 6))
    W, H = ref.start(X, 3, seed=4)
    for _ in range(5):
        W, H = ref.hals_step(X, W, H)
    W2, H2 = ref.fit_hals(X, 3, seed=4, n_iter=5)
    np.testing.assert_allclose(W, W2, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(H, H2, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_nnls_transform_is_stationary_and_agrees_with_hals(problem, weighted):
    X, W, H, weights = problem
    weights = weights if weighted else None
    best = ref.nnls_transform(X, H, weights)
    grad, _ = ref.gradients(X, best, H, 2.0, weights)
    assert best.min() >= 0
    assert np.abs(np.minimum(best, grad)).max() < 1e-12
    for _ in range(2000):
        W, _ = ref.hals_step(X, W, H, weights)
    np.testing.assert_allclose(W, best, atol=1e-9)
    empty = np.ones_like(X)
    empty[2] = 0
    assert not ref.nnls_transform(X, H, empty)[2].any()


@pytest.mark.parametrize("beta", [1, 1.5, 2])
def test_beta_transform_is_stationary(problem, beta):
    X, _, H, weights = problem
    W = ref.beta_transform(X, H, beta, weights, 5000)
    grad, _ = ref.gradients(X, W, H, beta, weights)
    # a multiplicative update creeps towards a zero, so the product says more than the smaller one
    assert np.abs(W * grad).max() < 1e-3
    assert grad.min() > -1e-3
    if beta == 2:
        np.testing.assert_allclose(W, ref.nnls_transform(X, H, weights), atol=1e-2)


# --- KKT residual --------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0, 1, 1.5, 2])
def test_kkt_residual_does_not_depend_on_units_or_scaling(problem, beta):
    X, W, H, weights = problem
    here = ref.kkt_residual(X, W, H, beta, weights)
    assert here > 0.01
    d = np.array([1e-3, 1.0, 50.0])
    assert ref.kkt_residual(X, W * d, H / d[:, None], beta, weights) == pytest.approx(here, rel=1e-10)
    assert ref.kkt_residual(1e4 * X, W, 1e4 * H, beta, weights) == pytest.approx(here, rel=1e-10)
    assert ref.kkt_residual(X, W[:, ::-1], H[::-1], beta, weights) == pytest.approx(here, rel=1e-10)
    W, H = ref.balance(W * d, H)
    np.testing.assert_allclose(np.linalg.norm(W, axis=0), np.linalg.norm(H, axis=1), rtol=1e-12)


def test_kkt_residual_sees_a_component_that_should_grow(problem):
    X, W, H, _ = problem
    W, H = ref.fit_hals(X, 2, n_iter=3000)
    assert ref.kkt_residual(X, W, H) < 1e-10
    W[:, 0] = 0
    assert ref.kkt_residual(X, W, H) > 1e-2


# --- known values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "residual"), [(1, 0.18627136), (2, 0.04034933), (3, 0.01929804)])
def test_iris_reaches_the_svd_bound(k, residual):
    W, H = ref.fit_hals(IRIS, k, n_iter=20000, tol=1e-9)
    assert ref.svd_bound(IRIS, k) == pytest.approx(residual, abs=6e-9)
    assert ref.relative_residual(IRIS, W, H) == pytest.approx(ref.svd_bound(IRIS, k), rel=1e-7)
    assert ref.kkt_residual(IRIS, W, H) <= 1e-9
    # Frobenius stationarity
    Y = W @ H
    assert (IRIS * Y).sum() == pytest.approx((Y * Y).sum(), rel=1e-8)


def test_digits_rank_ten():
    X = load_digits().data
    assert ref.svd_bound(X, 10) == pytest.approx(0.28922, abs=5e-6)
    W, H = ref.fit_hals(X, 10, seed=3, n_iter=600)
    assert ref.relative_residual(X, W, H) == pytest.approx(0.32470, abs=5e-6)


def test_rank_one_kl_in_closed_form():
    W, H = ref.rank_one_kl(IRIS)
    assert ref.loss(IRIS, W, H, 1) == pytest.approx(72.10771799, abs=6e-9)
    assert ref.kkt_residual(IRIS, W, H, 1) < 1e-14
    # one step of either kind from anywhere is enough at k = 1
    start = ref.start(IRIS, 1)
    assert ref.fast_loss(IRIS, *ref.mu_step(IRIS, *start, 1), 1) == pytest.approx(72.10771799, abs=6e-9)


@pytest.mark.parametrize(("k", "best", "slack"), [(2, 3.08441788, 6e-9), (3, 0.66642, 6e-6)])
def test_iris_kl(k, best, slack):
    W, H = ref.fit_mu(IRIS, k, 1, seed=1, n_iter=20000)
    assert ref.loss(IRIS, W, H, 1) == pytest.approx(best, abs=slack)
    assert ref.kkt_residual(IRIS, W, H, 1) < 1e-8


def test_kl_steps_keep_the_margins_from_anywhere(problem):
    X, W, H, _ = problem
    W = ref.mu_W(X, W, H, 1)
    np.testing.assert_allclose((W @ H).sum(axis=1), X.sum(axis=1), rtol=1e-13)
    H = ref.mu_H(X, W, H, 1)
    np.testing.assert_allclose((W @ H).sum(axis=0), X.sum(axis=0), rtol=1e-13)


def test_itakura_saito_stationarity(problem):
    X = problem[0]
    W, H = ref.fit_mu(X, 2, 0, n_iter=5000)
    assert (X / (W @ H)).mean() == pytest.approx(1.0, abs=1e-6)


def test_plsi_is_the_simultaneous_kl_step_and_not_the_alternating_one(problem):
    X = problem[0] / problem[0].sum()
    rng = np.random.default_rng(5)
    p_z, p_w, p_d = rng.random(3), rng.random((3, 5)), rng.random((3, 6))
    p_z /= p_z.sum()
    p_w /= p_w.sum(axis=1, keepdims=True)
    p_d /= p_d.sum(axis=1, keepdims=True)
    root = np.sqrt(p_z)
    W, H = (p_d * root[:, None]).T, p_w * root[:, None]
    for _ in range(5):
        p_z, p_w, p_d = ref.plsi_step(X, p_z, p_w, p_d)
        # EM on (p_z p_d, p_w): the step from W = p_d p_z, H = p_w gives p_z p_d in W and, in H, p_w up to its scale
        W, H = ref.mu_step_simultaneous(X, W, H, 1)
        np.testing.assert_allclose(W / W.sum(axis=0), p_d.T, rtol=1e-12)
        np.testing.assert_allclose(H / H.sum(axis=1, keepdims=True), p_w, rtol=1e-12)
        W, H = p_d.T * p_z, p_w
    assert p_z.sum() == pytest.approx(1.0, rel=1e-14)
    _, H = ref.mu_step(X, W, H, 1)
    em = ref.plsi_step(X, p_z, p_w, p_d)[1]
    assert not np.allclose(H / H.sum(axis=1, keepdims=True), em, rtol=1e-6)


def circulant(first):
    return np.array([np.roll(first, i) for i in range(len(first))], float)


def slack_of_polygon(n):
    angles = np.pi / n + 2 * np.pi * np.arange(n) / n
    # two zeros a row, up to rounding
    return np.maximum(circulant(np.cos(np.pi / n) - np.cos(angles)), 0)


@pytest.mark.parametrize(
    ("n", "rank", "residual", "below", "exact"),
    [(5, 5, 0.115, 0, 1), (6, 5, 0.0945, 0, 0), (7, 6, 0.0479, 0, 7), (8, 6, 0.0459, 38, 33)],
)
def test_slack_of_a_polygon(n, rank, residual, below, exact):
    """`below` and `exact` are seeds from which a local search finds the best known residual and a factorization."""
    S = slack_of_polygon(n)
    assert np.linalg.matrix_rank(S) == 3
    found = ref.relative_residual(S, *ref.fit_hals(S, rank - 1, below, 3000))
    assert found == pytest.approx(residual, abs=5.1e-5 if residual < 0.1 else 5.1e-4)
    assert ref.relative_residual(S, *ref.fit_hals(S, rank, exact, 6000)) < 1e-8


def test_rank_three_but_not_non_negatively():
    X = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]], float)
    assert np.linalg.matrix_rank(X) == 3
    found = min(ref.relative_residual(X, *ref.fit_hals(X, 3, seed, 500)) for seed in range(5))
    assert found == pytest.approx(0.27060, abs=5.1e-6)


@pytest.mark.parametrize(("a", "rank"), [(1.5, 3), (2.0, 3), (3.0, 4), (3.5, 5)])
def test_nested_hexagons(a, rank):
    X = circulant([1, a, 2 * a - 1, 2 * a - 1, a, 1])
    assert np.linalg.matrix_rank(X) == 3
    assert min(ref.relative_residual(X, *ref.fit_hals(X, rank, seed, 3000)) for seed in range(6)) < 1e-8
    if rank > 3:
        assert (
            min(ref.relative_residual(X, *ref.fit_hals(X, rank - 1, seed, 1000)) for seed in range(6)) > 1e-2
        )


def test_scikit_learn_moves_the_same_way():
    X = np.random.default_rng(0).random((8, 6)) + 0.1
    W, H = ref.start(X, 3)
    for beta in (0.5, 1.0, 2.0, 3.0):
        with pytest.warns(Warning, match="Maximum number of iterations"):
            theirs = non_negative_factorization(
                X,
                W=W.copy(),
                H=H.copy(),
                init="custom",
                n_components=3,
                solver="mu",
                beta_loss=beta,
                max_iter=3,
            )[:2]
        mine = W, H
        for _ in range(3):
            mine = ref.mu_step(X, *mine, beta)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
