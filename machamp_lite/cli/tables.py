"""What a person looks at: what is in the data, and how a model scored."""

from collections.abc import Mapping, Sequence

import numpy as np

from machamp_lite.config.schema import Config, decoder_class
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.data_checks.label_counts import unseen_labels
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.dataloading.remarks import sentences
from machamp_lite.errors import shown_label
from machamp_lite.inference.evaluation import MetricTracker, Scores
from machamp_lite.metrics import METRICS

MOST_SHOWN = 5
# Tasks of more labels have no table on the terminal.
MOST_LABELS = 30
LARGE_WEIGHT = 100
UNEVEN = 10
FEW_ITEMS = 5


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
        for task, task_config in dataset.tasks.items():
            annotated = int(train[name].annotated(task).sum())
            decoder = decoder_class(task_config)
            left_out = [
                f"    {part}: {text}"
                for part, columns in (("train", train.get(name)), ("dev", dev.get(name)))
                if columns is not None and (text := _left_out(task, columns))
            ]
            lines.append(
                f"  task {task} ({task_config.task_type}, loss_weight {task_config.loss_weight:g}): "
                f"{annotated} annotated sentences"
            )
            lines += left_out
            if not decoder.has_classes:
                continue
            weights = decoder(config=task_config, vocabulary=vocabularies[task], width=1).label_weights()
            lines.extend(f"    {line}" for line in _labels(vocabularies[task], weights))
            unseen = unseen_labels(config, task, vocabularies[task], dev.get(name))
            lines.extend(f"    {line}" for line in _unseen(unseen))
    return lines


def _left_out(task: str, columns: ExampleStore) -> str:
    """How many sentences of a file are left out because of their labels for a task; empty if there are none."""
    kinds = [remark for remark in columns.table.remarks if remark.task == task and remark.left_out]
    if not kinds:
        return ""
    number = sum(remark.sentences for remark in kinds)
    shown = ", ".join(f"{remark.sentences} {remark.kind}" for remark in kinds)
    return f"{sentences(number)} {'is' if number == 1 else 'are'} left out: {shown}"


def _size(examples: ExampleStore, tokenizer: WordTokenizer) -> str:
    words = int(examples.texts.sum())
    subwords = examples.subword_ids()
    special = {*tokenizer.special.before, *tokenizer.special.between, *tokenizer.special.after}
    subwords = subwords[~np.isin(subwords, list(special))]
    unknown = float((subwords == tokenizer.unknown_id).mean()) if len(subwords) else 0.0
    segments = int((examples.segments > 1).sum())
    cut = f", {segments} sentences longer than max_input_length" if segments else ""
    unit = "words" if examples.has_items else "texts"
    return (
        f"{len(examples)} sentences, {words} {unit}, {len(subwords)} subwords, "
        f"{100 * unknown:.2f}% unknown subwords{cut}"
    )


def _labels(vocabulary: Vocabulary, weights: Sequence[float] | None) -> list[str]:
    ranked = vocabulary.most_frequent()
    lines = [f"{len(ranked)} labels, {sum(vocabulary.counts)} items"]
    if ranked[0][1] >= UNEVEN * ranked[-1][1]:
        lines[0] += (
            f"; uneven: the most frequent has {ranked[0][1] / ranked[-1][1]:.0f} times those of the least"
        )
    if weights is not None:
        return [*lines, *_weighted_labels(ranked, dict(zip(vocabulary.labels, weights, strict=True)))]
    if len(ranked) <= 2 * MOST_SHOWN:
        return [*lines, f"labels: {_counts(ranked)}"]
    return [
        *lines,
        f"most frequent: {_counts(ranked[:MOST_SHOWN])}",
        f"least frequent: {_counts(ranked[-MOST_SHOWN:])}",
    ]


def _weighted_labels(ranked: Sequence[tuple[str, int]], weights: Mapping[str, float]) -> list[str]:
    """Count and weight of each label, and what of it makes training shaky."""
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
            f"warning: weights over {LARGE_WEIGHT} times the mean: {', '.join(large[:MOST_SHOWN])}; a few items decide "
            "the loss, so try class_weights 'sqrt' or 'effective', or oversample"
        )
    if few:
        lines.append(
            f"warning: {len(few)} labels have fewer than {FEW_ITEMS} items: {', '.join(few[:MOST_SHOWN])}; weights "
            "make such a label's few items count, and do not make it learnt: find more, merge labels, or try 'sqrt'"
        )
    return lines


def _counts(labels: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{shown_label(label)} {count}" for label, count in labels)


def _unseen(unseen: Mapping[str, int]) -> list[str]:
    """A line on dev labels that training never saw."""
    if not unseen:
        return []
    ranked = sorted(unseen.items(), key=lambda pair: (-pair[1], pair[0]))
    more = f" and {len(ranked) - MOST_SHOWN} more" if len(ranked) > MOST_SHOWN else ""
    return [
        f"dev labels that training never saw: {len(ranked)} ({sum(unseen.values())} items): "
        f"{_counts(ranked[:MOST_SHOWN])}{more}"
    ]


def label_tables(
    trackers: Mapping[str, MetricTracker], *, width: int | None = None, colour: bool = False
) -> list[str]:
    """A table of the labels of each task, as far as a person can read it; the files of scores have all labels."""
    lines = []
    for dataset, tracker in trackers.items():
        for task, scores in tracker.label_scores().items():
            number = len(scores.rows())
            if number > MOST_LABELS:
                lines += ["", f"{dataset} {task}: {number} labels, see the .eval file"]
            else:
                lines += ["", f"{dataset} {task}", *scores.as_table(width, colour)]
    return lines


def score_table(
    scores: Mapping[str, Scores], counts: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None
) -> list[str]:
    """Scores as lines of a table, as a person reads them: dataset, task, metric, value.

    With ``counts`` by dataset and task, also how many sentences were scored and skipped, if any were skipped.
    """
    counts = counts or {}
    has_skipped = any(own["skipped"] for tasks in counts.values() for own in tasks.values())
    kinds = ("scored", "skipped") if has_skipped else ()
    rows = [
        (
            *(dataset, task, metric, METRICS[metric].as_text(value)),
            *(str(counts[dataset][task][kind]) for kind in kinds),
        )
        for dataset, tasks in scores.items()
        for task, values in tasks.items()
        for metric, value in values.items()
    ]
    header = ("dataset", "task", "metric", "score", *kinds)
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return [
        "  ".join([*map(str.ljust, row[:3], widths[:3]), *map(str.rjust, row[3:], widths[3:])])
        for row in [header, *rows]
    ]
