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


def low_rank(n=120, m=30, k=4, seed=0):
    """X = W H with W ≥ 0, and which of its cells are seen."""
    rng = np.random.default_rng(seed)
    W = rng.random((n, k)) * (rng.random((n, k)) < 0.6)
    return W @ rng.standard_normal((k, m)), rng.random((n, m)) < 0.8


@pytest.mark.parametrize("seed", range(3))
def test_missing_cells_of_planted_data_are_found_again(seed):
    X, seen = low_rank(seed=seed)
    holed = np.where(seen, X, np.nan)
    model = SemiNMF(4, missing="ignore", max_iter=2000, tol=1e-7).fit(holed)
    found = model.inverse_transform(model.transform(holed))
    assert np.linalg.norm((found - X)[~seen]) < 1e-3 * np.linalg.norm(X[~seen])
    assert np.isnan(model.svd_error_) and not model.attains_svd_


def test_with_missing_cells_rows_and_parts_are_least_squares_over_the_others():
    X, M = mixed(40, 9), np.random.default_rng(2).random((40, 9)) * (mixed(40, 9, seed=5) < 0.8)
    model = SemiNMF(3, max_iter=1000, tol=1e-6).fit(X, weights=M)
    W, root = model.transform(X, weights=M), np.sqrt(M)
    for row in range(0, 40, 5):
        expected = nnls((model.components_ * root[row]).T, root[row] * X[row])[0]
        assert W[row] == pytest.approx(expected, rel=1e-6, abs=1e-8)
    best = [np.linalg.lstsq(W * root[:, [j]], (root * X)[:, j], rcond=None)[0] for j in range(9)]
    loss = 0.5 * (M * (X - W @ model.components_) ** 2).sum()
    assert loss < (1 + 1e-3) * 0.5 * (M * (X - W @ np.stack(best, axis=1)) ** 2).sum()
    assert 0.999 < loss / (0.5 * model.reconstruction_err_**2) <= 1
    assert model.score(X, weights=M) == pytest.approx(-loss / M.sum(), rel=1e-6)


def test_ends_no_worse_than_alternating_least_squares_over_seen_cells():
    X, M = mixed(50, 10, seed=4), (mixed(50, 10, seed=6) < 0.8) * 1.0

    def alternating(seed):
        W = np.random.default_rng(seed).random((50, 3))
        for _ in range(40):
            H = np.stack([np.linalg.lstsq(W * M[:, [j]], (M * X)[:, j], rcond=None)[0] for j in range(10)]).T
            W = np.stack([nnls((H * M[i]).T, M[i] * X[i])[0] for i in range(50)])
        return (M * (X - W @ H) ** 2).sum()

    model = SemiNMF(3, n_init=5, random_state=0, max_iter=300, tol=1e-5).fit(X, weights=M)
    assert model.reconstruction_err_**2 < 1.02 * min(alternating(seed) for seed in range(3))


def test_what_stands_in_a_missing_cell_changes_no_bit():
    X, seen = low_rank()
    X += 0.1 * mixed(120, 30)
    weights, settings = seen.astype(float), {"max_iter": 20, "tol": 0, "n_init": 2, "random_state": 0}
    expected = SemiNMF(4, **settings).fit(X, weights=weights)
    codes, score = expected.transform(X, weights=weights), expected.score(X, weights=weights)
    for odd in (np.inf, -np.inf, np.nan, 1e300):
        changed = np.where(seen, X, odd)
        model = SemiNMF(4, **settings).fit(changed, weights=weights)
        assert np.array_equal(model.components_, expected.components_)
        assert np.array_equal(model.transform(changed, weights=weights), codes)
        assert model.score(changed, weights=weights) == score
    by_nan = SemiNMF(4, missing="ignore", **settings).fit(np.where(seen, X, np.nan))
    assert by_nan.components_ == pytest.approx(expected.components_, rel=1e-6, abs=1e-9)


