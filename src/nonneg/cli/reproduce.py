"""``nonneg reproduce ddnmf``: arguments to a `Study`, and its main table to stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from nonneg.cli.errors import EXIT_USAGE, CommandError
from nonneg.cli.options import flagged, limit, parse_option, writable

__all__ = ["reproduce_ddnmf"]

Dataset = Literal["digits", "mnist", "fashion-mnist"]
Method = Literal["raw", "nmf", "ae1-relu", "ae1-linear", "dae1-relu", "dae1-linear", "ae2", "ddnmf"]
Clustering = Literal["argmax", "kmeans", "gmm-spherical", "gmm-diag", "gmm-full", "umap+gmm", "spectral"]
NoiseKind = Literal["masking", "salt-and-pepper", "gaussian", "uniform"]

#: Several values after one flag: --seeds 0 1 2
Many = Parameter(consume_multiple=True, negative=())


def reproduce_ddnmf(
    *,
    dataset: Annotated[Sequence[Dataset], Many] = ("digits",),
    out: Path | None = None,
    methods: Annotated[Sequence[Method], Many] | None = None,
    profile: Annotated[Sequence[str], Many] | None = None,
    seeds: Annotated[Sequence[int], Many] | None = None,
    epochs: int | None = None,
    eval_epochs: Annotated[Sequence[int], Many] | None = None,
    hidden: Annotated[Sequence[int], Many] | None = None,
    batch_size: int | None = None,
    clusterings: Annotated[Sequence[Clustering], Many] | None = None,
    noise: NoiseKind | None = None,
    noise_levels: Annotated[Sequence[float], Many] | None = None,
    noise_methods: Annotated[Sequence[Method], Many] | None = None,
    noise_seeds: Annotated[Sequence[int], Many] | None = None,
    noise_epochs: int | None = None,
    tables: Annotated[Sequence[Literal[1, 2, 3]], Many] | None = None,
    ae2_from_supervisor: bool | None = None,
    set_: Annotated[Sequence[str], Parameter(name="--set", consume_multiple=True, negative=())] = (),
    n_train: int | None = None,
    n_test: int | None = None,
    threads: int | None = None,
    jobs: int | None = None,
    render: Annotated[bool, Parameter(negative=())] = False,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Compare DDNMF with the methods of its paper: Tables 1-3, Figures 2-3, loss curves, parts, trained models.

    Training uses the training images; the test images are clustered and scored. Every run leaves a small file, so that
    a killed or repeated command goes on where it was. What is not given comes from the data set's preset; digits ends
    within about four minutes on two cores. mnist and fashion-mnist take hours on a CPU: an epoch is about 15 to 20
    seconds of a core for DDNMF, 10 for an autoencoder. --epochs, --seeds, --tables and --methods make it less.

    Parameters
    ----------
    dataset:
        One or more data sets. digits needs no file; the others are looked for in NONNEG_DATA_HOME, the system, the
        cache, then downloaded.
    out:
        Folder of the results; default ddnmf-<dataset>.
    methods:
        Only these methods; default raw nmf ae2 ae1-relu ae1-linear ddnmf.
    profile:
        Profiles of DDNMF, of paper, demo, fast and best; the first also says how the autoencoders are trained.
        Default paper best.
    seeds:
        Seeds of Tables 1 and 2; default 0 1 2.
    epochs:
        Epochs of Tables 1 and 2; default 60 for digits, 30 for mnist and fashion-mnist.
    eval_epochs:
        Score the same trainings at these earlier epochs too, where the learning rate does not decay.
    hidden:
        Widths of the encoder's layers; default 128 128 256 for digits, 500 500 2000 for mnist and fashion-mnist.
    batch_size:
        Samples a step, of all deep methods; default 64 for digits, the profile's for mnist and fashion-mnist.
    clusterings:
        Ways of clustering the codes; default argmax kmeans gmm-spherical gmm-diag gmm-full.
    noise:
        Kind of noise of Table 3; default masking.
    noise_levels:
        Noise levels of Table 3; share of pixels for masking and salt-and-pepper, else on the scale where white is 1.
        Default 0.2 0.4 0.6 0.8 for digits, 0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 for mnist and fashion-mnist.
    noise_methods:
        Methods of Table 3; default ae1-relu ae1-linear dae1-linear ddnmf for digits, ae1-relu ae1-linear ddnmf for
        mnist and fashion-mnist.
    noise_seeds:
        Seeds of Table 3; default 0.
    noise_epochs:
        Epochs of Table 3; default 30 for digits, 10 for mnist and fashion-mnist.
    tables:
        Compute only the runs of these tables (1 and 2: clean images; 3: noisy ones); default 1 3.
    ae2_from_supervisor:
        Take AE2's rows from DDNMF's supervisor, which is an AE2 where it is taught by nothing else.
    set_:
        Further parameters of DDNMF, as NAME=VALUE.
    n_train:
        Only the first so many training images.
    n_test:
        Only the first so many test images.
    threads:
        Threads of torch and of the linear algebra, of each job; 1 for digits and for several jobs by default.
    jobs:
        Runs computed at the same time; by default one, for digits one a core and at most four.
    render:
        Compute nothing: draw tables and figures from the runs that are there.
    json_:
        Print one JSON object instead of the table.
    """
    given: dict[str, Any] = {
        "methods": methods, "profiles": profile, "seeds": seeds, "epochs": epochs, "eval_epochs": eval_epochs,
        "hidden": hidden, "batch_size": batch_size, "tables": tables, "noise": noise, "noise_levels": noise_levels,
        "noise_methods": noise_methods,
        "noise_seeds": noise_seeds, "noise_epochs": noise_epochs,
        "ae2_from_supervisor": ae2_from_supervisor, "n_train": n_train, "n_test": n_test,
    }  # fmt: skip
    folder = Path(f"ddnmf-{'-'.join(dataset)}") if out is None else out
    if jobs is not None and jobs < 1:
        raise CommandError(EXIT_USAGE, "usage", f"--jobs must be at least 1, got {jobs}.")
    if "digits" in dataset and len(set(dataset)) > 1:
        text = "--dataset: digits stand in for MNIST, in Table 1: give them a folder of their own."
        raise CommandError(EXIT_USAGE, "usage", text)
    small = set(dataset) == {"digits"}
    jobs = jobs or (min(4, len(os.sched_getaffinity(0))) if small and hasattr(os, "sched_getaffinity") else 1)
    if threads is None and (small or jobs > 1):
        threads = 1  # layers of a hundred units are faster on one, and several jobs share the cores
    limit(threads)
    studies = [_study(name, given, clusterings, set_) for name in dict.fromkeys(dataset)]
    if render and not list((folder / "runs").glob("*.json")):
        text = f"--out: {folder} holds no runs, and --render computes none."
        raise CommandError(EXIT_USAGE, "usage", text)
    writable(folder)
    # what the folder has of the other set stays in the tables and figures of both
    others = [_study(name, given, clusterings, set_) for name in _others(folder, dataset)]
    return _run(studies, others, folder, 0 if render else jobs, threads or 1, json_)


