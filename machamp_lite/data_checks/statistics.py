"""Describes each dataset of a run, what an epoch shows of it, and the labels of each task."""

from collections.abc import Mapping, Sequence

import numpy as np

from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.records import read_records
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.data_checks.labels import unseen_labels
from machamp_lite.data_checks.weights import EpochShare, epoch_shares, expected_items, label_weights
from machamp_lite.dataloading.datasets import RunData
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import counted, first_items, shown_label

LABELS_SHOWN = 5
# Labels at each end of a table of more labels.
TABLE_LABELS = 12
# Class imbalance is shown if the most frequent label has at least this multiple of the items of the least frequent.
IMBALANCE = 10


def describe_data(config: Config, data: RunData, *, tokenizer: WordTokenizer) -> list[str]:
    """Lines on the size of each dataset, on what an epoch shows of it, and on the labels of each task."""
    vocabularies, train, dev = data.vocabularies, data.train, data.dev
    shares = epoch_shares(config, data)
    lines = []
    for name, dataset in config.datasets.items():
        lines.append(f"dataset {name}")
        for part, examples in (("train", train.get(name)), ("dev", dev.get(name))):
            if examples is not None:
                lines.append(f"  {part}: {_size(examples.sentences(), tokenizer)}")
        own = [share for share in shares if share.examples.dataset == name]
        lines += [f"  {_epoch(share, dataset, num_streams=len(shares))}" for share in own]
        if dataset.oversample is not None:
            lines.append(f"  {_oversampling(own[0], dataset)}")
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
            if task_config.weight_column is not None:
                item_weights = _item_weights(*train[name].item_weights(task))
                lines.append(f"    weight_column {task_config.weight_column}: {item_weights}")
            if not decoder.Options.has_classes:
                continue
            weights = label_weights(task_config, vocabularies[task])
            items = expected_items(shares, task, config=task_config, vocabulary=vocabularies[task])
            labels = _labels(vocabularies[task], weights, items, are_exclusive=decoder.labels_are_exclusive)
            lines.extend(f"    {line}" for line in labels)
            unseen = unseen_labels(task, vocabularies[task], dev.get(name))
            lines.extend(f"    {line}" for line in _unseen(unseen))
    return lines


def _epoch(share: EpochShare, dataset: DatasetConfig, *, num_streams: int) -> str:
    """How many sentences an epoch shows of a stream of examples, and how often each."""
    sentences, times = len(share.examples.sentences()), share.size / len(share.examples)
    limits = [key for key in ("max_sents", "max_words") if getattr(dataset, key) is not None]
    read = ""
    if limits:
        records = read_records(share.examples.path, file_format_of(dataset))
        read = f" of the {sum(bool(record.rows) for record in records)} in the file ({', '.join(limits)})"
    name = " (mlm)" if share.is_masked else ""
    often = "once" if times == 1 else f"{times:.3g} times on average"
    part = f"; {share.share:.1%} of the epoch" if num_streams > 1 else ""
    return f"per epoch{name}: {counted(sentences, 'sentence')}{read}, {often}{part}"


def _oversampling(share: EpochShare, dataset: DatasetConfig) -> str:
    """How often training draws the sentences of a dataset with ``oversample``."""
    return (
        f"oversampling by task {dataset.oversample} ({dataset.oversample_scheme}): on average, a sentence is drawn "
        f"{share.draws.min():.2g} to {share.draws.max():.2g} times per epoch, depending on its rarest label"
    )


def _item_weights(weights: np.ndarray, numbers: np.ndarray) -> str:
    """The weights of items; the last one is that of items that have none in the file."""
    used, items = weights[numbers > 0], int(numbers.sum())
    mean = float((weights.astype(float) * numbers).sum()) / items
    return (
        f"{int(numbers[weights != 1].sum())} of {counted(items, 'item')} have a weight other than 1 "
        f"(min {used.min():.4g}, mean {mean:.4g}, max {used.max():.4g}); {int(numbers[-1])} have none and count 1"
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


def _labels(
    vocabulary: Vocabulary, weights: Sequence[float] | None, items: np.ndarray, *, are_exclusive: bool
) -> list[str]:
    """The counts of labels; a table if they have weights, or if an epoch does not show every item once."""
    ranked = vocabulary.most_frequent()
    lines = [f"{counted(len(ranked), 'label')}, {counted(sum(vocabulary.counts), 'item')}"]
    if ranked[0][1] >= IMBALANCE * ranked[-1][1]:
        lines[0] += f"; class imbalance {ranked[0][1] / ranked[-1][1]:.0f}:1"
    if weights is not None or not np.allclose(items, vocabulary.counts):
        used = np.ones(len(vocabulary)) if weights is None else np.array(weights)
        loss = items * used
        total = loss.sum()
        if not are_exclusive:
            # Each label is a decision of its own, in which items without the label have the weight 1.
            total = loss + items.sum() * vocabulary.items / sum(vocabulary.counts) - items
        shares = loss / total
        return [*lines, *_label_table(vocabulary, ranked, items=items, weights=used, shares=shares)]
    if len(ranked) <= 2 * LABELS_SHOWN:
        return [*lines, f"labels: {_counts(ranked)}"]
    return [
        *lines,
        f"most frequent: {_counts(ranked[:LABELS_SHOWN])}",
        f"least frequent: {_counts(ranked[-LABELS_SHOWN:])}",
    ]


def _label_table(
    vocabulary: Vocabulary,
    ranked: Sequence[tuple[str, int]],
    *,
    items: np.ndarray,
    weights: np.ndarray,
    shares: np.ndarray,
) -> list[str]:
    """One line per label: its count, what an epoch shows of it, its weight and its share of the loss."""
    total = vocabulary.items or sum(vocabulary.counts)
    is_cut = len(ranked) > 2 * TABLE_LABELS
    shown = [*ranked[:TABLE_LABELS], *ranked[-TABLE_LABELS:]] if is_cut else ranked
    names = [shown_label(label) for label, _ in shown]
    width = max(len("label"), *map(len, names))
    columns = ("count", "share", "per epoch", "weight", "of loss")
    lines = [f"{'label'.ljust(width)}  " + "  ".join(f"{name:>9}" for name in columns)]
    for name, (label, count) in zip(names, shown, strict=True):
        index = vocabulary.labels.index(label)
        lines.append(
            f"{name.ljust(width)}  {count:>9}  {count / total:>9.1%}  {items[index]:>9.0f}  {weights[index]:>9.4g}  "
            f"{shares[index]:>9.1%}"
        )
    if is_cut:
        lines.insert(TABLE_LABELS + 1, f"... {counted(len(ranked) - len(shown), 'label')} in between")
    positive = weights[weights > 0]
    return [*lines, f"largest weight / smallest: {positive.max() / positive.min():.1f}"]


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