def test_weights_of_one_are_none_and_weights_are_numbers_of_cells():
    X, settings = mixed(), {"max_iter": 40, "tol": 0}
    plain, ones = SemiNMF(4, **settings).fit(X), SemiNMF(4, **settings).fit(X, weights=np.ones(X.shape))
    assert np.array_equal(ones.components_, plain.components_) and ones.svd_error_ == plain.svd_error_
    assert np.array_equal(ones.transform(X, weights=np.ones(X.shape)), plain.transform(X))
    assert ones.score(X, weights=np.ones(X.shape)) == ones.score(X)
    M = mixed(80, 12, seed=3) < 0.8
    single, double = (SemiNMF(4, **settings).fit(X, weights=c * M) for c in (1.0, 2.0))
    assert double.reconstruction_err_ == pytest.approx(np.sqrt(2) * single.reconstruction_err_)
    assert np.isnan(single.svd_error_)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [3, 5, 8])
def test_missing_cells_are_predicted_also_with_more_components_than_the_rank(k, seed):
    rng = np.random.default_rng(seed)
    truth = rng.random((150, 3)) @ rng.standard_normal((3, 25))
    X, seen = truth + 0.02 * rng.standard_normal(truth.shape), rng.random(truth.shape) < 0.8
    model = SemiNMF(k, missing="ignore").fit(np.where(seen, X, np.nan))
    gap = (model.transform(np.where(seen, X, np.nan)) @ model.components_ - X)[~seen]
    assert np.sqrt(np.mean(gap**2)) < 0.04


def test_a_cell_of_next_to_no_weight_is_a_missing_one():
    X, M = mixed(), np.where(mixed(80, 12, seed=3) < 0.8, 1.0, 0.0)
    X[0, 0], M[0, 0] = 1e9, 0
    hidden = SemiNMF(4, max_iter=300).fit(X, weights=M)
    M[0, 0] = 1e-30
    assert SemiNMF(4, max_iter=300).fit(X, weights=M).reconstruction_err_ == pytest.approx(
        hidden.reconstruction_err_, rel=1e-2
    )


def test_loss_of_an_exact_fit_in_float32():
    W, H = mixed(200, 4, seed=1), np.random.default_rng(2).standard_normal((4, 30))
    X = (np.abs(W) @ H).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SemiNMF(4, max_iter=50).fit(X)
    gap = np.linalg.norm(X.astype(np.float64) - model.transform(X).astype(np.float64) @ model.components_)
    assert model.reconstruction_err_ < 1e-5 * np.linalg.norm(X)
    assert 0.2 * gap < model.reconstruction_err_ < 5 * gap


def test_row_weights_are_numbers_of_rows_with_missing_cells():
    X = np.where(mixed(30, 8, seed=7) < 0.9, mixed(30, 8), np.nan)
    counts = np.random.default_rng(1).integers(0, 4, 30)
    settings = {"missing": "ignore", "max_iter": 30, "tol": 0.0}
    weighted = SemiNMF(3, **settings).fit(X, sample_weight=counts)
    repeated = SemiNMF(3, **settings).fit(np.repeat(X, counts, axis=0))
    assert weighted.components_ == pytest.approx(repeated.components_, rel=1e-6, abs=1e-8)


def test_kinds_of_data_with_missing_cells_agree():
    X = sp.random_array((150, 20), density=0.4, rng=np.random.default_rng(0), format="csr")
    X.data -= 0.3
    settings, dense = {"max_iter": 20, "tol": 0}, X.toarray()
    seen = np.random.default_rng(1).random(X.shape) < 0.8
    expected = SemiNMF(3, **settings).fit(dense, weights=seen.astype(float))
    holed = sp.csr_array(np.where(seen, dense, np.nan))
    for given, options, weights in [
        (X, {}, seen.astype(float)),
        (holed, {"missing": "ignore"}, None),
        (holed.toarray().astype(np.float32), {"missing": "ignore"}, None),
    ]:
        found = SemiNMF(3, **options, **settings).fit(given, weights=weights)
        error = 1e-3 if given.dtype == np.float32 else 1e-7
        assert found.reconstruction_err_ == pytest.approx(expected.reconstruction_err_, rel=error)
    stored = SemiNMF(3, missing="unstored", **settings).fit(X)
    by_weight = SemiNMF(3, **settings).fit(X, weights=(X != 0).astype(float))
    assert np.array_equal(stored.components_, by_weight.components_)
    loss = stored.history_["loss"]
    assert (np.diff(loss) <= 1e-9 * loss[:-1]).all() and loss[-1] < 0.9 * loss[0]


