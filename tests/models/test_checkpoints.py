"""A fit that was stopped goes on as if it never had been; a foreign or damaged checkpoint is refused."""

from __future__ import annotations

import errno
import functools
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest
import scipy.sparse as sp

import matrix_cases
import reference as ref
from family_cases import model_class
from matrix_cases import case, fitted, planted, quietly
from nonneg import NTF, JointNMF
from nonneg.exceptions import CheckpointError
from nonneg.files import Checkpoint, checkpoint, fingerprint, read_bundle, write_bundle
from nonneg.models import remembered
from nonneg.models.inputs import plain
from nonneg.penalties import L1, Simplex
from nonneg.registry import MODELS
from nonneg.solvers import iterate

X = planted()


def same_bits(one, two):
    assert np.array_equal(one.components_, two.components_)
    assert one.n_iter_ == two.n_iter_ and one.kkt_residual_ == two.kkt_residual_
    assert one.reconstruction_err_ == two.reconstruction_err_ and one.converged_ == two.converged_
    for name in ("iteration", "loss", "kkt", "change"):
        assert np.array_equal(one.history_[name], two.history_[name])


SETTINGS = {
    "hals": {},
    "anls": {"solver": "anls"},
    "als": {"solver": "als"},
    "mu": {"solver": "mu"},
    "scd": {"loss": "kl"},
    "kl mu": {"loss": "kl", "solver": "mu"},
    "beta": {"loss": 1.5},
    "penalised": {"penalty_H": Simplex(), "penalty_W": L1(1e-4)},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_stopped_and_resumed_is_never_stopped(name, tmp_path):
    given = {**SETTINGS[name], "tol": 0}
    whole = fitted(X, max_iter=24, **given)
    for steps in ((7, 24), (1, 2, 13, 24)):
        folder = tmp_path / str(len(steps))
        for max_iter in steps:
            model = fitted(X, max_iter=max_iter, checkpoint=folder, **given)
        same_bits(model, whole)


@pytest.mark.parametrize("kind", ["CSR", "NaN", "weights", "rows", "unstored"])
@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_resuming_with_other_kinds_of_data(kind, loss, tmp_path):
    problem = case(kind, loss)
    given = {"fit": problem.fit, "loss": loss, "tol": 0, **problem.init}
    whole = fitted(problem.X, max_iter=9, **given)
    for max_iter in (4, 9):
        model = fitted(problem.X, max_iter=max_iter, checkpoint=tmp_path, **given)
    same_bits(model, whole)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_a_finished_fit_is_found_again(loss, tmp_path):
    first = fitted(X, loss=loss, tol=1e-4, max_iter=2000, checkpoint=tmp_path)
    assert first.converged_
    same_bits(fitted(X, loss=loss, tol=1e-4, max_iter=2000, checkpoint=tmp_path), first)
    same_bits(fitted(X, loss=loss, tol=1e-4, max_iter=2000), first)


@pytest.mark.parametrize("loss", ["frobenius", "kl"])
def test_stopping_near_convergence_changes_nothing(loss, tmp_path):
    whole = fitted(X, loss=loss, tol=1e-4, max_iter=2000)
    for stop in (whole.n_iter_ - 2, whole.n_iter_ - 1, whole.n_iter_):
        folder = tmp_path / str(stop)
        fitted(X, loss=loss, tol=1e-4, max_iter=stop, checkpoint=folder)
        same_bits(fitted(X, loss=loss, tol=1e-4, max_iter=2000, checkpoint=folder), whole)


def test_every_start_has_its_own_checkpoint(tmp_path):
    given = {"n_init": 3, "init": "random", "tol": 0}
    whole = fitted(X, max_iter=12, **given)
    fitted(X, max_iter=5, checkpoint=tmp_path, **given)
    again = fitted(X, max_iter=12, checkpoint=tmp_path, **given)
    same_bits(again, whole)
    assert np.array_equal(again.restart_losses_, whole.restart_losses_)


def test_an_error_in_the_middle_leaves_a_usable_checkpoint(tmp_path, monkeypatch):
    from nonneg.solvers.mu import MU

    plain, calls = MU.iterate, []

    def failing(self, *arguments):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return plain(self, *arguments)

    given = {"solver": "mu", "tol": 0, "max_iter": 15}
    with monkeypatch.context() as patch:
        patch.setattr(MU, "iterate", failing)
        with pytest.raises(KeyboardInterrupt):
            fitted(X, checkpoint=tmp_path, **given)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint-000000000.zip", "checkpoint-000000005.zip"]
    same_bits(fitted(X, checkpoint=tmp_path, **given), fitted(X, **given))


def test_other_data_or_parameters_are_refused(tmp_path):
    fitted(X, max_iter=3, checkpoint=tmp_path)
    changed = X.copy()
    changed[0, 0] += 1e-9
    H0 = ref.start(X, 3)[1]
    for data, parameters in (
        (changed, {}),
        (X.astype(np.float32), {}),
        (X, {"tol": 1e-6}),
        (X, {"loss": "kl"}),
        (X, {"random_state": 1}),
        (X, {"penalty_H": L1(0.1)}),
        (X, {"fit": {"sample_weight": np.arange(70)}}),
        (X, {"fit": {"H_init": H0}}),
    ):
        with pytest.raises(CheckpointError, match=r"checkpoint=.*belongs to other data or parameters"):
            fitted(data, max_iter=6, checkpoint=tmp_path, **parameters)
    fitted(X, max_iter=6, checkpoint=tmp_path)  # and it is still usable


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_behind_a_damaged_checkpoint_is_the_one_before(tmp_path):
    for max_iter in (3, 6):
        fitted(X, max_iter=max_iter, tol=0, checkpoint=tmp_path)
    newest = tmp_path / "checkpoint-000000006.zip"
    damage(newest)
    with pytest.warns(
        UserWarning, match=r"checkpoint-000000006.zip.* damaged .* going on from step 3"
    ) as said:
        again = fitted(X, max_iter=9, tol=0, checkpoint=tmp_path)
    assert all(warning.filename == matrix_cases.__file__ for warning in said)
    same_bits(again, fitted(X, max_iter=9, tol=0))
    assert sorted(os.listdir(tmp_path)) == [
        "checkpoint-000000003.zip", "checkpoint-000000009.zip", "damaged-checkpoint-000000006.zip",
    ]  # fmt: skip


def test_where_all_are_damaged_nothing_is_begun_anew(tmp_path):
    fitted(X, max_iter=3, checkpoint=tmp_path)
    for path in tmp_path.iterdir():
        damage(path)
    with pytest.raises(
        CheckpointError, match=r"no checkpoint is whole .*restore one .* or delete this folder"
    ):
        fitted(X, max_iter=6, checkpoint=tmp_path)


@pytest.mark.parametrize("name", ["hals", "scd"])
def test_scratch_is_not_written(name, tmp_path):
    fitted(X, max_iter=3, tol=0, checkpoint=tmp_path, **SETTINGS[name])
    _, arrays = read_bundle(sorted(tmp_path.iterdir())[-1])
    assert sum(array.shape == (70, 3) for array in arrays.values()) == 1  # W


def test_writing_takes_a_small_share_of_the_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(iterate.time, "perf_counter", lambda: now[0])
    clock = iterate.Clock(0.0, None, SimpleNamespace(done=False))
    assert not clock.save_due()
    now[0] = 6.0
    assert clock.save_due()
    now[0] = 8.0  # it took two seconds: the next one is due forty seconds after its end
    clock.has_saved(6.0)
    now[0] = 47.9
    assert not clock.save_due()
    now[0] = 48.0
    assert clock.save_due()


def test_compiling_does_not_count():
    clock = iterate.Clock(
        iterate.time.perf_counter() - 100.0, 50.0, SimpleNamespace(done=True, duration=99.0)
    )
    assert clock.seconds() < 50 and not clock.is_over()
    with iterate.compiling() as compiling:
        numba.njit(lambda x: x + 1)(1)
    assert compiling.duration > 0


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_generators_resume_by_what_they_draw(make, tmp_path):
    given = {"init": "random", "tol": 0, "n_init": 2}
    whole = fitted(X, max_iter=9, random_state=make(0), **given)
    for steps in (4, 9):
        stopped = fitted(X, max_iter=steps, random_state=make(0), checkpoint=tmp_path, **given)
    same_bits(whole, stopped)
    with pytest.raises(CheckpointError, match="other data or parameters"):
        fitted(X, max_iter=9, random_state=make(4), checkpoint=tmp_path, **given)


def test_a_checkpoint_of_another_algorithm_is_refused(tmp_path, monkeypatch):
    fitted(X, max_iter=3, tol=0, checkpoint=tmp_path)
    monkeypatch.setattr("nonneg.models.nmf.CHECKPOINT_VERSION", 10**6)
    with pytest.raises(CheckpointError, match="other data or parameters"):
        fitted(X, max_iter=6, tol=0, checkpoint=tmp_path)


def test_objects_count_by_what_they_hold_not_by_where_they_lie():
    class Own:
        def __init__(self, c):
            self.c = c

    assert plain(Own(1)) == plain(Own(1)) != plain(Own(2))
    assert plain(np.float64(0.5)) == plain(0.5)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"checkpoint=.*file"):
        fitted(X, max_iter=3, checkpoint=tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    "make",
    [
        lambda c: lambda A, B: A @ B.T + c,
        lambda c: functools.partial(np.add, c),
        lambda c: sp.csr_array(np.diag([1.0, c])),
        lambda c: [np.float32(c), {"a": np.arange(c)}],
        lambda c: np.add if c == 1 else np.multiply,
    ],
    ids=["closure", "partial", "sparse", "containers", "ufunc"],
)
def test_parameters_count_by_what_they_do(make):
    assert plain(make(1)) == plain(make(1)) != plain(make(2))


