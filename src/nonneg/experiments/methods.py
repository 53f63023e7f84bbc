"""The methods of the DDNMF paper's comparison, each as a function from a run to codes.

``raw``          the pixels
``nmf``          W of a shallow NMF of the pixels
``ae1-relu``     bottleneck of an autoencoder with DDNMF's layers, ReLU throughout: the paper's AE1
``ae1-linear``   the same with a linear bottleneck: the stronger comparison
``dae1-relu``, ``dae1-linear``  the same, trained to remove the noise (noisy images in, clean ones as targets)
``ae2``          last encoder layer of an autoencoder without bottleneck; gives the rows of ``ae2+nmf`` too
``ddnmf``        H of DDNMF

Noise: with a noise level, ``ae1-*`` and ``ae2`` know the noisy images only. DDNMF's student and ``dae1-*`` see noisy
images and are taught with clean ones, as the paper's figure 1 has it; their noise is drawn once or anew in each epoch,
as the profile says. All are scored on noisy test images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nonneg.exceptions import CheckpointError
from nonneg.experiments.evaluate import Codes
from nonneg.experiments.images import Images, corrupt
from nonneg.experiments.matrix import fit_matrix, quietly
from nonneg.experiments.measures import of_model
from nonneg.experiments.record import Run
from nonneg.experiments.zoo import (
    DEEP_ENTRIES,
    ENTRIES,
    OUTSIDE,
    STACK_ITERATIONS,
    STACK_ROWS,
    STACKS,
    estimator_of,
)
from nonneg.io import load as nonneg_load

if TYPE_CHECKING:
    from nonneg.experiments.study import Study

__all__ = [
    "DEEP",
    "METHODS",
    "check_options",
    "codes_again",
    "execute",
    "expected_settings",
    "has_memberships",
    "training_of",
]

METHODS = ("raw", "nmf", "ae1-relu", "ae1-linear", "dae1-relu", "dae1-linear", "ae2", "ddnmf")
DEEP = (*(method for method in METHODS if method not in ("raw", "nmf")), *DEEP_ENTRIES)

#: What an autoencoder takes over from a profile: how it is trained, not what is trained.
TRAINING = ("batch_size", "learning_rate", "schedule", "optimizer", "precision")

Report = Callable[[Codes], None]
Tick = Callable[[int], None]


def _profile(run: Run) -> dict[str, Any]:
    """Return the values of a run's profile."""
    from nonneg.deep.profiles import PROFILES

    return PROFILES[run.profile or "paper"]


def training_of(run: Run) -> dict[str, Any]:
    """Return how a deep run is trained: the profile's values, with the run's own options over them."""
    values = _profile(run) | _own(run)
    return {name: values[name] for name in TRAINING}


def expected_settings(run: Run) -> dict[str, Any]:
    """Return the values that a deep run's profile gives today, to be compared with those it was computed with."""
    if run.method in STACKS:
        return {"max_iter": STACK_ITERATIONS, "rows": STACK_ROWS}
    if run.method not in DEEP:
        return {}
    if run.method == "ddnmf":
        return _profile(run) | _noise_of(run) | _own(run) | {"max_epochs": run.epochs}
    own = dict(ENTRIES[run.method].options) if run.method in ENTRIES else {}
    return training_of(run) | own | {"max_epochs": run.epochs}


def _own(run: Run) -> dict[str, Any]:
    """Return what a run sets over its profile."""
    return dict(run.options) | ({} if run.batch_size is None else {"batch_size": run.batch_size})


def _noise_of(run: Run) -> dict[str, Any]:
    return {} if run.noise is None else {"noise": run.noise, "noise_level": run.noise_level}


#: Parameters of DDNMF that the study sets, and how to ask for them.
OWNED = {
    "n_components": "the study compares codes of 10 units",
    "hidden": "use hidden (--hidden)",
    "profile": "use profiles (--profile)",
    "max_epochs": "use epochs (--epochs)",
    "batch_size": "use batch_size (--batch-size), which holds for all deep methods",
    "random_state": "use seeds (--seeds)",
    "checkpoint": "the study has checkpoints of its own",
    "verbose": "the study has a progress bar of its own",
}


def check_options(study: Study) -> None:
    """Raise ValueError for options of DDNMF that do not exist, that the study sets, or that are out of range."""
    from nonneg.deep import DDNMF
    from nonneg.deep.settings import resolve_device

    options = dict(study.options)
    for name in options:
        if name in OWNED:
            raise ValueError(f"options {name}: {OWNED[name]}.")
        if name not in DDNMF._get_param_names():
            raise ValueError(f"options {name}: DDNMF has no such parameter.")
        if name in ("noise", "noise_level") and 3 in study.tables and "ddnmf" in study.noise_methods:
            raise ValueError(f"options {name}: Table 3 sets it; leave Table 3 out (--tables 1).")
    for profile in study.profiles:
        try:
            DDNMF(profile=profile, hidden=study.hidden, **options)._check_params()
            resolve_device(options.get("device", "auto"))
        except (TypeError, ValueError) as error:
            raise ValueError(f"options {error}") from error


