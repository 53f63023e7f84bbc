"""The zoo: every deep model of the library beside what it is measured against, at equal layers and equal epochs.

`ENTRIES` is the one table of what the study of the DDNMF paper does not have: a model is added to the zoo by one entry
there. The other methods (pixels, NMF, autoencoders, DDNMF) are those of `nonneg.experiments.methods`, and runs, files,
clusterings and progress are those of that study too.

Networks get the layers, epochs, batches, learning rate, schedule, optimizer and precision of the study's first profile,
everything else is their own default. Stacks of matrix factorizations have no epochs: each of their stages (pretraining
of a layer, fine-tuning of all) runs `STACK_ITERATIONS` iterations at most, on the first `STACK_ROWS` training images at
most, with the layers of `stack_layers`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal

__all__ = [
    "DEEP_ENTRIES",
    "ENTRIES",
    "OUTSIDE",
    "STACKS",
    "STACK_ITERATIONS",
    "STACK_ROWS",
    "ZOO",
    "Entry",
    "absent",
    "estimator_of",
    "stack_layers",
]

#: Of a stack of factorizations: iterations, at most, of each stage (pretraining of a layer, fine-tuning), and rows.
STACK_ITERATIONS, STACK_ROWS = 100, 10_000


@dataclass(frozen=True)
class Entry:
    """A method of the zoo.

    Attributes
    ----------
    label : str
        Its name in tables.
    model : str
        Name of the estimator in `nonneg`; of ClustPy's class where `kind` is ``"outside"``.
    kind : {"network", "stack", "outside"}
        What is given to it: layers, epochs and the rest of a training; decreasing layers and iterations; or both to a
        model of ClustPy, which the user may have installed.
    memberships : bool
        Whether codes are non-negative, so that a unit may be read as a cluster.
    options : mapping
        Parameters that make it comparable: all models are trained on all images.
    """

    label: str
    model: str
    kind: Literal["network", "stack", "outside"] = "network"
    memberships: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


ENTRIES: dict[str, Entry] = {
    "nn-autoencoder": Entry(
        "non-negative autoencoder", "NonnegativeAutoencoder", options={"calibration": 0.0}
    ),
    "vnmf": Entry("variational NMF", "VariationalNMF", memberships=False),  # codes of any sign
    "dpnmf": Entry("deep probabilistic NMF", "DeepProbabilisticNMF"),
    "deep-semi-nmf": Entry("deep semi-NMF", "DeepSemiNMF", "stack"),
    "danmf": Entry("DANMF", "DANMF", "stack"),
    "clustpy-ae": Entry("ClustPy autoencoder", "FeedforwardAutoencoder", "outside", memberships=False),
    "clustpy-dec": Entry("ClustPy DEC", "DEC", "outside", memberships=False),
}
DEEP_ENTRIES = tuple(name for name, entry in ENTRIES.items() if entry.kind == "network")
STACKS = tuple(name for name, entry in ENTRIES.items() if entry.kind == "stack")
OUTSIDE = tuple(name for name, entry in ENTRIES.items() if entry.kind == "outside")

#: Methods of the zoo, in the order of its tables.
ZOO = ("raw", "nmf", "ae1-relu", "ae1-linear", "ae2", "ddnmf", *ENTRIES)


def absent(method: str) -> str | None:
    """Say why a method cannot be computed here; None where it can."""
    return "not installed" if method in OUTSIDE and find_spec("clustpy") is None else None


def estimator_of(method: str, common: Mapping[str, Any], n_components: int) -> Any:
    """Return the unfitted estimator of an entry.

    Parameters
    ----------
    method : str
        Key of `ENTRIES`, of a model of this library.
    common : mapping
        What all methods of its kind get; the estimator takes what it has a parameter for.
    n_components : int
        Width of the code.
    """
    import nonneg

    entry = ENTRIES[method]
    model = getattr(nonneg, entry.model)
    defaults = model().get_params()
    values = {name: value for name, value in common.items() if name in defaults}
    return model(n_components, **values | dict(entry.options))


def stack_layers(hidden: Sequence[int], n_features: int, n_components: int) -> tuple[int, ...]:
    """Return the layers above the code of a stack of factorizations: those of an encoder that narrow.

    A layer that is not narrower than the one before it (and than the data) costs time and changes no product. Where
    none is, one of √(n_features · n_components) is put in, so that the stack is one.

    Examples
    --------
    >>> stack_layers((500, 500, 2000), 784, 10)
    (500,)
    >>> stack_layers((128, 128, 256), 64, 10)
    (25,)
    """
    found: list[int] = []
    width = n_features
    for layer in hidden:
        if n_components < layer < width:
            found.append(layer)
            width = layer
    return tuple(found) or (round(math.sqrt(n_features * n_components)),)
