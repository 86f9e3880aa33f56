"""Predicts with a folder of ``machamp-lite export --onnx``, with ONNX Runtime, and without torch and transformers."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from machamp_lite.config.task_types import Pooling
from machamp_lite.data.running_text import WordBoundary
from machamp_lite.data.segments import (
    MAX_PART_SUBWORDS,
    MAX_TEXT_SUBWORDS,
    Segments,
    SpecialTokens,
    split_segments,
)
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.errors import ConfigError, DataError, counted, did_you_mean, first_line
from machamp_lite.export.decoding import DECODINGS, Arrays, TaskDecoding
from machamp_lite.export.manifest import (
    ARRAYS,
    GRAPH,
    TOKENIZER,
    Manifest,
    TokenizerSettings,
    read_manifest,
)

# The number of subwords in a batch, with padding.
MAX_BATCH_SUBWORDS = 4096
_PACKAGES = ("onnxruntime", "tokenizers")


def load_onnx(folder: str | Path, *, threads: int | None = None) -> "OnnxModel":
    """Loads an ONNX folder; ``threads`` of ONNX Runtime are by default as many as there are cores.

    Raises ``ConfigError`` for a folder that ``machamp-lite export --onnx`` has not written.
    """
    return OnnxModel(Path(folder), threads=threads)


class ExportedTokenizer(WordTokenizer):
    """A tokenizer.json with settings that were found when the model was exported."""

    def __init__(self, path: Path, settings: TokenizerSettings) -> None:
        from tokenizers import Tokenizer

        try:
            backend = Tokenizer.from_file(str(path))
        except Exception as error:
            # The package raises plain exceptions.
            raise ConfigError(f"{path}: holds no tokenizer that can be loaded ({first_line(error)})") from None
        self.lock = threading.RLock()
        backend.no_padding()
        backend.no_truncation()
        self.tokenizer = lambda texts, **_: {
            "input_ids": [encoding.ids for encoding in backend.encode_batch(texts, add_special_tokens=False)]
        }
        self.long_input = settings.long_input
        self.unknown_id, self.max_subwords = settings.unknown_id, settings.max_subwords
        self.special = SpecialTokens(
            tuple(settings.before), tuple(settings.between), tuple(settings.after), settings.second_text_type
        )
        self.boundary = WordBoundary(settings.prefix, tuple(settings.between_words))
        self._clear_cache()


@dataclass(frozen=True, slots=True)
class _Part:
    """A sentence, or a part of a long one: the index of the sentence, its subwords and its words."""

    sentence: int
    segments: Segments
    words: Sequence[str]


class OnnxModel:
    """A model in ONNX Runtime. It may be used by several threads at a time."""

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        if missing := [name for name in _PACKAGES if find_spec(name) is None]:
            raise ConfigError(
                f"{folder}: found no package '{missing[0]}', expected it to be installed: "
                "pip install 'machamp_lite[onnx]'"
            )
        import onnxruntime

        self.manifest: Manifest = read_manifest(folder)
        self.tokenizer = ExportedTokenizer(folder / TOKENIZER, self.manifest.tokenizer)
        arrays = load_file(folder / ARRAYS)
        self.decodings = {
            task: _decoding(self.manifest, number, arrays) for number, task in enumerate(self.manifest.tasks)
        }
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            providers = ["CPUExecutionProvider"]
            self.session = onnxruntime.InferenceSession(folder / GRAPH, options, providers=providers)
        except Exception as error:
            # The package raises plain exceptions.
            raise ConfigError(f"{folder / GRAPH}: cannot be loaded ({first_line(error)})") from None
        self._inputs = {entry.name for entry in self.session.get_inputs()}

    def predict_words(
        self, sentences: Sequence[Sequence[str]], *, dataset: str | None = None, batch_size: int = 32
    ) -> list[dict[str, list[Any]]]:
        """The labels of tokenized sentences, or of the texts of a TSV row, by task."""
        name = self._dataset(dataset)
        parts = self._parts(name, sentences)
        tasks = self.manifest.datasets[name].tasks
        found: list[list[tuple[int, dict[str, list[Any]]]]] = [[] for _ in sentences]
        for numbers in _batches(parts, batch_size=batch_size):
            chosen = [parts[number] for number in numbers]
            for number, outputs in zip(numbers, self._run(name, chosen), strict=True):
                words = parts[number].words
                labels = {task: self.decodings[task].decode(outputs[task], words) for task in tasks}
                found[parts[number].sentence].append((number, labels))
        return [self._join([labels for _, labels in sorted(of_parts, key=lambda pair: pair[0])]) for of_parts in found]

    def _join(self, parts: Sequence[dict[str, list[Any]]]) -> dict[str, list[Any]]:
        if len(parts) == 1:
            return parts[0]
        return {task: self.decodings[task].join([part[task] for part in parts]) for task in parts[0]}

    def _dataset(self, name: str | None) -> str:
        """The dataset with this name, or the only one."""
        known = list(self.manifest.datasets)
        if name is None and len(known) == 1:
            return known[0]
        if name not in known:
            hint = did_you_mean(name, known) if name else f"; known: {', '.join(known)}"
            raise ConfigError(f"dataset: found {name!r}, expected one of the model's datasets{hint}")
        return name

    def _parts(self, name: str, sentences: Sequence[Sequence[str]]) -> list[_Part]:
        dataset = self.manifest.datasets[name]
        for number, words in enumerate(sentences, start=1):
            if isinstance(words, str):
                raise DataError(f"sentence {number}: found the text '{words}', expected a list of words")
            if not words:
                raise DataError(f"sentence {number}: found no words, expected at least one")
            if dataset.texts and len(words) != dataset.texts:
                raise DataError(f"sentence {number}: found {counted(len(words), 'text')}, expected {dataset.texts}")
        is_text = bool(dataset.texts)
        tokenize = (lambda rows: self.tokenizer.texts(rows, may_overlap=True)) if is_text else self.tokenizer.sentences
        limit = MAX_TEXT_SUBWORDS if is_text else MAX_PART_SUBWORDS
        return [
            _Part(number, part, words if is_text else words[chosen])
            for number, (segments, words) in enumerate(zip(tokenize(sentences), sentences, strict=True))
            for part, chosen in split_segments(segments, is_text=is_text, max_subwords=limit)
        ]

    def _run(self, name: str, parts: Sequence[_Part]) -> Iterator[dict[str, Arrays]]:
        """The outputs of the tasks of a dataset for the items of each part."""
        dataset, manifest = self.manifest.datasets[name], self.manifest
        feeds = self._feeds([part.segments for part in parts], dataset_id=dataset.dataset_id)
        numbers = {task: number for number, task in enumerate(manifest.tasks) if task in dataset.tasks}
        names = [f"{number}.{output}" for task, number in numbers.items() for output in manifest.tasks[task].outputs]
        values = self.session.run(names, {key: value for key, value in feeds.items() if key in self._inputs})
        outputs = dict(zip(names, values, strict=True))
        word = 0
        for index, part in enumerate(parts):
            of_words, of_sentence = slice(word, word + len(part.segments.word_ends)), slice(index, index + 1)
            word = of_words.stop
            yield {
                task: {
                    output: outputs[f"{number}.{output}"][of_words if self._level(task) == "word" else of_sentence]
                    for output in manifest.tasks[task].outputs
                }
                for task, number in numbers.items()
            }

    def _level(self, task: str) -> str:
        return self.manifest.sources[self.manifest.tasks[task].source].level

    def _feeds(self, parts: Sequence[Segments], *, dataset_id: int) -> dict[str, np.ndarray]:
        """The inputs of the graph, see ``onnx_graph.py``."""
        sizes = np.array([len(part.subword_ids) for part in parts])
        begins = np.cumsum(sizes) - sizes
        starts = np.concatenate([part.segment_starts + begin for part, begin in zip(parts, begins, strict=True)])
        lengths = np.diff(starts, append=sizes.sum())
        counts = np.array([len(part.segment_starts) for part in parts])
        width = int(lengths.max())
        # The position of each subword in the padded batch.
        segment = np.repeat(np.arange(len(lengths)), lengths)
        positions = segment * width + np.arange(len(segment)) - starts[segment]
        ids = np.full(len(lengths) * width, self.manifest.tokenizer.pad_id, np.int64)
        types, mask = np.zeros_like(ids), np.zeros_like(ids)
        ids[positions] = np.concatenate([part.subword_ids for part in parts])
        types[positions] = np.concatenate([part.type_ids for part in parts])
        mask[positions] = 1
        shape = (len(lengths), width)
        feeds: dict[str, np.ndarray] = {
            "input_ids": ids.reshape(shape),
            "attention_mask": mask.reshape(shape),
            "token_type_ids": types.reshape(shape),
        }
        if len(starts) > len(parts) and self.manifest.tokenizer.long_input == "truncate":
            firsts = np.cumsum(counts) - counts
            starts, lengths, counts = starts[firsts], lengths[firsts], np.ones_like(counts)
        word_spans = [
            np.concatenate([getattr(part, edge) + begin for part, begin in zip(parts, begins, strict=True)])
            for edge in ("word_starts", "word_ends")
        ]
        # Texts have no words; the graph takes at least one row.
        spans = {
            "word": [span if len(span) else np.zeros(1, np.int64) for span in word_spans],
            "sentence": [starts, starts + lengths - 1],
        }
        for number, source in enumerate(self.manifest.sources):
            rows, is_subword = item_rows(*spans[source.level], pooling=source.pooling)
            feeds[f"rows_{number}"], feeds[f"mask_{number}"] = positions[rows], is_subword.astype(np.float32)
        segments, is_segment = item_rows(np.cumsum(counts) - counts, np.cumsum(counts) - 1, pooling="mean")
        feeds |= {"segments": segments, "segments_mask": is_segment.astype(np.float32)}
        feeds["word_datasets"] = np.full(len(spans["word"][0]), dataset_id, np.int64)
        feeds["sentence_datasets"] = np.full(len(parts), dataset_id, np.int64)
        return feeds


def item_rows(starts: np.ndarray, ends: np.ndarray, *, pooling: Pooling) -> tuple[np.ndarray, np.ndarray]:
    """The subwords from which each item is pooled, and which of them exist. *Shape:* (N,), (N,) -> (N, M) each."""
    if pooling in ("first", "last", "first_last"):
        edges = {"first": [starts], "last": [ends], "first_last": [starts, ends]}[pooling]
        rows = np.stack(edges, axis=1)
        return rows, np.ones_like(rows, dtype=bool)
    offsets = np.arange(int((ends - starts).max()) + 1)
    rows = starts[:, None] + offsets
    exists = rows <= ends[:, None]
    return np.where(exists, rows, starts[:, None]), exists


def _decoding(manifest: Manifest, number: int, arrays: Arrays) -> TaskDecoding:
    task = list(manifest.tasks.values())[number]
    own = {name.partition(".")[2]: value for name, value in arrays.items() if name.startswith(f"{number}.")}
    return DECODINGS[task.decoding](task, manifest.sources[task.source].level, own)


def _batches(parts: Sequence[_Part], *, batch_size: int) -> Iterator[list[int]]:
    """The indices of the parts of each batch; parts of similar length are together."""
    lengths = [part.segments.longest for part in parts]
    batch: list[int] = []
    rows = 0
    for number in sorted(range(len(parts)), key=lengths.__getitem__):
        segments = len(parts[number].segments.segment_starts)
        if batch and (len(batch) == batch_size or (rows + segments) * lengths[number] > MAX_BATCH_SUBWORDS):
            yield batch
            batch, rows = [], 0
        batch.append(number)
        rows += segments
    if batch:
        yield batch
