"""Parts of handwritten digits by NMF, with what can be said about the fit.

Run it: python examples/digits_parts.py. It leaves digits_parts.png and digits_parts.nmf in the current folder.
"""

from nonneg import NMF, datasets, plots
from nonneg.metrics import hoyer_sparsity

digits = datasets.load("digits")  # 1,437 training images of 8 x 8, uint8
model = NMF(16, n_init=3, random_state=0).fit(digits.data)

proof = model.certificate(digits.data)
print(f"{'converged' if model.converged_ else 'not converged'} after {model.n_iter_} iterations")
print(f"KKT residual {proof.kkt_residual:.1e}, error over that of the SVD {100 * proof.svd_gap:.1f} % of ‖X‖")
print(f"spread of the loss over 3 starts: {100 * proof.spread:.2f} %")
print(f"mean Hoyer sparsity of the parts: {hoyer_sparsity(model.components_, axis=1).mean():.2f}")

test = datasets.load("digits", "test")
shares = model.memberships(test.data[:1])[0]
strongest = shares.argsort()[::-1][:3]
print(
    "the first test image is", ", ".join(f"{100 * shares[k]:.0f} % part {k}" for k in strongest), "and others"
)

plots.parts(model.parts(), digits.image_shape).savefig("digits_parts.png", dpi=120)
model.save("digits_parts.nmf")  # nonneg.load("digits_parts.nmf") reads it
