from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def threads_as_before():
    """Commands set the threads of their process for good; this process goes on with other tests."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits():
        yield
    torch.set_num_threads(before)


@pytest.fixture
def matrix(tmp_path):
    """Data of three parts, and the file that holds them."""
    rng = np.random.default_rng(0)
    X = rng.random((40, 3)) @ rng.random((3, 12)) + 0.05 * rng.random((40, 12))
    np.save(tmp_path / "X.npy", X)
    return X, tmp_path / "X.npy"
