"""Runs a model on examples in batches, and returns labels, the best labels of each item, or scores."""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from machamp_lite.config.schema import BatchingParams
from machamp_lite.data.segments import MAX_PART_SUBWORDS, MAX_TEXT_SUBWORDS, Segments, split_segments
from machamp_lite.dataloading.batch import Batch
from machamp_lite.dataloading.batch_sampler import make_batches
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders.confidence import Confidence, join_confidences
from machamp_lite.errors import MachampError, first_line
from machamp_lite.model.encoder import EncoderError
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.precision import resolved

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Decoded(NamedTuple):
    """The decoded labels of one sentence, the best labels of its items, and confidences, by task."""

    labels: dict[str, list[Any]]
    ranked: dict[str, list[Any]]
    confidences: dict[str, Confidence]


def predict_labels(
    model: Model, examples: Sequence[Example], *, batch_size: int | None = None
) -> Iterator[tuple[int, dict[str, list[Any]]]]:
    """Yields the index of each example and its predicted labels by task, ordered by length and not by index."""
    for index, prediction in rank_labels(model, examples, top_n={}, batch_size=batch_size):
        yield index, prediction.labels


def rank_labels(
    model: Model,
    examples: Sequence[Example],
    *,
    top_n: Mapping[str, int],
    confidence: bool = False,
    batch_size: int | None = None,
    watch: Callable[[Batch, dict[str, Any]], None] | None = None,
) -> Iterator[tuple[int, Decoded]]:
    """Yields the index of each example and its prediction, ordered by length and not by index.

    It has the ``top_n`` best labels of each item of some tasks, and with ``confidence`` those of all tasks that have
    probabilities. ``watch`` gets each batch with its scores.
    """
    split = [split_long_example(example) for example in examples]
    owners = [(index, number) for index, parts in enumerate(split) for number in range(len(parts))]
    if long := [parts[0] for parts in split if len(parts) > 1]:
        what, verb = ("a sentence", "is") if len(long) == 1 else (f"the first of {len(long)} sentences", "which are")
        message = "%s: %s with more than %d subwords %s predicted in parts"
        logger.warning(message, long[0].source, what, MAX_PART_SUBWORDS, verb)

    def labels_of(batch: Batch, scores: dict[str, Any]) -> list[Decoded]:
        ranked = _best_labels(model, batch, scores, top_n)
        confidences = _confidences(model, batch, scores if confidence else {})
        labels = list(map(Decoded, model.labels(batch, scores), ranked, confidences))
        # Last, because a batch that does not fit in memory is predicted again in halves.
        if watch is not None:
            watch(batch, scores)
        return labels

    incomplete: dict[int, dict[int, Decoded]] = {}
    all_parts = [part for parts in split for part in parts]
    for indices, found in _in_batches(model, all_parts, labels_of, batch_size=batch_size):
        for index, labels in zip(indices, found, strict=True):
            owner, number = owners[index]
            done = incomplete.setdefault(owner, {})
            done[number] = labels
            if len(done) == len(split[owner]):
                yield owner, _join_parts(model, [done[number] for number in sorted(incomplete.pop(owner))])


def _best_labels(
    model: Model, batch: Batch, scores: dict[str, Any], top_n: Mapping[str, int]
) -> list[dict[str, list[Any]]]:
    """The best labels of each sentence for the tasks of ``top_n``."""
    ranked: list[dict[str, list[Any]]] = [{} for _ in batch.examples]
    for task in top_n.keys() & scores.keys():
        sentences = batch.tasks[task].sentences
        words = [batch.examples[sentence].words for sentence in sentences]
        items = model.decoder(task).rank(scores[task], words, top_n=top_n[task])
        for sentence, best in zip(sentences, items, strict=True):
            ranked[sentence][task] = best
    return ranked


def _confidences(model: Model, batch: Batch, scores: Mapping[str, Any]) -> list[dict[str, Confidence]]:
    """How sure the model is of each sentence, for the tasks that have probabilities."""
    found: list[dict[str, Confidence]] = [{} for _ in batch.examples]
    for task in scores:
        sentences = batch.tasks[task].sentences
        words = [batch.examples[sentence].words for sentence in sentences]
        confidences = model.decoder(task).confidences(scores[task], words)
        for sentence, confidence in zip(sentences, confidences or [], strict=confidences is not None):
            found[sentence][task] = confidence
    return found


