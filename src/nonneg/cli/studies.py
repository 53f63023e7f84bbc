"""What the commands of ``nonneg reproduce`` share: from arguments to studies, and from studies to output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nonneg.cli.errors import EXIT_USAGE, CommandError
from nonneg.cli.options import flagged, limit, parse_option, writable

__all__ = ["Clustering", "Dataset", "reproduce"]

Dataset = Literal["digits", "mnist", "fashion-mnist"]
Clustering = Literal["argmax", "kmeans", "gmm-spherical", "gmm-diag", "gmm-full", "umap+gmm", "spectral"]

#: Several values after one flag: --seeds 0 1 2


def reproduce(
    name: Literal["ddnmf", "zoo"],
    dataset: Sequence[Dataset],
    given: Mapping[str, Any],
    clusterings: Sequence[Clustering] | None,
    options: Sequence[str],
    out: Path | None,
    *,
    jobs: int | None,
    threads: int | None,
    render: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Compute and show a study.

    Parameters
    ----------
    name : {"ddnmf", "zoo"}
        Which.
    dataset : sequence of str
        The data sets.
    given : mapping
        Attributes of `Study` → what the command line says; None where it is silent.
    clusterings : sequence of str, optional
        Ways of clustering.
    options : sequence of str
        NAME=VALUE of DDNMF.
    out : Path, optional
        Folder; by default named after the study and the data sets.
    jobs, threads, render, as_json, quiet, verbose
        As the commands have them.

    Returns
    -------
    int
        The exit code.
    """
    folder = Path(f"{name}-{'-'.join(dataset)}") if out is None else out
    if jobs is not None and jobs < 1:
        raise CommandError(EXIT_USAGE, "usage", f"--jobs must be at least 1, got {jobs}.")
    if name == "ddnmf" and "digits" in dataset and len(set(dataset)) > 1:
        text = "--dataset: digits stand in for MNIST, in Table 1: give them a folder of their own."
        raise CommandError(EXIT_USAGE, "usage", text)
    small = set(dataset) == {"digits"}
    jobs = jobs or (min(4, len(os.sched_getaffinity(0))) if small and hasattr(os, "sched_getaffinity") else 1)
    if threads is None and (small or jobs > 1):
        threads = 1  # layers of a hundred units are faster on one, and several jobs share the cores
    limit(threads)
    presets = _presets(name)
    studies = [_study(presets[data], given, clusterings, options) for data in dict.fromkeys(dataset)]
    if render and not list((folder / "runs").glob("*.json")):
        text = f"--out: {folder} holds no runs, and --render computes none."
        raise CommandError(EXIT_USAGE, "usage", text)
    writable(folder)
    # what the folder has of the other set stays in the tables and figures of both
    others = [
        _study(presets[data], given, clusterings, options)
        for data in (_others(folder, dataset) if name == "ddnmf" else ())
    ]
    how = {"shown": False if quiet else None, "lines": verbose}
    result, notes = _run(name, studies, others, folder, 0 if render else jobs, threads or 1, how)
    for note in () if quiet else notes:
        print(f"nonneg: {note}", file=sys.stderr)
    _show(result, notes, folder, as_json)
    return 0


def _presets(name: str) -> Mapping[str, Any]:
    from nonneg.experiments import study

    return study.PRESETS if name == "ddnmf" else study.ZOO_PRESETS


def _study(
    preset: Any, given: Mapping[str, Any], clusterings: Sequence[str] | None, options: Sequence[str]
) -> Any:
    """The preset of a data set, with what the command line says over it."""
    from dataclasses import replace

    from nonneg.experiments.ddnmf import runs_of

    changes: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | tuple) else value
        for key, value in given.items()
        if value is not None
    }
    if clusterings is not None:
        changes["scoring"] = replace(preset.scoring, clusterings=tuple(clusterings))
    own = dict(parse_option(text) for text in options)
    # None is the profile's value, and no other run
    changes["options"] = tuple(sorted((key, value) for key, value in own.items() if value is not None))
    flags = {key: f"--{key.replace('_', '-')}" for key in given}
    flags |= {
        "profiles": "--profile",
        "profile": "--profile",
        "options": "--set",
        "clusterings": "--clusterings",
    }
    try:
        study = replace(preset, **changes)
        runs_of(study)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, "usage", flagged(str(error), flags, "--set ")) from error
    return study


def _others(folder: Path, dataset: Sequence[str]) -> list[str]:
    """Return the large data sets that a folder has runs of, beside those asked for."""
    if "digits" in dataset:
        return []
    found = [name for name in ("mnist", "fashion-mnist") if any((folder / "runs").glob(f"{name}-*.json"))]
    return [name for name in found if name not in dataset]


def _run(
    name: str,
    studies: Sequence[Any],
    others: Sequence[Any],
    folder: Path,
    jobs: int,
    threads: int,
    how: Mapping[str, Any],
) -> tuple[Any, list[str]]:
    """Compute what is missing with so many jobs (0: nothing); what came of it, and what cannot be had any more."""
    from nonneg.experiments import report, zoo_report
    from nonneg.experiments.ddnmf import compute, left_out

    assemble = report.assemble if name == "ddnmf" else zoo_report.assemble
    notes: list[str] = []
    if jobs:
        for study in studies:
            compute(study, folder, jobs=jobs, threads=threads, **how)
            notes += left_out(study, folder)
    order = ("digits", "mnist", "fashion-mnist")
    return assemble(sorted([*studies, *others], key=lambda study: order.index(study.dataset)), folder), notes


def _show(result: Any, notes: list[str], folder: Path, as_json: bool) -> None:
    if as_json:
        told = {"out": str(folder), "files": result.files, "models": result.models, "notes": notes}
        print(json.dumps(told | {"rows": result.rows}))
    else:
        print(
            result.text
            or "no run in this folder fits what was asked for (data set, epochs, hidden, batch size)"
        )
        print(f"\nwritten to {folder}/")
        for label, path in result.models.items():
            print(f"{label}: nonneg.load({path!r})")
