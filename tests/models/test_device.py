"""NMF with X on a device is NMF: the same loop, the same factors, up to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from device_cases import DEVICES, distinct, strict
from matrix_cases import quietly
from nonneg import NMF, NTF, JointNMF, SemiNMF, SeparableNMF, SymmetricNMF, as_source
from nonneg.data import device
from nonneg.deep import Autoencoder
from nonneg.exceptions import IncompatibleError

pytestmark = pytest.mark.parametrize("place", DEVICES)

AGREE = 1e-4  # of the loss, and of the largest entry


@pytest.fixture(autouse=True)
def made(monkeypatch):
    monkeypatch.setitem(device.CELLS, "cpu", 2000)
    monkeypatch.setattr(device, "MANY_CELLS", 2000)
    return strict(monkeypatch)


def near(one, two):
    assert np.abs(np.subtract(one, two, dtype=np.float64)).max() <= AGREE * np.abs(two).max()


def agree(X, place, given=None, **parameters):
    """Fit here and there from one start, and compare all that a fit gives."""
    k, given = parameters.pop("n_components"), given or {}
    H_init = np.random.default_rng(1).random((k, X.shape[1])) * float(X.max())
    with quietly():
        here = NMF(k, random_state=0, **parameters)
        W_here = here.fit_transform(X, H_init=H_init, **given)
        there = NMF(k, random_state=0, **parameters)
        W_there = there.fit_transform(X, H_init=H_init, device=place, **given)
    assert isinstance(W_there, np.ndarray) and W_there.dtype == W_here.dtype
    assert there.components_.dtype == here.components_.dtype
    assert there.reconstruction_err_ == pytest.approx(here.reconstruction_err_, rel=AGREE)
    near(there.components_, here.components_)
    near(W_there, W_here)
    near(there.transform(X, device=place), W_here)
    assert there.score(X, device=place) == pytest.approx(here.score(X), rel=AGREE)
    assert np.mean(there.labels_ == here.labels_) > 0.99
    assert np.all(np.diff(there.history_["loss"]) <= 1e-6 * there.history_["loss"][:-1])
    return here, there


SHAPES = {"tall": (400, 30, 4), "wide": (40, 300, 4), "one part": (300, 20, 1), "many": (120, 60, 17)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_frobenius(place, shape, dtype, small_blocks):
    n, m, k = SHAPES[shape]
    here, there = agree(distinct(n, m, k, dtype), place, n_components=k, tol=1e-5, max_iter=100)
    assert there.kkt_residual_ <= max(1e-5, 1.5 * here.kkt_residual_)


@pytest.mark.parametrize("loss", ["kl", 0.5, "itakura-saito", 3])
def test_other_losses(place, loss, small_blocks):
    agree(distinct(200, 25, 3), place, n_components=3, loss=loss, solver="mu", tol=0, max_iter=60)


def test_frobenius_by_multiplicative_updates(place, small_blocks):
    agree(distinct(200, 25, 3), place, n_components=3, solver="mu", tol=0, max_iter=60)


@pytest.mark.parametrize("parameters", [{}, {"loss": "kl", "solver": "mu", "tol": 0, "max_iter": 30}])
def test_bytes_are_converted_where_they_lie(place, parameters, small_blocks, made):
    X = distinct(300, 40, 3, "uint8")
    agree(X, place, n_components=3, **{"tol": 1e-5, **parameters})
    assert as_source(X, device=place).X.dtype == torch.uint8


@pytest.mark.parametrize("parameters", [{}, {"loss": "kl", "solver": "mu", "tol": 0, "max_iter": 30}])
def test_weights_of_rows(place, parameters, small_blocks):
    X, weights = distinct(300, 25, 3), np.random.default_rng(2).integers(0, 4, 300)
    agree(X, place, {"sample_weight": weights}, n_components=3, **{"tol": 1e-5, **parameters})


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_in_any_units(place, scale, small_blocks):
    agree(distinct(300, 25, 3, "float64") * scale, place, n_components=3, tol=1e-5)


@pytest.mark.parametrize("init", ["auto", "nndsvd", "random", "separable"])
def test_starts_are_those_of_the_array(place, init, small_blocks):
    X = distinct(300, 25, 3, "float64")
    here, there = (NMF(3, init=init, tol=1e-6, max_iter=3000, random_state=0) for _ in range(2))
    here.fit(X), there.fit(X, device=place)
    near(there.components_, here.components_)


def test_many_rows_start_on_a_sample(place, small_blocks, monkeypatch):
    monkeypatch.setitem(device.CELLS, "cpu", 100_000)
    X = distinct(20_480, 12, 3)
    here, there = (NMF(3, tol=1e-5, random_state=0) for _ in range(2))
    here.fit(X), there.fit(X, device=place)
    assert there.reconstruction_err_ == pytest.approx(here.reconstruction_err_, rel=AGREE)
    near(there.components_, here.components_)


def test_dead_components_and_empty_rows_stay_finite(place):
    X = distinct(100, 20, 3)
    X[7] = 0
    H_init = np.random.default_rng(0).random((4, 20))
    H_init[2] = 0
    with quietly():
        here = NMF(4, max_iter=50).fit(X, H_init=H_init)
        there = NMF(4, max_iter=50).fit(X, H_init=H_init, device=place)
    assert there.reconstruction_err_ == pytest.approx(here.reconstruction_err_, rel=1e-3)
    assert not there.transform(X, device=place)[7].any()


def test_x_never_comes_back_whole(place, small_blocks, made):
    X = torch.from_numpy(distinct(800, 60, 3)).to(place)
    made.clear()
    with quietly():
        model = NMF(3, tol=1e-4).fit(X, device=place)
        model.transform(X, device=place)
        NMF(3, loss="kl", solver="mu", max_iter=5).fit(X, device=place)
    assert max(made) <= X.numel() / 8


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_a_stopped_fit_goes_on(place, loss, tmp_path, small_blocks):
    X = distinct(300, 25, 3)
    given = {"loss": loss, "solver": "auto" if loss == "frobenius" else "mu", "tol": 0, "random_state": 0}
    with quietly():
        whole = NMF(3, max_iter=12, **given).fit(X, device=place)
        for max_iter in (5, 12):
            model = NMF(3, max_iter=max_iter, checkpoint=tmp_path, **given).fit(X, device=place)
    assert model.n_iter_ == whole.n_iter_ == 12
    assert np.array_equal(model.history_["loss"], whole.history_["loss"])
    assert np.array_equal(model.components_, whole.components_)


def test_codes_are_written_from_there(place, tmp_path, small_blocks):
    X = distinct(300, 25, 3)
    model = NMF(3, tol=1e-4).fit(X, device=place)
    near(model.transform(X, device=place, out=tmp_path / "W.npy"), model.transform(X, device=place))


def test_what_else_a_fitted_model_offers(place, small_blocks):
    X = distinct(300, 25, 3, "float64")
    with quietly():
        model = NMF(3, tol=1e-6, max_iter=3000, n_init=2, random_state=0).fit(X, device=place)
    source = as_source(X, device=place)
    near(model.memberships(source), model.memberships(X))
    one, two = model.certificate(source), model.certificate(X)
    assert one.kkt_residual == pytest.approx(two.kkt_residual, rel=1e-2, abs=1e-9)
    assert one.svd_gap == pytest.approx(two.svd_gap, rel=1e-6)
    before = model.components_.copy()
    model.partial_fit(source)
    assert 0 < np.abs(model.components_ - before).max() < 0.1 * before.max()


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"solver": "anls"}, "solver='anls' computes with the processor alone; take solver='hals' or 'mu'"),
        ({"loss": "kl", "solver": "scd"}, "solver='scd' computes with the processor alone"),
        ({"penalty_W": 0.1}, r"penalty_W=L2\(.*\) is for the processor alone"),
        ({"missing": "ignore"}, "missing='ignore': .* leave device out"),
    ],
)  # fmt: skip
def test_what_is_not_computed_there_is_refused(place, parameters, says):
    with pytest.raises(IncompatibleError, match=says):
        NMF(3, **parameters).fit(distinct(30, 10, 3), device=place)


OTHERS = [SemiNMF(2), SymmetricNMF(2), NTF(2), JointNMF(2), Autoencoder(2, hidden=(3,))]


@pytest.mark.parametrize("model", OTHERS, ids=lambda model: type(model).__name__)
def test_other_models_name_the_one_that_can(place, model):
    X = distinct(30, 30, 3)
    for given in ({"X": X, "device": place}, {"X": as_source(X, device=place)}):
        with pytest.raises(IncompatibleError, match=r"device='.*' is for NMF; .*: leave device out"):
            model.fit(**given)


def test_tensors_that_lie_elsewhere_are_fitted_there(place, monkeypatch):
    """And in the memory of this process they are arrays, as ever."""
    X = torch.from_numpy(distinct(60, 10, 3)).to(place)
    seen = []
    fit = NMF._fit_source

    def look(self, source, *args, **options):
        seen.append(source.device)
        return fit(self, source, *args, **options)

    monkeypatch.setattr(NMF, "_fit_source", look)
    NMF(3, tol=1e-3).fit(X)
    assert (seen[0] is None) == (place == "cpu")
    assert SeparableNMF(3).fit(X).components_.shape == (3, 10)
