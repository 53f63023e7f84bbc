"""Imported once, by the process that others are forked from: kernels are loaded before anything is killed."""

from __future__ import annotations

import os
import warnings

import kill_cases
from nonneg.exceptions import ConvergenceWarning

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    for case in (kill_cases.CASES["NMF"], kill_cases.CASES["NTF"]):
        X = case.data()[:200]
        kill_cases.model_of(case).set_params(max_iter=2).fit(X).transform(X)

if os.environ.get("NONNEG_CAMPAIGN"):
    import nonneg.deep  # noqa: F401 - torch takes longer to load than the small networks to train
