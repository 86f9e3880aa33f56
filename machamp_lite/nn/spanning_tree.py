"""Decoding of dependency trees: the best tree of a sentence, given a score for each arc."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from machamp_lite.nn.best_tree import best_tree, climb


def decode_trees(scores: Tensor, lengths: Sequence[int] | Tensor) -> np.ndarray:
    """The head of each word in the highest-scoring tree of its sentence, as one flat int64 array.

    A tree has exactly one child of the root and no cycle. It has as few arcs with a score of -inf or NaN as possible.
    ``scores[s, d, h]`` is the score of head h for the word d + 1 of sentence s; head 0 is the root and 1 the first
    word. Raises ``ValueError`` if scores and lengths do not fit.
    *Shape:* (B, L, L + 1), (B,) -> (sum of lengths,).

    If the best heads of all words are a tree, it is the best one; otherwise the algorithm of Chu & Liu (1965) and
    Edmonds (1967) finds it.
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
    is_tree = (((heads == 0) & is_word).sum(1) <= 1) & ~climb(with_root).any(1)
    for sentence in np.flatnonzero(~is_tree):
        size = sizes[sentence]
        heads[sentence, :size] = best_tree(scores[sentence, :size, : size + 1].cpu().double().numpy())
    return heads[is_word]


def _best_heads(scores: Tensor, sizes: np.ndarray) -> np.ndarray:
    """The best head of each word except itself; not always a tree. *Shape:* (B, L, L + 1), (B,) -> (B, L)."""
    position = torch.arange(scores.shape[2], device=scores.device)
    is_self = position == position[1:, None]
    is_padding = position > torch.as_tensor(sizes, device=scores.device)[:, None]
    # Finite, so that an arc of -inf is better than the word itself and padding.
    finite = scores.nan_to_num(nan=torch.finfo(scores.dtype).min)
    return finite.masked_fill(is_self | is_padding[:, None], -torch.inf).argmax(2).cpu().numpy()
