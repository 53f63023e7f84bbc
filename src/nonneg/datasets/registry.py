"""What is known about the downloadable sets: files, SHA-256 of their uncompressed content, and where they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["IMAGE_SETS", "ImageSet"]

PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class ImageSet:
    """One data set in IDX files.

    Attributes
    ----------
    content : dict
        File name without ``.gz`` → SHA-256 of the *uncompressed* bytes. Mirrors pack the same content differently, so
        the hash of the archive would refuse good copies.
    urls : tuple of str
        Folders that hold the files as ``<name>.gz``, tried in order.
    system : tuple of Path
        Where a package manager installs them.
    advice : str
        How to come by the files without this library's download.
    classes : tuple of str
        Names of the labels 0, 1, ….
    description : str
        For `DESCR`.
    """

    content: dict[str, str]
    urls: tuple[str, ...]
    system: tuple[Path, ...]
    advice: str
    classes: tuple[str, ...]
    description: str


IMAGE_SETS = {
    "mnist": ImageSet(
        content=dict(
            zip(
                PARTS,
                (
                    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                ),
                strict=True,
            )
        ),
        urls=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        system=(Path("/usr/share/datasets/mnist"),),
        advice="copy the four files there from a machine that has them",
        classes=tuple("0123456789"),
        description=(
            "MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28 grey levels 0-255.\n"
            "LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition."
        ),
    ),
    "fashion-mnist": ImageSet(
        content=dict(
            zip(
                PARTS,
                (
                    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                ),
                strict=True,
            )
        ),
        urls=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # no https there; the hash decides
        ),
        system=(Path("/usr/share/datasets/fashion-mnist"),),
        advice="on Debian or Ubuntu: apt install dataset-fashion-mnist",
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        description=(
            "Fashion-MNIST: 60,000 training and 10,000 test images of clothing, 28 x 28 grey levels 0-255.\n"
            "MIT licence. "
            "Xiao, Rasul, Vollgraf (2017), Fashion-MNIST: a novel image dataset, arXiv:1708.07747."
        ),
    ),
}
