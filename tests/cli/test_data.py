"""What DATA of ``nonneg fit`` stands for: names of every kind of file reach the model."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import nonneg
from cli_cases import one_line, run
from nonneg.datasets import NAMES, load

X = np.random.default_rng(0).random((12, 6))
GENES = list("abcdef")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv.gz", "parquet", "h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:.* is Parquet:UserWarning", "ignore:Writing zarr v2:UserWarning")
def test_names_of_columns_reach_the_model(capsys, tmp_path, kind):
    frame, file = pd.DataFrame(X, columns=GENES), tmp_path / f"X.{kind}"
    if kind == "parquet":
        frame.to_parquet(file)
    elif kind in ("h5ad", "zarr"):
        data = anndata.AnnData(X, var=pd.DataFrame(index=GENES))
        data.obs_names = [f"cell{i}" for i in range(12)]
        data.write_h5ad(tmp_path / "X.h5ad")
        if kind == "zarr":
            data.write_zarr(file)
    else:
        frame.to_csv(file, index=False, sep="\t" if "tsv" in kind else ",")
    words = ["--n-components", 2, "--max-iter", 5, "--out", tmp_path / "m.nmf"]
    code, _, err = run(capsys, "fit", file, *words)
    assert (code, err) == (0, "")
    assert list(nonneg.load(tmp_path / "m.nmf").feature_names_in_) == GENES


def test_names_of_data_sets_reach_the_model_but_those_of_pixels(capsys, tmp_path):
    words = ["--n-components", 2, "--max-iter", 2, "--out", tmp_path / "m.nmf"]
    assert run(capsys, "fit", "dataset:all-aml", *words)[0] == 0
    names = nonneg.load(tmp_path / "m.nmf").feature_names_in_
    assert list(names) == list(load("all-aml").feature_names)
    assert run(capsys, "fit", "dataset:digits", *words)[0] == 0
    model = nonneg.load(tmp_path / "m.nmf")
    assert not hasattr(model, "feature_names_in_")  # so that arrays of images are taken as they are
    code, _, err = run(capsys, "fit", "dataset:digit", *words)
    assert code == 2 and "digits" in err and one_line(err)
    code, _, err = run(capsys, "fit", tmp_path / "none", *words)
    assert code == 3 and all(f"dataset:{name}" in err for name in NAMES) and one_line(err)


def test_images_are_arrays_of_ways_for_tensors(capsys, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 4, 3), np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    words = ["--n-components", 2, "--max-iter", 20, "--out", tmp_path / "m.nmf", "--json"]
    code, out, err = run(capsys, "fit", tmp_path, "--model", "ntf", *words)
    assert (code, err) == (0, "") and json.loads(out)["n_features"] == 12
    model = nonneg.load(tmp_path / "m.nmf")
    assert model.tensor_shape_ == (4, 3) and model.transform(pixels).shape == (5, 2)


def test_labels_in_a_table_are_left_out_of_a_fit(capsys, tmp_path):
    pd.DataFrame(X, columns=GENES).assign(kind="u").to_csv(tmp_path / "X.csv", index=False)
    words = ["fit", tmp_path / "X.csv", "--n-components", 2, "--max-iter", 5, "--out", tmp_path / "m.nmf"]
    code, _, err = run(capsys, *words)
    assert code == 3 and "column 'kind' holds text" in err and one_line(err)
    assert run(capsys, *words, "--without", "kind", "--memory-limit", "2G")[0] == 0
    assert list(nonneg.load(tmp_path / "m.nmf").feature_names_in_) == GENES
