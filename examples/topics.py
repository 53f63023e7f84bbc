"""Topics of a small corpus by NMF with the Kullback–Leibler loss, on sparse counts.

The corpus is drawn from five planted topics, so the answer is known. Run it: python examples/topics.py.
"""

from nonneg import NMF, datasets
from nonneg.metrics import match_components

corpus = datasets.make_topics(300, 500, 5, words=120, random_state=0)  # CSR counts, 300 documents x 500 words
seen, new = corpus.data[:250], corpus.data[250:]
model = NMF(5, loss="kl", random_state=0).fit(seen)
print(f"{'converged' if model.converged_ else 'not converged'} after {model.n_iter_} iterations")

found = match_components(corpus.H, model.components_)
print("cosine of each planted topic with the one found:", found.similarity.round(3))
for k, best in enumerate(model.top_features(4)):
    print(f"topic {k}:", ", ".join(f"word {j} ({weight:.2f})" for j, weight in best))

shares = model.memberships(new)  # rows sum to one
right = (found.permutation[corpus.target[250:]] == shares.argmax(axis=1)).mean()
print(f"new documents whose largest topic is the planted one: {100 * right:.0f} %")
print(f"score of new documents (higher is better): {model.score(new):.4f}")
