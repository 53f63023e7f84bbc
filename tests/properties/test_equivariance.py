"""What must not change the answer, or change it in a known way."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import reference as ref
from matrix_cases import COMBINATIONS, case, fitted, planted, relative
from nonneg.data.threads import workers
from nonneg.losses import as_loss

X = planted()
LOSSES = ["frobenius", "kl", "itakura-saito", 1.5]


def same_bits(one, two):
    for name in ("components_", "labels_"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name
    assert one.n_iter_ == two.n_iter_ and one.kkt_residual_ == two.kkt_residual_
    assert one.reconstruction_err_ == two.reconstruction_err_
    for name in ("loss", "kkt", "change"):
        assert np.array_equal(one.history_[name], two.history_[name]), name


# --- units -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("init", ["auto", "random", "nndsvd", "separable"])
def test_unit_of_the_data(loss, init):
    one = fitted(X, loss=loss, init=init, max_iter=40)
    two = fitted(3.7 * X, loss=loss, init=init, max_iter=40)
    assert relative(two.components_, 3.7 * one.components_) < 1e-6
    assert relative(two.transform(3.7 * X), one.transform(X)) < 1e-6
    assert two.kkt_residual_ == pytest.approx(one.kkt_residual_, rel=1e-4, abs=1e-12)
    beta = {"frobenius": 2, "kl": 1, "itakura-saito": 0}.get(loss, loss)
    assert two.reconstruction_err_ == pytest.approx(3.7 ** (beta / 2) * one.reconstruction_err_, rel=1e-6)


FAR = {np.float64: [-300, -20, 21, 300], np.float32: [-100, 3, 100]}


@pytest.mark.parametrize("dtype", FAR)
@pytest.mark.parametrize(
    ("kind", "loss", "solver"), [c for c in COMBINATIONS if c[0] in ("dense", "CSR", "weights", "rows")]
)
def test_powers_of_two(kind, loss, solver, dtype):
    """To rounding for integer β (components far down are denormal); for the others x^β rounds anew in each unit."""
    problem = case(kind, loss, n=20, m=6)
    A = problem.X.astype(dtype)
    parameters = {"loss": loss, "solver": solver, "fit": problem.fit, "max_iter": 15, **problem.init}
    one = fitted(A, 2, **parameters)
    W = one.transform(A, **problem.given)
    rounding = float(np.finfo(dtype).eps)
    tolerance = (1 if as_loss(loss).beta % 1 == 0 else 1000) * rounding
    for p in FAR[dtype]:
        scaled = (A * 2.0**p).astype(dtype)
        two = fitted(scaled, 2, **parameters)
        assert relative(np.ldexp(two.components_.astype(np.float64), -p), one.components_) <= tolerance, p
        assert relative(two.transform(scaled, **problem.given), W) <= tolerance, p
        assert two.n_iter_ == one.n_iter_
        np.testing.assert_allclose(two.history_["kkt"], one.history_["kkt"], rtol=1e5 * rounding)
        power = p * as_loss(loss).beta / 2
        if abs(power) < 1000:
            assert two.reconstruction_err_ == pytest.approx(2.0**power * one.reconstruction_err_, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_order_of_columns(loss):
    order = np.random.default_rng(1).permutation(9)
    W0, H0 = ref.start(X, 3)
    one = fitted(X, loss=loss, max_iter=20, fit={"W_init": W0, "H_init": H0})
    two = fitted(X[:, order], loss=loss, max_iter=20, fit={"W_init": W0, "H_init": H0[:, order]})
    assert relative(two.components_, one.components_[:, order]) < 1e-8


@pytest.mark.parametrize("loss", LOSSES)
def test_order_of_rows(loss):
    order = np.random.default_rng(1).permutation(70)
    W0, H0 = ref.start(X, 3)
    one = fitted(X, loss=loss, max_iter=20, fit={"W_init": W0, "H_init": H0})
    two = fitted(X[order], loss=loss, max_iter=20, fit={"W_init": W0[order], "H_init": H0})
    assert relative(two.components_, one.components_) < 1e-8
    assert np.array_equal(two.labels_, one.labels_[order])


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_order_of_components(loss):
    W0, H0 = ref.start(X, 3)
    one = fitted(X, loss=loss, tol=1e-6, max_iter=3000, fit={"W_init": W0, "H_init": H0})
    order = [2, 0, 1]
    start = {"W_init": one.transform(X)[:, order], "H_init": one.components_[order]}
    two = fitted(X, loss=loss, tol=1e-6, max_iter=3000, fit=start)
    assert relative(two.components_, one.components_[order]) < 1e-3
    # multiplicative updates are the same in any order
    one = fitted(X, loss=loss, solver="mu", max_iter=5, fit={"W_init": W0, "H_init": H0})
    two = fitted(X, loss=loss, solver="mu", max_iter=5, fit={"W_init": W0[:, order], "H_init": H0[order]})
    assert relative(two.components_, one.components_[order]) < 1e-9


# --- representation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_layouts_give_the_same_bits(loss, small_blocks):
    A = np.round(planted(n=150) * 8) / 8
    one = fitted(A, loss=loss, max_iter=20)
    double = np.repeat(A, 2, axis=1)[:, ::2]
    for other in (np.asfortranarray(A), double, A[::-1][::-1], A.astype(">f8"), A.tolist()):
        same_bits(fitted(other, loss=loss, max_iter=20), one)
    frozen = A.copy()
    frozen.setflags(write=False)
    same_bits(fitted(frozen, loss=loss, max_iter=20), one)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_integers_are_what_their_floats_are(loss):
    A = np.round(planted(n=150) * 8)
    for dtype in (np.uint8, np.int16, np.uint16, np.float16):
        one, two = (fitted(B, loss=loss, max_iter=20) for B in (A.astype(dtype), A.astype(np.float32)))
        assert one.components_.dtype == np.float32
        same_bits(one, two)
    for dtype in (np.int32, np.int64, np.uint32):
        same_bits(fitted(A.astype(dtype), loss=loss, max_iter=20), fitted(A, loss=loss, max_iter=20))


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_sparse_is_what_dense_is(loss):
    A = case("CSR", "kl").exact
    one, two = (fitted(B, loss=loss, max_iter=30, init="random") for B in (A, sp.csr_array(A)))
    # solvers may make a different number of sweeps on sparse data: the optimum near the same start is compared
    assert two.reconstruction_err_ == pytest.approx(one.reconstruction_err_, rel=0.02)
    H = one.components_
    three, four = (fitted(B, loss=loss, frozen=[0, 1, 2], fit={"H_init": H}) for B in (A, sp.csr_array(A)))
    assert relative(four.transform(sp.csr_array(A)), three.transform(A)) < 1e-6
    long = sp.csr_array(A)
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    same_bits(fitted(long, loss=loss, max_iter=30, init="random"), two)
    for other in (sp.csc_array(A), sp.coo_array(A), sp.csr_matrix(A)):
        same_bits(fitted(other, loss=loss, max_iter=30, init="random"), two)


def test_memory_map_is_what_the_array_is(tmp_path, small_blocks):
    A = planted(n=200)
    np.save(tmp_path / "X.npy", A)
    same_bits(fitted(tmp_path / "X.npy", max_iter=20), fitted(A, max_iter=20))
    model = fitted(str(tmp_path / "X.npy"), max_iter=20)
    assert np.array_equal(model.transform(np.load(tmp_path / "X.npy", mmap_mode="r")), model.transform(A))


# --- threads and seeds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        (b, kind)
        for b in ("frobenius", "kl")
        for kind in ("dense", "CSR", "NaN", "weights", "rows", "unstored")
    ]
    + [(1.5, "dense")],
)
def test_two_threads_give_the_bits_of_one(loss, kind, small_blocks, threads):
    problem = case(kind, loss)
    repeats = 5  # 350 rows: six blocks
    stack = sp.vstack if sp.issparse(problem.X) else np.concatenate
    A = stack([problem.X] * repeats)
    A = sp.csr_array(A) if sp.issparse(A) else A
    fit = {name: np.concatenate([value] * repeats) for name, value in problem.fit.items()}
    found = []
    for count in (1, 2):
        with threads(count):
            with workers(6) as pool:
                assert pool.threads == count
            model = fitted(A, loss=loss, fit=fit, max_iter=5, n_init=2, **problem.init)
            given = {name: value for name, value in fit.items() if name == "weights"}
            found.append((model, model.transform(A, **given)))
    same_bits(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("init", ["auto", "random", "nndsvd", "separable"])
def test_seeds(init):
    A = planted(m=40, k=6)
    one, two, other = (fitted(A, 6, init=init, random_state=seed, max_iter=10) for seed in (5, 5, 6))
    same_bits(one, two)
    if init in ("random",):
        assert not np.array_equal(one.components_, other.components_)
    same_bits(one, fitted(A, 6, init=init, random_state=np.random.RandomState(5), max_iter=10))
    before = np.random.get_state()
    fitted(A, 6, init=init, random_state=5, max_iter=2)  # a seed leaves the global generator alone
    after = np.random.get_state()
    assert np.array_equal(before[1], after[1]) and before[2] == after[2]


# --- weights and missing cells ------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("init", ["auto", "random"])
def test_a_row_of_weight_three_is_three_rows(loss, init):
    count = np.random.default_rng(2).integers(1, 4, 70)
    one = fitted(X, loss=loss, init=init, tol=1e-5, max_iter=100, fit={"sample_weight": count})
    two = fitted(np.repeat(X, count, axis=0), loss=loss, init=init, tol=1e-5, max_iter=100)
    assert relative(one.components_, two.components_) < 1e-5
    assert one.reconstruction_err_ == pytest.approx(two.reconstruction_err_, rel=1e-6)
    assert one.kkt_residual_ == pytest.approx(two.kkt_residual_, rel=1e-3, abs=1e-9)


def test_weights_of_one_change_nothing():
    one = fitted(X, init="random", tol=1e-7, max_iter=3000)
    for fit in ({"sample_weight": np.ones(70)}, {"weights": np.ones_like(X)}):
        two = fitted(X, init="random", tol=1e-7, max_iter=3000, fit=fit)
        assert two.reconstruction_err_ == pytest.approx(one.reconstruction_err_, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_cell_weights_times_a_number_change_nothing(loss):
    weights = np.random.default_rng(3).random(X.shape)
    one, two = (fitted(X, loss=loss, max_iter=20, fit={"weights": c * weights}) for c in (1, 4))
    assert relative(two.components_, one.components_) < 1e-9
    assert relative(two.transform(X, weights=4 * weights), one.transform(X, weights=weights)) < 1e-9


@pytest.mark.parametrize("loss", LOSSES)
def test_zero_weights_are_nan(loss):
    problem = case("NaN", loss)
    one = fitted(problem.X, loss=loss, missing="ignore", max_iter=20)
    two = fitted(problem.exact, loss=loss, max_iter=20, fit={"weights": problem.weights})
    same_bits(one, two)
    W = one.transform(problem.X)
    assert np.array_equal(W, two.transform(problem.exact, weights=problem.weights))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -7.0, 1e300])
def test_the_value_of_a_masked_cell_has_no_influence(loss, value):
    problem = case("weights", loss)
    weights = problem.weights
    for init in ("auto", "separable"):
        one = fitted(problem.exact, loss=loss, init=init, max_iter=10, fit={"weights": weights})
        other = np.where(weights > 0, problem.exact, value)
        two = fitted(other, loss=loss, init=init, max_iter=10, fit={"weights": weights})
        same_bits(one, two)
    assert np.array_equal(
        one.transform(other, weights=weights), one.transform(problem.exact, weights=weights)
    )
    assert one.score(other, weights=weights) == one.score(problem.exact, weights=weights)


@pytest.mark.parametrize("value", [np.inf, -3.0, 1e300])
def test_the_value_of_a_masked_stored_cell_has_no_influence(value):
    S = sp.csr_array(case("CSR").exact)
    weights = S.copy()
    weights.data = (np.random.default_rng(4).random(S.nnz) < 0.8).astype(float)
    other = S.copy()
    other.data = np.where(weights.data > 0, S.data, value)
    for loss in ("frobenius", "kl"):
        one, two = (fitted(A, loss=loss, max_iter=10, fit={"weights": weights}) for A in (S, other))
        same_bits(one, two)


def test_missing_cells_are_predicted():
    rng = np.random.default_rng(5)
    A = rng.gamma(1.0, 1.0, (80, 3)) @ rng.gamma(0.7, 1.0, (3, 12))
    holes = rng.random(A.shape) < 0.2
    for loss in ("frobenius", "kl"):
        model = fitted(
            np.where(holes, np.nan, A), loss=loss, missing="ignore", tol=1e-6, max_iter=3000, n_init=2
        )
        Y = model.transform(np.where(holes, np.nan, A)) @ model.components_
        assert np.linalg.norm((Y - A)[holes]) < 0.02 * np.linalg.norm(A[holes])


# --- any small problem ------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    n=st.integers(1, 9), m=st.integers(1, 7), k=st.integers(1, 8), seed=st.integers(0, 10**6),
    zeros=st.sampled_from([0, 0.3, 0.8]), sparse=st.booleans(), loss=st.sampled_from(["frobenius", "kl"]),
)  # fmt: skip
def test_any_shape_gives_a_fit_that_is_no_worse_than_its_start(n, m, k, seed, zeros, sparse, loss):
    rng = np.random.default_rng(seed)
    A = rng.gamma(1.0, 1.0, (n, m)) * (rng.random((n, m)) >= zeros)
    model = fitted(sp.csr_array(A) if sparse else A, k, loss=loss, max_iter=30)
    W = model.transform(A)
    assert np.isfinite(W).all() and (W >= 0).all() and np.isfinite(model.components_).all()
    losses = model.history_["loss"]
    assert (losses[1:] <= losses[:-1] * (1 + 1e-12) + 1e-13 * (A**2).sum()).all()
    beta = 2 if loss == "frobenius" else 1
    final = ref.loss(A, W, model.components_, beta)
    assert final <= losses[0] * (1 + 1e-9) + 1e-9 * (A.sum() + (A**2).sum())