def _study(
    name: str, given: dict[str, Any], clusterings: Sequence[str] | None, options: Sequence[str]
) -> Any:
    """The preset of a data set, with what the command line says over it."""
    from dataclasses import replace

    from nonneg.experiments.ddnmf import PRESETS, runs_of

    changes: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list | tuple) else value
        for key, value in given.items()
        if value is not None
    }
    preset = PRESETS[name]
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
        raise CommandError(EXIT_USAGE, "usage", flagged(str(error), flags)) from error
    return study


def _others(folder: Path, dataset: Sequence[str]) -> list[str]:
    """Return the large data sets that a folder has runs of, beside those asked for."""
    if "digits" in dataset:
        return []
    found = [name for name in ("mnist", "fashion-mnist") if any((folder / "runs").glob(f"{name}-*.json"))]
    return [name for name in found if name not in dataset]


def _run(
    studies: Sequence[Any], others: Sequence[Any], folder: Path, jobs: int, threads: int, as_json: bool
) -> int:
    from nonneg.experiments.ddnmf import compute, left_out
    from nonneg.experiments.report import assemble

    notes: list[str] = []
    if jobs:
        for study in studies:
            compute(study, folder, jobs=jobs, threads=threads)
            notes += left_out(study, folder)
    for note in notes:
        print(f"nonneg: {note}", file=sys.stderr)
    order = ("digits", "mnist", "fashion-mnist")
    result = assemble(sorted([*studies, *others], key=lambda study: order.index(study.dataset)), folder)
    if as_json:
        report = {"out": str(folder), "files": result.files, "models": result.models, "notes": notes}
        print(json.dumps(report | {"rows": result.rows}))
    else:
        print(
            result.text
            or "no run in this folder fits what was asked for (data set, epochs, hidden, batch size)"
        )
        print(f"\nwritten to {folder}/")
        for label, path in result.models.items():
            print(f"{label}: nonneg.load({path!r})")
    return 0
