"""A file is written at once or not at all, and contents are told apart."""

import os
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nonneg.files import atomic, atomic_write, fingerprint, sha256


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


def test_fingerprint_tells_arrays_apart():
    a = np.arange(4.0)
    assert fingerprint(a, {"k": 1}) == fingerprint(a.copy(), {"k": 1})
    assert fingerprint(a) != fingerprint(a.reshape(2, 2))
    assert fingerprint(a) != fingerprint(a.astype(np.float32))
    assert fingerprint("a", "b") != fingerprint("ab")


def test_a_fingerprint_copies_no_array():
    array = np.zeros(1 << 21)
    tracemalloc.start()
    assert fingerprint(array) != fingerprint(array[1:])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 16


def test_threads_that_ask_at_once_find_the_mask_of_new_files():
    before, interval = os.umask(0o027), sys.getswitchinterval()
    sys.setswitchinterval(1e-9)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = set().union(*pool.map(lambda _: {atomic._umask() for _ in range(10_000)}, range(4)))
    finally:
        sys.setswitchinterval(interval)
        after = os.umask(before)
    assert found == {0o027} == {after}
