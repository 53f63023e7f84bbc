"""Load a data set by name: from a given folder, the data home, the system, the cache, or a verified download.

Every file is checked by the SHA-256 of its uncompressed content before a byte of it is used. What this module does not
know is what the data are for: it returns uint8 images and labels and scales nothing. Data that other packages carry
are read by `nonneg.datasets.packages`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from nonneg.datasets.packages import PACKAGED, load_packaged
from nonneg.datasets.registry import IMAGE_SETS
from nonneg.exceptions import DatasetUnavailable

__all__ = ["IMAGES", "NAMES", "load"]

Split = Literal["train", "test", "all"]

IMAGES = ("digits", *IMAGE_SETS)
NAMES = (*IMAGES, *PACKAGED)

#: The digits of scikit-learn have no official split: the first 1,437 of 1,797 rows train, the other 360 test.
DIGITS_TRAIN = 1437


def load(name: str, split: Split = "train", *, path: str | os.PathLike[str] | None = None) -> Bunch:
    """Load data and labels as they were published.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion-mnist", "pbmc68k-reduced", "all-aml", "orl", "reuters", "indian-pines"}
        ``digits`` comes with scikit-learn: 1,797 images of 8 x 8, grey levels 0-16. The next two have 60,000
        training and 10,000 test images of 28 x 28, grey levels 0-255. The others come inside packages of the extra
        ``examples``: `DESCR` says what they are.
    split : {"train", "test", "all"}, default="train"
        The published split; for ``digits`` the first 1,437 rows train. ``all`` is train, then test. Data from packages
        have no split: all rows train.
    path : path, optional
        Folder that holds the four IDX files, packed (.gz) or not. Nowhere else is looked then.

    Returns
    -------
    Bunch
        `data` (n, m): uint8 for images, CSR of int32 for counts of molecules and words, else float64 or uint16;
        `target` int64 (n,) and `target_names`, or None where there are no labels; `image_shape` (rows, columns), or
        None where rows are no images; `feature_names`; `DESCR`. Data from packages have `sample_names` too, or None;
        ``all-aml`` has `feature_descriptions` and ``indian-pines`` `sample_shape` (rows, columns) of its pixels.

    Raises
    ------
    ValueError
        An unknown name or split, a `path` for data that have no such files, or the test rows of data without a split.
    MissingExtraError
        The package that has the data is not installed.
    DatasetUnavailable
        No folder has the files and they cannot be fetched, or a file is damaged. The message names the file, the
        expected (and found) SHA-256, the folder to put it in and an offline alternative.

    Notes
    -----
    Folders, in this order: `path`; ``$NONNEG_DATA_HOME/<name>`` and ``$NONNEG_DATA_HOME``; the system's
    (``/usr/share/datasets/<name>``, where Debian's package ``dataset-fashion-mnist`` puts it); the user's cache
    (``nonneg/<name>`` in the cache folder of the operating system). What is missing there is downloaded into the
    cache, unless ``NONNEG_OFFLINE=1``, with which no socket is ever opened.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}.")
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {', '.join(get_args(Split))}, got {split!r}.")
    if name not in IMAGE_SETS and path is not None:
        package = PACKAGED[name].package if name in PACKAGED else "scikit-learn"
        raise ValueError(
            f"path must be left out for {name!r}, which comes with {package}, got {str(path)!r}."
        )
    if name in PACKAGED and split == "test":
        raise ValueError(
            f"split must be 'train' or 'all' for {name!r}, which has no test rows, got {split!r}."
        )
    if name in PACKAGED:
        return load_packaged(name)
    if name == "digits":
        return _digits(split)
    parts = {"train": ["train"], "test": ["t10k"], "all": ["train", "t10k"]}[split]
    images = [_idx(_content(name, f"{part}-images-idx3-ubyte", path)) for part in parts]
    labels = [_idx(_content(name, f"{part}-labels-idx1-ubyte", path)) for part in parts]
    data = images[0] if len(images) == 1 else np.concatenate(images)
    shape = (data.shape[1], data.shape[2])
    return _bunch(
        data.reshape(len(data), -1),
        np.concatenate(labels).astype(np.int64),
        np.array(IMAGE_SETS[name].classes),
        shape,
        IMAGE_SETS[name].description,
    )


def _digits(split: Split) -> Bunch:
    digits = load_digits()
    rows = {"train": slice(0, DIGITS_TRAIN), "test": slice(DIGITS_TRAIN, None), "all": slice(None)}[split]
    data = np.ascontiguousarray(digits.data[rows].astype(np.uint8))
    return _bunch(
        data, digits.target[rows].astype(np.int64), digits.target_names.astype(str), (8, 8), digits.DESCR
    )


