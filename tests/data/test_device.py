"""X on a device: what the source says, what its passes hand out, and how X comes there."""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from device_cases import DEVICES, strict
from nonneg.data import as_source, device
from nonneg.data.device import DeviceRows, as_array, lies_elsewhere, on
from nonneg.data.sampled import EveryNth
from nonneg.data.threads import workers
from nonneg.exceptions import IncompatibleError, MissingExtraError

pytestmark = pytest.mark.parametrize("place", DEVICES)


@pytest.fixture(autouse=True)
def made(monkeypatch):
    monkeypatch.setitem(device.CELLS, "cpu", 1000)
    monkeypatch.setattr(device, "MANY_CELLS", 1000)
    return strict(monkeypatch)


DTYPES = ["float32", "float64", "float16", "uint8", "int64", "bool", ">f4", "uint16"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_the_source_of_the_array(place, dtype, small_blocks):
    X = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 99, (300, 7)).astype(dtype)
    here, there = as_source(X), as_source(X, device=place)
    assert there.shape == here.shape and there.float_dtype == here.float_dtype
    assert there.device == str(torch.empty(0, device=place).device) and not there.in_memory
    assert there.bounds() == here.bounds()
    for cut in here.bounds():
        assert np.array_equal(here.block(*cut).X, there.block(*cut).X)
    assert np.array_equal(here.take([5, 299, 7]), there.take([5, 299, 7]))
    one, two = here.summary(), there.summary()
    assert (one.minimum, one.maximum, one.n_zero_rows) == (two.minimum, two.maximum, two.n_zero_rows)
    assert two.sum == pytest.approx(one.sum, rel=1e-6) and two.squares == pytest.approx(one.squares, rel=1e-6)


def test_weights_of_rows_count_in_the_summary(place):
    X, weights = np.random.default_rng(0).random((200, 5)), np.arange(200) % 3.0
    one = as_source(X, sample_weight=weights).summary()
    two = as_source(X, sample_weight=weights, device=place).summary()
    assert two.total_weight == one.total_weight == 5 * weights.sum()
    assert (two.sum, two.squares) == pytest.approx((one.sum, one.squares), rel=1e-12)


def test_a_pass_hands_out_a_few_large_blocks_and_their_rows(place, small_blocks):
    X, weights = np.random.default_rng(0).random((500, 4)), np.arange(500.0)
    source = as_source(X, sample_weight=weights, device=place)
    with workers(source) as pool:
        W = pool.given(source, X[:, :2].copy())
        out = pool.empty(source, 2, X.dtype)

        def work(block, mine, before, more):
            assert {part.device.type for part in (block.X, mine, before, more)} == {place}
            mine[...] = before + 1
            return as_array(block.X), as_array(block.row_weights), as_array(more), (block.start, block.stop)

        found = list(pool.over(source, work, W, weights, out=(out,)))
    pieces, of_rows, again, cuts = zip(*found, strict=True)
    assert 1 < len(cuts) < len(source.bounds())  # blocks of at most 1000 cells, of 64 rows each
    assert max(len(piece) for piece in pieces) * 4 <= 1000
    assert [cut[0] for cut in cuts] == [0, *(cut[1] for cut in cuts[:-1])] and cuts[-1][1] == 500
    assert np.array_equal(np.concatenate(pieces), X)
    assert np.array_equal(np.concatenate(of_rows), weights) and np.array_equal(np.concatenate(again), weights)
    assert np.array_equal(out[np.array([3, 499])], X[[3, 499], :2] + 1)


def test_samples_are_made_where_x_lies(place, small_blocks):
    X = np.random.default_rng(0).random((1000, 4))
    sample = EveryNth(as_source(X, device=place), 3)
    with workers(sample) as pool:
        pieces = list(pool.over(sample, lambda block: as_array(block.X)))
    assert len(pieces) < len(sample.bounds())
    assert np.array_equal(np.concatenate(pieces), X[sample.rows])


def test_units_and_floor_are_those_of_blocks(place):
    X = np.float32([[1e-30, 2], [4, 8]])
    source = as_source(X, device=place)
    source.scale, source.floor = 0.5, 1e-20
    with workers(source) as pool:
        (found,) = pool.over(source, lambda block: as_array(block.X))
    assert np.array_equal(found, np.float32([[0, 1], [2, 4]]))


