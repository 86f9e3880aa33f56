"""Records and their labels to examples, some thousand sentences at once."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import InputType
from machamp_lite.data.character_tokenizer import RawTextTokenizer
from machamp_lite.data.masking import Masker
from machamp_lite.data.ragged_array import RaggedArray, lengths_of
from machamp_lite.data.records import Record
from machamp_lite.data.segments import Segments
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders import decoder_class

# The gold labels of a record by task.
Labels = dict[str, list[Any]]

_DATASET_KEY = "dataset_embed="


class ExampleBuilder:
    """Turns records of one dataset into examples."""

    def __init__(
        self,
        *,
        name: str,
        config: DatasetConfig,
        tokenizer: WordTokenizer,
        vocabularies: Mapping[str, Vocabulary],
    ) -> None:
        self.name = name
        self.config = config
        self.tokenizer = tokenizer
        self.vocabularies = vocabularies
        self.decoders = {task: decoder_class(task_config) for task, task_config in config.tasks.items()}
        self.input_types: list[InputType] = sorted({decoder.Options.input_type for decoder in self.decoders.values()})
        self.raw_text = RawTextTokenizer(tokenizer)
        self.masker = Masker(tokenizer.tokenizer) if "masked" in self.input_types else None

    def examples(
        self,
        records: Sequence[Record],
        labels: Sequence[Labels],
        *,
        training: bool = False,
        counts: Mapping[str, Counter[str]] | None = None,
    ) -> list[list[Example]]:
        """The examples of each record, one per input type.

        In ``training``, labels enter the vocabularies and are not kept in the examples. Classes are added to the
        ``counts`` of their task.
        """
        found: list[list[Example]] = [[] for _ in records]
        indices = {
            kind: self._indices(kind, records, labels, training=training) for kind in self.input_types
        }
        dataset_ids = self._dataset_ids(records, sorted(set(chain(*indices.values()))), training=training)
        for kind, chosen in indices.items():
            made = self._of_type(
                kind,
                [records[index] for index in chosen],
                [labels[index] for index in chosen],
                [dataset_ids.get(index) for index in chosen],
                training=training,
                counts=counts or {},
            )
            for index, example in zip(chosen, made, strict=True):
                found[index].append(example)
        return found

    def _of_type(
        self,
        kind: InputType,
        records: Sequence[Record],
        labels: Sequence[Labels],
        dataset_ids: Sequence[np.ndarray | None],
        *,
        training: bool,
        counts: Mapping[str, Counter[str]],
    ) -> Iterator[Example]:
        """The examples of one input type, one per record."""
        texts, segments, hidden = self._read(kind, records)
        if hidden is not None:
            labels = [dict.fromkeys(own, ids.tolist()) for own, ids in zip(labels, hidden, strict=True)]
        gold = {
            task: self._encode(task, labels, texts, training=training, counts=counts)
            for task, decoder in self.decoders.items()
            if decoder.Options.input_type == kind
        }
        for index, record in enumerate(records):
            own_gold = {task: encoded[index] for task, encoded in gold.items() if index in encoded}
            own_labels = {} if training else {task: labels[index][task] for task in own_gold}
            ids = dataset_ids[index]
            if ids is not None and kind != "words":
                # Items that are not words, and texts, have the id of the first word.
                ids = ids[:1].repeat(max(1, len(segments[index].word_ends)))
            source = record.where()
            yield Example(self.name, kind, source, texts[index], segments[index], own_labels, own_gold, ids)

    def _indices(
        self, kind: InputType, records: Sequence[Record], labels: Sequence[Labels], *, training: bool
    ) -> list[int]:
        """The indices of the records that have an input of this type."""
        if kind != "raw":
            return list(range(len(records)))
        tasks = {task for task, decoder in self.decoders.items() if decoder.Options.input_type == "raw"}
        return [
            index
            for index, (record, own) in enumerate(zip(records, labels, strict=True))
            if record.comment("text") and not (training and tasks.isdisjoint(own))
        ]

    def _read(
        self, kind: InputType, records: Sequence[Record]
    ) -> tuple[list[list[str]], list[Segments], list[np.ndarray] | None]:
        """The words or texts of records, their segments, and the ids of their hidden subwords if any are hidden."""
        if kind == "raw":
            raw = [self.raw_text(str(record.comment("text"))) for record in records]
            return [texts for texts, _ in raw], [own for _, own in raw], None
        texts = [record.words for record in records]
        segments = self._segments(kind, texts)
        if kind == "subwords":
            return texts, [replace(own, word_ends=np.arange(len(own.subword_ids))) for own in segments], None
        if kind == "masked":
            assert self.masker is not None
            masked = [self.masker.hide(own) for own in segments]
            return texts, [own for own, _ in masked], [ids for _, ids in masked]
        return texts, segments, None

    def _segments(self, kind: InputType, rows: Sequence[Sequence[str]]) -> list[Segments]:
        if self.config.word_idx is not None:
            return self.tokenizer.sentences(rows)
        if self.config.sent_idxs is not None:
            # Segments may overlap, and no subword may be an item twice.
            return self.tokenizer.encode_texts(rows, whole=kind == "words")
        # Plain text: words by spaces, so that long lines are split into segments and not truncated.
        return self.tokenizer.sentences([[word for text in row for word in text.split()] for row in rows])

    def _encode(
        self,
        task: str,
        labels: Sequence[Labels],
        texts: Sequence[list[str]],
        *,
        training: bool,
        counts: Mapping[str, Counter[str]],
    ) -> dict[int, np.ndarray]:
        """The gold of a task by the index of each annotated sentence."""
        decoder, vocabulary = self.decoders[task], self.vocabularies[task]

        def encode(own: list[Any], words: list[str]) -> np.ndarray:
            classes = decoder.classes(own, words)
            if decoder.Options.has_classes and task in counts:
                counts[task].update(classes)
            if not training:
                return decoder.encode(own, vocabulary.ids(classes))
            ids = vocabulary.add(classes, items=len(own))
            decoder.count(vocabulary, own, ids)
            return decoder.encode(own, ids)

        annotated = [index for index, own in enumerate(labels) if task in own]
        own_labels = [labels[index][task] for index in annotated]
        if decoder.one_row_per_label and annotated:
            every_label = list(chain.from_iterable(own_labels))
            rows = encode(every_label, list(chain.from_iterable(texts[index] for index in annotated)))
            assert len(rows) == len(every_label), f"{task}: one_row_per_label of its decoder is not true"
            encoded = RaggedArray.of(rows, lengths_of(own_labels)).rows()
        else:
            encoded = [encode(own, texts[index]) for index, own in zip(annotated, own_labels, strict=True)]
        return dict(zip(annotated, encoded, strict=True))

    def _dataset_ids(
        self, records: Sequence[Record], chosen: Sequence[int], *, training: bool
    ) -> dict[int, np.ndarray]:
        """The data set ids of the rows of the chosen records; none if the dataset has none."""
        column = self.config.dataset_embed_idx
        if column is None:
            return {}
        names = [
            [self.name] * len(records[index].rows)
            if column < 0
            else list(map(dataset_name, records[index].column(column)))
            for index in chosen
        ]
        vocabulary, every = self.vocabularies[DATASET_IDS], list(chain.from_iterable(names))
        ids = vocabulary.add(every, items=len(every)) if training else vocabulary.ids(every)
        rows = RaggedArray.of(np.array(ids, dtype=np.int64) + 1, lengths_of(names)).rows()
        return dict(zip(chosen, rows, strict=True))


def dataset_name(cell: str) -> str:
    """The id of a data set from a cell that holds nothing else, or from one such as MISC of CoNLL-U.

    >>> dataset_name("SpaceAfter=No|dataset_embed=blog"), dataset_name("news")
    ('blog', 'news')
    """
    found = [part for part in cell.split("|") if part.startswith(_DATASET_KEY)]
    return found[0].removeprefix(_DATASET_KEY) if found else cell
