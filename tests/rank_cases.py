"""Fits on several processes: what a fresh process imports, and what starts it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Imported once for all processes that follow; the first optimizer of a process would import torch._dynamo.
PRELOADED = ["torch.distributed", "torch._dynamo", "numba", "nonneg.deep.ddnmf", "rank_cases"]

rng = np.random.default_rng(0)
COUNTS = rng.poisson(3.0, (101, 24)).astype(np.uint8)
WEIGHTS = rng.uniform(0.5, 2.0, 101)
GAPS = np.where(rng.random(COUNTS.shape) < 0.1, np.nan, COUNTS)

HOW: dict[str, Any] = {"hidden": (16, 8), "max_epochs": 3, "batch_size": 16, "random_state": 0}
EXACT = {"precision": "float64"}
#: Estimator, its parameters, X and arguments of fit. 101 rows: the last batch of an epoch has 5.
CASES: dict[str, tuple[str, dict[str, Any], Any, dict[str, Any]]] = {
    "paper": ("DDNMF", EXACT, COUNTS, {}),
    "fast": ("DDNMF", {"profile": "fast", "batch_size": 40, **EXACT}, COUNTS, {"sample_weight": WEIGHTS}),
    "best": ("DDNMF", {"profile": "best", "batch_size": 16, **EXACT}, COUNTS, {}),
    "relative": ("DDNMF", {"relative_constraint": True, "missing": "ignore", **EXACT}, GAPS, {}),
    "relative, weighted": (
        "DDNMF",
        {"relative_constraint": True, **EXACT},
        COUNTS,
        {"sample_weight": WEIGHTS},
    ),
    "W >= 0": ("DDNMF", {"nonnegative_weights": True, "nmf_init": "data", **EXACT}, COUNTS, {}),
    "float32": ("DDNMF", {"max_epochs": 15}, COUNTS, {}),  # 105 steps
    "Autoencoder": ("Autoencoder", {"noise": "gaussian", **EXACT}, COUNTS, {}),
    "gradient descent": ("Autoencoder", {"optimizer": "sgd", "schedule": "linear", **EXACT}, COUNTS, {}),
    "a row a batch": ("Autoencoder", {"batch_size": 1, "max_epochs": 1, **EXACT}, COUNTS[:21], {}),
    "Nonnegative": ("NonnegativeAutoencoder", EXACT, COUNTS - 3.0, {}),
    "Nonnegative, weighted": (
        "NonnegativeAutoencoder",
        {"missing": "ignore", **EXACT},
        GAPS,
        {"sample_weight": WEIGHTS},
    ),
    "Variational": ("VariationalNMF", {"free_bits": 0.3, **EXACT}, COUNTS, {}),
    "Variational, weighted": (
        "VariationalNMF",
        {"free_bits": 0.3, "missing": "ignore", **EXACT},
        GAPS,
        {"sample_weight": WEIGHTS},
    ),
    "Probabilistic": ("DeepProbabilisticNMF", {"pretrain_epochs": 1, **EXACT}, COUNTS, {}),
    "Probabilistic, weighted": (
        "DeepProbabilisticNMF",
        {"pretrain_epochs": 1, "missing": "ignore", **EXACT},
        GAPS,
        {"sample_weight": WEIGHTS},
    ),
}


def fitted(case: str, checkpoint: str | None = None, verbose: Any = 0) -> dict[str, np.ndarray]:
    """Every number that a fit learns, by name."""
    import nonneg.deep

    name, parameters, X, arguments = CASES[case]
    model = getattr(nonneg.deep, name)(4, **(HOW | parameters), checkpoint=checkpoint, verbose=verbose)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few epochs
        codes = model.fit_transform(X, **arguments)
    return {"codes": codes} | numbers(model)


def numbers(model: Any) -> dict[str, np.ndarray]:
    """Arrays of a fitted model and of its networks, by name; but not how long it took."""
    found: dict[str, np.ndarray] = {}
    for name, value in model._get_state().items():
        inner = value if isinstance(value, dict) else {"": value}
        found |= {f"{name}/{key}": each for key, each in inner.items() if isinstance(each, np.ndarray)}
    return {name: value for name, value in found.items() if name != "history_/seconds"}


def all_cases() -> dict[str, dict[str, np.ndarray]]:
    """`fitted` of every case."""
    return {case: fitted(case) for case in CASES}


def disagreeing() -> None:
    """Fit other rows in each process."""
    from nonneg.deep import Autoencoder, ranks

    Autoencoder(4, **HOW).fit(COUNTS[ranks.rank() :])


def slowly(case: str, checkpoint: str) -> dict[str, np.ndarray]:
    """`fitted`, but the first process tells the test when two epochs are done, and waits for an answer."""

    def report(record: dict[str, float]) -> None:
        if record["epoch"] == 2:
            PIPE[0].send(2)
            PIPE[0].recv()

    return fitted(case, checkpoint, report)


def interrupted(case: str, checkpoint: str) -> int:
    """Steps taken in a fit whose second process is interrupted during the tenth."""
    from nonneg.deep import network, ranks

    real, steps = network.DDNMFNetwork.loss_terms, []

    def counted(self: Any, batch: Any) -> Any:
        steps.append(1)
        if len(steps) == 10 and ranks.rank() == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, batch)

    network.DDNMFNetwork.loss_terms = counted  # type: ignore[method-assign]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        fitted(case, checkpoint)
    except KeyboardInterrupt:
        return len(steps)
    return -1


def stopped() -> None:
    """Raise in the first process what all of them then raise."""
    from nonneg.deep import ranks

    def make() -> None:
        raise ValueError("enough")

    ranks.from_first(make)


PIPE: list[Any] = []  # to the test, in the processes that it starts


def start(size: int, folder: Path, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Start processes of one group that call a function; return each with the pipe that gives what it returns."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    started = []
    for rank in range(size):
        here, there = context.Pipe()
        group = (str(folder / "group"), rank, size)
        process = context.Process(target=_enter, args=(group, there, function, arguments), daemon=True)
        process.start()
        there.close()
        started.append((process, here))
    return started


def on_ranks(size: int, folder: Path, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What a function returns, or raises, in each of so many processes."""
    found = []
    for process, pipe in start(size, folder, function, *arguments):
        found.append(pipe.recv())
        process.join()
    return found


def _enter(group: tuple[str, int, int], pipe: Any, function: Callable[..., Any], arguments: Any) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    PIPE[:] = [pipe]
    path, rank, size = group
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=size)
    try:
        found = function(*arguments)
    except Exception as error:
        found = error
    pipe.send(found)
    dist.destroy_process_group()
