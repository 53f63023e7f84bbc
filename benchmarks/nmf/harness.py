"""What data sets, solvers and the worker share: the clock, hooks into fits, and finding the files."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent


class Enough(Exception):
    """Raised by the recorder inside a fit, to end it."""


class BaseDataset:
    """A data set: ``name``, ``loss``, ``ranks`` (values of k), ``requirements``, and ``get_data() -> X``."""

    name: str
    loss = "frobenius"
    ranks: tuple[int, ...] = ()
    work = ""  # the row of the table
    goals: dict[int, tuple[float, float]] = {}  # k -> (at least, hoped for), times scikit-learn's speed
    held_out = False  # never looked at while the library's constants were chosen
    requirements: tuple[str, ...] = ()
    hidden = False

    def get_data(self) -> Any:
        """Return X as the solvers get it: float32, dense in C order or CSR."""
        raise NotImplementedError


class BaseSolver:
    """A solver: ``parameters`` (each combination is a run of its own), ``skip``, and ``run(recorder)``."""

    name: str
    family: str
    parameters: dict[str, tuple[Any, ...]] = {}
    requirements: tuple[str, ...] = ()

    def __init__(self, **chosen: Any) -> None:
        self.chosen = chosen

    @property
    def label(self) -> str:
        """Name with parameters."""
        words = ",".join(str(value) for value in self.chosen.values())
        return f"{self.name}[{words}]" if words else self.name

    def skip(self, X: Any, loss: str) -> str | None:
        """Why this solver cannot take these data; None if it can."""
        return None

    def set_objective(self, X: Any, n_components: int, loss: str, seed: int) -> None:
        """Take the data; outside the clock."""
        self.X, self.k, self.loss, self.seed = X, n_components, loss, seed

    def warm_up(self) -> None:
        """Compile and load what the first fit of a process would: outside the clock."""

    def run(self, recorder: Recorder) -> None:
        """Fit; call ``recorder.start`` before, ``peek`` between iterations, ``returned`` at the end."""
        raise NotImplementedError


class Recorder:
    """Points (seconds → exact loss) of a fit, with the time of evaluating the loss taken out.

    Parameters
    ----------
    evaluate : callable
        (W, H) -> exact loss.
    limit : float
        Seconds after which the fit is ended.
    stop_below : float
        A loss at which the fit is ended, as both targets are behind it; peers only.
    spacing : float
        A point is taken when the time is this many times that of the last one; an iteration in between is counted,
        but its loss is not evaluated.
    flat : float
        A relative fall of the loss over the last 40 % of the time below which a solver is at its end.
    """

    def __init__(
        self,
        evaluate: Callable[[Any, Any], float],
        limit: float,
        stop_below: float = 0.0,
        spacing: float = 1.04,
        flat: float = 2e-5,
    ) -> None:
        self.evaluate, self.limit, self.stop_below, self.spacing = evaluate, limit, stop_below, spacing
        self.flat = flat
        self.points: list[dict[str, Any]] = []
        self.iteration, self.ended = 0, "returned"

    def start(self) -> None:
        """Start the clock: everything from here on counts, initialisation included."""
        self.iteration, self._next = 0, 0.0
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def peek(self, factors: Callable[[], tuple[Any, Any]]) -> None:
        """After an iteration: a point if one is due; raises `Enough` when the curve is complete."""
        wall, cpu = time.perf_counter(), time.process_time()
        elapsed = wall - self._wall
        self.iteration += 1
        over = elapsed >= self.limit
        if elapsed >= self._next or over:
            loss = self._point(elapsed, cpu - self._cpu, factors)
            self._next = elapsed * self.spacing
            if over or loss <= self.stop_below or self._is_flat():
                self.ended = "limit" if over else "target" if loss <= self.stop_below else "flat"
                raise Enough
        self._wall += time.perf_counter() - wall
        self._cpu += time.process_time() - cpu

    def returned(self, factors: Callable[[], tuple[Any, Any]]) -> float:
        """A fit came back: its end is a point."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self.iteration += 1
        return self._point(wall, cpu, factors)

    def _point(self, wall: float, cpu: float, factors: Callable[[], tuple[Any, Any]]) -> float:
        loss = self.evaluate(*factors())
        self.points.append({"iteration": self.iteration, "wall": wall, "cpu": cpu, "loss": loss})
        return loss

    def _is_flat(self) -> bool:
        last = self.points[-1]
        if last["wall"] < 0.1 * self.limit:
            return False
        before = [point for point in self.points if point["wall"] <= 0.6 * last["wall"]]
        return bool(before) and before[-1]["loss"] - last["loss"] < self.flat * last["loss"]


@contextmanager
def hooked(module: Any, name: str, after: Callable[[tuple[Any, ...], Any], None]) -> Iterator[None]:
    """Within the block ``after(arguments, result)`` follows every call of ``module.name``."""
    original = getattr(module, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        after(args, result)
        return result

    setattr(module, name, wrapper)
    try:
        yield
    finally:
        setattr(module, name, original)


def missing(requirements: tuple[str, ...]) -> list[str]:
    """Modules that are not installed."""
    return [name for name in requirements if importlib.util.find_spec(name) is None]


def datasets() -> dict[str, type[BaseDataset]]:
    """All data sets by name, in the order of their files' ``order``."""
    found = [cls for module in _modules("datasets") for cls in module.DATASETS]
    return {cls.name: cls for cls in sorted(found, key=lambda cls: getattr(cls, "order", 99))}


def solvers() -> dict[str, BaseSolver]:
    """Every solver with every combination of its parameters, by label; nonneg first."""
    found: dict[str, BaseSolver] = {}
    for module in _modules("solvers"):
        cls = module.Solver
        for values in itertools.product(*cls.parameters.values()):
            solver = cls(**dict(zip(cls.parameters, values, strict=True)))
            found[solver.label] = solver
    rank = {"nonneg": 0, "scikit-learn": 1}
    return dict(sorted(found.items(), key=lambda item: rank.get(item[1].family, 2)))


def _modules(folder: str) -> Iterator[Any]:
    for path in sorted((HERE / folder).glob("*.py")):
        name = f"benchmarks.nmf.{folder}.{path.stem}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
        yield sys.modules[name]


def write_json(path: Path, content: Any) -> None:
    """Write a file whole or not at all; infinities become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(_plain(content), indent=1, allow_nan=False) + "\n")
    temporary.replace(path)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
