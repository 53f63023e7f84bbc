"""Programs in AnnData: where they are written, that files hold them, and that they are the types of the cells."""

from __future__ import annotations

import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import nonneg.anndata
from matrix_cases import relative
from nonneg import DDNMF, NMF, PLSA, SymmetricNMF
from nonneg.datasets import load, make_counts
from nonneg.metrics import ari, match_components, nmi

COUNTS = make_counts(80, 12, 3, random_state=0).data
if sp.issparse(COUNTS):
    COUNTS = COUNTS.toarray()


def cells(X=COUNTS, **more):
    names = pd.DataFrame(index=[f"gene {j}" for j in range(X.shape[1])])
    return anndata.AnnData(
        X.copy(), obs=pd.DataFrame(index=[f"cell {i}" for i in range(len(X))]), var=names, **more
    )


def programs(adata, *args, **options):
    """With a loose tolerance, unless said otherwise: it is quick, and then says nothing."""
    return nonneg.anndata.nmf(adata, *args, **({} if "model" in options else {"tol": 1e-3}) | options)


@pytest.fixture(scope="module")
def blood():
    data = load("pbmc68k-reduced")
    obs = pd.DataFrame({"kind": data.target_names[data.target]}, index=data.sample_names)
    adata = anndata.AnnData(data.data, obs=obs, var=pd.DataFrame(index=data.feature_names))
    programs(adata, 6)
    return adata


def test_programs_agree_with_the_types_of_the_cells(blood):
    share = blood.obsm["X_nmf"] * blood.varm["NMF"].sum(axis=0)
    found, kinds = share.argmax(axis=1), blood.obs["kind"].to_numpy()
    rng = np.random.default_rng(0)
    shuffled = [nmi(kinds, rng.permutation(found)) for _ in range(20)]
    assert max(shuffled) < 0.05 and nmi(kinds, found) > 0.6
    assert ari(kinds, found) > 0.45


def test_markers_stand_in_the_program_of_their_cells(blood):
    genes = np.array(blood.var_names)
    parts = blood.varm["NMF"] / blood.varm["NMF"].sum(axis=0)
    special = parts * (parts / parts.sum(axis=1, keepdims=True))  # large, and larger than elsewhere
    tops = [set(genes[np.argsort(-column)[:10]]) for column in special.T]
    share = blood.obsm["X_nmf"] * blood.varm["NMF"].sum(axis=0)
    for markers, kind in (
        ({"GNLY", "NKG7", "GZMB"}, "CD56+ NK"),
        ({"CD79A", "CD79B", "CD74"}, "CD19+ B"),
        ({"LYZ", "CST3", "FCER1A"}, "Dendritic"),
        ({"FCGR3A", "LST1", "AIF1"}, "CD14+ Monocyte"),
    ):
        (program,) = (k for k, top in enumerate(tops) if markers <= top)
        assert np.median(share[blood.obs["kind"] == kind], axis=0).argmax() == program


def test_what_is_written_is_the_fit(blood):
    model = NMF(6, loss="kl", tol=1e-3, random_state=0)
    W = model.fit_transform(blood)
    assert np.array_equal(blood.obsm["X_nmf"], W) and np.array_equal(blood.varm["NMF"], model.components_.T)
    facts = blood.uns["nmf"]
    assert facts["reconstruction_err"] == model.reconstruction_err_ and facts["converged"] is True
    assert facts["params"]["n_components"] == 6 and facts["params"]["loss"] == "kl"
    assert facts["components"].tolist() == [f"nmf{k}" for k in range(6)]
    explained = W.sum(axis=0) * model.components_.sum(axis=1)
    assert facts["share"] == pytest.approx(explained / blood.X.sum(), rel=1e-2)  # KL keeps the total
    assert facts["share"].sum() == pytest.approx(1)


