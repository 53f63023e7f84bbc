"""`write_report`: a model, perhaps data, and the page about both."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from ..data.trees import is_anndata
from ..files import atomic_write, read_bundle
from ..io import load
from .facts import Facts
from .page import page
from .sections import SECTIONS

__all__ = ["write_report"]


def write_report(
    model: Any,
    path: str | os.PathLike[str],
    X: Any = None,
    *,
    labels: Any = None,
    weights: Any = None,
    image_shape: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    row_names: Sequence[str] | None = None,
    parts: str = "auto",
    embedding: str | None = "t-sne",
    title: str | None = None,
    layer: str | None = None,
    memory_limit: int | str | None = None,
    data_name: str | None = None,
    versions: Mapping[str, str] | None = None,
) -> Path:
    """Write one self-contained HTML page about a fitted model.

    The page shows the parts, how large, sparse and alike the components are, how the fit went, what can be proved of
    it, and how to repeat it; with X also the amounts in its rows, their shares and a map of them; with labels how these
    go together with the components. It has no script, loads nothing, and stays below 2 MB.

    Parameters
    ----------
    model : fitted estimator, or path
        Any model of the library, or a file that `save` wrote; the file knows the versions of the fit as well.
    path : path
        The HTML file; what is there is replaced when the page is complete.
    X : as for the model's `transform`, optional
        The data of the fit, or others with the same columns. They are read for `transform`, for counts, and for the
        certificate of `NMF`, so this takes about as long as three times `transform`.
    labels : array-like of shape (n_samples,) or str, optional
        What is known of the rows: classes by name or number; None and NaN are not known. Of an AnnData also the name of
        a column of ``obs``.
    weights : array-like or sparse of shape (n_samples, n_features), optional
        Weights of the cells, if the model takes them; 0 means missing.
    image_shape : (rows, columns) or (rows, columns, 3), optional
        The columns of X are the pixels of images of this shape. Columns that are called ``y0x0, y0x1, …`` (``y0x0r`` in
        colour) say so themselves, and so do tensors whose samples are matrices.
    names : sequence of str of shape (n_features,), optional
        Names of the columns; by default those of the fit.
    row_names : sequence of str of shape (n_samples,), optional
        Names of the rows.
    parts : {"auto", "images", "features", "spectra"}, default="auto"
        How components are shown. "auto": images where their shape is known, spectra where the names of the columns are
        numbers that rise or fall, else the largest features.
    embedding : {"t-sne", "umap", None}, default="t-sne"
        Map of the rows, at most 2,000 of them, drawn at random; None leaves it out, which saves most of the time.
    title : str, optional
        Heading of the page.
    layer, memory_limit : optional
        How X is read; see `nonneg.as_source`.
    data_name : str, optional
        Where X came from, to be said in the page.
    versions : mapping of str to str, optional
        Of the packages of the fit, where they are known; a file says them itself.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError, TypeError
        For data that the model cannot take, and for labels, names or a shape that do not fit; the message names them.
    MissingExtraError
        Without jinja2 (``nonneg[report]``), or for ``embedding="umap"`` without umap-learn (``nonneg[cluster]``).

    Examples
    --------
    >>> import nonneg
    >>> from nonneg.report import write_report
    >>> digits = nonneg.datasets.load("digits")
    >>> model = nonneg.NMF(16, random_state=0).fit(digits.data)
    >>> write_report(model, "digits.html", digits.data, labels=digits.target, image_shape=(8, 8))  # doctest: +SKIP
    """
    if embedding not in ("t-sne", "umap", None):
        raise ValueError(f"embedding={embedding!r} must be 't-sne', 'umap' or None")
    if X is None:
        for argument, value in (("labels", labels), ("weights", weights), ("row_names", row_names)):
            if value is not None:
                raise ValueError(f"{argument} are of the rows of X: give X as well")
    if isinstance(model, (str, os.PathLike)):
        versions = read_bundle(model)[0].get("versions") if versions is None else versions
        model = load(model)
    check_is_fitted(model)
    facts = Facts(
        model, X, labels=_labels(labels, X), weights=weights, image_shape=image_shape, names=names, row_names=row_names,
        parts=parts, embedding=embedding, layer=layer, memory_limit=memory_limit, versions=versions,
        data_name=data_name,
    )  # fmt: skip
    sections = [section for say in SECTIONS if (section := say(facts)) is not None]
    text = page(facts, sections, title)
    with atomic_write(path, "w") as file:
        file.write(text)
    return Path(path)


def _labels(labels: Any, X: Any) -> Any:
    """The column of obs that a name stands for; else what was given."""
    if not isinstance(labels, str):
        return labels
    if not is_anndata(X):
        raise ValueError(
            f"labels={labels!r}: a name is a column of an AnnData's obs; give a label for each row of X"
        )
    if labels not in X.obs:
        raise ValueError(
            f"labels={labels!r}: obs has no such column, but {', '.join(map(str, X.obs.columns))}"
        )
    return X.obs[labels]
