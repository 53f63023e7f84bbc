"""Several processes train as one does: parameters, histories, starts, failures, checkpoints, the command line."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from nonneg import cli, load
from nonneg.deep import ranks
from nonneg.files import Checkpoint
from rank_cases import (
    CASES,
    COUNTS,
    all_cases,
    disagreeing,
    fitted,
    interrupted,
    on_ranks,
    slowly,
    start,
    stopped,
)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Every case in one process, and in two."""
    return all_cases(), on_ranks(2, tmp_path_factory.mktemp("group"), all_cases)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_learn_what_one_does(both, case):
    alone, (first, second) = both
    for name, expected in alone[case].items():
        found = first[case][name]
        np.testing.assert_array_equal(second[case][name], found, err_msg=name)
        size = np.abs(expected).max(initial=1.0) if expected.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * size, err_msg=name)
    trained = [name for name in alone[case] if name.startswith(("student_", "network_"))]
    assert trained


def test_other_data_on_another_process_are_an_error_on_all(tmp_path):
    for error in on_ranks(2, tmp_path, disagreeing):
        assert isinstance(error, ValueError)
        assert "X: rank 0 was given ((101, 24)" in str(error) and "rank 1 ((100, 24)" in str(error)


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The case "best" with a checkpoint in two processes."""
    folder = tmp_path_factory.mktemp("whole")
    return on_ranks(2, folder, fitted, "best", str(folder / "kept"))[0]


def test_a_process_that_is_killed_costs_an_epoch_at_most(tmp_path, uninterrupted):
    (first, told), (second, _) = start(2, tmp_path, slowly, "best", str(tmp_path / "kept"))
    assert told.recv() == 2  # epochs, and the checkpoint of the last one is written
    os.kill(second.pid, signal.SIGKILL)
    second.join()
    told.send("go on")
    error = told.recv()
    first.join()
    assert isinstance(error, ConnectionError)
    assert "rank 0 of 2 lost the others" in str(error)
    (tmp_path / "again").mkdir()
    assert Checkpoint(tmp_path / "kept", "").steps()
    found = on_ranks(2, tmp_path / "again", fitted, "best", str(tmp_path / "kept"))
    assert same(found[0], uninterrupted) and same(found[1], uninterrupted)


def test_ctrl_c_in_one_process_stops_all_at_the_same_step(tmp_path, uninterrupted):
    steps = on_ranks(2, tmp_path, interrupted, "best", str(tmp_path / "kept"))
    assert steps == [10, 10]  # the one under way is taken, no other begun
    assert Checkpoint(tmp_path / "kept", "").steps()[-1] == 10
    (tmp_path / "again").mkdir()
    assert same(on_ranks(2, tmp_path / "again", fitted, "best", str(tmp_path / "kept"))[0], uninterrupted)


def test_an_error_of_the_first_process_is_one_of_all(tmp_path):
    (tmp_path / "no folder").write_text("")
    for error in on_ranks(2, tmp_path, fitted, "best", str(tmp_path / "no folder")):
        assert "no folder" in str(error)
    (tmp_path / "again").mkdir()
    assert [str(error) for error in on_ranks(2, tmp_path / "again", stopped)] == ["enough"] * 2


# -- one process ------------------------------------------------------------------------------------------------


def test_by_itself_everything_is_what_it_was():
    x, rows = torch.ones(3), np.array([3, 1, 2])
    assert (ranks.rank(), ranks.size()) == (0, 1)
    assert ranks.together(x) is x
    assert ranks.share(rows) is rows
    assert ranks.from_first(lambda: 7) == 7


def launch(patch, **more):
    for name, value in {
        "RANK": 1,
        "WORLD_SIZE": 2,
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": 1,
        **more,
    }.items():
        patch.setenv(name, str(value))


def test_torchrun_is_known_by_its_variables(monkeypatch):
    assert not ranks.launched()
    launch(monkeypatch)
    assert ranks.launched()
    monkeypatch.setattr("multiprocessing.parent_process", lambda: "the process that torchrun started")
    assert not ranks.launched()
    monkeypatch.undo()
    launch(monkeypatch, WORLD_SIZE=1)
    assert not ranks.launched()


def test_processes_wait_for_the_first_one_longer_than_it_takes_to_read_large_data(monkeypatch):
    monkeypatch.setattr(ranks, "launched", lambda: True)
    monkeypatch.setattr(ranks, "_rendezvous", lambda: (torch.distributed.HashStore(), 0, 1))
    cpu = torch.device("cpu")
    with ranks.joined(cpu):
        patience = torch.distributed.group.WORLD._get_backend(cpu).options._timeout
    assert patience >= datetime.timedelta(hours=24)


def test_matrix_models_do_not_train_on_several_processes(monkeypatch, tmp_path, capsys):
    launch(monkeypatch)
    np.save(tmp_path / "X.npy", COUNTS)
    assert cli.main(["fit", str(tmp_path / "X.npy"), "--out", str(tmp_path / "model.nmf"), "--json"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("nonneg (rank 1): --model nmf is fitted by one process, and torchrun started 2")
    assert out == ""  # the first process prints the object


#: At the first attempt the second process dies once there is a checkpoint.
DYING = """
import os, signal, threading, time
def die():
    while not os.path.exists("kept") or not any(name.endswith(".zip") for name in os.listdir("kept")):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
if (os.environ.get("RANK"), os.environ.get("TORCHELASTIC_RESTART_COUNT")) == ("1", "0"):
    threading.Thread(target=die, daemon=True).start()
"""


def test_torchrun_makes_one_model_also_after_a_restart(tmp_path):
    np.save(tmp_path / "X.npy", COUNTS)
    (tmp_path / "sitecustomize.py").write_text(DYING)
    how = {"hidden": (16, 8), "max_epochs": 40, "batch_size": 16, "precision": "float64", "random_state": 0}
    arguments = ["fit", "X.npy", "--model", "autoencoder", "--hidden", "16", "8", "--epochs", "40", "--json"]
    arguments += ["--out", "model.nmf", "--checkpoint", "kept", "--n-components", "4"]
    arguments += ["--precision", "float64", "--batch-size", "16"]
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    ran = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "nonneg", *arguments],
        cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "nonneg (rank 0): rank 0 of 2 lost the others" in ran.stderr
    report = json.loads(ran.stdout.splitlines()[-1])  # after what the first attempt had to say
    assert report["n_iter"] == 40
    found = load(tmp_path / "model.nmf")
    expected = type(found)(4, **how).fit(COUNTS)
    np.testing.assert_allclose(found.components_, expected.components_, atol=1e-6)
    np.testing.assert_allclose(found.history_["symmetric"], expected.history_["symmetric"], rtol=1e-6)
