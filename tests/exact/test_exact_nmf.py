"""Exact factors where there are some, the best approximation where there are none."""

import numpy as np
import pytest
import scipy.sparse as sp

from exact_cases import FOUR, nested_hexagons, planted, relative, slack_of_polygon
from nonneg.exact import exact_nmf
from nonneg.exact.search import _gap, _slopes

# the best relative residual with one component fewer than the non-negative rank (independent measurements)
ONE_LESS = [
    (FOUR, 3, 0.27060, 5e-6),
    (slack_of_polygon(5), 4, 0.115, 5e-4),
    (slack_of_polygon(6), 4, 0.0945, 5e-5),
    (slack_of_polygon(7), 5, 0.0479, 5e-5),
    (slack_of_polygon(8), 5, 0.0459, 5e-5),
]


@pytest.mark.parametrize(("X", "r", "residual", "digits"), ONE_LESS, ids=["four", "5", "6", "7", "8"])
def test_best_residual_one_component_lower(X, r, residual, digits):
    found = exact_nmf(X, r, n_starts=128, random_state=0)
    assert not found.found and found.n_starts == 128
    assert found.residual == pytest.approx(residual, abs=digits)
    assert found.residual == pytest.approx(relative(X, found.W, found.H), rel=1e-9)


@pytest.mark.parametrize(
    ("X", "r"),
    [
        (FOUR, 4),
        *[(slack_of_polygon(n), r) for n, r in ((5, 5), (6, 5), (7, 6), (8, 6))],
        (nested_hexagons(4), 5),
    ],
    ids=["four", "5", "6", "7", "8", "hexagons"],
)
def test_exact_factors(X, r):
    found = exact_nmf(X, r, random_state=0)
    assert found.found and found.residual <= 1e-8
    assert found.W.shape == (len(X), r) and found.H.shape == (r, X.shape[1])
    assert (found.W >= 0).all() and (found.H >= 0).all()
    assert relative(X, found.W, found.H) <= 1e-8


@pytest.mark.parametrize("seed", range(4))
def test_planted_factors(seed):
    X, _, _ = planted(25, 18, 6, seed, zeros=0.4)
    found = exact_nmf(X, 6, random_state=seed)
    assert found.found and relative(X, found.W, found.H) <= 1e-8


def test_closed_forms():
    X, _, _ = planted(9, 7, 2, 0)
    for r in (2, 3, 7, 9, 12):
        found = exact_nmf(X, r)
        assert found.found and found.n_starts == 0 and found.residual < 1e-15
        assert found.W.shape == (9, r) and found.H.shape == (r, 7)
    one = exact_nmf(planted(9, 7, 4, 0)[0], 1)
    sigma = np.linalg.svd(planted(9, 7, 4, 0)[0], compute_uv=False)
    assert one.residual == pytest.approx(np.sqrt(1 - sigma[0] ** 2 / (sigma**2).sum()), rel=1e-12)
    assert exact_nmf(np.zeros((3, 4)), 2).found


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_units(scale):
    X = slack_of_polygon(6)
    found, plain = exact_nmf(X * scale, 5, random_state=0), exact_nmf(X, 5, random_state=0)
    assert found.found and np.isfinite(found.W).all() and np.isfinite(found.H).all()
    assert relative(X, found.W, found.H / scale) < 1e-8
    assert found.residual == pytest.approx(plain.residual, abs=1e-9)


def test_the_same_seed_gives_the_same_factors_and_kinds_agree():
    X = slack_of_polygon(6)
    first = exact_nmf(X, 4, n_starts=8, random_state=3)
    for kind in (X, X.tolist(), sp.csr_array(X), np.asfortranarray(X)):
        again = exact_nmf(kind, 4, n_starts=8, random_state=3)
        assert np.array_equal(first.W, again.W) and np.array_equal(first.H, again.H)
    other = exact_nmf(X, 4, n_starts=8, random_state=4)
    assert not np.array_equal(first.W, other.W)


def test_a_budget_of_time_ends_the_search():
    found = exact_nmf(slack_of_polygon(12), 6, n_starts=100_000, max_time=0.0, random_state=0)
    assert not found.found and found.n_starts < 100_000 and np.isfinite(found.W).all()


def test_large_matrices_are_left_to_alternating_updates():
    X, _, _ = planted(400, 300, 3, 0, zeros=0.5)
    assert exact_nmf(X, 3, tol=1e-4, n_starts=2, random_state=0).found


def test_slopes_are_derivatives():
    rng = np.random.default_rng(0)
    X, z = rng.random((4, 5)), rng.random((2, (4 + 5) * 3))
    gap, loss = _gap(X, z, 3)
    gradient, curvature = _slopes(z, gap, 4, 3)
    J = np.stack(
        [(_gap(X, z + 1e-6 * e, 3)[0] - _gap(X, z - 1e-6 * e, 3)[0]) / 2e-6 for e in np.eye(27)], axis=-1
    )
    J = J.reshape(2, 20, 27)
    assert loss == pytest.approx((gap**2).sum(axis=(1, 2)))
    assert gradient == pytest.approx((J.transpose(0, 2, 1) @ gap.reshape(2, 20, 1))[:, :, 0], abs=1e-7)
    assert curvature == pytest.approx(J.transpose(0, 2, 1) @ J, abs=1e-7)


@pytest.mark.parametrize(
    ("bad", "match"), [({"r": 0}, "'r'"), ({"tol": 0}, "'tol'"), ({"n_starts": 0}, "'n_starts'")]
)
def test_refusals(bad, match):
    with pytest.raises(ValueError, match=match):
        exact_nmf(FOUR, **{"r": 3, **bad})
    with pytest.raises(ValueError, match="Negative values in data passed to exact_nmf"):
        exact_nmf(-FOUR, 3)
