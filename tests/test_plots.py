from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from nonneg import plots


def rendered(figure):
    """The picture as numbers, so that a test can see whether something was drawn."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def test_parts_draw_one_image_a_component():
    components = np.zeros((7, 12))
    components[np.arange(7), np.arange(7)] = 1.0
    figure = plots.parts(components, (3, 4), n_columns=3)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(figure.axes) == 9  # 3 lines of 3
    assert len(shown) == 7
    for axes, part in zip(shown, components, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), part.reshape(3, 4))
    assert rendered(figure).min() == 0


def test_a_dead_part_stays_white():
    components = np.array([[1.0, 0, 0, 0], [1e-9, 0, 0, 0], [0, 0, 0, 0]])
    figure = plots.parts(components, (2, 2), titles=["alive", "dead", "zero"])
    for axes in figure.axes[1:]:
        image = axes.images[0]
        assert image.norm(image.get_array()).max() < 1e-5
    assert figure.axes[0].get_title() == "alive"


def test_parts_on_a_given_figure():
    figure, _ = plots.new_figure()
    figure.clear()
    assert plots.parts(np.eye(4), (2, 2), figure=figure) is figure


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


def test_metric_curves_draw_means_and_spread():
    levels = [0.1, 0.2, 0.4]
    axes = plots.metric_curves(
        levels, {"a": ([0.9, 0.8, np.nan], [0.1, 0.1, 0.1]), "b": ([0.5, 0.5, 0.5], None)}
    )
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), levels)
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [0.5] * 3)
    assert len(axes.collections) == 1  # one band
    assert axes.get_ylabel() == "ACC"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_loss_curves_leave_out_what_is_no_loss_and_survive_zeros():
    history = {
        "epoch": [1, 2, 3],
        "symmetric": [3.0, 2.0, 0.0],
        "apposition": [1, 1, 1],
        "seconds": [1, 2, 3],
    }
    axes = plots.loss_curves(history)
    assert [line.get_label() for line in axes.lines] == ["symmetric", "apposition"]
    assert np.isnan(axes.lines[0].get_ydata()[2])
    assert axes.get_yscale() == "log"
    rendered(axes.figure)
    assert len(plots.loss_curves(history, terms=["apposition"]).lines) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: plots.parts(np.eye(4), (3, 2)),
            r"image_shape=\(3, 2\) does not fit components of shape \(4, 4\)",
        ),
        (lambda: plots.parts(np.eye(4), (2, 2), titles=["a"]), "titles must name 4 components, got 1"),
        (lambda: plots.parts(np.eye(4), (2, 2), n_columns=0), "n_columns must be at least 1"),
        (lambda: plots.embedding(np.ones((3, 3)), [0, 1, 2]), r"points must have shape \(n, 2\)"),
        (lambda: plots.embedding(np.ones((3, 2)), [0, 1]), "labels must have one entry for each of 3 points"),
        (lambda: plots.embed(np.ones((3, 2))), "H must be a finite matrix of at least five rows"),
        (lambda: plots.metric_curves([1, 2], {"a": ([1], None)}), "curve 'a' must have 2 values"),
        (lambda: plots.loss_curves({"epoch": [1]}, terms=["x"]), "terms must be among epoch, got 'x'"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_pyplot_is_never_touched():
    code = (
        "import sys, numpy as np\nfrom nonneg import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.parts(np.eye(4), (2, 2)).savefig('/dev/null', format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PATH": "", "PYTHONPATH": ":".join(sys.path)}
    )
