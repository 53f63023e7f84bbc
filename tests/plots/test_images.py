from __future__ import annotations

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


def test_colour_parts_are_light_on_black():
    components = np.zeros((2, 2, 3, 3))
    components[0, 0, 0, 0] = 5.0  # one red pixel
    components[1] = np.linspace(0, 1, 18).reshape(2, 3, 3)
    figure = plots.parts(components.reshape(2, -1), (2, 3, 3))
    first, second = (np.asarray(axes.images[0].get_array()) for axes in figure.axes)
    assert first.shape == (2, 3, 3)
    np.testing.assert_array_equal(first, components[0] / 5.0)
    np.testing.assert_allclose(second, components[1])


def test_negative_entries_have_a_colour_of_their_own():
    figure = plots.parts([[-2.0, 1.0, 0.0, 0.5]], (2, 2))
    image = figure.axes[0].images[0]
    assert (image.norm.vmin, image.norm.vmax) == (-2.0, 2.0)
    red, _, blue, _ = image.cmap(image.norm(-2.0))
    assert blue > red


def test_a_network_s_rounding_is_no_sign():
    image = plots.parts([[-1e-9, 1.0, 0.0, 0.5]], (2, 2)).axes[0].images[0]
    assert image.norm.vmin == 0.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: plots.parts(np.eye(4), (3, 2)),
            r"image_shape=\(3, 2\) does not fit components of shape \(4, 4\)",
        ),
        (lambda: plots.parts(np.eye(4), (2, 1, 2)), r"image_shape=\(2, 1, 2\) does not fit"),
        (lambda: plots.parts(np.eye(4), (4,)), r"image_shape=\(4,\) does not fit"),
        (lambda: plots.parts(-np.eye(3), (1, 1, 3)), "components of colour images must not be negative"),
        (lambda: plots.parts(np.eye(4), (2, 2), titles=["a"]), "titles must name 4 components, got 1"),
        (lambda: plots.parts(np.eye(4), (2, 2), n_columns=0), "n_columns must be at least 1"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
