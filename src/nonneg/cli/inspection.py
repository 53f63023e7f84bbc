"""``nonneg inspect``: what is in the file of a model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from nonneg.cli.errors import EXIT_USAGE, CommandError
from nonneg.cli.options import Json, Quiet, Verbose
from nonneg.cli.saved import load_model, say

__all__ = ["inspect_model"]


def inspect_model(
    model: Path, /, *, features: int = 5, quiet: Quiet = False, verbose: Verbose = False, json_: Json = False
) -> int:
    """Say what is in the file of a model: parameters, versions, sizes, names, how the fit ended, and the parts.

    Parameters
    ----------
    model:
        A file that nonneg fit wrote.
    features:
        How many of the largest features of each component are listed.
    """
    if features < 1:
        raise CommandError(EXIT_USAGE, "usage", f"--features must be at least 1, got {features}.")
    say(verbose, f"reading {model}")
    estimator = load_model(model)
    report = _report(model, estimator, features)
    print(json.dumps(report, default=str) if json_ else _text(report))
    return 0


def _report(path: Path, model: Any, features: int) -> dict[str, Any]:
    from nonneg.files import read_bundle

    meta, _ = read_bundle(path)
    parameters = model.get_params(deep=False)
    defaults = type(model)().get_params(deep=False) if _has_defaults(model) else {}
    names = getattr(model, "feature_names_in_", None)
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "model": type(model).__name__,
        "versions": meta.get("versions", {}),
        "parameters": {name: _plain(value) for name, value in parameters.items()},
        "changed": [name for name, value in parameters.items() if repr(value) != repr(defaults.get(name))],
        "n_features": int(model.n_features_in_),
        "n_components": int(model.n_components_),
        "components": [str(name) for name in model.get_feature_names_out()],
        "feature_names": None if names is None else [str(name) for name in names],
        "n_iter": _plain(getattr(model, "n_iter_", None)),
        "converged": _plain(getattr(model, "converged_", None)),
        "reconstruction_err": _plain(getattr(model, "reconstruction_err_", None)),
        "kkt_residual": _plain(getattr(model, "kkt_residual_", None)),
        "top_features": [
            [[str(name), _plain(weight)] for name, weight in best] for best in model.top_features(features)
        ],
        **{name: _plain(value) for name, value in model.parts_summary().items()},
    }


def _has_defaults(model: Any) -> bool:
    """Whether a model of this kind can be made without arguments."""
    from inspect import Parameter, signature

    return all(part.default is not Parameter.empty for part in signature(type(model)).parameters.values())


def _plain(value: Any) -> Any:
    """A value as JSON has it: large arrays as their shapes, penalties as Python writes them."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return (
            [_plain(item) for item in value.tolist()]
            if value.ndim < 2 and value.size <= 1000
            else repr(value.shape)
        )
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | str) else repr(value)


def _text(report: dict[str, Any]) -> str:
    made = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    changed = ", ".join(f"{name}={report['parameters'][name]!r}" for name in report["changed"])
    names, state = (
        report["feature_names"],
        {True: "converged", False: "not converged"}.get(report["converged"]),
    )
    lines = [
        f"{report['model']} with {report['n_components']} components of {report['n_features']} features "
        f"({report['file']}, {report['bytes']} bytes)",
        f"  written by:          {made}",
        f"  parameters:          {changed or 'all as they are by default'}",
        f"  names of features:   {_listed(names) if names else 'none'}",
        f"  iterations:          {report['n_iter']}{f' ({state})' if state else ''}",
        f"  reconstruction_err_: {_number(report['reconstruction_err'])}",
    ]
    if report["kkt_residual"] is not None:
        lines.append(f"  KKT residual:        {_number(report['kkt_residual'])}")
    lines.append(f"  dead components:     {report['dead'] or 'none'}")
    lines.append(f"  duplicates:          {report['duplicates'] or 'none'}")
    lines.append("largest features:")
    for name, sparsity, best in zip(
        report["components"], report["hoyer_sparsity"], report["top_features"], strict=False
    ):
        shown = ", ".join(f"{feature} {_number(weight)}" for feature, weight in best)
        lines.append(f"  {name} (sparsity {_number(sparsity, 2)}): {shown}")
    return "\n".join(lines)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" … {names[-1]}" if len(names) > 5 else "")


def _number(value: Any, digits: int = 4) -> str:
    return "none" if value is None else f"{value:.{digits}g}"
