"""The estimator: profiles, attributes, transform, resuming, state, refusals."""

from __future__ import annotations

import copy
import pickle
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from nonneg import datasets
from nonneg.deep import DDNMF, PROFILES, Autoencoder
from nonneg.deep.network import DDNMFNetwork
from nonneg.exceptions import CheckpointError

HISTORY = {
    *("epoch", "symmetric", "apposition", "non_negative_constraint", "interpretability"),
    *("nmf_relative_error", "learning_rate", "seconds"),
}


def small(**how) -> DDNMF:
    settings = {"hidden": (16, 12), "max_epochs": 3, "batch_size": 32, "random_state": 0, "device": "cpu"}
    return DDNMF(how.pop("n_components", 3), **settings | how)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


@pytest.fixture(scope="module")
def fitted(images):
    return small(profile="demo").fit(images)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_trains_and_has_its_attributes(images, profile):
    model = small(profile=profile)
    H = model.fit_transform(images)
    assert H.shape == (200, 3)
    assert H.dtype == np.float32
    assert ((H >= 0) & (H <= 1)).all()
    assert model.components_.shape == (3, 12)
    assert model.parts().shape == (3, 30)
    assert (model.parts() >= 0).all()
    assert HISTORY.issubset(model.history_)
    assert {values.shape for values in model.history_.values()} == {(3,)}
    assert all(np.isfinite(values).all() for values in model.history_.values())
    assert (model.n_iter_, model.n_components_, model.n_features_in_) == (3, 3, 30)
    assert model.get_feature_names_out().tolist() == ["ddnmf0", "ddnmf1", "ddnmf2"]
    values = model.profile_
    term = model.history_
    total = values["alpha"] * term["symmetric"] + values["beta"] * term["apposition"]
    total += values["gamma"] * term["non_negative_constraint"]
    np.testing.assert_allclose(term["interpretability"], total, rtol=1e-4)
    assert isinstance(model.converged_, bool)
    assert 0 <= model.n_dead_units_ <= 3


def test_profiles_give_values_and_arguments_win(images):
    assert {frozenset(values) for values in PROFILES.values()} == {frozenset(PROFILES["paper"])}
    assert set(PROFILES["paper"]) <= set(DDNMF().get_params())
    model = small(profile="demo", beta=0.5).fit(images)
    assert model.profile_["beta"] == 0.5
    assert model.profile_["nmf_bias"] is True
    assert model.beta == 0.5
    assert model.nmf_bias is None


def test_training_lowers_the_losses(images):
    model = small(profile="best", max_epochs=40, batch_size=16, learning_rate=3e-3).fit(images)
    history = model.history_
    assert history["reconstruction"][-1] < 0.5 * history["reconstruction"][0]
    assert history["symmetric"][-1] < 0.3 * history["symmetric"][0]
    mean_only = np.linalg.norm(images - images.mean(axis=0))
    assert model.reconstruction_err_ < 0.8 * mean_only


def test_the_relative_error_of_the_nmf_module_is_what_it_says(images):
    model = small(profile="paper", noise_level=0.0, learning_rate=1e-12, max_epochs=1).fit(images)
    x = torch.from_numpy(images / np.float32(images.max()))
    with torch.no_grad():
        out = model.student_(x)
        expected = torch.linalg.norm(out.z - out.z_hat) / torch.linalg.norm(out.z)
        sym = (x - model.supervisor_(x)[-1]).square().sum()
    for how in ({}, {"reduction": "mean"}, {"relative_constraint": True}):
        again = small(profile="paper", noise_level=0.0, learning_rate=1e-12, max_epochs=1, **how).fit(images)
        assert again.history_["nmf_relative_error"][0] == pytest.approx(expected.item(), rel=1e-4), how
    assert model.history_["symmetric"][0] == pytest.approx(sym.item(), rel=1e-4)


