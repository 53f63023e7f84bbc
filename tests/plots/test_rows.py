from __future__ import annotations

import itertools

import numpy as np
import pytest

from nonneg import plots

W = np.array([[1.0, 3.0], [4.0, 1.0], [0.0, 0.0], [2.0, 8.0], [6.0, 0.0]])


def lines(axes):
    """The cells of a heat map, a line a row."""
    return np.asarray(axes.collections[0].get_array()).reshape(-1, len(axes.get_xticklabels()))


def heights(axes):
    """What the components take of each bar, (bars, k), and where bars begin and end."""
    found = [patch.get_data() for patch in axes.patches]
    return np.array([data.values - data.baseline for data in found]).T, found[0].edges


def test_rows_are_sorted_by_their_largest_component_and_zeros_come_last():
    np.testing.assert_array_equal(lines(plots.heatmap(W)), W[[4, 1, 3, 0, 2]])
    shares, _ = heights(plots.memberships(W))
    np.testing.assert_allclose(shares, [[1, 0], [0.8, 0.2], [0.2, 0.8], [0.25, 0.75], [0, 0]])


def test_an_order_is_kept_and_labels_group():
    np.testing.assert_array_equal(lines(plots.heatmap(W, order=np.arange(5))), W)
    labels = ["b", "a", "b", "a", "b"]
    axes = plots.heatmap(W, order=[4, 3, 2, 1, 0], labels=labels)
    np.testing.assert_array_equal(lines(axes), W[[3, 1, 4, 2, 0]])
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]
    np.testing.assert_allclose(axes.get_yticks(), [1.0, 3.5])  # the middle of each group
    assert [line.get_ydata()[0] for line in axes.lines] == [2]
    assert axes.yaxis_inverted()


def test_bars_have_height_one_and_the_model_s_order():
    P = np.random.default_rng(0).random((40, 12))
    axes = plots.memberships(P, labels=np.arange(40) % 3)
    shares, edges = heights(axes)
    assert shares.shape == (40, 12)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(edges, np.arange(41))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [str(j) for j in range(12)]
    assert len({patch.get_facecolor() for patch in axes.patches}) == 12
    assert [line.get_xdata()[0] for line in axes.lines] == [14, 27]


def test_a_hundred_thousand_rows_become_means_that_never_mix_groups():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(100_000) < 0.001, "few", "many")
    P = np.where((labels == "few")[:, None], [1.0, 0.0, 0.0], [0.0, 1.0, 3.0])
    axes = plots.memberships(P, labels=labels)
    shares, edges = heights(axes)
    assert len(shares) <= 801
    n_few = int((labels == "few").sum())
    border = np.flatnonzero(edges == n_few)[0]
    np.testing.assert_allclose(shares[:border], [[1.0, 0.0, 0.0]] * border)
    np.testing.assert_allclose(shares[border:], [[0.0, 0.25, 0.75]] * (len(shares) - border))
    largest = int(np.diff(edges).max())
    assert axes.get_xlabel() == f"100,000 rows (a bar is the mean of up to {largest})"
    drawn = lines(plots.heatmap(P, labels=labels))
    assert 390 < len(drawn) <= 401
    assert {tuple(line) for line in drawn.round(12)} == {(1.0, 0.0, 0.0), (0.0, 1.0, 3.0)}


def test_means_keep_the_whole():
    P = np.random.default_rng(0).dirichlet(np.ones(4), 5000)
    shares, edges = heights(plots.memberships(P))
    np.testing.assert_allclose(np.diff(edges) @ shares, P.sum(axis=0))


def test_colours_end_where_one_cell_in_two_hundred_is_above():
    values = np.ones((400, 2))
    values[0, 0] = 1000.0
    axes = plots.heatmap(values)
    assert axes.collections[0].norm.vmax == 1.0
    assert plots.heatmap(np.arange(6.0).reshape(3, 2)).collections[0].norm.vmax > 4.9


@pytest.mark.parametrize("sizes", [(3, 2, 400), (400, 3, 2), (2, 400, 3), (1, 1, 1)])
def test_names_of_small_groups_do_not_overlap(sizes):
    labels = np.repeat(["a long name", "another name", "big"], sizes)
    axes = plots.memberships(np.ones((len(labels), 2)), labels=labels)
    axes.figure.canvas.draw()
    boxes = [tick.get_window_extent() for tick in axes.get_xticklabels()]
    assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(boxes))
    assert 0 < axes.get_xticks().min() < axes.get_xticks().max() <= len(labels)


def test_labels_of_any_kind_have_names():
    axes = plots.memberships(W, labels=np.array(["x", None, 3, "x", None], dtype=object))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["3", "None", "x"]
    many = plots.heatmap(np.ones((60, 2)), labels=np.arange(60))
    assert not [tick.get_text() for tick in many.get_yticklabels()]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.heatmap(W, order=[0, 1]), "order must hold each row number from 0 to 4 once"),
        (lambda: plots.heatmap(W, order=[0, 1, 2, 3, 3]), "order must hold each row number from 0 to 4 once"),
        (lambda: plots.heatmap(W, order=np.arange(5.0)), "order must hold each row number"),
        (
            lambda: plots.memberships(W, labels=[0, 1]),
            r"labels must have one entry for each of 5 rows, got shape",
        ),
        (lambda: plots.memberships(-W), "P must not be negative, got -8"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
