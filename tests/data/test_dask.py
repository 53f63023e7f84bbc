"""Dask arrays: block by block in this process, or by the workers of a client, which changes no bit."""

import os
import signal
import warnings
from contextlib import contextmanager

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp

from nonneg import NMF, SemiNMF, as_source
from nonneg.data import dask as parts
from nonneg.data import passes
from nonneg.data.sampled import EveryNth
from nonneg.exceptions import IncompatibleError
from nonneg.penalties import L1, Group
from nonneg.solvers import gram, progressive

distributed = pytest.importorskip("distributed")

UNEVEN = (70, 1, 0, 59, 70, 100)
pytestmark = pytest.mark.filterwarnings(
    "ignore::nonneg.exceptions.ConvergenceWarning"
)  # fits end where the passes have been compared


def planted(n=300, m=40, k=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.gamma(1, 1, (n, k)) @ rng.gamma(0.5, 1, (k, m)) + 0.05 * rng.random((n, m))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of a few thousand cells: as many as a large X has."""
    monkeypatch.setattr(parts, "PART_BYTES", 60 * 40 * 4)


@pytest.fixture(scope="module")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ports and folders of this machine
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster:
            yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        yield client


@contextmanager
def near_client():
    """A client whose worker is a thread of this process, and knows what a test has patched."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, silence_logs=50
            ) as local,
            distributed.Client(local, set_as_default=False) as client,
        ):
            yield client


