from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import nonneg
from nonneg.exceptions import CheckpointError, MissingExtraError
from nonneg.experiments import complete, ddnmf, figures, methods, pool
from nonneg.experiments.ddnmf import PRESETS, Study, compute, left_out, runs_of
from nonneg.experiments.evaluate import Scoring
from nonneg.experiments.record import Run, environment, load_all
from nonneg.experiments.report import assemble


def files_of(out):
    return {path.name: json.loads(path.read_text()) for path in (out / "runs").glob("*.json")}


def scores_of(out):
    """Everything that must not depend on interruptions: no dates, no seconds."""
    return {name: (record["scores"], record["facts"]) for name, record in files_of(out).items()}


def test_runs_of_a_study(small):
    runs = runs_of(small)
    assert len({run.name for run in runs}) == len(runs)
    clean = [(run.method, run.seed) for run in runs if run.noise is None]
    assert clean == [("raw", 0), *((m, s) for m in ("nmf", "ae1-relu", "ddnmf") for s in (0, 1))]
    assert [(r.method, r.noise_level, r.epochs) for r in runs if r.noise] == [
        ("ae1-relu", 0.5, 1),
        ("ddnmf", 0.5, 1),
    ]
    # AE2 is trained on its own where DDNMF's supervisor does not stand in for it
    assert "ae2" in {run.method for run in runs_of(replace(small, ae2_from_supervisor=False))}
    assert "ae2" in {run.method for run in runs_of(replace(small, profiles=("demo",)))}
    assert "ae2" in {run.method for run in runs_of(replace(small, methods=("ae2",)))}
    assert {run.noise for run in runs_of(replace(small, tables=(3,)))} == {"masking"}
    assert {run.noise for run in runs_of(replace(small, tables=(1,)))} == {None}


def test_presets_name_every_data_set_and_can_be_listed():
    for name, study in PRESETS.items():
        assert study.dataset == name
        assert runs_of(study)


def test_the_whole_study(small, tmp_path):
    compute(small, tmp_path, shown=False)
    records = files_of(tmp_path)
    assert all(record["complete"] for record in records.values())
    assert not list(tmp_path.glob("work/*/checkpoint"))
    result = assemble([small], tmp_path)
    assert {"table1.md", "table3.csv", "figure2.png", "figure3.png", "losses.png", "study.json"} <= set(
        result.files
    )
    assert all((tmp_path / name).stat().st_size > 0 for name in result.files)
    assert "DDNMF (paper)" in result.text
    assert "2 training seeds × 2 clustering seeds" in result.text

    rows = json.loads((tmp_path / "table1.json").read_text())
    assert {row["method"] for row in rows} == {
        "pixels",
        "NMF",
        "AE2",
        "AE2 + NMF",
        "AE1 ReLU",
        "DDNMF (paper)",
    }
    for row in rows:
        assert {"dataset", "method", "clustering", "noise", "metric", "mean", "sd", "seeds"} <= set(row)
        assert row["dataset"] == "digits"
        assert -0.5 <= row["mean"] <= 1
    ddnmf_rows = [row for row in rows if row["method"] == "DDNMF (paper)" and row["clustering"] == "kmeans"]
    assert all(row["seeds"] == [0, 1] and row["n"] == 4 for row in ddnmf_rows)
    noisy = json.loads((tmp_path / "table3.json").read_text())
    assert {row["noise"] for row in noisy} == {0.5}

    sidecar = json.loads((tmp_path / "study.json").read_text())
    assert sidecar["environment"]["versions"]["nonneg"] == nonneg.__version__
    assert sidecar["incomplete"] == 0
    model = nonneg.load(next(tmp_path.glob("work/*-ddnmf-paper-seed0-e2-*")) / "model.nonneg")
    assert model.transform(np.ones((1, 64))).shape == (1, 10)


def test_what_is_there_is_not_computed_again(small, tmp_path, monkeypatch):
    study = replace(small, tables=(1,), seeds=(0,), methods=("nmf", "ae1-relu", "ddnmf"))
    compute(study, tmp_path, shown=False)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*.json")}

    def trained(*_args, **_kwargs):
        raise AssertionError("a run was trained again")

    monkeypatch.setattr(complete, "execute", trained)
    compute(study, tmp_path, shown=False)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*.json")} == before
    # another clustering needs the codes, not the training
    more = replace(study, scoring=Scoring(("kmeans", "gmm-diag"), seeds=(0, 1), n_init=1))
    compute(more, tmp_path, shown=False)
    for record in files_of(tmp_path).values():
        assert "gmm-diag" in {row["clustering"] for row in record["scores"]}


