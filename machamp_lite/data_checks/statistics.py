"""Describes the size of each dataset of a run, and the labels of each task."""

from collections.abc import Mapping, Sequence

import numpy as np

from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.data_checks.labels import unseen_labels
from machamp_lite.dataloading.datasets import oversampling_weights
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import counted, first_items, shown_label

LABELS_SHOWN = 5
# Class weights above this multiple of their mean, and labels with fewer items than this, are reported in a warning.
LARGE_WEIGHT = 100
FEW_ITEMS = 5
# Class imbalance is shown if the most frequent label has at least this multiple of the items of the least frequent.
IMBALANCE = 10


def describe_data(
    config: Config,
    *,
    tokenizer: WordTokenizer,
    vocabularies: Mapping[str, Vocabulary],
    train: Mapping[str, ExampleStore],
    dev: Mapping[str, ExampleStore],
) -> list[str]:
    """Lines on the size of each dataset, and on the labels of each task."""
    lines = []
    for name, dataset in config.datasets.items():
        lines.append(f"dataset {name}")
        for part, examples in (("train", train.get(name)), ("dev", dev.get(name))):
            if examples is not None:
                lines.append(f"  {part}: {_size(examples.sentences(), tokenizer)}")
        if dataset.oversample is not None:
            lines.append(f"  {_oversampling(train[name], dataset, vocabularies[dataset.oversample])}")
        for task, task_config in dataset.tasks.items():
            annotated = int(train[name].annotated(task).sum())
            decoder = decoder_class(task_config)
            left_out = [
                f"    {part}: {text}"
                for part, examples in (("train", train.get(name)), ("dev", dev.get(name)))
                if examples is not None and (text := _left_out(task, examples))
            ]
            lines.append(
                f"  task {task} ({task_config.task_type}, loss_weight {task_config.loss_weight:g}): "
                f"{counted(annotated, 'annotated sentence')}{_annotated_words(task, task_config, train[name])}"
            )
            lines += left_out
            if not decoder.Options.has_classes:
                continue
            weights = decoder(config=task_config, vocabulary=vocabularies[task], width=1).label_weights()
            lines.extend(f"    {line}" for line in _labels(vocabularies[task], weights))
            unseen = unseen_labels(task, vocabularies[task], dev.get(name))
            lines.extend(f"    {line}" for line in _unseen(unseen))
    return lines


def _oversampling(examples: ExampleStore, dataset: DatasetConfig, vocabulary: Vocabulary) -> str:
    """How often training draws the sentences of a dataset with ``oversample``."""
    times = oversampling_weights(examples.sentences(), dataset, vocabulary) * len(examples.sentences())
    return (
        f"oversampling by task {dataset.oversample} ({dataset.oversample_scheme}): on average, a sentence is drawn "
        f"{times.min():.2g} to {times.max():.2g} times per epoch, depending on its rarest label"
    )


def _annotated_words(task: str, config: TaskOptions, examples: ExampleStore) -> str:
    """The number of annotated words, for a task whose words may have no label; empty for all others."""
    if config.ignore_label is None or not config.labels_words():
        return ""
    annotated, words = examples.gold_size(task)
    return f" ({annotated} of their {counted(words, 'word')})"


def _left_out(task: str, examples: ExampleStore) -> str:
    """The number of sentences of a file that are left out because of their labels; empty if there are none."""
    excluded = examples.issues.excluded(task)
    if not excluded:
        return ""
    number = sum(count.occurrences for count in excluded)
    shown = ", ".join(f"{count.occurrences} {count.issue.kind}" for count in excluded)
    return f"{counted(number, 'sentence')} {'is' if number == 1 else 'are'} left out: {shown}"


def _size(examples: ExampleStore, tokenizer: WordTokenizer) -> str:
    subwords = examples.subword_ids()
    special = {*tokenizer.special.before, *tokenizer.special.between, *tokenizer.special.after}
    subwords = subwords[~np.isin(subwords, list(special))]
    unknown = float((subwords == tokenizer.unknown_id).mean()) if len(subwords) else 0.0
    segments = int((examples.lengths("segment_starts") > 1).sum())
    cut = f", {counted(segments, 'sentence')} longer than max_input_length" if segments else ""
    has_words = bool(examples.lengths("word_ends").any())
    units = (
        counted(int(examples.column("num_words").sum()), "word")
        if has_words
        else counted(int(examples.lengths("words").sum()), "text")
    )
    return (
        f"{counted(len(examples), 'sentence')}, {units}, {counted(len(subwords), 'subword')}, "
        f"{100 * unknown:.2f}% unknown subwords{cut}"
    )


def _labels(vocabulary: Vocabulary, weights: Sequence[float] | None) -> list[str]:
    ranked = vocabulary.most_frequent()
    lines = [f"{counted(len(ranked), 'label')}, {counted(sum(vocabulary.counts), 'item')}"]
    if ranked[0][1] >= IMBALANCE * ranked[-1][1]:
        lines[0] += f"; class imbalance {ranked[0][1] / ranked[-1][1]:.0f}:1"
    if weights is not None:
        return [*lines, *_weighted_labels(ranked, dict(zip(vocabulary.labels, weights, strict=True)))]
    if len(ranked) <= 2 * LABELS_SHOWN:
        return [*lines, f"labels: {_counts(ranked)}"]
    return [
        *lines,
        f"most frequent: {_counts(ranked[:LABELS_SHOWN])}",
        f"least frequent: {_counts(ranked[-LABELS_SHOWN:])}",
    ]


def _weighted_labels(ranked: Sequence[tuple[str, int]], weights: Mapping[str, float]) -> list[str]:
    """The count and weight of each label, and warnings about weights that may make training unstable."""
    shown = {label: shown_label(label) for label, _ in ranked}
    width = max(len("label"), *map(len, shown.values()))
    lines = [f"{'label'.ljust(width)}  {'count':>9}  {'weight':>9}"]
    lines += [f"{shown[label].ljust(width)}  {count:>9}  {weights[label]:>9.4g}" for label, count in ranked]
    positive = [weight for weight in weights.values() if weight > 0]
    lines.append(f"largest weight / smallest: {max(positive) / min(positive):.1f}")
    scale = sum(count * weights[label] for label, count in ranked) / sum(count for _, count in ranked)
    large = [shown[label] for label, _ in ranked if weights[label] > LARGE_WEIGHT * scale]
    few = [shown[label] for label, count in ranked if count < FEW_ITEMS]
    if large:
        lines.append(
            f"warning: weights over {LARGE_WEIGHT} times the mean: {first_items(large)}; a few items "
            "dominate the loss; try class_weights 'sqrt' or 'effective', or oversample"
        )
    if few:
        lines.append(
            f"warning: {counted(len(few), 'label')} with fewer than {FEW_ITEMS} items: {first_items(few)}; weights "
            "cannot replace data: annotate more items, or merge labels"
        )
    return lines


def _counts(labels: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{shown_label(label)} {count}" for label, count in labels)


def _unseen(unseen: Mapping[str, int]) -> list[str]:
    """A line on dev labels that are not in the training data."""
    if not unseen:
        return []
    ranked = sorted(unseen.items(), key=lambda pair: (-pair[1], pair[0]))
    return [
        f"dev labels that are not in the training data: {len(ranked)} ({sum(unseen.values())} items): "
        f"{first_items([_counts([pair]) for pair in ranked])}"
    ]