def same(one, two):
    for name in ("components_", "labels_", "kkt_residual_", "reconstruction_err_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    for name in ("loss", "kkt", "change"):
        np.testing.assert_array_equal(one.history_[name], two.history_[name], err_msg=name)


def sparse_chunks(X):
    return X.map_blocks(sp.csr_array, meta=sp.csr_array((0, 0), dtype=X.dtype))


X = planted()
HOLED = np.where(np.random.default_rng(1).random(X.shape) < 0.1, np.nan, X)
ROW_WEIGHTS = np.random.default_rng(2).integers(0, 3, len(X)).astype(float)
CASES = {
    "hals": (da.from_array(X, chunks=(UNEVEN, 25)), {}, {}),
    "hals, uint8, weighted rows": (
        da.from_array(np.minimum(20 * X, 255).astype(np.uint8), chunks=(60, -1)),
        {},
        {"sample_weight": ROW_WEIGHTS},
    ),
    "hals, sparse": (sparse_chunks(da.from_array(np.where(X > 1, X, 0), chunks=(UNEVEN, -1))), {}, {}),
    "mu, kl, float32": (
        da.from_array(X.astype(np.float32), chunks=(100, -1)),
        {"loss": "kl", "penalty_H": 1e-3, "penalty_W": L1(1e-4)},
        {},
    ),
    "mu, missing cells": (da.from_array(HOLED, chunks=(60, -1)), {"missing": "ignore"}, {}),
    "anls": (da.from_array(X, chunks=(100, -1)), {"solver": "anls", "init": "nndsvd"}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_workers_of_a_client_find_the_bits_of_one_process(name, client):
    data, how, weights = CASES[name]
    one, two = (NMF(3, max_iter=7, tol=0, random_state=0, **how) for _ in range(2))
    W = one.fit_transform(data, **weights)
    again = two.fit_transform(data, client=client, **weights)
    assert as_source(data).bounds()[1][0] < len(X)  # in several blocks
    same(one, two)
    np.testing.assert_array_equal(W.compute(), client.gather(client.compute(again)))
    assert one.score(data, **weights) == two.score(data, client=client, **weights)


def test_an_ndarray_and_a_dask_array_have_one_answer(client):
    data = da.from_array(X, chunks=(60, -1))
    H0 = planted(3, 40, 2, seed=3)
    whole, chunked = (NMF(3, max_iter=20, tol=0).fit(V, H_init=H0) for V in (X, data))
    np.testing.assert_allclose(chunked.components_, whole.components_, rtol=1e-9)
    W = chunked.transform(data)
    assert isinstance(W, da.Array)
    assert W.chunks[0] == data.chunks[0]
    np.testing.assert_allclose(W.compute(scheduler="synchronous"), whole.transform(X), rtol=1e-8)
    far = chunked.transform(data, client=client)
    np.testing.assert_array_equal(client.gather(client.compute(far)), W.compute(scheduler="synchronous"))
    np.testing.assert_allclose(chunked.memberships(data), whole.memberships(X), rtol=1e-8)


def test_other_models_take_the_chunks_one_after_the_other():
    data = da.from_array(X, chunks=(60, -1))
    one, two = (SemiNMF(3, max_iter=10, tol=0).fit(V, H_init=X[:3]) for V in (X, data))
    np.testing.assert_allclose(two.components_, one.components_, rtol=1e-8)


def test_a_default_client_is_taken(cluster):
    data = da.from_array(X, chunks=(60, -1))
    with distributed.Client(cluster) as client:
        assert as_source(data).client is client
        assert NMF(2, max_iter=2).fit_transform(data).compute().shape == (300, 2)
        SemiNMF(3, max_iter=10, tol=0).fit(data, H_init=X[:3])
    assert as_source(data).client is None


def test_a_start_on_samples_goes_to_the_workers_too(client, monkeypatch):
    monkeypatch.setattr(progressive, "MANY_ROWS", 100)
    monkeypatch.setattr(progressive, "STAGES", (progressive.Stage(32, 0, 2), progressive.Stage(8, 0, 2)))
    data = da.from_array(planted(64 * 60, 40), chunks=(60, -1))
    seen = []
    head_start = progressive.head_start
    monkeypatch.setattr("nonneg.solvers.loop.head_start", lambda *given: seen.append(1) or head_start(*given))
    one, two = (NMF(3, max_iter=1, tol=0, random_state=0) for _ in range(2))
    same(one.fit(data), two.fit(data, client=client))
    assert len(seen) == 2


def test_a_file_is_read_by_the_workers(client, tmp_path, monkeypatch):
    monkeypatch.setattr("nonneg.data.source.BLOCK_BYTES", 64 * 40 * 4)
    monkeypatch.setattr(parts, "BLOCK_BYTES", 64 * 40 * 4)
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    model = NMF(3, max_iter=5, tol=0, random_state=0).fit(tmp_path / "X.npy", client=client)
    holed = as_source(tmp_path / "X.npy", missing="ignore")
    assert as_source(holed, client=client, missing="ignore").nan_is_missing
    step = as_source(tmp_path / "X.npy", client=client).bounds()[0][1]
    assert step < len(X)
    data = da.from_array(X.astype(np.float32), chunks=(step, -1))
    same(model, NMF(3, max_iter=5, tol=0, random_state=0).fit(data))


PIECES = {
    "hals": {},
    "mu, kl": {"loss": "kl", "solver": "mu"},
    "anls, penalty": {"solver": "anls", "penalty_W": 1e-3},
}


@pytest.mark.parametrize("name", PIECES)
def test_parts_are_worked_on_in_pieces(name, monkeypatch):
    """As large as the blocks of an array, here and on the workers; a sample of the parts too."""
    monkeypatch.setattr("nonneg.data.source.BLOCK_BYTES", 64 * 40 * 8)
    data = da.from_array(X, chunks=(150, -1))
    sizes, row_blocks = [], gram.data_product
    monkeypatch.setattr(
        "nonneg.solvers.hals.data_product", lambda b, H: sizes.append(len(b.X)) or row_blocks(b, H)
    )
    settings = {"max_iter": 5, "tol": 0, "random_state": 0, **PIECES[name]}
    plain, one, two = (NMF(3, **settings) for _ in range(3))
    one.fit(data, H_init=X[:3])
    with near_client() as client:
        same(one, two.fit(data, H_init=X[:3], client=client))
        assert one.score(data) == two.score(data, client=client)
    plain.fit(X, H_init=X[:3])
    np.testing.assert_allclose(one.components_, plain.components_, rtol=1e-6)
    if name == "hals":
        assert set(sizes) == {64, 22, len(X) - 4 * 64}  # 150 = 64 + 64 + 22; of the array 300 = 4 · 64 + 44


def test_pieces_of_a_sample_are_those_of_the_whole(monkeypatch):
    monkeypatch.setattr("nonneg.data.source.BLOCK_BYTES", 64 * 40 * 8)
    source = as_source(da.from_array(X, chunks=(100, -1)))
    sample = EveryNth(source, 2)
    assert source.pieces(100, 200) == [(100, 164), (164, 200)]
    assert sample.pieces(100, 200) == [(100, 164), (164, 200)]
    np.testing.assert_array_equal(sample.block(164, 200).X, X[264:300])
    assert sample.root(100, 164)[1] == (200, 264)


def test_a_killed_worker_changes_no_bit(client, monkeypatch):
    """Its rows of W are made again from what was written down."""
    data = da.from_array(X, chunks=(60, -1))
    one, two = (NMF(3, max_iter=14, tol=0, random_state=0) for _ in range(2))
    one.fit(data)
    calls, rested = [], []
    gathered, rest = passes.gathered, passes.Passes._rest

    def killing(client, futures):
        calls.append(1)
        if len(calls) == 18:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        return gathered(client, futures)

    monkeypatch.setattr(passes, "REST_EVERY", 3)
    monkeypatch.setattr(passes, "gathered", killing)
    monkeypatch.setattr(passes.Passes, "_rest", lambda self, W: rested.append(1) or rest(self, W))
    two.fit(data, client=client)
    assert len(calls) > 18 and len(rested) > 2
    same(one, two)


def test_a_fit_goes_on_from_its_checkpoint(client, tmp_path):
    data = da.from_array(X, chunks=(60, -1))
    whole = NMF(3, max_iter=8, tol=0, random_state=0).fit(data)
    how = {"tol": 0, "random_state": 0, "checkpoint": tmp_path}
    NMF(3, max_iter=4, **how).fit(data, client=client)
    same(whole, NMF(3, max_iter=8, **how).fit(data, client=client))


def test_rows_are_handed_to_passes_alone(client):
    source = as_source(da.from_array(X, chunks=(60, -1)), client=client)
    pool = passes.Passes(client)
    W = pool.zeros(source, 2, np.float32)
    assert np.asarray(W).shape == (300, 2) and not np.asarray(W).any()
    with pytest.raises(TypeError, match="stay with the workers"):
        list(pool.over(source, lambda block: W))


def test_files_are_deleted_once_no_row_array_could_be_made_from_them(client, monkeypatch):
    monkeypatch.setattr(passes, "REST_EVERY", 3)
    source = as_source(da.from_array(X, chunks=(150, -1)), client=client)
    pool = passes.Passes(client)

    def one_more(mine, w):
        mine[...] = w + 1

    W = pool.given(source, np.zeros((300, 2)))
    spare, early = W.copy(), None
    for step in range(40):
        for _ in pool.along(source, one_more, W, out=(spare,)):
            pass
        W, spare = spare, W
        if step == 1:
            early = W.copy()  # of the first generation
    first = [os.path.dirname(written.paths[0]) for written in early.past]
    assert len(first) == 1 and len(os.listdir(first[0])) == 2
    assert len(os.listdir(pool._folder)) <= 3
    del early
    assert not os.path.exists(first[0])
    assert (np.asarray(W) == 40).all()
    folder = pool._folder
    pool.close()
    assert not os.path.exists(folder)


def test_a_source_goes_from_one_client_to_another(cluster, client):
    """What the workers keep of X for a client goes with it; what a restart has taken is made again."""
    H = X[:2]
    how = {"max_iter": 1, "tol": 0}
    data = da.from_array(X, chunks=(150, -1))
    expected = NMF(2, **how).fit(data, H_init=H).components_
    with distributed.Client(cluster, set_as_default=False) as first:
        source = as_source(data, client=first)
        NMF(2, **how).fit(source, H_init=H)
        first.cancel(list(source.held.values()), force=True)
        np.testing.assert_array_equal(NMF(2, **how).fit(source, H_init=H).components_, expected)
    with pytest.raises(ValueError, match="client is closed; make a new"):
        NMF(2).fit(source, H_init=H)
    with pytest.raises(ValueError, match="client is closed; make a new"):
        source.hold()
    with pytest.raises(ValueError, match="client is closed; make a new"):
        NMF(2).fit(data, client=first)
    found = NMF(2, **how).fit(source, client=client, H_init=H)
    np.testing.assert_array_equal(found.components_, expected)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (da.ones((10, 2, 2)), ValueError, "2-D"),
        (da.ones((10, 3), dtype=complex), ValueError, "complex"),
        (da.from_array(X)[da.from_array(X)[:, 0] > 1], ValueError, "compute_chunk_sizes"),
    ],
)
def test_arrays_that_are_no_matrix_of_numbers(data, error, words):
    with pytest.raises(error, match=words):
        NMF(2).fit(data)


def test_data_frames_say_what_to_pass():
    import dask.dataframe as dd
    import pandas as pd

    frame = dd.from_pandas(pd.DataFrame(X[:, :3]), npartitions=2)
    with pytest.raises(TypeError, match="to_dask_array"):
        NMF(2).fit(frame)


def test_what_the_workers_cannot_do_is_refused(client):
    data = da.from_array(X, chunks=(60, -1))
    with pytest.raises(IncompatibleError, match="take NMF"):
        SemiNMF(2).fit(data, client=client)
    with pytest.raises(ValueError, match="memory of this process"):
        NMF(2).fit(X, client=client)
    weighted = as_source(data, weights=np.full(X.shape, 2.0) - (X > 1))
    with pytest.raises(ValueError, match="is a source with weights of cells"):
        NMF(2).fit(weighted, client=client)
    with pytest.raises(TypeError, match="must be a dask"):
        NMF(2).fit(data, client="tcp://127.0.0.1")
    with pytest.raises(ValueError, match="weights of cells"):
        NMF(2).fit(data, client=client, weights=np.ones(X.shape))
    with pytest.raises(ValueError, match="unstored"):
        NMF(2, missing="unstored").fit(sparse_chunks(data))
    with pytest.raises(IncompatibleError, match="client"):
        NMF(2, penalty_W=Group(0.1, over="items")).fit(data, client=client)
