"""The one door to numba: compile options that every kernel shares.

``nogil`` because threads run kernels over row blocks; ``error_model="numpy"`` so that 1/0 is inf and not an
exception; no bounds checks; ``contract`` and ``reassoc`` let the compiler use fused multiply-adds and SIMD sums. The
flags that would let it assume away NaN and infinity (``nnan``, ``ninf``) stay off: a masked cell may hold either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["aligned", "kernel", "part"]

LINE = 64  # bytes
_FLAGS = {"contract", "reassoc", "nsz"}
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "boundscheck": False,
    "fastmath": _FLAGS,
}


def part(function: Callable[..., Any]) -> Any:
    """Compile what kernels of the same file call, and nobody else: no way in from Python, no file of its own.

    Kernels take their parts along into the cache. The ways in would cost a third of the time that compiling takes.
    Parts are put in the place of their calls: one that is called is compiled for itself as well, the process that
    compiles runs that version and later ones the kernel's own, whose sums may differ in the last bits.
    """
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True, **_OPTIONS)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` lazily, once per dtype, and keep the machine code on disk where that is possible.

    Parameters
    ----------
    function : callable
        Plain Python on arrays and scalars; may call a `part` of its own file only, since a cached caller does not
        notice that a callee in another file was edited.

    Returns
    -------
    dispatcher
        The compiled function. Where no cache folder can be written (a read-only installation with no home folder),
        it is compiled anew in every process.
    """
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba: "no locator available"
        return numba.njit(**_OPTIONS)(function)


def aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Zeros that start on a cache line: vector loads that straddle two lines cost half the speed of a sweep."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = np.zeros(size + LINE, np.uint8)
    offset = -raw.ctypes.data % LINE
    return raw[offset : offset + size].view(dtype).reshape(shape)