def _join_parts(model: Model, parts: Sequence[Decoded]) -> Decoded:
    """Joins the predictions of the parts of a sentence."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return Decoded(
        {task: model.decoder(task).join([part.labels[task] for part in parts]) for task in first.labels},
        {task: model.decoder(task).join_ranked([part.ranked[task] for part in parts]) for task in first.ranked},
        {
            task: join_confidences([part.confidences[task] for part in parts])
            if model.decoder(task).Options.level == "word"
            else confidence
            for task, confidence in first.confidences.items()
        },
    )


def score_batches(
    model: Model, examples: Sequence[Example], *, batch_size: int | None = None
) -> Iterator[tuple[list[int], Batch, dict[str, Any]]]:
    """Yields the indices of the examples of each batch, the batch, and the scores of its tasks."""
    for indices, (batch, scores) in _in_batches(
        model, examples, lambda batch, scores: (batch, scores), batch_size=batch_size
    ):
        yield indices, batch, scores


def _in_batches(
    model: Model,
    examples: Sequence[Example],
    make: Callable[[Batch, dict[str, Any]], T],
    *,
    batch_size: int | None,
) -> Iterator[tuple[list[int], T]]:
    """Yields the indices of the examples of each batch, and the result of ``make`` for the batch and its scores."""
    was_training = model.training
    if was_training:
        # Visiting all modules takes a tenth of the time of one sentence.
        model.eval()
    try:
        with torch.inference_mode(), autocast(model):
            for indices in prediction_batches(examples, model.config.params.batching, batch_size=batch_size):
                yield from _run_batch(model, examples, indices, make)
    finally:
        if was_training:
            model.train()


def prediction_batches(
    examples: Sequence[Example], batching: BatchingParams, *, batch_size: int | None = None
) -> list[list[int]]:
    """The indices of the examples of each batch; examples of similar length are together."""
    # Prediction stores no gradients, so four times as many subwords fit in memory as in a training step.
    sizes = {"max_tokens": 4 * batching.max_tokens, "batch_size": batch_size or 4 * batching.batch_size}
    lengths = np.array([example.segments.longest for example in examples])
    segments = np.array([len(example.segments.segment_starts) for example in examples])
    return make_batches(
        np.argsort(lengths, kind="stable"), lengths, segments, batching.model_copy(update=sizes)
    )


def _check_numbers(batch: Batch, scores: Any, task: str = "") -> None:
    """Raises ``MachampError`` for scores that are NaN, from which no label can be decoded."""
    if isinstance(scores, dict):
        for name, task_scores in scores.items():
            _check_numbers(batch, task_scores, name)
    elif isinstance(scores, tuple):
        for part in scores:
            _check_numbers(batch, part, task)
    elif isinstance(scores, torch.Tensor) and scores.is_floating_point() and bool(scores.isnan().any()):
        raise MachampError(
            f"{batch.examples[0].source}: the model cannot score its input (its scores for the task '{task}' are "
            "NaN); its weights or its config are damaged, or its training diverged"
        )


def _run_batch(
    model: Model,
    examples: Sequence[Example],
    indices: list[int],
    make: Callable[[Batch, dict[str, Any]], T],
) -> Iterator[tuple[list[int], T]]:
    """Yields the result for one batch, or those of its halves if it does not fit in the memory of the GPU."""
    batch, made = model.batch([examples[index] for index in indices], only_annotated=False), None
    try:
        scores = model(batch)
        _check_numbers(batch, scores)
        made = make(batch, scores)
    except torch.OutOfMemoryError as error:
        if len(indices) == 1:
            raise MachampError(
                f"{batch.examples[0].source}: the model cannot score its input (a sentence of "
                f"{len(batch.subword_ids)} subwords; {first_line(error)}); expected a shorter one, or --device -1"
            ) from error
    except EncoderError as error:
        # The log of a run needs the traceback.
        logger.error("the encoder raised an error", exc_info=error)
        cause = first_line(error.__cause__ or error)
        raise MachampError(
            f"{batch.examples[0].source}: the model cannot score its input (its encoder raised {cause})"
        ) from error
    if made is not None:
        yield indices, made
        return
    logger.warning(
        "%s: a batch of %d sentences and %d subwords does not fit the memory of the GPU, so it is predicted in "
        "halves; a lower --batch_size avoids this",
        batch.examples[0].source,
        len(indices),
        len(batch.subword_ids),
    )
    half = len(indices) // 2
    for part in (indices[:half], indices[half:]):
        yield from _run_batch(model, examples, part, make)


def autocast(model: Model) -> torch.autocast:
    """A context in which a model computes in its precision."""
    enabled = resolved(model.precision, model.device) == "bf16"
    return torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=enabled)


def split_long_example(example: Example) -> list[Example]:
    """The example itself, or its parts without labels, each with as many segments as fit ``MAX_PART_SUBWORDS``."""
    is_text = not len(example.segments.word_ends) or example.input_type == "subwords"
    limit = MAX_TEXT_SUBWORDS if is_text else MAX_PART_SUBWORDS
    parts = split_segments(example.segments, is_text=is_text, max_subwords=limit)
    if parts[0][0] is example.segments:
        return [example]
    return [_part(example, segments, words) for segments, words in parts]


def _part(example: Example, segments: Segments, chosen: slice) -> Example:
    words, ids, items = example.words, example.dataset_ids, len(example.segments.word_ends)
    return dataclasses.replace(
        example,
        segments=segments,
        words=words[chosen] if len(words) == items else words,
        dataset_ids=ids[chosen] if ids is not None and len(ids) == items else ids,
        labels={},
        gold={},
        gold_items={},
    )
