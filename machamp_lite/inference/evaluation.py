"""Predicted labels of instances, and their scores against gold."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from traceback import walk_tb
from typing import Any, TypeVar

import numpy as np
import torch

from machamp_lite.config.schema import BatchingParams
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.records import EMPTY
from machamp_lite.dataloading.batch import Batch
from machamp_lite.dataloading.batch_sampler import cut
from machamp_lite.dataloading.example import Example
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.dataloading.long_sentences import LONGEST_PART, split_long_example
from machamp_lite.dataloading.remarks import Remarks
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import MachampError, first_line, is_out_of_memory
from machamp_lite.metrics import METRICS, Metric
from machamp_lite.metrics.label_report import LabelScores
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.precision import resolved

logger = logging.getLogger(__name__)

T = TypeVar("T")
Scores = dict[str, dict[str, float]]
# Of one sentence by task, decoded and ranked.
_Labels = tuple[dict[str, list[Any]], dict[str, list[Any]]]


class MetricTracker:
    """Adds up the metrics of the tasks of one dataset; a task whose gold is nothing but ``_`` has no scores."""

    def __init__(self, tasks: Mapping[str, TaskOptions]) -> None:
        self._metrics: dict[str, list[Metric]] = {
            task: [METRICS[name].for_task(config) for name in config.metric_names()]
            for task, config in tasks.items()
        }
        self._decoders = {task: decoder_class(config) for task, config in tasks.items()}
        self._labels = {task: LabelScores() for task, options in tasks.items() if options.has_classes}
        self._annotated = dict.fromkeys(tasks, False)
        # Sentences and words that were scored.
        self._scored = {task: [0, 0] for task in tasks}
        # Sentences that are not scored because of their gold labels.
        self.remarks = Remarks()

    def add(
        self,
        gold: Mapping[str, Sequence[Any]],
        predicted: Mapping[str, Sequence[Any]],
        *,
        words: Sequence[str],
    ) -> None:
        """Adds one sentence: its gold labels, as far as it has some, the predicted ones, and its words."""
        for task, labels in gold.items():
            if task not in predicted:
                # Switched off.
                continue
            self._annotated[task] = self._annotated[task] or any(label != EMPTY for label in labels)
            decoder = self._decoders[task]
            self._scored[task][0] += 1
            self._scored[task][1] += len(words)
            scored = decoder.align_for_scoring(labels, predicted[task])
            if task in self._labels:
                self._labels[task].add(*decoder.label_pairs(labels, scored, words))
            for metric in self._metrics[task]:
                metric.add(labels, scored)

    def scores(self) -> Scores:
        """The value of each metric of each annotated task."""
        return {
            task: {metric.name: metric.value() for metric in metrics}
            for task, metrics in self._metrics.items()
            if self._annotated[task]
        }

    def warnings(self) -> list[str]:
        """A line for each metric that could not read some gold labels of an annotated task."""
        return [
            f"task '{task}': {line}"
            for task, metrics in self._metrics.items()
            if self._annotated[task]
            for line in (metric.warning() for metric in metrics)
            if line is not None
        ]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many sentences (or rows of a TSV) of each annotated task were scored, and how many were skipped.

        A skipped one has gold labels that cannot be used. Tasks that label words have the numbers of words, too.
        """
        skipped = {task: [0, 0] for task in self._scored}
        for remark in self.remarks:
            if remark.left_out and remark.task in skipped:
                skipped[remark.task][0] += remark.sentences
                skipped[remark.task][1] += remark.words
        counts = {}
        for task, scored in self._scored.items():
            if self._annotated[task] or skipped[task][0]:
                counts[task] = {"scored": scored[0], "skipped": skipped[task][0]}
                if self._decoders[task].Options.labels_words():
                    counts[task] |= {"scored_words": scored[1], "skipped_words": skipped[task][1]}
        return counts

    def label_scores(self) -> dict[str, LabelScores]:
        """The scores of each label (relations of a parser, edit scripts of ``string2string``) by annotated task.

        Tasks whose labels are no classes have none.
        """
        return {task: scores for task, scores in self._labels.items() if self._annotated[task]}

    def label_scores_as_json(self) -> dict[str, Any]:
        """The same, for a file."""
        return {task: scores.as_json() for task, scores in self.label_scores().items()}


