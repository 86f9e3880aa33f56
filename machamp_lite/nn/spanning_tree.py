"""Decoding of dependency trees: the best tree of a sentence, given a score for each arc."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# Scores beyond this count as infinite, for sums of scores never to overflow.
_INFINITE = 1e300
_NO_ARC = complex(-np.inf, 0)


def decode_trees(scores: Tensor, lengths: Sequence[int] | Tensor) -> np.ndarray:
    """Return the head of each word in the highest-scoring tree of its sentence, all sentences in a row.

    The tree has exactly one child of the root and no cycle. Arcs of minus infinity, as which NaN counts, are
    in it only if there is no tree with fewer of them.

    `scores` is (sentences, words, words + 1): `scores[s, d, h]` is for the head h of the word d + 1, where
    head 0 is the root and 1 the first word. `lengths` holds the number of words of each sentence; what lies
    beyond is ignored. The result is an int64 array, (sum of lengths,). Raises ValueError where scores and
    lengths do not fit.

    If the best head of each word, taken alone, makes a tree, it is the best. Only where it does not, the
    algorithm of Chu & Liu (1965) and Edmonds (1967) looks for it.
    """
    sizes = torch.as_tensor(lengths).cpu().numpy()
    sentences, width = len(sizes), scores.shape[1]
    if scores.shape != (sentences, width, width + 1) or sizes.max(initial=0) > width:
        raise ValueError(f"scores of shape {tuple(scores.shape)} do not fit the lengths {sizes.tolist()}")
    scores = scores.detach()
    heads = _best_heads(scores, sizes)
    is_word = np.arange(width) < sizes[:, None]
    heads[~is_word] = 0
    with_root = np.pad(heads, ((0, 0), (1, 0)))
    is_tree = (((heads == 0) & is_word).sum(1) <= 1) & ~_climb(with_root).any(1)
    for sentence in np.flatnonzero(~is_tree):
        size = sizes[sentence]
        heads[sentence, :size] = _best_tree(scores[sentence, :size, : size + 1].cpu().double().numpy())
    return heads[is_word]


def cyclic_words(heads: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return for each sentence the first word on a cycle of its heads, counted from 1, and 0 where there is none.

    `heads` is (words,), all sentences in a row, each head a position in its sentence, 0 for the root; `lengths` is
    (sentences,), each at least 1. The result is (sentences,).
    """
    if not len(heads):
        return np.zeros(len(lengths), dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    # All sentences are one graph: node 0 is the root, and a word is its place among all words, from 1.
    graph = np.concatenate([[0], np.where(heads > 0, heads + np.repeat(starts, lengths), 0)])
    for _ in range(int(lengths.max()).bit_length()):
        graph = graph[graph]
    # From a word, as many steps as there are words lead to the root or onto a cycle.
    ends = np.where(graph[1:] > 0, graph[1:], len(graph))
    first = np.minimum.reduceat(ends, starts)
    return np.where(first < len(graph), first - starts, 0)


def _best_heads(scores: Tensor, sizes: np.ndarray) -> np.ndarray:
    """Return the best head of each word but the word itself, (sentences, words), whether or not a tree."""
    position = torch.arange(scores.shape[2], device=scores.device)
    is_self = position == position[1:, None]
    is_padding = position > torch.as_tensor(sizes, device=scores.device)[:, None]
    # Finite, for the worst of the arcs to be better than none.
    finite = scores.nan_to_num(nan=torch.finfo(scores.dtype).min)
    return finite.masked_fill(is_self | is_padding[:, None], -torch.inf).argmax(2).cpu().numpy()


def _climb(heads: np.ndarray) -> np.ndarray:
    """Return where the path from each node upwards ends: 0, the root, or some node of a cycle."""
    for _ in range(heads.shape[-1].bit_length()):
        heads = np.take_along_axis(heads, heads, -1)
    return heads


def _best_tree(scores: np.ndarray) -> np.ndarray:
    """Return the heads, (words,), of the best tree with one child of the root, for scores (words, words + 1).

    Zmigrod, Vieira & Cotterell (2020, "Please Mind the Root") show why the rule of one child must be part of
    the search. Here each root arc has a penalty beyond all else, which is exact (Stanojević & Cohen 2021,
    "A Root of a Problem"). Added to the scores it would cost them digits, so it is kept apart, in the real
    part of a complex number; the score is the imaginary part. NumPy compares the real parts first.

    The penalty makes nearly everything one cycle before the root is reached. So the best tree without it comes
    first: if it has one child of the root all the same, none is better.
    """
    words = len(scores)
    is_finite = np.abs(scores) < _INFINITE
    weights = np.full((words + 1, words + 1), _NO_ARC)
    weights[1:].real = np.where(is_finite, 0, np.where(scores > 0, 1, -1))
    weights[1:].imag = np.where(is_finite, scores, 0)
    np.fill_diagonal(weights, _NO_ARC)
    heads = _chu_liu_edmonds(weights.copy())[1:]
    if (heads == 0).sum() > 1:
        # More than all infinite scores of a tree together.
        weights[1:, 0] -= 2 * words + 1
        heads = _chu_liu_edmonds(weights)[1:]
    return heads


def _chu_liu_edmonds(weights: np.ndarray) -> np.ndarray:
    """Return the head of each node in the best tree from node 0, for the weights (dependents, heads).

    In Tarjan's order (1977, "Finding Optimum Branchings"): from a node up along best arcs, until the path meets what
    hangs on the root already; where it meets itself, that cycle becomes one node.
    """
    count, every = len(weights), np.arange(len(weights))
    # Of each node, and of each cycle that became one: what its best arc from each node weighs, which word that enters,
    # by which part of the cycle, the arc that was chosen, and whether it hangs on the root.
    into, enters, parts = list(weights), [np.full(count, node) for node in every], [every] * count
    arcs, hangs, outermost, cycles = [(0, 0)] * count, [True] + [False] * (count - 1), every.copy(), []
    for start in range(1, count):
        node, path, costs = int(outermost[start]), [], []
        while not hangs[node]:
            into[node][outermost == node] = _NO_ARC
            head = int(into[node].argmax())
            arcs[node] = (head, int(enters[node][head]))
            path.append(node)
            costs.append(into[node][head])
            node = int(outermost[head])
            if node in path:
                first = path.index(node)
                cycle = np.array(path[first:])
                # To enter the cycle at a node costs that node's arc within it.
                through = np.array([into[part] for part in cycle]) - np.array(costs[first:])[:, None]
                best = through.argmax(0)
                into.append(through[best, every])
                enters.append(np.array([enters[part] for part in cycle])[best, every])
                parts.append(cycle[best])
                arcs.append((0, 0))
                hangs.append(False)
                node = len(into) - 1
                cycles.append(node)
                in_cycle = np.zeros(node + 1, dtype=bool)
                in_cycle[cycle] = True
                outermost[in_cycle[outermost]] = node
                del path[first:], costs[first:]
        for node in path:
            hangs[node] = True
    for node in reversed(cycles):
        head, entered = arcs[node]
        arcs[int(parts[node][head])] = (head, entered)
    return np.array([head for head, _ in arcs[:count]])