def execute(
    run: Run,
    images: Images,
    work: Path,
    *,
    epochs: tuple[int, ...] = (),
    done: set[int | None] | None = None,
    supervisor_rows: bool = False,
    report: Report,
    tick: Tick,
) -> dict[str, Any]:
    """Train what a run says and report codes at the epochs asked for.

    Parameters
    ----------
    run : Run
        What to train.
    images : Images
        On what: clean; noise is added here.
    work : Path
        Folder for checkpoint, model and parts.
    epochs : tuple of int
        Epochs, below `run.epochs`, after which codes are reported too. Ignored under a learning rate that decays,
        where a training that ends earlier is another training.
    done : set of int or None
        Epochs whose codes are not needed any more.
    supervisor_rows : bool
        Report the codes of DDNMF's supervisor as those of ``ae2``. With ``stop_gradient`` and clean images it is
        an AE2: no loss but its own reaches it.
    report : callable
        Gets `Codes`.
    tick : callable
        Gets the number of epochs done.

    Returns
    -------
    dict
        `history` (name → list) of deep methods, and `settings`, the value in force of each parameter.
    """
    train, test, probe = _noisy(run, images)
    if run.method == "raw":
        report(Codes("raw", None, test, probe))
        return {"history": {}, "settings": {}}
    if run.method == "nmf" or run.method in STACKS:
        return _matrix(run, train, test, probe, work, report)
    if run.method in OUTSIDE:
        return _outside(run, train, test, probe, work, report)
    return _deep(run, train, test, probe, work, epochs, done or set(), supervisor_rows, report, tick)


def _matrix(
    run: Run, train: NDArray, test: NDArray, probe: NDArray, work: Path, report: Report
) -> dict[str, Any]:
    started = time.process_time()
    model, encode = fit_matrix(run, train)
    seconds = time.process_time() - started
    np.save(_made(work) / "parts.npy", model.parts().astype(np.float32))
    report(Codes(run.method, None, encode(test), encode(probe), memberships=has_memberships(run.method)))
    settings = {"iterations": int(model.n_iter_)} | ({} if run.method == "nmf" else expected_settings(run))
    return {"history": {}, "settings": settings} | _measures(run, seconds, quietly(of_model, model, test))


def _outside(
    run: Run, train: NDArray, test: NDArray, probe: NDArray, work: Path, report: Report
) -> dict[str, Any]:
    from nonneg.experiments.outside import fit_outside

    found, parts = fit_outside(run, training_of(run), (train, test, probe), report)
    np.save(_made(work) / "parts.npy", parts.astype(np.float32))
    return {"history": {}, "settings": {}} | _measures(run, found.pop("seconds"), found)


def _measures(run: Run, seconds: float | None, found: dict[str, float]) -> dict[str, Any]:
    """Seconds are of processor time of `fit`, all threads together; None where another process did a part of it."""
    spent = {} if seconds is None else {"seconds": seconds}
    if seconds is not None and run.epochs is not None:
        spent["seconds_per_epoch"] = seconds / run.epochs
    values = {name: float(f"{value:.6g}") for name, value in (found | spent).items()}
    return {"measures": [{"method": run.method, "epoch": run.epochs} | values]}


def _noisy(run: Run, images: Images) -> tuple[NDArray, NDArray, NDArray]:
    """Return the images a run is trained on, the test images and those of the linear classifier, with its noise."""
    kind, level = run.noise, run.noise_level
    test = corrupt(images.test, kind, level, top=images.top, seed=20_001)
    taught = run.method == "ddnmf" or run.method.startswith("dae1")
    train = images.train if taught else corrupt(images.train, kind, level, top=images.top, seed=10_001)
    # the classifier is trained on what the test images look like, also for methods that were taught with clean ones
    probe = corrupt(images.train[images.probe], kind, level, top=images.top, seed=30_001)
    return train, test, probe


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _deep(
    run: Run,
    train: NDArray,
    test: NDArray,
    probe: NDArray,
    work: Path,
    epochs: tuple[int, ...],
    done: set[int | None],
    supervisor_rows: bool,
    report: Report,
    tick: Tick,
) -> dict[str, Any]:
    """Train in stages that end at the epochs asked for; a checkpoint carries weights and moments across."""
    last = run.epochs or 1
    constant = training_of(run)["schedule"] == "constant"
    stages = sorted({epoch for epoch in epochs if constant and epoch < last} | {last})
    model: Any = None
    seconds, resumed = 0.0, any(_made(work / "checkpoint").iterdir())
    for stage in stages:
        if stage in done and stage != last:
            continue
        model = _estimator(run, stage, work / "checkpoint", tick)
        started = time.process_time()
        try:
            model.fit(train)
        except (
            CheckpointError
        ):  # it is past this epoch, whose weights are gone; what else it may be is said at the end
            if stage == last:
                raise
            continue
        # of all stages, starts and last passes with them
        seconds += time.process_time() - started
        _report_codes(run, model, stage, train, test, probe, supervisor_rows, stage == last, report)
    np.save(_made(work) / "parts.npy", model.parts().astype(np.float32))
    model.checkpoint, model.verbose = None, 0  # of this study, not of the model
    model.save(work / "model.nonneg")
    history = {name: [float(f"{value:.6g}") for value in values] for name, values in model.history_.items()}
    settings = {name: value for name, value in model.profile_.items() if name != "hidden"}
    result = {"history": history, "settings": settings | {"dead_units": int(model.n_dead_units_)}}
    return result | ({} if run.noise else _measures(run, None if resumed else seconds, of_model(model, test)))


