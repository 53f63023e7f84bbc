"""Every model of the library by its public name, and the module that holds it.

The one table from which public names load lazily, files know what they may hold, the command line knows what it may
fit, and the tests know what to try. A new model is one line here.
"""

from __future__ import annotations

__all__ = ["MODELS"]

MODELS = {
    "NMF": "nonneg.models.nmf",
    "DDNMF": "nonneg.deep",
    "Autoencoder": "nonneg.deep",
    "DeepProbabilisticNMF": "nonneg.deep",
    "VariationalNMF": "nonneg.deep",
    "NonnegativeAutoencoder": "nonneg.deep",
    "SemiNMF": "nonneg.models.semi",
    "ConvexNMF": "nonneg.models.convex",
    "KernelNMF": "nonneg.models.kernel",
    "ArchetypalAnalysis": "nonneg.models.archetypal",
    "SeparableNMF": "nonneg.models.separable",
    "SymmetricNMF": "nonneg.models.symmetric",
    "OrthogonalNMF": "nonneg.models.orthogonal",
    "ProjectiveNMF": "nonneg.models.projective",
    "TriNMF": "nonneg.models.tri",
    "NTF": "nonneg.models.tensor",
    "NonnegativeTucker": "nonneg.models.tucker",
    "JointNMF": "nonneg.models.joint",
    "PLSA": "nonneg.models.plsa",
    "ConvolutiveNMF": "nonneg.models.convolutive",
    "DeepSemiNMF": "nonneg.models.deep_semi",
    "DANMF": "nonneg.models.danmf",
    "BooleanNMF": "nonneg.exact.boolean",
    "IntegerNMF": "nonneg.exact.integer",
}
