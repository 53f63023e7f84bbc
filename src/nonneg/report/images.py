"""Parts as small images: how they become PNG, and a PNG an address."""

from __future__ import annotations

import base64
import io

import numpy as np

__all__ = ["data_uri", "has_signs", "picture_of"]


def has_signs(images: np.ndarray) -> bool:
    """Whether images are drawn in red and blue: rounding of a network's output is no sign, and colours show none."""
    return images.ndim < 4 and bool(images.min(initial=0.0) < -1e-3 * np.abs(images).max(initial=0.0))


def picture_of(
    image: np.ndarray, largest: float, side: int, *, signed: bool = False
) -> tuple[bytes, int, int]:
    """PNG of an image, with its width and height: 0 is white, or black in colour; its own largest value full.

    Parameters
    ----------
    image : ndarray of shape (rows, columns) or (rows, columns, 3)
        What is below 0 is drawn as 0 where the image is not signed.
    largest : float
        Largest magnitude of all images: one below 1e-3 of it stays white.
    side : int
        Pixels; larger images are averaged down to it.
    signed : bool, default=False
        Red is above 0 and blue below; else all is grey.
    """
    from PIL import Image

    top = max(float(np.abs(image).max(initial=0.0)), 1e-3 * largest, np.finfo(float).tiny)
    level = np.clip(image / top, -1, 1)
    if level.ndim == 3:
        pixels = np.clip(level, 0, 1)
    elif signed:
        warm, cold = np.clip(level, 0, 1), np.clip(-level, 0, 1)
        # white in the middle; (0.7, 0.09, 0.17) and (0.13, 0.4, 0.67) at the ends
        pixels = 1 - warm[..., None] * (0.3, 0.91, 0.83) - cold[..., None] * (0.87, 0.6, 0.33)
    else:
        pixels = 1 - np.clip(level, 0, 1)
    raster = Image.fromarray((255 * pixels + 0.5).astype(np.uint8))
    shrink = side / max(raster.size)
    if shrink < 1:
        width, height = (max(1, round(shrink * length)) for length in raster.size)
        raster = raster.resize((width, height), Image.Resampling.BOX)
    file = io.BytesIO()
    raster.save(file, "PNG", optimize=True)
    return file.getvalue(), *raster.size


def data_uri(content: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
