"""The speed benchmark runs from end to end on 200 × 40, resumes, and its arithmetic is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def run(out: Path, *more: str) -> str:
    command = [
        sys.executable, str(ROOT / "benchmarks" / "nmf" / "run.py"), "--out", str(out), "--seeds", "1",
        "--limit", "0.3", "--own-limit", "0.3", "--name", "smoke", "--only", "dataset=tiny",
        "solver=nonneg*,scikit-learn[cd,random]", *more,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_end_to_end_and_again(tmp_path: Path) -> None:
    run(tmp_path)
    files = sorted((tmp_path / "raw").rglob("*-s0.json"))
    runs = [json.loads(file.read_text()) for file in files]
    assert {entry["solver"] for entry in runs} == {"nonneg[whole]", "nonneg[loop]", "scikit-learn[cd,random]"}
    assert all(entry["points"] and "error" not in entry for entry in runs)
    table = json.loads((tmp_path / "smoke.json").read_text())
    (entry,) = table["results"]
    assert all(line["1 % reached"] == 1 for line in entry["solvers"])
    assert entry["nonneg[whole] 1 % wall"]["ratio"] > 0
    assert "| 200 × 40" in (tmp_path / "smoke.md").read_text()

    times = [file.stat().st_mtime_ns for file in files]
    run(tmp_path, "k=4")
    assert [file.stat().st_mtime_ns for file in files] == times  # nothing was run again


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_objective_agrees_dense_and_sparse_and_with_its_formula(loss: str) -> None:
    from benchmarks.nmf.objective import Objective

    rng = np.random.default_rng(0)
    X = rng.poisson(0.7, (30, 20)).astype(np.float32)
    W, H = rng.random((30, 3)), rng.random((3, 20))
    Y = W @ H
    if loss == "frobenius":
        expected = 0.5 * ((X - Y) ** 2).sum()
    else:
        expected = (np.where(X > 0, X * np.log(np.where(X > 0, X, 1) / Y), 0) - X + Y).sum()
    for data in (X, csr_array(X)):
        objective = Objective()
        objective.set_data(data, loss)
        assert objective.evaluate_result(W, H) == pytest.approx(expected, rel=1e-10)


def curve(seed: int, *points: tuple[int, float, float], interpolate: bool = True) -> dict[str, Any]:
    named = [{"iteration": i, "wall": t, "cpu": 2 * t, "loss": loss} for i, t, loss in points]
    return {"seed": seed, "points": named, "interpolate": interpolate}


def test_a_crossing_is_interpolated_only_where_iterations_lie_between() -> None:
    from benchmarks.nmf.report import seconds_to

    apart = curve(0, (1, 1.0, 20.0), (5, 3.0, 10.0))
    assert seconds_to(apart, 15.0) == {"wall": 2.0, "cpu": 4.0}
    assert seconds_to(curve(0, (1, 1.0, 20.0), (2, 3.0, 10.0)), 15.0)["wall"] == 3.0
    assert seconds_to(apart, 9.0)["wall"] is None
    calls = curve(0, (1, 1.0, 20.0), (5, 3.0, 10.0), (8, 4.0, 9.0), interpolate=False)
    assert seconds_to(calls, 15.0)["wall"] == 3.0


def test_a_seed_without_success_counts_zero_and_an_unfinished_peer_is_a_bound() -> None:
    from benchmarks.nmf.report import ratios

    own = {0: curve(0, (1, 1.0, 1.0)), 1: curve(1, (1, 1.0, 5.0)), 2: curve(2, (1, 2.0, 1.0))}
    peer = {0: curve(0, (1, 8.0, 1.0)), 1: curve(1, (1, 8.0, 1.0)), 2: curve(2, (1, 10.0, 7.0))}
    assert ratios(own, peer, 1.01, "wall") == ([8.0, 0.0, 5.0], [False, False, True])


def test_the_clock_leaves_out_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.nmf import harness

    now = [0.0]
    monkeypatch.setattr(harness.time, "perf_counter", lambda: now[0])

    def evaluate(W: float, H: float) -> float:
        now[0] += 100.0
        return W

    recorder = harness.Recorder(evaluate, limit=50.0, stop_below=1.0)
    recorder.start()
    for loss in (3.0, 2.0):
        now[0] += 1.0
        recorder.peek(lambda loss=loss: (loss, 0.0))
    now[0] += 1.0
    with pytest.raises(harness.Enough):
        recorder.peek(lambda: (1.0, 0.0))
    assert recorder.ended == "target"
    assert [point["wall"] for point in recorder.points] == [1.0, 2.0, 3.0]
