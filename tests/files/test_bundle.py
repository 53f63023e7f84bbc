"""One file for JSON and arrays: damage is found, and what is no bundle takes no memory."""

import json
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from damage_cases import signed
from nonneg.exceptions import CheckpointError
from nonneg.files import read_bundle, write_bundle


def test_bundle_round_trip(tmp_path):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "e": np.empty((0, 3), np.int64),
    }
    write_bundle(tmp_path / "m.nmf", {"x": [1, None, float("inf")]}, arrays)
    meta, back = read_bundle(tmp_path / "m.nmf")
    assert meta == {"x": [1, None, float("inf")]}
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype
        assert back[name].flags.writeable


def test_bundle_of_every_dtype_is_what_safetensors_writes(tmp_path):
    arrays = {
        kind: np.arange(7).astype(kind)
        for kind in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", ">f8", ">i4")
    }
    arrays["scalar"], arrays["strided"] = np.array(2.5), np.arange(12.0).reshape(3, 4)[::2, ::3]
    write_bundle(tmp_path / "m.nmf", {}, arrays)
    _, back = read_bundle(tmp_path / "m.nmf")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype.newbyteorder("=") and back[name].shape == array.shape
    with zipfile.ZipFile(tmp_path / "m.nmf") as archive:
        written = archive.read("arrays.safetensors")
        assert archive.testzip() is None
    native = {
        name: np.ascontiguousarray(a, a.dtype.newbyteorder("=")).reshape(a.shape)
        for name, a in arrays.items()
    }
    assert {k: v.tobytes() for k, v in safetensors.numpy.load(written).items()} == {
        k: v.tobytes() for k, v in native.items()
    }
    write_bundle(tmp_path / "again.nmf", {}, arrays)
    assert (tmp_path / "again.nmf").read_bytes() == (tmp_path / "m.nmf").read_bytes()
    with pytest.raises(TypeError, match="c has dtype complex128"):
        write_bundle(tmp_path / "m.nmf", {}, {"c": np.ones(2) * 1j})
    read_bundle(tmp_path / "m.nmf")  # the old one is there still


def test_writing_a_bundle_copies_no_array(tmp_path):
    arrays = {"a": np.zeros(1 << 22), "b": np.zeros(1 << 21)}  # 48 MiB
    write_bundle(tmp_path / "m.nmf", {}, {})
    tracemalloc.start()
    write_bundle(tmp_path / "m.nmf", {}, arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 23


def test_every_flipped_bit_and_truncation_is_found(tmp_path):
    path = tmp_path / "m.nmf"
    write_bundle(path, {"x": 1}, {"a": np.arange(3.0)})
    good = path.read_bytes()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << (position % 8)
        path.write_bytes(bad)
        with pytest.raises(CheckpointError):
            read_bundle(path)
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError):
            read_bundle(path)


def test_reading_a_bundle_copies_no_array(tmp_path):
    arrays = {"a": np.ones(1 << 22), "b": np.arange(1 << 21, dtype=np.int64)}  # 48 MiB
    write_bundle(tmp_path / "m.nmf", {}, arrays)
    tracemalloc.start()
    _, back = read_bundle(tmp_path / "m.nmf")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (48 << 20) + (6 << 20)
    assert all(np.array_equal(back[name], array) for name, array in arrays.items())


def arrays_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F64", shape=(1,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


EIGHT = bytes(8)
MALFORMED = {
    "no arrays": {"model.json": "{}"},
    "no JSON": {"model.json": "{", "arrays.safetensors": arrays_of({})},
    "JSON that is no object": {"model.json": "[]", "arrays.safetensors": arrays_of({})},
    "JSON without end": {"model.json": "[" * 10**5, "arrays.safetensors": arrays_of({})},
    "a number without end": {"model.json": "9" * 10**5, "arrays.safetensors": arrays_of({})},
    "no header": {"model.json": "{}", "arrays.safetensors": b""},
    "a header beyond the file": {"model.json": "{}", "arrays.safetensors": (2**62).to_bytes(8, "little")},
    "a header that is no object": {"model.json": "{}", "arrays.safetensors": arrays_of(b"[]")},
    "an array beyond the file": {
        "model.json": "{}",
        "arrays.safetensors": arrays_of({"a": entry(shape=(2**40,), offsets=(0, 2**43))}, EIGHT),
    },
    "another shape than bytes": {
        "model.json": "{}", "arrays.safetensors": arrays_of({"a": entry(shape=(2**40,))}, EIGHT),
    },
    "negative sides": {
        "model.json": "{}", "arrays.safetensors": arrays_of({"a": entry(shape=(-1, -1))}, EIGHT),
    },
    "a side that is no number": {
        "model.json": "{}", "arrays.safetensors": arrays_of({"a": entry(shape=("1",))}, EIGHT),
    },
    "sides beyond the machine": {
        "model.json": "{}",
        "arrays.safetensors": arrays_of({"a": entry(shape=(0, 2**62, 2**62), offsets=(0, 0))}),
    },
    "arrays on top of each other": {
        "model.json": "{}", "arrays.safetensors": arrays_of({"a": entry(), "b": entry()}, EIGHT),
    },
    "objects": {"model.json": "{}", "arrays.safetensors": arrays_of({"a": entry(dtype="O")}, EIGHT)},
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
def test_a_right_checksum_makes_no_bundle(what, tmp_path):
    path = signed(tmp_path / "m.nmf", MALFORMED[what])
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=r"m.nmf: not a nonneg file \("):
        read_bundle(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 23


def test_what_is_compressed_is_not_unpacked(tmp_path):
    members = {"model.json": "{}", "arrays.safetensors": bytes(1 << 26)}
    path = signed(tmp_path / "m.nmf", members, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="compressed"):
        read_bundle(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 21