def test_functions_count_by_their_instructions():
    one, other = (lambda x: x + 1), (lambda x: x + 2)
    other.__qualname__ = one.__qualname__
    assert plain(one) == plain(one) != plain(other)
    assert "0x" not in str(plain(one)) + str(plain(functools.partial(one, 1))) + str(plain(Path().exists))


ORDERED_BY_HASH = """
from nonneg.files import fingerprint
from nonneg.models.remembered import plain
words = "abcdefgh"
for value in (
    lambda x: x in {"a", "b", "c", "d", "e", "f", "g", "h"},
    lambda x: [y in {("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)} for y in x],
    set(words),
    {"of": [frozenset(words), {frozenset(words[:4]), frozenset(words[4:])}]},
    [frozenset((word, 1) for word in words)],
):
    print(fingerprint(plain(value)))
"""


def test_what_has_the_order_of_its_hashes_is_alike_in_every_process():
    found = []
    for seed in "12":
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", ORDERED_BY_HASH]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        found.append(done.stdout.split())
    assert found[0] == found[1] and len(set(found[0])) == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda c: {"a", c},
        lambda c: {("a", c): 0},
        lambda c: {3: c, "b": 0},
    ],
    ids=["set", "key", "value"],
)
def test_sets_and_keys_of_any_kind_count(make):
    assert fingerprint(plain(make(1))) == fingerprint(plain(make(1))) != fingerprint(plain(make(2)))


