"""Programs of genes in AnnData, where scanpy's users look for results: ``obsm``, ``varm`` and ``uns``.

This module knows where results go. The package anndata is imported by whoever made the data, not here.
"""

from __future__ import annotations

import os
from numbers import Real
from typing import Any

import numpy as np

from . import __version__
from .data.trees import is_anndata
from .models.nmf import NMF

__all__ = ["nmf"]

DEFAULTS = {"loss": "kl", "random_state": 0}  # where `NMF` has others
SHOWN = 10  # names in a message
OF_SCALED = (
    "Values are negative after sc.pp.scale: name a layer of counts or logarithms with layer=; where adata.raw has "
    'them, adata.layers["raw"] = adata.raw[:, adata.var_names].X makes one.'
)


def nmf(
    adata: Any,
    n_components: int | None = None,
    *,
    layer: str | None = None,
    mask_var: Any = "auto",
    model: Any = None,
    key_added: str | None = None,
    copy: bool = False,
    **parameters: Any,
) -> Any:
    """Factorize cells × genes into programs, and write them into ``adata`` as scanpy's tools do.

        X ≈ W H ,  W = obsm["X_nmf"] (cells, k) ,  Hᵀ = varm["NMF"] (genes, k)

    Parameters
    ----------
    adata : anndata.AnnData
        In memory or backed (then read in parts, unless genes are left out). The default loss is for counts; any
        non-negative numbers do, logarithms too, but not scaled ones.
    n_components : int, default=10
        k, the number of programs.
    layer : str, optional
        Fit ``adata.layers[layer]`` in place of ``adata.X``.
    mask_var : str, array-like of bool of shape (n_vars,), "auto" or None, default="auto"
        Genes to fit: a column of ``adata.var``, or a mask; None takes all. ``"auto"``: the column ``highly_variable``
        where there is one, else all.
    model : estimator, optional
        Any estimator of this library in place of `NMF`. It is fitted itself, so that its `transform` can be used on
        other cells afterwards; ``n_components`` and other parameters are then its own.
    key_added : str, optional
        Write to ``obsm[key_added]``, ``varm[key_added]`` and ``uns[key_added]``.
    copy : bool, default=False
        Write into a copy, and return it.
    **parameters
        Of `NMF`. Two have other defaults than there: ``loss="kl"`` and ``random_state=0``.

    Returns
    -------
    AnnData or None
        The copy, with ``copy=True``. These are set:

        ``.obsm["X_nmf"]`` : ndarray of shape (n_obs, k)
            W, how much there is of each program in each cell.
        ``.varm["NMF"]`` : ndarray of shape (n_vars, k)
            The genes of each program, ``model.parts()`` transposed; 0 for genes that were not fitted.
        ``.uns["nmf"]`` : dict
            ``components`` (their names), ``share`` (k,) (of each program in Σ_ij (W H)_ij, see below),
            ``reconstruction_err``, ``n_iter``, ``converged``, ``model`` (its class), ``params`` and ``version``. All of
            it can be written by ``adata.write_h5ad``.

    Raises
    ------
    TypeError
        For data that are no AnnData, and parameters beside ``model``.
    ValueError
        For negative values, genes or a layer that are not there, a copy or a view of a backed AnnData, and a model
        whose parts are not made of genes (`SymmetricNMF`).

    Notes
    -----
    ``share`` is Σ_i W_ik ‖H_k‖₁, divided by its sum over k. With ``loss="kl"`` it is the share of all counts of the
    fitted genes that a program explains. It is left out where codes are negative.

    References
    ----------
    Kotliar et al. (2019), Identifying gene expression programs of cell-type identity and cellular activity with
    single-cell RNA-Seq, eLife 8, e43803. Wolf, Angerer and Theis (2018), Genome Biology 19, 15, for the places.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import nonneg.anndata
    >>> counts = np.random.default_rng(0).poisson(2.0, (50, 20)).astype(np.float32)
    >>> adata = anndata.AnnData(counts)
    >>> nonneg.anndata.nmf(adata, 3)
    >>> adata.obsm["X_nmf"].shape, adata.varm["NMF"].shape
    ((50, 3), (20, 3))
    """
    if not is_anndata(adata):
        raise TypeError(
            f"adata is a {type(adata).__name__}, expected an AnnData; anndata.AnnData(X) makes one, and nonneg.NMF "
            "takes tables and arrays"
        )
    if adata.isbacked and (copy or adata.is_view):
        raise ValueError(
            f"adata: {'a view' if adata.is_view else 'a copy'} of backed data cannot hold results; pass "
            "adata.to_memory()"
        )
    genes, mask_name = _genes(adata, mask_var)
    estimator = _estimator(model, n_components, parameters)
    try:
        W = np.asarray(estimator.fit_transform(adata if genes.all() else adata[:, genes], layer=layer))
    except ValueError as error:
        if str(error).startswith("Negative values"):
            error.add_note(OF_SCALED)
        raise
    parts = estimator.parts()
    if parts.shape[1] != genes.sum():
        raise ValueError(
            f"model: parts of {type(estimator).__name__} have {parts.shape[1]} entries, expected {genes.sum()}, one a "
            "gene; take a model of cells × genes, such as NMF"
        )
    loadings = np.zeros((adata.n_vars, len(parts)), parts.dtype)
    loadings[genes] = parts.T
    adata = adata.copy() if copy else adata
    adata.obsm[key_added or "X_nmf"] = W
    adata.varm[key_added or "NMF"] = loadings
    adata.uns[key_added or "nmf"] = _facts(estimator, W, parts) | {
        "params": _plain({**estimator.get_params(deep=False), "layer": layer, "mask_var": mask_name})
    }
    return adata if copy else None


