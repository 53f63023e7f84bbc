"""Files that were damaged at random, by accident or with a new checksum: said in one sentence, never guessed at.

``make test`` damages some hundred; ``make campaign`` (which sets NONNEG_CAMPAIGN=1) some ten thousand.
"""

from __future__ import annotations

import os
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

import nonneg
from damage_cases import damaged, signed
from matrix_cases import fitted, planted
from nonneg import penalties
from nonneg.exceptions import CheckpointError
from nonneg.files import Checkpoint, read_bundle

LARGE = bool(os.environ.get("NONNEG_CAMPAIGN"))
TIMES = 5000 if LARGE else 150
X = planted()


@pytest.fixture
def saved(tmp_path):
    """The bytes of a model file, and its name."""
    path = tmp_path / "model.nmf"
    fitted(X, max_iter=3, penalty_H=penalties.Box(0.0, 9.0), frozen=None).save(path)
    return path, path.read_bytes()


def test_damage_is_found(saved):
    path, good = saved
    rng = np.random.default_rng(0)
    for _ in range(TIMES):
        bad = damaged(good, rng)
        path.write_bytes(bad)
        if bad != good:
            with pytest.raises(CheckpointError, match="not a nonneg file, or damaged"):
                nonneg.load(path)


@pytest.mark.parametrize("name", ["model.json", "arrays.safetensors"])
def test_damage_with_a_new_checksum_is_refused_or_harmless(name, saved):
    path, _ = saved
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    rng = np.random.default_rng(0)
    refused = 0
    tracemalloc.start()
    for _ in range(TIMES):
        signed(path, {**members, name: damaged(members[name], rng)})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = nonneg.load(path)
            assert type(model).__module__.startswith("nonneg.")
        except (CheckpointError, ValueError) as error:
            assert str(path) in str(error)
            refused += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > TIMES / 4 and peak < 1 << 24


def test_a_fit_behind_a_damaged_checkpoint_comes_to_the_same_end(tmp_path):
    given = {"max_iter": 8, "tol": 0}
    whole = fitted(X, **given)
    rng = np.random.default_rng(0)
    for number in range(TIMES // 50):
        folder = tmp_path / str(number)
        fitted(X, max_iter=5, tol=0, checkpoint=folder)
        path = Checkpoint(folder, "").path(5)
        good = path.read_bytes()
        while (bad := damaged(good, rng)) == good:
            pass
        path.write_bytes(bad)
        with pytest.warns(UserWarning, match="going on from step 0"):
            model = fitted(X, checkpoint=folder, **given)
        assert np.array_equal(model.components_, whole.components_)
        for step in Checkpoint(folder, "").steps():
            read_bundle(Checkpoint(folder, "").path(step))
