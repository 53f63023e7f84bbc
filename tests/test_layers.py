"""Imports go down only, and ``import nonneg`` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nonneg

ROOT = Path(nonneg.__file__).parent
# a package may import from its own layer and the ones below it (larger numbers)
LAYERS = [
    {"cli", "report", "anndata", "experiments", "__main__"},
    {"selection"},
    {"exact", "deep"},
    {"models"},
    {"solvers", "init", "io"},
    {"data", "losses", "penalties", "kernels"},
    {"exceptions", "files", "registry"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
SIDE = {"metrics", "clustering", "datasets", "plots"}  # arrays in, arrays out
HOMES = {f"nonneg.{name}": home for name, home in nonneg._HOMES.items()}
LAZY = {"__init__"}  # nonneg/__init__ imports names when they are used


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms of nonneg that a file imports at its top or inside functions."""
    package = ["nonneg", *path.relative_to(ROOT).with_suffix("").parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [module] if module.count(".") else [f"{module}.{alias.name}" for alias in node.names]
        found |= {HOMES.get(name, name).split(".")[1] for name in names if name.startswith("nonneg.")}
    return found


FILES = sorted(path for path in ROOT.rglob("*.py") if room_of(path) not in LAZY)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    room = room_of(path)
    assert room in LEVEL or room in SIDE, f"{room} has no place in the layers"
    for other in imported_rooms(path) - {"__version__"}:
        if room in SIDE:
            assert other in SIDE | LAYERS[-1], f"{room} is a side room and imports {other}"
        elif other not in SIDE:
            if room == "models" and other == "io":
                continue  # save() asks io, which finds classes by registered name
            assert LEVEL[other] >= LEVEL[room], f"{room} imports {other}, which stands above it"


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_loads_no_heavy_package():
    heavy = ["torch", "numba", "matplotlib", "dask", "pandas", "umap"]
    assert run(f"import sys, nonneg; print([m for m in {heavy} if m in sys.modules])").strip() == "[]"


def test_nmf_import_loads_no_heavy_package():
    heavy = ["torch", "numba", "matplotlib", "dask"]
    assert (
        run(f"import sys; from nonneg import NMF; print([m for m in {heavy} if m in sys.modules])").strip()
        == "[]"
    )


def test_every_public_name_exists():
    for name in nonneg.__all__:
        assert getattr(nonneg, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nonneg.nothing
