"""The inputs of an ONNX graph: subwords in padded rows, and the subwords of each word and sentence."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from machamp_lite.config.task_types import Pooling
from machamp_lite.data.running_text import WordBoundary
from machamp_lite.data.segments import Segments, SpecialTokens
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.errors import ConfigError, first_line
from machamp_lite.export.manifest import Manifest, TokenizerSettings

# The number of subwords in a batch, with padding.
MAX_BATCH_SUBWORDS = 4096


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
class Part:
    """A sentence, or a part of a long one: the index of the sentence, its subwords, and its words or texts."""

    sentence: int
    segments: Segments
    words: Sequence[str]


def batches(parts: Sequence[Part], *, batch_size: int) -> Iterator[list[int]]:
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


def graph_inputs(manifest: Manifest, parts: Sequence[Segments], *, dataset_id: int) -> dict[str, np.ndarray]:
    """All inputs that a graph may have, see ``onnx_graph.py``."""
    sizes = np.array([len(part.subword_ids) for part in parts])
    begins = np.cumsum(sizes) - sizes
    starts = np.concatenate([part.segment_starts + begin for part, begin in zip(parts, begins, strict=True)])
    lengths = np.diff(starts, append=sizes.sum())
    counts = np.array([len(part.segment_starts) for part in parts])
    width = int(lengths.max())
    # The position of each subword in the padded batch.
    segment = np.repeat(np.arange(len(lengths)), lengths)
    positions = segment * width + np.arange(len(segment)) - starts[segment]
    inputs = {}
    for name, values, padding in (
        ("input_ids", [part.subword_ids for part in parts], manifest.tokenizer.pad_id),
        ("token_type_ids", [part.type_ids for part in parts], 0),
        ("attention_mask", [np.ones_like(part.subword_ids) for part in parts], 0),
    ):
        rows = np.full(len(lengths) * width, padding, np.int64)
        rows[positions] = np.concatenate(values)
        inputs[name] = rows.reshape(len(lengths), width)
    if manifest.tokenizer.long_input == "truncate":
        # Of the segments of a text, the first one is read.
        firsts = np.cumsum(counts) - counts
        starts, lengths, counts = starts[firsts], lengths[firsts], np.ones_like(counts)
    word_spans = [
        np.concatenate([getattr(part, edge) + begin for part, begin in zip(parts, begins, strict=True)])
        for edge in ("word_starts", "word_ends")
    ]
    # Texts have no words, and the graph takes at least one row.
    spans = {
        "word": [span if len(span) else np.zeros(1, np.int64) for span in word_spans],
        "sentence": [starts, starts + lengths - 1],
    }
    for number, source in enumerate(manifest.sources):
        subwords, exists = item_rows(*spans[source.level], pooling=source.pooling)
        inputs |= {f"rows_{number}": positions[subwords], f"mask_{number}": exists.astype(np.float32)}
    segments, exists = item_rows(np.cumsum(counts) - counts, np.cumsum(counts) - 1, pooling="mean")
    return inputs | {
        "segments": segments,
        "segments_mask": exists.astype(np.float32),
        "word_datasets": np.full(len(spans["word"][0]), dataset_id, np.int64),
        "sentence_datasets": np.full(len(parts), dataset_id, np.int64),
    }


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
