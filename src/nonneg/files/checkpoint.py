"""The folder of checkpoints of one computation: bundles whose names hold their steps; the last two are kept."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..exceptions import CheckpointError, ForeignCheckpointError, warn_user
from .bundle import read_bundle, write_bundle

try:
    import fcntl
except ImportError:  # Windows: no lock, and an open file cannot be deleted there
    fcntl = None  # type: ignore[assignment]

__all__ = ["Checkpoint"]


class Checkpoint:
    """A folder of checkpoints of one computation: the last two steps, each written atomically.

    As a context, ``with checkpoint:``, it keeps other processes (and other threads) out of the folder, where the file
    system has locks, and removes what a killed process left of a file that it was writing. The lock ends with the
    process, however that ends.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    fingerprint : str
        Of the data and the parameters. A checkpoint with another fingerprint is refused, never used.

    Raises
    ------
    CheckpointError
        When the folder cannot be made or written.
    """

    _name = re.compile(r"checkpoint-(\d{9,})\.zip")
    _unfinished = ".checkpoint-*.zip.*.tmp"  # as `atomic_write` names them
    keep = 2

    def __init__(self, folder: str | os.PathLike[str], fingerprint: str) -> None:
        self.folder = Path(folder)
        self.fingerprint = fingerprint
        self._lock: int | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{self._who}: cannot make this folder ({error})") from error
        try:  # before hours of work, not after them
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(bytes(4096))
        except OSError as error:
            raise CheckpointError(f"{self._who}: this folder is not writable ({error})") from error

    @property
    def _who(self) -> str:
        return f"checkpoint={str(self.folder)!r}"

    def __enter__(self) -> Self:
        """Lock the folder.

        Raises
        ------
        CheckpointError
            When another fit has it.
        """
        if fcntl is not None:
            with suppress(
                OSError
            ):  # a file system without locks, or the folder is gone, which `save` will say
                self._lock = os.open(self.folder, os.O_RDONLY)
        if self._lock is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self.__exit__()
                raise CheckpointError(
                    f"{self._who}: another fit is using this folder; give each fit a folder of its own, or wait "
                    "for the other one to end"
                ) from error
            except OSError:
                self.__exit__()
        if self._lock is not None or fcntl is None:
            for path in self.folder.glob(self._unfinished):
                with suppress(OSError):
                    path.unlink()
        return self

    def __exit__(self, *error: object) -> None:
        """Unlock it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

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
            left = self._left()
            kept = (
                f"step {left} is kept: make room there and fit again to go on from it"
                if left is not None
                else "there is no earlier one; make room there, or give another folder"
            )
            raise CheckpointError(
                f"{self._who}: step {step} could not be written ({error}); {kept}"
            ) from error
        for old in self.steps()[: -self.keep]:
            with suppress(OSError):
                self.path(old).unlink()
        return self.path(step)

    def _left(self) -> int | None:
        try:
            return max(self.steps(), default=None)
        except OSError:
            return None

    def load_latest(self) -> tuple[int, dict[str, np.ndarray], dict[str, Any]] | None:
        """Return ``(step, arrays, meta)`` of the newest checkpoint that is whole, or None when there is none at all.

        A damaged one is renamed to ``damaged-…`` with a warning, and the one before it is taken: a computation that
        goes on from there comes to the same end.

        Raises
        ------
        CheckpointError
            When all are damaged.
        ForeignCheckpointError
            When the newest whole one is of other data or parameters.
        """
        damaged: list[tuple[Path, Exception]] = []
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                content, arrays = read_bundle(path)
            except FileNotFoundError:  # another process has just replaced it by a newer one
                continue
            except (CheckpointError, OSError) as error:
                damaged.append((path, error))
                continue
            if content.get("fingerprint") != self.fingerprint:
                raise ForeignCheckpointError(
                    f"{self._who} belongs to other data or parameters; "
                    "give another folder, or delete this one to start afresh"
                )
            for bad, found in damaged:
                with suppress(OSError):
                    bad.rename(bad.with_name(f"damaged-{bad.name}"))
                warn_user(f"{found}. It is set aside; going on from step {step}, the checkpoint before it")
            return content["step"], arrays, content["meta"]
        if damaged:
            names = ", ".join(path.name for path, _ in reversed(damaged))
            raise CheckpointError(
                f"{self._who}: no checkpoint is whole ({names} damaged: {damaged[0][1]}); "
                "restore one from a copy, or delete this folder to start afresh"
            )
        return None
