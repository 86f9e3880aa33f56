"""Predicts the labels of files and records, and writes them."""

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from machamp_lite import progress
from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.records import FileFormat, Record, in_chunks, read_records, record_writer
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.dataset_reader import CHUNK, DatasetReader
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.dataloading.issues import IssueCounter
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import (
    ConfigError,
    DataError,
    FaultList,
    OutputError,
    first_items,
    shown_label,
)
from machamp_lite.files.streams import DISK_FAULTS, AnyPath, readable
from machamp_lite.inference.dataset_matching import describe, matching_dataset
from machamp_lite.inference.decisions import Decision, task_options, with_decision
from machamp_lite.inference.engine import rank_labels
from machamp_lite.inference.evaluation import MetricTracker, Scores
from machamp_lite.inference.file_pairs import check_pairs, scores_path
from machamp_lite.inference.input_checks import InputChecker
from machamp_lite.inference.raw_text import check_raw_text, raw_text_records
from machamp_lite.inference.scores_file import write_scores_file
from machamp_lite.inference.ud_scores import MAX_WORDS, official_scores, parsing_task
from machamp_lite.metrics.label_report import NONE
from machamp_lite.model.multitask_model import Model

logger = logging.getLogger(__name__)

CONNECTION, SEPARATOR = "=", "|"
# The end of the name of a comment with the confidence of a task.
CONFIDENCE = "_confidence"


def check_options(
    model: Model, dataset: str, *, raw_text: bool, pre_tokenized: bool, confidence: bool, decision: Decision
) -> None:
    """Raises ``ConfigError`` for an option that the dataset does not support."""
    config = find_dataset(model.config, dataset)
    if not config.active().tasks:
        raise ConfigError(
            f"{dataset}: every task is switched off (loss_weight 0), expected a dataset with tasks to predict"
        )
    if raw_text:
        check_raw_text(config, dataset, pre_tokenized=pre_tokenized)
    if confidence and config.word_idx is None:
        raise ConfigError(
            f"--confidence: {dataset} reads {describe(config)}, without comments; expected a dataset with word_idx, or "
            "--topn 2 for the probabilities of labels"
        )
    decision.check(config, dataset)


def predict_file(
    model: Model,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    dataset: str | None = None,
    raw_text: bool = False,
    pre_tokenized: bool = False,
    batch_size: int | None = None,
    max_sents: int | None = None,
    threshold: float | None = None,
    tau: float | None = None,
    min_confidence: float | None = None,
    plain: bool = False,
    decisions: Mapping[str, Mapping[str, Any]] | None = None,
    top_n: int | None = None,
    confidence: bool = False,
    conn: str = CONNECTION,
    sep: str = SEPARATOR,
    tracker: MetricTracker | None = None,
    warns: bool = True,
) -> Scores:
    """Predicts every task of a dataset for a file, and writes the file with the labels; all else is copied unchanged.

    Returns the scores of the tasks for which the file has gold labels, and writes them with the scores of each label
    to ``target.eval``. A ``tracker`` for the dataset's tasks collects them too. The options are those of
    ``predict.py``. Raises ``DataError`` if the file cannot be read, ``ConfigError`` if ``check_pairs`` finds a fault,
    and ``OutputError`` if the disk is full; then no file is written.

    The scores file has the number of gold labels that cannot be used; unless ``warns`` is false, so has a warning.

    ``-`` is standard input or output. Pipes and devices are written to during prediction, and have no scores file.
    """
    check_pairs([(source, target)], model_folder=model.folder)
    with readable(source) as source:
        name = matching_dataset(
            model.config, dataset, source, vocabularies=model.vocabularies, raw_text=raw_text
        )
        config = find_dataset(model.config, name)
        decision = Decision(
            threshold=threshold,
            tau=tau,
            min_confidence=min_confidence,
            plain=plain,
            tasks=task_options(model, decisions or {}, flag="decisions"),
        )
        flags = {"raw_text": raw_text, "pre_tokenized": pre_tokenized, "confidence": confidence}
        check_options(model, name, **flags, decision=decision)
        tracker = tracker or MetricTracker(config.tasks)
        faults = FaultList()
        # Raw text becomes lines with columns.
        file_format = FileFormat() if raw_text else file_format_of(config)
        if raw_text:
            records = raw_text_records(
                model, name, source, pre_tokenized=pre_tokenized, batch_size=batch_size, faults=faults
            )
        else:
            records = read_records(source, file_format, required=config.text_columns(), faults=faults)
        checker = InputChecker(str(source), config)
        if not raw_text:
            records = checker.watch(records)
        if max_sents is not None:
            records = _first(records, max_sents, faults, str(source))
        start, sentences = time.perf_counter(), 0
        with (
            writing(target),
            record_writer(target, source, file_format) as write,
        ):
            for record in predict_records(
                with_decision(model, name, decision),
                name,
                records,
                tracker=tracker,
                batch_size=batch_size,
                top_n=top_n,
                confidence=confidence,
                conn=conn,
                sep=sep,
                from_raw_text=raw_text,
            ):
                write(record)
                sentences += bool(record.rows)
    seconds = time.perf_counter() - start
    logger.debug("%s: %d sentences in %.1f s, %.0f per second", source, sentences, seconds, sentences / seconds)
    scores_file = scores_path(target)
    if scores_file is not None:
        with writing(scores_file):
            write_scores_file(
                tracker,
                scores_file,
                eval_format=model.config.params.training.eval_format,
                official={} if raw_text else official_ud_scores(tracker, config, source, target),
            )
    if warns:
        for line in (*checker.warnings(), *gold_warnings(tracker, source, model.vocabularies)):
            logger.warning("%s", line)
    return tracker.scores()


