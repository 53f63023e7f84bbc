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
from nonneg.experiments.images import Images, images_of
from nonneg.experiments.kept import keep, kept
from nonneg.experiments.methods import (
    DEEP,
    check_options,
    codes_again,
    execute,
    expected_settings,
    has_memberships,
    training_of,
)
from nonneg.experiments.pool import run_all
from nonneg.experiments.progress import Bar
from nonneg.experiments.record import Run, RunFile
from nonneg.experiments.study import PRESETS, Study

__all__ = ["PRESETS", "Study", "compute", "left_out", "runs_of"]


def runs_of(study: Study) -> list[Run]:
    """Return every run of a study, cheap ones first.

    Raises
    ------
    ValueError
        An unknown profile, or an option that DDNMF does not take or that the study itself sets.
    MissingExtraError
        Deep methods without torch.
    """
    _check_profiles(study)
    base = Run(study.dataset, "raw", 0, n_train=study.n_train, n_test=study.n_test)
    runs: list[Run] = []
    if 1 in study.tables or 2 in study.tables:
        for method in study.methods:
            runs += _runs_of_method(study, base, method, study.seeds, study.epochs)
    if 3 in study.tables:
        for level in study.noise_levels:
            noisy = replace(base, noise=study.noise, noise_level=level)
            for method in _noise_methods(study):
                runs += _runs_of_method(study, noisy, method, study.noise_seeds, study.noise_epochs)
    return runs


def _noise_methods(study: Study) -> list[str]:
    # dae1 needs noise, so it is no method of Tables 1 and 2: it comes with its ae1
    return [m for m in study.noise_methods if m in study.methods or m.removeprefix("d") in study.methods]


def _check_profiles(study: Study) -> None:
    """Raise for profiles and options that cannot be; without a deep method, torch is not needed to know."""
    clean = study.methods if 1 in study.tables or 2 in study.tables else ()
    used = {*clean, *(_noise_methods(study) if 3 in study.tables else ())}
    if not used & set(DEEP):
        return
    from nonneg.deep.profiles import PROFILES

    for profile in study.profiles:
        if profile not in PROFILES:
            raise ValueError(f"profile must be among {', '.join(PROFILES)}, got {profile!r}.")
    if "ddnmf" in used:
        check_options(study)


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
    if "ddnmf" not in study.methods or "ae2" not in study.methods:
        return None
    from nonneg.deep.profiles import PROFILES  # loads torch, which raw pixels and NMF do without

    for profile in study.profiles:
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
            keep(file.work, codes)

    tick(title, 0)
    for codes in kept(file.work, {run.epochs, *_earlier(run, study)}):
        report(codes)
    if record["complete"]:
        missing = _missing(run, study, record, images, supervisor_rows)
        model = file.work / "model.nonneg"
        if run.method in DEEP:
            if any(epoch == run.epochs for _, epoch in missing) and model.is_file():
                codes_again(run, images, model, supervisor_rows, report)
            missing = set()  # what else is missing cannot be had without another training: `left_out` says so
        if not missing:
            tick(title, run.epochs or 1)
            return
    _train(run, study, file, record, images, supervisor_rows, report, lambda epoch: tick(title, epoch))
    tick(title, run.epochs or 1)


def _train(
    run: Run,
    study: Study,
    file: RunFile,
    record: dict[str, Any],
    images: Images,
    supervisor_rows: bool,
    report: Callable[[Codes], None],
    tick: Callable[[int], None],
) -> None:
    """Compute a run and write its file."""
    started = time.perf_counter()
    before = record["seconds"]["evaluation"]
    done = {
        row["epoch"]
        for row in record["scores"]
        if row["method"] == run.method and row["clustering"] == "linear"
    }
    try:
        result = execute(run, images, file.work, epochs=study.eval_epochs, done=done, supervisor_rows=supervisor_rows,
                         report=report, tick=tick)  # fmt: skip
    except FloatingPointError as error:  # a training that diverged is a result
        result = {"history": {}, "settings": {}, "failed": str(error)}
    evaluation = record["seconds"]["evaluation"] - before
    spent = result["history"].get("seconds")
    record["seconds"]["training"] = spent[-1] if spent else time.perf_counter() - started - evaluation
    record |= result | {"complete": True, "image_shape": list(images.shape)}
    file.save(record)
    shutil.rmtree(file.work / "checkpoint", ignore_errors=True)


def _earlier(run: Run, study: Study) -> set[int]:
    """The epochs before its last at which a run is scored, if it can be."""
    if run.epochs is None or training_of(run)["schedule"] != "constant":
        return set()
    return {epoch for epoch in study.eval_epochs if epoch < run.epochs}


def _missing(
    run: Run, study: Study, record: dict[str, Any], images: Images, supervisor_rows: bool
) -> set[tuple[str, int | None]]:
    """Return (method, epoch) of the codes that a finished run has not scored in every way asked for."""
    if record.get("failed"):
        return set()
    wide = {"ae2", "ae2+nmf"}
    last = {run.method} if run.method != "ae2" else wide
    if supervisor_rows and run.method == "ddnmf" and run.noise is None:
        last |= wide
    wanted = {(label, run.epochs) for label in last}
    if run.method != "ae2":  # wide codes are scored at the end, and on the way from epoch 30 on
        wanted |= {(run.method, epoch) for epoch in _earlier(run, study)}
    scored = {_what(row) for row in record["scores"] if _has_seeds(row, study.scoring.seeds)}
    a_unit_a_class = len(np.unique(images.y_test)) == run.n_components  # else there is no argmax
    return {
        (label, epoch)
        for label, epoch in wanted
        for clustering in study.scoring.clusterings
        if (label, epoch, clustering) not in scored
        and (clustering != "argmax" or (a_unit_a_class and has_memberships(label)))
    }


def left_out(study: Study, out: Path) -> list[str]:
    """Return a line for each finished run of which something was asked for that only another training would give.

    Parameters
    ----------
    study : Study
        What was asked for.
    out : Path
        The folder, after `compute`.
    """
    teacher = _teacher(study) if study.ae2_from_supervisor else None
    images = images_of(study.dataset, study.n_train, study.n_test)
    lines = []
    for run in runs_of(study):
        file = RunFile(out, run)
        record = file.load()
        if not record["complete"]:
            continue
        missing = _missing(run, study, record, images, teacher is not None and run.profile == teacher)
        epochs = sorted({epoch for _, epoch in missing if epoch is not None})
        if epochs:
            lines.append(
                f"{run.name}: not scored in every way asked for after epoch {', '.join(map(str, epochs))}, whose "
                f"weights are gone; to train it again, delete {file.path}"
            )
        earlier = [epoch for epoch in study.eval_epochs if run.epochs is not None and epoch < run.epochs]
        if earlier and training_of(run)["schedule"] != "constant":
            lines.append(
                f"{run.name}: scored after epoch {run.epochs} only: its learning rate decays, so that a shorter "
                "training is another one (--epochs)"
            )
    return lines


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
