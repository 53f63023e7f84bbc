"""How good are codes, clusters and parts: arrays in, numbers out.

Nothing here knows a model: labels come from :func:`nonneg.clustering.cluster`, codes and parts from any estimator.
"""

from __future__ import annotations

from nonneg.metrics.clustering import ari, clustering_accuracy, nmi
from nonneg.metrics.probe import linear_probe_accuracy
from nonneg.metrics.sparsity import hoyer_sparsity
from nonneg.metrics.stability import ComponentMatch, match_components

__all__ = [
    "ComponentMatch",
    "ari",
    "clustering_accuracy",
    "hoyer_sparsity",
    "linear_probe_accuracy",
    "match_components",
    "nmi",
]