def predict_labels(
    model: Model, examples: Sequence[Example], *, batch_size: int | None = None
) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    """The place of each instance and its predicted labels by task, in batches of like length."""
    for place, labels, _ in rank_labels(model, examples, top_n={}, batch_size=batch_size):
        yield place, labels


def rank_labels(
    model: Model, examples: Sequence[Example], *, top_n: Mapping[str, int], batch_size: int | None = None
) -> Iterator[tuple[int, dict[str, list[Any]], dict[str, list[Any]]]]:
    """As ``predict_labels``, and the best labels of each item for the tasks of ``top_n``."""
    cut_up = [split_long_example(example) for example in examples]
    owners = [place for place, parts in enumerate(cut_up) for _ in parts]
    numbers = [number for parts in cut_up for number in range(len(parts))]
    if longest := [parts[0] for parts in cut_up if len(parts) > 1]:
        message = "%s: a sentence of more than %d subwords (one of %d here) is predicted in parts"
        logger.warning(message, longest[0].source, LONGEST_PART, len(longest))
    waiting: dict[int, dict[int, _Labels]] = {}
    for place, labels, ranked in _rank_parts(
        model, [part for parts in cut_up for part in parts], top_n=top_n, batch_size=batch_size
    ):
        owner = owners[place]
        if len(cut_up[owner]) == 1:
            yield owner, labels, ranked
            continue
        found = waiting.setdefault(owner, {})
        found[numbers[place]] = (labels, ranked)
        if len(found) == len(cut_up[owner]):
            yield owner, *_joined(model, [found[number] for number in sorted(waiting.pop(owner))])


def _joined(model: Model, parts: Sequence[_Labels]) -> _Labels:
    """The labels of a sentence that was predicted in parts."""
    labels, ranked = parts[0]
    return (
        {task: model.decoder(task).join([part[task] for part, _ in parts]) for task in labels},
        {task: model.decoder(task).join_ranked([part[task] for _, part in parts]) for task in ranked},
    )


def _rank_parts(
    model: Model, examples: Sequence[Example], *, top_n: Mapping[str, int], batch_size: int | None
) -> Iterator[tuple[int, dict[str, list[Any]], dict[str, list[Any]]]]:
    def labels_of(batch: Batch, scores: dict[str, Any]) -> list[_Labels]:
        ranked: list[dict[str, list[Any]]] = [{} for _ in batch.examples]
        for task in top_n.keys() & scores.keys():
            sentences = batch.tasks[task].sentences
            words = [batch.examples[sentence].words for sentence in sentences]
            items = model.decoder(task).rank(scores[task], words, top_n=top_n[task])
            for sentence, own in zip(sentences, items, strict=True):
                ranked[sentence][task] = own
        return list(zip(model.labels(batch, scores), ranked, strict=True))

    for places, labels in _of_batches(model, examples, labels_of, batch_size=batch_size):
        for place, (own, ranked) in zip(places, labels, strict=True):
            yield place, own, ranked


def score_batches(
    model: Model, examples: Sequence[Example], *, batch_size: int | None = None
) -> Iterator[tuple[list[int], Batch, dict[str, Any]]]:
    """The places of the instances of each batch, the batch, and the scores of its tasks."""

    def both(batch: Batch, scores: dict[str, Any]) -> tuple[Batch, dict[str, Any]]:
        return batch, scores

    for places, (batch, scores) in _of_batches(model, examples, both, batch_size=batch_size):
        yield places, batch, scores


