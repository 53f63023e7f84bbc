"""The lines that a report gives to fit the model again do fit it again."""

import shlex

import numpy as np
import pytest
import scipy.sparse as sp

import nonneg
from nonneg.cli import main
from nonneg.losses import BetaLoss
from nonneg.penalties import L1, Box, GraphLaplacian
from nonneg.report.again import in_python, in_shell, written
from nonneg.report.facts import Facts

X = np.random.default_rng(0).gamma(0.5, size=(30, 8))
FEW = {"max_iter": 5, "tol": 0.1, "random_state": 3}


def given(model):
    default = type(model)().get_params(deep=False)
    params = model.get_params(deep=False)
    return {name: value for name, value in params.items() if repr(value) != repr(default[name])}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of fits that end early
@pytest.mark.parametrize(
    "model",
    [
        nonneg.NMF(
            2, loss="kl", solver="mu", penalty_H=[L1(np.float64(0.01)), Box(0, 5)], init="random", **FEW
        ),
        nonneg.NMF(2, loss=BetaLoss(1 / 3), max_time=None, verbose=0, **FEW),
        nonneg.SemiNMF(np.int64(2), n_init=2, **FEW),
        nonneg.DeepSemiNMF(layers=(4, 2), **FEW),
        nonneg.SeparableNMF(2, normalize=False),
        nonneg.SymmetricNMF(2, **FEW),
    ],
    ids=lambda model: type(model).__name__,
)
def test_both_ways_give_the_same_model(model, tmp_path, monkeypatch):
    data = X @ X.T if isinstance(model, nonneg.SymmetricNMF) else X
    np.save(tmp_path / "DATA.npy", data)
    monkeypatch.chdir(tmp_path)
    fitted = model.fit(data)
    facts = Facts(fitted)
    space = {"X": data}
    exec(in_python(facts, given(model)), space)
    line = in_shell(facts, given(model)).replace("DATA", "DATA.npy").replace("model.nmf", "other.nmf")
    assert main([*shlex.split(line)[1:], "--quiet"]) == 0
    for other in (nonneg.load("model.nmf"), nonneg.load("other.nmf")):
        assert np.array_equal(other.parts(), fitted.parts())
        assert other.get_params().get("random_state", 3) == 3


def test_networks_have_a_line_with_switches_and_lists(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    model = nonneg.Autoencoder(3, hidden=(6, 5), noise_redraw=False, max_epochs=1, random_state=0)
    monkeypatch.chdir(tmp_path)
    np.save("DATA.npy", X)
    fitted = model.fit(X)
    line = in_shell(Facts(fitted), given(model))
    assert "--hidden 6 5" in line and "--noise-redraw=False" in line
    assert main([*shlex.split(line.replace("DATA", "DATA.npy"))[1:], "--quiet"]) == 0
    found = nonneg.load("model.nmf")
    assert found.get_params() == fitted.get_params()
    assert np.array_equal(found.parts(), fitted.parts())


def test_what_cannot_be_written_is_said():
    graph = GraphLaplacian(0.1, sp.eye_array(30).tocsr())
    fitted = nonneg.NMF(2, penalty_W=graph, **FEW).fit(X)
    facts = Facts(fitted, X, weights=np.ones_like(X), layer=None)
    text = in_python(facts, given(fitted))
    compile(text, "page", "exec")
    assert "put what was given as penalty_W" in text and "penalty_W=..." in text
    assert "fit_transform(X, weights=weights)" in text
    assert in_shell(facts, given(fitted)) is None
    assert in_shell(Facts(nonneg.NMF(2).fit(X)), {}) is None  # without a seed nothing is the same


def test_values_as_python_reads_them():
    assert written("it's") == '"it\'s"'
    assert written(np.float32(0.5)) == "0.5" and written((1, None)) == "(1, None)"
    assert written(X) is None and written(len) is None and written(np.random.RandomState(0)) is None
    assert written([L1(0.1)]) == "[L1(strength=0.1)]" and written(float("inf")) is None
