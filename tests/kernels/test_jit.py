"""The one door to numba: a cache where there can be one, and no promotion of float32."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from nonneg.kernels import jit


def halved(x):
    return x / x.dtype.type(2)


def test_kernels_work_where_no_cache_can_be_written(monkeypatch):
    real = numba.njit

    def refuse(*args, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(*args, **options)

    monkeypatch.setattr(jit.numba, "njit", refuse)
    found = jit.kernel(halved)(np.ones(3, np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, 0.5)


def test_flags_keep_nan_and_infinity(monkeypatch):
    real = numba.njit
    # not on disk: a later run would look for this module under a name that it does not have there
    monkeypatch.setattr(jit.numba, "njit", lambda *args, cache, **options: real(*args, **options))

    @jit.kernel
    def largest(x):
        bad = 0
        for value in x:
            if value != value or value == np.inf:
                bad += 1
        return bad

    assert largest(np.array([1.0, np.nan, np.inf, 2.0])) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 7, 64), (0, 4)])
def test_aligned_zeros(shape, dtype):
    array = jit.aligned(shape, dtype)
    assert array.shape == shape and array.dtype == dtype
    assert array.flags.c_contiguous and array.flags.writeable
    assert array.ctypes.data % 64 == 0 or array.size == 0
    assert not array.any()