def test_the_supervisor_is_ae2_trained_alone(images):
    """Eq. 9: with the gradient stopped, the student leaves no trace in the supervisor."""
    how = {"hidden": (16, 12), "max_epochs": 4, "batch_size": 32, "random_state": 5, "precision": "float32"}
    model = DDNMF(3, profile="paper", noise_level=0.4, **how).fit(images)
    alone = Autoencoder(None, reduction="sum", **how).fit(images)
    assert same_weights(model.supervisor_, alone.network_)
    np.testing.assert_array_equal(model.history_["symmetric"], alone.history_["symmetric"])
    joint = DDNMF(3, profile="paper", noise_level=0.4, stop_gradient=False, **how).fit(images)
    assert not same_weights(joint.supervisor_, alone.network_)


def test_same_seed_same_bits_and_other_seed_other_bits(images):
    a, b, c = small().fit(images), small().fit(images), small(random_state=1).fit(images)
    assert same_weights(a.student_, b.student_)
    np.testing.assert_array_equal(a.components_, b.components_)
    assert not same_weights(a.student_, c.student_)


def test_global_generators_and_threads_are_left_alone(images):
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    small(nmf_init="data").fit(images).transform(images)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    assert torch.get_num_threads() == before[2]


def test_transform_is_a_function_of_the_row(images, fitted):
    H = fitted.transform(images)
    np.testing.assert_array_equal(small(profile="demo").fit_transform(images), H)
    np.testing.assert_allclose(fitted.transform(images[7:9]), H[7:9], rtol=1e-6)
    np.testing.assert_allclose(fitted.transform(images[::-1]), H[::-1], rtol=1e-6)


def test_data_of_other_kinds_give_the_same_fit(images, fitted):
    H = fitted.transform(images)
    for X in (sp.csr_array(images), images.astype(np.float32), np.asfortranarray(images)):
        model = small(profile="demo").fit(X)
        np.testing.assert_allclose(model.transform(X), H, rtol=1e-5)
    double = small(profile="demo").fit(images.astype(np.float64))
    assert double.transform(images.astype(np.float64)).dtype == np.float64
    np.testing.assert_allclose(double.transform(images), H, rtol=1e-4)


def test_the_unit_of_x_does_not_matter(images):
    X = images.astype(np.float64)
    model, far = small().fit(X), small().fit(X * 2.0**-900)
    np.testing.assert_allclose(model.transform(X), far.transform(X * 2.0**-900), rtol=1e-6)
    np.testing.assert_allclose(model.parts(), far.parts() * 2.0**900, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (40, 3), (3, 50)])
def test_any_rectangular_x(shape):
    X = np.random.default_rng(0).random(shape)
    model = small(profile="best", n_components=2).fit(X)
    assert model.transform(X).shape == (shape[0], 2)
    assert model.inverse_transform(model.transform(X)).shape == shape


def test_all_zero_x_is_fitted():
    X = np.zeros((20, 5))
    for profile in ("paper", "best"):
        model = small(profile=profile).fit(X)
        assert model.scale_ == 1.0
        assert np.isfinite(model.transform(X)).all()


def test_float64_all_through(images):
    model = small(precision="float64").fit(images)
    assert {p.dtype for p in model.student_.parameters()} == {torch.float64}
    assert model.components_.dtype == np.float64
    single = small(precision="float32").fit(images)
    np.testing.assert_allclose(single.transform(images), model.transform(images), atol=2e-3)


def test_bfloat16_is_near_float32(images):
    how = {"profile": "demo", "max_epochs": 10}
    half = small(precision="bfloat16", **how).fit(images)
    assert {p.dtype for p in half.student_.parameters()} == {torch.float32}
    full = small(precision="float32", **how).fit(images)
    np.testing.assert_allclose(half.history_["reconstruction"], full.history_["reconstruction"], rtol=0.03)


