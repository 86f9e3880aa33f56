"""What an epoch shows of each dataset and label, and warnings about weights that a few items have."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from machamp_lite.config.schema import Config
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.batch_sampler import epoch_sizes
from machamp_lite.dataloading.datasets import RunData, training_streams
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import counted, first_items, shown_label

# A weight is too large if it is over this multiple of the mean weight of the other items, and if at most this share of
# all items has it: then few items dominate the loss, and any batch that has one of them.
LARGE_WEIGHT, FEW = 100, 0.05
# Labels with fewer items cannot be learnt from weights.
FEW_ITEMS = 5


@dataclass(frozen=True, slots=True, eq=False)
class EpochShare:
    """What an epoch shows of one stream of examples.

    ``draws`` is how often it is expected to show each example, ``size`` the sum of them, ``share`` their share of the
    epoch. *Shape:* draws (examples,).
    """

    examples: ExampleStore
    draws: np.ndarray
    size: float
    share: float
    is_masked: bool


def epoch_shares(config: Config, data: RunData) -> list[EpochShare]:
    """The shares of all streams of training examples."""
    streams = training_streams(config, data)
    parts = [max(1.0, len(stream.examples) / stream.epochs) for stream in streams]
    smoothing = config.params.batching.sampling_smoothing
    sizes = epoch_sizes(parts, [stream.weight for stream in streams], smoothing=smoothing)
    shares = []
    for stream, size in zip(streams, sizes, strict=True):
        assert isinstance(stream.examples, ExampleStore)
        number, weights = len(stream.examples), stream.sampling_weights
        draws = np.full(number, size / number) if weights is None else size * weights
        is_masked = stream.examples[0].input_type == "masked"
        shares.append(EpochShare(stream.examples, draws, size, size / sum(sizes), is_masked))
    return shares


def expected_items(
    shares: Sequence[EpochShare], task: str, *, config: TaskOptions, vocabulary: Vocabulary
) -> np.ndarray:
    """How many items of each label an epoch is expected to show. *Shape:* -> (labels,)."""
    items, decoder = np.zeros(len(vocabulary)), decoder_class(config)
    for share in shares:
        if task not in share.examples.tasks:
            continue
        if share.draws.min() == share.draws.max():
            counts = share.examples.label_counts[task]
            items += share.draws[0] * np.array([counts[label] for label in vocabulary.labels])
            continue
        for gold, draws in zip(share.examples.gold(task), share.draws.tolist(), strict=True):
            if gold is not None:
                np.add.at(items, decoder.class_ids(gold), draws)
    return items


def label_weights(config: TaskOptions, vocabulary: Vocabulary) -> list[float] | None:
    """The class weight of each label of a task; None without class weights."""
    if config.class_weights is None:
        return None
    # The random numbers of a run must not depend on class weights.
    with torch.random.fork_rng(devices=[]):
        return decoder_class(config)(config=config, vocabulary=vocabulary, width=1).label_weights()


def weight_warnings(
    config: Config, *, vocabularies: Mapping[str, Vocabulary], train: Mapping[str, ExampleStore]
) -> Iterator[str]:
    """A line for each task in which a few items have very large weights, or a label with few items has a weight."""
    for task, options in config.tasks().items():
        weights = label_weights(options, vocabularies[task]) if options.is_on else None
        if weights is not None:
            yield from _label_warnings(task, options, vocabularies[task], np.array(weights))
    for name, dataset in config.datasets.items():
        for task, options in dataset.active().tasks.items():
            if options.weight_column is None:
                continue
            values, numbers = train[name].item_weights(task)
            large = is_too_large(values, numbers)
            if large.any():
                yield (
                    f"{name}: task '{task}': {counted(int(numbers[large].sum()), 'item')} of {int(numbers.sum())} "
                    f"with weights over {LARGE_WEIGHT} times the mean of the others, up to {values.max():.4g} "
                    f"(weight_column {options.weight_column}): few items dominate the loss; lower these weights"
                )


def _label_warnings(
    task: str, options: TaskOptions, vocabulary: Vocabulary, weights: np.ndarray
) -> Iterator[str]:
    counts = np.array(vocabulary.counts)
    # Without the label, an item has the weight 1 if labels are not exclusive.
    are_exclusive = decoder_class(options).labels_are_exclusive
    is_large = is_too_large(weights, counts) if are_exclusive else weights > LARGE_WEIGHT
    large = [shown_label(vocabulary.labels[index]) for index in np.flatnonzero(is_large)]
    few = [shown_label(label) for label, count in vocabulary.most_frequent() if count < FEW_ITEMS]
    if large:
        yield (
            f"task '{task}': class_weights over {LARGE_WEIGHT} times the mean of the other items: "
            f"{first_items(large)}; few items dominate the loss; try class_weights 'sqrt' or 'effective', or oversample"
        )
    if few:
        yield (
            f"task '{task}': {counted(len(few), 'label')} with fewer than {FEW_ITEMS} items: {first_items(few)}; "
            "class_weights cannot replace data: annotate more items, or merge labels"
        )


def is_too_large(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Whether each weight is too large, given the number of items that have it. *Shape:* (N,), (N,) -> (N,).

    Equal or larger weights do not count among the other items, so that two rare labels do not hide each other.
    """
    order = np.argsort(weights, kind="stable")
    ordered, number = weights[order].astype(float), counts[order].astype(float)
    items, totals = np.cumsum(number), np.cumsum(number * ordered)
    first = np.searchsorted(ordered, ordered, side="left")
    below, total = np.append(0, items)[first], np.append(0, totals)[first]
    large = (ordered * below > LARGE_WEIGHT * total) & (below > 0) & (items[-1] - below <= FEW * items[-1])
    result = np.zeros(len(weights), dtype=bool)
    result[order] = large & (number > 0)
    return result
