"""
Text: the topics of a news wire
===============================

Word counts are sums: an article has so many words from each of its topics. Under the Kullback–Leibler loss,
which is the likelihood of Poisson counts, a factorization is a topic model (the same optima as PLSA: Ding, Li
and Peng 2006).

The corpus is 395 Reuters articles of 1996 and 1997 with 4,258 words, counted, without labels. It comes inside
the package ``lda`` (Mozilla Public License 2.0), as a part of its tests.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse import csr_array

from nonneg import NMF, datasets, plots
from nonneg.metrics import match_components

news = datasets.load("reuters")
words, titles = news.feature_names, news.sample_names
counts = news.data.astype(np.float64)  # sparse, and nothing below makes it dense
filled = counts.nnz / np.prod(counts.shape)
print(f"{counts.shape[0]} articles, {counts.shape[1]} words, {filled:.1%} of the cells are not zero")

# %%
# How many topics can be relied on?
# ---------------------------------
#
# The problem has many local optima. A topic that fits from quite other starts find again is in the data; one
# that they do not find may be an accident. So, for several numbers of topics: the default start beside the
# better of two random ones, and how many topics have a partner there with a cosine above .95.

models, matches = {}, {}
for k in (4, 6, 8, 10):
    models[k] = NMF(k, loss="kl", tol=3e-3, random_state=0).fit(counts)
    other = NMF(k, loss="kl", init="random", n_init=2, tol=3e-3, random_state=1).fit(counts)
    matches[k] = match_components(models[k].components_, other.components_).similarity
    again = (matches[k] > 0.95).sum()
    loss, other_loss = (fit.reconstruction_err_**2 / 2 for fit in (models[k], other))
    print(f"{k:2d} topics: {again:2d} found again; losses {loss:.0f} and {other_loss:.0f}")

# %%
# The largest number of which every topic is found again: its topics by their words, and by the article that
# has most words from each. That a topic is found again does not make it one subject: the first and the third
# gather what many articles share.

k = max(k for k in matches if matches[k].min() > 0.95)
model = models[k]
words_of = model.memberships(counts) * counts.sum(axis=1)[:, None]  # articles x topics
topics = model.top_features(8, names=words)
for number, best in enumerate(topics):
    print(f"{number} {' '.join(word for word, _ in best)}")
    print(f"  {titles[words_of[:, number].argmax()][:90]}")

# %%
# The weight of a word is its share of the topic.

shares = model.components_ / model.components_.sum(axis=1, keepdims=True)
figure = plt.figure(figsize=(12, 5), layout="constrained")
titled = [f"topic {number}" for number in range(k)]
plots.top_features(100 * shares, words, n=8, n_columns=-(-k // 2), titles=titled, figure=figure)
figure.supxlabel("share of the topic's words (%)", fontsize=10)

# %%
# An article that the model has not seen
# --------------------------------------
#
# ``transform`` and ``memberships`` take new counts over the same words: here a sentence.

sentence = "yeltsin left hospital after the heart operation and the president would return to the kremlin"
new = np.zeros((1, len(words)))
for word in sentence.split():
    if word in words:
        new[0, words.index(word)] += 1
about = model.memberships(csr_array(new))[0]
for number in np.argsort(-about)[:2]:
    print(f"{about[number]:.0%} topic {number}: {' '.join(word for word, _ in topics[number][:5])}")
plt.show()

# %%
# What to be careful of
# ---------------------
#
# * Words that stand in every article (*said*, *year*) fill the first places of several topics. A list of stop
#   words takes them out beforehand; ranking by p(word | topic) / p(word) afterwards shows what marks a topic.
# * Under KL an article counts by its length. Dividing rows by their sums makes them count alike, and is
#   another question.
# * A topic is a list of words, a name for it is an interpretation. The article with the most words of it is a
#   better test than the list.
# * For your own texts: ``CountVectorizer`` makes such a table, and ``make_pipeline(CountVectorizer(), NMF(10,
#   loss="kl"))`` does both; names of words come from ``get_feature_names_out()``.
#
# Read more: the same model as probabilities, with the perplexity of new text, in :doc:`the page of PLSA
# </docs/family/plsa>`; how many topics in :doc:`plot_choosing_rank`.
