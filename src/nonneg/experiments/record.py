"""Runs and the files they leave: what was computed, with what, and what came out.

A `Run` is everything that decides the result of one training. Its file is named by a hash of that, so a study that is
called again finds what it has, and two studies may share a folder.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from nonneg.exceptions import CheckpointError
from nonneg.files import atomic_write

__all__ = ["Run", "RunFile", "environment", "load_all", "write_json"]

#: What every file of a run has.
REQUIRED = {"run", "complete", "scores", "seconds"}
PACKAGES = ("nonneg", "numpy", "scipy", "scikit-learn", "torch", "clustpy", "umap-learn")


@dataclass(frozen=True)
class Run:
    """The parameters of one training (or, for ``raw``, of one clustering of the pixels).

    Attributes
    ----------
    dataset : str
        Name for `nonneg.datasets.load`.
    method : str
        One of `nonneg.experiments.methods.METHODS`.
    seed : int
        Of weights, order of samples and noise.
    profile : str or None
        Of DDNMF; for autoencoders, whose batches, optimizer and precision it gives; None for the shallow methods.
    epochs : int or None
        Passes over the training images.
    noise : str or None
        Kind of noise on training and test images; None for clean images.
    noise_level : float or None
        Its level, on the scale where white is 1.
    hidden : tuple of int or None
        Layers of the encoder.
    n_components : int
        Width of the code.
    batch_size : int or None
        Samples a step; None: the profile's.
    n_train, n_test : int or None
        Only the first so many images, for trials.
    options : tuple of (name, value)
        Further parameters of the estimator, over those of the profile.
    """

    dataset: str
    method: str
    seed: int
    profile: str | None = None
    epochs: int | None = None
    noise: str | None = None
    noise_level: float | None = None
    hidden: tuple[int, ...] | None = None
    n_components: int = 10
    batch_size: int | None = None
    n_train: int | None = None
    n_test: int | None = None
    options: tuple[tuple[str, Any], ...] = ()

    def parameters(self) -> dict[str, Any]:
        """Return what is set, as JSON values."""
        found = {name: value for name, value in dataclasses.asdict(self).items() if value not in (None, ())}
        if self.hidden:
            found["hidden"] = list(self.hidden)
        if self.options:
            found["options"] = dict(sorted(self.options))
        return found

    @property
    def name(self) -> str:
        """A readable name with a hash of all parameters."""
        digest = hashlib.sha256(
            json.dumps(self.parameters(), sort_keys=True, default=str).encode()
        ).hexdigest()[:10]
        words = [self.dataset, self.method, self.profile]
        if self.noise is not None:
            words.append(f"{self.noise}{self.noise_level:g}")
        words += [f"seed{self.seed}", None if self.epochs is None else f"e{self.epochs}", digest]
        return "-".join(word for word in words if word)


class RunFile:
    """The file of a run, and its folder of by-products.

    Parameters
    ----------
    out : Path
        The study's folder: ``runs/<name>.json`` holds the record, ``work/<name>/`` codes, parts, model, checkpoint.
    run : Run
        Which.
    """

    def __init__(self, out: Path, run: Run) -> None:
        self.run = run
        self.path = out / "runs" / f"{run.name}.json"
        self.work = out / "work" / run.name

    def load(self) -> dict[str, Any]:
        """Return the record so far; a new one when there is none."""
        if self.path.is_file():
            return read_record(self.path)
        return {"run": self.run.parameters(), "complete": False, "scores": [], "facts": [], "history": {},
                "seconds": {"training": 0.0, "evaluation": 0.0}}  # fmt: skip

    def save(self, record: dict[str, Any]) -> None:
        """Write the record atomically, with the date and what it was computed with."""
        record["date"] = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        record["environment"] = environment()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, record)


def load_all(out: Path) -> Iterator[dict[str, Any]]:
    """Yield every record in a study's folder, with its name, in the order of names."""
    for path in sorted((out / "runs").glob("*.json")):
        yield read_record(path) | {"name": path.stem}


def read_record(path: Path) -> dict[str, Any]:
    """Read the file of a run.

    Raises
    ------
    CheckpointError
        Naming the file, when it is not JSON, or not that of a run.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not (isinstance(record, dict) and set(record) >= REQUIRED):
            raise ValueError("it is not the record of a run")
        if not {"dataset", "method", "seed"} <= set(record["run"]):
            raise ValueError("its run is not named")
    except ValueError as error:
        raise CheckpointError(
            f"{path} is damaged ({error}): delete it, and its run is computed again"
        ) from error
    return {"facts": [], "history": {}} | record


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file that is whole or absent, with the rows of a list a line each."""
    text = _layout(value) + "\n"
    with atomic_write(path, "w") as file:
        file.write(text)


def _layout(value: Any) -> str:
    if isinstance(value, dict):
        lines = [f"{json.dumps(key)}: {_rows(item)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + "\n}"
    return _rows(value)


def _rows(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f" {json.dumps(row, default=float)}" for row in value) + "\n]"
    return json.dumps(value, default=float)


def environment() -> dict[str, Any]:
    """Return versions, the kind of processor, the number of threads, and the name of the GPU if one was used."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"versions": versions, "processor": _processor(), "threads": _threads()} | _gpu()


def _processor() -> str:
    """The architecture and the vector instructions that decide speed and rounding."""
    known: list[str] = []
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        flags = ""
    words = set(flags.replace(":", " ").split())
    known = [
        name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16") if name in words
    ]
    return " ".join([platform.machine(), *known])


def _gpu() -> dict[str, str]:
    """The graphics processor, once this process has computed on it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    return {"gpu": str(torch.cuda.get_device_name())}


def _threads() -> int:
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit():
            return int(value)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