def _estimator(run: Run, epochs: int, checkpoint: Path, tick: Tick) -> Any:
    """Return the unfitted estimator of a deep run."""
    from nonneg.deep import DDNMF, Autoencoder

    common: dict[str, Any] = {
        "hidden": run.hidden,
        "max_epochs": epochs,
        "random_state": run.seed,
        "checkpoint": _made(checkpoint),
        "verbose": lambda record: tick(int(record["epoch"])),
    }
    if run.method == "ddnmf":
        return DDNMF(run.n_components, profile=run.profile or "paper", **common | _noise_of(run) | _own(run))
    common |= training_of(run)
    if run.method in ENTRIES:
        return estimator_of(run.method, common, run.n_components)
    if run.method == "ae2":
        return Autoencoder(None, **common)
    kind, activation = run.method.split("-")
    if kind == "dae1" and run.noise is not None:
        common |= _noise_of(run) | {"noise_redraw": _profile(run)["noise_redraw"]}
    return Autoencoder(run.n_components, activation=activation, **common)


def codes_again(run: Run, images: Images, model_file: Path, supervisor_rows: bool, report: Report) -> None:
    """Report the codes of a finished deep run from its saved model: more is asked for than when it was trained."""
    model = nonneg_load(model_file)
    train, test, probe = _noisy(run, images)
    _report_codes(run, model, run.epochs or 1, train, test, probe, supervisor_rows, True, report)


def has_memberships(label: str) -> bool:
    """Whether the units of a method's code may be read as clusters."""
    if label in ENTRIES:
        return ENTRIES[label].memberships
    return label in ("nmf", "ae2+nmf", "ddnmf") or label.endswith("relu")


def _report_codes(
    run: Run,
    model: Any,
    epoch: int,
    train: NDArray,
    test: NDArray,
    probe: NDArray,
    supervisor_rows: bool,
    is_last: bool,
    report: Report,
) -> None:
    if run.method != "ae2":
        memberships = has_memberships(run.method)
        code_test, code_probe = _finite(model.transform(test), epoch), model.transform(probe)
        report(Codes(run.method, epoch, code_test, code_probe, memberships=memberships))
    # wide codes take minutes to cluster, and an AE2 of few epochs interests nobody
    if not is_last and epoch < 30:
        return
    if run.method == "ae2":
        _report_wide(run, epoch, model.transform, train, test, probe, report)
    elif run.method == "ddnmf" and supervisor_rows and run.noise is None and model.profile_["stop_gradient"]:
        _report_wide(run, epoch, partial(_supervisor_codes, model), train, test, probe, report)


def _finite(codes: NDArray, epoch: int) -> NDArray:
    if not np.isfinite(codes).all():
        raise FloatingPointError(f"training diverged: codes after epoch {epoch} are not finite")
    return codes


def _report_wide(
    run: Run,
    epoch: int,
    encode: Callable[[NDArray], NDArray],
    train: NDArray,
    test: NDArray,
    probe: NDArray,
    report: Report,
) -> None:
    """Report AE2's code, and W of a shallow NMF of it (fitted to the codes of all training images)."""
    code_test, code_probe = _finite(encode(test), epoch), encode(probe)
    report(Codes("ae2", epoch, code_test, code_probe))
    _, compress = fit_matrix(replace(run, method="nmf"), encode(train))
    report(Codes("ae2+nmf", epoch, compress(code_test), compress(code_probe), memberships=True))


def _supervisor_codes(model: Any, X: NDArray) -> NDArray[np.float32]:
    """Return the last encoder layer of DDNMF's supervisor for clean images, (n, hidden[-1])."""
    import torch

    blocks = []
    with torch.inference_mode():
        for start in range(0, len(X), 1024):
            x = torch.from_numpy(X[start : start + 1024].astype(np.float32) / model.scale_)
            blocks.append(model.supervisor_.encoder(x)[-1].float().numpy())
    return np.concatenate(blocks)