def test_programs_of_float32_are_those_of_float64(blood):
    """float32 is what scanpy keeps."""
    single = anndata.AnnData(blood.X.astype(np.float32), obs=blood.obs, var=blood.var)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        programs(single, 6, tol=1e-2)
    assert single.obsm["X_nmf"].dtype == single.varm["NMF"].dtype == np.float32
    found = match_components(single.varm["NMF"].T, blood.varm["NMF"].T)
    assert found.similarity.min() > 0.9999


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_matrix], ids=["dense", "CSR", "CSC"])
def test_a_layer_of_any_kind_in_its_place(kind):
    adata = cells(np.zeros_like(COUNTS), layers={"counts": kind(COUNTS)})
    assert programs(adata, 3, layer="counts") is None
    reference = cells()
    programs(reference, 3)
    assert (
        relative(adata.obsm["X_nmf"] @ adata.varm["NMF"].T, reference.obsm["X_nmf"] @ reference.varm["NMF"].T)
        < 0.02
    )
    assert adata.uns["nmf"]["params"]["layer"] == "counts" and not adata.X.any()


def test_results_are_written_and_read(tmp_path):
    adata = cells()
    programs(adata, 3)
    penalty = nonneg.penalties.L1(0.01)
    programs(adata, 2, key_added="sparse", penalty_H=penalty, frozen=None, checkpoint=tmp_path / "kept")
    numbers = {"tol": np.float32(1e-2), "max_iter": np.int64(50)}  # of a grid, say
    programs(adata, np.int64(2), key_added="numbers", **numbers)
    nonneg.anndata.nmf(
        adata, model=DDNMF(2, hidden=(5, 4), max_epochs=1, device="cpu", random_state=0), key_added="deep"
    )
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    for obs, var, uns in (("X_nmf", "NMF", "nmf"), ("sparse",) * 3, ("deep",) * 3):
        np.testing.assert_array_equal(again.obsm[obs], adata.obsm[obs])
        np.testing.assert_array_equal(again.varm[var], adata.varm[var])
        assert again.uns[uns].keys() == adata.uns[uns].keys()
        assert again.uns[uns]["params"].keys() == adata.uns[uns]["params"].keys()
    assert again.uns["sparse"]["params"]["penalty_H"] == repr(penalty)
    params = again.uns["numbers"]["params"]
    assert params["n_components"] == 2 and {name: params[name] for name in numbers} == numbers
    assert again.uns["deep"]["params"]["hidden"].tolist() == [5, 4]
    assert again.uns["deep"]["model"] == "DDNMF" and again.uns["nmf"]["components"].tolist()[2] == "nmf2"


def test_genes_that_are_left_out():
    chosen = np.arange(12) % 3 > 0
    alone = cells(COUNTS[:, chosen])
    programs(alone, 2)
    marked = cells()
    marked.var["highly_variable"] = chosen
    marked.var["mine"] = chosen
    for mask in ({}, {"mask_var": "mine"}, {"mask_var": chosen}, {"mask_var": chosen.tolist()}):
        programs(marked, 2, **mask)
        np.testing.assert_array_equal(marked.obsm["X_nmf"], alone.obsm["X_nmf"])
        np.testing.assert_array_equal(marked.varm["NMF"][chosen], alone.varm["NMF"])
        assert not marked.varm["NMF"][~chosen].any()
    programs(marked, 2, mask_var=None)
    assert marked.varm["NMF"].all(axis=1).any() and marked.varm["NMF"][~chosen].any()


def test_other_cells_are_asked_for_the_genes_that_were_fitted():
    adata, model = cells(), NMF(2, loss="kl", tol=1e-3, random_state=0)
    adata.var["highly_variable"] = np.arange(12) % 3 > 0
    nonneg.anndata.nmf(adata, model=model)
    with pytest.raises(ValueError, match=r"column 0 is 'gene 0' in X .* choose them with ") as caught:
        model.transform(adata)
    chosen = eval(str(caught.value).split("choose them with ")[1], {"X": adata, "model": model})
    assert relative(model.transform(chosen), adata.obsm["X_nmf"]) < 1e-3


def test_a_copy_leaves_the_data_alone():
    adata = cells()
    found = programs(adata, 2, copy=True)
    assert "X_nmf" in found.obsm and not adata.obsm and not adata.varm and not adata.uns


