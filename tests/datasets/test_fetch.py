from __future__ import annotations

import gzip
import hashlib
import os
import socket

import numpy as np
import pytest

from nonneg.datasets import fetch, load
from nonneg.datasets.registry import IMAGE_SETS, PARTS, ImageSet
from nonneg.exceptions import DatasetUnavailable


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(np.uint8).tobytes()


def contents(seed):
    """Four small IDX files: 6 training and 4 test images of 3 x 5."""
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(0, 256, (6, 3, 5)), np.arange(6), rng.integers(0, 256, (4, 3, 5)), np.arange(4)]
    return {name: idx(array) for name, array in zip(PARTS, arrays, strict=True)}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """Two sets of small files under the names of the large ones; no system folder, an empty cache, no network."""
    files = {name: contents(seed) for seed, name in enumerate(("mnist", "fashion-mnist"))}
    for name, known in files.items():
        hashes = {file: hashlib.sha256(content).hexdigest() for file, content in known.items()}
        entry = ImageSet(hashes, ("https://one.invalid/", "https://two.invalid/"), (tmp_path / "system" / name,),
                         IMAGE_SETS[name].advice, tuple("0123456789"), name)  # fmt: skip
        monkeypatch.setitem(IMAGE_SETS, name, entry)
    monkeypatch.setattr(fetch, "_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv("NONNEG_OFFLINE", "1")
    monkeypatch.delenv("NONNEG_DATA_HOME", raising=False)

    def no_socket(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_socket)
    return files


def write(folder, files, *, packed=True, level=9):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, level))
        else:
            (folder / name).write_bytes(content)


def first_image(files):
    return np.frombuffer(files["train-images-idx3-ubyte"], np.uint8, 15, 16)


def test_digits_are_there_without_any_file(tiny):
    train, test, whole = (load("digits", split) for split in ("train", "test", "all"))
    assert train.data.shape == (1437, 64)
    assert test.data.shape == (360, 64)
    assert train.data.dtype == np.uint8
    assert train.image_shape == (8, 8)
    np.testing.assert_array_equal(np.vstack([train.data, test.data]), whole.data)
    np.testing.assert_array_equal(np.concatenate([train.target, test.target]), whole.target)
    assert len(train.feature_names) == 64
    assert whole.data.max() == 16


@pytest.mark.parametrize("packed", [True, False])
def test_any_packaging_of_the_right_content_passes(tiny, tmp_path, packed):
    write(tmp_path / "here", tiny["mnist"], packed=packed, level=1)
    data = load("mnist", path=tmp_path / "here")
    assert data.data.shape == (6, 15)
    assert data.image_shape == (3, 5)
    np.testing.assert_array_equal(data.data[0], first_image(tiny["mnist"]))
    np.testing.assert_array_equal(data.target, np.arange(6))
    assert load("mnist", "all", path=tmp_path / "here").data.shape == (10, 15)
    data.data[0, 0] = 7  # the caller owns the array


def test_order_of_folders(tiny, tmp_path, monkeypatch):
    """Every folder but the last found one holds damaged files, so an answer tells which folder was read."""
    home = tmp_path / "home"
    monkeypatch.setenv("NONNEG_DATA_HOME", str(home))
    order = [home / "mnist", home, tmp_path / "system" / "mnist", tmp_path / "cache" / "mnist"]
    for folder in reversed(order):
        write(folder, tiny["mnist"])
        load("mnist")
        write(folder, dict.fromkeys(tiny["mnist"], b"damaged"))
        with pytest.raises(DatasetUnavailable, match=str(folder / "train-images")):
            load("mnist")


