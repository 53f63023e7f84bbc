"""Data that cannot be used: the message says what, how many, where first, and what to do."""

from __future__ import annotations

import datetime

import networkx
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch

import nonneg
from nonneg.data import as_source
from nonneg.data.as_source import check_cells

GOOD = np.arange(600.0).reshape(200, 3)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (np.ones(5), ValueError, r"X: expected a 2-D array .*, got 1-D of shape \(5,\).*reshape"),
        (3.0, ValueError, "X: expected a 2-D array"),
        ([1.0, 2.0], ValueError, "X: expected a 2-D array"),
        (np.ones((2, 3, 4)), ValueError, r"got 3-D .*reshape\(len\(X\), -1\)"),
        (pd.Series([1.0, 2.0]), ValueError, "got 1-D"),
        (torch.ones(3), ValueError, "got 1-D"),
        (np.ones((0, 3)), ValueError, r"X: found array with 0 sample\(s\) \(shape=\(0, 3\)\)"),
        (np.ones((3, 0)), ValueError, r"X: 0 feature\(s\) \(shape=\(3, 0\)\)"),
        (sp.csr_array((0, 3)), ValueError, r"0 sample\(s\)"),
        (np.ones((2, 2)) * 1j, ValueError, r"[Cc]omplex.*X has dtype complex128.*np.abs"),
        (sp.csr_array(np.ones((2, 2)) * 1j), ValueError, "[Cc]omplex"),
        ([[1, 2], [3]], ValueError, "X"),
        (np.array([["a", "b"]]), ValueError, "X has dtype <U1.*numbers"),
        (np.array([["1", "2"]]), ValueError, "X has dtype <U1.*numbers"),
        (np.array([[b"1", b"2"]]), ValueError, "X has dtype .S1.*numbers"),
        (np.array([[1.0, {"a": 1}]], object), TypeError, "X has dtype object.*argument must be .* number"),
        (np.array([["2020-01-01"]], "M8[D]"), (TypeError, ValueError), "X has dtype datetime64"),
        (np.array([[3]], "m8[s]"), (TypeError, ValueError), "X has dtype timedelta64"),
        (pd.DataFrame({"a": [datetime.datetime(2020, 1, 1)]}), (TypeError, ValueError), "X has dtype"),
        (pd.DataFrame({"a": ["x", "y"]}), ValueError, "X has dtype object"),
        (
            pd.DataFrame({"n": [1.0, None], "kind, é": pd.Categorical(["u", "v" * 999])}),
            ValueError,
            "float: 'u', in column 'kind, é'; leave the column out, or make numbers of it",
        ),
        (pd.DataFrame({0: [1.0], 1: ["a b " * 99]}), ValueError, "as numbers: .{,90} …, in column 1; leave"),
        (pl.DataFrame({"n": [1.0], "text": ["x"]}), ValueError, "in column 'text'"),
        (pl.LazyFrame({"n": [1.0]}), TypeError, r"X is a polars LazyFrame, .*; pass X.collect\(\)"),
        (["some text", "more"], ValueError, "texts are counted first"),
        (np.ma.masked_array(np.ones((2, 2)), mask=np.eye(2)), (TypeError, ValueError), "X is a masked array.*weights"),
        ({"a": [1.0]}, (TypeError, ValueError), "X"),
        (None, (TypeError, ValueError), "X"),
        ("/nowhere/data.npy", FileNotFoundError, "X: no such file: /nowhere/data.npy"),
    ],
)  # fmt: skip
def test_kinds_that_are_refused(data, error, message):
    with pytest.raises(error, match=message):
        as_source(data)


