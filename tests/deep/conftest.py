from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Rows of uint8 that four patterns and some noise make."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 120, (4, 30)) * (rng.random((4, 30)) < 0.5)
    weights = rng.dirichlet(np.full(4, 0.4), 200) * 2
    return np.clip(weights @ patterns + rng.integers(0, 10, (200, 30)), 0, 255).astype(np.uint8)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