def test_rows_and_columns_without_an_observed_cell():
    X, M = mixed(), np.ones((80, 12))
    M[7], M[:, 3] = 0, 0
    with pytest.warns(UserWarning, match="no observed cell in column 3.* row 7"):
        model = SemiNMF(3, max_iter=50).fit(X, weights=M)
    H = model.components_
    assert H[:, 3] == pytest.approx(np.delete(H, 3, axis=1).mean(axis=1))
    assert model.transform(2.0**80 * X, weights=M)[7] == pytest.approx(1 / 3)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_frozen_parts_stay_bit_for_bit(masked, dtype):
    for scale in (1.0, 2.0**60, 2.0**-60):
        X, H = (scale * mixed()).astype(dtype), (scale * mixed(4, 12, seed=5)).astype(dtype)
        weights = (mixed(80, 12, seed=8) < 0.8).astype(float) if masked else None
        model = SemiNMF(4, frozen=[2, 0], max_iter=30, tol=0).fit(X, H_init=H, weights=weights)
        assert np.array_equal(model.components_[[0, 2]], H[[0, 2]])
        assert not np.isclose(model.components_[[1, 3]], H[[1, 3]], rtol=1e-3, atol=0).all(axis=1).any()
        loss = model.history_["loss"]
        assert loss[-1] < 0.99 * loss[0] and (np.diff(loss) <= 1e-6 * loss[:-1]).all()
    whole = SemiNMF(4, frozen=range(4), tol=1e-3).fit(X, H_init=H, weights=weights)
    assert np.array_equal(whole.components_, H)


@pytest.mark.parametrize(("dtype", "c", "h"), [(np.float32, 1e30, 1e-20), (np.float64, 1e300, 1e-10)])
def test_frozen_parts_far_below_x_keep_their_bits(dtype, c, h):
    X, H = (c * mixed()).astype(dtype), (h * mixed(4, 12, seed=5)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SemiNMF(4, frozen=[1], max_iter=10).fit(X, H_init=H)
    assert np.array_equal(model.components_[1], H[1]) and np.isfinite(model.components_).all()


def test_start_values_far_above_x_are_refused():
    for weights in (None, np.where(mixed() < 0.5, 1.0, 0.0)):
        with pytest.raises(ValueError, match=r"H_init reaches 1e\+300, too far above X"):
            SemiNMF(4).fit(mixed(), H_init=np.full((4, 12), 1e300), weights=weights)
    assert np.isfinite(SemiNMF(4).fit(1e299 * mixed(), H_init=1e300 * mixed(4, 12, seed=5)).components_).all()


def test_free_parts_are_least_squares_beside_frozen_ones():
    X, H = mixed(), mixed(3, 12, seed=5)
    for weights in (None, np.ones(X.shape)):
        model = SemiNMF(3, frozen=[1], max_iter=500, tol=1e-6).fit(X, H_init=H, weights=weights)
        W = model.transform(X)
        rest = X - np.outer(W[:, 1], H[1])
        best = np.linalg.norm(rest - W[:, [0, 2]] @ np.linalg.lstsq(W[:, [0, 2]], rest, rcond=None)[0])
        assert best <= error(model, X) < (1 + 1e-4) * best
    with pytest.raises(ValueError, match="frozen= needs H_init"):
        SemiNMF(3, frozen=[1]).fit(X)
    with pytest.raises(ValueError, match=r"frozen=\[3\] must hold component indices"):
        SemiNMF(3, frozen=[3]).fit(X, H_init=H)


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
