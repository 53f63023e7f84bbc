"""Non-negative tensor factorization: planted tensors, agreement with NMF, of kinds of data, of ways to say the same."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
import sparse
from scipy.optimize import linear_sum_assignment

from nonneg import NMF, NTF, JointNMF, NonnegativeTucker, load

pytestmark = pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")

LETTERS = "abcdef"


def planted(shape, k, seed=0, zeros=0.4):
    rng = np.random.default_rng(seed)
    factors = [rng.random((side, k)) * (rng.random((side, k)) > zeros) + 0.02 for side in shape]
    return outer(np.ones(k), factors), factors


def outer(weights, factors):
    ways = LETTERS[: len(factors)]
    return np.einsum("k," + ",".join(f"{w}k" for w in ways) + "->" + ways, weights, *factors)


def unfolded(X, d):
    return np.moveaxis(X, d, 0).reshape(X.shape[d], -1)


def khatri_rao(factors):
    k = factors[0].shape[1]
    return np.stack([outer(np.eye(k)[j], factors).ravel() for j in range(k)], axis=1)


def reference_residual(X, factors, beta=2, M=None):
    """max |min(F, ∇F)| over all factors, balanced, relative to max ∇⁻, from nothing but the unfoldings."""
    M, norms = np.ones_like(X) if M is None else M, np.array([np.linalg.norm(F, axis=0) for F in factors])
    factors = [F * norms.prod(axis=0) ** (1 / X.ndim) / norm for F, norm in zip(factors, norms, strict=True)]
    worst = scale = 0.0
    for d, F in enumerate(factors):
        K = khatri_rao([G for e, G in enumerate(factors) if e != d])
        x, m, y = unfolded(X, d), unfolded(M, d), F @ K.T
        negative, positive = (m * x * y ** (beta - 2)) @ K, (m * y ** (beta - 1)) @ K
        worst = max(worst, np.abs(np.minimum(F, positive - negative)).max())
        scale = max(scale, negative.max())
    return worst / scale


def fitted_factors(model):
    return [model.factors_[0] * model.weights_, *model.factors_[1:]]


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("shape", [(20, 9, 7), (8, 7, 6, 5)])
def test_planted_components_are_recovered_up_to_order_and_scale(shape, loss):
    X, factors = planted(shape, 3)
    model = NTF(3, loss=loss, n_init=3, tol=1e-7, max_iter=3000, random_state=0).fit(X)
    cosines = np.ones((3, 3))
    for F, G in zip(factors, model.factors_, strict=True):
        cosines *= (F / np.linalg.norm(F, axis=0)).T @ G
    order = linear_sum_assignment(-cosines)
    assert cosines[order].min() > 1 - 1e-6
    sizes = np.prod([np.linalg.norm(F, axis=0) for F in factors], axis=0)
    assert model.weights_[order[1]] == pytest.approx(sizes[order[0]], rel=1e-3)
    assert np.abs(outer(model.weights_, model.factors_) - X).max() < 1e-3 * X.max()


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_two_ways_are_nmf(loss):
    rng = np.random.default_rng(1)
    X, H = rng.gamma(1.0, size=(30, 12)), rng.random((4, 12))
    tensor = NTF(4, loss=loss, tol=1e-6, max_iter=5000).fit(X, H_init=H)
    matrix = NMF(4, loss=loss, tol=1e-6, max_iter=5000).fit(X, H_init=H)
    assert tensor.converged_ and matrix.converged_
    assert tensor.reconstruction_err_ == pytest.approx(matrix.reconstruction_err_, rel=1e-5)
    # stationary for NMF: it cannot lower the loss of the factors found here
    beta = 2 if loss == "frobenius" else 1
    assert reference_residual(X, fitted_factors(tensor), beta) < 1e-5
    W = tensor.transform(X)
    again = NMF(4, loss=loss, tol=1e-6, max_iter=200).fit(X, W_init=W, H_init=tensor.components_)
    assert again.reconstruction_err_ == pytest.approx(tensor.reconstruction_err_, rel=1e-6)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_residual_is_that_of_the_unfoldings(loss, masked):
    rng = np.random.default_rng(2)
    X = planted((10, 6, 5), 2)[0] + 0.2 * rng.random((10, 6, 5))
    M = rng.random(X.shape) * (rng.random(X.shape) < 0.7) if masked else None
    model = NTF(2, loss=loss, tol=1e-6, max_iter=5000, random_state=0).fit(X, weights=M)
    assert model.converged_
    assert reference_residual(X, fitted_factors(model), 2 if loss == "frobenius" else 1, M) < 1e-5
    shaken = [F * (1 + 0.05 * rng.random(F.shape)) for F in fitted_factors(model)]
    assert reference_residual(X, shaken, 2 if loss == "frobenius" else 1, M) > 1e-3


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_is_dense(loss, weighted):
    rng = np.random.default_rng(3)
    X = planted((14, 6, 5, 4), 3)[0]
    X *= np.quantile(X, 0.7) < X
    rows = rng.integers(0, 3, 14) if weighted else None
    fit = {"loss": loss, "random_state": 0, "tol": 1e-5, "max_iter": 2000}
    dense = NTF(3, **fit).fit(X, sample_weight=rows)
    coo = NTF(3, **fit).fit(sparse.COO.from_numpy(X), sample_weight=rows)
    assert coo.reconstruction_err_ == pytest.approx(dense.reconstruction_err_, rel=1e-6)
    assert coo.score(sparse.COO.from_numpy(X)) == pytest.approx(coo.score(X), rel=1e-6)
    found, expected = coo.transform(sparse.COO.from_numpy(X)), coo.transform(X)
    assert np.abs(found - expected).max() < 1e-6 * expected.max()


def test_a_huge_sparse_tensor_stays_sparse():
    rng = np.random.default_rng(4)
    shape, nnz = (300, 200_000, 100_000), 4000  # 48 terabytes, were it dense
    cells = np.stack([rng.integers(0, side, nnz) for side in shape])
    X = sparse.COO(cells, rng.integers(1, 5, nnz).astype(float), shape)
    new = sparse.COO(cells[:, cells[0] < 5], np.ones((cells[0] < 5).sum()), (5, *shape[1:]))
    for loss in ("frobenius", "kl"):
        model = NTF(2, loss=loss, max_iter=2, tol=1e3, random_state=0).fit(X)
        assert [F.shape for F in model.factors_] == [(side, 2) for side in shape]
        assert model.transform(new).shape == (5, 2) and np.isfinite(model.reconstruction_err_)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_ways_to_say_that_cells_are_missing(loss):
    X = planted((12, 6, 5), 2)[0]
    seen = np.random.default_rng(5).random(X.shape) < 0.6
    fit = {"loss": loss, "random_state": 0, "tol": 1e-6, "max_iter": 3000}
    by_weight = NTF(2, **fit).fit(np.where(seen, X, 1e9), weights=seen.astype(float))
    by_nan = NTF(2, missing="ignore", **fit).fit(np.where(seen, X, np.nan))
    stored = sparse.COO.from_numpy(np.where(seen, X, 0))
    unstored = NTF(2, missing="unstored", **fit).fit(stored)
    by_pattern = NTF(2, **fit).fit(stored, weights=sparse.COO.from_numpy(seen.astype(float)))
    for model in (by_weight, by_nan, unstored, by_pattern):
        hidden = outer(model.weights_, model.factors_) - X  # also where nothing was seen
        assert np.abs(hidden).max() < 1e-3 * X.max()
        assert model.components_ == pytest.approx(by_weight.components_, rel=1e-5)
    codes = by_nan.transform(np.where(seen, X, np.nan)[:4])
    assert codes == pytest.approx(by_weight.transform(X[:4], weights=seen[:4].astype(float)), rel=1e-5)


@pytest.mark.parametrize("make", [NTF, NonnegativeTucker])
def test_nan_beside_unstored_zeros_is_refused(make):
    X = planted((12, 6, 5), 2)[0] * (np.random.default_rng(1).random((6, 5)) < 0.6)
    X[np.unravel_index(X.argmax(), X.shape)] = np.nan
    holed, whole = sparse.COO.from_numpy(X), sparse.COO.from_numpy(np.nan_to_num(X))
    fit = {"random_state": 0, "max_iter": 20, "missing": "ignore"}
    with pytest.raises(ValueError, match=r"fit: X is a sparse tensor with NaN.*missing='unstored'"):
        make(2, **fit).fit(holed)
    model = make(2, **fit).fit(
        whole, sample_weight=np.arange(12) % 3
    )  # nothing is missing: as without `missing`
    plain = make(2, random_state=0, max_iter=20).fit(whole, sample_weight=np.arange(12) % 3)
    assert np.array_equal(model.components_, plain.components_)
    with pytest.raises(ValueError, match="transform: X is a sparse tensor with NaN"):
        model.transform(holed)
    assert np.isfinite(model.set_params(missing="unstored").fit(holed).components_).all()


def holed_tensor(way):
    """A planted tensor, what is observed of it (a slice along ``way`` and a sample are not), and weights of samples."""
    X = planted((14, 6, 5), 2, zeros=0)[0]
    seen = np.random.default_rng(2).random(X.shape) < 0.9
    seen[3] = False
    np.moveaxis(seen, way, 0)[2] = False
    return X, seen


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("kind", ["dense", "weights", "sparse"])
@pytest.mark.parametrize("way", [1, 2])
def test_slices_that_nobody_observed(way, kind, loss):
    X, seen = holed_tensor(way)
    rows = np.ones(14)
    if kind == "weights":  # the slice is seen in a sample that does not count
        np.moveaxis(seen, way, 0)[2][7], rows[7] = True, 0
    model = NTF(2, loss=loss, random_state=1, tol=1e-6, max_iter=2000, missing="ignore")
    data, given = np.where(seen, X, np.nan), {}
    if kind == "weights":
        data, given = X, {"weights": seen.astype(float)}
    elif kind == "sparse":
        data, model = sparse.COO.from_numpy(np.where(seen, X, 0)), model.set_params(missing="unstored")
    with pytest.warns(
        UserWarning, match=f"slice 2 of axis {way}: .* in row 3: W is 1 / n_components"
    ) as said:
        model.fit(data, sample_weight=rows, **given)
    assert sum("no observed cell" in str(warning.message) for warning in said) == 1
    F = model.factors_[way]
    assert F[2] == pytest.approx(np.delete(F, 2, axis=0).mean(axis=0)) and np.linalg.norm(
        F, axis=0
    ) == pytest.approx(1)
    W = model.transform(data, **given)
    assert np.array_equal(W[3], [0.5, 0.5])
    found = np.moveaxis(model.inverse_transform(W), way, 0)
    assert found[2] == pytest.approx(np.delete(found, 2, axis=0).mean(axis=0))
    kept = np.ix_(np.delete(np.arange(X.shape[way]), 2), (rows > 0) & (np.arange(14) != 3))
    assert np.abs((found - np.moveaxis(X, way, 0))[kept]).max() < 1e-2 * X.max()


@pytest.mark.parametrize("way", [1, 2])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_slices_that_nobody_observed_in_tucker(way, kind):
    X, seen = holed_tensor(way)
    model = NonnegativeTucker((2, 2, 2), random_state=1, missing="ignore")
    data = np.where(seen, X, np.nan)
    if kind == "sparse":
        data, model = sparse.COO.from_numpy(np.where(seen, X, 0)), model.set_params(missing="unstored")
    with pytest.warns(UserWarning, match=f"slice 2 of axis {way}: .* in row 3: W is 1 / n_components"):
        model.fit(data)
    W = model.transform(2.0**80 * data)
    assert np.array_equal(W[3], [0.5, 0.5])
    found = np.moveaxis(model.inverse_transform(model.transform(data)), way, 0)
    assert found[2] == pytest.approx(np.delete(found, 2, axis=0).mean(axis=0))


def test_slices_that_nobody_observed_leave_frozen_columns_alone():
    X, seen = holed_tensor(1)
    H = [np.random.default_rng(3).random((side, 2)) for side in (6, 5)]
    with pytest.warns(UserWarning, match="slice 2 of axis 1"):
        model = NTF(2, frozen=[0], max_iter=20).fit(X, weights=seen.astype(float), H_init=H)
    F = model.factors_[1]
    assert np.array_equal(F[:, 0], H[0][:, 0]) and F[2, 1] == pytest.approx(np.delete(F[:, 1], 2).mean())


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_row_of_weight_two_is_the_row_twice(loss, masked):
    rng = np.random.default_rng(6)
    X, counts = rng.gamma(1.0, size=(9, 5, 4)), rng.integers(0, 3, 9)
    M = (rng.random(X.shape) < 0.8).astype(float) if masked else np.ones(X.shape)
    M = M if masked else None
    fit = {"loss": loss, "random_state": 0, "max_iter": 30, "tol": 0}
    weighted = NTF(2, **fit).fit(X, sample_weight=counts, weights=M)
    repeated = np.repeat(np.arange(9), counts)
    twice = NTF(2, **fit).fit(X[repeated], weights=None if M is None else M[repeated])
    assert weighted.components_ == pytest.approx(twice.components_, rel=1e-6)
    assert weighted.reconstruction_err_ == pytest.approx(twice.reconstruction_err_, rel=1e-8)


def test_kinds_of_arrays(tmp_path):
    X = np.round(100 * planted((12, 6, 5), 2)[0]).astype(np.uint16)
    fit = {"random_state": 0, "max_iter": 20, "tol": 0}
    expected = NTF(2, **fit).fit_transform(X)
    assert expected.dtype == np.float32
    np.save(tmp_path / "X.npy", X)
    for kind in (
        np.asfortranarray(X),
        X[::-1][::-1],
        np.load(tmp_path / "X.npy", mmap_mode="r"),
        str(tmp_path / "X.npy"),
    ):
        assert np.array_equal(NTF(2, **fit).fit_transform(kind), expected)
    assert NTF(2, **fit).fit_transform(X.tolist()) == pytest.approx(expected, rel=1e-3)


def test_shapes_sizes_and_files(tmp_path):
    X = planted((12, 6, 5), 2)[0]
    model = NTF(2, random_state=0).fit(X)
    W = model.fit_transform(X)
    assert (
        model.components_.shape == (2, 6, 5)
        and model.parts().shape == (2, 30)
        and model.tensor_shape_ == (6, 5)
    )
    for F in model.factors_:
        assert np.linalg.norm(F, axis=0) == pytest.approx(np.ones(2))
    assert np.sqrt((model.components_**2).mean(axis=(1, 2))) == pytest.approx([X.mean()] * 2)
    assert model.inverse_transform(W) == pytest.approx(outer(model.weights_, model.factors_), rel=1e-6)
    assert model.transform(X[3:5]) == pytest.approx(W[3:5], rel=1e-8)
    model.save(tmp_path / "model.nmf")
    assert np.array_equal(load(tmp_path / "model.nmf").transform(X), W)
    scaled = NTF(2, random_state=0).fit(1e250 * X)
    assert scaled.weights_ == pytest.approx(1e250 * model.weights_, rel=1e-6)
    assert np.abs(scaled.transform(1e250 * X) - W).max() < 1e-6 * W.max()


def test_start_values_are_where_it_starts():
    X, factors = planted((12, 6, 5), 2)
    model = NTF(2, max_iter=1, tol=1e-6).fit(X, W_init=factors[0], H_init=factors[1:])
    assert model.n_iter_ == 1 and model.converged_
    tiny = [1e-200 * factors[1], factors[2]]
    assert NTF(2, max_iter=1, tol=1e-6).fit(1e-200 * X, W_init=factors[0], H_init=tiny).converged_


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
@pytest.mark.parametrize("kind", ["dense", "sparse", "masked"])
def test_frozen_columns_stay_bit_for_bit(loss, kind):
    X, factors = planted((14, 8, 6), 3, seed=1)
    rng = np.random.default_rng(7)
    seen = (rng.random(X.shape) < 0.8).astype(float) if kind == "masked" else None
    data = sparse.COO.from_numpy(X) if kind == "sparse" else X
    H = [rng.random(F.shape) for F in factors[1:]]
    for F, G in zip(H, factors[1:], strict=True):
        F[:, [0, 2]] = 3 * G[:, [0, 2]]  # known, at a size of their own
    model = NTF(3, loss=loss, frozen=[0, 2], tol=1e-8, max_iter=3000).fit(data, weights=seen, H_init=H)
    for F, G in zip(model.factors_[1:], H, strict=True):
        assert np.array_equal(F[:, [0, 2]], G[:, [0, 2]]) and np.linalg.norm(F[:, 1]) == pytest.approx(1)
    known = np.einsum("jk,lk->kjl", *H)[[0, 2]]
    assert model.components_[[0, 2]] == pytest.approx(known, rel=1e-12)
    assert (np.diff(model.history_["loss"]) <= 1e-9 * model.history_["loss"][0]).all() and model.converged_
    assert np.abs(outer(model.weights_, model.factors_) - X).max() < 1e-3 * X.max()
    W = model.transform(X)
    assert model.inverse_transform(W) == pytest.approx(X, abs=1e-3 * X.max())
    assert model.score(X) > -1e-6


def test_frozen_columns_of_any_size_and_all_of_them(tmp_path):
    X, factors = planted((12, 6, 5), 2)
    fits = []
    for size in (1e-250, 1.0, 1e250):
        H = [size * factors[1], factors[2]]
        fits.append(NTF(2, frozen=[0, 1], max_iter=50, tol=1e-6).fit(size * X, H_init=H))
        assert all(np.array_equal(F, G) for F, G in zip(fits[-1].factors_[1:], H, strict=True))
        assert fits[-1].transform(size * X) == pytest.approx(factors[0], rel=1e-4, abs=1e-6)
    for dtype, c, h in ((np.float32, 1e30, 1e-20), (np.float64, 1e300, 1e-10)):
        H = [(h * factors[1]).astype(dtype), factors[2].astype(dtype)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are dead beside X
            far = NTF(2, frozen=[0, 1], max_iter=5, tol=1e-6).fit((c * X).astype(dtype), H_init=H)
        assert all(np.array_equal(F, G) for F, G in zip(far.factors_[1:], H, strict=True))
    with pytest.raises(ValueError, match=r"H_init reaches .* too far above X"):
        NTF(2, frozen=[0]).fit(X, H_init=[1e300 * factors[1], factors[2]])
    fits[1].save(tmp_path / "model.nmf")
    again = load(tmp_path / "model.nmf")
    assert np.array_equal(again.components_, fits[1].components_)
    assert np.array_equal(again.transform(X), fits[1].transform(X))


def test_refusals_say_what_to_do():
    X = planted((12, 6, 5), 2)[0]
    model = NTF(2, max_iter=2, tol=1e3).fit(X)
    with pytest.raises(ValueError, match=r"samples of shape \(5, 6\), but NTF\.transform expects \(6, 5\)"):
        model.transform(X.transpose(0, 2, 1))
    for narrow, shape in (
        (X[:, :, :4], r"\(6, 4\)"),
        (X[:, :, 0], r"\(6,\)"),
        (X[:, :, 0].tolist(), r"X has 6 features"),
    ):
        with pytest.raises(ValueError, match=shape):
            model.transform(narrow)
    for same_width in (X.reshape(12, 30), X.reshape(12, 30).tolist()):
        with pytest.raises(ValueError, match=r"samples of shape \(30,\)"):
            model.transform(same_width)
    with pytest.raises(ValueError, match="or take NTF or NonnegativeTucker"):
        NMF(2).fit(X)
    with pytest.raises(ValueError, match=r"weights has shape \(12, 6\)"):
        NTF(2).fit(X, weights=np.ones((12, 6)))
    with pytest.raises(TypeError, match=r"sparse\.COO"):
        NTF(2).fit(sparse.COO.from_numpy(X), weights=np.ones(X.shape))
    with pytest.raises(ValueError, match="fill_value"):
        NTF(2).fit(sparse.COO.from_numpy(X, fill_value=1.0))
    with pytest.raises(ValueError, match="one for each way but the first"):
        NTF(2).fit(X, H_init=[np.ones((6, 2))])
    with pytest.raises(ValueError, match="W_init was given without H_init"):
        NTF(2).fit(X, W_init=np.ones((12, 2)))
    with pytest.raises(ValueError, match="Negative values"):
        NTF(2).fit(X - 0.5)
    with pytest.raises(ValueError, match="0 sample"):
        NTF(2).fit(X[:0])


@pytest.mark.parametrize("model", [NTF, NonnegativeTucker, JointNMF])
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_help_shows_the_shapes_of_the_models_own_data(model, method):
    text = inspect.getdoc(getattr(model, method))
    shape = "each (n_samples, m_v)" if model is JointNMF else "path, (n_samples, I_2, …, I_N)"
    assert shape in next(line for line in text.splitlines() if line.startswith("X : "))
    assert "n_features" not in text
    shared, own = (inspect.signature(getattr(cls, method)).parameters for cls in (NMF, model))
    assert list(shared) == list(own)
