"""``nonneg reproduce ddnmf``: arguments to a `Study`, and its main table to stdout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from nonneg.cli.options import Flag, Json, Many, Names, Quiet, Verbose
from nonneg.cli.studies import Clustering, Dataset, reproduce

__all__ = ["reproduce_ddnmf"]

Method = Literal["raw", "nmf", "ae1-relu", "ae1-linear", "dae1-relu", "dae1-linear", "ae2", "ddnmf"]
NoiseKind = Literal["masking", "salt-and-pepper", "gaussian", "uniform"]


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
    set_: Annotated[Names, Parameter(name="--set")] = (),
    n_train: int | None = None,
    n_test: int | None = None,
    threads: int | None = None,
    jobs: int | None = None,
    render: Annotated[bool, Flag] = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
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
    """
    given: dict[str, Any] = {
        "methods": methods, "profiles": profile, "seeds": seeds, "epochs": epochs, "eval_epochs": eval_epochs,
        "hidden": hidden, "batch_size": batch_size, "tables": tables, "noise": noise, "noise_levels": noise_levels,
        "noise_methods": noise_methods,
        "noise_seeds": noise_seeds, "noise_epochs": noise_epochs,
        "ae2_from_supervisor": ae2_from_supervisor, "n_train": n_train, "n_test": n_test,
    }  # fmt: skip
    return reproduce(
        "ddnmf",
        dataset,
        given,
        clusterings,
        set_,
        out,
        jobs=jobs,
        threads=threads,
        render=render,
        as_json=json_,
        quiet=quiet,
        verbose=verbose,
    )
