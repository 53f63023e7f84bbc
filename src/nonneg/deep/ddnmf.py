"""DDNMF: deep non-negative matrix factorization with a supervisor and a student network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nonneg.deep.batches import Batches
from nonneg.deep.checks import check_bool, check_choice, check_number
from nonneg.deep.estimator import DeepFactorization, check_training, initial_generators
from nonneg.deep.network import DDNMFNetwork, LossSettings
from nonneg.deep.noise import Noise
from nonneg.deep.profiles import PROFILES
from nonneg.deep.student import Student
from nonneg.deep.supervisor import Supervisor
from nonneg.models.base import check_n_components

__all__ = ["DDNMF"]

RESTARTS = 2  # further starts from data of bases that are non-negative


class DDNMF(DeepFactorization):
    r"""H = σ(W′Z), Ẑ = ReLU(WH) between the encoder and the decoder of a network that is taught by another one.

    .. math:: L_{in} = α \sum_i \|x_i - y_i\|^2 + β \sum_i \sum_l \|h_i^{(l)} - \tilde{h_i}^{(l')}\|^2
              + γ \sum_i \|z_i - \hat{z_i}\|^2

    with y and h(l) of the supervisor, a plain autoencoder that sees clean data, and z, ẑ, h̃(l′) of the student, which
    sees noisy data and has the NMF module in its middle.

    Parameters
    ----------
    n_components : int, default=10
        Units k of the NMF module: columns of H.
    hidden : sequence of int, default=(500, 500, 2000)
        Widths of the encoder's layers; the decoder mirrors them.
    profile : {"paper", "demo", "fast", "best"}, default="paper"
        Where a parameter below is None, its value comes from here; see `nonneg.deep.profiles` for what they are
        and why.
    alpha, beta, gamma : float, optional
        Weights of the symmetric, the apposition and the non-negative constraint loss.
    reconstruction_weight : float, optional
        Weight of a fourth term, the student's distance to the *clean* data (not in the paper: 0).
    reduction : {"sum", "mean"}, optional
        Over the features of a layer: "sum" as in eq. 4–6, "mean" as in the demo. It changes the balance of the terms.
    relative_constraint : bool, optional
        Divide the non-negative constraint loss by the mean of ‖z‖², so that shrinking Z does not lower it.
    noise : {"none", "masking", "dropout", "gaussian", "salt-and-pepper", "uniform"}, optional
        P(ε); see `Noise`.
    noise_level : float, optional
        Share of cells (masking, dropout, salt-and-pepper), standard deviation (gaussian) or half-width (uniform),
        where 1 is the largest training value.
    noise_redraw : bool, optional
        Draw the noise anew in each epoch, or once.
    stop_gradient : bool, optional
        Whether the apposition loss leaves the supervisor alone (eq. 9).
    nmf_bias : bool, optional
        Whether the sigmoid layer has a bias.
    nonnegative_weights : bool, optional
        Whether W ≥ 0, as |V| element by element. With ``nmf_init="data"`` it starts from an NMF of Z, and again before
        the second and the third epoch, so that few units die.
    nmf_init : {"glorot", "data"}, optional
        Start of W′ and W: random like all other weights, or from the principal directions of the encoder's output for
        1,000 samples (see `NMFModule.fit_start`).
    gain : float, optional
        Factor inside σ and ReLU of the NMF module.
    output : {"linear", "relu"}, optional
        What follows the last layer of both networks.
    max_epochs, batch_size, learning_rate, schedule, optimizer, precision : optional
        Of the training; see `TrainSettings`.
    missing : {"error", "ignore", "unstored"}, default="error"
        "ignore": NaN cells are missing; "unstored": cells that a sparse X does not store. Networks see 0 there, and no
        distance to the data counts them. Training with masking noise makes codes of rows that lack cells better.
    device : str, default="auto"
        "cpu", "cuda", …; "auto": CUDA where there is one.
    random_state : int, RandomState, Generator or None, default=None
        Of initial weights, order of samples and noise. An integer makes fits repeatable, bit for bit on the same
        machine with the same number of threads.
    checkpoint : path, optional
        A folder; a fit that finds its own checkpoint there goes on from it. Another fit's is refused. With a
        constant schedule `max_epochs` may have grown meanwhile.
    verbose : {0, 1} or callable, default=0
        1 logs every epoch (logger "nonneg.deep.estimator", level INFO); a function gets every epoch's record (a
        dict), the epochs done before a resume first.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, hidden[-1])
        Wᵀ of the NMF module, gain included: Ẑ = ReLU(H @ components_).
    n_components_, n_features_in_, n_iter_ : int
        `n_iter_` counts epochs.
    history_ : dict of ndarray
        ``epoch, symmetric, apposition, non_negative_constraint, interpretability, nmf_relative_error`` (‖Z − Ẑ‖ / ‖Z‖),
        ``learning_rate, seconds`` and, with a weight for it, ``reconstruction``. Losses are those of the noisy training
        passes: sums over samples for reduction "sum", else means. With ``relative_constraint`` the constraint's is the
        mean of squared relative errors (their sum, for "sum").
    reconstruction_err_ : float
        ‖X − inverse_transform(transform(X))‖ on the training data.
    converged_ : bool
        Whether the interpretability loss changed by less than 0.1 % in the last epoch.
    n_dead_units_ : int
        Units whose part has a norm below 1e-3 of the largest.
    code_mean_, code_scale_ : ndarray of shape (n_components,)
        Mean and standard deviation of H on the training data.
    scale_ : float
        The training maximum, by which X is divided.
    profile_ : dict
        The value in force of every parameter.
    supervisor_ : Supervisor
    student_ : Student
        The trained networks, on the scale of X / scale_.

    Raises
    ------
    ValueError, TypeError
        A parameter out of its range; negative or non-finite X.
    FloatingPointError
        Training diverged.
    CheckpointError
        The checkpoint is damaged, foreign, or cannot be written.

    Notes
    -----
    Source: Chen, Jin, Liu, Zhang (2021), Front. Neurorobot. 15:701194, eq. 1–16 and Algorithm 1. ``transform`` shows
    the student clean data. A row's code does not depend on the other rows. ``sample_weight`` multiplies a sample's
    terms in the losses; a batch holds every row once, so that weight 2 is close to, but not the same as, a row given
    twice. Of a row of weight 0 only its largest value counts, for ``scale_``.

    Examples
    --------
    >>> from nonneg import DDNMF, datasets
    >>> digits = datasets.load("digits")
    >>> model = DDNMF(10, hidden=(100, 50), profile="demo", max_epochs=5, random_state=0)
    >>> model.fit_transform(digits.data).shape
    (1437, 10)
    """

    supervisor_: Supervisor
    student_: Student

    def __init__(
        self,
        n_components: int = 10,
        *,
        hidden: Any = (500, 500, 2000),
        profile: str = "paper",
        alpha: float | None = None,
        beta: float | None = None,
        gamma: float | None = None,
        reconstruction_weight: float | None = None,
        reduction: str | None = None,
        relative_constraint: bool | None = None,
        noise: str | None = None,
        noise_level: float | None = None,
        noise_redraw: bool | None = None,
        stop_gradient: bool | None = None,
        nmf_bias: bool | None = None,
        nonnegative_weights: bool | None = None,
        nmf_init: str | None = None,
        gain: float | None = None,
        output: str | None = None,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        schedule: str | None = None,
        optimizer: str | None = None,
        precision: str | None = None,
        missing: str = "error",
        device: str = "auto",
        random_state: Any = None,
        checkpoint: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.profile = profile
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.reconstruction_weight = reconstruction_weight
        self.reduction = reduction
        self.relative_constraint = relative_constraint
        self.noise = noise
        self.noise_level = noise_level
        self.noise_redraw = noise_redraw
        self.stop_gradient = stop_gradient
        self.nmf_bias = nmf_bias
        self.nonnegative_weights = nonnegative_weights
        self.nmf_init = nmf_init
        self.gain = gain
        self.output = output
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

    def _resolve(self) -> dict[str, Any]:
        check_choice("profile", self.profile, tuple(PROFILES))
        values: dict[str, Any] = {
            "n_components": check_n_components(self.n_components),
            "hidden": self.hidden,
        }
        for name, default in PROFILES[self.profile].items():
            own = getattr(self, name)
            values[name] = default if own is None else own
        values = check_training(values)
        for name in ("alpha", "beta", "gamma", "reconstruction_weight"):
            values[name] = check_number(name, values[name])
        values["gain"] = check_number("gain", values["gain"], positive=True)
        for name in (
            "relative_constraint",
            "noise_redraw",
            "stop_gradient",
            "nmf_bias",
            "nonnegative_weights",
        ):
            values[name] = check_bool(name, values[name])
        check_choice("reduction", values["reduction"], ("sum", "mean"))
        check_choice("nmf_init", values["nmf_init"], ("glorot", "data"))
        check_choice("output", values["output"], ("linear", "relu"))
        return values

    def _build(self, n_features: int, values: dict[str, Any], seed: int) -> nn.Module:
        first, second = initial_generators(seed, 2)
        hidden, output = values["hidden"], values["output"]
        self.supervisor_ = Supervisor(n_features, hidden, output=output, generator=first)
        self.student_ = Student(
            n_features,
            hidden,
            values["n_components"],
            output=output,
            generator=second,
            **{name: values[name] for name in ("nmf_bias", "nonnegative_weights", "gain")},
        )
        losses = LossSettings(**{name: values[name] for name in LossSettings.__dataclass_fields__})
        noise = Noise(values["noise"], values["noise_level"], seed, values["noise_redraw"])
        restarts = RESTARTS if values["nonnegative_weights"] and values["nmf_init"] == "data" else 0
        return DDNMFNetwork(self.supervisor_, self.student_, losses, noise, restarts)

    def _start(self, model: Any, batches: Batches) -> None:
        if self.profile_["nmf_init"] == "data" and batches.n > 1:
            model.fit_start(batches)

    def _networks(self) -> dict[str, nn.Module]:
        return {"supervisor_": self.supervisor_, "student_": self.student_}

    def _encode(self, x: Tensor) -> Tensor:
        return self.student_.encode(x)

    def _decode(self, h: Tensor) -> Tensor:
        return self.student_.decode(h)

    @torch.no_grad()
    def _set_components(self) -> None:
        self.components_ = np.ascontiguousarray(self.student_.nmf.W.T.numpy())
        self.n_components_ = self.components_.shape[0]