def test_inverse_transform_and_denoise_are_in_the_units_of_x(images, fitted):
    H = fitted.transform(images)
    with torch.no_grad():
        y = fitted.student_(torch.from_numpy(images / np.float32(images.max()))).y.numpy() * images.max()
    np.testing.assert_allclose(fitted.inverse_transform(H), y, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(fitted.denoise(images), y, rtol=1e-4, atol=1e-3)
    error = np.linalg.norm(images - fitted.inverse_transform(H))
    assert fitted.reconstruction_err_ == pytest.approx(error, rel=1e-5)


def test_components_decode(images, fitted):
    H = torch.from_numpy(fitted.transform(images))
    with torch.no_grad():
        z_hat = fitted.student_.nmf.decode(H).numpy()
    np.testing.assert_allclose(z_hat, np.maximum(0, H.numpy() @ fitted.components_), rtol=1e-5, atol=1e-6)


def test_parts_are_the_contracts(images, fitted):
    H = fitted.transform(images).astype(np.float64)
    mean, sd = H.mean(axis=0), H.std(axis=0)
    for k, part in enumerate(fitted.parts()):
        step = sd[k] * np.eye(3)[k]
        expected = fitted.inverse_transform((mean + step)[None]) - fitted.inverse_transform(mean[None])
        np.testing.assert_allclose(part, np.maximum(0, expected[0]), atol=1e-3)


def test_dead_units_are_counted(images, fitted):
    model = copy.deepcopy(fitted)
    with torch.no_grad():
        model.student_.nmf.weight[:, 1] = 0.0
    from nonneg.data import as_source

    model._finish(as_source(images))
    assert model.n_dead_units_ == fitted.n_dead_units_ + 1


def test_nonnegative_weights_stay_nonnegative_and_alive(images):
    model = small(profile="demo", nonnegative_weights=True, n_components=8, max_epochs=30).fit(images)
    assert (model.components_ >= 0).all()
    assert model.n_dead_units_ <= 1


def test_nonnegative_weights_start_from_parts_that_are_all_used():
    digits = datasets.load("digits").data
    how = {
        "hidden": (64, 64, 128),
        "profile": "best",
        "nonnegative_weights": True,
        "batch_size": 64,
        "random_state": 0,
    }
    start = DDNMF(32, **how, max_epochs=1, learning_rate=1e-12).fit(digits)
    assert (
        start.history_["nmf_relative_error"][0] < 0.6
    )  # a least squares W without its negative entries: 1.4
    sizes = np.linalg.norm(start.components_, axis=1)
    assert sizes.min() > 0.3 * sizes.max()  # .12
    assert DDNMF(32, **how, max_epochs=10).fit(digits).n_dead_units_ <= 3


def test_nonnegative_weights_start_anew_in_the_first_epochs(monkeypatch):
    epochs = []
    monkeypatch.setattr(DDNMFNetwork, "fit_start", lambda self, batches: epochs.append(batches.n))
    for how, starts in (
        ({"nonnegative_weights": True}, 3),
        ({"nonnegative_weights": False}, 1),
        ({"nonnegative_weights": True, "nmf_init": "glorot"}, 0),
    ):
        small(profile="best", max_epochs=5, **how).fit(np.ones((20, 30)))
        assert len(epochs) == starts
        epochs.clear()


def test_nonnegative_weights_start_from_data_without_variance():
    model = small(profile="best", nonnegative_weights=True)
    assert np.isfinite(model.fit_transform(np.zeros((20, 30)))).all()


def test_start_from_data_fits_z_at_once(images):
    model = small(profile="best", nmf_init="data", gain=2.0)
    assert np.isfinite(model.fit_transform(images)).all()
    start = small(profile="best", nmf_init="data", max_epochs=1, learning_rate=1e-12, gain=2.0).fit(images)
    plain = small(profile="best", nmf_init="glorot", max_epochs=1, learning_rate=1e-12, gain=2.0).fit(images)
    assert start.history_["nmf_relative_error"][0] < 0.5 * plain.history_["nmf_relative_error"][0]
    H = start.transform(images)
    assert (H.std(axis=0) > 0.15).all()
    assert (np.abs(H.mean(axis=0) - 0.5) < 0.2).all()


def test_pickle_copy_clone_and_state(images, fitted, tmp_path):
    H = fitted.transform(images)
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(other.transform(images), H)
    assert not hasattr(clone(fitted), "components_")
    rebuilt = clone(fitted)
    rebuilt._set_state(copy.deepcopy(fitted._get_state()))
    np.testing.assert_array_equal(rebuilt.transform(images), H)
    np.testing.assert_array_equal(rebuilt.parts(), fitted.parts())
    assert same_weights(rebuilt.supervisor_, fitted.supervisor_)


@pytest.mark.parametrize("profile", ["paper", "best"])
def test_weights_of_samples(images, profile):
    plain = small(profile=profile).fit(images)
    ones = small(profile=profile).fit(images, sample_weight=np.ones(200))
    np.testing.assert_allclose(ones.transform(images), plain.transform(images), rtol=1e-5)
    twos = small(profile=profile).fit(images, sample_weight=np.full(200, 2.0))
    np.testing.assert_allclose(twos.transform(images), plain.transform(images), rtol=1e-2)
    np.testing.assert_allclose(
        twos.history_["nmf_relative_error"], plain.history_["nmf_relative_error"], rtol=1e-2
    )
    assert twos.reconstruction_err_ == pytest.approx(2**0.5 * plain.reconstruction_err_, rel=1e-2)
    # rows of weight 0 leave no trace, but for a value above all others (`scale_`)
    weight = (np.arange(200) % 4 > 0).astype(float)
    other = np.where(weight[:, None] == 0, 255 - images, images)
    other = np.minimum(other, images.max())
    how = {"profile": profile}
    a, b = small(**how).fit(images, sample_weight=weight), small(**how).fit(other, sample_weight=weight)
    assert same_weights(a.student_, b.student_)
    assert not same_weights(a.student_, small(**how).fit(images).student_)


@pytest.mark.parametrize(
    ("parameter", "value"), [("random_state", -1), ("random_state", "a"), ("checkpoint", 3)]
)
def test_parameters_of_the_run_are_refused_by_name(images, parameter, value):
    with pytest.raises((ValueError, TypeError), match=f"{parameter}={value!r}"):
        small(**{parameter: value}).fit(images)


def test_parts_of_an_unfitted_model():
    with pytest.raises(NotFittedError):
        small().parts()


def test_truth_values_may_be_numpys(images):
    assert small(stop_gradient=np.True_).fit(images).profile_["stop_gradient"] is True


def test_a_failed_fit_changes_nothing(images):
    def fail(record):
        raise KeyboardInterrupt

    model = small().fit(images)
    H = model.transform(images)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(verbose=fail).fit(images[:, :20])
    np.testing.assert_array_equal(model.transform(images), H)
    fresh = small(verbose=fail)
    with pytest.raises(KeyboardInterrupt):
        fresh.fit(images)
    with pytest.raises(NotFittedError):
        fresh.transform(images)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_failing_callback_loses_nothing(images, tmp_path, stop):
    def fail(record):
        if record["epoch"] == stop:
            raise RuntimeError("stop")

    seen = []
    whole = small(noise_redraw=True, max_epochs=4).fit(images)
    with pytest.raises(RuntimeError, match="stop"):
        small(noise_redraw=True, max_epochs=4, checkpoint=tmp_path, verbose=fail).fit(images)
    model = small(noise_redraw=True, max_epochs=4, checkpoint=tmp_path, verbose=seen.append).fit(images)
    assert same_weights(model.student_, whole.student_)
    assert same_weights(model.supervisor_, whole.supervisor_)
    for name in HISTORY - {"seconds"}:
        np.testing.assert_array_equal(model.history_[name], whole.history_[name])
    assert [record["epoch"] for record in seen] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_killed_process_leaves_a_checkpoint(images, tmp_path, name):
    np.save(tmp_path / "X.npy", images)
    script = f"""
        import os, signal
        import numpy as np, torch
        from nonneg.deep import DDNMF
        torch.set_num_threads({torch.get_num_threads()})
        signal.signal(signal.SIGINT, signal.default_int_handler)
        def kill(record):
            if record["epoch"] == 3:
                os.kill(os.getpid(), signal.{name})
        DDNMF(checkpoint="kept", verbose=kill, **{HOW!r}).fit(np.load("X.npy"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if name == "SIGKILL" else -signal.SIGINT), done.stderr
    seen = []
    resumed = DDNMF(checkpoint=tmp_path / "kept", verbose=seen.append, **HOW).fit(images)
    whole = DDNMF(**HOW).fit(images)
    assert same_weights(resumed.student_, whole.student_)
    np.testing.assert_array_equal(resumed.transform(images), whole.transform(images))
    assert seen[0]["seconds"] != whole.history_["seconds"][0]  # it was read, not trained again


HOW = {
    **{"n_components": 3, "hidden": (16, 12), "profile": "best", "max_epochs": 5, "batch_size": 32},
    **{"random_state": 0, "device": "cpu"},
}


def test_a_checkpoint_of_another_fit_is_refused(images, tmp_path):
    small(checkpoint=tmp_path).fit(images)
    for other, X in (
        (small(checkpoint=tmp_path, beta=0.3), images),
        (small(checkpoint=tmp_path, random_state=1), images),
        (small(checkpoint=tmp_path, hidden=(16, 13)), images),
        (small(checkpoint=tmp_path), images[:-1]),
        (small(checkpoint=tmp_path), np.where(images == images.max(), 0, images)),
    ):
        with pytest.raises(CheckpointError, match="other data or parameters"):
            other.fit(X)
    assert small(checkpoint=tmp_path, max_epochs=5).fit(images).n_iter_ == 5  # more epochs are welcome


def test_without_a_seed_a_checkpoint_still_goes_on(images, tmp_path):
    def fail(record):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        small(random_state=None, checkpoint=tmp_path / "a", verbose=fail).fit(images)
    resumed = small(random_state=None, checkpoint=tmp_path / "a").fit(images)
    whole = small(random_state=None, checkpoint=tmp_path / "b").fit(images)
    assert same_weights(resumed.student_, whole.student_)


def test_an_unwritable_checkpoint_folder_is_refused(images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="checkpoint="):
        small(checkpoint=tmp_path / "file").fit(images)


def test_verbose_logs(images, caplog):
    with caplog.at_level("INFO", logger="nonneg.deep"):
        small(verbose=1).fit(images)
    assert len([r for r in caplog.records if "epoch" in r.message]) == 3


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("n_components", 0, ValueError),
        ("n_components", 2.5, TypeError),
        ("hidden", (), ValueError),
        ("hidden", (5, 0), ValueError),
        ("hidden", (5, -3), ValueError),
        ("hidden", 5, TypeError),
        ("hidden", (5.5,), TypeError),
        ("profile", "papre", ValueError),
        ("alpha", -1, ValueError),
        ("beta", float("nan"), ValueError),
        ("gamma", "x", TypeError),
        ("reconstruction_weight", float("inf"), ValueError),
        ("reduction", "max", ValueError),
        ("relative_constraint", 1, TypeError),
        ("noise", "pink", ValueError),
        ("noise_level", 1.5, ValueError),
        ("noise_level", -0.1, ValueError),
        ("noise_redraw", "yes", TypeError),
        ("stop_gradient", 1, TypeError),
        ("nmf_bias", 0, TypeError),
        ("nonnegative_weights", "no", TypeError),
        ("nmf_init", "svd", ValueError),
        ("gain", 0, ValueError),
        ("output", "tanh", ValueError),
        ("max_epochs", 0, ValueError),
        ("batch_size", 0, ValueError),
        ("batch_size", 2.0, TypeError),
        ("learning_rate", 0, ValueError),
        ("schedule", "step", ValueError),
        ("optimizer", "lbfgs", ValueError),
        ("precision", "float16", ValueError),
        ("missing", "guess", ValueError),
        ("device", "abacus", ValueError),
        ("verbose", "loud", ValueError),
    ],
)
def test_bad_parameters_are_named(images, argument, value, error):
    with pytest.raises(error, match=argument) as caught:
        small(**{argument: value}).fit(images)
    assert "\n" not in str(caught.value)


def test_bad_data_are_refused(images, fitted):
    X = images.astype(np.float64)
    high = X > 200
    for bad, message in (
        (-X, "Negative"),
        (np.where(high, np.nan, X), r"NaN: .*missing='ignore'"),
        (np.where(high, np.inf, X), r"inf.*Clip them, or give these cells weight 0\.$"),
    ):
        with pytest.raises(ValueError, match=message):
            small().fit(bad)
    with pytest.raises(ValueError, match="2-D"):
        small().fit(X[0])
    with pytest.raises(ValueError, match="0 sample"):
        small().fit(X[:0])
    with pytest.raises(ValueError, match="30 features"):
        fitted.transform(X[:, :-1])
    for name in ("weights", "W_init", "H_init"):
        with pytest.raises(ValueError, match=name.replace("_", ".")):
            small().fit(X, **{name: np.ones(200)})
