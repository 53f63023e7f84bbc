"""Every refusal is a ValueError or TypeError that names the argument."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from matrix_cases import fitted, planted
from nonneg import NMF
from nonneg.exceptions import IncompatibleError
from nonneg.penalties import (
    L1,
    Box,
    GraphLaplacian,
    HoyerSparsity,
    MinimumVolume,
    Simplex,
    Smoothness,
    UnitNorm,
)

X = planted()
OK = np.ones((3, 9))
REFUSED = (ValueError, TypeError)


def bad(cell):
    A = X.copy()
    A[2, 3] = cell
    return A


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones(5), "X: expected a 2-D"),
        (np.ones((0, 3)), r"X: .*0 sample"),
        (np.ones((3, 0)), r"X: 0 feature"),
        (bad(np.nan), r"X contains NaN: 1 cell\(s\), the first at \(2, 3\).*missing='ignore'"),
        (bad(np.inf), r"X contains infinity .*1 cell\(s\), the first at \(2, 3\)"),
        (bad(-1e-3), r"Negative values in data passed to NMF.fit: 1 cell\(s\) of X, first at \(2, 3\)"),
        (sp.csr_array(bad(np.nan)), r"X contains NaN: 1 cell"),
        (sp.csr_array(bad(-1)), r"Negative values in data passed to NMF.fit"),
        (X * 1j, "[Cc]omplex"),
        (X.astype(str), "X has dtype"),
        (pd.DataFrame({"a": ["x", "y"]}), "X has dtype"),
        (None, "X"),
        (np.ones((2, 2, 2)), "X: expected a 2-D"),
    ],
)
def test_data(data, message):
    with pytest.raises(REFUSED, match=message):
        NMF(2).fit(data)
    with pytest.raises(REFUSED, match=message):
        NMF(2).fit_transform(data)


def test_named_columns_are_named_where_a_cell_is_bad():
    for cell in (-1, np.nan, np.inf):
        frame = pd.DataFrame(bad(cell), columns=[f"gene {j}" for j in range(9)])
        with pytest.raises(ValueError, match=r"first at \(2, 3\) in column 'gene 3'\."):
            NMF(2).fit(frame)


NAMED = pd.DataFrame(X, columns=list("abcdefghi"))
TURNED, RENAMED, SHORT = list("bacdefghi"), list("abcdefghz"), list("abcdefgh")


@pytest.mark.parametrize(
    ("names", "difference"),
    [
        (TURNED, r"column 0 is 'b' in {} and 'a' in X; reorder them with {}\[X.columns\]"),
        (RENAMED, "column 8 is 'z' in {} and 'i' in X; give {} the columns of X"),
    ],
)
@pytest.mark.parametrize("argument", ["weights", "H_init"])
def test_frames_beside_a_frame_have_its_columns(argument, names, difference):
    given = np.random.default_rng(0).random((70 if argument == "weights" else 3, 9)) + 0.1
    message = f"{argument} has other feature names than X: " + difference.format(argument, argument)
    with pytest.raises(ValueError, match=message):
        NMF(3).fit(NAMED, **{argument: pd.DataFrame(given, columns=names)})
    wanted = fitted(NAMED, max_iter=5, fit={argument: given}).components_
    for data in (NAMED, X):
        for columns in (list("abcdefghi"), range(9)) if data is NAMED else (names,):
            frame = pd.DataFrame(given, columns=columns)
            assert np.array_equal(fitted(data, max_iter=5, fit={argument: frame}).components_, wanted)


def test_weights_of_new_data_have_the_columns_of_the_fit():
    model = fitted(NAMED, max_iter=5)
    weights = pd.DataFrame(np.ones_like(X), columns=TURNED)
    for method in (model.transform, model.score, model.impute, model.memberships, model.partial_fit):
        with pytest.raises(ValueError, match="weights has other feature names than X: column 0"):
            method(NAMED, weights=weights)
    with pytest.raises(ValueError, match="feature names should match"):
        model.partial_fit(NAMED[TURNED])


def test_start_values_are_one_start():
    with pytest.warns(
        UserWarning, match=r"n_init=4 with start values: one start is made, from these; set n_init=1"
    ) as seen:
        model = NMF(3, n_init=4, tol=0.1).fit(X, H_init=OK + np.eye(3, 9))
    assert len(model.restart_losses_) == 1 and [each.filename for each in seen] == [__file__]


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("loss", "frobenuis", "frobenius"),
        ("loss", "KL", "kl"),
        ("solver", "half", "hals"),
        ("solver", "cd", "hals"),  # as scikit-learn calls it, not "scd"
        ("init", "nndsvdar", "nndsvda"),
        ("missing", "ignored", "ignore"),
        ("missing", "drop", None),
    ],
)
def test_what_was_meant(name, value, meant):
    ending = f"Got {value!r} instead." + (f" Did you mean {meant!r}?" if meant else "")
    with pytest.raises(ValueError, match=re.escape(ending) + "$"):
        NMF(3, **{name: value}).fit(X)


def test_new_data():
    model = fitted(X)
    for data, message in [
        (X[:, :5], "X has 5 features, but NMF is expecting 9 features"),
        (X[0], "X: expected a 2-D"),
        (bad(-1), r"Negative values in data passed to NMF.transform: .*\(2, 3\)"),
        (bad(np.nan), r"X contains NaN"),
        (X[:0], "0 sample"),
    ]:
        for method in (model.transform, model.score, model.memberships):
            with pytest.raises(REFUSED, match=message.replace("transform", method.__name__)):
                method(data)
    for W in (np.ones((4, 2)), np.ones(3), np.ones((2, 3, 1))):
        with pytest.raises(ValueError, match=r"W: expected shape \(n_samples, 3\)"):
            model.inverse_transform(W)
    for call in ("transform", "inverse_transform", "score", "memberships"):
        with pytest.raises(NotFittedError):
            getattr(NMF(2), call)(X)
    for call in ("parts", "top_features"):
        with pytest.raises(NotFittedError):
            getattr(NMF(2), call)()


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"n_components": 0}, "n_components"),
        ({"n_components": -3}, "n_components"),
        ({"n_components": 2.5}, "n_components"),
        ({"n_components": 2.0}, "n_components"),
        ({"n_components": True}, "n_components"),
        ({"n_components": None}, "n_components"),
        ({"n_components": "3"}, "n_components"),
        ({"loss": "l1"}, "loss"),
        ({"loss": None}, "loss"),
        ({"loss": np.nan}, "loss"),
        ({"solver": "cd"}, "solver"),
        ({"solver": None}, "solver"),
        ({"init": "svd"}, "init"),
        ({"init": None}, "init"),
        ({"init": ["random"]}, "init"),
        ({"n_init": 0}, "n_init"),
        ({"n_init": 1.5}, "n_init"),
        ({"missing": "drop"}, "missing"),
        ({"max_iter": 0}, "max_iter"),
        ({"max_iter": 10.0}, "max_iter"),
        ({"max_iter": "many"}, "max_iter"),
        ({"tol": -1e-3}, "tol"),
        ({"tol": "small"}, "tol"),
        ({"tol": np.nan}, "tol"),
        ({"max_time": -1}, "max_time"),
        ({"max_time": "1s"}, "max_time"),
        ({"max_time": np.nan}, "max_time"),
        ({"random_state": "seed"}, "random_state|seed"),
        ({"random_state": -1}, "random_state|[Ss]eed"),
        ({"penalty_W": "l1"}, "penalty_W"),
        ({"penalty_H": [L1(0.1), "l2"]}, "penalty_H"),
        ({"penalty_H": -1.0}, "penalty_H|strength"),
        ({"penalty_W": np.nan}, "penalty_W|strength"),
        ({"frozen": [3]}, "frozen"),
        ({"frozen": [-1]}, "frozen"),
        ({"frozen": [0.5]}, "frozen"),
        ({"frozen": "all"}, "frozen"),
        ({"frozen": [True, False, False]}, "frozen"),
        ({"frozen": [0]}, "frozen= needs H_init"),
        ({"checkpoint": 3}, "checkpoint"),
    ],
)  # fmt: skip
def test_parameters(parameters, name):
    with pytest.raises(REFUSED, match=name):
        NMF(**{"n_components": 3, **parameters}).fit(X)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"H_init": np.ones((2, 9))}, r"H_init has shape \(2, 9\), expected \(3, 9\)"),
        ({"H_init": np.ones((3, 8))}, "H_init"),
        ({"H_init": -OK}, "H_init must be finite and non-negative"),
        ({"H_init": OK * np.nan}, "H_init"),
        ({"H_init": OK * 1j}, "H_init"),
        ({"H_init": OK.astype(str)}, "H_init"),
        ({"H_init": "random"}, "H_init"),
        ({"W_init": np.ones((70, 3))}, "W_init was given without H_init"),
        ({"W_init": np.ones((69, 3)), "H_init": OK}, r"W_init has shape \(69, 3\), expected \(70, 3\)"),
        ({"W_init": -np.ones((70, 3)), "H_init": OK}, "W_init must be finite and non-negative"),
        ({"weights": np.ones((70, 8))}, "weights"),
        ({"weights": -np.ones((70, 9))}, "weights"),
        ({"weights": np.zeros((70, 9))}, "weight"),
        ({"sample_weight": np.ones(9)}, "sample_weight"),
        ({"sample_weight": -np.ones(70)}, "sample_weight"),
    ],
)
def test_arguments_of_fit(arguments, name):
    with pytest.raises(REFUSED, match=name):
        NMF(3).fit(X, **arguments)


def test_frozen_needs_its_rows_to_be_given():
    with pytest.raises(ValueError, match="frozen"):
        NMF(3, frozen=[0, 7]).fit(X, H_init=OK)


@pytest.mark.parametrize("loss", ["itakura-saito", -0.5])
def test_losses_that_need_positive_data(loss):
    for A in (bad(0.0), sp.csr_array(bad(0.0))):
        with pytest.raises(ValueError, match=r"loss=.* needs X > 0 everywhere"):
            NMF(2, loss=loss).fit(A)
    weights = np.ones_like(X)
    weights[2, 3] = 0
    fitted(bad(0.0), loss=loss, fit={"weights": weights}, max_iter=3)


def test_everything_missing():
    for given in (
        {"X": np.full((4, 3), np.nan), "missing": "ignore"},
        {"X": sp.csr_array((4, 3)), "missing": "unstored"},
    ):
        with pytest.raises(ValueError, match="no observed cell"):
            NMF(2, missing=given["missing"]).fit(given["X"])


@pytest.mark.parametrize(
    ("parameters", "fit"),
    [
        ({"solver": "hals", "loss": "kl"}, {}),
        ({"solver": "anls", "loss": 1.5}, {}),
        ({"solver": "als", "loss": "kl"}, {}),
        ({"solver": "scd"}, {}),
        ({"solver": "anls"}, {"weights": np.linspace(0.5, 1, 630).reshape(70, 9)}),
        ({"solver": "mu", "penalty_H": Simplex()}, {}),
        ({"solver": "anls", "penalty_W": Smoothness(0.1)}, {}),
        ({"loss": "kl", "penalty_H": UnitNorm()}, {}),
        ({"loss": "kl", "penalty_W": MinimumVolume(0.1)}, {}),
        ({"penalty_W": HoyerSparsity(0.5)}, {"weights": np.linspace(0.5, 1, 630).reshape(70, 9)}),
        ({"penalty_H": [Simplex(), UnitNorm()]}, {}),
    ],
)
def test_choices_that_do_not_go_together_say_what_does(parameters, fit):
    with pytest.raises(IncompatibleError, match=r"take|not both|drop|one"):
        NMF(3, **parameters).fit(X, **fit)


def test_a_refusal_says_what_auto_chose_and_why():
    with pytest.raises(
        IncompatibleError, match=r"solver='auto' goes by .* loss='kl', and chose .*: solver='scd'"
    ):
        NMF(3, loss="kl", penalty_H=UnitNorm()).fit(X)
    with pytest.raises(IncompatibleError, match=r"^solver='scd' takes"):
        NMF(3, loss="kl", solver="scd", penalty_H=UnitNorm()).fit(X)


@pytest.mark.parametrize(
    ("parameters", "cause"),
    [
        ({"penalty_H": L1(10)}, r"penalty_H=L1\(strength=10\) is too strong .* 0.005 on W, 0.04 on H"),
        ({"penalty_W": 1e3}, "penalty_W=1000.0 is too strong"),  # small, but not 0
        ({"penalty_W": L1(9), "penalty_H": [L1(9)], "loss": "kl"}, r"penalty_W=L1.* and penalty_H=\[.* are too strong"),
        ({"penalty_W": L1(10), "penalty_H": UnitNorm()}, r"penalty_W=L1\(strength=10\) is too strong"),
    ],
)  # fmt: skip
def test_a_penalty_that_leaves_nothing_is_named(parameters, cause):
    with pytest.warns(UserWarning, match=rf"nothing is left of W @ components_: {cause}") as seen:
        NMF(3, random_state=0, tol=1e-2, **parameters).fit(X)
    assert len(seen) == 1


def test_zeros_are_not_blamed_on_a_penalty():
    with pytest.warns(
        UserWarning, match="are dead .*a smaller n_components would do, or a weaker penalty_H$"
    ):
        NMF(3, penalty_H=L1(1e-3), random_state=0).fit(np.zeros((5, 4)))


@pytest.mark.parametrize("parameters", [
    {"solver": "anls", "penalty_W": Smoothness(0.1)},
    {"loss": "kl", "penalty_W": MinimumVolume(0.1)},
    {"solver": "mu", "penalty_H": Simplex()},
    {"penalty_H": Smoothness(0.1)},
    {"penalty_W": Smoothness(0.1)},
])  # fmt: skip
def test_refusals_show_penalties_as_they_were_given(parameters, tmp_path):
    np.save(tmp_path / "X.npy", 37 * X)
    data = 37 * X if len(parameters) > 1 else tmp_path / "X.npy"
    ((name, penalty),) = [(key, value) for key, value in parameters.items() if key.startswith("penalty")]
    with pytest.raises(IncompatibleError, match=re.escape(f"{name}={penalty!r}")) as caught:
        NMF(3, **parameters).fit(data)
    assert "UnitNorm" not in str(caught.value)


def test_penalties_that_do_not_fit_the_data():
    with pytest.raises(ValueError, match="graph"):
        NMF(3, penalty_H=GraphLaplacian(0.1, np.ones((4, 4)) - np.eye(4))).fit(X)
    with pytest.raises(ValueError, match=r"low|high"):
        NMF(3, penalty_H=Box(2, 1)).fit(X)


def test_a_refused_fit_leaves_a_fitted_model_usable():
    model = fitted(X)
    before = model.components_.copy()
    with pytest.raises(ValueError, match="NaN"):
        model.fit(bad(np.nan))
    assert np.array_equal(model.components_, before) and model.transform(X).shape == (70, 3)


@pytest.mark.parametrize("method", ["transform", "memberships", "score", "certificate"])
def test_zeros_in_new_data_are_refused_where_the_loss_is_infinite(method):
    X = np.random.default_rng(0).random((30, 8)) + 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NMF(2, loss="itakura-saito", random_state=0, max_iter=20).fit(X)
    X[0, 0] = 0
    with pytest.raises(ValueError, match="needs X > 0"):
        getattr(model, method)(X)


def test_rows_of_weight_zero_that_hide_the_others():
    faint = np.array([[1.0], [5e-324], [5e-324], [5e-324], [5e-324]])
    with pytest.raises(ValueError, match=r"sample_weight: rows of weight .* leave these rows out"):
        NMF(2, loss=3, solver="mu").fit(faint, sample_weight=[0, 0, 0, 1, 0.5])
    with pytest.raises(ValueError, match="sample_weight: rows of weight"):
        NMF(1, loss="kl").fit(np.vstack([X, np.full((1, 9), 1e35)]), sample_weight=[1.0] * len(X) + [0])


def test_spreads_that_a_negative_beta_cannot_hold_are_refused_before_the_fit():
    wide = np.abs(X) + 0.1
    wide[0] *= 1e-12
    with pytest.raises(
        ValueError, match=r"loss=-1: the cells of X reach .* float32 .*give X as float64, .*weight 0"
    ):
        NMF(2, loss=-1).fit(wide.astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NMF(2, loss=-1, max_iter=3).fit(wide)
        assert np.isfinite(model.components_).all()
        wide[0] *= 1e-90
        with pytest.raises(ValueError, match=r"loss=-1: the cells of X .* float64 .*; take a larger β"):
            model.transform(wide)


def test_a_fit_that_left_the_floats_is_refused():
    from nonneg.losses import BetaLoss

    class Broken(BetaLoss):
        def value(self, block, W, H):
            return np.nan

        def stats(self, block, W, H):
            found = super().stats(block, W, H)
            found.loss = np.nan
            return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"loss=.*left float64 during the fit.*weight 0"):
            NMF(2, loss=Broken(1.5), solver="mu", max_iter=3).fit(np.abs(X) + 0.1)
