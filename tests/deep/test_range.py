"""Every deep model: data at the ends of the floats are fitted, or refused with what to do."""

from __future__ import annotations

import numpy as np
import pytest

from nonneg.deep import DDNMF, Autoencoder, DeepProbabilisticNMF, NonnegativeAutoencoder, VariationalNMF

MODELS = (DDNMF, Autoencoder, DeepProbabilisticNMF, NonnegativeAutoencoder, VariationalNMF)
X = np.random.default_rng(0).random((60, 5))
FAR = np.vstack([X[:2], [1e45, 0, 0, 0, 0]])


def small(model, **how):
    return model(2, hidden=(6,), max_epochs=2, batch_size=16, random_state=0, device="cpu", **how)


@pytest.mark.parametrize("model", MODELS)
def test_rows_beyond_float32_are_refused_with_a_remedy(model):
    fitted = small(model).fit(X)
    for call in (fitted.transform, fitted.denoise, fitted.score):
        with pytest.raises(
            ValueError, match=r"X: row 2 .* float32 .*clip X, or fit with precision='float64'"
        ):
            call(FAR)
    assert np.isfinite(fitted.transform(X * 1e-310)).all()
    assert np.isfinite(small(model, precision="float64").fit_transform(X.astype(np.float32))).all()
    wide = small(model, precision="float64").fit(X)
    assert np.isfinite(wide.transform(FAR)).all()


@pytest.mark.parametrize("model", MODELS)
def test_float32_data_that_leave_their_range_when_scaled_are_refused(model):
    fitted = small(model).fit((X * 1e-30).astype(np.float32))
    with pytest.raises(ValueError, match=r"X: row 0 .* float32"):
        fitted.transform((X * 1e30).astype(np.float32))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("dtype", "size"), [(np.float64, 1e-310), (np.float32, 1e-42)])
def test_data_of_denormal_numbers_are_refused_for_what_they_are(model, dtype, size):
    with pytest.raises(ValueError, match=r"below the smallest normal number .*; multiply X by a number"):
        small(model).fit((X * size).astype(dtype))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("weight", [1e-30, 1e30])
def test_weights_of_any_size_leave_codes_finite(model, weight):
    fitted = small(model).fit(X, sample_weight=np.full(60, weight))
    assert np.isfinite(fitted.transform(X)).all()
    assert np.isfinite(fitted.history_[fitted._objective]).all()
