"""An autoencoder with a non-negative factorization in its middle, and charts that watch a process with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from nonneg.data import Source, Summary
from nonneg.deep.checks import check_bool, check_choice, check_number
from nonneg.deep.estimator import DeepFactorization, check_training, initial_generators
from nonneg.deep.monitoring import (
    LimitKind,
    Monitoring,
    control_limits,
    inverse_covariance,
    weighted_quantiles,
)
from nonneg.deep.noise import Noise
from nonneg.deep.nonnegative_network import NonnegativeNetwork
from nonneg.deep.prepared import Prepared, scale_of
from nonneg.models.base import check_n_components

__all__ = ["NonnegativeAutoencoder"]


class NonnegativeAutoencoder(DeepFactorization):
    r"""Z = E(x̃) ≥ 0, H = Z Vᵀ, Ẑ = H U, y = D(Ẑ) with V ≥ 0 and U ≥ 0: NMF of features that a network learns for it.

    .. math:: \min \frac1n \sum_i \left( \frac1m \|x_i - y_i\|^2
              + λ \, \|z_i - \hat{z_i}\|^2 / \text{mean}(\|z\|^2) \right)

    The encoder E may take x of any sign to features z ≥ 0 that have non-negative parts, rows of U. For rows of a
    process `monitor` gives two statistics, T² of the codes H and the squared prediction error of x, with limits.

    Parameters
    ----------
    n_components : int, default=10
        Units k of the factorization: columns of H.
    hidden : sequence of int, default=(500, 500, 2000)
        Widths of the encoder's layers, the last one that of Z; the decoder mirrors them.
    factorization_weight : float, default=0.01
        λ, the weight of the factorization's squared relative error.
    scaling : {"auto", "minmax", "max"}, default="auto"
        What the network sees: every feature on [0, 1] by its own training range ("minmax": variables of a process, each
        in its own unit), or X divided by its largest absolute value ("max": images, counts). "auto" is "max" where the
        smallest cell of X is 0, "minmax" otherwise.
    calibration : float, default=0.2
        Share of the rows, in [0, 1), that the network is not trained on, so that `monitor` has limits. Which ones is a
        function of their number alone. With 0 all rows are trained on, and `monitor` wants `calibrate` first.
    output : {"linear", "relu"}, default="linear"
        What follows the last layer.
    noise : str or None, default=None
        A kind of `Noise`, put on the scaled data.
    noise_level : float, default=0.1
    noise_redraw : bool, default=True
    max_epochs : int, default=300
    batch_size : int, default=128
    learning_rate : float, default=1e-3
    schedule : {"constant", "linear", "cosine"}, default="constant"
    optimizer : {"adam", "sgd"}, default="adam"
    precision : {"float32", "auto", "bfloat16", "float64"}, default="float32"
        Of the training; see `TrainSettings`.
    missing : {"error", "ignore", "unstored"}, default="error"
        As for `DDNMF`; networks see the feature's mean there (with "max": 0).
    device, random_state, checkpoint, verbose
        As for `DDNMF`.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, hidden[-1])
        U ≥ 0: Ẑ = H @ components_.
    network_ : NonnegativeNetwork
        The trained network, on the scale of (X − offset_) / span_.
    offset_, span_ : ndarray of shape (n_features_in_,)
    scaling_ : {"minmax", "max"}
        What "auto" chose.
    calibration_ : ndarray of shape (n_held_out, 2)
        T² and SPE of the rows that were held out, or of those given to `calibrate`.
    chart_sizes_ : ndarray of shape (2,)
        .99 quantiles of T² and SPE among the rows trained on, by weight: they share the alarms out between the two.
    code_center_, code_precision_ : ndarray of shapes (n_components,) and (n_components, n_components)
        Mean and inverse covariance of the codes of the rows trained on, for T².
    history_ : dict of ndarray
        ``epoch, symmetric`` (the first term), ``non_negative_constraint`` (the second, without λ), ``objective``,
        ``nmf_relative_error`` (‖Z − Ẑ‖ / ‖Z‖), ``learning_rate, seconds``; of the rows trained on.
    n_components_, n_features_in_, n_iter_, converged_, reconstruction_err_ : int, bool, float
    n_dead_units_, code_mean_, code_scale_, profile_
        As for `DDNMF`; of all rows.

    Notes
    -----
    Source: Ren, Zhang, Zhang (2020), IEEE Trans. Ind. Informatics 16, 5042–5052, doi 10.1109/TII.2019.2951011. Its text
    is not public. From the abstract: an encoder to a high-dimensional feature space, an NMF module, a decoder; the NMF
    divides the feature space into two subspaces with a statistic each; data of any sign. From a reader's published
    notes: Z is the encoder's output after a ReLU; H and Ẑ are made by two layers without bias whose weights are
    rectified. Chen et al. (2021) mention the factorization loss on the middle layers.

    What we could not verify, and chose: the form and weight of that loss (relative, because an absolute one falls when
    Z shrinks), dense layers where the paper has convolutions, Hotelling's T² on H, SPE of x rather than of z (its terms
    then belong to features), and the limits, which hold their rate without an assumption on the distribution. Weights
    are |V| and |U| where the paper rectifies: one that reaches zero is reflected and goes on learning. At the start
    every unit has features of Z of its own, so that units differ and none is dead.

    A process with d free directions wants d + 1 units or more: the parts of a cone have no offset. The unit too many
    lets the network copy faults, most where sensors are few; ``noise="salt-and-pepper"``, a sensor at an end of its
    range in one row of four (``noise_level=0.3 / n_features``), teaches it to believe the others instead.

    ``transform`` is one pass of the encoder; a row's code does not depend on the other rows. Rows that follow each
    other in time are often alike: held-out rows between rows of the training then look too normal, and limits come out
    too low. Give `calibrate` normal rows of another time.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import NonnegativeAutoencoder
    >>> rng = np.random.default_rng(0)
    >>> t = rng.uniform(0, 2, 1000)
    >>> X = np.column_stack([t, t**2 - 3 * t, 3 * t**2 - t**3]) + 0.02 * rng.normal(size=(1000, 3))
    >>> how = {"hidden": (128, 128), "max_epochs": 30, "batch_size": 64, "learning_rate": 5e-3, "schedule": "cosine"}
    >>> model = NonnegativeAutoencoder(2, noise="salt-and-pepper", **how, random_state=0).fit(X)
    >>> faulty = X + [0, 0.5, 0]  # a sensor that is off
    >>> bool(model.monitor(faulty).alarms.mean() > 0.9)
    True
    """

    network_: NonnegativeNetwork
    _objective = "objective"
    _any_sign = True

    def __init__(
        self,
        n_components: int = 10,
        *,
        hidden: Any = (500, 500, 2000),
        factorization_weight: float = 0.01,
        scaling: str = "auto",
        calibration: float = 0.2,
        output: str = "linear",
        noise: str | None = None,
        noise_level: float = 0.1,
        noise_redraw: bool = True,
        max_epochs: int = 300,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        optimizer: str = "adam",
        precision: str = "float32",
        missing: str = "error",
        device: str = "auto",
        random_state: Any = None,
        checkpoint: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.factorization_weight = factorization_weight
        self.scaling = scaling
        self.calibration = calibration
        self.output = output
        self.noise = noise
        self.noise_level = noise_level
        self.noise_redraw = noise_redraw
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.optimizer = optimizer
        self.precision = precision
        self.missing = missing
        self.device = device
        self.random_state = random_state
        self.checkpoint = checkpoint
        self.verbose = verbose

    # -- charts -----------------------------------------------------------------------------------------------

    def monitor(
        self, X: Any, *, false_alarm_rate: float = 0.01, limit: str = "auto", weights: Any = None
    ) -> Monitoring:
        """Return T² and SPE of rows, their limits, and who exceeds one.

        T² = (h − h̄)ᵀ S⁻¹ (h − h̄), with h̄ and S the mean and covariance of the codes of the rows trained on;
        SPE = Σ_j (x_j − y_j)² on the scale of the network, over observed cells and times m / their number (by weight).

        Parameters
        ----------
        X : array-like, sparse, DataFrame, memmap or path, (n_samples, n_features_in_)
        false_alarm_rate : float, default=0.01
            Between 0 and 1: the share of normal rows that give an alarm, by T² or SPE or both.
        limit : {"auto", "quantile", "kde"}, default="auto"
            How limits follow from the rows held out; see `nonneg.deep.monitoring.control_limits`. "quantile" needs
            1/false_alarm_rate − 1 of them (99 for .01); "auto" takes it where there are so many, else "kde".
        weights : array-like or sparse of shape (n_samples, n_features), optional
            Weights of the cells; 0 means missing.

        Returns
        -------
        Monitoring

        Raises
        ------
        ValueError
            No rows were held out, or too few for limit="quantile"; a row is so far out that the network's floats do not
            hold it.
        """
        check_is_fitted(self)
        rate = check_number("false_alarm_rate", false_alarm_rate, positive=True)
        if rate >= 1:
            raise ValueError(f"false_alarm_rate={false_alarm_rate!r} must be below 1")
        check_choice("limit", limit, get_args(LimitKind))
        if not len(self.calibration_):
            raise ValueError(
                "no rows were held out of the fit for limits; call calibrate(X) with normal rows"
            )
        source = self._source(X, weights=weights, whom="monitor")
        self._check_data(source, "monitor")
        codes = self._transform_source(source)
        contributions = np.empty(source.shape, source.float_dtype)
        for rows, terms in self._terms(source, codes):
            contributions[rows] = terms
        t2, spe = self._t2(codes), contributions.sum(axis=1, dtype=np.float64)
        limits, chosen = control_limits(self.calibration_, self.chart_sizes_, rate, limit)  # type: ignore[arg-type]
        alarms = ~((t2 <= limits[0]) & (spe <= limits[1]))  # what is no number is no normal row
        return Monitoring(t2, spe, float(limits[0]), float(limits[1]), alarms, contributions, rate, chosen)

    def calibrate(self, X: Any, *, weights: Any = None) -> NonnegativeAutoencoder:
        """Take the limits of `monitor` from these normal rows, which the network was not trained on; return self."""
        check_is_fitted(self)
        source = self._source(X, weights=weights, whom="calibrate")
        self._check_data(source, "calibrate")
        self.calibration_ = self._statistics(source, self._transform_source(source))
        return self

    def _statistics(self, source: Source, codes: np.ndarray) -> np.ndarray:
        """T² and SPE of rows with these codes, (n, 2), float64."""
        spe = np.empty(source.shape[0])
        for rows, terms in self._terms(source, codes):
            spe[rows] = terms.sum(axis=1, dtype=np.float64)
        return np.column_stack([self._t2(codes), spe])

    def _t2(self, codes: np.ndarray) -> np.ndarray:
        gap = codes.astype(np.float64) - self.code_center_
        return np.maximum(np.einsum("ij,jk,ik->i", gap, self.code_precision_, gap), 0.0)

    def _terms(self, source: Source, codes: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the terms of SPE, a block of rows at a time."""
        for block in self._prepared(source).blocks():
            with np.errstate(over="ignore"):  # infinity is an alarm
                squares = (block.X - super()._inverse(codes[block.rows])) ** 2
            if block.weights is not None:
                seen = block.weights.sum(axis=1, keepdims=True)
                squares *= np.where(seen > 0, block.weights * source.shape[1] / np.maximum(seen, 1e-300), 0)
            yield block.rows, squares

    # -- fit --------------------------------------------------------------------------------------------------

    def _fit_source(
        self, source: Source, summary: Summary, *, W_init: Any = None, H_init: Any = None
    ) -> np.ndarray:
        kept, held = self._split(source)
        self.scaling_, self.offset_, self.span_, self.fill_ = scale_of(source, kept, self.scaling)
        unit = replace(summary, maximum=1.0)  # Prepared is on the network's scale
        self._train(self._prepared(source, kept), unit, W_init=W_init, H_init=H_init)
        codes = self._finish(source)
        wide = codes[kept].astype(np.float64)
        counted = None if source.row_weights is None else source.row_weights[kept].astype(np.float64)
        self.code_center_ = np.average(wide, axis=0, weights=counted)
        self.code_precision_ = inverse_covariance(wide - self.code_center_, counted)
        found = self._statistics(source, codes)
        self.chart_sizes_ = weighted_quantiles(found[kept], 0.99, counted)
        self.calibration_ = found[held]
        return codes

    def _split(self, source: Source) -> tuple[np.ndarray, np.ndarray]:
        """Rows to train on and rows held out, among those with a weight; the same ones for the same number of rows."""
        n = source.shape[0]
        weights = source.row_weights
        counted = np.arange(n) if weights is None else np.flatnonzero(weights > 0)
        order = np.random.Generator(np.random.Philox(key=[len(counted), 0])).permutation(counted)
        held = np.sort(order[: int(self.calibration * len(counted))])
        return np.setdiff1d(counted, held), held

    def _prepared(self, source: Source, rows: np.ndarray | None = None) -> Prepared:
        return Prepared(source, self.offset_, self.span_, self.fill_, rows)

    def _transform_source(self, source: Source) -> np.ndarray:
        return super()._transform_source(self._prepared(source))

    def _inverse(self, W: np.ndarray) -> np.ndarray:
        found = super()._inverse(W)
        found *= self.span_.astype(found.dtype)
        found += self.offset_.astype(found.dtype)
        return found

    # -- what the shared part asks for --------------------------------------------------------------------------

    def _resolve(self) -> dict[str, Any]:
        names = (
            *("hidden", "output", "noise_level", "noise_redraw", "max_epochs", "batch_size"),
            *("learning_rate", "schedule", "optimizer", "precision"),
        )
        values = {name: getattr(self, name) for name in names}
        values["n_components"] = check_n_components(self.n_components)
        values["noise"] = "none" if self.noise is None else self.noise
        values["factorization_weight"] = check_number("factorization_weight", self.factorization_weight)
        values["calibration"] = check_number("calibration", self.calibration)
        if values["calibration"] >= 1:
            raise ValueError(f"calibration={self.calibration!r} must be below 1: a share of the rows")
        check_choice("scaling", self.scaling, ("auto", "minmax", "max"))
        check_choice("output", self.output, ("linear", "relu"))
        check_bool("noise_redraw", self.noise_redraw)
        return check_training(values)

    def _build(self, n_features: int, values: dict[str, Any], seed: int) -> nn.Module:
        (first,) = initial_generators(seed, 1)
        self.network_ = NonnegativeNetwork(
            n_features,
            values["hidden"],
            values["n_components"],
            Noise(values["noise"], values["noise_level"], seed, values["noise_redraw"]),
            factorization_weight=values["factorization_weight"],
            output=values["output"],
            generator=first,
        )
        return self.network_

    def _networks(self) -> dict[str, nn.Module]:
        return {"network_": self.network_}

    def _encode(self, x: Tensor) -> Tensor:
        return self.network_.encode(x)

    def _decode(self, h: Tensor) -> Tensor:
        return self.network_.decode(h)

    @torch.no_grad()
    def _set_components(self) -> None:
        self.components_ = self.network_.weight.abs().numpy()
        self.n_components_ = self.components_.shape[0]
