"""Every parameter of every model is an option, and what is written after it arrives as the right value."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from scipy import sparse

import nonneg
from cli_cases import one_line, run
from nonneg.cli import build_app
from nonneg.cli.errors import CommandError
from nonneg.cli.estimators import NAMES, estimator_options, fit_options, model_class
from nonneg.cli.fit import fit_model
from nonneg.cli.parameters import Option, entries, options_of
from nonneg.cli.values import value_of
from nonneg.losses import BetaLoss
from nonneg.penalties import L1, Box, GraphLaplacian

EMPTY = inspect.Parameter.empty
#: What `fit` takes that is no file: an object of another library, and what stands beside X.
NOT_HERE = {"self", "X", "y", "client"}


def option(type_, name="thing", default=None):
    return Option(name, type_, default, "")


def written(one, folder):
    """(the words of an option that is given, the value of its parameter)."""
    if one.is_switch:
        return ([one.flag.replace("--", "--no-")], False) if one.default else ([one.flag], True)
    if one.choices:
        return [one.flag, one.choices[-1]], one.choices[-1]
    if "penalty" in one.type:
        return [one.flag, "[L1(0.1), Box(0, 1)]"], [L1(0.1), Box(0, 1)]
    if one.is_sequence:
        return [one.flag, "4", "2"], (4, 2)
    if one.is_array:
        np.save(folder / f"{one.name}.npy", np.arange(4))
        return [one.flag, str(folder / f"{one.name}.npy")], np.arange(4)
    if "int" in one.type:
        return [one.flag, "7"], 7
    return ([one.flag, "0.25"], 0.25) if "float" in one.type else ([one.flag, "cpu"], "cpu")


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_every_model_is_an_option(name, tmp_path):
    cls = model_class(name)
    known = estimator_options(cls) | fit_options(cls)
    own = set(inspect.signature(fit_model).parameters)
    assert set(inspect.signature(cls).parameters) <= {*known, *own}
    beside = set(inspect.signature(cls.fit).parameters) - NOT_HERE
    untaken = {"weights": cls._takes_weights, "device": cls._takes_device}
    assert {one for one in beside if untaken.get(one, True)} <= {*known, *own}
    tokens, expected = ["fit", "X.npy", "--out", "m", "--model", name], {}
    for one in known.values():
        assert one.help and one.type not in ("", "Any")
        words, expected[one.name] = written(one, tmp_path)
        tokens += words
    _, bound, _ = build_app(tokens).parse_args(tokens)
    found = {key: value_of(known[key], bound.kwargs[key]) for key in known}
    for key, value in expected.items():
        assert np.array_equal(found[key], value) and type(found[key]) in (type(value), np.memmap), key
    cls(**{key: found[key] for key in estimator_options(cls)})


WRONG = {
    (one.name, one.type): (name, one)
    for name in NAMES
    for one in (estimator_options(model_class(name)) | fit_options(model_class(name))).values()
    if not one.is_switch
}


@pytest.mark.parametrize(("name", "one"), WRONG.values(), ids=lambda value: getattr(value, "name", value))
def test_a_wrong_value_is_a_usage_error_that_names_the_option(capsys, tmp_path, monkeypatch, name, one):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", np.eye(4))  # some are known to be wrong where the data are
    code, out, err = run(capsys, "fit", "X.npy", "--out", "m", "--model", name, one.flag, "[???")
    assert (code, out) == (2, "") and one_line(err)
    assert one.flag in err and "[???" in err


def test_help_is_that_of_the_model(capsys):
    for name, flag in (("nmf", "--penalty-H"), ("ntf", "--frozen"), ("symmetricnmf", "--must-link")):
        code, out, _ = run(capsys, "fit", "--model", name, "--help")
        assert code == 0 and flag in out and f"Parameters of {NAMES[name]}" in out
    assert "--penalty-W" not in out  # those of the last one


def test_names_of_options_in_any_case(capsys, tmp_path):
    for words in (
        ["--penalty-H", "0.5"],
        ["--penalty-h", "0.5"],
        ["--penalty_H", "0.5"],
        ["--penalty-H=0.5"],
    ):
        tokens = ["fit", "X.npy", "--out", "m", *words]
        _, bound, _ = build_app(tokens).parse_args(tokens)
        assert value_of(estimator_options(nonneg.NMF)["penalty_H"], bound.kwargs["penalty_H"]) == 0.5


@pytest.mark.parametrize(
    ("type_", "words", "value"),
    [
        ("int", "3", 3),
        ("float", "1e-5", 1e-5),
        ("float", "inf", float("inf")),
        ("float or None", "None", None),
        ('{"a", "b"} or float', "b", "b"),
        ('{"a", "b"} or float', "2", 2),
        ("sequence of int", ["3"], (3,)),
        ("sequence of int", ["[3, 4]"], [3, 4]),
        ("sequence of int", ["3,4"], (3, 4)),
        ("sequence of int or None", ["None"], None),
        ("int or sequence of int", ["3"], 3),
        ("int or sequence of int", ["3", "4"], (3, 4)),
        ("array-like of int", "[0, 2]", [0, 2]),
        ("list or dict of float", "{'a': 1.5}", {"a": 1.5}),
        ("str", "cuda:0", "cuda:0"),
        ("bool", False, False),
        ("None, float, penalty or list of these", "0.5", 0.5),
        ("None, float, penalty or list of these", "L1(strength=0.1)", L1(0.1)),
        ("None, float, penalty or list of these", "[L1(1e-1), Box(0, 1), 2]", [L1(0.1), Box(0, 1), 2]),
    ],
)
def test_values(type_, words, value):
    found = value_of(option(type_), words)
    assert found == value and type(found) is type(value)


def test_losses():
    found = value_of(option('{"kl"}, float or loss object'), "BetaLoss(1.5)")
    assert isinstance(found, BetaLoss) and found.beta == 1.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("L1", "Write L1(strength)"),
        ("L1()", "write L1(strength)"),
        ("L1(1, 2)", "write L1(strength)"),
        ("L1(1, strength=2)", "write L1(strength)"),
        ("L1(weight=2)", "write L1(strength)"),
        ("L1(*[1])", "one by one"),
        ("L1(-1)", "--thing: L1: strength"),
        ("L1(x)", "got 'x'"),
        ("Smothness(1)", "Did you mean 'Smoothness'?"),
        ("combine(1)", "got 'combine'"),
        ("Penalty()", "got 'Penalty'"),
        ("__import__('os').getcwd()", "got "),
        ("[open('x')]", "got 'open'"),
        ("GraphLaplacian(1, 'none.npz')", "there is no file none.npz"),
    ],
)
def test_nothing_is_evaluated(text, said):
    with pytest.raises(CommandError, match="--thing") as error:
        value_of(option("penalty"), text)
    assert error.value.code == 2 and said in str(error.value)


def test_arrays_of_penalties_are_files(tmp_path):
    graph = sparse.csr_array(np.eye(4)[::-1])
    sparse.save_npz(tmp_path / "A.npz", graph)
    found = value_of(option("penalty"), f"GraphLaplacian(0.5, {str(tmp_path / 'A.npz')!r}, normalized=True)")
    assert isinstance(found, GraphLaplacian) and found.normalized and (found.graph != graph).nnz == 0


def test_arrays(tmp_path):
    np.savetxt(tmp_path / "s.csv", [1.5, 2, 7], header="s", comments="")
    np.savetxt(tmp_path / "f.csv", [4.0, 1, 3], header="f", comments="")
    np.savetxt(tmp_path / "p.csv", [[4.0, 1], [3, 0]], delimiter=",", header="a,b", comments="", fmt="%.1f")
    np.savez(tmp_path / "two.npz", a=np.eye(2), b=np.ones(3))
    rows = value_of(option("array-like of shape (n_samples,)"), str(tmp_path / "s.csv"))
    assert rows.tolist() == [1.5, 2, 7]
    frozen = value_of(option("array-like of int"), str(tmp_path / "f.csv"))
    assert frozen.tolist() == [4, 1, 3] and frozen.dtype.kind == "i"
    pairs = value_of(option("array-like of shape (p, 2), or None"), str(tmp_path / "p.csv"))
    assert pairs.tolist() == [[4, 1], [3, 0]] and pairs.dtype.kind == "i"
    both = value_of(option("array-like of shape (k, m)"), str(tmp_path / "two.npz"))
    assert [part.shape for part in both] == [(2, 2), (3,)]
    views = value_of(option("list or dict of array-like"), str(tmp_path / "two.npz"))
    assert list(views) == ["a", "b"]
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    with pytest.raises(CommandError, match=r"--thing: .*bad\.npy") as error:
        value_of(option("array-like"), str(tmp_path / "bad.npy"))
    assert error.value.code == 3


def leader(first, second=2, *, third=None, fourth=()):
    """Do.

    Parameters
    ----------
    first : {"a", "b"}, default="a"
        The first,
        in two lines.
    second, third : int, optional
        As for `follower`. Not this.
    fourth : sequence of int, default=()
        As for `follower`. Also this.

    Returns
    -------
    second : int
        Not this.
    """


def follower(second, third, fourth):
    """Do.

    Parameters
    ----------
    second : int
        Told here.
    third : float
        As for ``NMF``, with a `mark`.
    fourth : int
        There too.
    """


def test_signature_and_docstring_are_read():
    found = options_of(leader)
    assert list(found) == ["first", "second", "third", "fourth"]
    assert found["first"] == Option("first", '{"a", "b"}', EMPTY, "The first, in two lines.")
    assert found["second"] == Option("second", "int", 2, "Told here.")
    assert found["third"] == Option("third", "int", None, "As for NMF, with a mark.")
    assert found["fourth"] == Option("fourth", "sequence of int", (), "There too. Also this.")
    assert found["first"].flag == "--first" and found["first"].choices == ["a", "b"]


def test_a_docstring_without_parameters_has_none():
    assert entries(test_signature_and_docstring_are_read) == {}


def test_what_a_model_shares_is_told_by_its_bases():
    own = entries(nonneg.SemiNMF)["max_iter"]
    assert (
        own[1] == ""
        and options_of(nonneg.SemiNMF)["max_iter"].help == options_of(nonneg.NMF)["max_iter"].help
    )
