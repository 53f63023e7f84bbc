"""Never a silent non-finite result: extreme, degenerate and tiny data give a finite fit or a refusal that says why."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from matrix_cases import quietly, relative
from nonneg import NMF

LOSSES = ["frobenius", "kl", "itakura-saito", 1.5]


def fit(A, k=2, **parameters):
    with quietly():
        model = NMF(k, random_state=0, **{"max_iter": 20, **parameters})
        W = model.fit_transform(A)
    return model, W


def finite(A, k=2, **parameters):
    """Fit, and insist on finite, non-negative results of every method."""
    model, W = fit(A, k, **parameters)
    dense = A.toarray() if sp.issparse(A) else np.asarray(A)
    assert W.shape == (dense.shape[0], k) and model.components_.shape == (k, dense.shape[1])
    again = model.transform(A)
    for name, V in (("W", W), ("H", model.components_), ("transform", again)):
        assert np.isfinite(V).all() and (V >= 0).all(), name
    assert np.isfinite(model.reconstruction_err_) and np.isfinite(model.kkt_residual_)
    shares = model.memberships(A)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert ((model.labels_ >= 0) & (model.labels_ < k)).all()
    assert np.isfinite(model.history_["kkt"]).all() and not np.isnan(model.history_["loss"]).any()
    return model, W


DEGENERATE = {
    "1 x 1": np.array([[3.0]]),
    "1 x 1 zero": np.zeros((1, 1)),
    "one row": np.arange(7.0)[None] + 1,
    "one column": np.arange(7.0)[:, None] + 1,
    "zeros": np.zeros((6, 5)),
    "ones": np.ones((6, 5)),
    "identity": np.eye(5),
    "one cell": np.eye(6)[:1].T @ np.eye(5)[:1],
    "zero rows and columns": np.pad(np.arange(1.0, 13).reshape(3, 4), 2),
    "rank one": np.outer(np.arange(1.0, 7), np.arange(1.0, 6)),
    "wide": np.random.default_rng(0).random((3, 40)),
    "tall": np.random.default_rng(0).random((40, 3)),
    "repeated rows": np.repeat(np.random.default_rng(0).random((2, 6)), 5, axis=0),
    "mixed scales": np.random.default_rng(0).random((6, 5)) * 10.0 ** np.arange(-10, 11, 5)[:5],
    "rows of many scales": np.random.default_rng(0).random((6, 5)) * 10.0 ** np.arange(-12, 12, 4)[:, None],
    "outlier": np.where(np.eye(6, 5) > 0, 1e8, 1.0),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("loss", ["frobenius", "kl", 1.5])
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("k", [1, 3, 45])
def test_degenerate_data(name, loss, kind, k):
    for dtype in (np.float64, np.float32):
        finite(kind(DEGENERATE[name].astype(dtype)), k, loss=loss, max_iter=10)


@pytest.mark.parametrize("init", ["random", "nndsvd", "nndsvda", "separable"])
@pytest.mark.parametrize("solver", ["hals", "mu", "anls", "als"])
def test_degenerate_data_with_every_init_and_solver(init, solver):
    for A in DEGENERATE.values():
        for k in (1, 7):
            finite(A, k, init=init, solver=solver, max_iter=4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("size", "dtype"),
    [(5e-324, np.float64), (1e-320, np.float64), (1e-308, np.float64), (1e-300, np.float64), (1e-200, np.float64),
     (1e200, np.float64), (1e300, np.float64), (1.7e308, np.float64), (1e-45, np.float32), (1e-40, np.float32),
     (1e-38, np.float32), (1e30, np.float32), (3e38, np.float32)],
)  # fmt: skip
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_sizes_at_the_ends_of_the_floats(loss, size, dtype, kind):
    A = (np.random.default_rng(0).random((20, 6)) * 0.99 + 0.005).astype(dtype)
    A = np.maximum(A * dtype(size), np.nextafter(dtype(0), dtype(1)))
    model, W = fit(kind(A), 6, loss=loss, tol=1e-3, max_iter=200)
    for V in (W, model.components_, model.transform(kind(A))):
        assert np.isfinite(V).all() and (V >= 0).all()
    assert (
        model.components_.any()
        and np.isfinite(model.kkt_residual_)
        and np.isfinite(model.reconstruction_err_)
    )
    if size > 1e-300 or (dtype is np.float32 and size > 1e-37):  # at denormals H has no digits left
        base, V = fit(kind((A.astype(np.float64) / size).astype(dtype)), 6, loss=loss, tol=1e-3, max_iter=200)
        Y = W.astype(np.float64) @ (model.components_.astype(np.float64) / size)
        assert relative(Y, V.astype(np.float64) @ base.components_) < 0.02


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_tiny_and_huge_cells_in_one_matrix(loss):
    A = np.array([[1e-300, 1.0, 1e150], [1.0, 1e-200, 3.0], [1e150, 2.0, 1e-300]])
    finite(A, 2, loss=loss)
    finite(sp.csr_array(A), 2, loss=loss)
    finite(np.array([[1e-38, 1.0, 1e38], [1.0, 3e38, 1e-45]], np.float32), 2, loss=loss)


@pytest.mark.parametrize("beta", [-2, -1, -0.5, 0, 0.5, 1.5, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("along", ["rows", "columns", "cells"])
def test_cells_of_many_scales_under_any_beta_are_fitted_or_refused(beta, dtype, along):
    rng = np.random.default_rng(1)
    A = rng.gamma(1, 1, (40, 2)) @ rng.gamma(0.4, 1, (2, 8)) + 0.1 * rng.random((40, 8))
    unit = {
        "rows": np.linspace(-1, 1, 40)[:, None],
        "columns": np.linspace(-1, 1, 8),
        "cells": rng.uniform(-1, 1, A.shape),
    }
    most = 15 if dtype is np.float32 else 120
    for e in (1, 3, 6, 10, most):
        scaled = (A * 10.0 ** (e * unit[along])).astype(dtype)
        if beta < 0 and e == most:
            with pytest.raises(ValueError, match=rf"loss={beta:g}: the cells of X reach from .* larger β"):
                fit(scaled, loss=beta, max_iter=5)
            continue
        if beta < 0 and dtype is np.float32 and e > 3:
            continue  # on either side of what float32 holds
        model, W = fit(scaled, loss=beta, max_iter=5)
        for V in (W, model.components_, model.transform(scaled)):
            assert np.isfinite(V).all() and (V >= 0).all()
        assert np.isfinite(model.kkt_residual_) and np.isfinite(model.reconstruction_err_)


@pytest.mark.parametrize("loss", ["frobenius", "kl", 1.5])
def test_explicit_zeros_and_long_indices_in_csr(loss):
    A = sp.csr_array(np.array([[1.0, 2, 0, 4], [3, 0, 5, 6], [0, 7, 8, 9], [1, 1, 1, 1]]))
    A.data[[1, 4]] = 0
    A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
    model, _ = finite(A, 2, loss=loss)
    cleaned = sp.csr_array(A.toarray())
    assert relative(finite(cleaned, 2, loss=loss)[0].components_, model.components_) < 1e-6
    finite(sp.csr_array((5, 3)), 2, loss=loss)


def test_new_rows_of_any_size():
    model, _ = fit(np.random.default_rng(0).random((30, 6)), 3, max_iter=200)
    row = np.random.default_rng(1).random((1, 6))
    W = model.transform(row)
    for p in (-900, -300, 300, 900):
        assert relative(np.ldexp(model.transform(np.ldexp(row, p)), -p), W) < 1e-6
    assert not model.transform(np.zeros((2, 6))).any()
    both = model.transform(np.concatenate([row, np.ldexp(row, -60), np.zeros((1, 6))]))
    assert relative(both[0], W[0]) < 1e-8 and relative(np.ldexp(both[1], 60), W[0]) < 1e-4


cells = st.one_of(
    st.sampled_from([0.0, 1.0, 5e-324, 1e-300, 1e-30, 1e30, 1e300, 1.7e308]),
    st.floats(0, 1e3),
    st.floats(0, 1.7e308),
)


@settings(max_examples=60)
@given(
    A=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=cells),
    k=st.integers(1, 8),
    loss=st.sampled_from(["frobenius", "kl", 1.5]),
    sparse=st.booleans(),
)
@example(A=np.array([[1.7e308, 1.7e308]]), k=1, loss="frobenius", sparse=False)
@example(A=np.array([[5e-324]]), k=2, loss="kl", sparse=True)
def test_any_float64(A, k, loss, sparse):
    finite(sp.csr_array(A) if sparse else A, k, loss=loss, max_iter=5)


@settings(max_examples=40)
@given(
    A=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.one_of(
            st.sampled_from([0.0, 1.0, 2.0**-149, 2.0**-126, 2.0**100, 2.0**127]),
            st.floats(0, 3 * 2.0**126, width=32, allow_subnormal=True),
        ),
    ),
    k=st.integers(1, 8),
    loss=st.sampled_from(["frobenius", "kl", 1.5]),
)
def test_any_float32(A, k, loss):
    finite(A, k, loss=loss, max_iter=5)


@settings(max_examples=40)
@given(
    A=hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.float16, np.uint8, np.int64, np.bool_]),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
    ),
    k=st.integers(0, 4),
)
def test_any_array_is_fitted_or_refused(A, k):
    try:
        finite(A, k, max_iter=3)
    except (ValueError, TypeError) as error:
        acceptable = A.ndim != 2 or A.size == 0 or k < 1
        values = A.astype(np.float64)
        acceptable |= not np.isfinite(values).all() or (values < 0).any()
        assert acceptable, error
        assert any(word in str(error) for word in ("X", "n_components")), error
