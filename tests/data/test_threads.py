"""Threads that go over blocks."""

from __future__ import annotations

import numpy as np
import pytest

from nonneg.data.threads import Workers


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_say_of_overflows_what_the_caller_wants_said(threads):
    pool = Workers(threads)
    large = np.full(4, 1e300)
    try:
        with np.errstate(over="ignore"):
            assert all(np.isinf(found).all() for found in pool.map(lambda _: large * large, range(8)))
        with pytest.raises(FloatingPointError), np.errstate(over="raise"):
            list(pool.map(lambda _: large * large, range(8)))
    finally:
        pool.close()
