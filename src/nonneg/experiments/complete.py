"""One run of a study: trained if need be, else scored from what is kept of it.

What a finished run can still give is clusterings of its codes, or of those its model makes; scores of an earlier epoch
need another training.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nonneg.exceptions import CheckpointError
from nonneg.experiments.evaluate import FIXED, Codes, describe, score
from nonneg.experiments.images import Images, images_of
from nonneg.experiments.kept import keep, kept
from nonneg.experiments.methods import (
    DEEP,
    codes_again,
    execute,
    expected_settings,
    has_memberships,
    training_of,
)
from nonneg.experiments.record import Run, RunFile
from nonneg.experiments.study import Study

__all__ = ["complete", "missing"]


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
        left = missing(run, study, record, images, supervisor_rows)
        model = file.work / "model.nonneg"
        if run.method in DEEP:
            if any(epoch == run.epochs for _, epoch in left) and model.is_file():
                codes_again(run, images, model, supervisor_rows, report)
            left = set()  # what else is missing cannot be had without another training: `left_out` says so
        if not left:
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


def missing(
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
    if row["clustering"] in FIXED:
        return True
    return set(seeds) <= set(row.get("seeds", range(len(row["values"]))))


def _at(fact: dict[str, Any]) -> tuple[str, int | None]:
    return fact["method"], fact["epoch"]
