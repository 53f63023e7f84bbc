"""The page around the sections: colours that can be read, text that stays text."""

import re

import numpy as np
import pytest

from nonneg import NMF
from nonneg.report import page as module
from nonneg.report.blocks import Card, Cards, Code, Section, Table
from nonneg.report.facts import Facts
from nonneg.report.page import page
from page_cases import Page

BAD = "<script>alert('&amp;')</script>\"><img src=x onerror=y>"


def brightness(colour):
    """Relative luminance, as WCAG 2 defines it."""
    levels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one, other):
    low, high = sorted((brightness(one), brightness(other)))
    return (high + 0.05) / (low + 0.05)


SCHEMES = re.findall(r":root \{(.*?)\}", (module.HERE / "page.css").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark"])
def test_colours_can_be_told_from_the_paper(scheme):
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", scheme))
    for ground in ("paper", "tint", "warn"):
        for text in ("ink", "soft", "link"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for mark in ("bar", "warn-line", *(f"c{number}" for number in range(10))):
        assert contrast(colours[mark], colours["paper"]) >= 3, mark


def test_the_measure_of_contrast():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_everything_is_escaped(tmp_path):
    facts = Facts(NMF(1, max_iter=2, tol=0.9).fit(np.ones((3, 2))))
    blocks = [
        Table(BAD, [BAD, "b"], [[BAD, BAD]]),
        Cards((BAD, BAD), [Card(BAD, BAD, [(BAD, 1.0, 1.0)])]),
        Code(BAD, BAD),
    ]
    text = page(facts, [Section("x", BAD, [BAD], [BAD], blocks)], title=BAD)
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    found = Page(path)
    assert found.faults == []
    assert "<script" not in text and "<img" not in text
    assert found.text.count(BAD) >= 8


def test_a_page_without_jinja2_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    facts = Facts(NMF(1, max_iter=2, tol=0.9).fit(np.ones((3, 2))))
    with pytest.raises(ImportError, match=r"nonneg\[report\]"):
        page(facts, [])
