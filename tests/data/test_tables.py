"""Text tables: what names columns, what names rows, what is data, and what cannot be told."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from matrix_cases import planted, quietly
from nonneg import NMF
from nonneg.data import as_source
from nonneg.data.paths import open_path
from nonneg.data.table import read_column

X = np.array([[1.5, 0.25, 3.0], [0.0, 2.0, 7.0], [5.0, 1.0, 0.5], [2.0, 2.0, 9.0]])


def written(tmp_path, text, suffix=".csv"):
    path = tmp_path / f"table{suffix}"
    path.write_text(text)
    return path


def read(path):
    frame = open_path(path)
    return as_source(frame).read(0, len(frame)), frame


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("columns", [list("abc"), range(3), [400.0, 410.5, 421.0], [400, 410, 420]])
@pytest.mark.parametrize("index", [None, range(4), list("wxyz")])
def test_what_pandas_writes_is_what_is_read(tmp_path, columns, index, suffix):
    path = tmp_path / f"table{suffix}"
    frame = pd.DataFrame(X, columns=columns, index=index)
    frame.to_csv(path, index=index is not None, sep="\t" if suffix == ".tsv" else ",")
    values, found = read(path)
    assert np.array_equal(values, X)
    wanted = list(columns) if columns == range(3) else [str(name) for name in columns]
    assert list(found.columns) == wanted


def test_numbers_without_names_stay_data_to_the_last_bit(tmp_path):
    data = np.random.default_rng(0).random((5, 4))
    np.savetxt(tmp_path / "plain.csv", data, delimiter=",", fmt="%.17g")
    assert np.array_equal(read(tmp_path / "plain.csv")[0], data)
    for text, wanted in [
        ("0,1,2\n3,4,5\n6,7,8\n", np.arange(9).reshape(3, 3)),  # every line is evenly spaced
        ("3,1,2\n0,4,5\n", [[3, 1, 2], [0, 4, 5]]),
        ("1,2,4\n0,4,5\n", [[1, 2, 4], [0, 4, 5]]),
        (",0.5,2\n0,4,5\n3,7,8\n", [[np.nan, 0.5, 2], [0, 4, 5], [3, 7, 8]]),
        ("NA,0.5,2\n0,4,5\n", [[np.nan, 0.5, 2], [0, 4, 5]]),
        ("5,0,0\n", [[5, 0, 0]]),
        ("0,1,2\n", [[0, 1, 2]]),
        ("1,2\n\n3,4\n  \n", [[1, 2], [3, 4]]),
    ]:
        assert np.array_equal(read(written(tmp_path, text))[0], np.array(wanted, float), equal_nan=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (",x,y\n9.5,1,2\n7,3,4\n", ["x", "y"]),
        ('"","x","y"\n"r1",1,2\n"r2",3,4\n', ["x", "y"]),  # R's write.csv
        ('"x","y"\n"r1",1,2\n"r2",3,4\n', ["x", "y"]),  # R's write.table: one name less
        ('"400","500"\n1,2\n3,4\n', ["400", "500"]),
        ("\ufeffx,y\n1,2\n3,4\n", ["x", "y"]),  # Excel's byte order mark
        ("Unnamed: 0,x,y\n0,1,2\n1,3,4\n", ["x", "y"]),  # an index that was written twice
        ('"x, of all","y"\n1,2\n3,4\n', ["x, of all", "y"]),
    ],
)
def test_names(tmp_path, text, names):
    values, frame = read(written(tmp_path, text))
    assert np.array_equal(values, [[1, 2], [3, 4]])
    assert list(frame.columns) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n4,5,6\n7,8\n", "line 3 has 2 cells, the lines before it 3"),
        ("1,2,3\n4,5,6\n7,8,9,10\n", "line 3 has 4 cells, the lines before it 3"),
        ("a,b,c\n1,2\n3,4,5\n", "line 2 has 2 cells, the lines before it 3"),
        ("a,b,c\n1,2,3,4\n5,6,7\n", "line 3 has 3 cells, the lines before it 4"),
        ("1,2,3\n4,5,6,7\n8,9,10,11\n", "the second line has 4 cells, the first 3"),
        ("kind,b\nu,2\nu,4\n", "column 'kind' holds text, 'u' in row 0.*empty name"),
        (
            "s1,2.5,7\ns2,4,3\n",
            "column 's1' holds text, 's2' in row 0",
        ),  # a name is missing, or all of them are
        ("sample,b\n7a,2\n,4\n", "column 'sample' holds text, '7a' in row 0"),
        ("a,b\n1,2\n3,?\n", "column 'b' holds text, '\\?' in row 1 .*leave the cell empty or write NA"),
        ("1,?,3\n4,5,6\n", "column '1' holds text, '\\?' in row 0 "),  # no names
        ("-\n5\n6\n", "column '0' holds text, '-' in row 0 "),
        ('a,b\n1,"1,234"\n', "column 'b' holds text, '1,234' in row 0 .*without thousands separators"),
        ("a,b\n1 234.5,7\n", "column 'a' holds text, '1 234.5' in row 0 .*without thousands separators"),
        ('"1,234",2\n3,4\n', "column '0' holds text, '1,234' in row 0 "),  # no names
        ("a;b\n1,5;1.234,5\n", "column 'b' holds text, '1.234,5' in row 0 .*without thousands separators"),
        ("a;b\n1,5;2\n2,5;2.5\n0,5;1\n", "column 'b' holds text, '2' in row 0|'2.5' in row 1"),
        ("a;b\n1,5;2,5\n1\n", "line 3 has 1 cells"),
        ("", "table.csv: .*empty"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        as_source(written(tmp_path, text))


@pytest.mark.parametrize("decimal", [",", "."])
@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("columns", [list("abc"), ["a, all", "b", "c"], range(3), [400.5, 401.0, 401.5]])
@pytest.mark.parametrize("index", [None, range(4), ["w, 1", "x", "y", "z"]])
def test_tables_of_countries_with_decimal_commas(tmp_path, columns, index, separator, decimal):
    frame = pd.DataFrame(X, columns=columns, index=index)
    frame = frame.rename(columns=lambda name: str(name).replace(".", decimal))
    frame.to_csv(tmp_path / "table.csv", sep=separator, decimal=decimal, index=index is not None)
    values, found = read(tmp_path / "table.csv")
    assert np.array_equal(values, X)
    assert list(found.columns) == (list(columns) if columns == range(3) else [str(name) for name in columns])
    if index is not None:
        assert [str(name) for name in found.index] == [str(name) for name in index]


def test_decimal_commas_without_names(tmp_path):
    assert np.array_equal(read(written(tmp_path, "0,1;0,2\n0,3;0,4\n"))[0], [[0.1, 0.2], [0.3, 0.4]])
    assert np.array_equal(read(written(tmp_path, "0,1;0,2\n"))[0], [[0.1, 0.2]])
    assert np.array_equal(
        read(written(tmp_path, "0,1\t7\n-1,5e2\t\n", ".tsv"))[0], [[0.1, 7], [-150, np.nan]], True
    )
    assert np.array_equal(read(written(tmp_path, '"a;b",c\n1,2\n'))[0], [[1, 2]])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_spreadsheets(tmp_path, encoding):
    (tmp_path / "table.csv").write_bytes("sample;µm;é\nü1;1,5;2\nü2;0;3\n".encode(encoding))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        values, frame = read(tmp_path / "table.csv")
    assert np.array_equal(values, [[1.5, 2], [0, 3]])
    assert list(frame.columns) == ["µm", "é"] and list(frame.index) == ["ü1", "ü2"]
    assert ["not UTF-8" in str(one.message) for one in told] == [True] * (encoding == "cp1252")


def test_a_first_column_of_names_needs_no_empty_heading(tmp_path):
    axis = ",".join(str(4000 - 1.93 * j**1.01) for j in range(9))  # wavenumbers: they fall, in unequal steps
    rows = "".join(f"s{i},{','.join(['1'] * 9)}\n" for i in range(3))
    for heads in ("sample," + ",".join("abcdefghi"), "sample,1,2,3,4,5,6,7,8,9", f"sample,{axis}"):
        path = written(tmp_path, f"{heads}\n{rows}")
        values, frame = read(path)
        assert np.array_equal(values, np.ones((3, 9))) and list(frame.index) == ["s0", "s1", "s2"]
        assert list(frame.columns) == heads.split(",")[1:]
        assert list(read_column(path, "sample")) == ["s0", "s1", "s2"]
        assert list(open_path(path, without=["sample"]).index) == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "first", "warned"), [("id", 101, True), ("", 101, False), ("id", 1.5, False)]
)
def test_a_named_column_that_counts_the_rows(tmp_path, name, first, warned):
    text = f"{name},a,b\n" + "".join(f"{first + i},2,{i * i}\n" for i in range(9))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _, frame = read(written(tmp_path, text))
    assert ["counts the rows" in str(one.message) for one in told] == [True] * warned
    assert list(frame.columns) == [*[name] * bool(name), "a", "b"]


def test_a_fit_keeps_the_names_of_a_file(tmp_path):
    data = planted(n=30, m=4)
    frame = pd.DataFrame(data, columns=["red", "green", "blue", "dark"])
    frame.to_csv(tmp_path / "colours.csv")
    with quietly():
        model = NMF(2, random_state=0).fit(tmp_path / "colours.csv")
        other = NMF(2, random_state=0).fit(frame)
    assert model.feature_names_in_.tolist() == list(frame.columns)
    assert np.array_equal(model.components_, other.components_)
    assert np.array_equal(model.transform(tmp_path / "colours.csv"), model.transform(frame))
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame[["green", "red", "blue", "dark"]])
    np.save(tmp_path / "plain.npy", data)
    with quietly():
        model.fit(tmp_path / "plain.npy")
    assert not hasattr(model, "feature_names_in_")


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_packed_tables(tmp_path, suffix):
    frame = pd.DataFrame(X, columns=list("abc"), index=list("wxyz"))
    path = tmp_path / f"table{suffix}.gz"
    frame.to_csv(path, sep="\t" if suffix == ".tsv" else ",")
    values, found = read(path)
    assert (
        np.array_equal(values, X) and list(found.columns) == list("abc") and list(found.index) == list("wxyz")
    )
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match=f"cannot be read as {suffix}.gz"):
        open_path(path)


@pytest.mark.filterwarnings("ignore:.* is Parquet:UserWarning")
def test_columns_can_be_left_out(tmp_path):
    frame = pd.DataFrame(X, columns=list("abc")).assign(kind=list("uvuv"))
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_parquet(tmp_path / "table.parquet")
    with pytest.raises(ValueError, match="column 'kind' holds text"):
        open_path(tmp_path / "table.csv")
    for suffix in ("csv", "parquet"):
        source = as_source(open_path(tmp_path / f"table.{suffix}", without=["kind", "b"]))
        assert source.names == ["a", "c"] and np.array_equal(source.read(0, 4), X[:, [0, 2]])
        with pytest.raises(ValueError, match=r"no column 'knd'; did you mean 'kind'\?"):
            open_path(tmp_path / f"table.{suffix}", without=["knd"])
    assert list(read_column(tmp_path / "table.csv", "kind")) == list("uvuv")
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(ValueError, match="no columns to leave out"):
        open_path(tmp_path / "X.npy", without=["a"])


@pytest.mark.filterwarnings("ignore:.* is Parquet:UserWarning")
def test_names_of_rows_in_parquet(tmp_path):
    frame = pd.DataFrame(X, columns=list("abc"), index=list("wxyz"))
    pairs = pd.MultiIndex.from_tuples([("u", 1), ("u", 2), ("v", 1), ("v", 2)], names=["site", "day"])
    for index, wanted in (
        (frame.index, list("wxyz")),
        (pairs, ["u/1", "u/2", "v/1", "v/2"]),
        (range(4), None),
    ):
        frame.set_axis(index).to_parquet(tmp_path / "table.parquet")
        store = open_path(tmp_path / "table.parquet")
        assert store.row_names() == wanted and store.names == list("abc")
