"""Sampling weights that make sentences with rare labels more frequent in training."""

from collections.abc import Iterable

import numpy as np


def sampling_weights(class_ids: Iterable[np.ndarray], label_weights: np.ndarray) -> np.ndarray:
    """The probability of each sentence to be drawn, from the ids of its labels and the weight of each label.

    The weight of a sentence is the largest weight of its labels, as for images in Gupta et al. 2019 (LVIS). A sentence
    without labels has the mean of the other weights. *Shape:* label_weights (C,) -> (sentences,).
    """
    weights = np.array([label_weights[ids].max() if len(ids) else np.nan for ids in class_ids])
    weights[np.isnan(weights)] = np.nanmean(weights)
    return weights / weights.sum()
