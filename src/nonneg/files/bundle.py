"""One file for JSON and arrays, closed by a checksum.

A *bundle* is one zip with two parts, ``model.json`` (everything that is not an array) and ``arrays.safetensors``, both
stored as they are, closed by the SHA-256 of all bytes before it (as the zip's comment): every flipped bit and every
truncation is found. Reading one runs no code from it, and needs no more memory than its arrays and JSON have: sizes are
compared with what the file holds before anything is made of them. Arrays go to and come from the file a piece at a
time.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from ..exceptions import CheckpointError
from .atomic import atomic_write

__all__ = ["read_bundle", "write_bundle"]

_DIGEST = 64  # hexadecimal digits of SHA-256
_CHUNK = 1 << 20  # bytes
_SAFETENSORS = {
    "f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8",
    "u8": "U64", "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL",
}  # fmt: skip
_DTYPES = {name: np.dtype(kind).newbyteorder("<") for kind, name in _SAFETENSORS.items()}
#: What a zip or its JSON can raise whose checksum is right and whose content is not.
_MALFORMED = (
    zipfile.BadZipFile, struct.error, EOFError, NotImplementedError, RecursionError,
    AttributeError, LookupError, OverflowError, TypeError, ValueError,
)  # fmt: skip


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
    """Read what `write_bundle` wrote; the arrays are native, in C order, and writable.

    Raises
    ------
    CheckpointError
        When the file is no bundle, is cut short, or any bit of it has changed; also for a zip with a right checksum
        that holds something else (sizes beyond the file's, members that are compressed, other dtypes).
    """
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
        try:
            with zipfile.ZipFile(file) as archive:
                with _member_of(archive, "model.json", size) as part:
                    meta = json.loads(part.read())
                if not isinstance(meta, dict):
                    raise ValueError("model.json is no object")
                with _member_of(archive, "arrays.safetensors", size) as part:
                    return meta, _read_arrays(part, archive.getinfo("arrays.safetensors").file_size)
        except _MALFORMED as error:
            raise CheckpointError(f"{path}: not a nonneg file ({type(error).__name__}: {error})") from error


def _member_of(archive: zipfile.ZipFile, name: str, size: int) -> IO[bytes]:
    """Open a member that is stored as it is, and so no larger than the file."""
    info = archive.getinfo(name)
    stored = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
    if not stored or info.file_size > size or info.flag_bits & 1:
        raise ValueError(f"{name} is compressed, encrypted or larger than the file")
    return archive.open(info)


def _read_arrays(file: IO[bytes], size: int) -> dict[str, np.ndarray]:
    """The arrays of a safetensors part of ``size`` bytes, each read to where it stays."""
    length = int.from_bytes(file.read(8), "little")
    if length > size - 8:
        raise ValueError("the header of the arrays is longer than they are")
    header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    arrays, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape, (start, stop) = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError(f"{name} has shape {shape}")
        if start != end or stop - start != math.prod(shape) * dtype.itemsize or stop > size - 8 - length:
            raise ValueError(f"{name} lies where it cannot")
        array, end = np.empty(shape, dtype), stop
        flat = array.reshape(-1).view(np.uint8)
        for first in range(0, flat.size, _CHUNK):
            piece = file.read(min(_CHUNK, flat.size - first))
            if len(piece) < min(_CHUNK, flat.size - first):
                raise EOFError(f"{name} is cut short")
            flat[first : first + _CHUNK] = np.frombuffer(piece, np.uint8)
        arrays[name] = array.astype(dtype.newbyteorder("="), copy=False)
    return arrays
