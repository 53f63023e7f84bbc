"""Fits to be killed: what a process that will be killed runs, and what is looked at when it is dead."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import nonneg
from nonneg.files import Checkpoint, read_bundle
from nonneg.solvers import iterate


@dataclass(frozen=True)
class Case:
    """A model, its parameters and its data; ``stored`` data are fitted from a file, out of core."""

    model: str
    parameters: dict[str, Any]
    data: Callable[[], np.ndarray]
    stored: bool = False


def planted(n: int, m: int, k: int, dtype: Any = np.float64) -> Callable[[], np.ndarray]:
    """From the sizes to data of k parts with some noise."""

    def make() -> np.ndarray:
        rng = np.random.default_rng(0)
        W, H = rng.gamma(0.5, size=(n, k)), rng.gamma(0.5, size=(k, m))
        return (W @ H + 0.02 * rng.random((n, m))).astype(dtype)

    return make


def tensor() -> np.ndarray:
    """An array of three ways."""
    return planted(40, 300, 3)().reshape(40, 20, 15)


def affinity() -> np.ndarray:
    """An affinity of 150 rows."""
    W = planted(150, 3, 3)()
    return W @ W.T + 0.01


ITERATED = {"tol": 0.0, "random_state": 0}
NETWORK = {
    "hidden": (256, 128), "batch_size": 64, "max_epochs": 40, "profile": "fast", "random_state": 0, "device": "cpu",
}  # fmt: skip
#: The factor W of the tall ones has megabytes, so that much of the time goes into writing it.
CASES = {
    "NMF": Case("NMF", {"n_components": 4, "max_iter": 400, **ITERATED}, planted(300, 40, 4)),
    "NMF, tall": Case("NMF", {"n_components": 8, "max_iter": 30, **ITERATED}, planted(20_000, 12, 8)),
    "NMF, tall, kl": Case(
        "NMF", {"n_components": 8, "max_iter": 25, "loss": "kl", **ITERATED}, planted(10_000, 12, 8)
    ),
    "NMF, three starts": Case(
        "NMF",
        {"n_components": 4, "max_iter": 60, "n_init": 3, "loss": "kl", **ITERATED},
        planted(2000, 30, 4),
    ),
    "NMF, out of core": Case(
        "NMF",
        {"n_components": 6, "max_iter": 30, **ITERATED},
        planted(80_000, 24, 6, np.float32),
        stored=True,
    ),
    "PLSA": Case("PLSA", {"n_components": 4, "max_iter": 120, **ITERATED}, planted(2000, 40, 4)),
    "SymmetricNMF": Case("SymmetricNMF", {"n_components": 3, "max_iter": 150, **ITERATED}, affinity),
    "NTF": Case("NTF", {"n_components": 3, "max_iter": 150, **ITERATED}, tensor),
    "DDNMF": Case("DDNMF", {"n_components": 4, **NETWORK}, planted(600, 24, 4, np.float32)),
}


def model_of(case: Case, checkpoint: Path | None = None) -> Any:
    """A new estimator of a case."""
    return getattr(nonneg, case.model)(**case.parameters, checkpoint=checkpoint)


def fit(name: str, data: Path, folder: Path | None, out: Path) -> None:
    """Fit a case with as many checkpoints as can be; write what came out when it is done."""
    case = CASES[name]
    iterate.CHECKPOINT_EVERY, iterate.CHECKPOINT_SHARE = 0.0, 1e9
    if case.model == "DDNMF":
        from nonneg.deep import train

        train.CHECKPOINT_SHARE = 1e9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nonneg.exceptions.ConvergenceWarning)
        model = model_of(case, folder).fit(str(data) if case.stored else np.load(data))
    told = [column for name, column in sorted(model.history_.items()) if name != "seconds"]
    with open(out.with_suffix(".part"), "wb") as file:
        np.savez(file, components=model.components_, history=told, W=model.transform(np.load(data)))
    out.with_suffix(".part").rename(out)


def newest_in(folder: Path) -> int:
    """Read every file that is named as a checkpoint; the sum of the newest steps. Damage is an error here.

    Two are kept of each start; between the writing of a third and the deletion of the first there are three.
    """
    reached = 0
    for place in {path.parent for path in folder.rglob("*.zip")}:
        checkpoint = Checkpoint(place, "")
        steps = checkpoint.steps()
        assert 1 <= len(steps) <= 3, steps
        for step in steps:
            content, arrays = read_bundle(checkpoint.path(step))
            assert content["step"] == step and arrays
        reached += steps[-1]
    return reached
