"""What all deep estimators share: from data and parameters to a trained network, and from a network to codes."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, get_args

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from nonneg.data import Source, Summary
from nonneg.deep import ranks
from nonneg.deep.batches import Batch, Batches, too_far
from nonneg.deep.checks import check_choice, check_hidden, check_integer, check_number
from nonneg.deep.noise import NoiseKind, check_level
from nonneg.deep.settings import (
    OptimizerName,
    Precision,
    Schedule,
    TrainSettings,
    resolve_device,
    resolve_precision,
)
from nonneg.deep.train import EpochRecord, train
from nonneg.files import Checkpoint, fingerprint
from nonneg.models.base import Factorization
from nonneg.models.inputs import arrays_of, draw_seed
from nonneg.models.units import loss_times
from nonneg.models.unobserved import Unobserved

__all__ = ["DeepFactorization"]

logger = logging.getLogger(__name__)

EVAL_ROWS = 256  # rows a forward pass outside training; padded, so that a row's code does not depend on its neighbours
SETTLED = 1e-3  # a training counts as converged when the objective changed by less than this share in its last epoch
CHECKPOINT_VERSION = 2  # raise it when losses, noise or the order of samples change


class DeepFactorization(Factorization):
    """A `Factorization` whose codes come from a network.

    A subclass says which values are in force (`_resolve`), builds and restores its networks (`_build`, `_modules`),
    encodes and decodes batches (`_encode`, `_decode`).
    """

    # -- what a subclass gives --------------------------------------------------------------------------------

    @abstractmethod
    def _resolve(self) -> dict[str, Any]:
        """Return every parameter's value in force, checked."""

    @abstractmethod
    def _build(self, n_features: int, values: dict[str, Any], seed: int) -> nn.Module:
        """Return the module to train, and keep its networks as attributes."""

    def _start(self, model: nn.Module, batches: Batches) -> None:
        """Do what needs data before the first step."""

    def _input(self, batch: Batch) -> Tensor:
        """Return what `_encode` sees of a batch, row by row."""
        return batch.x

    @abstractmethod
    def _encode(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def _decode(self, h: Tensor) -> Tensor: ...

    @abstractmethod
    def _networks(self) -> dict[str, nn.Module]:
        """Return the attributes that are networks, by name."""

    @abstractmethod
    def _set_components(self) -> None:
        """Set `components_` and `n_components_` from the networks."""

    # -- fit --------------------------------------------------------------------------------------------------

    def _check_params(self) -> None:
        self._resolve()
        check_verbose(self.verbose)  # type: ignore[attr-defined]
        check_state(self.random_state)  # type: ignore[attr-defined]
        check_choice("missing", getattr(self, "missing", "error"), ("error", "ignore", "unstored"))
        folder = self.checkpoint  # type: ignore[attr-defined]
        if folder is not None and not isinstance(folder, str | os.PathLike):
            raise TypeError(f"checkpoint={folder!r} must be None or the path of a folder")

    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        self._train(source, summary, W_init=W_init, H_init=H_init)
        return self._finish(source)

    def _train(self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None) -> None:
        """Set networks, history and components from the data."""
        if W_init is not None or H_init is not None:
            name = "W_init" if W_init is not None else "H_init"
            raise ValueError(f"{name}: {type(self).__name__} takes no start values; leave it None")
        check_size(summary.maximum, source.float_dtype)
        self._warn_of_unobserved(source)
        values = self._resolve()
        device = ranks.own_device(resolve_device(self.device))  # type: ignore[attr-defined]
        with ranks.joined(device):
            self._train_on(device, values, source, summary)
        self._set_components()

    def _warn_of_unobserved(self, source: Source) -> None:
        """Name rows and columns without an observed cell."""
        Unobserved.of(source).say("what is decoded means nothing", "codes are those of zeros")

    def _train_on(
        self, device: torch.device, values: dict[str, Any], source: Source, summary: Summary
    ) -> None:
        """Train, together with the other processes of a group where there is one."""
        alike = {name: getattr(self, name) is None for name in ("checkpoint", "random_state")}
        data = (source.shape, str(source.dtype), summary.maximum)
        ranks.agree({"X": data, type(self).__name__: values, "None of checkpoint and random_state": alike})
        precision = resolve_precision(values["precision"], device)
        values["precision"] = ranks.from_first(lambda: precision)
        seed, checkpoint = self._seed_and_checkpoint(source, summary, values)
        self.profile_ = values
        self.scale_ = float(summary.maximum) if summary.maximum > 0 else 1.0
        dtype = torch.float64 if values["precision"] == "float64" else torch.float32
        model = self._build(source.shape[1], values, seed).to(device, dtype)
        batches = Batches(
            source, values["batch_size"], seed=seed, scale=self.scale_, dtype=dtype, device=device
        )
        settings = TrainSettings(
            **{name: values[name] for name in ("max_epochs", "batch_size", "learning_rate", "schedule")},
            optimizer=values["optimizer"],
            precision=values["precision"],
            device=str(device),
            seed=seed,
        )
        self._start(model, batches)
        records: list[EpochRecord] = []
        with closing(train(model, batches, settings, checkpoint)) as epochs:
            for record in epochs:
                records.append(record)
                self._report(record, settings.max_epochs)
        self._keep_history(records)
        for network in self._networks().values():
            network.cpu().eval().requires_grad_(True).zero_grad(set_to_none=True)

    def _seed_and_checkpoint(
        self, source: Source, summary: Summary, values: dict[str, Any]
    ) -> tuple[int, Checkpoint | None]:
        """Return the seed, and the checkpoint bound to data, parameters and seed.

        With a checkpoint and no `random_state` the seed follows from data and parameters, so that a second run goes
        on with the numbers of the first.
        """
        folder = self.checkpoint  # type: ignore[attr-defined]
        state = self.random_state  # type: ignore[attr-defined]
        ignored = {"max_epochs"} if values["schedule"] == "constant" else set()  # more epochs may be added
        counted = {name: value for name, value in values.items() if name not in ignored}
        name = type(self).__name__

        def parts() -> list[Any]:
            """Of each block a digest: one block is in memory at a time. The order of samples depends on where X is."""
            where = [] if source.in_memory else ["stored"]
            digests = [fingerprint(*arrays_of(block)) for block in source.blocks()]
            return [source.shape, str(source.dtype), *where, *digests]

        # the first process alone reads all of X and opens the folder
        data: list[Any] = [] if folder is None else ranks.from_first(parts)
        if state is None and folder is not None:
            seed = int(fingerprint(name, counted, *data)[:7], 16)
        else:
            drawn = draw_seed(state)
            seed = ranks.from_first(lambda: drawn)
        if folder is None:
            return seed, None
        key = fingerprint(CHECKPOINT_VERSION, name, counted, seed, *data)
        return seed, ranks.on_first(lambda: Checkpoint(folder, key))

    def _report(self, record: EpochRecord, epochs: int) -> None:
        verbose = self.verbose  # type: ignore[attr-defined]
        if ranks.rank() > 0:  # the first process speaks for all
            return
        if callable(verbose):
            verbose(dict(record))
        elif verbose:
            terms = ", ".join(f"{name} {value:.4g}" for name, value in record.items() if name != "epoch")
            logger.info("%s: epoch %d of %d: %s", type(self).__name__, record["epoch"], epochs, terms)

    def _keep_history(self, records: list[EpochRecord]) -> None:
        self.history_ = {name: np.array([record[name] for record in records]) for name in records[0]}
        self.history_["epoch"] = self.history_["epoch"].astype(np.int64)
        self.n_iter_ = len(records)
        objective = self.history_[self._objective]
        last = np.abs(np.diff(objective[-2:])) if len(records) > 1 else np.array([np.inf])
        self.converged_ = bool(last[0] <= SETTLED * abs(objective[-1]))

    _objective = "interpretability"  # the history's column that tells whether training has settled

    def _finish(self, source: Source) -> np.ndarray:
        """Code the training data; keep what `parts` and users need of them."""
        codes = self._transform_source(source)
        wide = codes.astype(np.float64)
        mean = np.average(wide, axis=0, weights=source.row_weights)
        variance = np.average((wide - mean) ** 2, axis=0, weights=source.row_weights)
        self.code_mean_ = mean.astype(codes.dtype)
        self.code_scale_ = np.sqrt(variance).astype(codes.dtype)
        error = np.sqrt(2 * self._training_loss(source, codes))
        self.reconstruction_err_ = loss_times(error, source.weight_power / 2)
        self.n_dead_units_ = len(self.parts_summary()["dead"])
        return codes

    def _training_loss(self, source: Source, codes: np.ndarray) -> float:
        """½ Σ s_i w_ij (x_ij − x̂_ij)² in the units of X; models with another loss override it and `_score_source`."""
        return self._half_squares(source, codes)

    # -- codes ------------------------------------------------------------------------------------------------

    def _transform_source(self, source: Source) -> np.ndarray:
        codes = np.empty((source.shape[0], self.n_components_), source.float_dtype)
        with self._evaluating() as (device, dtype):
            batches = Batches(source, EVAL_ROWS, seed=0, scale=self.scale_, dtype=dtype, device=device)
            for start in range(0, source.shape[0], EVAL_ROWS):
                rows = np.arange(start, min(start + EVAL_ROWS, source.shape[0]))
                found = padded(self._encode, self._input(batches.take(rows)))
                finite = torch.isfinite(found).all(dim=1)
                if not finite.all():
                    raise too_far(int(rows[int(finite.int().argmin())]), dtype)
                codes[rows] = found.cpu().numpy()
        return codes

    def _inverse(self, W: np.ndarray) -> np.ndarray:
        kept = np.dtype(np.float64) if W.dtype == np.float64 else np.dtype(np.float32)
        found = np.empty((W.shape[0], self.n_features_in_), kept)
        with self._evaluating() as (device, dtype):
            for start in range(0, W.shape[0], EVAL_ROWS):
                rows = slice(start, start + EVAL_ROWS)
                h = torch.from_numpy(np.array(W[rows], dtype=kept)).to(device, dtype)
                found[rows] = padded(self._decode, h).cpu().numpy()
        found *= self.scale_
        return found

    def denoise(self, X: Any) -> np.ndarray:
        """Return what the network makes of noisy rows, (n_samples, n_features_in_), in the units of X."""
        return self.inverse_transform(self.transform(X))

    def parts(self) -> np.ndarray:
        """Return max(0, D(h̄ + s_k e_k) − D(h̄)) for every unit k, (n_components, n_features_in_).

        D is `inverse_transform`, h̄ and s the training mean and standard deviations of the codes: what the data
        gain when unit k rises by one standard deviation from the mean.
        """
        check_is_fitted(self)
        return np.maximum(0.0, self._effects())

    def _effects(self) -> np.ndarray:
        """D(h̄ + s_k e_k) − D(h̄), (n_components, n_features_in_): what the data gain and lose."""
        start = self.code_mean_[None, :]
        raised = start + np.diag(self.code_scale_)
        decoded = self._inverse(np.concatenate([start, raised]))
        return (decoded[1:] - decoded[:1]).astype(self.code_mean_.dtype)

    def _evaluating(self) -> Any:
        return _Evaluation(self)

    # -- state ------------------------------------------------------------------------------------------------

    def _get_state(self) -> dict[str, Any]:
        state = super()._get_state()
        for name, network in self._networks().items():
            state[name] = {key: value.cpu().numpy() for key, value in network.state_dict().items()}
        return state

    def _set_state(self, state: dict[str, Any]) -> None:
        state = dict(state)
        values = state["profile_"]
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        model = self._build(int(state["n_features_in_"]), values, seed=0)
        model.to(torch.float64 if values["precision"] == "float64" else torch.float32)
        for name, network in self._networks().items():
            weights = {key: torch.from_numpy(np.array(value)) for key, value in state.pop(name).items()}
            network.load_state_dict(weights)
            network.eval()
        super()._set_state(state)


class _Evaluation:
    """Networks on the device and no gradients, for a while; afterwards they are back in main memory (for pickle)."""

    def __init__(self, estimator: DeepFactorization) -> None:
        self.estimator = estimator
        self.device = resolve_device(estimator.device)  # type: ignore[attr-defined]
        self.inference = torch.inference_mode()

    def __enter__(self) -> tuple[torch.device, torch.dtype]:
        for network in self.estimator._networks().values():
            network.to(self.device)
        self.inference.__enter__()
        double = self.estimator.profile_["precision"] == "float64"
        return self.device, torch.float64 if double else torch.float32

    def __exit__(self, *error: Any) -> None:
        self.inference.__exit__(*error)
        for network in self.estimator._networks().values():
            network.cpu()


def padded(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a function of `EVAL_ROWS` rows to fewer: products of another height would round differently."""
    missing = EVAL_ROWS - x.shape[0]
    return function(nn.functional.pad(x, (0, 0, 0, missing)))[: x.shape[0]] if missing else function(x)


def check_size(largest: float, dtype: np.dtype) -> None:
    """Raise for data below the smallest normal number: processors take it for zero when they train."""
    least = float(np.finfo(dtype).tiny)
    if 0 < largest < least:
        raise ValueError(
            f"X: its largest entry {largest:g} is below the smallest normal number of {np.dtype(dtype).name}, "
            f"{least:.2g}; multiply X by a number"
        )


def check_training(values: dict[str, Any]) -> dict[str, Any]:
    """Check the parameters of training, and those of layers and noise where a model has them."""
    if "hidden" in values:
        values["hidden"] = check_hidden(values["hidden"])
    for name in ("max_epochs", "batch_size"):
        values[name] = check_integer(name, values[name])
    values["learning_rate"] = check_number("learning_rate", values["learning_rate"], positive=True)
    for name, kind in (
        ("schedule", Schedule),
        ("optimizer", OptimizerName),
        ("precision", Precision),
        ("noise", NoiseKind),
    ):
        if name in values or name != "noise":
            check_choice(name, values[name], get_args(kind))
    if "noise" in values:
        values["noise_level"] = check_level(values["noise"], values["noise_level"])
    return values


def check_verbose(value: Any) -> None:
    """Raise unless `verbose` is 0, 1 or a function."""
    if not callable(value) and not (isinstance(value, int) and value >= 0):
        raise ValueError(
            f"verbose={value!r}: expected 0, 1 (log an epoch a line) or a function of an epoch's record"
        )


def check_state(value: Any) -> None:
    """Raise unless `random_state` is one that `numpy` takes."""
    if isinstance(value, np.random.Generator):
        return
    try:
        check_random_state(value)
    except ValueError as error:
        expected = "None, an integer from 0 to 2**32 - 1, a RandomState or a Generator"
        raise ValueError(f"random_state={value!r}: expected {expected}") from error


def initial_generators(seed: int, count: int) -> Iterator[torch.Generator]:
    """Yield generators of initial weights: the first network's do not depend on what comes after it."""
    for number in range(count):
        yield torch.Generator().manual_seed(seed * 16 + number)