@pytest.mark.parametrize("where", ["training", "scoring"])
def test_a_killed_study_goes_on_and_ends_as_if_it_had_not_been(small, tmp_path, monkeypatch, where):
    study = replace(small, tables=(1,), seeds=(0,), methods=("ddnmf",), epochs=3, eval_epochs=(1,))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    compute(study, whole, shown=False)

    class Kill(BaseException):
        pass

    calls = []
    real = methods._estimator if where == "training" else complete.score

    def second_call_dies(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise Kill
        return real(*args, **kwargs)

    target = (methods, "_estimator") if where == "training" else (complete, "score")
    with monkeypatch.context() as patch:
        patch.setattr(*target, second_call_dies)
        with pytest.raises(Kill):
            compute(study, killed, shown=False)
    (record,) = files_of(killed).values()
    assert not record["complete"]
    assert {row["epoch"] for row in record["scores"]} == {1}
    compute(study, killed, shown=False)
    assert scores_of(killed) == scores_of(whole)
    assert {row["epoch"] for record in files_of(killed).values() for row in record["scores"]} == {1, 3}


def test_several_processes_give_what_one_gives(small, tmp_path):
    study = replace(small, tables=(1,), methods=("nmf", "ae1-relu"), epochs=1)
    with threadpool_limits(1):
        compute(study, tmp_path / "one", shown=False)
    compute(study, tmp_path / "two", shown=False, jobs=2, threads=1)
    assert scores_of(tmp_path / "one") == scores_of(tmp_path / "two") != {}
    ticks = []
    pool.run_all(fail, [(1,), (3,)], 2, 1, lambda *said: ticks.append(said))
    assert {("job", 1), ("job", 3)} <= set(ticks)


def test_an_error_ends_the_workers_and_no_other_child():
    context = multiprocessing.get_context("spawn")
    bystander = context.Process(target=time.sleep, args=(60,))
    bystander.start()
    try:
        with pytest.raises(CheckpointError, match="job 2"):
            pool.run_all(fail, [(1,), (2,), (3,)], 2, 1, lambda *said: None)
        bystander.join(0.5)
        assert bystander.is_alive()
    finally:
        bystander.terminate()
        bystander.join()


def test_more_clustering_seeds_are_added_later(small, tmp_path):
    study = replace(small, tables=(1,), methods=("raw", "nmf"), seeds=(0,))
    compute(study, tmp_path, shown=False)
    before = scores_of(tmp_path)
    compute(study, tmp_path, shown=False)
    assert scores_of(tmp_path) == before
    compute(replace(study, scoring=replace(study.scoring, seeds=(0, 1, 2))), tmp_path, shown=False)
    after = scores_of(tmp_path)
    for name, (rows, _) in after.items():
        kmeans = [row for row in rows if row["clustering"] == "kmeans"]
        assert [row["seeds"] for row in kmeans] == [[0, 1, 2]] * 3
        old = [row["values"] for row in before[name][0] if row["clustering"] == "kmeans"]
        assert [row["values"][:2] for row in kmeans] == old
    compute(study, tmp_path, shown=False)  # fewer are there already
    assert scores_of(tmp_path) == after


def fail(number, tick):
    tick("job", number)
    if number == 2:
        raise CheckpointError("job 2")


def test_scores_on_the_way_are_those_of_a_shorter_training(small, tmp_path):
    study = replace(small, tables=(1,), seeds=(0,), methods=("ae1-relu",), epochs=3, eval_epochs=(1,))
    compute(study, tmp_path / "a", shown=False)
    compute(replace(study, epochs=1, eval_epochs=()), tmp_path / "b", shown=False)

    def at_one(out):
        return [row for record in files_of(out).values() for row in record["scores"] if row["epoch"] == 1]

    assert at_one(tmp_path / "a") == at_one(tmp_path / "b") != []


def test_an_epoch_asked_for_when_training_is_past_it_is_left_out(small, tmp_path, monkeypatch):
    study = replace(small, tables=(1,), seeds=(0,), methods=("ae1-relu",), epochs=3, eval_epochs=(2,))
    real = complete.score

    def dies(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(complete, "score", dies)
    with pytest.raises(KeyboardInterrupt):
        compute(study, tmp_path, shown=False)
    monkeypatch.setattr(complete, "score", real)
    compute(replace(study, eval_epochs=(1,)), tmp_path, shown=False)
    (record,) = files_of(tmp_path).values()
    assert record["complete"] and {row["epoch"] for row in record["scores"]} == {3}


def test_what_only_another_training_would_give_is_said(small, tmp_path):
    study = replace(
        small, tables=(1,), seeds=(0,), methods=("ae1-relu", "ddnmf"), profiles=("best",), epochs=2
    )
    compute(study, tmp_path, shown=False)
    assert left_out(study, tmp_path) == []
    more = replace(study, eval_epochs=(1, 2))
    compute(more, tmp_path, shown=False)
    decays = left_out(more, tmp_path)
    assert len(decays) == 2 and all("its learning rate decays" in line for line in decays)

    study = replace(study, profiles=("paper",), methods=("ae1-relu",))
    compute(study, tmp_path, shown=False)
    assert left_out(study, tmp_path) == []
    more = replace(study, eval_epochs=(1, 2))
    compute(more, tmp_path, shown=False)
    (line,) = left_out(more, tmp_path)
    assert "after epoch 1, whose weights are gone" in line
    assert "\n" not in line


def clusterings_of(out, label):
    rows = [row for record in files_of(out).values() for row in record["scores"]]
    return {row["clustering"] for row in rows if row["method"] == label}


def test_another_clustering_reaches_wide_codes_and_runs_whose_codes_are_gone(small, tmp_path, monkeypatch):
    study = replace(
        small, tables=(1,), seeds=(0,), methods=("nmf", "ae1-relu", "ae2", "ddnmf"), hidden=(16, 101)
    )
    compute(study, tmp_path, shown=False)
    for path in tmp_path.glob("work/*/codes-*"):
        path.unlink()
    trained = []
    monkeypatch.setattr(methods, "_deep", lambda run, *_args: trained.append(run))
    more = replace(study, scoring=replace(study.scoring, clusterings=("kmeans", "gmm-diag")))
    compute(more, tmp_path, shown=False)
    for label in ("nmf", "ae1-relu", "ae2", "ae2+nmf", "ddnmf"):
        assert "gmm-diag" in clusterings_of(tmp_path, label)
    assert trained == []
    assert left_out(more, tmp_path) == []


def test_images_of_fewer_classes_have_no_argmax_to_ask_for(small, tmp_path):
    study = replace(small, tables=(1,), seeds=(0,), methods=("nmf", "ddnmf"), n_test=10)
    compute(study, tmp_path, shown=False)
    assert "argmax" not in clusterings_of(tmp_path, "ddnmf")
    assert left_out(study, tmp_path) == []


def test_by_products_may_be_deleted(small, tmp_path):
    study = replace(small, tables=(1,), seeds=(0,), methods=("nmf", "ae2", "ddnmf"))
    compute(study, tmp_path, shown=False)
    shutil.rmtree(tmp_path / "work")
    compute(study, tmp_path, shown=False)
    more = replace(study, scoring=replace(study.scoring, clusterings=("gmm-diag",)))
    compute(more, tmp_path, shown=False)
    assert "gmm-diag" in clusterings_of(tmp_path, "nmf")  # cheap: it is computed again
    (line,) = left_out(more, tmp_path)
    assert line.startswith("digits-ddnmf-paper-seed0") and "delete" in line


def test_a_teacher_that_diverged_stops_nobody(small, tmp_path, monkeypatch):
    def diverge(*_args, **_kwargs):
        raise FloatingPointError("training diverged in epoch 1")

    study = replace(small, tables=(1,), seeds=(0,), methods=("ae2", "ddnmf"))
    with monkeypatch.context() as patch:
        patch.setattr(complete, "execute", diverge)
        compute(study, tmp_path, shown=False)
    compute(study, tmp_path, shown=False)
    assert left_out(study, tmp_path) == []


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
def test_damaged_codes_are_named(small, tmp_path, damage):
    study = replace(small, tables=(1,), seeds=(0,), methods=("nmf",))
    compute(study, tmp_path, shown=False)
    (path,) = tmp_path.glob("work/*/codes-nmf-0.npz")
    content = {"truncated": path.read_bytes()[:300], "empty": b"", "foreign": b"words"}[damage]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"codes-nmf-0.npz is damaged .* delete it"):
        compute(study, tmp_path, shown=False)
    path.unlink()
    compute(study, tmp_path, shown=False)


def test_the_shape_of_images_is_in_the_file_of_a_run(small, tmp_path, monkeypatch):
    study = replace(small, tables=(1,), seeds=(0,), methods=("nmf",))
    compute(study, tmp_path, shown=False)
    (record,) = load_all(tmp_path)
    assert record["image_shape"] == [8, 8]
    monkeypatch.setattr(figures, "images_of", None)  # no data set is loaded for a figure of parts
    assert figures.draw_all([study], [record], tmp_path) == ["parts-digits-nmf.png"]


def test_supervisor_rows_are_those_of_an_ae2(small, tmp_path):
    """The claim behind `ae2_from_supervisor`, as a number: same weights to start with, same loss, same order."""
    study = replace(small, tables=(1,), seeds=(0,), methods=("ae2", "ddnmf"), epochs=2)
    compute(study, tmp_path / "supervisor", shown=False)
    compute(replace(study, ae2_from_supervisor=False, methods=("ae2",)), tmp_path / "own", shown=False)

    def ae2(out):
        return {
            (row["clustering"], row["metric"]): row["values"]
            for record in files_of(out).values()
            for row in record["scores"]
            if row["method"] == "ae2"
        }

    # asked for after the training: from the saved model
    compute(replace(study, methods=("ddnmf",)), tmp_path / "later", shown=False)
    assert ae2(tmp_path / "later") == {}
    compute(study, tmp_path / "later", shown=False)
    assert ae2(tmp_path / "later") == ae2(tmp_path / "supervisor")

    mine, theirs = ae2(tmp_path / "supervisor"), ae2(tmp_path / "own")
    assert mine.keys() == theirs.keys() != set()
    for key, values in mine.items():
        np.testing.assert_allclose(values, theirs[key], atol=0.1)


def test_noise_reaches_training_and_test_images(small, tmp_path, monkeypatch):
    seen = {}
    real = methods._estimator

    def spy(run, *args):
        model = real(run, *args)
        fit = model.fit

        def spied(X):
            seen[run.method] = X, model
            del model.fit  # the spy is no part of what is saved
            return fit(X)

        model.fit = spied
        return model

    monkeypatch.setattr(methods, "_estimator", spy)
    study = replace(small, tables=(3,), methods=("ae1-relu", "dae1-relu", "ddnmf"), noise_levels=(0.7,))
    compute(replace(study, noise_methods=study.methods), tmp_path, shown=False)
    clean = ddnmf.images_of("digits", 200, 80).train
    lost = (seen["ae1-relu"][0] == 0).sum() - (clean == 0).sum()
    assert lost / (clean > 0).sum() == pytest.approx(0.7, abs=0.03)
    for method in ("ddnmf", "dae1-relu"):
        X, model = seen[method]
        np.testing.assert_array_equal(X, clean)
        assert (model.noise, model.noise_level) == ("masking", 0.7)


def test_a_changed_profile_is_refused(small, tmp_path, monkeypatch):
    from nonneg.deep.profiles import PROFILES

    study = replace(small, tables=(1,), seeds=(0,), methods=("ddnmf",))
    compute(study, tmp_path, shown=False)
    monkeypatch.setitem(PROFILES, "paper", PROFILES["paper"] | {"gain": 5.0})
    with pytest.raises(CheckpointError, match=r"computed with gain=1.0, and profile 'paper' now says 5.0"):
        compute(study, tmp_path, shown=False)


def test_a_training_that_diverges_is_a_result(small, tmp_path, monkeypatch):
    def diverge(*_args, **_kwargs):
        raise FloatingPointError("training diverged in epoch 1")

    monkeypatch.setattr(complete, "execute", diverge)
    study = replace(small, tables=(1,), seeds=(0,), methods=("ddnmf",))
    compute(study, tmp_path, shown=False)
    (record,) = load_all(tmp_path)
    assert record["failed"] == "training diverged in epoch 1"
    assemble([study], tmp_path)
    assert json.loads((tmp_path / "study.json").read_text())["failed"]


def test_codes_that_are_not_finite_are_a_training_that_diverged(small, tmp_path):
    study = replace(small, tables=(1,), seeds=(0,), methods=("ddnmf",), epochs=1)
    compute(replace(study, options=(("learning_rate", 1e30),)), tmp_path, shown=False)
    (record,) = load_all(tmp_path)
    assert record["complete"]
    assert "diverged" in record["failed"]
    assert record["scores"] == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "",
        "{}",
        "[]",
        '{"run": {"dataset": "digits", "method": "raw", "seed": 0}}',
        '{"run": {}, "scores": []}',
    ],
)
def test_a_damaged_run_file_is_named(small, tmp_path, text):
    study = replace(small, tables=(1,), methods=("raw",))
    (run,) = runs_of(study)
    path = tmp_path / "runs" / f"{run.name}.json"
    path.parent.mkdir()
    path.write_text(text)
    for call in (lambda: assemble([study], tmp_path), lambda: compute(study, tmp_path, shown=False)):
        with pytest.raises(CheckpointError, match=rf"{run.name}.json is damaged .* delete it"):
            call()


