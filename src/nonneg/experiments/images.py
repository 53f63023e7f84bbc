"""The images of a study: clean or noisy, with the subset that the linear classifier is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nonneg.datasets import load

__all__ = ["NOISES", "Images", "corrupt", "images_of"]

NOISES = ("masking", "salt-and-pepper", "gaussian", "uniform")

#: Labelled training images of the linear classifier.
N_PROBE = 10_000


@dataclass(frozen=True)
class Images:
    """Training and test images with labels.

    Attributes
    ----------
    train, test : ndarray (n, m)
        As loaded: uint8 stays uint8.
    y_train, y_test : ndarray (n,)
        Labels.
    probe : ndarray
        Numbers of the training images of the linear classifier: 10,000 random ones, or all.
    shape : (rows, columns)
        Of an image.
    top : float
        The largest training value.
    """

    train: NDArray
    y_train: NDArray
    test: NDArray
    y_test: NDArray
    probe: NDArray
    shape: tuple[int, int]
    top: float


@lru_cache(maxsize=1)
def images_of(name: str, n_train: int | None = None, n_test: int | None = None) -> Images:
    """Load the images of a data set; `n_train` and `n_test` keep only the first so many."""
    train, test = load(name, "train"), load(name, "test")
    n = len(train.data[:n_train])
    probe = np.sort(np.random.default_rng(0).permutation(n)[:N_PROBE])
    return Images(
        train.data[:n_train],
        train.target[:n_train],
        test.data[:n_test],
        test.target[:n_test],
        probe,
        train.image_shape,
        float(train.data.max()),
    )


def corrupt(X: NDArray, kind: str | None, level: float | None, *, top: float, seed: int) -> NDArray:
    """Return noisy images of the same type as `X`, with values in 0 … top.

    Parameters
    ----------
    X : ndarray (n, m)
        Clean images.
    kind : {"masking", "salt-and-pepper", "gaussian", "uniform"} or None
        None returns `X` itself.
    level : float
        Share of pixels set to 0 (masking), or to 0 or `top` by halves (salt-and-pepper); standard deviation, or
        half-width, in units of `top`. Results are clipped to 0 … top: pixels are not negative.
    top : float
        White.
    seed : int
        Of the draw.

    Raises
    ------
    ValueError
        An unknown kind, or a level outside 0 … 1.
    """
    if kind is None or not level:
        return X
    if kind not in NOISES:
        raise ValueError(f"noise must be one of {', '.join(NOISES)}, got {kind!r}.")
    if not 0 <= level <= 1:
        raise ValueError(f"noise level must lie between 0 and 1, got {level!r}.")
    rng = np.random.default_rng(seed)
    noisy = X.copy()
    for start in range(0, len(X), 4096):  # blocks: random numbers of all pixels would be 8 times the images
        block = noisy[start : start + 4096]
        if kind in ("masking", "salt-and-pepper"):
            hit = rng.random(block.shape, dtype=np.float32)
            block[hit < level] = 0
            if kind == "salt-and-pepper":
                block[hit < level / 2] = top
            continue
        draw = rng.standard_normal if kind == "gaussian" else lambda shape: rng.uniform(-1.0, 1.0, shape)
        moved = np.clip(block + level * top * draw(block.shape), 0.0, top)
        block[:] = np.rint(moved) if np.issubdtype(X.dtype, np.integer) else moved
    return noisy
