from __future__ import annotations

import pytest

from nonneg.experiments.ddnmf import Study
from nonneg.experiments.evaluate import Scoring


@pytest.fixture
def small():
    """A study of the digits that takes seconds."""
    return Study(
        "digits",
        methods=("raw", "nmf", "ae2", "ae1-relu", "ddnmf"),
        profiles=("paper",),
        seeds=(0, 1),
        epochs=2,
        noise_levels=(0.5,),
        noise_methods=("ae1-relu", "ddnmf"),
        noise_seeds=(0,),
        noise_epochs=1,
        hidden=(16, 8),
        scoring=Scoring(clusterings=("argmax", "kmeans"), seeds=(0, 1), n_init=1),
        n_train=200,
        n_test=80,
    )
