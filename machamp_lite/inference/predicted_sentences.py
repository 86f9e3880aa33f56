"""Sentences of a file with gold labels and the labels that a model predicts, or has predicted, for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import InputType, TaskOptions
from machamp_lite.data.formats import format_of
from machamp_lite.data.records import Record, read_records
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.dataloading.issues import IssueCounter
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import DataError, shorten
from machamp_lite.inference.engine import predict_labels
from machamp_lite.model.multitask_model import Model

# The input types of tasks that write labels beside their input.
LABELLED_TEXT: Sequence[InputType] = ("words", "subwords")


@dataclass(frozen=True, slots=True)
class PredictedSentence:
    """One sentence: FILE:LINE, its words or texts, and its gold and predicted labels by task."""

    source: str
    words: tuple[str, ...]
    gold: Mapping[str, list[Any]]
    predicted: Mapping[str, list[Any]]


@dataclass(frozen=True, slots=True)
class PredictedFile:
    """The sentences of a file that have gold labels, and the options of their tasks."""

    tasks: Mapping[str, TaskOptions]
    sentences: list[PredictedSentence]


def predict_sentences(model: Model, dataset: str, path: str | Path, *, task: str | None = None) -> PredictedFile:
    """Predicts all tasks of a file with gold labels, or one task; writes nothing.

    Raises ``DataError`` if the file cannot be read.
    """
    config = find_dataset(model.config, dataset).active()
    if task is not None:
        config = config.model_copy(update={"tasks": {task: config.tasks[task]}})
    reader = DatasetReader(name=dataset, config=config, tokenizer=model.tokenizer, vocabularies=model.vocabularies)
    examples = reader.read_evaluation(path)
    found = dict(predict_labels(model, examples))
    sentences = []
    for index in sorted(found):
        example = examples[index]
        gold = {task: labels for task, labels in example.labels.items() if task in found[index]}
        sentences.append(PredictedSentence(example.source, tuple(example.words), gold, found[index]))
    return PredictedFile(config.tasks, sentences)


class OtherSentencesError(DataError):
    """Predictions whose words or texts are not those of the file with gold labels."""


def read_predictions(
    config: DatasetConfig,
    *,
    source: str | Path,
    predicted: str | Path,
    input_types: Sequence[InputType] = LABELLED_TEXT,
    issues: IssueCounter | None = None,
) -> PredictedFile:
    """Reads the predictions that were written for a file with gold labels, for tasks of some input types.

    Gold labels that cannot be scored are left out and counted in ``issues``. Raises ``OtherSentencesError`` if the
    files differ in more than labels, and ``DataError`` for other faults.
    """
    tasks = readable_tasks(config, input_types)
    config = config.active().model_copy(update={"tasks": tasks})
    # Reading labels needs no subwords.
    no_tokenizer: Any = None
    reader = DatasetReader(name="", config=config, tokenizer=no_tokenizer, vocabularies={})
    pairs = list(paired_records(config, source, predicted))
    # Of sentences whose labels cannot be scored, the others are compared.
    issues = IssueCounter() if issues is None else issues
    gold = reader.read_labels([record for record, _ in pairs], issues) if pairs else []
    sentences = []
    for (record, output), labels in zip(pairs, gold, strict=True):
        found = {}
        for task in labels:
            read = decoder_class(tasks[task]).read_labels(output, task=task, config=tasks[task])
            if read is None:
                raise DataError(f"{output.where()}: found no label of task '{task}', expected a predicted one")
            found[task] = read
        sentences.append(PredictedSentence(record.where(), tuple(record.words), labels, found))
    return PredictedFile(tasks, sentences)


def readable_tasks(
    config: DatasetConfig, input_types: Sequence[InputType] = LABELLED_TEXT
) -> dict[str, TaskOptions]:
    """The tasks of some input types whose labels can be read back from predictions.

    Those with several labels per item, or with the columns of another task are left out. Predictions of tasks on raw
    text are the words of a file, unless the file had its words before.
    """
    config, shared = config.active(), config.shared_columns()
    return {
        task: options
        for task, options in config.tasks.items()
        if options.input_type in input_types
        and not options.writes_several
        and task not in config.text_tasks()
        and not any(column in shared for column in options.columns())
    }


def paired_records(
    config: DatasetConfig, source: str | Path, predicted: str | Path
) -> Iterator[tuple[Record, Record]]:
    """The records of a file and those of its predictions; raises ``OtherSentencesError`` if their words differ.

    If all tasks read raw text, the words are predicted, and ``# text`` is compared instead.
    """
    is_raw = all(options.input_type == "raw" for options in config.tasks.values())
    # Predictions have the format of the source, whatever their suffix.
    file_format = replace(file_format_of(config), name=format_of(source, config.format))
    files = [
        filter(lambda record: record.rows, read_records(path, file_format, required=config.text_columns()))
        for path in (source, predicted)
    ]
    for record, output in zip_longest(*files):
        if record is None:
            raise OtherSentencesError(f"{output.where()}: found more sentences than in {source}, expected as many")
        if output is None:
            raise OtherSentencesError(f"{predicted}: ends before the sentence of {record.where()}, expected it too")
        texts = [[str(one.comment("text"))] if is_raw else one.words for one in (record, output)]
        if texts[0] != texts[1]:
            row = next(row for row, (one, other) in enumerate(zip_longest(*texts)) if one != other)
            places = [one.where(row if row < len(one.rows) else None) for one in (record, output)]
            expected, found = (f"'{shorten(own[row])}'" if row < len(own) else "no word" for own in texts)
            raise OtherSentencesError(
                f"{places[1]}: found {found} where {places[0]} has {expected}, expected the predictions of {source}"
            )
        yield record, output
