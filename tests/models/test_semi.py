"""Semi-NMF: between the SVD and convex NMF, and honest about the SVD."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from sklearn.datasets import load_digits

from nonneg import SemiNMF
from nonneg.solvers.halfspace import half_space, nonnegative_basis

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")


def svd_error(X, k, weights=None):
    sigma = np.linalg.svd(X if weights is None else X * np.sqrt(weights)[:, None], compute_uv=False)
    return np.sqrt((sigma[k:] ** 2).sum())


def mixed(n=80, m=12, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m))


def error(model, X):
    return np.linalg.norm(X - model.transform(X) @ model.components_)


def reference(X, k, seed, iterations=1000):
    """Ding, Li and Jordan's multiplicative updates (eqs. 10 and 11)."""
    W = np.random.default_rng(seed).random((len(X), k)) + 0.2
    for _ in range(iterations):
        H = np.linalg.pinv(W.T @ W) @ W.T @ X
        P, G = X @ H.T, H @ H.T
        up = np.maximum(P, 0) + W @ np.maximum(-G, 0)
        down = np.maximum(-P, 0) + W @ np.maximum(G, 0)
        W = W * np.sqrt(up / np.maximum(down, 1e-12))
    return np.linalg.norm(X - W @ (np.linalg.pinv(W.T @ W) @ W.T @ X))


def test_not_below_the_svd_and_says_that_it_is_above():
    X = mixed()
    model = SemiNMF(4, random_state=0, max_iter=3000, tol=1e-6).fit(X)
    assert not model.attains_svd_
    assert model.svd_error_ == pytest.approx(svd_error(X, 4), rel=2e-2)
    assert svd_error(X, 4) * 1.001 < error(model, X) < svd_error(X, 3)
    assert (model.transform(X) >= 0).all() and (model.components_ < 0).any()


def test_attains_the_svd_and_says_so():
    X = np.abs(mixed()) + 0.1
    with pytest.warns(UserWarning, match="only attains the bound of the SVD of rank 4"):
        model = SemiNMF(4, random_state=0).fit(X)
    assert model.attains_svd_
    assert error(model, X) == pytest.approx(model.svd_error_, rel=1e-9)
    assert model.svd_error_ == pytest.approx(svd_error(X, 4), rel=2e-2)


def test_more_components_than_rank_attain_it_with_any_signs():
    X = mixed() @ np.diag([1.0] * 3 + [0.0] * 9)
    with pytest.warns(UserWarning, match="only attains"):
        model = SemiNMF(4, random_state=0).fit(X)
    assert error(model, X) < 1e-8 * np.linalg.norm(X)


def test_a_poor_start_value_does_not_attain_what_could_be_attained():
    X = np.abs(mixed()) + 0.1
    with pytest.warns(UserWarning, match=r"SemiNMF: components \[1, 2, 3\] are dead"):
        model = SemiNMF(4, max_iter=1).fit(X, H_init=mixed(4, 12, seed=5))
    assert not model.attains_svd_ and model.reconstruction_err_ > 1.01 * model.svd_error_


def test_ends_at_least_as_well_as_multiplicative_updates():
    X = mixed(60, 8, seed=3)
    model = SemiNMF(3, random_state=0, n_init=3, max_iter=3000, tol=1e-6).fit(X)
    assert error(model, X) <= 1.001 * min(reference(X, 3, seed) for seed in range(3))
    assert model.restart_losses_.shape == (3,) and np.ptp(model.restart_losses_) > 0


def test_rows_are_solved_exactly_and_parts_are_least_squares():
    X = mixed(40, 4)
    model = SemiNMF(2, random_state=0, max_iter=3000, tol=1e-8).fit(X)
    W = model.transform(X)
    for row in range(0, 40, 8):
        assert W[row] == pytest.approx(nnls(model.components_.T, X[row])[0], abs=1e-8)
    assert model.components_ == pytest.approx(np.linalg.lstsq(W, X, rcond=None)[0], abs=1e-3)


def test_row_weights_are_numbers_of_rows():
    X, weights = mixed(30, 6), np.random.default_rng(1).integers(0, 4, 30)
    settings = {"random_state": 0, "max_iter": 40, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weighted = SemiNMF(3, **settings).fit(X, sample_weight=weights)
        repeated = SemiNMF(3, **settings).fit(np.repeat(X, weights, axis=0))
    assert weighted.components_ == pytest.approx(repeated.components_, abs=1e-8)
    assert weighted.svd_error_ == pytest.approx(repeated.svd_error_)


def test_sparse_data_of_any_sign():
    X = sp.random_array((200, 40), density=0.1, rng=np.random.default_rng(0), format="csr")
    X.data -= 0.5
    model = SemiNMF(5, random_state=0, max_iter=2000).fit(X)
    assert not model.attains_svd_
    assert error(model, X.toarray()) < svd_error(X.toarray(), 4) * 1.01


def test_start_values():
    X = mixed()
    full = SemiNMF(3, random_state=0, max_iter=2000, tol=1e-6).fit(X)
    for given in ({"H_init": full.components_}, {"W_init": full.transform(X)}):
        again = SemiNMF(3, max_iter=1, tol=1e-6).fit(X, **given)
        assert again.reconstruction_err_ <= full.reconstruction_err_
    with pytest.raises(ValueError, match="W_init must be finite and non-negative"):
        SemiNMF(3).fit(X, W_init=-np.ones((80, 3)))
    with pytest.raises(ValueError, match="H_init has shape"):
        SemiNMF(3).fit(X, H_init=np.ones((3, 5)))


def test_centred_digits():
    X = load_digits().data
    X = X - X.mean(axis=0)
    model = SemiNMF(10, random_state=0).fit(X)
    found = error(model, X)
    assert not model.attains_svd_ and svd_error(X, 10) < found < svd_error(X, 9)


@pytest.mark.parametrize("seed", range(5))
def test_half_space_is_the_widest(seed):
    """Against a linear program that says whether there is one, and random directions that are no better."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(seed)
    A = rng.standard_normal((30, 4)) + np.array([1.0 + seed / 4, 0, 0, 0])
    D = A / np.linalg.norm(A, axis=1)[:, None]
    found = linprog(np.zeros(4), A_ub=-D, b_ub=-np.ones(30), bounds=(None, None)).status == 0
    z = half_space(A)
    assert (z is not None) == found
    if z is None:
        z = np.zeros(4)
    tries = z + 0.05 * rng.standard_normal((2000, 4))
    tries /= np.linalg.norm(tries, axis=1)[:, None]
    assert (D @ tries.T).min(axis=0).max() <= max((D @ z).min(), 0) + 1e-12


def test_basis_is_invertible_and_leaves_nothing_negative():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((50, 5)) * 0.4 + np.array([0, 0, 1.5, 0, 0])
    Q = nonnegative_basis(A)
    assert Q is not None and (A @ Q).min() > -1e-12
    assert abs(np.linalg.det(Q)) == pytest.approx(1)
    assert nonnegative_basis(np.vstack([A, -A])) is None
    many = nonnegative_basis(np.repeat(A[::-1], 3, axis=0))
    assert many == pytest.approx(Q, abs=1e-9)
