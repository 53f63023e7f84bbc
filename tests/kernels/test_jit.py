"""The one door to numba: a cache where there can be one, and no promotion of float32."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

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


KERNELS = sorted(Path(jit.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("file", KERNELS, ids=lambda file: file.stem)
def test_kernels_call_parts_and_no_kernels(file):
    functions = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
    marked = {
        node.name: {mark.id for mark in node.decorator_list if isinstance(mark, ast.Name)}
        for node in functions
    }
    for node in functions:
        if marked[node.name] & {"kernel", "part"}:
            called = {
                call.func.id
                for call in ast.walk(node)
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
            }
            assert not [name for name in called if "kernel" in marked.get(name, ())]


FIT = """
import hashlib
import numpy as np
from nonneg.kernels.scd import kl_rows
rng = np.random.default_rng(0)
H = rng.random((5, 90))
X = rng.poisson(rng.random((60, 5)) @ H).astype(float)
W = np.full((60, 5), 0.2)
zero = np.zeros(5)
kl_rows(W, H, X, H.sum(axis=1), zero, zero, 0.0, np.inf, 30, 0.0, np.zeros(5, bool))
print(hashlib.sha256(W.tobytes()).hexdigest())
"""


def test_the_process_that_compiles_finds_the_bits_of_later_ones(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    found = [
        subprocess.run(
            [sys.executable, "-c", FIT], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert list(tmp_path.rglob("*.nbc"))
    assert found[0] == found[1]
