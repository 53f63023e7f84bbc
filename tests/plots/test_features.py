from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from nonneg import plots

H = np.array([[0.0, 3.0, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, -5.0, 1.0]])


def bars(axes):
    """Names and lengths of bars, from top to bottom."""
    found = sorted(axes.patches, key=lambda bar: bar.get_y())
    assert axes.yaxis_inverted()
    return [tick.get_text() for tick in axes.get_yticklabels()], [bar.get_width() for bar in found]


def test_bars_are_the_largest_features_with_their_weights():
    figure = plots.top_features(H, ["a", "b", "c", "d"], n=2)
    first, second, third = figure.axes
    assert bars(first) == (["b", "d"], [3.0, 2.0])
    assert bars(second) == ([], [])
    assert bars(third) == (["c", "a"], [-5.0, 1.0])  # of equal ones the first
    assert [text.get_text() for text in first.texts] == ["3", "2"]
    assert [text.get_text() for text in second.texts] == ["all zero"]
    assert [axes.get_title() for axes in figure.axes] == ["0", "1", "2"]


def test_zeros_are_no_bars_and_features_have_numbers():
    figure = plots.top_features(H, n=10)
    assert bars(figure.axes[0]) == (["1", "3", "2"], [3.0, 2.0, 1.0])


def test_the_line_at_zero_follows_the_style():
    with matplotlib.rc_context({"axes.edgecolor": "#123456"}):
        (line,) = plots.top_features([[-1.0, 2.0]]).axes[0].lines
    assert line.get_color() == "#123456"
    np.testing.assert_array_equal(line.get_xdata(), [0, 0])


def test_names_are_shortened_and_harmless():
    figure = plots.top_features([[2.0, 1.0]], ["w" * 40, "$x"])
    assert bars(figure.axes[0])[0] == ["w" * 23 + "…", r"\$x"]
    figure.canvas.draw()


def test_fifty_components_have_a_panel_each():
    figure = plots.top_features(np.ones((50, 3)), n=2, n_columns=6)
    drawn = [axes for axes in figure.axes if axes.patches]
    assert len(drawn) == 50
    assert len(figure.axes) == 54
    assert {len(axes.patches) for axes in drawn} == {2}


def test_spectra_share_a_scale_or_are_stacked():
    values = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]])
    plain = plots.spectra(values, [3.0, 1.0, 2.0])
    np.testing.assert_array_equal(plain.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(plain.lines[0].get_ydata(), [2, 4, 1])
    assert [text.get_text() for text in plain.get_legend().get_texts()] == ["0", "1"]
    stacked = plots.spectra(values, stacked=True, titles=["up", "dead"])
    np.testing.assert_allclose(stacked.lines[0].get_ydata(), 1 + 0.9 * values[0] / 4)
    np.testing.assert_array_equal(stacked.lines[1].get_ydata(), [0, 0, 0])
    assert [tick.get_text() for tick in stacked.get_yticklabels()] == ["up", "dead"]


def test_many_spectra_are_stacked_without_touching():
    axes = plots.spectra(np.random.default_rng(0).random((8, 30)))
    lines = np.array([line.get_ydata() for line in axes.lines])
    assert (lines[:-1] > lines[1:].max(axis=1, keepdims=True)).all()


def test_places_may_be_texts_of_numbers_or_dates():
    axes = plots.spectra([[1.0, 2.0]], ["400.5", "399"])
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [399.0, 400.5])
    dates = np.array(["2020-02-01", "2020-01-01"], dtype="datetime64[D]")
    assert plots.spectra([[1.0, 2.0]], dates).lines[0].get_xdata()[0] == dates[1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.top_features(H, ["a"]), "names must hold 4 names, got 1"),
        (lambda: plots.top_features(H, n=0), "n must be at least 1, got 0"),
        (lambda: plots.top_features(H, n_columns=0), "n_columns must be at least 1, got 0"),
        (lambda: plots.spectra(H, [1, 2]), r"x must have one entry for each of 4 features, got shape \(2,\)"),
        (lambda: plots.spectra(H, ["a", "b", "c", "d"]), "x must hold numbers or dates, got"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
