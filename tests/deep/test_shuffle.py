"""The order of samples that are read from storage: every one once, in large pieces, mixed, resumable."""

from __future__ import annotations

import numpy as np
import pytest

from nonneg import DDNMF
from nonneg.data import as_source
from nonneg.data.source import Source
from nonneg.data.store import RawStore
from nonneg.deep import ranks, shuffle
from nonneg.deep.batches import Batches

N, M = 700, 5  # rows of 20 bytes: see `small`


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A file of 11 blocks: 6 runs, of which 4 make a window."""
    monkeypatch.setattr("nonneg.data.source.BLOCK_BYTES", 64 * 4 * M)
    monkeypatch.setattr(shuffle, "WINDOW", 4)
    monkeypatch.setattr(shuffle, "BLOCK_BYTES", 64 * 4 * M)
    X = np.arange(N * M, dtype=np.float32).reshape(N, M)
    np.save(tmp_path / "X.npy", X)
    return X, tmp_path / "X.npy"


def batches(X, size: int = 48) -> Batches:
    return Batches(as_source(X), size, seed=3)


def test_every_sample_once_an_epoch_in_another_order(small):
    X, path = small
    found = batches(path)
    assert [len(run) for run in found.shuffle.runs] == [2, 2, 2, 2, 2, 1]
    orders = [found.order(epoch) for epoch in (0, 1)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(N))
    assert (orders[0] != orders[1]).mean() > 0.9
    np.testing.assert_array_equal(orders[0], batches(path).order(0))
    for batch in found.epoch(1):
        np.testing.assert_array_equal(batch.x, X[batch.rows])


@pytest.mark.parametrize("epoch", range(3))
def test_a_window_mixes_its_runs_and_no_others(small, epoch):
    order = batches(small[1]).order(epoch)
    runs = order // 128
    first = np.unique(runs[: 3 * 128 + 60])  # rows of four runs, if the short one is among them
    held = sum(128 if run < 5 else 60 for run in first)
    assert len(first) == 4
    assert set(runs[:held]) == set(first)
    assert not set(runs[held:]) & set(first)
    assert len(set(runs[:48])) == 4 if 5 not in first else 3  # mixed from the first batch on


@pytest.mark.parametrize("first", [0, 1, 7, 10, 14])
def test_an_epoch_can_be_entered_anywhere(small, first):
    whole = [batch.rows.tolist() for batch in batches(small[1]).epoch(2)]
    assert [batch.rows.tolist() for batch in batches(small[1]).epoch(2, first)] == whole[first:]


class Counted(Source):
    """Rows that are not in memory, as far as anybody knows, and what was read of them."""

    in_memory = False

    def __init__(self, X: np.ndarray) -> None:
        self.X, self.shape, self.dtype = X, X.shape, X.dtype
        self.read_: list[tuple[int, int] | None] = []

    def _read(self, rows):
        self.read_.append((rows.start, rows.stop) if isinstance(rows, slice) else None)
        return self.X[rows].copy()


def test_an_epoch_reads_every_block_once(small):
    found = Batches(source := Counted(small[0]), 48, seed=3)
    for _ in found.epoch(0):
        assert len(found.runs.held) <= 2 * found.shuffle.window
    assert sorted(source.read_) == source.bounds()


def test_an_epoch_reads_a_file_once(small, monkeypatch):
    rows = []
    real = RawStore._spans

    def counted(self, spans):
        rows.extend(stop - start for start, stop in spans)
        return real(self, spans)

    monkeypatch.setattr(RawStore, "_spans", counted)
    for _ in batches(small[1]).epoch(0):
        pass
    assert sum(rows) == N


def test_two_processes_read_their_shares(small, monkeypatch):
    monkeypatch.setattr(shuffle, "WINDOW", 16)
    X = np.zeros((64 * 64, M), np.float32)  # 32 runs
    rows, reads = [], []
    for number in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(ranks, "size", lambda: 2)
            patch.setattr(ranks, "rank", lambda number=number: number)
            source = Counted(X)
            rows.append([batch.rows.numpy() for batch in Batches(source, 257, seed=3).epoch(0)])
            reads.append(source.read_)
    whole = [batch.rows.numpy() for batch in Batches(Counted(X), 257, seed=3).epoch(0)]
    for pair, rows_of_batch in zip(zip(*rows, strict=True), whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(pair), np.sort(rows_of_batch))
        assert len(pair[0]) - len(pair[1]) in (0, 1)
    assert all(len(set(read)) == len(read) for read in reads)
    assert len(reads[0]) + len(reads[1]) < 1.35 * 64  # those in the middle of a window belong to both


def test_rows_from_all_over_are_read_alone(small, monkeypatch):
    monkeypatch.setattr(shuffle, "FEWEST", 1)
    monkeypatch.setattr(shuffle, "WINDOW", 1)
    found = Batches(source := Counted(small[0]), 48, seed=3)
    rows = np.array([0, 200, 400, 600])
    np.testing.assert_array_equal(found.take(rows).x, small[0][rows])
    assert source.read_ == [None]


def test_missing_cells_and_weights_of_rows(small):
    X, path = small
    X[3, 1] = np.nan
    np.save(path, X)
    weights = np.arange(N) + 1.0
    source = as_source(path, missing="ignore", sample_weight=weights)
    for batch in Batches(source, 48, seed=3).epoch(0):
        rows = batch.rows.numpy()
        np.testing.assert_array_equal(batch.x, np.nan_to_num(X[rows]))
        np.testing.assert_allclose(batch.weight, weights[rows])
        cells = np.ones(X[rows].shape) if batch.cells is None else batch.cells
        np.testing.assert_array_equal(cells, ~np.isnan(X[rows]))


def test_what_a_window_holds_is_shuffled_as_in_memory(tmp_path):
    X = np.random.default_rng(0).random((500, 4)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    np.testing.assert_array_equal(batches(tmp_path / "X.npy").order(5), batches(X).order(5))


def test_large_blocks_make_small_windows():
    class Wide(Counted):
        def bounds(self):
            return [(start, start + 500) for start in range(0, 10_000, 500)]

    found = shuffle.Shuffle(Wide(np.empty((10_000, 8192), np.uint8)), 0)  # 16 MB a block
    assert [len(run) for run in found.runs] == [1] * 20
    assert found.window == shuffle.FEWEST


def test_a_fit_from_a_file_that_is_sorted_is_as_good_as_one_in_memory(small, tmp_path):
    rng = np.random.default_rng(0)
    parts = rng.random((4, M)) * (rng.random((4, M)) < 0.6) + 0.05
    X = (np.repeat(parts, N // 4, axis=0) * rng.uniform(0.5, 1, (N, 1))).astype(np.float32)  # by kind
    np.save(tmp_path / "sorted.npy", X)
    how = {"hidden": (32, 16), "profile": "best", "batch_size": 64, "max_epochs": 10, "learning_rate": 5e-3}
    errors = [
        DDNMF(4, **how, random_state=0).fit(data).reconstruction_err_ for data in (X, tmp_path / "sorted.npy")
    ]
    assert errors[0] != errors[1]  # another order
    assert errors[1] < 1.25 * errors[0] < 0.5 * np.linalg.norm(X)
