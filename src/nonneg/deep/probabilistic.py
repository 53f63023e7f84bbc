"""Deep probabilistic NMF: amounts whose prior is the code of a denoising autoencoder."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nonneg.data import Source, Summary
from nonneg.deep.batches import Batch, Batches
from nonneg.deep.checks import check_bool, check_integer, check_number
from nonneg.deep.count_network import CountNetwork, Priors
from nonneg.deep.estimator import DeepFactorization, check_training, initial_generators
from nonneg.deep.noise import Noise
from nonneg.deep.supervisor import DenseStack
from nonneg.losses import as_loss
from nonneg.models.base import Factorization, check_n_components
from nonneg.models.inputs import shares
from nonneg.models.nmf import NMF
from nonneg.models.units import loss_times, power_of, rescaled, set_floor, times

__all__ = ["DeepProbabilisticNMF"]

START_ITERATIONS = 100  # of the shallow NMF that the factors start from


class DeepProbabilisticNMF(DeepFactorization):
    """Counts as Poisson sums of parts, whose amounts a denoising autoencoder expects.

    ::

        X_ij ~ Poisson((W H)_ij)        W_i = r_i θ_i        θ_ik ~ Gamma(1 + a f_k(x_i), a)

    with r_i the total of row i over the mean total t̄, and f(x) ≥ 0 the code of a denoising autoencoder, Σ_k f_k(x) = 1.
    After `pretrain_epochs` epochs of the autoencoder alone, an epoch does in turn:

    (a) gradient steps of the network from noisy rows x̃, with the factors held, on
    Σ_i r_i [D(p_i | y(f(x̃_i))) + D(θ_i | f(x̃_i))], p_i being row i over its total and y the decoder;

    (b) closed-form steps of W, then of H, with the network held, which lower

    ::

        Σ_ij D(X_ij | (W H)_ij) + a Σ_i D(f(x_i) | θ_i) + b Σ_k D(x̄ | H_k / Σ_j H_kj),

    minus the log posterior but for constants. D(u | v) = Σ u log(u / v) − u + v, x̄ is the mean row over its total, and
    the rows of H sum to t̄. So the code stands for a counts beside those of a row: rows with few counts get
    amounts as the network knows them from other rows, rows with many their own.

    Parameters
    ----------
    n_components : int, default=10
        Number k of parts.
    hidden : sequence of int, default=(500,)
        Widths of the encoder's layers between √(m p) and the code; the decoder mirrors them.
    prior_W : float, default=20.0
        a > 0: how many counts the code stands for beside those of a row, in the units of X. More where rows are few or
        their amounts follow from each other. Rows of totals far above it speak for themselves, and the network has no
        say: images of 8 bits have totals of 10,000 and more. To give it one there, and where X are no counts, take a
        part of the mean total of a row: ``0.3 * X.sum(axis=1).mean()``, say.
    prior_H : float, default=20.0
        b ≥ 0: how many counts of the mean row each part gets beside its own. Above 0, W H is positive wherever a column
        is, so that held-out counts have a finite likelihood.
    noise : str or None, default="masking"
        Kind of `Noise` on X / scale_; additive kinds are cut off at 0.
    noise_level : float, default=0.3
    noise_redraw : bool, default=True
        Draw the noise anew in each epoch, or once.
    pretrain_epochs : int, optional
        Epochs of the autoencoder alone; fewer than ``max_epochs``. None: a fifth of them; to train on
        from a ``checkpoint`` with more epochs later, give a number.
    max_epochs : int, default=100
        All epochs.
    batch_size, learning_rate, schedule, optimizer, precision
        As for `Autoencoder`.
    missing, device, random_state, checkpoint, verbose
        As for `DDNMF`.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features_in_)
        H in the units of X, every row with the sum t̄; `parts` returns the same.
    network_ : CountNetwork
        Encoder, decoder and H / t̄.
    history_ : dict of ndarray
        ``epoch, reconstruction, match, kl, prior, objective, learning_rate, seconds``: the two sums of (a), the three
        of (b), taken before H moved, as ``kl`` and ``prior``, and ``objective = kl + prior``; all divided by n t̄, so in
        nats a count. During pretraining the factors are those of the shallow start, whose zeros make ``prior`` large.
    n_components_, n_features_in_, n_iter_, converged_, reconstruction_err_, n_dead_units_, scale_, profile_
        As for `DDNMF`, but ``reconstruction_err_`` is √(2 Σ D(X_ij | (W H)_ij)), as of ``NMF(loss="kl")``.

    Notes
    -----
    `transform` solves (b) for W with H and f held, from the code on: 100 steps, of which none raises the loss; a row's
    answer is its own, to rounding. `score` is minus the mean of D(X_ij | (W H)_ij) over the cells, as of
    ``NMF(loss="kl")``. It judges cells that `transform` saw, and there a prior can only lose: compare models on counts
    held out, as the page on deep models does.

    The factors start from ``NMF(loss="kl")``. (a) and (b) have no common objective: (a) fits the code to W as a mean,
    D(θ | f), and not as the mode that (b) takes it for, D(f | θ). With the latter in both, code and W agreed on
    fewer and fewer components, and held-out likelihood was that of shallow NMF or below it.

    Source: Bhattamishra (2018), Int. J. Mach. Learn. Comput. 8, 49. Its text was not at hand. Known from its title and
    from what its author says of his code is that a denoising autoencoder is embedded in probabilistic NMF, is trained
    by itself first, and that then its weights and the factors are optimised together. All formulas above are ours. His
    code of shallow probabilistic NMF follows Bayar et al. (2014): squares, and penalties on both factors. Ours is of
    counts: Poisson, and gamma priors, under which W and H move by expectation and maximisation as in Cemgil (2009).

    References
    ----------
    Bayar, Bouaynaya, Shterenberg (2014), J. Bioinform. Comput. Biol. 12, 1450001. Cemgil (2009), Comput. Intell.
    Neurosci., 785152. Vincent et al. (2008), *Extracting and composing robust features with denoising autoencoders*.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg import DeepProbabilisticNMF
    >>> X = np.random.default_rng(0).poisson(1.0, (60, 20))
    >>> model = DeepProbabilisticNMF(3, hidden=(16,), pretrain_epochs=2, max_epochs=5, random_state=0)
    >>> model.fit_transform(X).shape
    (60, 3)
    """

    network_: CountNetwork
    _objective = "objective"

    def __init__(
        self,
        n_components: int = 10,
        *,
        hidden: Any = (500,),
        prior_W: float = 20.0,
        prior_H: float = 20.0,
        noise: str | None = "masking",
        noise_level: float = 0.3,
        noise_redraw: bool = True,
        pretrain_epochs: int | None = None,
        max_epochs: int = 100,
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
        self.prior_W = prior_W
        self.prior_H = prior_H
        self.noise = noise
        self.noise_level = noise_level
        self.noise_redraw = noise_redraw
        self.pretrain_epochs = pretrain_epochs
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
        names = ("hidden", "noise_level", "noise_redraw", "max_epochs", "batch_size", "learning_rate")
        values = {name: getattr(self, name) for name in (*names, "schedule", "optimizer", "precision")}
        values["n_components"] = check_n_components(self.n_components)
        values["noise"] = "none" if self.noise is None else self.noise
        values["prior_W"] = check_number("prior_W", self.prior_W, positive=True)
        values["prior_H"] = check_number("prior_H", self.prior_H)
        check_bool("noise_redraw", self.noise_redraw)
        values = check_training(values)
        first = values["max_epochs"] // 5 if self.pretrain_epochs is None else self.pretrain_epochs
        values["pretrain_epochs"] = check_integer("pretrain_epochs", first, least=0)
        if values["pretrain_epochs"] >= values["max_epochs"]:
            raise ValueError(
                f"pretrain_epochs={self.pretrain_epochs!r} must be below max_epochs={self.max_epochs!r}: "
                "the factors move in the epochs that follow; lower it, or raise max_epochs"
            )
        return values

    def _build(self, n_features: int, values: dict[str, Any], seed: int) -> nn.Module:
        first, second = initial_generators(seed, 2)
        widths = (n_features, *values["hidden"], values["n_components"])
        self.network_ = CountNetwork(
            DenseStack(widths, "linear", first),
            DenseStack(widths[::-1], "linear", second),
            Noise(values["noise"], values["noise_level"], seed, values["noise_redraw"]),
            Priors(values["prior_W"], values["prior_H"], values["pretrain_epochs"]),
            (values["n_components"], n_features),
        )
        return self.network_

    def _start(self, model: nn.Module, batches: Batches) -> None:
        """Start the factors from a shallow NMF of the same data."""
        source = batches.source
        before = source.scale, source.floor, source.row_weights
        shallow = NMF(self.n_components, loss="kl", max_iter=START_ITERATIONS, random_state=batches.seed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it may stop early, and have dead components
                W = shallow._fit_source(source, source.summary())
        finally:
            source.scale, source.floor, source.row_weights = before
        H = shallow.components_ / np.maximum(shallow.components_.max(initial=0.0), np.finfo(np.float64).tiny)
        sums = H.sum(axis=1, keepdims=True)
        self.network_.start(batches, shares(W, H), np.divide(H, sums, out=np.zeros_like(H), where=sums > 0))

    def _networks(self) -> dict[str, nn.Module]:
        return {"network_": self.network_}

    def _set_components(self) -> None:
        network = self.network_
        network.theta = None  # of the training rows, and so of no use from here on
        self.components_ = network.H.double().numpy() * float(network.mean_total) * self.scale_
        self.n_components_ = len(self.components_)

    # -- codes ------------------------------------------------------------------------------------------------

    def _input(self, batch: Batch) -> Tensor:
        """Cells beside their weights: ones where all count, so that it is one calculation with and without gaps."""
        return torch.cat([batch.x, torch.ones_like(batch.x) if batch.cells is None else batch.cells], dim=1)

    def _encode(self, x: Tensor) -> Tensor:
        return self.network_.amounts(*x.chunk(2, dim=1))

    def _decode(self, h: Tensor) -> Tensor:
        return h @ self.network_.H * self.network_.mean_total

    def parts(self) -> np.ndarray:
        """Return H, (n_components, n_features_in_)."""
        return Factorization.parts(self)

    def _effects(self) -> np.ndarray:
        """The parts times what the training rows have of them: all parts have the same sum, also one in no row."""
        amounts = np.hypot(self.code_mean_, self.code_scale_).astype(np.float64)
        return amounts[:, None] * self.components_

    # -- loss -------------------------------------------------------------------------------------------------

    def _training_loss(self, source: Source, codes: np.ndarray) -> float:
        return self._divergence(source, source.summary(), codes)[0]

    def _score_source(self, source: Source, summary: Summary) -> float:
        loss, weight = self._divergence(source, summary, self._transform_source(source))
        return -loss / weight

    def _divergence(self, source: Source, summary: Summary, W: np.ndarray) -> tuple[float, float]:
        """Return Σ s_i w_ij D(x_ij | (W H)_ij) in the units of X, and the sum of the weights: as of NMF."""
        loss, before = as_loss("kl"), (source.scale, source.floor)
        try:
            source.scale, summary = rescaled(source, summary)
            set_floor(source, summary, loss.beta)
            H = times(self.components_, power_of(source), source.float_dtype)
            found = sum(loss.value(block, W[block.rows], H) for block in source.blocks())
            found = max(0.0, loss_times(found, -power_of(source)))
        finally:
            source.scale, source.floor = before
        return found, summary.total_weight
