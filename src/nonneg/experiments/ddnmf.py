"""The study of the DDNMF paper: its methods, its clusterings, its noise, on MNIST, Fashion-MNIST or the small digits.

Protocol: train on the training images, cluster and score the test images (Tables 1 and 2); the same with noisy
training and test images for DDNMF and AE1 (Table 3 and Figure 3); t-SNE of both (Figure 2). The paper prints no sizes,
epochs or seeds; what is used here is in every caption. Source: Chen, Jin, Liu, Zhang (2021), Front. Neurorobot.
15:701194, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nonneg.experiments.complete import complete, missing
from nonneg.experiments.images import images_of
from nonneg.experiments.methods import DEEP, check_options, training_of
from nonneg.experiments.pool import run_all
from nonneg.experiments.progress import Bar
from nonneg.experiments.record import Run, RunFile
from nonneg.experiments.study import PRESETS, Study
from nonneg.experiments.zoo import ENTRIES, OUTSIDE, absent

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
    if not used & {*DEEP, *OUTSIDE}:
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
    if absent(method) is not None:
        return
    for seed in seeds:
        run = replace(base, method=method, seed=seed)
        if method not in (*DEEP, *OUTSIDE):
            yield replace(run, hidden=study.hidden) if method in ENTRIES else run
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
    study: Study,
    out: Path,
    *,
    shown: bool | None = None,
    lines: bool = False,
    jobs: int = 1,
    threads: int = 1,
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
    with Bar(sum(run.epochs or 1 for run in runs), shown, lines) as bar:
        work = [(run, study, out, teacher is not None and run.profile == teacher) for run in runs]
        run_all(complete, work, jobs, threads, bar.tick)
    return runs


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
        lacking = missing(run, study, record, images, teacher is not None and run.profile == teacher)
        epochs = sorted({epoch for _, epoch in lacking if epoch is not None})
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
