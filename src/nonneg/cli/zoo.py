"""``nonneg reproduce zoo``: arguments to a `Study` of every deep model, and its tables to stdout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from nonneg.cli.errors import EXIT_USAGE, CommandError
from nonneg.cli.options import Flag, Json, Many, Quiet, Verbose
from nonneg.cli.studies import Clustering, Dataset, reproduce

__all__ = ["reproduce_zoo"]


def reproduce_zoo(
    *,
    dataset: Annotated[Sequence[Dataset], Many] = ("digits",),
    out: Path | None = None,
    methods: Annotated[Sequence[str], Many] | None = None,
    profile: Annotated[Sequence[str], Many] | None = None,
    seeds: Annotated[Sequence[int], Many] | None = None,
    epochs: int | None = None,
    hidden: Annotated[Sequence[int], Many] | None = None,
    batch_size: int | None = None,
    clusterings: Annotated[Sequence[Clustering], Many] | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
    threads: int | None = None,
    jobs: int | None = None,
    render: Annotated[bool, Flag] = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """Compare every deep model with each other and with k-means, mixtures, NMF, autoencoders and ClustPy's methods.

    All networks have the same layers, epochs and training. Training uses the training images; the test images are
    clustered, scored and reconstructed. Every run leaves a small file, so that a killed or repeated command goes on
    where it was. What is not given comes from the data set's preset. Methods of ClustPy are computed where it is
    installed.

    Parameters
    ----------
    dataset:
        One or more data sets. digits needs no file; the others are looked for in NONNEG_DATA_HOME, the system, the
        cache, then downloaded.
    out:
        Folder of the results; default zoo-<dataset>.
    methods:
        Only these methods; default raw nmf ae1-relu ae1-linear ae2 ddnmf nn-autoencoder vnmf dpnmf deep-semi-nmf
        danmf clustpy-ae clustpy-dec.
    profile:
        Profiles of DDNMF; the first also says how all other networks are trained. Default fast best.
    seeds:
        Seeds of the trainings; default 0 1 2.
    epochs:
        Epochs of every network; default 60 for digits, 10 for mnist and fashion-mnist.
    hidden:
        Widths of the encoder's layers; default 128 128 256 for digits, 500 500 2000 for mnist and fashion-mnist.
    batch_size:
        Samples a step; default 64 for digits, the profile's for mnist and fashion-mnist.
    clusterings:
        Ways of clustering the codes; default argmax kmeans gmm-full.
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
    from nonneg.experiments.zoo import ZOO

    given: dict[str, Any] = {
        "methods": methods, "profiles": profile, "seeds": seeds, "epochs": epochs, "hidden": hidden,
        "batch_size": batch_size, "n_train": n_train, "n_test": n_test,
    }  # fmt: skip
    for name in methods or ():
        if name not in ZOO:
            text = f"--methods must be among {', '.join(ZOO)}, got {name!r}."
            raise CommandError(EXIT_USAGE, "usage", text)
    return reproduce(
        "zoo",
        dataset,
        given,
        clusterings,
        (),
        out,
        jobs=jobs,
        threads=threads,
        render=render,
        as_json=json_,
        quiet=quiet,
        verbose=verbose,
    )
