"""The non-negative rank of matrices where it is known, and whether its proofs prove."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import nonneg
from exact_cases import FOUR, nested_hexagons, planted, relative, slack_of_polygon, without_diagonal
from nonneg.exact import (
    Antichain,
    FoolingSet,
    NestedPolygons,
    NoRankFactorization,
    Rank,
    RectangleCover,
    RectangleWeights,
    exact_nmf,
    nonnegative_rank,
    nonnegative_rank_factorization,
)
from nonneg.exact.certificates import least_rank_of_polygon
from nonneg.exact.patterns import antichain, fooling_set, maximal_rectangles, sperner

KNOWN = [
    ("four", FOUR, 4),
    *[(f"{n}-gon", slack_of_polygon(n), r) for n, r in ((4, 4), (5, 5), (6, 5), (7, 6), (8, 6))],
    *[
        (f"hexagons {a}", nested_hexagons(a), r)
        for a, r in ((1.5, 3), (2, 3), (2.01, 4), (3, 4), (3.01, 5), (4, 5))
    ],
    ("J - I", without_diagonal(6), 6),
    ("planted", planted(20, 15, 5, 0, zeros=0.5)[0], 5),
]


def proof(interval, kind):
    return next(one for one in interval.certificates if isinstance(one, kind))


@pytest.mark.parametrize(("X", "rank"), [case[1:] for case in KNOWN], ids=[case[0] for case in KNOWN])
def test_known_ranks_with_all_their_proofs(X, rank):
    found = nonnegative_rank(X, random_state=0)
    assert (found.lower, found.upper) == (rank, rank) and found.is_exact
    assert found.W.shape == (len(X), rank) and (found.W >= 0).all() and (found.H >= 0).all()
    assert relative(X, found.W, found.H) <= 1e-8
    assert found.certificates[0].bound == rank
    for one in found.certificates:
        assert one.bound <= rank and one.check(X), one
        assert not replace(one, bound=one.bound + 1).check(X), one


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_up_to_rank_two_all_is_closed_form(rank, seed):
    X, _, _ = planted(30, 20, rank, seed, zeros=0.3)
    X[3], X[:, 4] = 0, 0
    X[5] = 2 * X[6]
    found = nonnegative_rank(X)
    assert (found.lower, found.upper, found.n_starts) == (rank, rank, 0)
    assert found.W.shape == (30, rank) and (found.W >= 0).all() and (found.H >= 0).all()
    assert rank == 0 or relative(X, found.W, found.H) < 1e-14
    W, H = nonnegative_rank_factorization(X)
    assert np.array_equal(W, found.W) and np.array_equal(H, found.H)


@pytest.mark.parametrize("scale", [1e300, 1e-300, 3.0])
def test_units_lines_and_zeros_change_nothing(scale):
    X = np.zeros((8, 9))
    X[1:6, 2:7] = scale * slack_of_polygon(5)
    X[6] = X[2] / 3
    X[:, 7] = X[:, 4] * 2
    found = nonnegative_rank(X, random_state=0)
    assert (found.lower, found.upper) == (5, 5)
    assert relative(X / scale, found.W, found.H / scale) < 1e-8
    assert all(one.check(X) for one in found.certificates)
    spread = nonnegative_rank(sp.csr_array(X).T, random_state=0)
    assert (spread.lower, spread.upper) == (5, 5)


@pytest.mark.parametrize("seed", range(12))
def test_at_rank_three_polygons_decide_what_a_search_finds(seed):
    rng = np.random.default_rng(seed)
    X = rng.random((7, 3)) @ (rng.random((3, 7)) - 0.25 * (seed % 4))
    X = np.maximum(X, 0)[:, (X > 0).all(axis=0)]
    if np.linalg.matrix_rank(X) < 3:
        X = planted(7, 7, 3, seed)[0]
    three = NestedPolygons.of(X / X.max(), 1e-8, 1).corners == 3
    assert exact_nmf(X, 3, random_state=0).found == three
    assert (nonnegative_rank(X, n_starts=32, random_state=0).upper == 3) == three


def test_polygons_bounds_are_those_of_polytopes():
    # tetrahedra meet planes in quadrilaterals, polytopes of 5 corners in hexagons, of 6 corners in nonagons
    assert [least_rank_of_polygon(q) for q in range(3, 11)] == [3, 4, 5, 5, 6, 6, 6, 7]


def test_a_certificate_is_refused_where_its_evidence_is_wrong():
    X = slack_of_polygon(7)
    found = nonnegative_rank(X, random_state=0)
    polygons = proof(found, NestedPolygons)
    assert not replace(polygons, starts=polygons.starts[::32]).check(X)
    assert not replace(polygons, starts=polygons.starts[:-1]).check(X)
    assert not polygons.check(nested_hexagons(1.5))
    cells = proof(found, FoolingSet)
    assert not replace(cells, cells=cells.cells[:-1]).check(X)
    assert not cells.check(np.ones((7, 7)))
    weights = proof(found, RectangleWeights)
    assert not replace(weights, weights=weights.weights * (np.arange(7) < 4)).check(X)
    assert not replace(weights, weights=weights.weights + 0.1).check(X)
    assert not proof(found, Antichain).check(np.ones((7, 7)))
    assert not proof(found, Rank).check(np.ones((7, 7)))


def test_a_cover_by_rectangles_is_one():
    X = without_diagonal(6)
    cover = RectangleCover.of(X, 1e-8)
    covered = np.einsum("ci,cj->ij", cover.rows * 1, cover.columns * 1)
    assert cover.bound == len(cover.rows) == 4
    assert ((covered > 0) == (X > 0)).all()


@pytest.mark.parametrize("seed", range(8))
def test_patterns_against_all_subsets(seed):
    pattern = np.random.default_rng(seed).random((5, 5)) < 0.6
    cells = np.argwhere(pattern)

    def fools(some):
        return all(
            not (pattern[i, q] and pattern[p, j]) for (i, j), (p, q) in itertools.combinations(some, 2)
        )

    size = len(fooling_set(pattern))
    assert not any(fools(some) for some in itertools.combinations(cells.tolist(), size + 1))
    assert fools(fooling_set(pattern).tolist())
    rows = {tuple(row) for row in pattern.tolist()}

    def apart(some):
        return all(any(a > b for a, b in zip(x, y, strict=True)) for x, y in itertools.permutations(some, 2))

    widest = max(
        r for r in range(1, len(rows) + 1) if any(apart(some) for some in itertools.combinations(rows, r))
    )
    assert len(antichain(pattern)) == widest and apart([tuple(row) for row in pattern[antichain(pattern)]])
    boxes = set()
    for r in range(1, 6):
        for some in itertools.combinations(range(5), r):
            columns = pattern[list(some)].all(axis=0)
            if columns.any():
                boxes.add((tuple(pattern[:, columns].all(axis=1)), tuple(columns)))
    rows_of, columns_of = maximal_rectangles(pattern, 100)
    assert {(tuple(a), tuple(b)) for a, b in zip(rows_of.tolist(), columns_of.tolist(), strict=True)} == boxes
    assert maximal_rectangles(pattern, 2) is None


def test_sperner():
    assert [sperner(s) for s in (1, 2, 3, 4, 6, 7, 10, 11, 20, 21)] == [1, 2, 3, 4, 4, 5, 5, 6, 6, 7]


def test_rank_factorizations():
    X = planted(12, 10, 4, 1, zeros=0.4)[0]
    W, H = nonnegative_rank_factorization(X, random_state=0)
    assert W.shape == (12, 4) and relative(X, W, H) < 1e-8 and (W >= 0).all() and (H >= 0).all()


def test_a_proven_refusal_carries_its_proof():
    with pytest.raises(
        NoRankFactorization, match=r"has no .* rank is 3 .* at least 6, by NestedPolygons"
    ) as caught:
        nonnegative_rank_factorization(slack_of_polygon(7))
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.proven and isinstance(error, ValueError) and error.rank == 3
    assert error.interval.lower == 6 and error.interval.certificates[0].check(slack_of_polygon(7))


def test_an_unproven_refusal_says_so():
    # a pyramid over a pentagon, moved away from zeros: rank 4, and nothing here bounds it beyond 4
    X = np.block([[slack_of_polygon(6), np.zeros((6, 1))], [np.zeros((1, 6)), np.ones((1, 1))]]) + 1e-3
    with pytest.raises(
        NoRankFactorization, match=r"was found in 4 starts, and no bound excludes one"
    ) as caught:
        nonnegative_rank_factorization(X, n_starts=4, random_state=0)
    assert not caught.value.proven and caught.value.interval.lower == 4 == caught.value.rank


def test_refusals_and_names():
    with pytest.raises(ValueError, match="Negative values in data passed to nonnegative_rank: 1 cell"):
        nonnegative_rank([[1.0, -1.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="NaN"):
        nonnegative_rank_factorization([[1.0, np.nan]])
    with pytest.raises(ValueError, match="'tol' parameter of nonnegative_rank"):
        nonnegative_rank(FOUR, tol=2.0)
    assert nonneg.nonnegative_rank is nonnegative_rank and nonneg.exact_nmf is exact_nmf
    assert nonneg.nonnegative_rank_factorization is nonnegative_rank_factorization


@pytest.mark.parametrize("seed", range(4))
def test_small_rows_and_columns_prove_nothing(seed):
    rng = np.random.default_rng(seed)
    X = rng.random((8, 3)) @ rng.random((3, 7))  # all positive: no rectangle is forbidden
    X *= 10.0 ** rng.uniform(-4, 4, (8, 1)) * 10.0 ** rng.uniform(-4, 4, (1, 7))
    assert X.min() < 1e-8 * X.max()
    W, H = nonnegative_rank_factorization(X, random_state=0)
    assert W.shape[1] <= 3 and relative(X, W, H) <= 1e-8
    assert FoolingSet.of(X, 1e-8).bound == 1
    # what is small beside its neighbours still counts as 0
    assert FoolingSet.of(without_diagonal(6) + 1e-9, 1e-8).bound > 1


def test_missing_cells_are_refused_with_what_helps():
    with pytest.raises(ValueError, match=r"contains NaN: 1 cell\(s\), .*needs every cell"):
        nonnegative_rank([[1, np.nan], [2, 3]])


def test_a_proof_of_one_matrix_is_none_of_another():
    planar = proof(nonnegative_rank(nested_hexagons(1.5)), NestedPolygons)
    assert planar.bound == 3 and planar.check(nested_hexagons(1.5)) and not planar.check(np.ones((6, 6)))
    for one in nonnegative_rank(FOUR).certificates:
        assert not one.check(np.ones((4, 4))) and not one.check(np.zeros((4, 4))), one