def test_rows_are_arrays_of_their_own(place):
    source = as_source(np.ones((10, 3)), device=place)
    with workers(source) as pool:
        given = np.arange(20.0).reshape(10, 2)
        W = pool.given(source, given)
        assert pool.given(source, W) is W and isinstance(W, DeviceRows)
        other = W.copy()
        W[0:2] = 0
        assert not as_array(W[0:2]).any() and np.array_equal(np.asarray(other), given)
        assert given[0, 1] == 1  # and the ndarray is as it was
        zeros = pool.zeros(source, 4, np.float32)
        assert zeros.shape == (10, 4) and zeros.dtype == np.float32 and not np.asarray(zeros).any()
        assert np.asarray(other, np.float32).dtype == np.float32


def test_products_are_of_the_precision_of_x(place):
    torch.set_float32_matmul_precision("high")
    try:
        with workers(as_source(np.ones((3, 3)), device=place)):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_x_in_storage_comes_a_block_at_a_time(place, tmp_path):
    X = np.random.default_rng(0).random((100_000, 50), dtype=np.float32)  # 20 MB
    np.save(tmp_path / "X.npy", X)
    tracemalloc.start()
    source = as_source(tmp_path / "X.npy", memory_limit="7MB", device=place)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 13_000_000  # that of reading, and two blocks of 2 MB
    assert np.array_equal(source.take([0, 17, 99_999]), X[[0, 17, 99_999]])


def test_tensors_and_sources_are_taken_as_they_are(place):
    X = torch.arange(12.0, device=place).reshape(4, 3).requires_grad_()
    source = as_source(X, device=place)
    assert source.X.data_ptr() == X.data_ptr() and not source.X.requires_grad
    assert as_source(source).X is source.X and as_source(source, device=place).X is source.X
    assert as_source(source) is not source
    half = as_source(X.detach().to(torch.bfloat16), device=place)
    assert half.float_dtype == np.float32 and half.take([3]).tolist() == [[9, 10, 11]]
    assert lies_elsewhere(X) == (place != "cpu") and not lies_elsewhere(np.ones(3))
    if place == "cpu":
        array = np.ones((5, 4))
        array.setflags(write=False)
        shared = as_source(array, device=place).X
        assert shared.data_ptr() == array.ctypes.data
        turned = as_source(array[::-1], device=place)  # torch has no strides below 0
        assert turned.shape == (5, 4)


@pytest.mark.parametrize(
    ("X", "given", "error", "says"),
    [
        (sp.eye_array(4, format="csr"), {}, IncompatibleError, "dense data and X is sparse"),
        (torch.eye(4).to_sparse(), {}, IncompatibleError, "sparse tensor"),
        (torch.ones((2, 2), dtype=torch.complex64), {}, ValueError, "Complex data not supported"),
        (torch.ones((2, 2, 2)), {}, ValueError, r"expected a 2-D tensor .* \(2, 2, 2\)"),
        (torch.ones((0, 2)), {}, ValueError, r"0 sample\(s\)"),
        (np.ones((2, 2)), {"weights": np.ones((2, 2))}, IncompatibleError, "weights: .* leave device out"),
        (np.ones((2, 2)), {"missing": "ignore"}, IncompatibleError, "missing='ignore': .* leave device out"),
        (np.ones((2, 2)), {"client": object()}, IncompatibleError, "leave one of them out"),
        (as_source(np.ones((2, 2)), weights=np.eye(2)), {}, IncompatibleError, "X has weights of cells"),
    ],
)  # fmt: skip
def test_what_cannot_lie_there_is_refused(place, X, given, error, says):
    with pytest.raises(error, match=says):
        as_source(X, device=place, **given)


@pytest.mark.parametrize("wrong", ["nowhere", "meta", "cuda:77", 7.5])
def test_devices_that_are_not_there_are_refused(place, wrong):
    with pytest.raises(ValueError, match=r"torch cannot compute there .* leave device out"):
        as_source(np.ones((2, 2)), device=wrong)


def test_without_torch_the_message_says_what_to_install(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="torch"):
        on(place, as_source(np.ones((2, 2))))
