"""What the two studies compute: their parameters, and what each data set gets by default."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from nonneg.datasets.fetch import IMAGES
from nonneg.experiments.evaluate import CLUSTERINGS, Scoring
from nonneg.experiments.images import NOISES
from nonneg.experiments.methods import METHODS
from nonneg.experiments.zoo import ENTRIES, ZOO

__all__ = ["PRESETS", "ZOO_PRESETS", "Study"]


@dataclass(frozen=True)
class Study:
    """What to compute.

    Attributes
    ----------
    dataset : str
        Name for `nonneg.datasets.load`.
    methods : tuple of str
        Of `nonneg.experiments.methods.METHODS` and `nonneg.experiments.zoo.ENTRIES`.
    profiles : tuple of str
        Of DDNMF. The first also says how autoencoders are trained (batch size, learning rate, schedule, optimizer,
        precision).
    seeds : tuple of int
        Of Tables 1 and 2.
    epochs : int
        Of Tables 1 and 2.
    eval_epochs : tuple of int
        Further epochs at which the same trainings are scored.
    noise : str
        Kind of noise of Table 3.
    noise_levels : tuple of float
        Its levels.
    noise_methods : tuple of str
        Methods of Table 3.
    noise_seeds : tuple of int
        Seeds of Table 3.
    noise_epochs : int
        Epochs of Table 3.
    hidden : tuple of int
        Layers of the encoder.
    batch_size : int or None
        Samples a step, of all deep methods; None: the profile's.
    tables : tuple of int
        1 or 2: clean images; 3: noisy ones.
    ae2_from_supervisor : bool
        Take AE2's rows from the supervisor of DDNMF's first profile with `stop_gradient`: it is the same network,
        trained by the same loss on the same clean images, and costs nothing more.
    scoring : Scoring
        Clusterings, their seeds and starts.
    options : tuple of (name, value)
        Further parameters of DDNMF, over those of its profile.
    n_train, n_test : int or None
        Only the first so many images, for trials.
    """

    dataset: str
    methods: tuple[str, ...] = ("raw", "nmf", "ae2", "ae1-relu", "ae1-linear", "ddnmf")
    profiles: tuple[str, ...] = ("paper", "best")
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 30
    eval_epochs: tuple[int, ...] = ()
    noise: str = "masking"
    noise_levels: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    noise_methods: tuple[str, ...] = ("ae1-relu", "ae1-linear", "ddnmf")
    noise_seeds: tuple[int, ...] = (0,)
    noise_epochs: int = 10
    hidden: tuple[int, ...] = (500, 500, 2000)
    batch_size: int | None = None
    tables: tuple[int, ...] = (1, 3)
    ae2_from_supervisor: bool = True
    scoring: Scoring = field(default_factory=Scoring)
    options: tuple[tuple[str, Any], ...] = ()
    n_train: int | None = None
    n_test: int | None = None

    def __post_init__(self) -> None:
        _known("dataset", (self.dataset,), IMAGES)
        _known("methods", self.methods, (*METHODS, *ENTRIES))
        _known("noise_methods", self.noise_methods, METHODS)
        _known("noise", (self.noise,), NOISES)
        _known("tables", self.tables, (1, 2, 3))
        _known("clusterings", self.scoring.clusterings, tuple(CLUSTERINGS))
        for name in ("methods", "profiles", "seeds", "noise_seeds", "hidden"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: give at least one.")
        for name in ("epochs", "noise_epochs", "batch_size", "n_train", "n_test"):
            value = getattr(self, name)
            least = (
                10 if name in ("n_train", "n_test") else 1
            )  # images of all classes, or nothing can be scored
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}.")
        for seed in (*self.seeds, *self.noise_seeds):
            if not 0 <= seed < 2**31:
                raise ValueError(f"seeds must lie between 0 and 2147483647, got {seed}.")
        for level in self.noise_levels:
            if not 0 < level <= 1:
                raise ValueError(f"noise_levels must lie in (0, 1], got {level:g}.")
        name = "epochs" if 1 in self.tables or 2 in self.tables else "noise_epochs"
        last = getattr(self, name)
        for epoch in self.eval_epochs:
            if epoch < 1:
                raise ValueError(f"eval_epochs must be at least 1, got {epoch}.")
            if epoch > last:
                raise ValueError(f"eval_epochs must be at most {name}={last}, got {epoch}.")
        for width in self.hidden:
            if width < 1:
                raise ValueError(f"hidden must hold positive widths, got {width}.")


def _known(name: str, values: tuple[Any, ...], choices: tuple[Any, ...]) -> None:
    for value in values:
        if value not in choices:
            raise ValueError(f"{name} must be among {', '.join(map(str, choices))}, got {value!r}.")


#: What a data set gets where the command line is silent.
PRESETS: dict[str, Study] = {
    "digits": Study(
        "digits",
        hidden=(128, 128, 256),
        batch_size=64,
        epochs=60,
        noise_levels=(0.2, 0.4, 0.6, 0.8),
        noise_methods=("ae1-relu", "ae1-linear", "dae1-linear", "ddnmf"),
        noise_epochs=30,
    ),
    "mnist": Study("mnist"),
    "fashion-mnist": Study("fashion-mnist"),
}

#: The zoo: clean images, every method trained as DDNMF's first profile is.
ZOO_PRESETS: dict[str, Study] = {
    name: replace(
        preset,
        methods=ZOO,
        profiles=("fast", "best"),
        epochs=preset.epochs if name == "digits" else 10,
        tables=(1,),
        ae2_from_supervisor=False,
        scoring=Scoring(("argmax", "kmeans", "gmm-full")),
    )
    for name, preset in PRESETS.items()
}
