"""Files are whole or absent, and damage is found."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from nonneg.exceptions import CheckpointError
from nonneg.files import Checkpoint, atomic_write, fingerprint, read_bundle, sha256, write_bundle


def test_atomic_write_keeps_the_old_file_on_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_write(path, "w") as file:
        file.write("half")
        raise RuntimeError("stop")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_atomic_write_replaces(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path, "w") as file:
        file.write("new β")
    assert path.read_text(encoding="utf-8") == "new β"
    assert len(sha256(path)) == 64


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


def test_checkpoint_keeps_two_and_loads_the_newest(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", "f")
    assert checkpoint.load_latest() is None
    for step in (1, 2, 10):
        checkpoint.save(step, {"a": np.full(2, float(step))}, {"s": step})
    assert checkpoint.steps() == [2, 10]
    step, arrays, meta = checkpoint.load_latest()
    assert (step, meta) == (10, {"s": 10})
    np.testing.assert_array_equal(arrays["a"], [10, 10])


def test_foreign_and_damaged_checkpoints_are_refused(tmp_path):
    Checkpoint(tmp_path, "mine").save(1, {}, {})
    with pytest.raises(CheckpointError, match="other data or parameters"):
        Checkpoint(tmp_path, "other").load_latest()
    path = Checkpoint(tmp_path, "mine").path(1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"no checkpoint is whole \(checkpoint-000000001.zip damaged"):
        Checkpoint(tmp_path, "mine").load_latest()


def test_checkpoint_folder_that_is_a_file(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(CheckpointError, match="checkpoint="):
        Checkpoint(tmp_path / "c", "f")


def test_fingerprint_tells_arrays_apart():
    a = np.arange(4.0)
    assert fingerprint(a, {"k": 1}) == fingerprint(a.copy(), {"k": 1})
    assert fingerprint(a) != fingerprint(a.reshape(2, 2))
    assert fingerprint(a) != fingerprint(a.astype(np.float32))
    assert fingerprint("a", "b") != fingerprint("ab")


def test_a_killed_writer_leaves_a_readable_checkpoint(tmp_path):
    script = textwrap.dedent(
        f"""
        import numpy as np
        from nonneg.files import Checkpoint
        c = Checkpoint({str(tmp_path / "c")!r}, "f")
        for step in range(10**6):
            c.save(step, {{"a": np.full(20000, float(step))}}, {{}})
            print(step, flush=True)
        """
    )
    for delay in (0.005, 0.011, 0.017):
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        step, arrays, _ = Checkpoint(tmp_path / "c", "f").load_latest()
        assert (arrays["a"] == step).all()
        for old in Checkpoint(tmp_path / "c", "f").steps():
            Checkpoint(tmp_path / "c", "f").path(old).unlink()