def test_nothing_computed_yet_is_no_error(small, tmp_path):
    assert assemble([small], tmp_path).rows == []
    assert figures.draw_all([small], [], tmp_path) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset": "cifar"}, "dataset must be among digits, mnist, fashion-mnist, got 'cifar'"),
        ({"methods": ("pca",)}, "methods must be among raw, nmf"),
        ({"methods": ()}, "methods is empty"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"seeds": (-1,)}, "seeds must lie between 0"),
        ({"noise_levels": (1.5,)}, r"noise_levels must lie in \(0, 1\], got 1.5"),
        ({"noise": "fog"}, "noise must be among masking"),
        ({"eval_epochs": (0,)}, "eval_epochs must be at least 1"),
        ({"eval_epochs": (7,), "epochs": 3}, "eval_epochs must be at most epochs=3, got 7"),
        ({"eval_epochs": (7,), "noise_epochs": 3, "tables": (3,)}, "must be at most noise_epochs=3, got 7"),
        ({"n_train": 1}, "n_train must be at least 10, got 1"),
        ({"hidden": (10, 0)}, "hidden must hold positive widths, got 0"),
        ({"tables": (4,)}, "tables must be among 1, 2, 3, got 4"),
    ],
)
def test_bad_studies(change, words):
    with pytest.raises(ValueError, match=words):
        Study(**({"dataset": "digits"} | change))


