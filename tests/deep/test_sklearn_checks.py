"""scikit-learn's own checks of an estimator."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from nonneg.deep import DDNMF, Autoencoder, DeepProbabilisticNMF, NonnegativeAutoencoder, VariationalNMF

HOW = {"hidden": (6,), "max_epochs": 2, "batch_size": 16, "random_state": 0, "device": "cpu"}
BATCHES = "a batch holds a row once whatever its weight, as in scikit-learn's own stochastic estimators"


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        DDNMF(2, **HOW),
        Autoencoder(2, **HOW),
        DeepProbabilisticNMF(2, **HOW),
        NonnegativeAutoencoder(2, **HOW),
        VariationalNMF(2, **HOW),
    ],
    expected_failed_checks=lambda _: {
        "check_sample_weight_equivalence_on_dense_data": BATCHES,
        "check_sample_weight_equivalence_on_sparse_data": BATCHES,
    },
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
