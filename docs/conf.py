"""The site: the pages of the repository, the reference made from docstrings, the gallery. No network.

The source folder is the root of the repository (``sphinx-build -c docs . docs/_build/html``, or ``make docs``), so that
links between pages are the same in the site and in the repository. `setup` adds what the two do not share: pages of the
gallery for links to its scripts, sections for names of modules, titles of tables that have none, and formulas as
MathML, which browsers draw.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.logging import getLogger
from sphinx.util.nodes import make_refnode

from nonneg import __version__
from nonneg.cli import build_app

os.environ["NONNEG_OFFLINE"] = "1"
os.environ.setdefault("MPLBACKEND", "agg")

project = "nonneg"
author = copyright = "The nonneg developers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/**.md",
    "experiments/**.md",
]
exclude_patterns = [
    "docs/_build",
    "docs/_templates",
    "**/work",
    "**/runs",
    "**/raw",
    ".*",
    "src",
    "tests",
    "demo",
]
templates_path = [
    str(Path(__file__).with_name("_templates"))
]  # autosummary looks for others in the source folder
suppress_warnings = ["config.cache"]  # the gallery's settings hold a function

myst_heading_anchors = 4
myst_enable_extensions: list[str] = []

smartquotes = False  # "kl" is a value

# `name` in a docstring is a link where there is such an object, and plain where there is none
default_role = "py:obj"
autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "docs/auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(?!plot_).*\.py$",  # shorter scripts are no pages
    "reference_url": {"nonneg": None},
    "doc_module": ("nonneg",),
    "backreferences_dir": None,
    "write_computation_times": False,
    "show_memory": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "capture_repr": (),  # what a page shows it prints
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "pydata_sphinx_theme"
html_title = "nonneg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_additional_pages = {"index": "to_first_page.html"}
html_math_renderer = "mathml"
html_theme_options = {
    "logo": {"text": "nonneg"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 7,
    # on every page but those of the gallery (docs/auto_examples), whose code wants the width
    "secondary_sidebar_items": {page: ["page-toc"] for page in ["docs/[!a]**", "docs/a[!u]**", "[!d]**"]},
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}

# modules that docstrings name, and the page and section that say what they do
MODULES = {
    "nonneg.io": ("files", "models-the-bundle"),
    "nonneg.penalties": ("nmf", "penalties-and-constraints"),
    "nonneg.solvers.select": ("nmf", "solvers"),
    "nonneg.solvers.kkt": ("nmf", "certificate"),
    "nonneg.models.certificate.Certificate": ("nmf", "certificate"),
    "nonneg.solvers.hull": ("family/hulls", "archetypal-analysis"),
    "nonneg.deep.profiles": ("ddnmf", "profiles"),
    "nonneg.deep.monitoring.control_limits": ("deep", "non-negative-autoencoder"),
    "nonneg.exact.polygons": ("family/exact", "the-non-negative-rank"),
}

LOGGER = getLogger(__name__)
LINKED = ("class", "exception", "method")
ROOT = Path(__file__).parents[1]
CAPTION = re.compile(r"\*\*(.+?)\*\*(.*?)[:,.]\s")  # a table without a title begins with it
LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=(#[^)\s]*)?\))")


def in_the_site(page: Path, target: str) -> str:
    """Where the site has what a page of the repository links to."""
    there = (page.parent / target).resolve()
    if there == ROOT / "README.md":
        return "/docs/index.md"
    if there == ROOT / "examples" / "README.md":
        return "/docs/auto_examples/index.rst"
    if there.is_relative_to(ROOT / "examples") and there.name.startswith("plot_"):
        return f"/docs/auto_examples/{there.relative_to(ROOT / 'examples').with_suffix('.rst')}"
    return target


def as_page(app, docname: str, source: list[str]) -> None:
    """Give a page of the repository what the site asks of its pages: links that lead into it, and a title.

    The log of experiments has a word on everything, and would be the first find of most searches.
    """
    page = ROOT / f"{docname}.md"
    if not page.is_file():
        return
    source[0] = LINK.sub(lambda link: in_the_site(page, link[1]), source[0])
    if docname.startswith("experiments/") and (caption := CAPTION.match(source[0])):
        source[0] = f"# {''.join(caption.groups())}\n\n" + source[0].replace("\n### ", "\n## ")
    if docname == "experiments/LOG":
        source[0] = "---\nnosearch: true\n---\n" + source[0]


def write_commands(app) -> None:
    """Write the page of the command line from the help of its commands, `fit` with the options of NMF."""
    page = ROOT / "docs" / "api" / "generated" / "commands.md"
    text = build_app(["fit"]).generate_docs().replace("# nonneg", "# Commands", 1)
    text = re.sub(r"## Table of Contents.*?(?=^\*\*)", "", text, flags=re.DOTALL | re.MULTILINE)
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")


def formula(self, node: nodes.Node) -> None:
    """Write a formula as MathML, for which docutils wants the halves of a fraction in braces."""
    tex = re.sub(r"(frac)(\w)(\w)", r"\1{\2}{\3}", node.astext())
    self.body.append(tex2mathml(tex, as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


# a span in backticks; a |v|; a name with an underscore at its end
SPECIAL = re.compile(r"`+[^`]*`+|\|(?! )[^|`]*(?<! )\||\b\w*[^\W_]_(?!\w)")


def escaped(found: str) -> str:
    """What `SPECIAL` found, with backslashes where reStructuredText needs them."""
    return found if found[0] == "`" else re.sub(r"\||_$", r"\\\g<0>", found)


def as_plain_text(app, what, name: str, obj, options, lines: list[str]) -> None:
    """Let |v| and components_ in a docstring be what they look like, not references of reStructuredText."""
    for number, line in enumerate(lines):
        if "\\" not in line and not line.lstrip().startswith((">>>", "...")):  # no formula, no code
            lines[number] = SPECIAL.sub(lambda found: escaped(found[0]), line)


def is_another_library_s(app, what, name: str, obj, skip: bool, options) -> bool | None:
    """Methods of scikit-learn's base classes are told of once, in docs/api/index.md."""
    if name.startswith("set_") and name.endswith("_request"):
        return True
    home = getattr(obj, "__module__", None) or getattr(getattr(obj, "fget", None), "__module__", None) or ""
    return True if str(home).startswith(("sklearn.", "torch.")) else None