def _bunch(data: NDArray, target: NDArray, names: NDArray, shape: tuple[int, int], description: str) -> Bunch:
    pixels = [f"pixel_{row}_{column}" for row in range(shape[0]) for column in range(shape[1])]
    return Bunch(
        data=data,
        target=target,
        target_names=names,
        image_shape=shape,
        feature_names=pixels,
        DESCR=description,
    )


def _idx(content: bytes) -> NDArray[np.uint8]:
    """Read the IDX format: two zero bytes, the type (8 = uint8), the number of axes, their lengths, the data."""
    n_axes = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=n_axes, offset=4)
    data = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * n_axes)
    return data.reshape(tuple(int(length) for length in shape)).copy()


def _content(name: str, file: str, path: str | os.PathLike[str] | None) -> bytes:
    """Return the verified, uncompressed bytes of one file from the first folder that has it."""
    expected = IMAGE_SETS[name].content[file]
    for folder, is_shared in _folders(name, path):
        for candidate in (folder / f"{file}.gz", folder / file):
            if not candidate.is_file():
                continue
            content, found = _unpack(candidate)
            if found == expected:
                return content
            if is_shared and found in _other_hashes(name):
                continue  # the file of another set, which has the same name
            raise DatasetUnavailable(
                f"{candidate} is damaged: the SHA-256 of its content is {found}, expected {expected}. "
                f"Replace or delete it ({IMAGE_SETS[name].advice}); offline, the data set 'digits' always works."
            )
    if path is not None:
        raise _unavailable(name, file, Path(path), "path does not hold it")
    return _download(name, file)


def _folders(name: str, path: str | os.PathLike[str] | None) -> Iterator[tuple[Path, bool]]:
    """Yield every folder to look in, and whether files of another set may lie there too."""
    if path is not None:
        yield Path(path), False
        return
    home = os.environ.get("NONNEG_DATA_HOME")
    if home:
        yield Path(home).expanduser() / name, False
        yield Path(home).expanduser(), True
    for folder in IMAGE_SETS[name].system:
        yield folder, False
    yield _cache(name), False


def _cache(name: str) -> Path:
    import pooch

    return Path(pooch.os_cache("nonneg")) / name


def _other_hashes(name: str) -> set[str]:
    return {
        digest for other, known in IMAGE_SETS.items() if other != name for digest in known.content.values()
    }


def _unpack(file: Path) -> tuple[bytes, str]:
    """Return the uncompressed bytes and their SHA-256, or a word on why there are none."""
    try:
        raw = file.read_bytes()
        content = gzip.decompress(raw) if file.suffix == ".gz" else raw
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return b"", "none (not a whole gzip file)"
    except OSError as error:
        raise DatasetUnavailable(
            f"{file} cannot be read: {error.strerror or error}. Check its permissions."
        ) from error
    return content, hashlib.sha256(content).hexdigest()


def _download(name: str, file: str) -> bytes:
    """Fetch one file into the cache; it is moved there after its hash was found right."""
    folder = _cache(name)
    if os.environ.get("NONNEG_OFFLINE", "").strip().lower() not in ("", "0", "false", "no"):
        raise _unavailable(
            name, file, folder, "it is in none of the folders, and NONNEG_OFFLINE forbids a download"
        )
    import pooch

    reasons = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            for url in IMAGE_SETS[name].urls:
                target = Path(temporary) / f"{file}.gz"
                try:
                    pooch.HTTPDownloader(timeout=30)(f"{url}{file}.gz", str(target), None)
                except Exception as error:  # requests has many; each means: this mirror does not work
                    reasons.append(f"{url}: {type(error).__name__}")
                    continue
                content, found = _unpack(target)
                if found == IMAGE_SETS[name].content[file]:
                    os.replace(target, folder / target.name)
                    return content
                reasons.append(f"{url}: SHA-256 of the content is {found}")
    except OSError as error:
        reasons.append(f"{folder} is not writable ({error.strerror or error})")
    raise _unavailable(name, file, folder, f"the download failed ({'; '.join(reasons)})")


def _unavailable(name: str, file: str, folder: Path, reason: str) -> DatasetUnavailable:
    known = IMAGE_SETS[name]
    return DatasetUnavailable(
        f"{name}: {file}.gz is not available: {reason}. Put the file (SHA-256 of its uncompressed content: "
        f"{known.content[file]}) into {folder} or into a folder {name} in $NONNEG_DATA_HOME; {known.advice}; "
        "or use the data set 'digits', which needs no file."
    )
