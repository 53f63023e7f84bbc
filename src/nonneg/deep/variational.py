"""VariationalNMF: a variational autoencoder for clean spectra, NMF for the noise that comes with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from nonneg.data import Source, Summary
from nonneg.data.names import column_names, compare_names
from nonneg.deep.batches import Batch, Batches
from nonneg.deep.checks import check_integer, check_number
from nonneg.deep.estimator import DeepFactorization, check_state, check_training, initial_generators
from nonneg.deep.separation import Mixture, Separation, checked_frames, scaled_powers
from nonneg.deep.vae import SpectralVAE
from nonneg.models.base import check_n_components
from nonneg.models.inputs import draw_seed

__all__ = ["VariationalNMF"]

ACTIVE = 0.01  # variance over the data of a unit's posterior mean, from which on the unit is active
BLOCK = 1 << 20  # cells of X at a time, where losses are summed


class VariationalNMF(DeepFactorization):
    """Spectra of a voice by a variational autoencoder, so that noise of few parts can be told from them.

    Clean powers: x_nf ~ Exp(mean σ²_f(z_n)), z_n ~ N(0, I); `fit` minimises, over the decoder σ² and the encoder
    q(z|x) = N(μ(x), diag s²(x)),

        Σ_n E_q [Σ_f d_IS(x_nf | σ²_f(z_n))] + KL(q(z_n|x_n) ‖ p),

    d_IS(x|v) = x/v − log(x/v) − 1. Noisy powers: x_nf ~ Exp(mean g_n σ²_f(z_n) + Σ_k a_nk p_kf), g, A, P ≥ 0;
    `separate` samples z, fits g, A and P, and divides each cell between voice and noise (Wiener).

    Parameters
    ----------
    n_components : int, default=10
        Width of the code z. The noise has its own number, `n_noise` of `separate`.
    hidden : sequence of int, default=(128,)
        Widths of the encoder's layers (ReLU); the decoder mirrors them.
    floor : float, default=1e-6
        f, added to all powers, on the scale where the largest training cell is 1: 60 dB below it. Differences far below
        f do not count.
    warmup : int, optional
        Epochs in which the weight of KL rises to 1, the first guard of the codes. 0: it is 1 at once. None: a fifth of
        ``max_epochs``; to train on from a ``checkpoint`` with more epochs later, give a number.
    free_bits : float, default=0.1
        λ, in nats, the second guard: KL counts as Σ_units max(λ, mean over the batch). 0: no guard.
    max_epochs : int, default=100
    batch_size : int, default=128
    learning_rate : float, default=1e-3
    schedule : {"constant", "linear", "cosine"}, default="constant"
    optimizer : {"adam", "sgd"}, default="adam"
    precision : {"float32", "auto", "bfloat16", "float64"}, default="float32"
        Of the training; see `TrainSettings`.
    missing, device, random_state, checkpoint, verbose
        As for `DDNMF`.

    Attributes
    ----------
    n_active_units_ : int
        Units of the code whose posterior mean has a variance above .01 over the training data, the threshold of Burda
        et al.
    unit_variances_ : ndarray of shape (n_components_,)
        These variances: near 0 for a unit that ignores the data, near 1 for one that is known well.
    components_ : ndarray of shape (n_components_, hidden[-1])
        Transposed weights of the decoder's first layer: one row a unit of the code.
    network_ : SpectralVAE
        The trained network, on the scale of X / scale_.
    history_ : dict of ndarray
        ``epoch, divergence, kl, bound, learning_rate, seconds``: means over the samples of the two terms, for one draw
        of z a sample, and their sum, without the guards: the negative evidence bound but a constant.
    reconstruction_err_ : float
        √(2 · loss), loss = Σ d_IS(x + f | x̂ + f) with x̂ from the codes; `score` is − loss / Σ weights.
    n_components_, n_features_in_, n_iter_, converged_, n_dead_units_, scale_, profile_
        As for `DDNMF`.

    Notes
    -----
    Source: Bando, Mimura, Itoyama, Yoshii, Kawahara (2018), Statistical speech enhancement based on probabilistic
    integration of variational autoencoder and non-negative matrix factorization, ICASSP. Loudness g, Monte-Carlo EM and
    its updates: Leglaive, Girin, Horaud (2018), A variance modeling framework based on variational autoencoders for
    speech enhancement, MLSP. Active units: Burda, Grosse, Salakhutdinov (2016); free bits: Kingma et al. (2016).

    Departures: noise parts are fitted as in MLSP 2018, without the gamma priors and the Gibbs sampler of ICASSP 2018;
    the chains of z go on between iterations, and the width of each one's proposals adapts; hidden layers are ReLU.

    X are *powers*, |STFT|², rows are frames: magnitudes are not exponential. `transform` is for clean frames, as the
    encoder has seen no others. Codes have any sign, so there are no `memberships`. Free bits keep units in use whether
    the data need them or not. How many they need, the gap in the `unit_variances_` of a fit without guards says
    (``free_bits=0, warmup=0``); `n_active_units_` of that fit also counts units that are not quite off yet.

    Examples
    --------
    >>> import numpy as np
    >>> from nonneg.deep import VariationalNMF
    >>> rng = np.random.default_rng(0)
    >>> voice = np.exp(4 * np.sin(rng.random((400, 1)) * 5 + np.arange(30)))  # one shape, shifted
    >>> model = VariationalNMF(4, hidden=(64,), max_epochs=60, random_state=0).fit(voice)
    >>> hum = rng.gamma(1.0, size=(50, 1)) * np.where(np.arange(30) < 6, 50.0, 0.1)
    >>> mixture = (voice[:50] + hum) * rng.exponential(size=(50, 30))
    >>> found = model.separate(mixture, n_noise=1, random_state=0)
    >>> bool(found.gains[:, :6].mean() < found.gains[:, 6:].mean())
    True
    """

    network_: SpectralVAE
    _objective = "bound"
    _any_sign_codes = True

    def __init__(
        self,
        n_components: int = 10,
        *,
        hidden: Any = (128,),
        floor: float = 1e-6,
        warmup: int | None = None,
        free_bits: float = 0.1,
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
        self.floor = floor
        self.warmup = warmup
        self.free_bits = free_bits
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
        names = ("hidden", "max_epochs", "batch_size", "learning_rate", "schedule", "optimizer", "precision")
        values = {name: getattr(self, name) for name in names}
        values["n_components"] = check_n_components(self.n_components)
        values["floor"] = check_number("floor", self.floor, positive=True)
        values["free_bits"] = check_number("free_bits", self.free_bits)
        values = check_training(values)
        rise = values["max_epochs"] // 5 if self.warmup is None else self.warmup
        values["warmup"] = check_integer("warmup", rise, least=0)
        return values

    def _build(self, n_features: int, values: dict[str, Any], seed: int) -> nn.Module:
        names = ("hidden", "n_components", "floor", "warmup", "free_bits")
        generators = list(initial_generators(seed, 2))
        self.network_ = SpectralVAE(
            n_features, **{name: values[name] for name in names}, seed=seed, generators=generators
        )
        return self.network_

    def _start(self, model: nn.Module, batches: Batches) -> None:
        self.network_.look_at(batches)

    def _networks(self) -> dict[str, nn.Module]:
        return {"network_": self.network_}

    def _input(self, batch: Batch) -> Tensor:
        return self.network_.features(batch.x, batch.cells)

    def _encode(self, x: Tensor) -> Tensor:
        return self.network_.code(x)[0]

    def _decode(self, h: Tensor) -> Tensor:
        return (self.network_.log_power(h).exp() - self.network_.floor).clamp_min(0.0)

    @torch.no_grad()
    def _set_components(self) -> None:
        weight = self.network_.decoder.layers[0].get_parameter("weight")
        self.components_ = np.ascontiguousarray(weight.T.numpy())
        self.n_components_ = self.components_.shape[0]

    def _finish(self, source: Source) -> np.ndarray:
        codes = super()._finish(source)
        self.unit_variances_ = self.code_scale_**2
        self.n_active_units_ = int((self.unit_variances_ > ACTIVE).sum())
        return codes

    def separate(
        self, X: Any, n_noise: int = 4, *, n_iter: int = 100, n_samples: int = 10, random_state: Any = None
    ) -> Separation:
        """Divide noisy frames into voice and noise.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_in_)
            Frames of a recording: complex coefficients of the short-time Fourier transform, or their powers. They
            may be louder or softer than the training data; the answer does not depend on the unit.
        n_noise : int, default=4
            Noise parts.
        n_iter : int, default=100
            Iterations of Monte-Carlo EM.
        n_samples : int, default=10
            Samples of z in each; memory grows as n_samples times X.
        random_state : int, RandomState, Generator or None, default=None
            Of starts and samples: the same integer, the same bits. None: the estimator's.

        Returns
        -------
        Separation
            A named tuple: ``clean, noise, gains, codes, loudness, amounts, parts, loss``. Complex X: ``clean + noise``
            is X. Powers: ``clean`` and ``noise`` are the powers of these, which do not sum to X. Where powers are
            beyond float64 (coefficients of 1e200), ``loudness`` and ``parts`` are infinite, or 0.

        Raises
        ------
        TypeError, ValueError
            For X of another width, with other names of columns than the training data, with a negative, infinite or
            missing cell, masked, sparse, or not of numbers; for parameters below 1.
        """
        check_is_fitted(self)
        n_noise = check_integer("n_noise", n_noise)
        n_iter, n_samples = check_integer("n_iter", n_iter), check_integer("n_samples", n_samples)
        state = self.random_state if random_state is None else random_state
        check_state(state)
        given = checked_frames(X, self.n_features_in_)
        known = getattr(self, "feature_names_in_", None)
        compare_names("X", column_names(X), known, "the training data", "X[model.feature_names_in_]")
        power, exponent = scaled_powers(given)
        unit = power.mean() or 1.0
        with self._evaluating() as (device, dtype):
            usual = float(self.network_.level.double().exp().mean())  # of the training data, on their scale
            x = torch.from_numpy(power / unit * usual).to(device, dtype)
            mixture = Mixture(self.network_, x, n_noise, torch.Generator().manual_seed(draw_seed(state)))
            results = (
                *mixture.run(n_iter, n_samples),
                mixture.loudness[:, 0],
                mixture.amounts,
                mixture.parts,
            )
            gains, codes, loss, loudness, amounts, parts = (each.cpu().double().numpy() for each in results)
        shares = (gains, 1.0 - gains)
        clean, noise = (s * given if np.iscomplexobj(given) else s**2 * given for s in shares)
        unit /= usual
        with np.errstate(over="ignore", under="ignore"):
            loudness, parts = (
                np.ldexp(each, exponent) for each in (loudness * unit / self.scale_, parts * unit)
            )
        return Separation(clean, noise, gains, codes, loudness, amounts, parts, loss)

    def _training_loss(self, source: Source, codes: np.ndarray) -> float:
        """Σ s_i w_ij d_IS(x_ij + f | x̂_ij + f), f being the floor in the units of X."""
        floor, (n, m) = self.scale_ * self.profile_["floor"], source.shape
        total, step = 0.0, max(1, BLOCK // m)
        for start in range(0, n, step):
            dense = source.block(start, min(start + step, n)).dense()
            predicted = self._inverse(codes[dense.rows]).astype(np.float64) + floor
            ratio = (dense.X.astype(np.float64) + floor) / predicted
            cost = ratio - np.log(ratio) - 1.0
            rows = (cost if dense.weights is None else cost * dense.weights).sum(axis=1)
            total += float(rows.sum() if dense.row_weights is None else rows @ dense.row_weights)
        return total

    def _score_source(self, source: Source, summary: Summary) -> float:
        return -self._training_loss(source, self._transform_source(source)) / summary.total_weight
