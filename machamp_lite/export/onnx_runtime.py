"""Predicts with a folder of ``machamp-lite export --onnx``, with ONNX Runtime, and without torch and transformers."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict, Unpack, overload

from safetensors.numpy import load_file

from machamp_lite import progress as progress_bars
from machamp_lite.api.prediction import Columns, Prediction
from machamp_lite.api.results import TaskResult, make_prediction
from machamp_lite.api.sentences import (
    STREAM_CHUNK,
    Input,
    Sentence,
    check_input,
    check_sizes,
    choose_tasks,
    is_single,
    sentence_of_words,
    tokens_in,
)
from machamp_lite.config.joint_datasets import JOIN
from machamp_lite.data.raw_text import split_at_white_space, split_at_word_boundaries
from machamp_lite.data.segments import MAX_PART_SUBWORDS, MAX_TEXT_SUBWORDS, split_segments
from machamp_lite.data.span_schemes import SCHEMES
from machamp_lite.data.span_schemes import Span as WordSpan
from machamp_lite.errors import (
    ConfigError,
    DataError,
    counted,
    did_you_mean,
    first_line,
    missing_packages_line,
)
from machamp_lite.export.decoding import DECODINGS, Arrays, RankedItem, TaskDecoding
from machamp_lite.export.manifest import ARRAYS, GRAPH, TOKENIZER, ExportedDataset, Manifest, read_manifest
from machamp_lite.export.onnx_inputs import ExportedTokenizer, Part, batches, graph_inputs

_PACKAGES = ("onnxruntime", "tokenizers")
_BATCH_SIZE = 32
# Arguments of ``Predictor.predict`` with their defaults: the decisions of an exported model are part of its folder.
_DECISIONS = {"threshold": None, "tau": None, "min_confidence": None, "plain": False, "decisions": None}


@dataclass(frozen=True, slots=True)
class _Decoded:
    """The labels of one task and sentence; the rest only with ``top_k``."""

    labels: list[Any]
    ranked: list[RankedItem] | None
    spans: Mapping[Any, float]


@dataclass(frozen=True, slots=True)
class _Options:
    """The arguments of ``OnnxModel.predict``, checked."""

    dataset: str | None
    tasks: Collection[str] | None
    top_k: int | None
    batch_size: int
    pre_tokenized: bool


class PredictOptions(TypedDict, total=False):
    """The keyword arguments of ``OnnxModel.predict``."""

    dataset: str | None
    tasks: Collection[str] | None
    top_k: int | None
    batch_size: int | None
    pre_tokenized: bool
    progress: bool


class OnnxModel:
    """A model in ONNX Runtime, see ``load_onnx``. Several threads may use it at once."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        check_sizes(threads=threads)
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        if missing := [name for name in _PACKAGES if find_spec(name) is None]:
            raise ConfigError(missing_packages_line(str(folder), missing, extra="onnx"))
        import onnxruntime

        self._tokenizer = ExportedTokenizer(folder / TOKENIZER, self.manifest.tokenizer)
        arrays = load_file(folder / ARRAYS)
        self._decodings = {
            task: _decoding(self.manifest, number, arrays) for number, task in enumerate(self.manifest.tasks)
        }
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            providers = ["CPUExecutionProvider"]
            self._session = onnxruntime.InferenceSession(folder / GRAPH, options, providers=providers)
        except Exception as error:
            # The package raises plain exceptions.
            raise ConfigError(f"{folder / GRAPH}: cannot be loaded ({first_line(error)})") from None
        self._inputs = {entry.name for entry in self._session.get_inputs()}

    def __repr__(self) -> str:
        return f"OnnxModel({str(self.folder)!r}, tasks={list(self.tasks)})"

    @property
    def tasks(self) -> Mapping[str, str]:
        """The task type of each task."""
        return {name: task.task_type for name, task in self.manifest.tasks.items()}

    @overload
    def predict(self, inputs: str | tuple[str, ...], **options: Unpack[PredictOptions]) -> Prediction: ...

    @overload
    def predict(self, inputs: list[Any], **options: Unpack[PredictOptions]) -> list[Prediction]: ...

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
        **others: Any,
    ) -> Any:
        """Predicts one input, a list of inputs, or a stream of them, as ``Predictor.predict`` does.

        Texts for a model of words are split at Unicode word boundaries, or if ``pre_tokenized`` at white space. With
        ``top_k``, there are probabilities of single labels, heads and spans. The decisions are those that the model had
        when it was exported.

        Raises:
            ConfigError: for an unknown dataset or task, and for decisions such as ``threshold``.
            DataError: for something that is no input.
        """
        _refuse(others)
        check_sizes(top_k=top_k, batch_size=batch_size)
        has_one = is_single(inputs)
        options = _Options(dataset, tasks, top_k, batch_size or _BATCH_SIZE, pre_tokenized)
        stream = self._stream([inputs] if has_one else inputs, options)
        found = progress_bars.track(stream, "predicting", is_shown=progress)
        if not has_one and not isinstance(inputs, Sequence):
            return found
        predictions = list(found)
        return predictions[0] if has_one else predictions

    def _stream(self, inputs: Iterable[Any], options: _Options) -> Iterator[Prediction]:
        checked = (check_input(given, number) for number, given in enumerate(inputs, 1))
        dataset, first = None, 1
        while chunk := list(islice(checked, STREAM_CHUNK)):
            dataset = dataset or self._dataset(options, chunk[0])
            sentences = [
                _sentence(given, number, dataset, pre_tokenized=options.pre_tokenized)
                for number, given in enumerate(chunk, first)
            ]
            first += len(chunk)
            yield from self._predict(dataset, sentences, options)

    def _dataset(self, options: _Options, given: Input) -> ExportedDataset:
        """The dataset with the name (``A+B`` for the tasks of both), or all that read an input and can be joined.

        It has only the tasks that are predicted.
        """
        known, name = self.manifest.datasets, options.dataset
        if name is not None:
            names = [name] if name in known else name.split(JOIN)
            for part in names:
                if part not in known:
                    raise ConfigError(f"dataset: the model has no dataset '{part}'{did_you_mean(part, known)}")
        else:
            sizes = (0, 1) if isinstance(given, str) else (0, len(given))
            names = [own for own, dataset in known.items() if dataset.texts in sizes]
        if len(names) == 1 or any(set(names) <= set(joined) for joined in self.manifest.joined):
            tasks = {task: columns for own in names for task, columns in known[own].tasks.items()}
            return known[names[0]].model_copy(update={"tasks": choose_tasks(tasks, options.tasks)})
        found = "datasets that cannot be predicted together" if names else "no dataset that reads such an input"
        raise ConfigError(f"dataset: found {found}, expected one of {', '.join(names or known)}")

    def _predict(
        self, dataset: ExportedDataset, sentences: Sequence[Sentence], options: _Options
    ) -> Iterator[Prediction]:
        rows = [sentence.items(has_words=not dataset.texts) for sentence in sentences]
        parts = self._parts(dataset, rows)
        decoded: list[dict[int, dict[str, _Decoded]]] = [{} for _ in sentences]
        for numbers in batches(parts, batch_size=options.batch_size):
            chosen = [parts[number] for number in numbers]
            for number, outputs in zip(numbers, self._run(dataset, chosen), strict=True):
                words = parts[number].words
                found = {task: self._decode(task, outputs[task], words, options.top_k) for task in dataset.tasks}
                decoded[parts[number].sentence][number] = found
        levels = {task: self._decodings[task].level for task in dataset.tasks}
        columns = Columns(
            inputs=tuple(dataset.inputs),
            words={task: tuple(columns) for task, columns in dataset.tasks.items() if levels[task] == "word"},
            texts={task: tuple(columns) for task, columns in dataset.tasks.items() if levels[task] != "word"},
        )
        for sentence, by_part in zip(sentences, decoded, strict=True):
            own = [by_part[number] for number in sorted(by_part)]
            # A sentence without words has no parts.
            tasks = dataset.tasks if own else ()
            results = {task: self._result(task, [part[task] for part in own]) for task in tasks}
            yield make_prediction(sentence, columns, results)

    def _decode(self, task: str, outputs: Arrays, words: Sequence[str], top_k: int | None) -> _Decoded:
        decoding = self._decodings[task]
        labels = decoding.decode(outputs, words)
        if top_k is None:
            return _Decoded(labels, None, {})
        ranked = decoding.rank(outputs, labels, words, top_k=top_k)
        return _Decoded(labels, ranked, decoding.span_probabilities(outputs, labels))

    def _result(self, task: str, parts: Sequence[_Decoded]) -> TaskResult:
        """The result of a task for a sentence from those of its parts."""
        decoding, scheme = self._decodings[task], self.manifest.tasks[task].scheme
        ranked = [part.ranked for part in parts if part.ranked is not None]
        spans: dict[WordSpan, float] = {}
        first_word = 0
        for part in parts:
            spans |= {(start + first_word, end + first_word, kind): p for (start, end, kind), p in part.spans.items()}
            first_word += len(part.labels)
        return TaskResult(
            labels=decoding.join([part.labels for part in parts]),
            ranked=decoding.join_ranked(ranked) if ranked else None,
            has_heads=decoding.has_heads,
            as_value=decoding.as_value,
            scheme=None if scheme is None else SCHEMES[scheme],
            span_probabilities=spans,
        )

    def _parts(self, dataset: ExportedDataset, rows: Sequence[Sequence[str]]) -> list[Part]:
        is_text = bool(dataset.texts)
        kept = [number for number, words in enumerate(rows) if words]
        own = [rows[number] for number in kept]
        segments = self._tokenizer.texts(own, may_overlap=True) if is_text else self._tokenizer.sentences(own)
        limit = MAX_TEXT_SUBWORDS if is_text else MAX_PART_SUBWORDS
        return [
            Part(number, part, words if is_text else words[chosen])
            for number, words, own_segments in zip(kept, own, segments, strict=True)
            for part, chosen in split_segments(own_segments, is_text=is_text, max_subwords=limit)
        ]

    def _run(self, dataset: ExportedDataset, parts: Sequence[Part]) -> Iterator[dict[str, Arrays]]:
        """The outputs of the tasks of a dataset for the items of each part."""
        tasks = self.manifest.tasks
        inputs = graph_inputs(self.manifest, [part.segments for part in parts], dataset_id=dataset.dataset_id)
        numbers = {task: number for number, task in enumerate(tasks) if task in dataset.tasks}
        names = [f"{number}.{output}" for task, number in numbers.items() for output in tasks[task].outputs]
        values = self._session.run(names, {name: value for name, value in inputs.items() if name in self._inputs})
        outputs = dict(zip(names, values, strict=True))
        word = 0
        for index, part in enumerate(parts):
            items = {"word": slice(word, word + len(part.segments.word_ends)), "sentence": slice(index, index + 1)}
            word = items["word"].stop
            yield {
                task: {
                    output: outputs[f"{number}.{output}"][items[self._decodings[task].level]]
                    for output in tasks[task].outputs
                }
                for task, number in numbers.items()
            }


