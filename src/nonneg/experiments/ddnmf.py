"""The study of the DDNMF paper: its methods, its clusterings, its noise, on MNIST, Fashion-MNIST or the small digits.

Protocol: train on the training images, cluster and score the test images (Tables 1 and 2); the same with noisy
training and test images for DDNMF and AE1 (Table 3 and Figure 3); t-SNE of both (Figure 2). The paper prints no sizes,
epochs or seeds; what is used here is in every caption. Source: Chen, Jin, Liu, Zhang (2021), Front. Neurorobot.
15:701194, section 4.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nonneg.exceptions import CheckpointError
from nonneg.experiments.evaluate import Codes, describe, score
from nonneg.experiments.images import images_of
from nonneg.experiments.methods import DEEP, execute, expected_settings, supervisor_again
from nonneg.experiments.pool import run_all
from nonneg.experiments.progress import Bar
from nonneg.experiments.record import Run, RunFile
from nonneg.experiments.study import PRESETS, Study
from nonneg.files import atomic_write

__all__ = ["PRESETS", "Study", "compute", "runs_of"]


def runs_of(study: Study) -> list[Run]:
    """Return every run of a study, cheap ones first."""
    base = Run(study.dataset, "raw", 0, n_train=study.n_train, n_test=study.n_test)
    runs: list[Run] = []
    if 1 in study.tables or 2 in study.tables:
        for method in study.methods:
            runs += _runs_of_method(study, base, method, study.seeds, study.epochs)
    if 3 in study.tables:
        for level in study.noise_levels:
            noisy = replace(base, noise=study.noise, noise_level=level)
            for method in study.noise_methods:
                # dae1 needs noise, so it is no method of Tables 1 and 2: it comes with its ae1
                if method in study.methods or method.removeprefix("d") in study.methods:
                    runs += _runs_of_method(study, noisy, method, study.noise_seeds, study.noise_epochs)
    return runs


def _runs_of_method(
    study: Study, base: Run, method: str, seeds: tuple[int, ...], epochs: int
) -> Iterator[Run]:
    if method == "raw":  # nothing is trained: the clustering's seeds are its only ones
        yield base
        return
    if method == "ae2" and study.ae2_from_supervisor and _teacher(study) and base.noise is None:
        return
    if method.startswith("dae1") and base.noise is None:  # without noise it is ae1
        return
    for seed in seeds:
        run = replace(base, method=method, seed=seed)
        if method not in DEEP:
            yield run
            continue
        run = replace(run, epochs=epochs, hidden=study.hidden, batch_size=study.batch_size)
        for profile in study.profiles if method == "ddnmf" else study.profiles[:1]:
            yield replace(run, profile=profile, options=study.options if method == "ddnmf" else ())


def _teacher(study: Study) -> str | None:
    """Return the first profile whose supervisor is an AE2, if DDNMF is trained at all."""
    from nonneg.deep.profiles import PROFILES

    if "ddnmf" not in study.methods or "ae2" not in study.methods:
        return None
    for profile in study.profiles:
        if profile not in PROFILES:
            raise ValueError(f"profile must be among {', '.join(PROFILES)}, got {profile!r}.")
        if dict(study.options).get("stop_gradient", PROFILES[profile]["stop_gradient"]):
            return profile
    return None


def compute(
    study: Study, out: Path, *, shown: bool | None = None, jobs: int = 1, threads: int = 1
) -> list[Run]:
    """Compute what is missing of a study and leave a file a run.

    Parameters
    ----------
    study : Study
        What.
    out : Path
        Folder; made if it does not exist. What is there already is not computed again.
    shown : bool, optional
        Draw a progress bar on stderr; None: where it is a terminal.
    jobs : int, default=1
        Runs that are computed at the same time, each in a process of its own.
    threads : int, default=1
        Threads of each such process. With one job this process does the work, with the threads it has.

    Returns
    -------
    list of Run
        All runs of the study.

    Raises
    ------
    DatasetUnavailable, MissingExtraError, OSError
        No images, no torch, or a folder that cannot be written.
    CheckpointError
        The folder holds a run of this name that was computed with other parameters.
    """
    images_of(
        study.dataset, study.n_train, study.n_test
    )  # that there are none is said before anything is trained
    runs = runs_of(study)
    teacher = _teacher(study) if study.ae2_from_supervisor else None
    out.mkdir(parents=True, exist_ok=True)
    with Bar(sum(run.epochs or 1 for run in runs), shown) as bar:
        work = [(run, study, out, teacher is not None and run.profile == teacher) for run in runs]
        run_all(complete, work, jobs, threads, bar.tick)
    return runs


def complete(
    run: Run, study: Study, out: Path, supervisor_rows: bool, tick: Callable[[str, int], None]
) -> None:
    """Bring one run's file to what the study asks for: train if need be, else score what is kept.

    Parameters
    ----------
    run : Run
        Which.
    study : Study
        Epochs and clusterings.
    out : Path
        The study's folder.
    supervisor_rows : bool
        Whether this run gives AE2's rows.
    tick : callable
        Gets a name of the run and the number of epochs done.
    """
    words = (run.dataset, run.method, run.profile, run.noise_level, f"seed {run.seed}")
    title = " ".join(str(word) for word in words if word)
    images = images_of(run.dataset, run.n_train, run.n_test)
    file = RunFile(out, run)
    record = file.load()
    _check_same(run, record, file.path)
    y_probe = images.y_train[images.probe]

    def report(codes: Codes) -> None:
        started = time.perf_counter()
        known = {_what(row) for row in record["scores"] if _has_seeds(row, study.scoring.seeds)}
        rows = score(codes, images.y_test, y_probe, study.scoring, known)
        if rows:
            new = {_what(row) for row in rows}
            record["scores"] = [row for row in record["scores"] if _what(row) not in new] + rows
            facts = describe(codes)
            record["facts"] = [fact for fact in record["facts"] if _at(fact) != _at(facts)] + [facts]
            record["seconds"]["evaluation"] += time.perf_counter() - started
            file.save(record)
        if run.method != "raw":
            _keep(file.work, codes)

    tick(title, 0)
    wanted = {run.epochs, *(epoch for epoch in study.eval_epochs if run.epochs and epoch < run.epochs)}
    if record["complete"] and run.method != "raw":  # pixels are not kept beside the images, and cost nothing
        for codes in _kept(file.work, wanted):
            report(codes)
        scored = {row["method"] for row in record["scores"] if row["epoch"] == run.epochs}
        if supervisor_rows and run.noise is None and not {"ae2", "ae2+nmf"} <= scored:
            supervisor_again(run, images, file.work / "model.nonneg", report)
        tick(title, run.epochs or 1)
        return
    started = time.perf_counter()
    before = record["seconds"]["evaluation"]
    done = {
        row["epoch"]
        for row in record["scores"]
        if row["method"] == run.method and row["clustering"] == "linear"
    }
    try:
        result = execute(run, images, file.work, epochs=study.eval_epochs, done=done, supervisor_rows=supervisor_rows,
                         report=report, tick=lambda epoch: tick(title, epoch))  # fmt: skip
    except FloatingPointError as error:  # a training that diverged is a result
        result = {"history": {}, "settings": {}, "failed": str(error)}
    evaluation = record["seconds"]["evaluation"] - before
    spent = result["history"].get("seconds")
    record["seconds"]["training"] = spent[-1] if spent else time.perf_counter() - started - evaluation
    record |= result | {"complete": True}
    file.save(record)
    shutil.rmtree(file.work / "checkpoint", ignore_errors=True)
    tick(title, run.epochs or 1)


def _check_same(run: Run, record: dict[str, Any], path: Path) -> None:
    """Raise when a run on disk was computed with a profile that has changed since: its name alone is the same."""
    before = record.get("settings", {})
    for name, value in expected_settings(run).items():
        if name in before and value != "auto" and before[name] != value:
            raise CheckpointError(
                f"{path} was computed with {name}={before[name]!r}, and profile {run.profile!r} now says {value!r}: "
                "move the file away, or give another folder (--out)."
            )


def _what(row: dict[str, Any]) -> tuple[str, int | None, str]:
    return row["method"], row["epoch"], row["clustering"]


def _has_seeds(row: dict[str, Any], seeds: tuple[int, ...]) -> bool:
    """Whether a row holds these seeds of its clustering (files before 0.1 do not name them: they were 0, 1, …)."""
    if row["clustering"] in ("argmax", "linear"):  # nothing random
        return True
    return set(seeds) <= set(row.get("seeds", range(len(row["values"]))))


def _at(fact: dict[str, Any]) -> tuple[str, int | None]:
    return fact["method"], fact["epoch"]


def _keep(work: Path, codes: Codes) -> None:
    """Keep narrow codes: for figures, and for clusterings that are asked for later."""
    if codes.test.shape[1] > 100:
        return
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"codes-{codes.label}-{codes.epoch or 0}.npz"
    if not path.is_file():
        with atomic_write(path) as handle:
            np.savez_compressed(handle, test=codes.test, probe=codes.probe, memberships=codes.memberships)


def _kept(work: Path, epochs: set[int | None]) -> Iterator[Codes]:
    for path in sorted(work.glob("codes-*.npz")):
        label, _, epoch = path.stem.removeprefix("codes-").rpartition("-")
        if (int(epoch) or None) not in epochs:
            continue
        with np.load(path) as arrays:
            yield Codes(
                label, int(epoch) or None, arrays["test"], arrays["probe"], bool(arrays["memberships"])
            )
