"""The package without torch, and its lazy names."""

from __future__ import annotations

import subprocess
import sys
import types

import numpy as np
import pytest

import nonneg.deep
from family_cases import TABLE_OF_MODELS, row_of_abilities
from nonneg.registry import MODELS


def test_a_missing_torch_is_one_clear_line():
    script = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError("no torch here")
sys.meta_path.insert(0, NoTorch())
from nonneg.exceptions import MissingExtraError
try:
    import nonneg.deep
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'nonneg.deep needs torch: pip install "nonneg[deep]"'


def test_names_are_there():
    for name in nonneg.deep.__all__:
        assert not isinstance(getattr(nonneg.deep, name), types.ModuleType)  # no submodule in a name's place
        assert name in dir(nonneg.deep)
    with pytest.raises(AttributeError, match="nothing"):
        _ = nonneg.deep.nothing


@pytest.mark.parametrize("name", [name for name, home in MODELS.items() if home == "nonneg.deep"])
def test_the_table_of_abilities_is_true(name):
    model = getattr(nonneg, name)(3, hidden=(6,), max_epochs=1, random_state=0)
    X = np.random.default_rng(0).integers(0, 9, (40, 8)).astype(float)
    assert row_of_abilities(name, model.fit(X)) in TABLE_OF_MODELS
