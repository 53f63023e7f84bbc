"""A folder of checkpoints: the last two are whole, whatever happens to the disk, the folder or the process."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager

import numpy as np
import pytest

from nonneg.exceptions import CheckpointError
from nonneg.files import Checkpoint


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


@contextmanager
def files_of_at_most(size):
    """A disk that is full beyond that many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    checkpoint = Checkpoint(tmp_path, "f")
    checkpoint.save(1, {"a": np.arange(9000.0)}, {})
    with (
        files_of_at_most(20_000),
        pytest.raises(CheckpointError, match=r"step 2 could not .* step 1 is kept"),
    ):
        checkpoint.save(2, {"a": np.arange(9000.0)}, {})
    assert os.listdir(tmp_path) == ["checkpoint-000000001.zip"]
    step, arrays, _ = checkpoint.load_latest()
    assert step == 1 and np.array_equal(arrays["a"], np.arange(9000.0))


def test_a_disk_that_is_full_from_the_start(tmp_path):
    with files_of_at_most(100), pytest.raises(CheckpointError, match="this folder is not writable"):
        Checkpoint(tmp_path, "f")
    checkpoint = Checkpoint(tmp_path, "f")
    with files_of_at_most(20_000), pytest.raises(CheckpointError, match=r"step 0 .* there is no earlier one"):
        checkpoint.save(0, {"a": np.arange(9000.0)}, {})
    assert not os.listdir(tmp_path)


def test_a_folder_that_is_gone(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", "f")
    checkpoint.save(1, {}, {})
    shutil.rmtree(tmp_path / "c")
    with pytest.raises(CheckpointError, match=r"step 2 could not be written .*there is no folder"):
        checkpoint.save(2, {}, {})


def test_a_folder_that_takes_no_files(tmp_path, monkeypatch):
    def refuse(*arguments, **named):
        raise PermissionError("Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(CheckpointError, match=r"checkpoint=.* not writable \(Read-only file system\)"):
        Checkpoint(tmp_path, "f")


def test_a_folder_is_of_one_fit_until_it_ends_or_is_killed(tmp_path):
    script = textwrap.dedent(
        f"""
        import time
        from nonneg.files import Checkpoint
        with Checkpoint({str(tmp_path)!r}, "f"):
            print("held", flush=True)
            time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(CheckpointError, match="another fit is using this folder"),
            Checkpoint(tmp_path, "f"),
        ):
            pass
        other.kill()
    for _ in range(2):
        with Checkpoint(tmp_path, "f"):
            pass


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    checkpoint = Checkpoint(tmp_path, "f")
    checkpoint.save(3, {}, {})
    for name in (".checkpoint-000000004.zip.abc.tmp", "notes.txt", "checkpoint-4.zip"):
        (tmp_path / name).write_text("half")
    assert checkpoint.steps() == [3]
    with checkpoint:
        assert sorted(os.listdir(tmp_path)) == ["checkpoint-000000003.zip", "checkpoint-4.zip", "notes.txt"]


def test_every_damage_leads_to_the_checkpoint_before(tmp_path):
    checkpoint = Checkpoint(tmp_path, "f")
    checkpoint.save(1, {"a": np.arange(3.0)}, {"s": 1})
    good = checkpoint.save(2, {"a": np.arange(4.0)}, {"s": 2}).read_bytes()
    rng = np.random.default_rng(0)
    for number in range(60):
        bad = bytearray(good)
        place = int(rng.integers(len(good)))
        if number % 3:
            bad[place] ^= 1 << int(rng.integers(8))
        else:
            del bad[place:]
        checkpoint.path(2).write_bytes(bad)
        with pytest.warns(UserWarning, match=r"checkpoint-000000002.zip: .*; going on from step 1|step 1"):
            step, arrays, meta = checkpoint.load_latest()
        assert (step, meta, arrays["a"].size) == (1, {"s": 1}, 3)
        assert checkpoint.steps() == [1]
    assert checkpoint.load_latest()[0] == 1  # without a warning: the other is set aside
