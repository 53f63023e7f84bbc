"""``nonneg fit``: data from a file, a model into a file."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, convert

from nonneg.cli.data import read_data
from nonneg.cli.errors import EXIT_DATA, EXIT_RUNTIME, EXIT_STRICT, EXIT_USAGE, CommandError
from nonneg.cli.options import flagged, leading_name, limit, parse_option, place, writable
from nonneg.registry import MODELS

__all__ = ["fit_model"]

#: What --model takes: every registered model in lower case.
NAMES = {name.lower(): name for name in MODELS}
if TYPE_CHECKING:
    ModelName = str
else:
    ModelName = Literal[tuple(NAMES)]


def _named_model(type_: Any, tokens: Sequence[Any]) -> str:
    """A name in any case, as one of `NAMES`."""
    return convert(type_, [token.evolve(value=token.value.lower()) for token in tokens])


#: What `files.Checkpoint` says of one that this fit cannot go on from.
FOREIGN = "belongs to other data or parameters"

Flag = Parameter(negative=())
Many = Parameter(consume_multiple=True, negative=())


def fit_model(
    data: str,
    /,
    *,
    out: Path,
    model: Annotated[ModelName, Parameter(converter=_named_model)] = "nmf",
    n_components: str | None = None,
    seed: int = 0,
    max_iter: int | None = None,
    loss: str | None = None,
    missing: Literal["error", "ignore", "unstored"] | None = None,
    profile: str | None = None,
    hidden: Annotated[Sequence[int], Many] | None = None,
    epochs: int | None = None,
    set_: Annotated[
        Sequence[str], Parameter(name="--set", consume_multiple=True, negative=(), show_default=False)
    ] = (),
    layer: str | None = None,
    memory_limit: str | None = None,
    checkpoint: Path | None = None,
    threads: int | None = None,
    strict: Annotated[bool, Flag] = False,
    json_: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Fit a model to data and save it.

    Networks train on several processes when torchrun starts this command: torchrun --nproc-per-node 2 -m nonneg fit
    DATA --model ddnmf --out FILE. All need the data; the first one writes and reports.

    Parameters
    ----------
    data:
        A .npy, .npz (dense or scipy.sparse), .csv, .tsv, .mtx, .h5, .h5ad or .parquet file, a folder of Zarr, or
        dataset:NAME[:train|test|all], for instance dataset:digits. docs/scale.md says what is loaded and what is read
        in parts. ntf and nonnegativetucker take a .npy or .npz file of n ways, jointnmf a .npz file of several
        arrays, its views.
    out:
        File of the model; nonneg.load reads it.
    model:
        nmf: X = W H. ddnmf: the deep model, which needs torch. docs/models.md says which of the others is for what.
    n_components:
        Number of parts; default 10. trinmf: two, as 3,4, if rows and columns differ. nonnegativetucker has ranks of its
        own: --set ranks=[3,4,2].
    seed:
        Seed of everything random.
    max_iter:
        Iterations after which the fit stops in any case; nmf: default 500. Networks have epochs.
    loss:
        Of models that have a choice. nmf: frobenius (the default), kl for counts, itakura-saito for power spectra, or
        a number, the beta of the divergence.
    missing:
        Of models that take missing cells (docs/models.md). error (the default): NaN cells, and empty ones in a table,
        are an error. ignore: they are left out of the fit. unstored: so are all cells that a sparse .npz or .mtx file
        does not store, which else are zeros.
    profile:
        ddnmf: the set of parameters: paper (the default), demo, fast or best.
    hidden:
        Networks: widths of the encoder's layers; ddnmf: default 500 500 2000.
    epochs:
        Networks: passes over the data; ddnmf: default 300.
    set_:
        Further parameters of the model, as NAME=VALUE, for instance tol=1e-5 penalty_H=0.001.
    layer:
        Of .h5ad: the layer to take instead of X. Of .h5 and Zarr: the array in it.
    memory_limit:
        How much of the data is held in memory at once where it is read in parts, for instance 2GB; default 512MB.
    checkpoint:
        Folder that an interrupted fit goes on from; default OUT.checkpoint, which is removed at the end.
    threads:
        Threads of torch and of the linear algebra; default: as many as these choose themselves.
    strict:
        Exit with 4 when the fit has not converged (the model is saved all the same).
    json_:
        Print one JSON object.
    """
    from nonneg.exceptions import CheckpointError

    options: dict[str, Any] = dict(parse_option(text) for text in set_)
    for name in ("n_components", "random_state", "checkpoint"):
        if name in options:
            raise CommandError(EXIT_USAGE, "usage", f"--set {name}=…: use {FLAGS[name]}.")
    given = {
        "n_components": _count(n_components), "max_iter": max_iter, "loss": _number(loss), "missing": missing,
        "profile": profile, "hidden": None if hidden is None else tuple(hidden), "max_epochs": epochs,
    }  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    for name in given.keys() & options.keys():
        raise CommandError(
            EXIT_USAGE, "usage", f"--set {name}=…: it is given by {FLAGS[name]} too; give it once."
        )
    if out.exists() and Path(data).exists() and out.samefile(data):
        raise CommandError(EXIT_USAGE, "usage", f"--out: {out} is the data; give another file for the model.")
    if out.is_dir():
        raise CommandError(EXIT_RUNTIME, "runtime", f"--out: {out} is a folder; give the name of a file.")
    folder = out.with_name(out.name + ".checkpoint") if checkpoint is None else checkpoint
    limit(threads)
    estimator = _estimator(model, given, options, {"random_state": seed, "checkpoint": folder})
    rank, size = place()
    if size > 1 and not hasattr(estimator, "_resolve"):
        text = f"--model {model} is fitted by one process, and torchrun started {size}; only networks train on several."
        raise CommandError(EXIT_USAGE, "usage", text)
    X = read_data(data, missing or "error", getattr(estimator, "_takes", "matrix"), layer, memory_limit)
    writable(out.parent)
    started = time.perf_counter()
    try:
        _fit(estimator, X, data)
    except FloatingPointError:  # nothing worth going on from, and it would be in the way of another try
        if checkpoint is None and rank == 0:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    except CheckpointError as error:
        if checkpoint is not None or FOREIGN not in str(error):
            raise
        text = f"{error} (it was left by an interrupted fit with this --out)"
        raise CommandError(EXIT_RUNTIME, "runtime", text) from error
    seconds = time.perf_counter() - started
    of_this_call = {"checkpoint": None, "verbose": 0}  # not of the model
    estimator.set_params(
        **{name: value for name, value in of_this_call.items() if name in estimator.get_params()}
    )
    report = _report(estimator, model, out, seconds)
    if rank == 0:  # for all
        out.parent.mkdir(parents=True, exist_ok=True)
        estimator.save(out)
        if checkpoint is None:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(report) if json_ else _sentence(report))
    return EXIT_STRICT if strict and not report["converged"] else 0


