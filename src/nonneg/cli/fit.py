"""``nonneg fit``: data from a file, a model into a file."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, convert

from nonneg.cli.data import read_data
from nonneg.cli.errors import EXIT_DATA, EXIT_RUNTIME, EXIT_STRICT, EXIT_USAGE, CommandError
from nonneg.cli.estimators import NAMES, estimator_options, fit_options, model_class
from nonneg.cli.naming import with_feature_names
from nonneg.cli.options import (
    Flag,
    Json,
    Names,
    Quiet,
    Verbose,
    flagged,
    leading_name,
    limit,
    place,
    writable,
)
from nonneg.cli.progress import Progress, early_ends
from nonneg.cli.values import value_of

__all__ = ["fit_model"]

if TYPE_CHECKING:
    ModelName = str
else:
    ModelName = Literal[tuple(NAMES)]


def _named_model(type_: Any, tokens: Sequence[Any]) -> str:
    """A name in any case, as one of `NAMES`."""
    return convert(type_, [token.evolve(value=token.value.lower()) for token in tokens])


def fit_model(
    data: str,
    /,
    *,
    out: Path,
    model: Annotated[ModelName, Parameter(converter=_named_model)] = "nmf",
    layer: str | None = None,
    without: Names = (),
    feature_names: Path | None = None,
    colour: Annotated[bool, Flag] = False,
    memory_limit: str | None = None,
    checkpoint: Path | None = None,
    threads: int | None = None,
    strict: Annotated[bool, Flag] = False,
    json_: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    **parameters: Any,
) -> int:
    """Fit a model to data and save it.

    Every parameter of the model is an option: those of nmf, or of the model that --model names before --help. Values
    are numbers, words and lists as Python writes them. Arrays (weights, start values, graphs) are given as files of
    any kind that DATA may be. Penalties are written as in Python: --penalty-H '[L1(0.1), Box(0, 1)]'.

    Networks train on several processes when torchrun starts this command: torchrun --nproc-per-node 2 -m nonneg fit
    DATA --model ddnmf --out FILE. All need the data; the first one writes and reports.

    Parameters
    ----------
    data:
        A .npy, .npz (dense or scipy.sparse), .csv, .tsv, .mtx, .h5, .h5ad or .parquet file, a folder of Zarr or of
        images, or dataset:NAME[:train|test|all], for instance dataset:digits. docs/scale.md says what is loaded and
        what is read in parts. ntf and nonnegativetucker take arrays of n ways (.npy, .npz), jointnmf a .npz file of
        several arrays, its views.
    out:
        File of the model; nonneg.load reads it.
    model:
        docs/models.md says which is for what.
    layer:
        Of .h5ad: the layer to take instead of X. Of .h5 and Zarr: the array in it.
    without:
        Columns of a table that are no features: labels, say.
    feature_names:
        Text file with a name a line for the columns of data that have none (.npz, .mtx, .npy): a vocabulary, say.
    colour:
        Take images in colour: three features a pixel.
    memory_limit:
        How much of the data is held in memory at once where it is read in parts, for instance 2GB; default 512MB.
    checkpoint:
        Folder that an interrupted fit goes on from; default OUT.checkpoint, which is removed at the end.
    threads:
        Threads of torch and of the linear algebra; default: as many as these choose themselves.
    strict:
        Exit with 4 when the fit has not converged (the model is saved all the same).
    """
    cls = model_class(model)
    values = _values(estimator_options(cls), parameters)
    beside = _values(fit_options(cls), parameters)
    _check_out(out, data)
    folder = out.with_name(out.name + ".checkpoint") if checkpoint is None else checkpoint
    limit(threads)
    estimator = _estimator(cls, values, folder)
    rank, size = place()
    if size > 1 and not _is_network(estimator):
        text = f"--model {model} is fitted by one process, and torchrun started {size}; only networks train on several."
        raise CommandError(EXIT_USAGE, "usage", text)
    missing = values.get("missing", "error")
    X = read_data(
        data, missing, getattr(cls, "_takes", "matrix"), layer, memory_limit, without=without, colour=colour
    )
    X = with_feature_names(X, feature_names, missing)
    writable(out.parent)
    progress = _progress(estimator, bar=not (quiet or verbose) and rank == 0, lines=verbose and rank == 0)
    started = time.perf_counter()
    try:
        reasons = _fit(estimator, X, beside, data, progress)
    except Exception as error:
        if checkpoint is None:
            _left(error, folder, rank)
        raise
    seconds = time.perf_counter() - started
    _forget_the_run(estimator)
    report = _report(estimator, model, out, seconds, reasons)
    if rank == 0:  # for all
        out.parent.mkdir(parents=True, exist_ok=True)
        estimator.save(out)
        if checkpoint is None:
            shutil.rmtree(folder, ignore_errors=True)
        if json_ or not quiet:
            print(json.dumps(report) if json_ else _sentence(report, _unit(estimator)))
    return EXIT_STRICT if strict and not report["converged"] else 0


def _values(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of those options that were given, or that have one on the command line."""
    found = {name: value_of(option, given[name]) for name, option in options.items() if name in given}
    return {
        name: value for name, value in found.items() if value is not None or options[name].default is not None
    }


