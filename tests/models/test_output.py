"""``transform(out=…)``: the numbers of `transform`, bit for bit, some blocks at a time and never all in memory."""

import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from family_cases import data_for, model_class
from nonneg import NMF, ConvolutiveNMF
from nonneg.data import runs
from nonneg.penalties import L1, Smoothness
from nonneg.registry import MODELS

SMALL = {"n_components": 3, "random_state": 0, "max_iter": 5, "max_epochs": 1, "hidden": (8,)}
OTHERWISE = {"NonnegativeTucker": {"ranks": (3, 3)}}


@pytest.fixture
def short_runs(small_blocks, monkeypatch):
    """Runs of two blocks of 64 rows."""
    monkeypatch.setattr(runs, "RUN_BLOCKS", 2)


def small_model(name):
    cls = model_class(name)
    known = cls().get_params()
    wanted = {**SMALL, **OTHERWISE.get(name, {})}
    return cls(**{key: value for key, value in wanted.items() if key in known})


def written(model, X, path, **options):
    """What ``out`` holds, which is what is returned."""
    found = model.transform(X, out=path, **options)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(np.load(path), found)
    return found


def assert_same(found, W):
    assert found.dtype == W.dtype
    np.testing.assert_array_equal(found, W)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_writes_what_it_returns(name, short_runs, tmp_path):
    model = small_model(name)
    X = data_for(model, n=321)  # the last of six blocks is one row
    X = np.ceil(5 * X) if name == "IntegerNMF" else X
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few steps do not settle
        model.fit(X)
    assert_same(written(model, X, tmp_path / "W.npy"), model.transform(X))


def rows_of_X(n=321, m=9, seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(0.5, size=(n, 3)) @ rng.gamma(0.5, size=(3, m)) + 0.02 * rng.random((n, m))


def with_gaps(X):
    """NaN in some cells, in all of row 200, and in none of the first run."""
    X = np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)
    X[:128] = rows_of_X()[:128]
    X[200] = np.nan
    return X


CASES = {
    "frobenius": ({}, rows_of_X()),
    "many components": ({"n_components": 20}, rows_of_X(m=30)),
    "kl": ({"loss": "kl"}, rows_of_X()),
    "beta": ({"loss": 1.5}, rows_of_X()),
    "sparse": ({}, sp.csr_array(np.where(rows_of_X() < 0.3, 0, rows_of_X()))),
    "sparse kl": ({"loss": "kl"}, sp.csr_array(np.where(rows_of_X() < 0.3, 0, rows_of_X()))),
    "uint8": ({}, (40 * rows_of_X()).astype(np.uint8)),
    "gaps": ({"missing": "ignore"}, with_gaps(rows_of_X())),
    "gaps kl": ({"missing": "ignore", "loss": "kl"}, with_gaps(rows_of_X())),
    "penalties": ({"penalty_W": L1(1e-5), "penalty_H": L1(1e-5)}, rows_of_X()),
    "tiny units": ({}, 1e-200 * rows_of_X()),
    "rising units": ({"loss": "kl"}, rows_of_X() * np.logspace(-30, 0, 321)[:, None]),  # which the floor sees
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:X has no observed")
@pytest.mark.parametrize("case", CASES)
def test_a_run_knows_the_units_of_the_whole(case, short_runs, tmp_path):
    parameters, X = CASES[case]
    model = NMF(**{"n_components": 3, "max_iter": 10, "random_state": 0, **parameters}).fit(X)
    assert_same(written(model, X, tmp_path / "W.npy"), model.transform(X))


def test_weights_of_cells_come_along(short_runs, tmp_path):
    X = rows_of_X()
    weights = np.random.default_rng(2).integers(0, 3, X.shape)
    model = NMF(3, tol=1e-3, random_state=0).fit(X, weights=weights)
    found = written(model, X, tmp_path / "W.npy", weights=weights)
    assert_same(found, model.transform(X, weights=weights))


@pytest.mark.parametrize("kind", ["W.npy", "W.zarr", "W.h5"])
def test_from_storage_to_storage(kind, short_runs, tmp_path):
    X = rows_of_X()
    np.save(tmp_path / "X.npy", X)
    model = NMF(3, tol=1e-3, random_state=0).fit(X)
    found = model.transform(tmp_path / "X.npy", out=tmp_path / kind, memory_limit="20KB")
    assert_same(found[:], model.transform(X))


@pytest.mark.parametrize(("limit", "kind"), [(30_815, np.memmap), ("30.816KB", np.ndarray)])
def test_W_beyond_a_quarter_of_the_memory_is_mapped(limit, kind, tmp_path):
    """W takes 321 · 3 · 8 = 7704 bytes."""
    model = NMF(3, tol=1e-3, random_state=0).fit(rows_of_X())
    found = model.transform(rows_of_X(), memory_limit=limit)
    assert type(found) is kind
    assert_same(found, model.transform(rows_of_X()))


def test_chunks_of_dask_are_written_as_they_are_made(small_blocks, tmp_path, monkeypatch):
    import dask.array as da
    import distributed

    from nonneg.models import output

    monkeypatch.setattr(output, "AT_ONCE", 2)
    X = rows_of_X()
    chunked = da.from_array(X, chunks=((100, 21, 100, 100), 9))
    model = NMF(3, tol=1e-3, random_state=0).fit(X)
    W = np.asarray(model.transform(chunked))
    assert_same(written(model, chunked, tmp_path / "W.npy"), W)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ports of this machine
        cluster = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None)
    with cluster, distributed.Client(cluster):
        assert_same(written(model, chunked, tmp_path / "W.npy"), W)


