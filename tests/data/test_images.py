"""A folder of images as a matrix: order, names, depth, colours, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nonneg import NMF, as_source
from nonneg.data.array import ArraySource
from nonneg.data.images import ImageStore, image_shape
from nonneg.data.paths import open_path
from nonneg.data.stored import StoredSource

SHAPE = (3, 4)


def pictures(folder, count=12, shape=SHAPE, dtype=np.uint8, suffix=".png"):
    """Images face0 … face11 of random pixels; the array (count, height, width)."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (count, *shape), dtype, endpoint=True)
    for i, image in enumerate(values):
        Image.fromarray(image).save(folder / f"face{i}{suffix}")
    return values


@pytest.mark.parametrize(
    ("dtype", "suffix"), [(np.uint8, ".png"), (np.uint16, ".tif"), (np.uint8, ".pgm"), (np.uint16, ".png")]
)
def test_rows_are_the_images_in_natural_order(tmp_path, dtype, suffix):
    values = pictures(tmp_path / "faces", dtype=dtype, suffix=suffix)
    (tmp_path / "faces" / "notes.txt").write_text("no image")
    (tmp_path / "faces" / ".hidden.png").write_text("no image")
    source = as_source(tmp_path / "faces")
    assert isinstance(source, ArraySource) and source.dtype == dtype and source.float_dtype == np.float32
    assert np.array_equal(source.X, values.reshape(12, -1))
    assert source.names[:2] == ["y0x0", "y0x1"] and source.names[-1] == "y2x3"
    store = open_path(tmp_path / "faces")
    assert store.row_names() == [f"face{i}{suffix}" for i in range(12)]  # face10 after face9


def test_more_than_the_memory_allows_is_read_in_parts(tmp_path):
    values = pictures(tmp_path / "faces", 400, (64, 64), suffix=".pgm")
    source = as_source(tmp_path / "faces", memory_limit="1600KB")
    assert isinstance(source, StoredSource)
    assert np.array_equal(source.read(3, 7), values[3:7].reshape(4, -1))
    model = NMF(2, tol=0.5, random_state=0).fit(source)
    assert list(model.feature_names_in_) == source.names
    assert np.array_equal(model.transform(tmp_path / "faces"), model.transform(source))


def test_folders_in_the_folder_and_colours(tmp_path):
    values = pictures(tmp_path / "set" / "s2", 2, (3, 4, 3))
    pictures(tmp_path / "set" / "s10", 1, (3, 4, 3))
    store = ImageStore(tmp_path / "set", colour=True)
    assert store.row_names() == ["s2/face0.png", "s2/face1.png", "s10/face0.png"]
    assert np.array_equal(store.read(0, 2), values.reshape(2, -1))
    assert store.names[:4] == ["y0x0r", "y0x0g", "y0x0b", "y0x1r"]
    assert image_shape(store.names) == (3, 4, 3)
    grey = ImageStore(tmp_path / "set")
    wanted = np.asarray(Image.fromarray(values[0]).convert("L")).reshape(1, -1)
    assert np.array_equal(grey.read(0, 1), wanted) and image_shape(grey.names) == SHAPE


@pytest.mark.parametrize(
    "names", [None, [], ["a", "b"], ["y0x0", "y1x0", "y1x1"], ["y0x1", "y0x0"], ["y0x0q"]]
)
def test_other_names_are_no_images(names):
    assert image_shape(names) is None


def test_what_is_no_row_of_pixels_is_refused(tmp_path):
    folder = tmp_path / "faces"
    pictures(folder, 2)
    (folder / "face2.png").write_bytes((folder / "face1.png").read_bytes()[:45])
    with pytest.raises(ValueError, match=r"face2\.png cannot be read as an image"):
        as_source(folder)
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(folder / "face2.png")
    with pytest.raises(ValueError, match=r"face2\.png has shape \(5, 5\).* bring all images to one size"):
        as_source(folder)
    Image.fromarray(np.zeros(SHAPE, np.uint16)).save(folder / "face2.png")
    with pytest.raises(ValueError, match=r"face2\.png has shape .*uint16"):
        as_source(folder)
    (folder / "face2.png").unlink()
    frames = [Image.fromarray(np.zeros(SHAPE, np.uint8))] * 3
    frames[0].save(folder / "face0.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="3 frames"):
        as_source(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is a folder; give a file in it"):
        as_source(tmp_path / "empty")
