"""Indian Pines, a hyperspectral image of 145 × 145 pixels in 200 bands (uint16), that tensorly ships."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from benchmarks.nmf.harness import BaseDataset


class IndianPines(BaseDataset):
    """Pixels are rows, bands are columns."""

    name, order = "indian-pines", 4
    work = "dense, medium: Indian Pines 21025 × 200"
    ranks = (20,)
    goals = {20: (8.0, 15.0)}
    requirements = ("tensorly",)

    def get_data(self) -> np.ndarray:
        """float32."""
        spec = importlib.util.find_spec("tensorly")
        assert spec is not None and spec.origin is not None
        file = Path(spec.origin).parent / "datasets" / "data" / "Indian_pines_corrected.npy"
        return np.load(file).reshape(-1, 200).astype(np.float32)


DATASETS = (IndianPines,)
