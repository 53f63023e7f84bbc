"""What DATA on the command line stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nonneg.cli.errors import EXIT_DATA, EXIT_USAGE, CommandError

__all__ = ["read_data"]


def read_data(
    data: str, missing: str, takes: str, layer: str | None = None, memory_limit: str | None = None
) -> Any:
    """Return the data as the file holds them (with names, if it has any), or raise with exit code 3.

    Parameters
    ----------
    data, missing, layer, memory_limit : str
        What the user wrote.
    takes : str
        What the model is made for: a "matrix", an array of n "ways", or "views".
    """
    from nonneg.data import as_source
    from nonneg.data.limit import parse_limit
    from nonneg.data.paths import open_path
    from nonneg.data.tensor import tensor_array, tensor_matrix
    from nonneg.datasets import load
    from nonneg.exceptions import MissingExtraError

    try:
        limit = None if memory_limit is None else parse_limit(memory_limit)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, "usage", f"--memory-limit: {error}") from error
    if data.startswith("dataset:"):
        name, _, part = data.removeprefix("dataset:").partition(":")
        split: Any = part or "train"
        try:
            return load(name, split).data
        except ValueError as error:
            raise CommandError(EXIT_USAGE, "usage", f"DATA: {error}") from error
    path = Path(data)
    if not path.exists():
        text = f"DATA: there is no file {data}; give a file, or dataset:digits, dataset:mnist, dataset:fashion-mnist."
        raise CommandError(EXIT_DATA, "data", text)
    try:
        how: dict[str, Any] = {"layer": layer, "memory_limit": limit}
        if takes == "ways":
            X = tensor_array(path, **how, name="DATA")
            how = {}
        else:
            X = open_path(path, "DATA", several=takes == "views", **how)
        if takes == "views" and getattr(X, "ndim", 2) != 2:
            raise ValueError(
                f"an array of {X.ndim} ways; jointnmf needs matrices of the same rows in one .npz file, as "
                "numpy.savez(path, words=A, pixels=B) writes it"
            )
        for name, part in X.items() if isinstance(X, dict) else [("DATA", X)]:
            source = as_source(
                tensor_matrix(part) if takes == "ways" else part, missing=missing, name=name, **how
            )
        return X if isinstance(X, dict) or source.in_memory else source
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError(error.name or "a reader", "data", f"reading {path.suffix} files") from error
    except (ValueError, TypeError, OSError) as error:
        text = str(error).removeprefix("DATA: ")
        if str(path) not in text:
            text = f"{path}: {text}"
        raise CommandError(EXIT_DATA, "data", f"DATA: {text}") from error
