from __future__ import annotations

import numpy as np
from sklearn.metrics.pairwise import cosine_similarity

from nonneg import plots
from nonneg.metrics import hoyer_sparsity


def cells(axes):
    return np.ma.filled(axes.images[0].get_array(), np.nan)


def test_similarity_is_the_cosine_and_one_on_the_diagonal():
    H = np.random.default_rng(0).random((5, 20))
    axes = plots.similarity(H)
    np.testing.assert_allclose(cells(axes), cosine_similarity(H), rtol=1e-12)
    np.testing.assert_allclose(np.diag(cells(axes)), 1.0)
    assert axes.images[0].get_clim() == (0.0, 1.0)
    assert [text.get_text() for text in axes.texts[:2]] == ["1.00", f"{cosine_similarity(H)[0, 1]:.2f}"]


def test_signed_components_have_cosines_down_to_minus_one():
    axes = plots.similarity([[1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_allclose(cells(axes), [[1, -1], [-1, 1]])
    assert axes.images[0].get_clim() == (-1.0, 1.0)


def test_a_dead_component_is_like_nothing():
    shown = cells(plots.similarity([[1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]))
    np.testing.assert_allclose(shown, [[1, np.nan, 1], [np.nan] * 3, [1, np.nan, 1]])


def test_numbers_are_written_where_they_have_room():
    axes = plots.similarity(np.eye(30))
    assert not axes.texts
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [str(j) for j in range(0, 30, 2)]
    named = plots.similarity(np.eye(30), titles=[f"c{j}" for j in range(30)])
    assert len(named.get_xticklabels()) == 30


def test_sparsity_is_hoyer_s_and_the_dead_are_marked():
    H = np.array([[1.0, 1, 1, 1], [0, 0, 2, 0], [0, 0, 0, 0], [3, 1, 0, 0]])
    axes = plots.sparsity(H, titles=["flat", "one", "none", "some"])
    alive = [0, 1, 3]
    heights = np.array([bar.get_height() for bar in axes.patches])
    np.testing.assert_allclose(heights[alive], hoyer_sparsity(H[alive], axis=1))
    assert heights[2] == 0
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [2])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["flat", "one", "none", "some"]
    assert not plots.sparsity(H[alive]).lines