def test_files_that_are_refused(tmp_path):
    (tmp_path / "data.xyz").write_text("1 2 3")
    with pytest.raises(ValueError, match=r"data.xyz.*known: .*.npy"):
        as_source(tmp_path / "data.xyz")
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"two.npz: cannot be read as .npz .expected one array"):
        as_source(tmp_path / "two.npz")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00 and then nothing")
    with pytest.raises(ValueError, match=r"broken.npy"):
        as_source(tmp_path / "broken.npy")
    np.save(tmp_path / "whole.npy", np.ones((9, 9)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:300])
    np.save(tmp_path / "objects.npy", np.array([[1, "a"]], object))
    (tmp_path / "text.npy").write_text("1 2 3")
    for name in ("cut.npy", "objects.npy", "text.npy"):
        with pytest.raises(
            ValueError, match=rf"{name}: cannot be read as .npy .*write it again with numpy.save\("
        ):
            as_source(tmp_path / name)
    sp.save_npz(tmp_path / "sparse.npz", sp.csr_array(GOOD))
    for name, spot in (("two.npz", 120), ("sparse.npz", 500)):
        whole = bytearray((tmp_path / name).read_bytes())
        for damaged in (whole[:spot], whole[:spot] + bytes([whole[spot] ^ 255]) + whole[spot + 1 :]):
            (tmp_path / "damaged.npz").write_bytes(damaged)
            with pytest.raises(
                ValueError, match=r"damaged.npz: cannot be read .*write it again with numpy.savez"
            ):
                as_source(tmp_path / "damaged.npz")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(ValueError, match=r"folder.npy is a folder"):
        as_source(tmp_path / "folder.npy")
    for name in ("broken.npz", "broken.mtx", "empty.csv"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ValueError, match=name):
            as_source(tmp_path / name)


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sp.csr_array])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"X contains NaN: 3 cell\(s\), the first at \(70, 2\).*missing='ignore'"),
        (np.inf, r"X contains infinity \(inf\): 3 cell\(s\), the first at \(70, 2\).*weight 0"),
        (-np.inf, r"X contains infinity \(inf\): 3 cell\(s\), the first at \(70, 2\)"),
        (-1.0, r"Negative values in data passed to NMF.fit: 3 cell\(s\) of X, first at \(70, 2\)"),
    ],
)
def test_bad_cells_are_counted_and_located(kind, value, message, small_blocks):
    A = GOOD.copy()
    A[70, 2] = A[71, 0] = A[199, 1] = value
    with pytest.raises(ValueError, match=message):
        check_cells(as_source(kind(A)), whom="NMF.fit")


def test_cells_of_any_sign_where_they_are_allowed(small_blocks):
    check_cells(as_source(-GOOD), whom="SemiNMF.fit", non_negative=False)
    check_cells(as_source(GOOD), whom="NMF.fit")
    check_cells(as_source(np.where(GOOD == 5, np.nan, GOOD), missing="ignore"), whom="NMF.fit")


def test_the_name_of_the_argument_can_be_chosen():
    with pytest.raises(ValueError, match="X_new: expected a 2-D"):
        as_source(np.ones(3), name="X_new")


@pytest.mark.parametrize("model", ["ConvexNMF", "DeepSemiNMF", "KernelNMF", "ArchetypalAnalysis"])
def test_missing_cells_are_not_sent_to_a_model_that_refuses_the_others(model):
    """NMF fills cells, but takes no negative ones."""
    X = np.where(GOOD == 7, np.nan, GOOD)
    with pytest.raises(
        ValueError, match=r"needs every cell: fill them first \(nonneg\.NMF\(missing='ignore'\)"
    ):
        getattr(nonneg, model)().fit(X)
    with pytest.raises(
        ValueError, match=r"every cell: .*sklearn\.impute.*NMF does not take\), or take nonneg.SemiNMF"
    ):
        getattr(nonneg, model)().fit(X - 300)


def test_negative_cells_name_models_that_take_them():
    with pytest.raises(ValueError, match="any sign: SemiNMF, ConvexNMF or ArchetypalAnalysis"):
        nonneg.NMF(2).fit(-GOOD)


def test_a_graph_is_sent_to_the_model_of_graphs():
    with pytest.raises(
        TypeError, match=r"X is a graph, which SymmetricNMF.* networkx\.to_scipy_sparse_array"
    ):
        nonneg.NMF(2).fit(networkx.path_graph(5))
