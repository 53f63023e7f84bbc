"""Codes of new data that are far in size from those of the fit."""

import numpy as np
import pytest

from family_cases import data_for, fresh

#: W of c X is c W; of the others, rows are shares or similarities.
LINEAR = ["SemiNMF", "ConvexNMF", "SeparableNMF", "OrthogonalNMF", "TriNMF", "ProjectiveNMF", "SymmetricNMF"]


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize(
    ("dtype", "power"), [("f8", -990), ("f8", -600), ("f8", 600), ("f8", 990), ("f4", -80), ("f4", 80)]
)
@pytest.mark.filterwarnings("ignore:SemiNMF only attains:UserWarning")
@pytest.mark.filterwarnings("ignore::nonneg.exceptions.ConvergenceWarning")
def test_codes_of_data_far_from_the_fit_are_as_far(name, dtype, power):
    model = fresh(name)
    X = data_for(model).astype(dtype)
    W = model.fit_transform(X)
    found = model.transform(np.ldexp(X, power))
    assert np.ldexp(found, -power) == pytest.approx(W, rel=1e-6, abs=1e-6 * float(W.max()))
