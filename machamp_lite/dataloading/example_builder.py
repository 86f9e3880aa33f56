"""Turns records and their labels into examples, thousands at a time."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import InputType
from machamp_lite.data.masking import Masker
from machamp_lite.data.ragged_array import RaggedArray, lengths_of
from machamp_lite.data.raw_text_tokenizer import RawTextTokenizer
from machamp_lite.data.records import Record
from machamp_lite.data.segments import Segments
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders import decoder_class
from machamp_lite.metrics.base import annotated_items

# The gold labels of one record by task, and the weights of its items by task.
Labels = dict[str, list[Any]]
Weights = dict[str, list[float]]

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
        self.weighted_tasks = [task for task, options in config.tasks.items() if options.weight_column is not None]
        # Only these can have sentences of which some words are not annotated.
        self.partial_tasks = [
            task
            for task, options in config.tasks.items()
            if options.ignore_label is not None or task in self.weighted_tasks
        ]
        self.masker = Masker(tokenizer.tokenizer) if "masked" in self.input_types else None

    @cached_property
    def raw_text(self) -> RawTextTokenizer:
        """The tokenizer of tasks that read raw text."""
        return RawTextTokenizer(self.tokenizer)

    def examples(
        self,
        records: Sequence[Record],
        labels: Sequence[Labels],
        *,
        weights: Sequence[Weights] | None = None,
        training: bool = False,
        counts: Mapping[str, Counter[str]] | None = None,
    ) -> list[list[Example]]:
        """The examples of each record, one per input type.

        ``weights`` has one weight per label of a record, or one for all of them. In ``training``, labels are added to
        the vocabularies and not stored in the examples. ``counts`` counts the classes of each task.
        """
        found: list[list[Example]] = [[] for _ in records]
        indices = {
            input_type: self._indices(input_type, records, labels, training=training)
            for input_type in self.input_types
        }
        dataset_ids = self._dataset_ids(records, sorted(set(chain(*indices.values()))), training=training)
        for input_type, chosen in indices.items():
            made = self._of_type(
                input_type,
                [records[index] for index in chosen],
                [labels[index] for index in chosen],
                [dataset_ids.get(index) for index in chosen],
                [{} if weights is None else weights[index] for index in chosen],
                training=training,
                counts=counts or {},
            )
            for index, example in zip(chosen, made, strict=True):
                found[index].append(example)
        return found

    def _of_type(
        self,
        input_type: InputType,
        records: Sequence[Record],
        labels: Sequence[Labels],
        dataset_ids: Sequence[np.ndarray | None],
        weights: Sequence[Weights],
        *,
        training: bool,
        counts: Mapping[str, Counter[str]],
    ) -> Iterator[Example]:
        """The examples of one input type, one per record."""
        texts, segments, masked_ids = self._tokenize(input_type, records)
        if masked_ids is not None:
            labels = [dict.fromkeys(tasks, ids.tolist()) for tasks, ids in zip(labels, masked_ids, strict=True)]
        gold = {
            task: self._encode(task, labels, texts, training=training, counts=counts)
            for task, decoder in self.decoders.items()
            if decoder.Options.input_type == input_type
        }
        for index, record in enumerate(records):
            example_gold = {task: encoded[index] for task, encoded in gold.items() if index in encoded}
            ids = dataset_ids[index]
            gold_items = {
                task: np.array([item for item, label in enumerate(labels[index][task]) if label is not None])
                for task in self.partial_tasks
                if task in example_gold and None in labels[index][task]
            }
            if ids is not None and input_type != "words":
                # Subwords and texts have the id of the first word.
                ids = ids[:1].repeat(max(1, len(segments[index].word_ends)))
            yield Example(
                dataset=self.name,
                input_type=input_type,
                source=record.where(),
                words=texts[index],
                segments=segments[index],
                labels={} if training else {task: labels[index][task] for task in example_gold},
                gold=example_gold,
                dataset_ids=ids,
                gold_items=gold_items,
                weights={
                    task: _of_annotated(weights[index][task], labels[index][task])
                    for task in self.weighted_tasks
                    if task in example_gold and task in weights[index]
                },
            )

    def _indices(
        self, input_type: InputType, records: Sequence[Record], labels: Sequence[Labels], *, training: bool
    ) -> list[int]:
        """The indices of the records that have an input of this type."""
        if input_type != "raw":
            return list(range(len(records)))
        raw_tasks = {task for task, decoder in self.decoders.items() if decoder.Options.input_type == "raw"}
        return [
            index
            for index, (record, annotated) in enumerate(zip(records, labels, strict=True))
            if record.comment("text") and not (training and raw_tasks.isdisjoint(annotated))
        ]

    def _tokenize(
        self, input_type: InputType, records: Sequence[Record]
    ) -> tuple[list[list[str]], list[Segments], list[np.ndarray] | None]:
        """The words or texts of records, their segments, and for masked inputs the original ids of masked subwords."""
        if input_type == "raw":
            raw = [self.raw_text(str(record.comment("text"))) for record in records]
            return [texts for texts, _ in raw], [segments for _, segments in raw], None
        texts = [record.words for record in records]
        segments = self._segments(texts, may_overlap=input_type == "words")
        if input_type == "subwords":
            return texts, [_with_subwords_as_words(own) for own in segments], None
        if input_type == "masked":
            assert self.masker is not None
            masked = [self.masker.mask(own) for own in segments]
            return texts, [own for own, _ in masked], [ids for _, ids in masked]
        return texts, segments, None

    def _segments(self, rows: Sequence[Sequence[str]], *, may_overlap: bool) -> list[Segments]:
        if self.config.word_idx is not None:
            return self.tokenizer.sentences(rows)
        if self.config.sent_idxs is not None:
            # Where subwords are items, each must be in one segment only.
            return self.tokenizer.texts(rows, may_overlap=may_overlap)
        # Plain text is split at spaces, so that long lines are split into segments and not truncated.
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
        """The gold of a task by the index of each annotated sentence, without words that are not annotated."""
        decoder, vocabulary = self.decoders[task], self.vocabularies[task]

        def encode(items: Sequence[Any], words: Iterable[str]) -> np.ndarray:
            classes = decoder.classes(items, words)
            if decoder.Options.has_classes and task in counts:
                counts[task].update(classes)
            if not training:
                return decoder.encode(items, vocabulary.ids(classes))
            ids = vocabulary.add(classes, items=len(items))
            decoder.count(vocabulary, items, ids)
            return decoder.encode(items, ids)

        annotated = [index for index, by_task in enumerate(labels) if task in by_task]
        items, words = [labels[index][task] for index in annotated], [texts[index] for index in annotated]
        if task in self.partial_tasks:
            pairs = list(map(annotated_items, items, words))
            items, words = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if decoder.one_row_per_label:
            rows = encode(list(chain.from_iterable(items)), chain.from_iterable(words))
            lengths = lengths_of(items)
            assert len(rows) == lengths.sum(), f"{task}: its decoder has one_row_per_label, but other rows"
            encoded = RaggedArray.of(rows, lengths).rows()
        else:
            encoded = list(map(encode, items, words))
        return dict(zip(annotated, encoded, strict=True))

    def _dataset_ids(
        self, records: Sequence[Record], chosen: Sequence[int], *, training: bool
    ) -> dict[int, np.ndarray]:
        """The dataset id of each row of the chosen records, by their indices; empty without ``dataset_embed_idx``."""
        column = self.config.dataset_embed_idx
        if column is None:
            return {}
        names = [
            [self.name] * len(records[index].rows)
            if column == -1
            else list(map(dataset_name, records[index].column(column)))
            for index in chosen
        ]
        vocabulary, all_names = self.vocabularies[DATASET_IDS], list(chain.from_iterable(names))
        ids = vocabulary.add(all_names, items=len(all_names)) if training else vocabulary.ids(all_names)
        rows = RaggedArray.of(np.array(ids, dtype=np.int64) + 1, lengths_of(names)).rows()
        return dict(zip(chosen, rows, strict=True))


def _with_subwords_as_words(segments: Segments) -> Segments:
    indices = np.arange(len(segments.subword_ids))
    return replace(segments, word_starts=indices, word_ends=indices)


def _of_annotated(weights: list[float], labels: list[Any]) -> np.ndarray:
    """The weights of the annotated items, or the weight of all items. *Shape:* -> (items,) or (1,)."""
    return np.array(weights if len(weights) == 1 else annotated_items(labels, weights)[1], np.float32)


def dataset_name(cell: str) -> str:
    """The name of a dataset in a cell: the whole cell, or the value of an attribute as in the MISC column of CoNLL-U.

    >>> dataset_name("SpaceAfter=No|dataset_embed=blog"), dataset_name("news")
    ('blog', 'news')
    """
    found = [part for part in cell.split("|") if part.startswith(_DATASET_KEY)]
    return found[0].removeprefix(_DATASET_KEY) if found else cell
