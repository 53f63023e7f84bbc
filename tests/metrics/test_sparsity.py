from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nonneg.metrics import hoyer_sparsity


def test_ends_of_the_scale_and_a_value_between():
    assert hoyer_sparsity([0, 0, 5, 0]) == 1.0
    assert hoyer_sparsity([2, -2, 2, 2]) == 0.0
    # d = 4, |x|_1 = 2, |x|_2 = sqrt 2
    assert hoyer_sparsity([1, 1, 0, 0]) == pytest.approx(2 - np.sqrt(2))


@given(
    hnp.arrays(np.float64, (3, 6), elements=st.floats(0.01, 10)),
    st.sampled_from([1e-250, 1e-3, 7.0, 1e250]),
)
def test_scale_does_not_matter_and_axes_agree(X, scale):
    rows = hoyer_sparsity(X, axis=1)
    np.testing.assert_allclose(hoyer_sparsity(X * scale, axis=1), rows, atol=1e-9)
    np.testing.assert_allclose(hoyer_sparsity(X.T, axis=0), rows, atol=1e-12)
    np.testing.assert_allclose([hoyer_sparsity(row) for row in X], rows, atol=1e-12)
    assert ((rows >= 0) & (rows <= 1)).all()


def test_zero_vector_is_undefined_and_one_entry_is_sparse():
    assert np.isnan(hoyer_sparsity([0, 0]))
    np.testing.assert_array_equal(hoyer_sparsity([[3.0], [0.0]], axis=1), [1.0, np.nan])


@pytest.mark.parametrize(
    ("X", "axis"), [([], None), ([1, np.inf], None), ([1, 2], 1), ([[1, 2]], 2), (np.ones((2, 2, 2)), None)]
)
def test_bad_input(X, axis):
    with pytest.raises(ValueError, match=r"^(X|axis) "):
        hoyer_sparsity(X, axis=axis)
