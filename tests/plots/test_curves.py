from __future__ import annotations

import numpy as np
import pytest

from nonneg import plots


def rendered(figure):
    """The picture as numbers, so that a test can see whether something was drawn."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


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


def twin_of(axes):
    """The axes of the KKT residual, or None."""
    others = [other for other in axes.figure.axes if other is not axes]
    return others[0] if others else None


def test_convergence_draws_loss_and_kkt_against_iterations():
    history = {
        "iteration": [1, 2, 4],
        "loss": [500.0, 20.0, 10.0],
        "kkt": [1.0, 0.1, np.nan],
        "seconds": [0, 1, 2],
    }
    axes = plots.convergence(history)
    (line,), (kkt,) = axes.lines, twin_of(axes).lines
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 4])
    np.testing.assert_array_equal(line.get_ydata(), history["loss"])
    np.testing.assert_array_equal(kkt.get_ydata(), history["kkt"])
    assert (axes.get_xlabel(), axes.get_yscale()) == ("iteration", "log")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["loss", "KKT residual"]
    assert rendered(axes.figure).std() > 0


@pytest.mark.parametrize("losses", [[20.0, 11.0, 10.0], [-3.0, -4.0, -5.0], [10.0, 1.0, 0.0], [np.nan] * 3])
def test_small_falls_and_negative_losses_have_a_plain_scale(losses):
    axes = plots.convergence({"loss": losses})
    assert axes.get_yscale() == "linear"
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [1, 2, 3])
    axes.figure.canvas.draw()


@pytest.mark.parametrize("kkt", [[np.nan, np.nan], [0.0, np.inf]])
def test_a_residual_that_was_never_known_has_no_axes(kkt):
    axes = plots.convergence({"loss": [2.0, 1.0], "kkt": kkt})
    assert twin_of(axes) is None
    assert axes.get_legend() is None


def test_histories_without_a_loss_show_their_terms():
    history = {"epoch": [1, 2], "symmetric": [3.0, 1.0], "apposition": [300.0, 0.0], "learning_rate": [1, 1]}
    axes = plots.convergence(history)
    assert [line.get_label() for line in axes.lines] == ["symmetric", "apposition"]
    assert (axes.get_xlabel(), axes.get_yscale()) == ("epoch", "log")


def test_a_fit_of_no_iterations_can_be_drawn():
    plots.convergence({"iteration": [], "loss": [], "kkt": []}).figure.canvas.draw()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plots.metric_curves([1, 2], {"a": ([1], None)}), "curve 'a' must have 2 values"),
        (lambda: plots.loss_curves({"epoch": [1]}, terms=["x"]), "terms must be among epoch, got 'x'"),
        (
            lambda: plots.convergence({"iteration": [1]}),
            "history must have a column that is a loss, got iteration",
        ),
        (lambda: plots.convergence({"loss": [1, 2], "kkt": [1]}), r"history\['kkt'\] must have 2 entries"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
