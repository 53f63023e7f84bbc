"""What a run leaves in ``work/<name>/``: narrow codes, for figures and for clusterings that are asked for later.

All of it may be deleted. A file that cannot be read is an error that names it, never a guess.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nonneg.exceptions import CheckpointError
from nonneg.experiments.evaluate import WIDE, Codes
from nonneg.files import atomic_write

__all__ = ["keep", "kept", "load_array", "load_codes"]


def keep(work: Path, codes: Codes) -> None:
    """Write codes of at most 100 columns, unless they are there."""
    if codes.test.shape[1] > WIDE:
        return
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"codes-{codes.label}-{codes.epoch or 0}.npz"
    if not path.is_file():
        with atomic_write(path) as handle:
            np.savez_compressed(handle, test=codes.test, probe=codes.probe, memberships=codes.memberships)


def kept(work: Path, epochs: set[int | None]) -> Iterator[Codes]:
    """Yield the codes that are there of some epochs (None: of a method without epochs)."""
    for path in sorted(work.glob("codes-*.npz")):
        if (int(path.stem.rpartition("-")[2]) or None) in epochs:
            yield load_codes(path)


def load_codes(path: Path) -> Codes:
    """Read what `keep` wrote; raise `CheckpointError` naming a damaged file."""
    label, _, epoch = path.stem.removeprefix("codes-").rpartition("-")
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            found = (arrays["test"], arrays["probe"], bool(arrays["memberships"]))
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from error
    return Codes(label, int(epoch) or None, *found)


def load_array(path: Path) -> NDArray:
    """Read a .npy file; raise `CheckpointError` naming a damaged one."""
    try:
        return np.load(path)
    except (ValueError, EOFError, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is damaged ({error}): delete it, and call again")
