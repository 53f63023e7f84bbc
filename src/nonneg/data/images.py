"""A folder of images of one size: each file is a row of pixels, decoded when it is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from .store import Store

__all__ = ["ImageStore", "image_files", "image_shape", "natural_order"]

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".pnm", ".webp"))
CHANNELS = "rgb"
PIXEL = re.compile(r"y(\d+)x(\d+)([rgb]?)")


def natural_order(text: str) -> list[Any]:
    """What to sort by so that ``face10`` comes after ``face9``."""
    parts = re.split(r"(\d+)", text.lower())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)] + [text]


def image_files(folder: Path) -> list[str]:
    """Paths of the images in a folder and its folders, relative to it, in natural order; hidden ones are left out."""
    found = (
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    shown = [path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)]
    return sorted(shown, key=natural_order)


def image_shape(names: Any) -> tuple[int, ...] | None:
    """The shape (height, width) or (height, width, 3) of images whose pixels have these names; None for other names."""
    if names is None or len(names) == 0 or (last := PIXEL.fullmatch(str(names[-1]))) is None:
        return None
    shape = (int(last[1]) + 1, int(last[2]) + 1) + ((3,) if last[3] else ())
    return shape if list(names) == _pixel_names(shape) else None


def _pixel_names(shape: tuple[int, ...]) -> list[str]:
    """``y0x0``, ``y0x1`` and so on, row by row; of colours ``y0x0r``, ``y0x0g``, ``y0x0b``, ``y0x1r``."""
    channels = CHANNELS if len(shape) == 3 else ("",)
    return [f"y{y}x{x}{channel}" for y in range(shape[0]) for x in range(shape[1]) for channel in channels]


class ImageStore(Store):
    """The images of a folder as rows: uint8, or uint16 where the first one has 16 bits; ``names`` are those of pixels.

    Parameters
    ----------
    folder : Path
        Its folders are searched too. Files that are no images by their suffix are left out.
    colour : bool, default=False
        Red, green and blue of each pixel in place of its grey level.

    Attributes
    ----------
    files : list of str
        Paths relative to the folder, in natural order: names of the rows.
    image_shape : tuple of int
        (height, width), or (height, width, 3).

    Raises
    ------
    ValueError
        Where there is no image, or the first one cannot be read. Images of another size are refused when they are read.
    """

    def __init__(self, folder: Path, colour: bool = False) -> None:
        self.folder, self.where, self.colour = folder.absolute(), str(folder), colour
        self.files = image_files(folder)
        if not self.files:
            raise ValueError(f"{folder} holds no images ({' '.join(sorted(SUFFIXES))})")
        self.image_shape: tuple[int, ...] = ()
        first = self._image(self.files[0])
        self.image_shape, self.dtype = first.shape, first.dtype
        self.names = _pixel_names(first.shape)
        self.shape = (len(self.files), first.size)

    def row_names(self) -> list[str]:
        """The files."""
        return self.files

    def _read(self, start: int, stop: int) -> np.ndarray:
        out = np.empty((stop - start, self.shape[1]), self.dtype)
        for row, file in zip(out, self.files[start:stop], strict=True):
            row[:] = self._image(file).reshape(-1)
        return out

    def _image(self, file: str) -> np.ndarray:
        from PIL import Image

        path = self.folder / file
        try:
            with Image.open(path) as image:
                frames = getattr(image, "n_frames", 1)
                if frames > 1:
                    raise ValueError(f"it has {frames} frames; give one image a file")
                found = _pixels(image, self.colour)
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(
                f"{path} cannot be read as an image ({error}); restore it, or take it out"
            ) from error
        if self.image_shape and (found.shape, found.dtype) != (self.image_shape, self.dtype):
            raise ValueError(
                f"{path} has shape {found.shape} and {found.dtype} pixels, {self.files[0]} has {self.image_shape} and "
                f"{self.dtype}; bring all images to one size first"
            )
        return found


def _pixels(image: Any, colour: bool) -> np.ndarray:
    """Grey levels or colours of an opened image, as they are stored."""
    if image.mode.startswith("I;16"):
        if colour:
            raise ValueError("it is grey, with 16 bits a pixel")
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("I", "F"):
        raise ValueError(f"it has {image.mode} pixels of 32 bits; images have 8 or 16")
    return np.asarray(image.convert("RGB" if colour else "L"))
