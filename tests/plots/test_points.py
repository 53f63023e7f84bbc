from __future__ import annotations

import numpy as np
import pytest

from nonneg import plots


def rendered(figure):
    """The picture as numbers, so that a test can see whether something was drawn."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def test_embedding_has_a_colour_a_label():
    points = np.random.default_rng(0).normal(size=(30, 2))
    labels = np.arange(30) % 3
    axes = plots.embedding(points, labels, names=["zero", "one", "two"], title="codes")
    assert [c.get_label() for c in axes.collections] == ["zero", "one", "two"]
    assert len({tuple(c.get_facecolor()[0]) for c in axes.collections}) == 3
    np.testing.assert_array_equal(axes.collections[1].get_offsets(), points[labels == 1])
    assert rendered(axes.figure).std() > 0


def test_embed_keeps_neighbours_and_is_repeatable():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    H = 10 * np.eye(3)[y] + 0.1 * rng.normal(size=(90, 3))
    points, rows = plots.embed(H, n_points=45, random_state=1)
    assert points.shape == (45, 2)
    assert len(set(rows)) == 45
    np.testing.assert_array_equal(points, plots.embed(H, n_points=45, random_state=1)[0])
    centres = np.array([points[y[rows] == j].mean(axis=0) for j in range(3)])
    nearest = np.linalg.norm(points[:, None] - centres[None], axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, y[rows])


@pytest.mark.parametrize("H", [np.zeros((20, 4)), np.full((6, 1), 0.45)])
def test_embed_survives_constant_codes(H):
    assert np.isfinite(plots.embed(H)[0]).all()


def test_few_points_are_larger_and_the_legend_s_are_not():
    def sizes(n):
        axes = plots.embedding(np.ones((n, 2)), np.arange(n) % 2)
        handles = axes.get_legend().legend_handles
        return axes.collections[0].get_sizes()[0], handles[0].get_sizes()[0]

    found = [sizes(n) for n in (10, 800, 5000)]
    assert [size for size, _ in found] == [40, 10, 5]
    np.testing.assert_allclose([legend for _, legend in found], found[-1][1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.embedding(np.ones((3, 3)), [0, 1, 2]), r"points must have shape \(n, 2\)"),
        (lambda: plots.embedding(np.ones((3, 2)), [0, 1]), "labels must have one entry for each of 3 points"),
        (lambda: plots.embed(np.ones((3, 2))), "H must be a finite matrix of at least five rows"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
