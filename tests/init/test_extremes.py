"""Rows that lie far apart, against the definitions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist

from nonneg.data import as_source
from nonneg.data.centred import Centred
from nonneg.data.threads import workers
from nonneg.init.extremes import EXCHANGES, EXTREMES


def picked(name, X, k, **given):
    with workers(1) as pool:
        return EXTREMES[name](Centred(as_source(X, **given), pool), k)


def data(n=60, m=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n, m)) + 3


def by_definition(name, X, k):
    D = cdist(X, X)
    rows = [int(np.argmax(np.linalg.norm(X - X.mean(axis=0), axis=1)))]
    for turn in range(k - 1 + (EXCHANGES if name == "furthest_sum" else 0)):
        rows = rows[1:] if turn >= k - 1 else rows
        score = D[rows].sum(axis=0) if name == "furthest_sum" else D[rows].min(axis=0)
        score[rows] = -1
        rows.append(int(np.argmax(score)))
    return rows


@pytest.mark.parametrize("name", ["furthest_sum", "furthest_first"])
def test_distances(name):
    for seed in range(5):
        X = data(seed=seed)
        assert picked(name, X, 4) == by_definition(name, X, 4)
        assert picked(name, sp.csr_array(X), 4) == picked(name, X, 4)


def test_corners_come_first():
    corners = np.array([[0, 0, 0], [5, 0, 0], [0, 4, 0], [0, 0, 3.0]])
    inside = np.random.default_rng(0).dirichlet(np.ones(4), 50) @ corners
    assert sorted(picked("furthest_from_hull", np.concatenate([inside, corners]), 4)) == [50, 51, 52, 53]


@pytest.mark.parametrize("name", EXTREMES)
def test_repeated_rows_and_weights(name):
    X, times = data(), np.random.default_rng(1).integers(0, 4, 60)
    weighted = picked(name, X, 4, sample_weight=times)
    assert (times[weighted] > 0).all()
    repeated = np.repeat(np.arange(60), times)
    assert [int(repeated[i]) for i in picked(name, X[repeated], 4)] == weighted


@pytest.mark.parametrize("name", EXTREMES)
def test_fewer_rows_than_asked_for(name):
    rows = picked(name, np.repeat(data(3), 2, axis=0), 5)
    assert len(rows) == 5 and len({i // 2 for i in rows}) == 3
    assert picked(name, np.ones((4, 3)), 2) in ([0, 0], [0, 1])
