"""Saved and loaded models are the same models, and a file that is no model is refused."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zipfile

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import nonneg
import nonneg.penalties as pen
from matrix_cases import case, fitted, planted, quietly
from nonneg import NMF, JointNMF
from nonneg.exceptions import CheckpointError
from nonneg.files import read_bundle, write_bundle
from nonneg.losses import BetaLoss

X = planted()
FRAME = pd.DataFrame(X, columns=[f"f{j}" for j in range(9)])


def there_and_back(model, tmp_path):
    model.save(tmp_path / "model.nonneg")
    return nonneg.load(tmp_path / "model.nonneg")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", ["frobenius", "kl", 1.5, BetaLoss(0.5)])
def test_transform_is_the_same_bitwise(dtype, loss, tmp_path):
    A = X.astype(dtype)
    model = fitted(A, loss=loss, max_iter=10)
    again = there_and_back(model, tmp_path)
    assert again.components_.dtype == dtype and np.array_equal(again.components_, model.components_)
    assert np.array_equal(again.transform(A), model.transform(A))
    assert again.score(A) == model.score(A)
    assert vars(again).keys() == vars(model).keys()
    for name, value in vars(model).items():
        assert type(getattr(again, name)) is type(value), name
    assert again.get_params().keys() == model.get_params().keys() and again.loss == model.loss
    assert all(np.array_equal(again.history_[key], column) for key, column in model.history_.items())


@pytest.mark.parametrize(
    "penalties",
    [
        {"penalty_W": 0.1},
        {"penalty_W": pen.L1(0.01), "penalty_H": pen.L1(0.01)},
        {"penalty_W": [pen.L2(0.01), pen.Orthogonality(0.01)]},
        {"penalty_H": pen.Box(0.05, math.inf)},
        {"penalty_H": pen.GraphLaplacian(0.01, sp.csr_matrix(np.ones((9, 9)) - np.eye(9)))},
        {"penalty_W": pen.Simplex()},
    ],
)
def test_penalties_come_back(penalties, tmp_path):
    model = fitted(X, max_iter=10, **penalties)
    again = there_and_back(model, tmp_path)
    assert again.penalty_W == model.penalty_W and again.penalty_H == model.penalty_H
    assert np.array_equal(again.transform(X), model.transform(X))
    with quietly():
        again.fit(X)
    assert np.array_equal(again.components_, model.components_)


def test_names_missing_cells_and_everything_public(tmp_path):
    model = fitted(FRAME, max_iter=10)
    again = there_and_back(model, tmp_path)
    assert again.feature_names_in_.tolist() == model.feature_names_in_.tolist()
    assert again.get_feature_names_out().tolist() == model.get_feature_names_out().tolist()
    assert np.array_equal(again.transform(FRAME), model.transform(FRAME))
    assert again.top_features(2) == model.top_features(2)
    problem = case("NaN")
    model = fitted(problem.X, missing="ignore", max_iter=10)
    assert np.array_equal(there_and_back(model, tmp_path).transform(problem.X), model.transform(problem.X))


def test_a_path_that_cannot_be_written_is_said_before_the_disk_is_touched(tmp_path, monkeypatch):
    model = fitted(X, max_iter=5)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent; make it first"):
        model.save(tmp_path / "absent" / "m.nmf")
    monkeypatch.chdir(tmp_path)
    for folder in (".", "", tmp_path):
        with pytest.raises(
            IsADirectoryError, match=r"is a folder; give the name of a file, .*model.nmf for instance"
        ):
            model.save(folder)
    assert not list(tmp_path.iterdir())


def test_extreme_numbers_survive(tmp_path):
    model = fitted(X * 2.0**300, max_iter=5, tol=1e-300, max_time=1e9)
    again = there_and_back(model, tmp_path)
    assert (again.tol, again.max_time) == (1e-300, 1e9)
    assert np.array_equal(again.components_, model.components_)


def test_what_cannot_be_saved_is_named(tmp_path):
    class Other(NMF):
        pass

    with quietly():
        with pytest.raises(TypeError, match="Other is not a registered model"):
            Other(2).fit(X).save(tmp_path / "x")
        with pytest.raises(TypeError, match=r"parameters\.random_state.*object|parameters\.verbose.*object"):
            NMF(2, verbose=object()).save(tmp_path / "x")
        views = JointNMF(2, max_iter=2, random_state=0).fit({"@a": X, "b": X})
        with pytest.raises(TypeError, match="has the key '@a'; a file takes strings that begin with no '@'"):
            views.save(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_an_unfitted_model_keeps_its_parameters(tmp_path):
    model = NMF(4, loss="kl", penalty_H=pen.L1(0.5), frozen=[1, 2], tol=1e-7)
    assert repr(there_and_back(model, tmp_path)) == repr(model)


def test_a_random_state_object_becomes_none(tmp_path):
    model = fitted(X, max_iter=3, random_state=np.random.RandomState(0))
    assert there_and_back(model, tmp_path).random_state is None


@pytest.mark.parametrize("where", [0, 200, -200, -3])
def test_every_flipped_bit_and_every_cut_is_found(where, tmp_path):
    model = fitted(X, max_iter=3)
    path = tmp_path / "model.nonneg"
    model.save(path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[where] ^= 4
    for content in (bytes(flipped), whole[:-1], whole[: len(whole) // 2], b"", b"PK", whole + b"0"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"model.nonneg: not a nonneg file, or damaged"):
            nonneg.load(path)


def test_other_classes_and_schemas_are_refused(tmp_path):
    path = tmp_path / "model.nonneg"
    fitted(X, max_iter=3).save(path)
    meta, arrays = read_bundle(path)
    for change in ({"class": "os.system"}, {"class": None}, {"schema": 99}, {"schema": None}):
        write_bundle(path, {**meta, **change}, arrays)
        with pytest.raises(ValueError, match=r"model.nonneg: holds class .* with schema"):
            nonneg.load(path)
    write_bundle(path, {"step": 3}, {})  # a checkpoint is no model
    with pytest.raises(ValueError, match=r"holds class None"):
        nonneg.load(path)
    with pytest.raises(FileNotFoundError):
        nonneg.load(tmp_path / "absent")


def test_what_a_class_does_not_know_is_refused(tmp_path):
    path = tmp_path / "model.nonneg"
    fitted(X, max_iter=3).save(path)
    meta, arrays = read_bundle(path)
    parameters, state = meta["parameters"], meta["state"]
    for change in (
        {"parameters": {**parameters, "speed": 3}},
        {"parameters": {**parameters, "penalty_H": {"@penalty": {"kind": "none"}}}},
        {"state": {**state, "components_": {"@array": "nowhere"}}},
        {"state": [1, 2]},
        {"state": {**state, "labels_": {"@strings": ["a"], "shape": [2]}}},
        {"state": {**state, "labels_": {"@pickle": "gASVAA=="}}},
        {"state": {**state, "kkt_residual_": {"@float": "much"}}},
    ):
        write_bundle(path, {**meta, **change}, arrays)
        with pytest.raises(ValueError, match=r"model.nonneg: does not hold what nonneg .* keeps of NMF"):
            nonneg.load(path)


def test_a_stream_goes_on_from_a_file(tmp_path):
    for loss in ("frobenius", "kl"):
        kept, saved = (NMF(3, loss=loss, random_state=0) for _ in range(2))
        for rows in (slice(0, 30), slice(30, 50), slice(50, 70)):
            kept, saved = kept.partial_fit(X[rows]), there_and_back(saved.partial_fit(X[rows]), tmp_path)
        assert np.array_equal(saved.components_, kept.components_) and saved.n_batches_ == kept.n_batches_


def test_the_file_holds_json_and_arrays_and_no_code(tmp_path):
    path = tmp_path / "model.nonneg"
    fitted(FRAME, max_iter=3).save(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["model.json", "arrays.safetensors"]
        meta = json.loads(archive.read("model.json"))
    assert meta["class"] == "NMF" and {"nonneg", "numpy", "python"} <= set(meta["versions"])
    assert b"pickle" not in path.read_bytes()


def test_saving_twice_replaces_the_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "model.nonneg"
    fitted(X, max_iter=3).save(path)
    second = fitted(X, 2, max_iter=3)
    second.save(str(path))
    assert nonneg.load(str(path)).n_components_ == 2 and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(OSError, match=r"absent|No such file"):
        second.save(tmp_path / "absent" / "x")


def strictly(text):
    """JSON as RFC 8259 has it, and as R and Julia read it: without NaN and infinity."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def read_without_library(path):
    """A model as docs/files.md says that it lies in the file, with bytes and numbers alone."""
    content = path.read_bytes()
    assert hashlib.sha256(content[:-64]).hexdigest() == content[-64:].decode()
    with zipfile.ZipFile(path) as archive:
        meta, raw = strictly(archive.read("model.json")), archive.read("arrays.safetensors")
    (length,) = struct.unpack("<Q", raw[:8])
    kinds, arrays = {"F64": "d", "F32": "f", "I64": "q", "U8": "B", "BOOL": "?"}, {}
    for name, entry in strictly(raw[8 : 8 + length]).items():
        start, stop = (8 + length + offset for offset in entry["data_offsets"])
        kind, shape = kinds[entry["dtype"]], entry["shape"]
        arrays[name] = list(struct.unpack(f"<{math.prod(shape)}{kind}", raw[start:stop])), shape
    return meta, arrays


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_file_is_read_without_this_library(dtype, tmp_path):
    model = fitted(FRAME.astype(dtype), max_iter=5, penalty_H=pen.Box(0.0, math.inf), tol=np.float64(1e-3))
    model.save(tmp_path / "m.nmf")
    meta, arrays = read_without_library(tmp_path / "m.nmf")
    assert meta["schema"] == 1 and meta["class"] == "NMF"
    assert meta["parameters"]["n_components"] == 3 and meta["parameters"]["penalty_W"] is None
    assert meta["parameters"]["tol"] == {"@scalar": ["<f8", 1e-3]}
    assert meta["parameters"]["penalty_H"]["@penalty"]["params"]["high"] == {"float": "inf"}
    assert meta["state"]["feature_names_in_"] == {"@strings": FRAME.columns.tolist(), "shape": [9]}
    assert meta["state"]["components_"] == {"@array": "state.components_"}
    values, (rows, columns) = arrays["state.components_"]
    for k in range(rows):  # the last way is the fastest
        assert values[k * columns : (k + 1) * columns] == model.components_[k].tolist()
    again = nonneg.load(tmp_path / "m.nmf")
    assert again.penalty_H == model.penalty_H and again.tol == model.tol and type(again.tol) is np.float64


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("-inf"), 0.1])
def test_numbers_that_json_lacks_come_back(value, tmp_path):
    model = fitted(X, max_iter=3)
    model.extra_, model.nested_ = value, {"of": [value, (value, "NaN")]}
    again = there_and_back(model, tmp_path)
    with zipfile.ZipFile(tmp_path / "model.nonneg") as archive:
        strictly(archive.read("model.json"))
    for found in (again.extra_, again.nested_["of"][0], again.nested_["of"][1][0]):
        assert type(found) is type(value) and np.array_equal(found, value, equal_nan=True)
    assert again.nested_["of"][1][1] == "NaN"


def test_a_file_with_nan_as_python_writes_it_is_read(tmp_path):
    path = tmp_path / "model.nonneg"
    fitted(X, max_iter=3).save(path)
    meta, arrays = read_bundle(path)
    meta["state"]["kkt_residual_"] = math.nan
    write_bundle(path, meta, arrays)
    assert math.isnan(nonneg.load(path).kkt_residual_)