def test_data_home_may_hold_another_set_under_the_same_names(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("NONNEG_DATA_HOME", str(tmp_path / "home"))
    write(tmp_path / "home", tiny["fashion-mnist"])
    write(tmp_path / "cache" / "mnist", tiny["mnist"])
    np.testing.assert_array_equal(load("mnist").data[0], first_image(tiny["mnist"]))
    np.testing.assert_array_equal(load("fashion-mnist").data[0], first_image(tiny["fashion-mnist"]))


def test_nothing_found_offline_says_what_to_do_and_opens_no_socket(tiny, tmp_path):
    with pytest.raises(DatasetUnavailable) as caught:
        load("fashion-mnist")
    message = str(caught.value)
    assert "train-images-idx3-ubyte.gz" in message
    assert IMAGE_SETS["fashion-mnist"].content["train-images-idx3-ubyte"] in message
    assert str(tmp_path / "cache" / "fashion-mnist") in message
    assert "apt install dataset-fashion-mnist" in message
    assert "'digits'" in message
    assert "\n" not in message


def test_an_explicit_path_is_the_only_one(tiny, tmp_path):
    write(tmp_path / "cache" / "mnist", tiny["mnist"])
    with pytest.raises(DatasetUnavailable, match="path does not hold it"):
        load("mnist", path=tmp_path / "elsewhere")


@pytest.mark.parametrize("damage", ["flip", "truncate", "other"])
def test_a_damaged_file_is_named_with_both_hashes(tiny, tmp_path, damage):
    write(tmp_path / "here", tiny["mnist"])
    file = tmp_path / "here" / "train-images-idx3-ubyte.gz"
    raw = bytearray(file.read_bytes())
    if damage == "flip":
        changed = bytearray(tiny["mnist"]["train-images-idx3-ubyte"])
        changed[40] ^= 1
        file.write_bytes(gzip.compress(bytes(changed)))
        found = hashlib.sha256(changed).hexdigest()
    elif damage == "truncate":
        file.write_bytes(raw[: len(raw) // 2])
        found = "none"
    else:
        file.write_bytes(b"<html>not found</html>")
        found = "none"
    with pytest.raises(DatasetUnavailable) as caught:
        load("mnist", path=tmp_path / "here")
    assert str(file) in str(caught.value)
    assert found in str(caught.value)
    assert IMAGE_SETS["mnist"].content["train-images-idx3-ubyte"] in str(caught.value)


class Mirror:
    """Stands in for pooch.HTTPDownloader: hands out what it is told, and notes what was asked for."""

    answers: dict = {}
    asked: list = []

    def __init__(self, **_options):
        pass

    def __call__(self, url, target, _pooch):
        self.asked.append(url)
        answer = self.answers[url]
        if isinstance(answer, Exception):
            raise answer
        with open(target, "wb") as file:
            file.write(answer)


def test_download_tries_mirrors_verifies_and_keeps(tiny, tmp_path, monkeypatch):
    import pooch

    monkeypatch.setattr(pooch, "HTTPDownloader", Mirror)
    monkeypatch.setenv("NONNEG_OFFLINE", "0")
    Mirror.asked = []
    Mirror.answers = {f"https://one.invalid/{name}.gz": b"<html>moved</html>" for name in PARTS}
    Mirror.answers |= {f"https://two.invalid/{n}.gz": gzip.compress(c, 1) for n, c in tiny["mnist"].items()}
    np.testing.assert_array_equal(load("mnist").data[0], first_image(tiny["mnist"]))
    assert len(Mirror.asked) == 4
    assert sorted(os.listdir(tmp_path / "cache" / "mnist")) == [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    load("mnist")
    assert len(Mirror.asked) == 4  # the second time from the cache

    Mirror.answers = {f"https://{m}.invalid/{n}.gz": ConnectionError() for m in ("one", "two") for n in PARTS}
    with pytest.raises(
        DatasetUnavailable, match=r"download failed \(https://one.invalid/: ConnectionError; https"
    ):
        load("mnist", "test")


def test_cache_that_cannot_be_written(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("NONNEG_OFFLINE", "")
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DatasetUnavailable, match="is not writable"):
        load("mnist")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "cifar"}, "name must be one of digits, mnist, fashion-mnist, .*, got 'cifar'"),
        ({"name": "digits", "split": "validation"}, "split must be one of train, test, all"),
        (
            {"name": "digits", "path": "/tmp"},
            "path must be left out for 'digits', which comes with scikit-learn",
        ),
        ({"name": "reuters", "path": "/tmp"}, "path must be left out for 'reuters', which comes with lda"),
        (
            {"name": "orl", "split": "test"},
            "split must be 'train' or 'all' for 'orl', which has no test rows",
        ),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        load(**arguments)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files_where_they_are(name, monkeypatch):
    monkeypatch.setenv("NONNEG_OFFLINE", "1")
    try:
        train, test = load(name), load(name, "test")
    except DatasetUnavailable as error:
        pytest.skip(str(error))
    assert train.data.shape == (60000, 784)
    assert test.data.shape == (10000, 784)
    assert train.data.dtype == np.uint8
    np.testing.assert_array_equal(np.unique(train.target), np.arange(10))
