"""Text tables: what names columns, what names rows, what is data, and what cannot be told."""

from __future__ import annotations

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
        ("sample,b\ns1,2\ns2,4\n", "column 'sample' holds text, 's1' in row 0.*empty name"),
        ("a,b\n1,2\n3,?\n", "column 'b' holds text, '\\?' in row 1 .*leave the cell empty or write NA"),
        ("1,?,3\n4,5,6\n", "column '1' holds text, '\\?' in row 0 "),  # no names
        ("-\n5\n6\n", "column '0' holds text, '-' in row 0 "),
        ('a,b\n1,"1,234"\n', "column 'b' holds text, '1,234' in row 0 .*without thousands separators"),
        ("a,b\n1 234.5,7\n", "column 'a' holds text, '1 234.5' in row 0 .*without thousands separators"),
        ('"1,234",2\n3,4\n', "column '0' holds text, '1,234' in row 0 "),  # no names
        ("a;b\n1;2\n", "columns look separated by ';'"),
        ("0,1;0,2\n0,3;0,4\n", "columns look separated by ';'"),
        ("", "table.csv: .*empty"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        as_source(written(tmp_path, text))


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