def test_unknown_profile(small):
    with pytest.raises(ValueError, match=r"profile must be among paper, .*, got 'none'"):
        runs_of(replace(small, profiles=("none",)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gain": -1}, "options gain=-1"),
        ({"device": "foo"}, "options device='foo' cannot be used"),
        ({"nothing": 3}, "options nothing: DDNMF has no such parameter"),
        ({"n_components": 3}, "options n_components: the study compares codes of 10 units"),
        ({"max_epochs": 2}, "options max_epochs: use epochs"),
        ({"noise_level": 0.3}, "options noise_level: Table 3 sets it"),
    ],
)
def test_options_are_checked_before_anything_is_computed(small, options, words):
    study = replace(small, options=tuple(options.items()))
    with pytest.raises(ValueError, match=words):
        runs_of(study)
    if "noise_level" in options:
        assert runs_of(replace(study, tables=(1,)))


def test_what_needs_no_network_needs_no_torch(small, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("nonneg.deep")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(nonneg, "deep", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    compute(replace(small, tables=(1, 3), methods=("raw", "nmf"), seeds=(0,)), tmp_path, shown=False)
    assert len(files_of(tmp_path)) == 2


def test_the_graphics_processor_is_recorded_where_one_was_used(monkeypatch):
    def cuda(initialized):
        return SimpleNamespace(is_initialized=lambda: initialized, get_device_name=lambda: "NVIDIA X")

    for initialized in (True, False):
        torch = SimpleNamespace(cuda=cuda(initialized), get_num_threads=lambda: 1)
        monkeypatch.setitem(sys.modules, "torch", torch)
        assert environment().get("gpu") == ("NVIDIA X" if initialized else None)


def fail_without_extra(number, tick):
    raise MissingExtraError("torch", "deep", f"job {number}")


def test_errors_of_workers_arrive_whole():
    with pytest.raises(MissingExtraError, match=r'job 1 needs torch: pip install "nonneg\[deep\]"'):
        pool.run_all(fail_without_extra, [(1,), (1,)], 2, 1, lambda *said: None)


def test_run_names_tell_runs_apart():
    base = Run("digits", "ddnmf", 0, "paper", 10, hidden=(8,))
    changes = [
        {"seed": 1},
        {"epochs": 11},
        {"hidden": (9,)},
        {"batch_size": 3},
        {"options": (("gain", 2.0),)},
    ]
    changes.append({"noise": "masking", "noise_level": 0.1})
    assert len({run.name for run in [base, *(replace(base, **change) for change in changes)]}) == 7
    assert replace(base).name == base.name