def _genes(adata: Any, mask_var: Any) -> tuple[np.ndarray, str | None]:
    """Which genes are fitted, and the column of ``adata.var`` that says so."""
    if isinstance(mask_var, str) and mask_var == "auto":
        mask_var = "highly_variable" if "highly_variable" in adata.var else None
    if mask_var is None:
        return np.ones(adata.n_vars, bool), None
    named = isinstance(mask_var, str)
    if named and mask_var not in adata.var:
        known = ", ".join(map(str, adata.var.columns[:SHOWN])) or "none"
        raise ValueError(f"mask_var={mask_var!r} is no column of adata.var; it has {known}")
    mask = np.asarray(adata.var[mask_var] if named else mask_var)
    what = f"mask_var={mask_var!r}" if named else "mask_var"
    if mask.dtype != bool or mask.shape != (adata.n_vars,):
        raise ValueError(
            f"{what}: expected {adata.n_vars} values of bool, one a gene, got {mask.dtype} of shape {mask.shape}"
        )
    if not mask.any():
        raise ValueError(f"{what} selects no gene; pass mask_var=None for all")
    return mask, mask_var if named else "array"


def _estimator(model: Any, n_components: int | None, parameters: dict[str, Any]) -> Any:
    if n_components is not None:
        parameters = {"n_components": n_components, **parameters}
    if model is None:
        return NMF(**{**DEFAULTS, **parameters})
    if parameters:
        raise TypeError(
            f"{', '.join(parameters)}: model= has parameters of its own; set them there, and leave these out"
        )
    if not hasattr(model, "parts") or isinstance(model, type):
        raise TypeError(f"model={model!r} must be an estimator of nonneg, such as nonneg.PLSA(10)")
    return model


def _facts(estimator: Any, W: np.ndarray, parts: np.ndarray) -> dict[str, Any]:
    """What is said of the fit, in values that AnnData can write."""
    facts = {
        "model": type(estimator).__name__,
        "version": __version__,
        "components": np.asarray(estimator.get_feature_names_out(), dtype=object),
        "reconstruction_err": float(estimator.reconstruction_err_),
        "n_iter": int(estimator.n_iter_),
        "converged": bool(estimator.converged_),
    }
    if W.min(initial=0) < 0:
        return facts
    amounts = W.sum(axis=0, dtype=np.float64) * np.abs(parts).sum(axis=1, dtype=np.float64)
    return facts | {"share": amounts / (amounts.sum() or 1.0)}


def _plain(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters as AnnData can write them: what is None is left out, what is no number or word is its ``repr``."""
    found: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, np.generic):
            found[name] = value.item()
        elif _of_numbers(value):
            found[name] = np.asarray(value)
        elif isinstance(value, os.PathLike):
            found[name] = os.fspath(value)
        elif value is not None:
            found[name] = value if isinstance(value, (bool, int, float, str)) else repr(value)
    return found


def _of_numbers(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return isinstance(value, (list, tuple)) and all(isinstance(one, Real) for one in value)