def official_ud_scores(
    tracker: MetricTracker, config: DatasetConfig, source: AnyPath, target: AnyPath
) -> dict[str, Mapping[str, float]]:
    """The official UD scores by the task that parses; empty unless gold and predicted files are valid CoNLL-U."""
    task = parsing_task(config, source)
    counts = {} if task is None else tracker.counts().get(task, {})
    if task is None or not 0 < counts.get("scored_words", 0) <= MAX_WORDS:
        return {}
    scores = official_scores(source, target, columns=config.label_columns())
    return {task: scores} if scores else {}


def label_numbers(config: DatasetConfig, top_n: int | None) -> dict[str, int]:
    """How many labels per item are written, for the tasks that write several; ``top_n`` overrides that of the tasks."""
    tasks = {task: options for task, options in config.active().tasks.items() if options.supports_top_k}
    return {task: number for task, options in tasks.items() if (number := top_n or options.topn) > 1}


def gold_warnings(
    tracker: MetricTracker, source: AnyPath, vocabularies: Mapping[str, Vocabulary]
) -> Iterator[str]:
    """Warnings about gold labels of a predicted file: unusual ones, and tasks of which the model knows none."""
    yield from tracker.issues.warnings(str(source), excluded_from="the scores")
    yield from (f"{source}: {line}" for line in tracker.warnings())
    for task, scores in tracker.label_scores().items():
        gold = [label for label in scores.marginals()[0] if label != NONE]
        known = scores.names(vocabularies[task].labels)
        if gold and tracker.are_classes(task) and known.isdisjoint(gold):
            yield (
                f"{source}: task '{task}': the model knows none of the gold labels, so that all count as wrong: "
                f"{first_items(list(map(shown_label, gold)))}; does the file have the columns of the training data?"
            )


def predict_records(
    model: Model,
    dataset: str,
    records: Iterable[Record],
    *,
    tracker: MetricTracker | None = None,
    batch_size: int | None = None,
    top_n: int | None = None,
    confidence: bool = False,
    conn: str = CONNECTION,
    sep: str = SEPARATOR,
    from_raw_text: bool = False,
) -> Iterator[Record]:
    """Yields records in order with predicted labels; a ``tracker`` scores their gold labels first.

    If a task's ``topn`` (or ``top_n``, for all tasks) is above 1, each label is followed by the next best ones. With
    ``confidence``, comments have the probabilities of all labels of a sentence and of spans. With ``from_raw_text``,
    the words are predicted, so tasks on raw text have no gold labels and are skipped.
    """
    config = find_dataset(model.config, dataset).active()
    decoders = {task: decoder_class(options) for task, options in config.tasks.items()}
    ranked_tasks = label_numbers(config, top_n)
    # A task does not overwrite its own input.
    unwritten = config.text_tasks()
    replaced = _replaced_tasks(config)
    for task, column in unwritten.items():
        message = "%s: the labels of the task '%s' are not written: column %s is one of the texts (sent_idxs)"
        logger.warning(message, dataset, task, column)
    if from_raw_text:
        tasks = {task: options for task, options in config.tasks.items() if options.input_type != "raw"}
        config = config.model_copy(update={"tasks": tasks})
    reader = DatasetReader(
        name=dataset, config=config, tokenizer=model.tokenizer, vocabularies=model.vocabularies
    )
    issues = IssueCounter() if tracker is None else tracker.issues
    watch = None if tracker is None else partial(tracker.calibration.add, model)
    with progress.bar(f"predicting {dataset}") as advance:
        for chunk in in_chunks(records, CHUNK):
            with_words = [record for record in chunk if record.rows]
            by_record = reader.examples(with_words, reader.read_labels(with_words, issues))
            pairs = [(record, one) for record, several in zip(with_words, by_record, strict=True) for one in several]
            examples = [example for _, example in pairs]
            found = rank_labels(
                model, examples, top_n=ranked_tasks, confidence=confidence, batch_size=batch_size, watch=watch
            )
            for index, (labels, ranked, confidences) in found:
                record, example = pairs[index]
                advance(1)
                if tracker is not None:
                    tracker.add(example.labels, labels, words=example.words)
                # In the order of the config: of tasks that share a column, the labels of the last one are kept.
                for task in (task for task in config.tasks if task in labels.keys() - unwritten.keys() - replaced):
                    decoder, options = decoders[task], config.tasks[task]
                    if task in ranked:
                        decoder.write_ranked(record, ranked[task], task=task, config=options, conn=conn, sep=sep)
                    else:
                        decoder.write_labels(record, labels[task], task=task, config=options)
                    if task in confidences and options.supports_top_k:
                        record.set_comment(f"{task}{CONFIDENCE}", confidences[task].as_text())
            yield from chunk


def _replaced_tasks(config: DatasetConfig) -> set[str]:
    """The tasks whose labels would be overwritten by those of a later task with the same columns."""
    shared = config.shared_columns()
    return {
        task
        for task, options in config.tasks.items()
        if options.columns() and all(shared.get(column, [task])[-1] != task for column in options.columns())
    }


def _first(records: Iterable[Record], number: int, faults: FaultList, path: str) -> Iterator[Record]:
    """The records of the first ``number`` sentences; then raises ``DataError`` if faults were found."""
    sentences = 0
    for record in records:
        yield record
        sentences += bool(record.rows)
        if sentences == number:
            break
    if faults.count:
        raise DataError(faults.lines(path))


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns a system error about an output into an error of one line, unless the reader has closed a pipe."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename != str(Path(path)):
            raise
        kind = (
            OutputError if error.errno in DISK_FAULTS or not os.path.isdir(Path(path).parent) else ConfigError
        )
        raise kind(f"{path}: cannot be written ({error.strerror or error})") from None
