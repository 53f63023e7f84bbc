"""Reports in Chromium: nothing asked for or complained of, nothing too wide, all legible by day and by night."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import nonneg
from chromium import Browser
from nonneg.report import write_report

CONTRAST = """
(() => {
  const parse = text => { const m = text.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1]; };
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const l = c.slice(0, 3).map(v => linear(v / 255));
                       return .2126 * l[0] + .7152 * l[1] + .0722 * l[2]; };
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
                        if (c[3] > 0) return c; } return [255, 255, 255, 1]; };
  const faults = []; let seen = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    if (!text || e.closest('.hidden, .skip')) continue;
    const style = getComputedStyle(e), drawn = e.closest('svg') !== null;
    const colour = parse(drawn ? style.fill : style.color);
    if (drawn && style.fill !== getComputedStyle(e.closest('svg')).color) continue;  // on a cell of its own colour
    const [a, b] = [light(colour), light(ground(e))].sort((p, q) => q - p);
    seen += 1;
    if ((a + .05) / (b + .05) < 4.5) faults.push([text.slice(0, 40), style.color, ground(e).join()]);
  }
  return {seen, faults};
})()
"""
WIDE = """
[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, pre, svg, .hidden, .skip'))
  .filter(e => e.getBoundingClientRect().right > WIDTH + 1).map(e => e.outerHTML.slice(0, 80))
"""
SMALL = """
Math.min(...[...document.querySelectorAll('svg text')].map(e => {
  const svg = e.ownerSVGElement, scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return parseFloat(getComputedStyle(e).fontSize) * scale; }))
"""


@pytest.fixture(scope="module")
def browser():
    with Browser() as found:
        yield found


def faces():
    data = nonneg.datasets.load("digits")
    model = nonneg.NMF(16, random_state=0).fit(data.data)
    return model, data.data, {"labels": data.target, "image_shape": data.image_shape}


def topics():
    rng = np.random.default_rng(0)
    words = [
        f"{stem}{ending}"
        for stem in ("ab", "cd", "efg", "hij", "k")
        for ending in ("er", "ing", "ed", "s", "ly")
    ]
    counts = rng.poisson(rng.gamma(0.2, size=(200, 5)) @ rng.gamma(0.3, size=(5, 25)) * 20)
    counts[:, 0] += 1
    return nonneg.NMF(5, loss="kl", random_state=0).fit(counts), counts, {"names": words}


def programs():
    rng = np.random.default_rng(1)
    cells = np.repeat(["CD4+ T", "CD19+ B", "Dendritic <x>"], 60)
    counts = rng.poisson(1 + 6 * np.repeat(rng.gamma(0.2, size=(3, 80)), 60, axis=0))
    return nonneg.NMF(8, loss="kl", n_init=2, random_state=0).fit(counts), counts, {
        "labels": cells, "names": [f"GENE{j}-AS{j % 7}" for j in range(80)],
    }  # fmt: skip


def tensor():
    rng = np.random.default_rng(2)
    X = np.einsum("ik,jk,lk->ijl", rng.random((60, 3)), rng.random((9, 3)), rng.random((7, 3)))
    return nonneg.NTF(3, random_state=0).fit(X), X, {}


def spectra():
    axis = np.linspace(400, 2200, 700)
    lines = np.exp(-(((axis - np.array([[700.0], [1200.0], [1800.0]])) / 60) ** 2))
    X = np.random.default_rng(3).random((40, 3)) @ lines
    return nonneg.NMF(3, random_state=0).fit(X), X, {"names": [f"{x:.1f}" for x in axis]}


def network():
    data = nonneg.datasets.load("digits")
    model = nonneg.DDNMF(10, hidden=(32,), max_epochs=5, random_state=0).fit(data.data[:300])
    return model, data.data[:300], {"labels": data.target[:300], "image_shape": (8, 8)}


def no_data():
    model, _, options = faces()
    return model, None, {"image_shape": options["image_shape"]}


@pytest.fixture(
    scope="module",
    params=[faces, topics, programs, tensor, spectra, network, no_data],
    ids=lambda f: f.__name__,
)
def report(request, tmp_path_factory) -> Path:
    model, X, options = request.param()
    return write_report(
        model, tmp_path_factory.mktemp("report") / f"{request.param.__name__}.html", X, **options
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1100])
def test_a_report_in_a_browser(report, browser, width, dark):
    browser.open(report, width=width, dark=dark)
    assert browser.requests() == [] and browser.complaints() == []
    assert browser.run("document.compatMode") == "CSS1Compat"
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(WIDE.replace("WIDTH", str(width))) == []
    assert browser.run("matchMedia('(prefers-color-scheme: dark)').matches") is dark
    night = browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 27)"
    assert night is dark
    found = browser.run(CONTRAST)
    assert found["seen"] > 60 and found["faults"] == []
    if browser.run("document.querySelectorAll('svg text').length"):
        assert browser.run(SMALL) > (5.5 if width == 360 else 8)
    levels = browser.run("[...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1])")
    assert levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    assert browser.run("[...document.images].every(e => e.alt.length > 20 && e.naturalWidth > 0)")
    assert browser.run("[...document.querySelectorAll('[role=img]')].every(e => e.ariaLabel.length > 20)")
    assert browser.run("document.scripts.length") == 0


def test_the_keyboard_goes_to_the_report_first(report, browser):
    browser.open(report)
    for kind in ("keyDown", "keyUp"):
        browser.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("document.activeElement.getBoundingClientRect().left") >= 0
    for kind in ("keyDown", "keyUp"):
        browser.send(
            "Input.dispatchKeyEvent",
            type=kind,
            key="Enter",
            code="Enter",
            text="\r",
            windowsVirtualKeyCode=13,
        )
    assert browser.run("document.activeElement.id") == "main"


def test_screen_readers_find_names(report, browser):
    browser.open(report)
    browser.send("Accessibility.enable")
    nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
    for role in ("image", "link", "heading", "region", "navigation"):
        named = [
            node.get("name", {}).get("value", "")
            for node in nodes
            if node.get("role", {}).get("value") == role
        ]
        assert all(name.strip() for name in named), role
    assert sum(node.get("role", {}).get("value") == "main" for node in nodes) == 1


def test_a_report_on_paper(report, browser):
    browser.open(report)
    browser.send("Emulation.setEmulatedMedia", media="print")
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert len(browser.send("Page.printToPDF")["data"]) > 20_000
    browser.send("Emulation.setEmulatedMedia", media="")