#: Parameters of the models that have options of their own.
FLAGS = {
    "n_components": "--n-components", "random_state": "--seed", "checkpoint": "--checkpoint", "max_iter": "--max-iter",
    "loss": "--loss", "missing": "--missing", "profile": "--profile", "hidden": "--hidden", "max_epochs": "--epochs",
}  # fmt: skip


def _count(text: str | None) -> int | list[int] | None:
    """K as a number, or K,L as two."""
    try:
        found = None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        problem = f"--n-components must be a whole number (trinmf: or two, as 3,4), got {text!r}."
        raise CommandError(EXIT_USAGE, "usage", problem) from None
    return found[0] if found and len(found) == 1 else found


def _number(loss: str | None) -> str | float | None:
    try:
        return None if loss is None else float(loss)
    except ValueError:
        return loss


def _estimator(model: str, given: dict[str, Any], options: dict[str, Any], run: dict[str, Any]) -> Any:
    """Return the estimator, its parameters checked: ``given`` and ``options``, and what it knows of ``run``."""
    import nonneg

    cls = getattr(nonneg, NAMES[model])
    known = cls._get_param_names()
    for name in [*given, *options]:
        if name not in known:
            option = FLAGS[name] if name in given else "--set"
            text = f"{option}: {cls.__name__} has no parameter {name!r}.{_meant(name, known)}"
            raise CommandError(EXIT_USAGE, "usage", text)
    estimator = cls(**given, **options, **{name: value for name, value in run.items() if name in known})
    try:
        estimator._check_params()
    except (TypeError, ValueError) as error:
        raise CommandError(EXIT_USAGE, "usage", flagged(str(error), FLAGS)) from error
    return estimator


def _meant(name: str, known: Sequence[str]) -> str:
    """What to write for a parameter that there is not, if that can be guessed."""
    if name == "n_components" and "ranks" in known:
        return " Use --set ranks=[3,4,2], one for each way."
    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _fit(estimator: Any, X: Any, data: str) -> None:
    """Fit, with a progress bar for the epochs of deep models; errors are told apart by whom they name."""
    from sklearn.exceptions import ConvergenceWarning

    from nonneg.exceptions import IncompatibleError
    from nonneg.experiments.progress import Bar

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the report says whether it converged
            if not hasattr(estimator, "_resolve"):
                estimator.fit(X)
                return
            name = type(estimator).__name__.lower()
            shown = None if place()[0] == 0 else False
            with Bar(estimator._resolve()["max_epochs"], shown) as bar:
                estimator.set_params(verbose=lambda record: bar.tick(name, int(record["epoch"])))
                estimator.fit(X)
    except IncompatibleError as error:
        raise CommandError(EXIT_USAGE, "usage", str(error)) from error
    except (ValueError, TypeError) as error:
        if leading_name(str(error)) in estimator.get_params():
            raise CommandError(EXIT_USAGE, "usage", flagged(str(error), FLAGS)) from error
        raise CommandError(EXIT_DATA, "data", f"DATA: {data}: {error}") from error


def _report(estimator: Any, model: str, out: Path, seconds: float) -> dict[str, Any]:
    return {
        "model": model,
        "out": str(out),
        "n_features": int(estimator.n_features_in_),
        "n_components": int(estimator.n_components_),
        "n_iter": int(estimator.n_iter_),
        "converged": bool(estimator.converged_),
        "reconstruction_err": float(estimator.reconstruction_err_),
        "seconds": round(seconds, 3),
    }


def _sentence(report: dict[str, Any]) -> str:
    unit = "epochs" if MODELS[NAMES[report["model"]]] == "nonneg.deep" else "iterations"
    state = "converged" if report["converged"] else "not converged"
    return (
        f"{report['model']} with {report['n_components']} components, {report['n_features']} features: error "
        f"{report['reconstruction_err']:.6g} after {report['n_iter']} {unit} ({state}, {report['seconds']:.1f} s); "
        f"written to {report['out']}"
    )
