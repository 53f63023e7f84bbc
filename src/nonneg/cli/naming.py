"""Names that stand beside the data: of features, in a file of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nonneg.cli.errors import EXIT_DATA, EXIT_USAGE, CommandError

__all__ = ["with_feature_names"]


def with_feature_names(X: Any, path: Path | None, missing: str) -> Any:
    """The data with the names that a file has for their columns, one a line; without a file as they are.

    Parameters
    ----------
    X : any
        What `nonneg.cli.data.read_data` returned.
    path : Path or None
        The file: a vocabulary, a list of genes. One line more than there are columns: the first is a heading.
    missing : str
        As for the model.

    Raises
    ------
    CommandError
        With exit code 2 for data that have names, or are no matrix; with 3 for a file that does not fit.
    """
    from nonneg.data import as_source

    if path is None:
        return X
    if isinstance(X, dict) or getattr(X, "ndim", 2) != 2:
        text = "--feature-names is for matrices: leave it out for tensors and views."
        raise CommandError(EXIT_USAGE, "usage", text)
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise CommandError(EXIT_DATA, "data", f"--feature-names: {path} cannot be read ({error}).") from error
    source = as_source(X, missing=missing)
    if source.names is not None:
        text = "--feature-names: DATA name their columns themselves; leave it out."
        raise CommandError(EXIT_USAGE, "usage", text)
    m = source.shape[1]
    if len(names) not in (m, m + 1):
        text = (
            f"--feature-names: {path} has {len(names)} lines, and DATA has {m} columns; give one name a line."
        )
        raise CommandError(EXIT_DATA, "data", text)
    source.names = names[-m:]
    return source