def test_any_estimator_and_other_cells():
    adata = cells()
    model = PLSA(3, random_state=0, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nonneg.anndata.nmf(adata[:60].copy(), model=model, key_added="plsa")
        nonneg.anndata.nmf(adata, model=model.set_output(transform="pandas"))
    assert adata.uns["nmf"]["model"] == "PLSA" and isinstance(adata.obsm["X_nmf"], np.ndarray)
    np.testing.assert_array_equal(model.transform(adata[60:]).to_numpy(), adata.obsm["X_nmf"][60:])


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix], ids=["dense", "CSR"])
def test_backed_data_stay_in_their_file(kind, tmp_path):
    adata = cells()
    adata.X = kind(COUNTS)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    programs(adata, 3)
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    programs(backed, 3)
    assert backed.isbacked and relative(backed.obsm["X_nmf"], adata.obsm["X_nmf"]) < 0.01
    of_file = NMF(3, loss="kl", tol=1e-3, random_state=0).fit_transform(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(backed.obsm["X_nmf"], of_file)
    programs(backed, 2, mask_var=np.arange(12) < 5)
    assert backed.isbacked and not backed.varm["NMF"][5:].any()
    for bad in ({"copy": True}, {}):
        with pytest.raises(ValueError, match=r"of backed data cannot hold results; pass adata.to_memory\(\)"):
            programs(backed if bad else backed[:20], 2, **bad)
    backed.file.close()


def test_scaled_values_are_refused_and_raw_ones_become_a_layer():
    adata = cells()
    adata.raw = adata.copy()
    adata.X = (adata.X - adata.X.mean(axis=0)) / adata.X.std(axis=0)  # as sc.pp.scale
    with pytest.raises(ValueError, match="Negative values") as caught:
        programs(adata, 3)
    (note,) = caught.value.__notes__
    line = next(
        part for part in note.split("; where adata.raw has them, ") if part.startswith("adata.layers")
    )
    exec(line.removesuffix(" makes one."), {"adata": adata})
    programs(adata, 3, layer="raw")
    counts = cells()
    programs(counts, 3)
    np.testing.assert_array_equal(adata.varm["NMF"], counts.varm["NMF"])


def test_refusals():
    adata = cells()
    adata.var["name"] = "x"
    negative = cells()
    negative.X[3, 2] = -1
    for bad, error, words in (
        (lambda: programs(COUNTS, 2), TypeError, r"adata is a ndarray, expected an AnnData"),
        (
            lambda: programs(negative, 2),
            ValueError,
            r"Negative values in data passed to NMF.*first at \(3, 2\) in column",
        ),
        (
            lambda: programs(adata, 2, layer="raw"),
            ValueError,
            "layer='raw': X has no such layer; it has none",
        ),
        (
            lambda: programs(adata, 2, mask_var="hv"),
            ValueError,
            "mask_var='hv' is no column of adata.var; it has name",
        ),
        (
            lambda: programs(adata, 2, mask_var="name"),
            ValueError,
            "mask_var='name': expected 12 values of bool",
        ),
        (
            lambda: programs(adata, 2, mask_var=[True]),
            ValueError,
            r"mask_var: expected 12 values of bool.*\(1,\)",
        ),
        (lambda: programs(adata, 2, mask_var=np.zeros(12, bool)), ValueError, "mask_var selects no gene"),
        (
            lambda: programs(adata, 2, model=NMF(3)),
            TypeError,
            "n_components: model= has parameters of its own",
        ),
        (lambda: programs(adata, model=NMF), TypeError, "must be an estimator of nonneg"),
        (lambda: programs(adata, 2, losses="kl"), TypeError, "losses"),
    ):
        with pytest.raises(error, match=words):
            bad()
    assert not adata.obsm and not adata.uns and not adata.varm
    with (
        warnings.catch_warnings(),
        pytest.raises(ValueError, match="parts of SymmetricNMF have 80 entries, expected 12"),
    ):
        warnings.simplefilter("ignore")
        nonneg.anndata.nmf(adata, model=SymmetricNMF(2, affinity="rbf", max_iter=5, random_state=0))
