"""Named sets of DDNMF's parameters. Whatever differs between two of them is a parameter anybody can set.

``paper``
    Chen et al. (2021) as printed: losses are sums, α L_sym + β L_ap + γ L_nc and no other term, the supervisor is
    moved by L_sym alone, no bias in the NMF module, the noisy data drawn once (section 3.3 speaks of a noisy
    *data set*). Where the paper is silent (sizes, optimizer, batch, epochs, noise of Tables 1–2) the values of its
    authors' public demo hold, but for α = β = γ = 1: the demo's β = 0.01 goes with means and with a fourth term
    that keeps the student alive. With it and eq. 7 alone the student's output stayed the mean image (3 epochs of
    MNIST: error 449,000 against 375,000 with β = 1).
``demo``
    What that demo does: losses are means, with the student's reconstruction of the clean data as a fourth term,
    gradients of L_ap into the supervisor too, a bias in the sigmoid layer, dropout drawn once as noise.
``fast``
    The paper's mathematics in bfloat16 where the processor has it, with batches of 256.
``best``
    What a search found (``experiments/LOG.md``): the demo's losses, noise drawn anew each epoch, the NMF module started
    from data with gain 4 and no bias, a cosine schedule, fast arithmetic.
"""

from __future__ import annotations

from typing import Any

__all__ = ["PROFILES"]

_PAPER: dict[str, Any] = {
    "alpha": 1.0,
    "beta": 1.0,
    "gamma": 1.0,
    "reconstruction_weight": 0.0,
    "reduction": "sum",
    "relative_constraint": False,
    "noise": "masking",
    "noise_level": 0.1,
    "noise_redraw": False,
    "stop_gradient": True,
    "nmf_bias": False,
    "nonnegative_weights": False,
    "nmf_init": "glorot",
    "gain": 1.0,
    "output": "linear",
    "max_epochs": 300,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "optimizer": "adam",
    "precision": "float32",
}

#: Parameters of each profile.
PROFILES: dict[str, dict[str, Any]] = {
    "paper": _PAPER,
    "demo": _PAPER
    | {
        "beta": 0.01,
        "reconstruction_weight": 1.0,
        "reduction": "mean",
        "noise": "dropout",
        "stop_gradient": False,
        "nmf_bias": True,
    },
    "fast": _PAPER | {"batch_size": 256, "precision": "auto"},
    "best": _PAPER
    | {
        "beta": 0.01,
        "reconstruction_weight": 1.0,
        "reduction": "mean",
        "noise_redraw": True,
        "stop_gradient": False,
        "nmf_init": "data",
        "gain": 4.0,
        "batch_size": 256,
        "schedule": "cosine",
        "precision": "auto",
    },
}
