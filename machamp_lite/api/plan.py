"""How the inputs of one call are predicted."""

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from machamp_lite.api.arguments import named_arguments
from machamp_lite.api.inputs import sentence_of_record
from machamp_lite.api.prediction import Columns, Prediction
from machamp_lite.api.results import TaskResult, make_prediction
from machamp_lite.api.sentences import STREAM_CHUNK, Sentence
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.records import Record, in_chunks, read_records
from machamp_lite.data.span_schemes import has_spans, scheme_of
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.decoders import decoder_class
from machamp_lite.files.streams import AnyPath
from machamp_lite.inference.decisions import Decision
from machamp_lite.inference.engine import Decoded, rank_labels
from machamp_lite.model.multitask_model import Model


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The arguments of ``Predictor.predict`` that hold for all inputs, checked."""

    dataset: str | None
    tasks: Collection[str] | None
    top_k: int | None
    batch_size: int | None
    pre_tokenized: bool
    decision: Decision


@dataclass(frozen=True, slots=True)
class Plan:
    """How the inputs of one call are predicted; ``model`` has its decisions and its tasks."""

    model: Model
    dataset: str
    config: DatasetConfig
    reader: DatasetReader
    columns: Columns
    options: CallOptions

    @property
    def tasks(self) -> Mapping[str, TaskOptions]:
        """The predicted tasks."""
        return self.reader.config.tasks

    def predict_records(self, source: AnyPath) -> Iterator[Prediction]:
        """The prediction of each sentence or row of a file."""
        has_words = self.config.word_idx is not None
        records = read_records(source, file_format_of(self.config), required=self.config.text_columns())
        for chunk in in_chunks((record for record in records if record.rows), STREAM_CHUNK):
            sentences = [sentence_of_record(record, has_words=has_words) for record in chunk]
            with named_arguments():
                yield from self.predict(sentences, chunk)

    def predict(self, sentences: Sequence[Sentence], records: Sequence[Record]) -> Iterator[Prediction]:
        """The predictions of sentences, which are also given as records."""
        top_k, batch_size = self.options.top_k, self.options.batch_size
        # A sentence without words has no labels.
        kept = [index for index, record in enumerate(records) if record.words]
        by_record = self.reader.examples([records[index] for index in kept], [{} for _ in kept])
        owners = [index for index, examples in zip(kept, by_record, strict=True) for _ in examples]
        decoded = rank_labels(
            self.model,
            [example for examples in by_record for example in examples],
            top_n={task: top_k for task, own in self.tasks.items() if top_k and own.supports_top_k},
            confidence=top_k is not None and any(map(has_spans, self.tasks.values())),
            batch_size=batch_size,
        )
        found: list[list[Decoded]] = [[] for _ in sentences]
        for index, one in decoded:
            found[owners[index]].append(one)
        return (self._prediction(sentence, own) for sentence, own in zip(sentences, found, strict=True))

    def _prediction(self, sentence: Sentence, decoded: Sequence[Decoded]) -> Prediction:
        """The prediction of a sentence from the results of its examples, one per input type."""
        by_task = {task: own for own in decoded for task in own.labels}
        results = {
            task: _result(task, options, by_task[task]) for task, options in self.tasks.items() if task in by_task
        }
        return make_prediction(sentence, self.columns, results)


def _result(task: str, options: TaskOptions, decoded: Decoded) -> TaskResult:
    decoder, confidence = decoder_class(options), decoded.confidences.get(task)
    return TaskResult(
        labels=decoded.labels[task],
        ranked=decoded.ranked.get(task),
        has_heads=decoder.labels_are_arcs,
        as_value=decoder.as_value,
        scheme=scheme_of(options) if has_spans(options) else None,
        span_probabilities={} if confidence is None else dict(confidence.spans),
    )


def columns_of(config: DatasetConfig, tasks: Mapping[str, TaskOptions]) -> Columns:
    """The columns of a dataset, for some of its tasks."""
    words = {task: tuple(options.columns()) for task, options in tasks.items() if options.labels_words()}
    texts = {task: tuple(options.columns()) for task, options in tasks.items() if not options.labels_words()}
    inputs = (config.sent_idxs or ()) if config.word_idx is None else (config.word_idx,)
    return Columns(inputs=tuple(inputs), words=words, texts=texts)


def restricted(model: Model, dataset: str, tasks: Mapping[str, TaskOptions]) -> Model:
    """A copy of the model that scores only some tasks of a dataset."""
    copied = copy.copy(model)
    decoders = {task: decoder_class(options) for task, options in tasks.items()}
    copied.dataset_decoders = {**model.dataset_decoders, dataset: decoders}
    return copied