def load_onnx(path: str | Path, *, threads: int | None = None) -> OnnxModel:
    """Loads an ONNX folder, for prediction without torch.

        model = machamp_lite.load_onnx("my_onnx", threads=2)
        model.predict("Trains run late.").labels["upos"]

    Args:
        path: A folder that ``machamp-lite export --onnx`` has written.
        threads: The number of threads; by default as many as there are cores.

    Raises:
        ConfigError: if the folder is not complete, or without the package onnxruntime.
    """
    return OnnxModel(Path(path), threads=threads)


def _refuse(others: Mapping[str, Any]) -> None:
    """Raises ``ConfigError`` for arguments that only ``Predictor.predict`` has, and ``TypeError`` for unknown ones."""
    for name in others:
        if name not in _DECISIONS:
            raise TypeError(f"predict() got an unexpected keyword argument '{name}'")
    if given := [name for name, value in others.items() if value is not _DECISIONS[name]]:
        raise ConfigError(
            f"{name}: cannot be changed in a model in ONNX; set it in the config of the model and export it again, or "
            "predict with machamp_lite.load"
            for name in given
        )


def _sentence(given: Input, number: int, dataset: ExportedDataset, *, pre_tokenized: bool) -> Sentence:
    if dataset.texts:
        texts = (given,) if isinstance(given, str) else tuple(given)
        if len(texts) != dataset.texts:
            raise DataError(f"input {number}: found {counted(len(texts), 'text')}, expected {dataset.texts}")
        return Sentence(texts)
    if not isinstance(given, str):
        return sentence_of_words(given)
    split = split_at_white_space if pre_tokenized else split_at_word_boundaries
    return Sentence((given,), tokens_in(given, split(given)))


def _decoding(manifest: Manifest, number: int, arrays: Arrays) -> TaskDecoding:
    task = list(manifest.tasks.values())[number]
    own = {name.partition(".")[2]: value for name, value in arrays.items() if name.startswith(f"{number}.")}
    return DECODINGS[task.decoding](task, manifest.sources[task.source].level, own)
