"""Write a file at once or not at all, and tell contents apart by SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

__all__ = ["atomic_write", "fingerprint", "sha256"]


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` that replaces it when the block ends without an error.

    The old file stays intact until then, also if the disk is full or the process is killed.

    Parameters
    ----------
    path : path
        The file to write. Its folder must exist.
    mode : {"wb", "w+b", "w"}
        Bytes, bytes that are read back, or UTF-8 text.

    Raises
    ------
    OSError
        When the path is a folder, its folder is missing or not writable, or the disk is full; ``path`` is unchanged.
    """
    target = Path(path)
    if target.is_dir():
        example = target / "model.nmf"
        raise IsADirectoryError(f"{str(path)!r} is a folder; give the name of a file, {example} for instance")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{str(path)!r} cannot be written: there is no folder {target.parent}; make it first, or give another "
            "path"
        )
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, mode, encoding="utf-8" if "b" not in mode else None) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    _fsync_folder(target.parent)


_ASKING = threading.Lock()


def _umask() -> int:
    """The mask of new files; it can only be asked for by setting another one, which two threads must not do at once."""
    with _ASKING:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def _fsync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: Any) -> str:
    """SHA-256 over arrays and JSON values: equal parts, equal fingerprint, whatever the process.

    Parameters
    ----------
    *parts : ndarray or JSON value
        Arrays count by dtype, shape and bytes; everything else by its JSON text with sorted keys
        (``str`` for what JSON does not know).
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()
