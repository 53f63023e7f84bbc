"""What all tests share: fixed hypothesis examples, small blocks, a chosen number of threads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# reference.py and matrix_cases.py are plain modules beside the tests
sys.path.insert(0, str(Path(__file__).parent))

# the same examples in every run: a failure that a run finds, the next one finds too
settings.register_profile(
    "nonneg",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("nonneg")


def pytest_configure(config: pytest.Config) -> None:
    # OpenBLAS reads a little beyond small matrices: what lies there can raise the flag, the result is right. Tests
    # that mean NaN ask for finite results.
    config.addinivalue_line("filterwarnings", "ignore:invalid value encountered in matmul:RuntimeWarning")


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """A model without ``random_state`` draws from NumPy's global generator: the same numbers in any order of tests."""
    np.random.seed(0)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 rows, so that a few hundred rows make several."""
    from nonneg.data import source

    monkeypatch.setattr(source, "BLOCK_BYTES", 1)


@pytest.fixture
def threads() -> Callable[[int], AbstractContextManager]:
    """``with threads(2): ...`` offers that many threads to the library (by the user's own means)."""
    from threadpoolctl import threadpool_limits

    return lambda count: threadpool_limits(limits=count, user_api="blas")