def test_only_some_blocks_are_worked_on_at_once(short_runs, tmp_path, monkeypatch):
    heights = []
    work = NMF._transform_source
    monkeypatch.setattr(
        NMF, "_transform_source", lambda self, source: heights.append(source.shape[0]) or work(self, source)
    )
    NMF(3, tol=1e-3, random_state=0).fit(rows_of_X()).transform(rows_of_X(), out=tmp_path / "W.npy")
    assert heights == [128, 128, 65]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_that_depend_on_each_other_are_computed_together(short_runs, tmp_path, monkeypatch):
    model = ConvolutiveNMF(2, width=3, max_iter=3, random_state=0).fit(rows_of_X())
    heights = []
    work = ConvolutiveNMF._transform_source
    monkeypatch.setattr(
        ConvolutiveNMF,
        "_transform_source",
        lambda self, source: heights.append(source.shape[0]) or work(self, source),
    )
    model.transform(rows_of_X(), out=tmp_path / "W.npy")
    assert heights == [321]


def test_a_warning_comes_once(short_runs, tmp_path):
    X = rows_of_X()
    model = NMF(3, penalty_W=Smoothness(0.01), tol=1e-2, random_state=0).fit(X)
    with pytest.warns(UserWarning, match="leaves out what couples rows") as found:
        model.transform(X, out=tmp_path / "W.npy")
    assert len(found) == 1


def test_a_row_that_is_wrong_is_found_in_its_run(short_runs, tmp_path):
    from nonneg import Autoencoder

    X = rows_of_X().astype(np.float32)
    model = Autoencoder(3, hidden=(8,), max_epochs=1, random_state=0).fit(1e-3 * X)
    far = X.copy()
    far[200] = 3e38
    with pytest.raises(ValueError, match="row 72 ") as error:
        model.transform(far, out=tmp_path / "W.npy")
    assert error.value.__notes__ == ["In a run of rows that begins with row 128 of X."]
    assert not list(tmp_path.iterdir())


def test_bad_paths_are_refused_before_X_is_read(tmp_path):
    model = NMF(3, tol=1e-2, random_state=0).fit(rows_of_X())
    with pytest.raises(ValueError, match=r"out: .*no suffix"):
        model.transform("no such file.npy", out=tmp_path / "W")
    np.save(tmp_path / "X.npy", rows_of_X())
    with pytest.raises(ValueError, match="is the data"):
        model.transform(tmp_path / "X.npy", out=tmp_path / "X.npy")


def test_memory_does_not_grow_with_W(tmp_path):
    """W of 64 MB, of which 8 MB are made at a time, by way of some arrays of that size."""
    X = np.random.default_rng(0).random((400_000, 50), np.float32)
    model = NMF(40, tol=10.0, random_state=0).fit(X[:1000])
    model.transform(X[:1000], out=tmp_path / "W.npy")  # what is compiled is compiled
    tracemalloc.start()
    try:
        model.transform(X, out=tmp_path / "W.npy")
        assert tracemalloc.get_traced_memory()[1] < 45e6
    finally:
        tracemalloc.stop()
