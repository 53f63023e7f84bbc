"""Deep semi-NMF: two stages that fall, the bound of the narrowest layer, codes on every layer."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls
from sklearn.datasets import load_digits

from nonneg import DeepSemiNMF, SemiNMF
from nonneg.metrics import clustering_accuracy
from nonneg.solvers.semi_stack import fitted_layers
from nonneg.solvers.stack import above, balanced, product

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")


def mixed(n=80, m=12, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m))


def svd_error(X, rank):
    return np.sqrt((np.linalg.svd(X, compute_uv=False)[rank:] ** 2).sum())


def error(model, X):
    return np.linalg.norm(X - model.transform(X) @ model.components_)


@pytest.mark.parametrize(
    ("k", "layers", "narrowest"), [(4, None, 4), (4, (8, 6), 4), (8, (4,), 4), (6, (9, 3), 3)]
)
def test_never_better_than_its_narrowest_layer_allows(k, layers, narrowest):
    X = mixed()
    model = DeepSemiNMF(k, layers=layers, random_state=0, max_iter=200).fit(X)
    bound = svd_error(X, narrowest)
    assert model.svd_error_ == pytest.approx(bound, rel=1e-9)
    assert bound * (1 - 1e-12) <= error(model, X) < svd_error(X, narrowest - 1)
    assert np.linalg.matrix_rank(model.components_, tol=1e-8) == narrowest


def test_float32_comes_as_near_to_its_bound_as_float64():
    X = load_digits().data[:600]  # 0 to 16, of which little is left
    bound = svd_error(X, 10)
    for data in (X.astype(np.uint8), X.astype(np.float32), X):
        model = DeepSemiNMF(10, layers=(40,), random_state=0).fit(data)
        found = error(model, X)
        assert bound * (1 - 1e-9) <= found < bound * (1 + 3e-5)
        assert model.reconstruction_err_ == pytest.approx(found, rel=1e-6)
        assert model.svd_error_ == pytest.approx(bound, rel=1e-6)
    low = mixed(200, 4) @ mixed(4, 30)
    model = DeepSemiNMF(5, layers=(12,), random_state=0).fit(low.astype(np.float32))
    assert error(model, low) < 1e-5 * np.linalg.norm(low) and model.svd_error_ < 1e-5 * np.linalg.norm(low)


def test_little_beside_the_parts_is_measured_in_float32():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X = rng.random((60, 3)) @ rng.random((3, 10)) + 1e-4 * rng.standard_normal((60, 10))
        model = DeepSemiNMF(3, layers=(6,), random_state=0).fit(X.astype(np.float32))
        assert model.svd_error_ == pytest.approx(svd_error(X, 3), rel=1e-3)
        assert model.svd_error_ <= model.reconstruction_err_
        assert model.reconstruction_err_ == pytest.approx(error(model, X), rel=0.1)  # W of transform is exact


def test_the_loss_falls_at_every_stage():
    X = mixed()
    model = DeepSemiNMF(4, layers=(8, 6), random_state=0, max_iter=200).fit(X)
    assert [len(losses) > 0 for losses in model.pretraining_losses_] == [True] * 3
    for losses in model.pretraining_losses_:
        assert (np.diff(losses) <= 1e-12).all() and 0 < losses[-1] < 1
    assert model.pretraining_losses_[0][-1] < 0.9 * model.pretraining_losses_[0][0]
    tuned = model.history_["loss"]
    assert tuned[0] < 0.5 * model.pretraining_err_**2
    assert (np.diff(tuned) <= 0).all()
    assert error(model, X) < 0.9 * model.pretraining_err_


def test_before_fine_tuning_the_stack_is_what_pretraining_left():
    X = mixed()
    model = DeepSemiNMF(4, layers=(8,), random_state=0, pretrain_iter=40, max_iter=1).fit(X)
    first = DeepSemiNMF(8, layers=(), random_state=0, pretrain_iter=40, max_iter=1, tol=0).fit(X)
    # a stack of one layer is pretrained to the same first layer, and fine-tuned once more
    share = 2 * first.history_["loss"][0] / (X**2).sum()
    assert share <= model.pretraining_losses_[0][-1] * (1 + 1e-9)
    assert share == pytest.approx(model.pretraining_losses_[0][-1], rel=1e-2)


def test_as_good_as_one_layer_and_no_better():
    X = mixed()
    deep = DeepSemiNMF(4, layers=(8,), random_state=0, n_init=2, max_iter=300).fit(X)
    flat = SemiNMF(4, random_state=0, n_init=2, max_iter=300).fit(X)
    assert error(deep, X) == pytest.approx(error(flat, X), rel=5e-3)


def test_codes_of_every_layer_are_least_squares():
    X = mixed()
    model = DeepSemiNMF(4, layers=(8, 6), random_state=0, max_iter=50).fit(X)
    codes = model.transform_layers(X[:7])
    assert [W.shape for W in codes] == [(7, 8), (7, 6), (7, 4)]
    for level, W in enumerate(codes, 1):
        M = product(model.layers_[:level])
        expected = np.array([nnls(M.T, row)[0] for row in X[:7]])
        np.testing.assert_allclose(W, expected, atol=1e-8 * expected.max())
    np.testing.assert_array_equal(codes[-1], model.transform(X[:7]))
    np.testing.assert_allclose(product(model.layers_), model.components_, rtol=1e-12)


def test_wide_layers_keep_more_of_the_data_than_the_code():
    X = mixed()
    model = DeepSemiNMF(3, layers=(9,), random_state=0, max_iter=100).fit(X)
    first, last = model.transform_layers(X)
    assert np.linalg.matrix_rank(model.layers_[0]) == 9  # a pseudo-inverse would have left 3
    wide = np.linalg.norm(X - first @ model.layers_[0])
    assert wide < 0.7 * np.linalg.norm(X - last @ model.components_)


@pytest.mark.parametrize("widths", [(7, 5), (3, 5), (6, 2, 4)])
def test_layers_are_solved_for_exactly(widths):
    rng = np.random.default_rng(1)
    sizes = [9, *widths]
    layers = [rng.standard_normal(shape) for shape in zip(sizes[1:], sizes, strict=False)]
    X, W = rng.standard_normal((30, 9)), rng.random((30, widths[-1]))
    found, residual = fitted_layers(layers, W.T @ W, W.T @ X)
    loss = np.linalg.norm(X - W @ product(layers))
    for level in reversed(range(len(layers))):  # one after the other, by least squares on all its entries
        N, B = above(layers)[level], product([np.eye(9), *layers[:level]])
        A = np.kron(W @ N, B.T)
        gap = (X - W @ product(layers)).ravel()
        layers[level] = layers[level] + np.linalg.lstsq(A, gap, rcond=None)[0].reshape(layers[level].shape)
        np.testing.assert_allclose(found[level], layers[level], atol=1e-8)
        now = np.linalg.norm(X - W @ product(layers))
        assert now <= loss * (1 + 1e-12)
        loss = now
    slopes = []
    for N, level in zip(above(found), range(len(found)), strict=True):
        B = product([np.eye(9), *found[:level]])
        slope, size = (N.T @ W.T @ V @ B.T for V in (X - W @ product(found), X))
        slopes.append(np.abs(slope).max() / np.abs(size).max())
    assert residual == pytest.approx(max(slopes), rel=1e-6, abs=1e-12)


def test_scaling_between_layers_changes_no_product():
    rng = np.random.default_rng(2)
    layers = [rng.standard_normal(shape) for shape in ((7, 9), (5, 7), (3, 5))]
    same = balanced(layers, 2.0, last=False)
    np.testing.assert_allclose(product(same), product(layers), rtol=1e-12)
    for level in (1, 2):
        np.testing.assert_allclose(np.linalg.norm(product(same[:level]), axis=1), 2.0)
    np.testing.assert_allclose(np.linalg.norm(product(balanced(layers, 2.0, last=True)), axis=1), 2.0)


def test_codes_are_clusters_of_rows():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(5), 30)
    X = rng.standard_normal((5, 20))[labels] + 0.3 * rng.standard_normal((150, 20))
    model = DeepSemiNMF(5, layers=(10,), random_state=0, max_iter=100).fit(X)
    found = model.memberships(X).argmax(axis=1)
    assert clustering_accuracy(labels, found) >= 0.95


def test_units():
    X = mixed()
    model, other = (DeepSemiNMF(4, layers=(8,), random_state=0, max_iter=50) for _ in range(2))
    W, V = model.fit_transform(X), other.fit_transform(X * 2.0**600)
    np.testing.assert_allclose(W, V, rtol=1e-12)
    np.testing.assert_allclose(other.components_ / 2.0**600, model.components_, rtol=1e-12)
    assert other.svd_error_ == pytest.approx(model.svd_error_ * 2.0**600)
    sizes = np.linalg.norm(model.components_, axis=1)
    assert sizes == pytest.approx(np.sqrt((X**2).sum() / len(X)))  # those of the rows of X


def test_sparse_data_stay_sparse():
    import tracemalloc

    X = sp.random_array((4000, 5000), density=2e-3, rng=np.random.default_rng(0), format="csr")
    model = DeepSemiNMF(3, layers=(6,), random_state=0, pretrain_iter=3, max_iter=3)
    model.fit(X[:50])  # what is compiled is not counted
    tracemalloc.start()
    model.fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.shape[0] * X.shape[1] * 8 / 8
    assert model.transform(X).shape == (4000, 3)


@pytest.mark.parametrize("layers", [100, "8", ((8, 6),), (8, 0), (8, 2.5), (8, True)])
def test_widths_that_are_none_are_named(layers):
    with pytest.raises((ValueError, TypeError), match="layers"):
        DeepSemiNMF(4, layers=layers).fit(mixed())


@pytest.mark.parametrize("name", ["W_init", "H_init"])
def test_start_values_are_refused(name):
    shape = {"W_init": (80, 4), "H_init": (4, 12)}[name]
    with pytest.raises(ValueError, match=f"{name} has no place in DeepSemiNMF"):
        DeepSemiNMF(4).fit(mixed(), **{name: np.ones(shape)})


def test_the_layer_that_nobody_chose():
    assert [Z.shape for Z in DeepSemiNMF(2, random_state=0, max_iter=5).fit(mixed()).layers_] == [
        (8, 12),
        (2, 8),
    ]
    assert [Z.shape for Z in DeepSemiNMF(4, random_state=0, max_iter=5).fit(mixed()).layers_] == [
        (12, 12),
        (4, 12),
    ]
