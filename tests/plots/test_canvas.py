from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from nonneg import plots
from nonneg.plots import canvas

H = np.arange(1.0, 13.0).reshape(3, 4)
DRAWN = {
    "parts": lambda: plots.parts(H, (2, 2)),
    "embedding": lambda: plots.embedding(H[:, :2], [0, 1, 1]).figure,
    "metric_curves": lambda: plots.metric_curves([1, 2], {"a": ([0, 1], None)}).figure,
    "loss_curves": lambda: plots.loss_curves({"loss": [2.0, 1.0]}).figure,
    "convergence": lambda: plots.convergence({"loss": [2.0, 1.0], "kkt": [1, 0.1]}).figure,
    "top_features": lambda: plots.top_features(H),
    "spectra": lambda: plots.spectra(H).figure,
    "similarity": lambda: plots.similarity(H).figure,
    "sparsity": lambda: plots.sparsity(H).figure,
    "heatmap": lambda: plots.heatmap(H, labels=[0, 1, 1]).figure,
    "memberships": lambda: plots.memberships(H, labels=[0, 1, 1]).figure,
}


def test_pyplot_is_never_touched():
    code = (
        "import sys, numpy as np\nfrom nonneg import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "H = np.eye(4)\n"
        "figures = [plots.parts(H, (2, 2)), plots.top_features(H), *(draw(H).figure for draw in (plots.similarity,"
        " plots.sparsity, plots.spectra, plots.heatmap, plots.memberships)), plots.convergence({'loss': [1]}).figure]\n"
        "for figure in figures:\n    figure.savefig('/dev/null', format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"PATH": "", "PYTHONPATH": ":".join(sys.path)}
    )


def test_every_function_is_tried():
    helpers = {"COLOURS", "MARKERS", "new_figure", "embed"}
    assert set(plots.__all__) - helpers == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_texts_and_frames_follow_the_style(name):
    ink = "#123456"
    style = {
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
    }
    with matplotlib.rc_context(style):
        figure = DRAWN[name]()
    texts = [
        text
        for axes in figure.axes
        for text in (
            axes.title,
            axes.xaxis.label,
            axes.yaxis.label,
            *axes.get_xticklabels(),
            *axes.get_yticklabels(),
        )
    ]
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    texts += [text for legend in legends for text in legend.get_texts()]
    assert texts
    assert {text.get_color() for text in texts} == {ink}


@pytest.mark.parametrize(
    "name", ["top_features", "spectra", "similarity", "sparsity", "heatmap", "memberships"]
)
def test_inputs_are_not_changed_and_may_be_of_any_kind(name):
    from scipy import sparse

    draw = getattr(plots, name)
    values = np.array([[0, 2, 1], [3, 0, 0], [0, 0, 0]], dtype=np.uint8)
    kept = values.copy()
    for kind in (values, values.tolist(), sparse.csr_array(values), values.astype(np.float32)):
        draw(kind)
    np.testing.assert_array_equal(values, kept)


@pytest.mark.parametrize(
    "name", ["top_features", "spectra", "similarity", "sparsity", "heatmap", "memberships"]
)
@pytest.mark.parametrize(
    "values", [[[1.0]], [[0.0]], np.zeros((1, 3)), np.zeros((4, 1)), 1e300 * H, 1e-300 * H]
)
def test_single_and_dead_components_and_extremes_are_drawn(name, values):
    drawn = getattr(plots, name)(values)
    getattr(drawn, "figure", drawn).draw_without_rendering()


@pytest.mark.parametrize(
    "name", ["parts", "top_features", "spectra", "similarity", "sparsity", "heatmap", "memberships"]
)
def test_matrices_that_cannot_be_drawn_are_refused_by_name(name):
    draw = getattr(plots, name)
    own = {"parts": "components", "heatmap": "W", "memberships": "P"}.get(name, "H")
    more = ((2, 2),) if name == "parts" else ()
    with pytest.raises(ValueError, match=rf"^{own} holds NaN or infinite entries"):
        draw([[np.nan, 1.0, 1.0, 1.0]], *more)
    with pytest.raises(ValueError, match=rf"^{own} must be a matrix with rows and columns, got shape \(4,\)"):
        draw(np.ones(4), *more)
    with pytest.raises(
        ValueError, match=rf"^{own} must be a matrix with rows and columns, got shape \(0, 4\)"
    ):
        draw(np.ones((0, 4)), *more)
    with pytest.raises(TypeError, match=f"^{own} must be a matrix of numbers"):
        draw([["a", "b", "c", "d"]], *more)
    with pytest.raises(ValueError, match="titles must name 1 components, got 2"):
        draw(
            np.ones((4, 1)) if name in ("heatmap", "memberships") else np.ones((1, 4)),
            *more,
            titles=["a", "b"],
        )


def test_fifty_colours_differ_and_neighbours_in_hue():
    found = canvas.colours(50)
    assert len(set(found)) == 50
    assert tuple(found[:10]) == tuple(colour.lower() for colour in plots.COLOURS)
    assert "#ffffff" not in found
    assert "#000000" not in found


def luminance(colour):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)
    ]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_colours_are_told_from_white_and_from_dark_paper():
    for colour in plots.COLOURS[:-1]:  # yellow is the tenth: hard to see on white
        assert 1.05 / (luminance(colour) + 0.05) > 2.2
        assert (luminance(colour) + 0.05) / (luminance("#121212") + 0.05) > 3.0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short", "short"),
        ("a" * 30, "a" * 23 + "…"),
        ("cost in $ and $", r"cost in \$ and \$"),
        ("_hidden", " _hidden"),
        ("two\nlines", "two lines"),
        ("a\x07b\ud800", "a\ufffdb\ufffd"),
        (7, "7"),
    ],
)
def test_texts_are_made_harmless(text, shown):
    assert canvas.shorten(text) == shown
