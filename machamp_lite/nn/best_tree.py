"""The best dependency tree of a sentence, given a score for each arc; in NumPy, so that it runs without torch."""

import numpy as np

# Scores beyond this count as infinite, so that sums of scores do not overflow.
_INFINITE = 1e300
_NO_ARC = complex(-np.inf, 0)


def decode_tree(scores: np.ndarray) -> np.ndarray:
    """The heads of the best tree: the best head of each word if these are a tree, else ``best_tree``.

    *Shape:* (W, W + 1) -> (W,).
    """
    words = len(scores)
    finite = np.nan_to_num(scores, nan=np.finfo(scores.dtype).min)
    finite[np.arange(words), np.arange(1, words + 1)] = -np.inf
    heads = finite.argmax(1)
    is_tree = (heads == 0).sum() <= 1 and not climb(np.append(0, heads)).any()
    return heads if is_tree else best_tree(scores.astype(np.float64))


def cyclic_words(heads: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The first word, counted from 1, that is on a cycle of heads in each sentence; 0 without a cycle.

    Heads are positions in their sentence, 0 for the root; each length is at least 1. *Shape:* (W,), (B,) -> (B,).
    """
    if not len(heads):
        return np.zeros(len(lengths), dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    # One graph for all sentences: node 0 is the root, the other nodes are the words, numbered from 1.
    graph = np.concatenate([[0], np.where(heads > 0, heads + np.repeat(starts, lengths), 0)])
    for _ in range(int(lengths.max()).bit_length()):
        graph = graph[graph]
    # After as many steps as the sentence has words, each path is at the root or on a cycle.
    ends = np.where(graph[1:] > 0, graph[1:], len(graph))
    first = np.minimum.reduceat(ends, starts)
    return np.where(first < len(graph), first - starts, 0)


def climb(heads: np.ndarray) -> np.ndarray:
    """The end of the path from each node over its heads: 0 for the root, or a node of a cycle."""
    for _ in range(heads.shape[-1].bit_length()):
        heads = np.take_along_axis(heads, heads, -1)
    return heads


def best_tree(scores: np.ndarray) -> np.ndarray:
    """The heads of the best tree with one child of the root. *Shape:* (W, W + 1) -> (W,).

    The search must include the constraint of one child (Zmigrod, Vieira & Cotterell 2020, "Please Mind the Root"). A
    penalty on arcs from the root that exceeds all scores is exact (Stanojević & Cohen 2021, "A Root of a Problem").
    Adding it to the scores would lose precision, so weights are complex numbers: the penalty is the real part, the
    score the imaginary part. NumPy compares the real parts first.

    With the penalty, the search is slower: nearly all nodes are contracted into one cycle before it reaches the root.
    So the best tree without the penalty is computed first. If it has one child of the root, no tree is better.
    """
    words = len(scores)
    is_finite = np.abs(scores) < _INFINITE
    weights = np.full((words + 1, words + 1), _NO_ARC)
    weights[1:].real = np.where(is_finite, 0, np.where(scores > 0, 1, -1))
    weights[1:].imag = np.where(is_finite, scores, 0)
    np.fill_diagonal(weights, _NO_ARC)
    heads = _chu_liu_edmonds(weights.copy())[1:]
    if (heads == 0).sum() > 1:
        # More than the difference between the real parts of any two trees.
        weights[1:, 0] -= 2 * words + 1
        heads = _chu_liu_edmonds(weights)[1:]
    return heads


def _chu_liu_edmonds(weights: np.ndarray) -> np.ndarray:
    """The head of each node in the best tree with the root 0. *Shape:* (dependents, heads) -> (dependents,).

    In the order of Tarjan (1977, "Finding Optimum Branchings"): follow the best arc from each node to its head until
    the path reaches a node that is connected to the root; if the path forms a cycle, contract it into one node.
    """
    count, every = len(weights), np.arange(len(weights))
    # For each node and each contracted cycle: the weight of its best arc from each node, the word that this arc enters,
    # the part of the cycle that contains this word, the chosen arc, and whether it is connected to the root.
    into, enters, parts = list(weights), [np.full(count, node) for node in every], [every] * count
    arcs, connected, outermost, cycles = [(0, 0)] * count, [True] + [False] * (count - 1), every.copy(), []
    for start in range(1, count):
        node, path, costs = int(outermost[start]), [], []
        while not connected[node]:
            into[node][outermost == node] = _NO_ARC
            head = int(into[node].argmax())
            arcs[node] = (head, int(enters[node][head]))
            path.append(node)
            costs.append(into[node][head])
            node = int(outermost[head])
            if node in path:
                first = path.index(node)
                cycle = np.array(path[first:])
                # Entering the cycle at a node replaces that node's arc within it.
                through = np.array([into[part] for part in cycle]) - np.array(costs[first:])[:, None]
                best = through.argmax(0)
                into.append(through[best, every])
                enters.append(np.array([enters[part] for part in cycle])[best, every])
                parts.append(cycle[best])
                arcs.append((0, 0))
                connected.append(False)
                node = len(into) - 1
                cycles.append(node)
                in_cycle = np.zeros(node + 1, dtype=bool)
                in_cycle[cycle] = True
                outermost[in_cycle[outermost]] = node
                del path[first:], costs[first:]
        for node in path:
            connected[node] = True
    for node in reversed(cycles):
        head, entered = arcs[node]
        arcs[int(parts[node][head])] = (head, entered)
    return np.array([head for head, _ in arcs[:count]])
