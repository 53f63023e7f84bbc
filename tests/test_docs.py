"""The code in the documents runs: every ```python block, page by page, and every script of examples/."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from sklearn.exceptions import ConvergenceWarning

import nonneg

ROOT = Path(__file__).parents[1]
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))) if path.is_file()]
OTHER_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md"]  # without code that runs
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# Pages of the gallery run with warnings as errors (but for the one that Agg has no window), and are drawn.
STRICT = ["-W", "error", "-W", "ignore:FigureCanvasAgg is non-interactive"]
DRAW = """
import runpy, sys
import matplotlib.pyplot as plt
runpy.run_path(sys.argv[1], run_name="__main__")
for number in plt.get_fignums():
    plt.figure(number).savefig(f"{number}.png")
"""
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)")


def code_of(page: Path) -> str:
    """All blocks of a page as one program whose lines keep their numbers."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for match in BLOCK.finditer(text):
        first = text.count("\n", 0, match.start(1))
        for offset, line in enumerate(match[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NONNEG_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # pages stop early to be quick
        exec(compile(code_of(page), str(page), "exec"), {"__name__": page.stem})


def anchors_of(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=lambda path: path.name)
def test_relative_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors_of(there), f"{page.name} links to {target}{anchor}"


def test_pages_have_code_and_the_extractor_finds_it():
    found = {page.name for page in PAGES if code_of(page).strip()}
    assert {"README.md", "nmf.md", "ddnmf.md"} <= found


def test_public_names_are_told_of():
    """Every public class or function of the first level is named in the README or in a page."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in set(nonneg.__all__) - {"__version__"}:
        assert re.search(rf"\b{name}\b", text), f"no page mentions nonneg.{name}"


@pytest.mark.parametrize(
    ("name", "page"), [("NMF", "nmf.md"), ("DDNMF", "ddnmf.md"), ("Autoencoder", "ddnmf.md")]
)
def test_every_parameter_is_told_of(name, page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    missing = [word for word in getattr(nonneg, name)().get_params() if not re.search(rf"\b{word}\b", text)]
    assert not missing, f"docs/{page} says nothing of {name}'s {missing}"


@pytest.mark.parametrize(
    "script",
    [pytest.param(path, marks=[pytest.mark.slow] if "ddnmf" in path.name else []) for path in EXAMPLES],
    ids=lambda path: path.name,
)
def test_examples_run(script, tmp_path):
    environment = os.environ | {"MPLBACKEND": "Agg", "NONNEG_OFFLINE": "1"}
    gallery = script.name.startswith("plot_")
    how = [*STRICT, "-c", DRAW] if gallery else ["-W", "error::FutureWarning"]
    done = subprocess.run(
        [sys.executable, *how, str(script)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip(), "an example shows something"
    assert not gallery or list(tmp_path.glob("*.png")), "a page of the gallery has a figure"


def test_the_gallery_lists_every_example():
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert {target for target, _ in LINK.findall(page) if target.endswith(".py")} == {
        path.name for path in EXAMPLES
    }


def profile_table() -> str:
    """The table of all profiles in docs/ddnmf.md, as it should be."""
    from nonneg.deep import PROFILES

    names = list(PROFILES)
    lines = [
        "| parameter | " + " | ".join(f'"{name}"' for name in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for parameter in PROFILES[names[0]]:
        values = [PROFILES[name][parameter] for name in names]
        cells = [str(value) if value == values[0] else f"**{value}**" for value in values]
        lines.append(f"| `{parameter}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def test_the_table_of_profiles_is_that_of_the_code():
    page = (ROOT / "docs" / "ddnmf.md").read_text(encoding="utf-8")
    assert profile_table() in page, f"put this table into docs/ddnmf.md:\n{profile_table()}"