def _of_batches(
    model: Model,
    examples: Sequence[Example],
    make: Callable[[Batch, dict[str, Any]], T],
    *,
    batch_size: int | None,
) -> Iterator[tuple[list[int], T]]:
    """The places of the instances of each batch, and what is made of the batch and its scores."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), autocast(model):
            for places in prediction_batches(examples, model.config.params.batching, batch_size=batch_size):
                yield from _of_batch(model, examples, places, make)
    finally:
        model.train(was_training)


def prediction_batches(
    examples: Sequence[Example], batching: BatchingParams, *, batch_size: int | None = None
) -> list[list[int]]:
    """The places of the instances of each batch of prediction, those of like length together."""
    # Without gradients four times the subwords of a training step fit in its memory.
    sizes = {"max_tokens": 4 * batching.max_tokens, "batch_size": batch_size or 4 * batching.batch_size}
    lengths = np.array([example.longest_segment for example in examples])
    segments = np.array([len(example.segments.segment_starts) for example in examples])
    return cut(np.argsort(lengths, kind="stable"), lengths, segments, batching.model_copy(update=sizes))


def _check_numbers(batch: Batch, scores: Any, task: str = "") -> None:
    """Raises ``MachampError`` for scores that are NaN: labels of them would mean nothing."""
    if isinstance(scores, dict):
        for name, own in scores.items():
            _check_numbers(batch, own, name)
    elif isinstance(scores, tuple):
        for part in scores:
            _check_numbers(batch, part, task)
    elif isinstance(scores, torch.Tensor) and scores.is_floating_point() and bool(scores.isnan().any()):
        raise MachampError(
            f"{batch.examples[0].source}: the model cannot score its input (its scores for the task '{task}' are "
            "NaN); its weights or its config are damaged, or its training diverged"
        )


def _of_batch(
    model: Model,
    examples: Sequence[Example],
    places: list[int],
    make: Callable[[Batch, dict[str, Any]], T],
) -> Iterator[tuple[list[int], T]]:
    """The same of one batch, in halves if it does not fit the memory of a GPU."""
    batch, made = model.batch([examples[place] for place in places], only_annotated=False), None
    try:
        scores = model(batch)
        _check_numbers(batch, scores)
        made = make(batch, scores)
    except torch.OutOfMemoryError as error:
        if len(places) == 1:
            raise MachampError(
                f"{batch.examples[0].source}: the model cannot score its input (a sentence of "
                f"{len(batch.subword_ids)} subwords; {first_line(error)}); expected a shorter one, or --device -1"
            ) from error
    except Exception as error:
        if not _is_of_encoder(error):
            raise
        # With a traceback, for the log of a run.
        logger.error("the encoder raised an error", exc_info=error)
        raise MachampError(
            f"{batch.examples[0].source}: the model cannot score its input (its encoder raised {first_line(error)})"
        ) from error
    if made is not None:
        yield places, made
        return
    logger.warning(
        "%s: a batch of %d sentences and %d subwords does not fit the memory of the GPU: it is predicted in halves; "
        "a lower --batch_size saves the time of finding out",
        batch.examples[0].source,
        len(places),
        len(batch.subword_ids),
    )
    half = len(places) // 2
    for part in (places[:half], places[half:]):
        yield from _of_batch(model, examples, part, make)


def _is_of_encoder(error: Exception) -> bool:
    """Whether transformers raised an error in the encoder, whose files may not fit each other."""
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__)]
    is_of_library = "machamp_lite.model.encoder" in modules and not modules[-1].startswith("machamp_lite.")
    return is_of_library and not is_out_of_memory(error)


def autocast(model: Model) -> torch.autocast:
    """The precision of a model, as a context."""
    enabled = resolved(model.precision, model.device) == "bf16"
    return torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=enabled)


def evaluate(
    model: Model,
    dataset: str,
    examples: Sequence[Example],
    *,
    before_each: Callable[[], None] = lambda: None,
) -> MetricTracker:
    """The scores of every annotated task of a dataset; what ``before_each`` instance raises ends it."""
    tracker = MetricTracker(model.config.datasets[dataset].active().tasks)
    if isinstance(examples, ExampleStore):
        tracker.remarks = Remarks(examples.table.remarks)
    for place, labels in predict_labels(model, examples):
        before_each()
        example = examples[place]
        tracker.add(example.labels, labels, words=example.words)
    return tracker


def sum_of_main_metrics(scores: Mapping[str, Scores], tasks: Mapping[str, TaskOptions]) -> float:
    """The sum over datasets and tasks of the merit of the main metric, which is higher where the score is better."""
    total = 0.0
    for dataset_scores in scores.values():
        for task, values in dataset_scores.items():
            name = tasks[task].metric
            total += METRICS[name].selection_score(values[name])
    return total
