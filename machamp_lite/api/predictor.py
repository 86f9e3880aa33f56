"""A loaded model that predicts texts, words and files."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import Any, TypeAlias, TypedDict, Unpack, overload

from machamp_lite import progress as progress_bars
from machamp_lite.api.arguments import named_arguments
from machamp_lite.api.inputs import choose_datasets, read_sentences
from machamp_lite.api.plan import CallOptions, Plan, columns_of, restricted
from machamp_lite.api.prediction import Prediction
from machamp_lite.api.sentences import (
    STREAM_CHUNK,
    Input,
    check_input,
    check_sizes,
    choose_tasks,
    is_single,
)
from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.config.schema import Config
from machamp_lite.data.raw_text import read_raw_text
from machamp_lite.data.raw_text_tokenizer import RawTextTokenizer
from machamp_lite.dataloading.dataset_reader import CHUNK, DatasetReader
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.inference.dataset_matching import matching_dataset
from machamp_lite.inference.decisions import Decision, task_options, with_options
from machamp_lite.inference.evaluation import Scores
from machamp_lite.inference.predictor import CONNECTION, SEPARATOR, predict_file
from machamp_lite.inference.raw_text import check_raw_text
from machamp_lite.model.multitask_model import Model

# Options of how labels are written.
_WRITING = ("top_k", "confidence", "conn", "sep")

# Type checkers do not accept a ``list[str]`` as a ``list[Input]``.
Inputs: TypeAlias = list[str] | list[tuple[str, ...]] | list[tuple[str, str]] | list[list[str]] | list[Input]


class CallArguments(TypedDict, total=False):
    """The keyword arguments that ``predict`` and ``stream_file`` have in common."""

    dataset: str | None
    tasks: Collection[str] | None
    top_k: int | None
    batch_size: int | None
    pre_tokenized: bool
    threshold: float | None
    tau: float | None
    min_confidence: float | None
    plain: bool
    decisions: Mapping[str, Mapping[str, Any]] | None


class PredictOptions(CallArguments, total=False):
    """The keyword arguments of ``Predictor.predict``."""

    progress: bool


class Predictor:
    """A trained model, see ``load``. Several threads may use it at once.

    ``model`` is the ``torch.nn.Module``, ``config`` its config.

        model = machamp_lite.load("runs/mine")
        model.predict("Trains run late.").labels["upos"]
        [one.tree().heads for one in model.predict(["Trains run late.", "Yes!"])]
    """

    def __init__(self, model: Model) -> None:
        # Not in each call: threads would switch on each other's dropout.
        self.model = model.eval()
        self._readers: dict[tuple[str, tuple[str, ...]], DatasetReader] = {}

    def __repr__(self) -> str:
        return f"Predictor({str(self.model.folder)!r}, tasks={list(self.tasks)}, device={self.device!r})"

    @property
    def config(self) -> Config:
        """The config of the model."""
        return self.model.config

    @property
    def tasks(self) -> Mapping[str, str]:
        """The task type of each task that is predicted."""
        tasks = self.config.tasks().items()
        return {task: options.task_type for task, options in tasks if options.is_on}

    @property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """The labels of each task with classes, as in the training data."""
        return {
            task: tuple(self.model.vocabularies[task].labels)
            for task, options in self.config.tasks().items()
            if options.has_classes and decoder_class(options).labels_are_classes
        }

    @property
    def device(self) -> str:
        """The device of the weights, such as cpu or cuda:0."""
        return str(self.model.device)

    @cached_property
    def _raw_text(self) -> RawTextTokenizer:
        return RawTextTokenizer(self.model.tokenizer)

    @overload
    def predict(self, inputs: str | tuple[str, ...], **options: Unpack[PredictOptions]) -> Prediction: ...

    @overload
    def predict(self, inputs: Inputs, **options: Unpack[PredictOptions]) -> list[Prediction]: ...

    @overload
    def predict(self, inputs: Iterator[Input], **options: Unpack[PredictOptions]) -> Iterator[Prediction]: ...

    def predict(
        self,
        inputs: Any,
        *,
        dataset: str | None = None,
        tasks: Collection[str] | None = None,
        top_k: int | None = None,
        batch_size: int | None = None,
        pre_tokenized: bool = False,
        progress: bool = False,
        threshold: float | None = None,
        tau: float | None = None,
        min_confidence: float | None = None,
        plain: bool = False,
        decisions: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Any:
        """Predicts one input, a list of inputs, or a stream of them.

        An input is a text (a string), or a tuple of strings: the words of a sentence, or the texts of a row for a model
        of pairs. A list is several inputs, each a string, a tuple or a list of strings; its result is a list with one
        ``Prediction`` per input. An iterator is a stream: its predictions are yielded in order as they are made, and
        only some hundred inputs are in memory.

        Args:
            inputs: One input, a list or an iterator.
            dataset: The dataset of the model whose tasks are predicted; ``A+B`` for those of two. By default all that
                can read the first input.
            tasks: The tasks to predict; by default all.
            top_k: How many of the best labels of each item ``probabilities`` has. Without it, there are none.
            batch_size: The most sentences per batch.
            pre_tokenized: Whether texts are split into words at white space only. By default, the ``tok`` task of the
                model splits them, or without one Unicode word boundaries.
            progress: Whether to draw a progress bar.
            threshold: The probability above which labels of multiseq and multiclas are predicted.
            tau: The strength of the correction for the frequency of labels in seq and classification.
            min_confidence: The probability below which spans of seq_bio are dropped.
            plain: Whether the most probable labels are predicted, whatever the decisions of the model.
            decisions: Options of single tasks that decide, such as ``{"intent": {"tau": 0.5}}``.

        Raises:
            ConfigError: for an option that does not fit the model.
            DataError: for something that is no input.
        """
        options = self._options(
            dataset=dataset,
            tasks=tasks,
            top_k=top_k,
            batch_size=batch_size,
            pre_tokenized=pre_tokenized,
            threshold=threshold,
            tau=tau,
            min_confidence=min_confidence,
            plain=plain,
            decisions=decisions,
        )
        has_one = is_single(inputs)
        is_stream = not has_one and not isinstance(inputs, Sequence)
        stream = self._stream([inputs] if has_one else inputs, options, size=STREAM_CHUNK if is_stream else CHUNK)
        found = progress_bars.track(stream, "predicting", is_shown=progress)
        if is_stream:
            return found
        predictions = list(found)
        return predictions[0] if has_one else predictions

    def stream_file(
        self,
        source: str | os.PathLike[str],
        *,
        raw_text: bool = False,
        progress: bool = False,
        **options: Unpack[CallArguments],
    ) -> Iterator[Prediction]:
        """The prediction of each sentence or row of a file, in order; only some hundred are in memory.

        Tokens have their offsets in the comment ``# text``, if it has the words of the sentence. With ``raw_text``,
        each line is a text. The other options are those of ``predict``. Gold labels are not read.
        """
        own = self._options(**options)
        with named_arguments():
            name = matching_dataset(
                self.config, own.dataset, source, vocabularies=self.model.vocabularies, raw_text=raw_text
            )
            plan = self._plan(own, name)
            if raw_text:
                check_raw_text(plan.config, name, pre_tokenized=own.pre_tokenized)
        if raw_text:
            texts = (text for _, text in read_raw_text(source))
            found = self._stream(texts, replace(own, dataset=name), size=STREAM_CHUNK)
        else:
            found = plan.predict_records(source)
        return progress_bars.track(found, "predicting", is_shown=progress)

    def _options(self, **given: Unpack[CallArguments]) -> CallOptions:
        """The checked options of a call."""
        top_k, batch_size = given.get("top_k"), given.get("batch_size")
        check_sizes(top_k=top_k, batch_size=batch_size)
        decision = Decision(
            threshold=given.get("threshold"),
            tau=given.get("tau"),
            min_confidence=given.get("min_confidence"),
            plain=given.get("plain", False),
            tasks=task_options(self.model, given.get("decisions") or {}, flag="decisions"),
        )
        pre_tokenized = given.get("pre_tokenized", False)
        return CallOptions(given.get("dataset"), given.get("tasks"), top_k, batch_size, pre_tokenized, decision)

    def _stream(self, inputs: Iterable[Any], options: CallOptions, *, size: int) -> Iterator[Prediction]:
        checked = (check_input(given, number) for number, given in enumerate(inputs, 1))
        plan, first = None, 1
        while chunk := list(islice(checked, size)):
            with named_arguments():
                plan = plan or self._plan(options, options.dataset or choose_datasets(self.config, chunk[0]))
                sentences = read_sentences(
                    self.model,
                    plan.dataset,
                    plan.config,
                    chunk,
                    first=first,
                    pre_tokenized=options.pre_tokenized,
                    raw_text=self._raw_text,
                    batch_size=options.batch_size,
                )
                has_words = plan.config.word_idx is not None
                records = [one.record(number, has_words=has_words) for number, one in enumerate(sentences, first)]
                yield from plan.predict(sentences, records)
            first += len(chunk)

    def _plan(self, options: CallOptions, name: str) -> Plan:
        """What a call needs; raises ``ConfigError`` for options that do not fit the dataset."""
        config = find_dataset(self.config, name).active()
        # Masked subwords have no labels, and a text is split into words before.
        predicted = {task: own for task, own in config.tasks.items() if own.input_type in ("words", "subwords")}
        chosen = choose_tasks(predicted, options.tasks)
        options.decision.check(config, name)
        model = with_options(self.model, options.decision.changes(config))
        if chosen.keys() < config.tasks.keys():
            model = restricted(model, name, chosen)
        key = (name, tuple(chosen))
        if key not in self._readers:
            self._readers[key] = DatasetReader(
                name=name,
                config=config.model_copy(update={"tasks": chosen}),
                tokenizer=model.tokenizer,
                vocabularies=model.vocabularies,
            )
        return Plan(model, name, config, self._readers[key], columns_of(config, chosen), options)

    def predict_file(
        self,
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
        top_k: int | None = None,
        confidence: bool = False,
        conn: str = CONNECTION,
        sep: str = SEPARATOR,
        progress: bool = False,
    ) -> Scores:
        """Predicts a file as ``predict.py`` does: writes it with labels, and its scores to ``TARGET.eval``.

        Args:
            source: The file, in any format that the dataset reads.
            target: The new file, which has the labels and is otherwise unchanged.
            raw_text: Whether the source is a text with one sentence per line.
            max_sents: The number of sentences after which prediction ends.
            top_k: How many labels per item are written, with their probabilities.
            confidence: Whether comments have the probabilities of whole sentences and spans.
            conn: The string between a label and its probability.
            sep: The string between several labels.

        The other arguments are those of ``predict``. Returns {task: {metric: value}} for the tasks that have gold
        labels in the source.

        Raises:
            ConfigError: for an option that does not fit the model, or a target that would replace another file.
            DataError: if the source cannot be read.
        """
        with named_arguments(), progress_bars.shown(progress):
            return predict_file(
                self.model,
                source,
                target,
                dataset=dataset,
                raw_text=raw_text,
                pre_tokenized=pre_tokenized,
                batch_size=batch_size,
                max_sents=max_sents,
                threshold=threshold,
                tau=tau,
                min_confidence=min_confidence,
                plain=plain,
                decisions=decisions,
                top_n=top_k,
                confidence=confidence,
                conn=conn,
                sep=sep,
            )

    def evaluate(self, source: str | os.PathLike[str], **options: Any) -> Scores:
        """The scores of a file with gold labels, {task: {metric: value}}; nothing is written.

        The options are those of ``predict_file``, except for those of how labels are written. Raises ``DataError`` if
        the file has no gold labels.
        """
        if unused := [name for name in _WRITING if name in options]:
            raise ConfigError(f"{name}: has no effect in evaluate, which writes no labels" for name in unused)
        scores = self.predict_file(source, os.devnull, **options)
        if not scores:
            raise DataError(f"{source}: found no gold labels of the model's tasks, expected some to score predictions")
        return scores