def section_of(app, env, node, content) -> nodes.reference | None:
    """Lead a name to its entry or, that of a module, to the section about it; one without a section is a warning."""
    target = node["reftarget"]
    if target in MODULES:
        page, section = MODULES[target]
        return make_refnode(app.builder, node["refdoc"], f"docs/{page}", section, content, target)
    if target.startswith("nonneg."):
        LOGGER.warning("nothing in the site says what %s is: docs/conf.py, MODULES", target, location=node)
    # a class (of another module) by its own name, or a method by those of its class and itself
    objects = env.domains["py"].objects if target[:1].isupper() else {}
    found = [
        name
        for name, entry in objects.items()
        if name.endswith(f".{target}") and entry.objtype in LINKED and not entry.aliased
    ]
    if len(found) != 1:
        return None
    page, section = objects[found[0]][:2]
    return make_refnode(app.builder, node["refdoc"], page, section, content, found[0])


def setup(app) -> None:
    """Connect the above."""
    app.connect("builder-inited", write_commands)
    app.connect("source-read", as_page)
    app.connect("autodoc-process-docstring", as_plain_text, priority=900)  # after numpydoc
    app.connect("missing-reference", section_of)
    app.connect("autodoc-skip-member", is_another_library_s)
    app.add_html_math_renderer("mathml", inline_renderers=(formula, None), block_renderers=(formula, None))
