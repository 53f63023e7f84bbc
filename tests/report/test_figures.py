"""Figures inside a page: colours of the page, identifiers of their own, nothing from elsewhere."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib import rcParams

from nonneg import plots
from nonneg.plots import COLOURS
from nonneg.report.figures import css_colour, css_colours, drawn, flat_map
from nonneg.report.page import HERE


def line(axes):
    axes.plot([0, 1, 2], [1.0, 3.0, 2.0], color=COLOURS[1], label="<line>")
    axes.legend()


def test_a_drawing_is_svg_with_the_colours_of_the_page():
    text = drawn(line, "fit")
    root = ET.fromstring(text)
    assert root.tag == "svg" and root.get("viewBox") and root.get("width") is None
    assert "var(--c1)" in text and "currentColor" in text
    assert "#010203" not in text and COLOURS[1].lower() not in text.lower()
    assert "http" not in text and "<style" not in text and "<metadata" not in text
    assert "&lt;line&gt;" in text and "<line>" not in text


def test_black_stays_black_on_a_cell_of_its_own_colour():
    text = drawn(lambda axes: axes.text(0.5, 0.5, "cell", color="black"), "x")
    cell = next(element for element in ET.fromstring(text).iter("text") if element.text == "cell")
    assert "currentColor" not in cell.get("style", "")
    assert "fill: currentColor" not in (HERE / "page.css").read_text(encoding="utf-8")


def test_drawings_share_no_identifier_and_refer_to_their_own():
    both = [ET.fromstring(drawn(line, key)) for key in ("a", "b")]
    ids = [{element.get("id") for element in root.iter()} - {None} for root in both]
    assert ids[0] and not ids[0] & ids[1]
    for root, own in zip(both, ids, strict=True):
        for element in root.iter():
            href = element.get("href", "")
            assert not href.startswith("#") or href[1:] in own
            for value in element.attrib.values():
                assert "url(#" not in value or value.partition("url(#")[2].partition(")")[0] in own


def test_the_user_s_style_of_figures_is_left_as_it_was():
    before = dict(rcParams)
    drawn(line, "x")
    assert dict(rcParams) == before


def test_points_say_their_style_once():
    rng = np.random.default_rng(0)
    points, labels = rng.standard_normal((500, 2)), np.zeros(500, int)
    text = drawn(lambda axes: plots.embedding(points, labels, legend=False, axes=axes), "map")
    assert text.count("<use") >= 500
    assert len(text) < 60 * 500


def test_names_that_mathtext_or_a_font_could_not_take():
    text = drawn(lambda axes: axes.set_title("細胞 and more"), "x")
    assert "細胞" in text


def test_colours_by_name_and_beyond():
    assert css_colour(COLOURS[3].lower()) == "var(--c3)"
    assert css_colour("#123456") == "#123456"
    assert len(set(css_colours(25))) == 25


def test_a_map_by_t_sne_is_of_so_many_rows():
    W = np.random.default_rng(0).random((40, 3))
    points, rows = flat_map(W, "t-sne", 12)
    assert points.shape == (12, 2) and len(set(rows)) == 12


def test_a_map_without_umap_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(ImportError, match=r"nonneg\[cluster\]"):
        flat_map(np.ones((20, 3)), "umap", 10)


def test_names_that_xml_cannot_hold_do_not_break_a_figure():
    labels = np.array(["a\x07b", "c\ud800"])
    text = drawn(lambda axes: plots.heatmap(np.ones((2, 2)), labels=labels, axes=axes), "x")
    assert "a\ufffdb" in text and "c\ufffd" in text
