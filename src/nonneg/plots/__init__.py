"""Figures from arrays: what a model found, how it got there, and how good it is.

Every function draws on axes (or a figure) it is given, or makes a `matplotlib.figure.Figure` of its own. The state of
pyplot is never touched, so nothing needs a display and nothing leaks between threads. matplotlib is imported when the
first function is called.

Texts, ticks and lines that separate take their colours from `matplotlib.rcParams`: a dark style gives a dark
figure. The other colours are Okabe and Ito's, told apart with any colour vision.

Components keep the order of the model, and are called by their numbers where `titles` does not name them.
Inputs are never changed.
"""

from .canvas import COLOURS, MARKERS, new_figure
from .components import similarity, sparsity
from .curves import convergence, loss_curves, metric_curves
from .features import spectra, top_features
from .images import parts
from .points import embed, embedding
from .rows import heatmap, memberships

__all__ = [
    "COLOURS",
    "MARKERS",
    "convergence",
    "embed",
    "embedding",
    "heatmap",
    "loss_curves",
    "memberships",
    "metric_curves",
    "new_figure",
    "parts",
    "similarity",
    "sparsity",
    "spectra",
    "top_features",
]
