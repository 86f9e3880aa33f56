"""For every task type, the store and its cache contain the examples that are made sentence by sentence."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_type_cases import Case, Setting, every_case

from machamp_lite.config.schema import Config
from machamp_lite.data.masking import Masker
from machamp_lite.data.raw_text_tokenizer import RawTextTokenizer
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.dataloading.datasets import RunData
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders import DECODERS
from machamp_lite.training.run import read_data


def arrays_of(example: Example) -> dict[str, np.ndarray | None]:
    segments = example.segments
    fixed = {name: getattr(segments, name) for name in ("subword_ids", "type_ids", "segment_starts", "word_ends")}
    return {**fixed, **{f"gold {task}": gold for task, gold in example.gold.items()}}


def assert_same_examples(found: Sequence[Example], expected: Sequence[Example]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name in ("dataset", "input_type", "source", "words", "labels"):
            assert getattr(one, name) == getattr(other, name)
        types = [[type(label) for label in labels] for labels in one.labels.values()]
        assert types == [[type(label) for label in labels] for labels in other.labels.values()]
        own, others = arrays_of(one), arrays_of(other)
        assert own.keys() == others.keys()
        for name, array in own.items():
            assert array.dtype == others[name].dtype, name  # type: ignore[union-attr]
            np.testing.assert_array_equal(array, others[name], strict=True)  # type: ignore[arg-type]


def one_by_one(setting: Setting) -> Iterator[Example]:
    """The examples of dev data, each made separately, with the vocabulary of the training data."""
    case, decoder = setting.case, DECODERS[setting.case.task_type]
    config, words = setting.model.config.tasks()[case.task], setting.model.tokenizer
    vocabulary = setting.data.vocabularies[case.task]
    for record in setting.records():
        labels = decoder.read_labels(record, task=case.task, config=config)
        texts = record.words
        if decoder.Options.input_type == "raw":
            texts, segments = RawTextTokenizer(words)(str(record.comment("text")))
        else:
            segments = words.sentences([texts])[0] if case.dataset == "words" else words.texts([texts])[0]
        if decoder.Options.input_type == "masked":
            segments, hidden = Masker(words.tokenizer).mask(segments)
            labels = hidden.tolist()
        if decoder.Options.input_type == "subwords":
            items = np.arange(len(segments.subword_ids))
            segments = dataclasses.replace(segments, word_starts=items, word_ends=items)
        known: dict[str, list[Any]] = {} if labels is None else {case.task: labels}
        gold = {
            task: decoder.encode(own, vocabulary.ids(decoder.classes(own, texts)))
            for task, own in known.items()
        }
        yield Example("DATA", decoder.Options.input_type, record.where(), texts, segments, known, gold)


@every_case
def test_the_store_has_the_examples_of_each_sentence(make: Callable[..., Setting], case: Case) -> None:
    setting = make(case)
    assert_same_examples(setting.data.dev["DATA"], list(one_by_one(setting)))
    unlabelled = [
        Example(own.dataset, own.input_type, own.source, own.words, own.segments, {}, own.gold)
        for own in one_by_one(setting)
    ]
    assert_same_examples(setting.data.train["DATA"], unlabelled)


def assert_same_data(found: RunData, expected: RunData) -> None:
    for part in ("train", "dev"):
        assert_same_examples(getattr(found, part)["DATA"], getattr(expected, part)["DATA"])
    assert found.vocabularies.keys() == expected.vocabularies.keys()
    for task, vocabulary in found.vocabularies.items():
        other = expected.vocabularies[task]
        assert type(vocabulary) is type(other)
        assert (vocabulary.labels, vocabulary.counts, vocabulary.items) == (
            other.labels,
            other.counts,
            other.items,
        )


@every_case
def test_the_cache_has_the_data_that_was_read(
    make: Callable[..., Setting], case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = make(case)
    config: Config = setting.model.config
    cache = tmp_path / "cache"
    first = read_data(config, cache=cache)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(WordTokenizer, "cache_words", None)
    second = read_data(config, cache=cache)
    for data in (first, second):
        assert_same_data(data, setting.data)
