"""Files that are whole or absent: atomic writes, checksums, bundles and checkpoints.

A *bundle* is one zip with two parts, ``model.json`` (everything that is not an array) and
``arrays.safetensors``, closed by the SHA-256 of all bytes before it (as the zip's comment): every flipped bit
and every truncation is found. Reading a bundle never runs code. A *checkpoint* is a bundle whose name holds its
step; the last two are kept.

This module knows nothing of estimators: solvers, ``deep`` and ``io`` decide what goes into a bundle.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from .exceptions import CheckpointError

__all__ = ["Checkpoint", "atomic_write", "fingerprint", "read_bundle", "sha256", "write_bundle"]

_DIGEST = 64  # hexadecimal digits of SHA-256
_CHUNK = 1 << 20  # bytes
_SAFETENSORS = {
    "f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8",
    "u8": "U64", "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL",
}  # fmt: skip


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


def _umask() -> int:
    mask = os.umask(0)
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
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def write_bundle(
    path: str | os.PathLike[str], meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write ``meta`` (JSON) and ``arrays`` as one checksummed zip, atomically."""
    with atomic_write(path, "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_member("model.json"), json.dumps(meta, indent=1, allow_nan=True).encode())
            _write_arrays(archive, arrays)
            archive.comment = b"0" * _DIGEST
        size = file.seek(-_DIGEST, os.SEEK_END)
        digest = _digest_of_head(file, size)
        file.seek(size)
        file.write(digest)


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


def _write_arrays(archive: zipfile.ZipFile, arrays: Mapping[str, np.ndarray]) -> None:
    """The member ``arrays.safetensors``, one array in memory at a time: length of the header, header, arrays."""
    header: dict[str, Any] = {}
    end = 0
    order = sorted(
        arrays, key=lambda name: (-arrays[name].dtype.itemsize, name)
    )  # so that each one is aligned
    for name in order:
        array = arrays[name]
        kind = array.dtype.newbyteorder("<").str.lstrip("<|")
        if kind not in _SAFETENSORS:
            raise TypeError(f"{name} has dtype {array.dtype}, which a file cannot hold")
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _SAFETENSORS[kind],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    member = _member("arrays.safetensors")
    member.file_size = 8 + len(text) + end  # tells zipfile whether 32 bits are enough
    with archive.open(member, "w") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            array = arrays[name]
            flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
            for start in range(0, flat.size, _CHUNK):
                file.write(flat[start : start + _CHUNK].data)


def _digest_of_head(file: IO[bytes], size: int) -> bytes:
    """SHA-256 of the first ``size`` bytes of a file, in hexadecimal."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (chunk := file.read(min(size, _CHUNK))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest().encode()


def read_bundle(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_bundle` wrote.

    Raises
    ------
    CheckpointError
        When the file is no bundle, is cut short, or any bit of it has changed.
    """
    from safetensors.numpy import load

    with open(path, "rb") as file:
        size = max(0, file.seek(0, os.SEEK_END) - _DIGEST)
        found = _digest_of_head(file, size)
        file.seek(size)
        whole = file.read() == found
        file.seek(0)
        if not whole or file.read(2) != b"PK":
            raise CheckpointError(
                f"{path}: not a nonneg file, or damaged (its SHA-256 does not match); restore it from a copy"
            )
        with zipfile.ZipFile(file) as archive:
            meta = json.loads(archive.read("model.json"))
            arrays = load(archive.read("arrays.safetensors"))
    return meta, {name: np.require(array, requirements=["A", "C", "W"]) for name, array in arrays.items()}


class Checkpoint:
    """A folder of checkpoints of one computation: the last two steps, each written atomically.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    fingerprint : str
        Of the data and the parameters. A checkpoint with another fingerprint is refused, never used.

    Raises
    ------
    CheckpointError
        When the folder cannot be made or written, or holds a damaged or foreign checkpoint.
    """

    _name = re.compile(r"checkpoint-(\d{9})\.zip")
    keep = 2

    def __init__(self, folder: str | os.PathLike[str], fingerprint: str) -> None:
        self.folder = Path(folder)
        self.fingerprint = fingerprint
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"checkpoint={str(folder)!r}: cannot make this folder ({error})") from error
        if not os.access(self.folder, os.W_OK):
            raise CheckpointError(f"checkpoint={str(folder)!r}: this folder is not writable")

    def steps(self) -> list[int]:
        """Steps with a checkpoint, ascending."""
        found = (self._name.fullmatch(entry.name) for entry in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        """Return the file of a step."""
        return self.folder / f"checkpoint-{step:09d}.zip"

    def save(self, step: int, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Path:
        """Write the checkpoint of ``step``, then delete all but the last two.

        Raises
        ------
        CheckpointError
            When the disk is full or the folder is gone; earlier checkpoints stay intact.
        """
        content = {"fingerprint": self.fingerprint, "step": step, "meta": dict(meta)}
        try:
            write_bundle(self.path(step), content, arrays)
        except OSError as error:
            raise CheckpointError(
                f"checkpoint={str(self.folder)!r}: step {step} could not be written ({error}); "
                "earlier checkpoints are intact"
            ) from error
        for old in self.steps()[: -self.keep]:
            self.path(old).unlink(missing_ok=True)
        return self.path(step)

    def load_latest(self) -> tuple[int, dict[str, np.ndarray], dict[str, Any]] | None:
        """Return ``(step, arrays, meta)`` of the newest checkpoint, or None when there is none."""
        steps = self.steps()
        if not steps:
            return None
        path = self.path(steps[-1])
        try:
            content, arrays = read_bundle(path)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; delete it to go on from the one before") from error
        if content.get("fingerprint") != self.fingerprint:
            raise CheckpointError(
                f"checkpoint={str(self.folder)!r} belongs to other data or parameters; "
                "give another folder, or delete this one to start afresh"
            )
        return content["step"], arrays, content["meta"]