def _check_out(out: Path, data: str) -> None:
    if out.exists() and Path(data).exists() and out.samefile(data):
        raise CommandError(EXIT_USAGE, "usage", f"--out: {out} is the data; give another file for the model.")
    if out.is_dir():
        raise CommandError(EXIT_RUNTIME, "runtime", f"--out: {out} is a folder; give the name of a file.")


def _estimator(cls: Any, values: dict[str, Any], folder: Path) -> Any:
    """Return the estimator, its parameters checked."""
    options = estimator_options(cls)
    own = {"checkpoint": folder} if "checkpoint" in cls._get_param_names() else {}
    if "random_state" in options:  # the same command gives the same model
        own["random_state"] = options["random_state"].default
    estimator = cls(**(own | values))
    try:
        estimator._check_params()
    except (TypeError, ValueError) as error:
        raise CommandError(EXIT_USAGE, "usage", flagged(str(error), _flags(cls))) from error
    return estimator


def _flags(cls: Any) -> dict[str, str]:
    options = estimator_options(cls) | fit_options(cls)
    return {name: option.flag for name, option in options.items()}


def _fit(estimator: Any, X: Any, beside: dict[str, Any], data: str, progress: Progress | None) -> list[str]:
    """Fit, show how it goes, and return why it ended early; errors are told apart by whom they name."""
    from nonneg.exceptions import IncompatibleError

    flags = _flags(type(estimator))
    try:
        with early_ends() as reasons:
            if progress is None:
                estimator.fit(X, **beside)
                return reasons
            with progress:
                estimator.set_params(verbose=progress)
                estimator.fit(X, **beside)
            return reasons
    except (ValueError, TypeError) as error:
        name, text = leading_name(str(error)), flagged(str(error), flags)
        if name in beside and name != "device":  # what a file holds
            raise CommandError(EXIT_DATA, "data", text) from error
        refused = any(word in str(error) for word in beside)  # that the model does not take at all
        if isinstance(error, IncompatibleError) or name in flags or refused:
            raise CommandError(EXIT_USAGE, "usage", text) from error
        raise CommandError(EXIT_DATA, "data", f"DATA: {data}: {error}") from error


def _progress(estimator: Any, *, bar: bool, lines: bool) -> Progress | None:
    """What shows how the fit goes; None where nobody looks, or nothing is iterated."""
    bar = bar and sys.stderr.isatty()
    if not (bar or lines) or "verbose" not in type(estimator)._get_param_names():
        return None
    name = type(estimator).__name__.lower()
    if _is_network(estimator):
        total, objective = estimator._resolve()["max_epochs"], estimator._objective
        return Progress(name, total, "epoch", objective, bar=bar, lines=lines)
    total = estimator.max_iter * estimator.n_init
    return Progress(name, total, "iteration", max_time=estimator.max_time, bar=bar, lines=lines)


def _is_network(estimator: Any) -> bool:
    return hasattr(estimator, "_resolve")


def _unit(estimator: Any) -> str:
    return "epochs" if _is_network(estimator) else "iterations"


def _left(error: Exception, folder: Path, rank: int) -> None:
    """See to what a failed fit leaves in the checkpoint of its --out."""
    from nonneg.exceptions import ForeignCheckpointError

    if (
        isinstance(error, FloatingPointError) and rank == 0
    ):  # nothing worth going on from, and in the way of another try
        shutil.rmtree(folder, ignore_errors=True)
    if isinstance(error, ForeignCheckpointError):
        text = f"{error} (it was left by an interrupted fit with this --out)"
        raise CommandError(EXIT_RUNTIME, "runtime", text) from error


def _forget_the_run(estimator: Any) -> None:
    """Set back what is of this call and not of the model."""
    known = estimator.get_params()
    estimator.set_params(**{k: v for k, v in {"checkpoint": None, "verbose": 0}.items() if k in known})


def _report(estimator: Any, model: str, out: Path, seconds: float, reasons: list[str]) -> dict[str, Any]:
    return {
        "model": model,
        "out": str(out),
        "n_features": int(estimator.n_features_in_),
        "n_components": int(estimator.n_components_),
        "n_iter": int(estimator.n_iter_),
        "converged": bool(estimator.converged_),
        "reason": reasons[-1] if reasons and not estimator.converged_ else None,
        "reconstruction_err": float(estimator.reconstruction_err_),
        "seconds": round(seconds, 3),
    }


def _sentence(report: Mapping[str, Any], unit: str) -> str:
    state = "converged" if report["converged"] else "not converged"
    return (
        f"{report['model']} with {report['n_components']} components, {report['n_features']} features: error "
        f"{report['reconstruction_err']:.6g} after {report['n_iter']} {unit} ({state}, {report['seconds']:.1f} s); "
        f"written to {report['out']}" + (f". {report['reason']}" if report["reason"] else "")
    )
