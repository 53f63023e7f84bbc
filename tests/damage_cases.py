"""Files that are damaged, by accident or on purpose."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def signed(path: Path, members: Mapping[str, str | bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip that is closed by the right checksum, whatever it holds."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
        archive.comment = b"0" * 64
    head = content.getvalue()[:-64]
    path.write_bytes(head + hashlib.sha256(head).hexdigest().encode())
    return path


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Other bytes than these: bits flipped, cut short, a piece lost, doubled, moved or overwritten."""
    bad, n = bytearray(content), len(content)
    start = int(rng.integers(n))
    stop = min(n, start + int(rng.integers(1, 40)))
    match rng.integers(6):
        case 0:
            bad[start] ^= 1 << int(rng.integers(8))
        case 1:
            del bad[start:]
        case 2:
            del bad[start:stop]
        case 3:
            bad[start:start] = bad[start:stop]
        case 4:
            bad[start:stop] = rng.bytes(stop - start)
        case _:
            place = int(rng.integers(n))
            bad[place : place + stop - start] = bad[start:stop]
    return bytes(bad)
