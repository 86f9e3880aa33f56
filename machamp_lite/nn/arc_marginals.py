"""The probabilities of the arcs of one sentence, as ``tree_marginals``; in NumPy, so that it runs without torch."""

import numpy as np

# By how much the logarithm of the weight of trees with several roots is at least below that of trees with one.
MARGIN = 40.0
# Scores beyond this count as infinite.
INFINITE = 1e6
# The logarithm of the weight of an arc that does not exist.
NO_ARC = -1e30


def arc_marginals(scores: np.ndarray) -> np.ndarray:
    """The probability of each arc, over all trees with one child of the root. *Shape:* (W, W + 1) -> (W, W + 1)."""
    words = len(scores)
    is_loop = np.eye(words + 1, dtype=bool)[1:]
    finite = np.clip(np.nan_to_num(scores.astype(np.float64), nan=-INFINITE), -INFINITE, INFINITE)
    finite[is_loop] = -INFINITE
    weights = finite - finite.max(1, keepdims=True)
    lowest = np.where(is_loop, 0.0, weights).min(1).sum()
    weights[:, 0] -= MARGIN + words * np.log(words + 1) - lowest
    weights[is_loop] = NO_ARC
    steps = []
    for word in reversed(range(words)):
        row = weights[word, : word + 1]
        normaliser = np.logaddexp.reduce(row)
        through = weights[:word, word + 1, None] + (row - normaliser)
        through[is_loop[:word, : word + 1]] = NO_ARC
        weights = np.logaddexp(weights[:word, : word + 1], through)
        steps.append((word, np.exp(row - normaliser), np.exp(through - weights)))
    marginals = np.zeros((words, words + 1))
    for word, row, shares in reversed(steps):
        due = marginals[:word, : word + 1] * shares
        marginals[:word, : word + 1] -= due
        marginals[:word, word + 1] = due.sum(1)
        marginals[word, : word + 1] = due.sum(0) + row * (1 - due.sum())
    return np.where(is_loop, 0.0, marginals.clip(0, 1))
