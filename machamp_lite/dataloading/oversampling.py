"""How often a sentence is drawn so that rare labels are seen more often."""

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.weighting.class_weights import scheme_weights


def oversampling_weights(examples: ExampleStore, config: DatasetConfig, vocabulary: Vocabulary) -> np.ndarray:
    """The chance of each sentence of a dataset with ``oversample`` to be drawn; they sum to 1.

    A sentence has the weight of its rarest label (the largest of its labels' weights), as images do in Gupta et al.
    2019 (LVIS); one that is not annotated has the mean of the others. *Shape:* (number of instances,).
    """
    task = str(config.oversample)
    beta = config.tasks[task].class_weights_beta
    label_weights = np.array(scheme_weights(config.oversample_scheme, vocabulary.counts, beta=beta))
    decoder = decoder_class(config.tasks[task])
    weights = np.full(len(examples), np.nan)
    for place, gold in enumerate(examples.gold(task)):
        ids = () if gold is None else decoder.class_ids(gold)
        if len(ids):
            weights[place] = label_weights[ids].max()
    weights[np.isnan(weights)] = np.nanmean(weights)
    return weights / weights.sum()
