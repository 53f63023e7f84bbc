"""AE1 and AE2."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from nonneg.deep import Autoencoder


def small(n_components=3, **how) -> Autoencoder:
    settings = {"hidden": (16, 12), "max_epochs": 3, "batch_size": 32, "random_state": 0, "device": "cpu"}
    return Autoencoder(n_components, **settings | how)


def test_ae1_has_a_bottleneck_and_ae2_has_none(images):
    ae1, ae2 = small().fit(images), small(None).fit(images)
    widths = [layer.weight.shape[0] for layer in (*ae1.network_.encoder.layers, *ae1.network_.decoder.layers)]
    assert widths == [16, 12, 3, 12, 16, 30]
    widths = [layer.weight.shape[0] for layer in (*ae2.network_.encoder.layers, *ae2.network_.decoder.layers)]
    assert widths == [16, 12, 16, 30]
    assert ae1.transform(images).shape == (200, 3)
    assert ae2.transform(images).shape == (200, 12)
    assert (ae1.n_components_, ae2.n_components_) == (3, 12)
    assert ae1.components_.shape == (3, 12)
    assert len(ae2.get_feature_names_out()) == 12


def test_codes_are_linear_or_rectified(images):
    assert (small(activation="linear").fit_transform(images) < 0).any()
    assert (small(activation="relu", n_components=8).fit_transform(images) >= 0).all()
    assert (small(None).fit_transform(images) >= 0).all()


def test_training_lowers_the_loss(images):
    model = small(max_epochs=40, batch_size=16, learning_rate=3e-3).fit(images)
    loss = model.history_["symmetric"]
    assert loss[-1] < 0.3 * loss[0]
    error = np.linalg.norm(images - model.inverse_transform(model.transform(images)))
    assert model.reconstruction_err_ == pytest.approx(error, rel=1e-5)
    assert set(model.history_) == {"epoch", "symmetric", "learning_rate", "seconds"}


def test_a_denoising_one_sees_noise_and_aims_at_clean_data(images):
    model = small(noise="masking", noise_level=1.0, max_epochs=60, learning_rate=1e-2).fit(images)
    blind = model.inverse_transform(model.transform(np.zeros_like(images)))
    np.testing.assert_allclose(blind.mean(axis=0), images.mean(axis=0), atol=6)  # all it can know is the mean


def test_reduction_changes_the_unit_alone(images):
    total, mean = small(reduction="sum").fit(images), small(reduction="mean").fit(images)
    np.testing.assert_allclose(total.history_["symmetric"], mean.history_["symmetric"] * 200 * 30, rtol=1e-3)


def test_pickle_state_and_resume(images, tmp_path):
    model = small(checkpoint=tmp_path).fit(images)
    H = model.transform(images)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(images), H)
    rebuilt = small()
    rebuilt._set_state(model._get_state())
    np.testing.assert_array_equal(rebuilt.transform(images), H)
    longer = small(checkpoint=tmp_path, max_epochs=5).fit(images)
    whole = small(max_epochs=5).fit(images)
    assert all(
        torch.equal(a, b)
        for a, b in zip(longer.network_.parameters(), whole.network_.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("n_components", 0, ValueError),
        ("activation", "tanh", ValueError),
        ("hidden", (0,), ValueError),
        ("noise_level", 2.0, ValueError),
        ("noise_redraw", 1, TypeError),
        ("reduction", "max", ValueError),
        ("max_epochs", None, TypeError),
    ],
)
def test_bad_parameters_are_named(images, argument, value, error):
    how = {"noise": "masking"} | {argument: value}
    with pytest.raises(error, match=argument):
        small(**how).fit(images)
