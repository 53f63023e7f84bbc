"""The code in the documents runs: every ```python block, page by page, and every script of examples/.

And the site has everything, which is seen without building it: `make docs` does that.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import os
import pydoc
import re
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from sklearn.exceptions import ConvergenceWarning

import nonneg

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {"_build", "auto_examples", "generated", "work", "runs", "raw"}  # by `make docs` and by studies


def pages_in(folder: str) -> list[Path]:
    """Pages that are written by hand."""
    return [
        path for path in sorted((ROOT / folder).rglob("*.md")) if not MADE & set(path.relative_to(ROOT).parts)
    ]


def name_of(path: Path) -> str:
    """The path in the repository."""
    return path.relative_to(ROOT).as_posix()


PAGES = [ROOT / "README.md", *pages_in("docs")]
AROUND = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *pages_in("experiments"), *pages_in("benchmarks")]
OTHER_PAGES = [*AROUND, ROOT / "examples" / "README.md"]  # without code that runs
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
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
TOCTREE = re.compile(r"^```\{toctree\}\n((?::[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)
LISTED = re.compile(r"^   (nonneg\.[\w.]+)$", re.MULTILINE)
FORMULA = re.compile(r":math:`([^`]*)`|\.\. math::(.*?)(?=\n\s*\n|\Z)", re.DOTALL)
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


@pytest.fixture
def port_of_dask():
    """Another cluster's dashboard has the port that Dask takes unless it is told of one."""
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # there is such a cluster
            taken.bind(("", 8787))
            taken.listen()
        yield


@pytest.mark.parametrize("page", PAGES, ids=name_of)
@pytest.mark.usefixtures("port_of_dask")
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


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_relative_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in target or target.startswith("mailto:"):
            continue
        there = page.parent / target if target else page
        assert there.is_file(), f"{page.name} links to {target}"
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
    ids=name_of,
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
        path.relative_to(ROOT / "examples").as_posix() for path in EXAMPLES
    }


def below(page: Path) -> set[Path]:
    """Pages that the tables of contents of a page name; entries may be patterns."""
    found = set()
    for options, entries in TOCTREE.findall(page.read_text(encoding="utf-8")):
        for entry in re.findall(r"^(?:.*<)?([^\s>]+)>?$", entries, re.MULTILINE):
            if MADE & set(Path(entry).parts):
                continue
            there = [page.parent / f"{entry}.md"]
            paths = {
                path.resolve() for path in (page.parent.glob(f"{entry}.md") if ":glob:" in options else there)
            }
            assert all(map(Path.is_file, paths)), f"{page.name} lists {entry}"
            found |= paths
    return found


def test_every_page_can_be_reached():
    """The site has no page that no table of contents names, down from the first one."""
    reached, new = set(), {DOCS / "index.md"}
    while new:
        reached |= new
        new = set().union(*(below(page) for page in new if page.is_file())) - reached
    lost = sorted(str(path.relative_to(ROOT)) for path in {*pages_in("docs"), *AROUND} - reached)
    assert not lost, f"no toctree names {lost}: docs/guide.md is where most pages belong"


def test_names_of_modules_lead_to_sections():
    """The table by which the site links names in docstrings that are no entries of the reference."""
    tree = ast.parse((DOCS / "conf.py").read_text(encoding="utf-8"))
    [table] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES"
    ]
    for name, (page, section) in table.items():
        assert pydoc.locate(name) is not None, name
        assert f"#{section}" in anchors_of(DOCS / f"{page}.md"), name


def test_every_table_of_the_benchmarks_is_listed():
    page = DOCS / "benchmarks.md"
    linked = {(DOCS / target).resolve() for target, _ in LINK.findall(page.read_text(encoding="utf-8"))}
    assert set(pages_in("benchmarks")) <= linked


def test_every_public_name_is_in_the_reference():
    listed = [
        name
        for page in (DOCS / "api").glob("*.md")
        for name in LISTED.findall(page.read_text(encoding="utf-8"))
    ]
    assert len(set(listed)) == len(listed), "a name stands twice in docs/api"
    documented = []
    for name in listed:
        home, _, last = name.rpartition(".")
        documented.append(getattr(importlib.import_module(home), last))
    rooms = [nonneg, *(importlib.import_module(f"nonneg.{room}") for room in nonneg._ROOMS)]
    for room in rooms:
        things = {name: getattr(room, name) for name in room.__all__}
        public = {
            name for name, thing in things.items() if inspect.isclass(thing) or inspect.isfunction(thing)
        }
        missing = sorted(name for name in public if things[name] not in documented)
        assert not missing, f"docs/api has no line for {missing} of {room.__name__}"


def test_formulas_of_docstrings_can_be_drawn():
    """The site has them as MathML, made by docutils, which knows less than TeX."""
    from docutils.utils.math.latex2mathml import tex2mathml

    found = 0
    for path in Path(nonneg.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                for inline, block in FORMULA.findall(ast.get_docstring(node) or ""):
                    assert tex2mathml((inline or block).strip(), as_block=bool(block)).startswith("<math")
                    found += 1
    assert found > 10


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