def test_a_set_in_a_function_counts_by_its_members():
    one, same = (lambda x: x in {"a", "b"}), (lambda x: x in {"b", "a"})
    other, row = (lambda x: x in {"a", "c"}), (lambda x: x in ("a", "b"))
    assert plain(one) == plain(same) and plain(one) != plain(other) and plain(one) != plain(row)


def test_a_function_that_calls_itself_counts():
    def recursive(c):
        def inner(i):
            return c if i == 0 else inner(i - 1)

        return inner

    def mutual(c):
        def even(i):
            return i == 0 or odd(i - c)

        def odd(i):
            return i != 0 and even(i - c)

        return even

    class Own:
        def __init__(self, c):
            self.c, self.itself = c, [self]

    for make in (recursive, mutual, Own):
        assert fingerprint(plain(make(1))) == fingerprint(plain(make(1))) != fingerprint(plain(make(2)))


def test_a_name_without_a_value_is_no_error():
    def enclosing(given):
        if given:
            missing = 1
        return lambda: missing

    assert plain(enclosing(False)) == plain(enclosing(False)) != plain(enclosing(True))


def test_a_fit_goes_on_where_the_same_solver_does(tmp_path):
    np.save(tmp_path / "X.npy", X)
    given = {"loss": "kl", "checkpoint": tmp_path / "c"}  # on a path another solver is chosen
    fitted(X, max_iter=3, **given)
    with pytest.raises(CheckpointError, match="other data or parameters"):
        fitted(str(tmp_path / "X.npy"), max_iter=6, **given)


def test_sides_of_an_array_count(tmp_path):
    tensor = np.random.default_rng(0).random((8, 4, 6))
    quick = {"max_iter": 2, "random_state": 0, "checkpoint": tmp_path}
    with quietly():
        NTF(2, **quick).fit(tensor)
    with pytest.raises(CheckpointError, match="other data or parameters"):
        NTF(2, **quick).fit(tensor.reshape(8, 6, 4))


def test_data_are_read_once_for_all_starts(tmp_path, monkeypatch):
    counted = []
    plain_fingerprint = remembered.arrays_of
    monkeypatch.setattr(remembered, "arrays_of", lambda block: counted.append(1) or plain_fingerprint(block))
    fitted(X, max_iter=2, n_init=4, init="random", checkpoint=tmp_path)
    assert len(counted) == 1


def test_a_start_is_made_once(tmp_path, monkeypatch):
    from nonneg.solvers.mu import MU

    given = {"solver": "mu", "tol": 0, "max_iter": 5, "checkpoint": tmp_path}
    with monkeypatch.context() as patch:
        patch.setattr(MU, "iterate", stopping(MU.iterate, at=1))
        with pytest.raises(KeyboardInterrupt):
            fitted(X, **given)
    assert os.listdir(tmp_path) == ["checkpoint-000000000.zip"]
    monkeypatch.setattr("nonneg.models.nmf.starting_point", None)
    again = fitted(X, **given)
    monkeypatch.undo()
    same_bits(again, fitted(X, **{**given, "checkpoint": None}))


def stopping(function, at, error=KeyboardInterrupt):
    """``function``, with an error instead of call number ``at``."""
    calls = []

    def stopped(*arguments):
        calls.append(1)
        if len(calls) == at:
            raise error
        return function(*arguments)

    return stopped


FULL = OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_full_before_the_first_iteration_ends_the_fit_there(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "write_bundle", stopping(write_bundle, 1, FULL))
    monkeypatch.setattr("nonneg.solvers.hals.HALS.advance", None)
    with pytest.raises(CheckpointError, match=r"step 0 could not .*No space left.* there is no earlier one"):
        fitted(X, max_iter=6, checkpoint=tmp_path)


def test_a_disk_that_becomes_full_ends_the_fit_and_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    given = {"solver": "mu", "tol": 0, "max_iter": 8, "checkpoint": tmp_path}
    monkeypatch.setattr(iterate, "CHECKPOINT_EVERY", 0.0)
    monkeypatch.setattr(iterate, "CHECKPOINT_SHARE", 1e9)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_bundle", stopping(write_bundle, 4, FULL))
        with pytest.raises(CheckpointError, match=r"step 3 could not .*No space left.* step 2 is kept"):
            fitted(X, **given)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint-000000001.zip", "checkpoint-000000002.zip"]
    same_bits(fitted(X, **given), fitted(X, **{**given, "checkpoint": None}))


def test_a_result_is_not_lost_because_its_copy_cannot_be_written(tmp_path, monkeypatch):
    given = {"solver": "mu", "tol": 0, "max_iter": 4}
    monkeypatch.setattr(checkpoint, "write_bundle", stopping(write_bundle, 2, FULL))
    with pytest.warns(UserWarning, match=r"step 4 could not .*No space left.* step 0 is kept"):
        model = fitted(X, checkpoint=tmp_path, **given)
    same_bits(model, fitted(X, **given))


def test_a_folder_is_of_one_fit(tmp_path):
    with Checkpoint(tmp_path, "f"), pytest.raises(CheckpointError, match="another fit is using this folder"):
        fitted(X, max_iter=3, checkpoint=tmp_path)
    fitted(X, max_iter=3, checkpoint=tmp_path)


#: Models that are over in one pass, with nothing to go on from.
AT_ONCE = {"SeparableNMF"}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_that_iterates_takes_a_checkpoint(name):
    parameters = model_class(name)().get_params()
    iterates = bool({"max_iter", "max_epochs"} & set(parameters))
    assert iterates == (name not in AT_ONCE)
    assert ("checkpoint" in parameters) == iterates


def test_keyword_defaults_of_a_function_count():
    assert plain(lambda x, *, c=1: x + c) != plain(lambda x, *, c=2: x + c)


def test_which_rows_a_view_has_counts(tmp_path):
    rng = np.random.default_rng(0)
    whole, part = rng.random((20, 6)), rng.random((10, 4))
    settings = {"max_iter": 3, "tol": 1e-9, "random_state": 0, "checkpoint": tmp_path / "kept"}
    views = {"a": whole, "b": (part, np.arange(10))}
    with quietly():
        JointNMF(2, **settings).fit(views)
        with pytest.raises(CheckpointError, match="other data or parameters"):
            JointNMF(2, **settings).fit({"a": whole, "b": (part, np.arange(10, 20))})
