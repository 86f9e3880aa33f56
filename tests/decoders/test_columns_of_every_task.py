"""Columns show, for every task type, what reading sentence by sentence would give; and so does the cache."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_every_decoder import CASES, IDS, Case, Setting, make

from machamp_lite.config.schema import Config
from machamp_lite.data.character_tokenizer import RawTextTokenizer
from machamp_lite.data.masking import Masker
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.dataloading.cache import RunData
from machamp_lite.dataloading.example import Instance
from machamp_lite.decoders import DECODERS
from machamp_lite.training.run import read_data

__all__ = ["make"]

every_case = pytest.mark.parametrize("case", CASES, ids=IDS)


def arrays_of(instance: Instance) -> dict[str, np.ndarray | None]:
    pieces = instance.pieces
    fixed = {name: getattr(pieces, name) for name in ("subword_ids", "type_ids", "piece_starts", "word_ends")}
    return {**fixed, **{f"gold {task}": gold for task, gold in instance.gold.items()}}


def assert_same_instances(found: Sequence[Instance], expected: Sequence[Instance]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name in ("dataset", "view", "source", "words", "labels"):
            assert getattr(one, name) == getattr(other, name)
        types = [[type(label) for label in labels] for labels in one.labels.values()]
        assert types == [[type(label) for label in labels] for labels in other.labels.values()]
        own, others = arrays_of(one), arrays_of(other)
        assert own.keys() == others.keys()
        for name, array in own.items():
            assert array.dtype == others[name].dtype, name  # type: ignore[union-attr]
            np.testing.assert_array_equal(array, others[name], strict=True)  # type: ignore[arg-type]


def one_by_one(setting: Setting) -> Iterator[Instance]:
    """The instances of dev data, each made alone; labels are those that training has seen."""
    case, decoder = setting.case, DECODERS[setting.case.task_type]
    config, words = setting.model.config.tasks()[case.task], setting.model.tokenizer
    vocabulary = setting.data.vocabularies[case.task]
    for record in setting.records():
        labels = decoder.read_labels(record, task=case.task, config=config)
        texts = record.words
        if decoder.reads == "raw":
            texts, pieces = RawTextTokenizer(words)(str(record.comment("text")))
        else:
            pieces = words.sentence(texts) if case.dataset == "words" else words.texts(texts)
        if decoder.reads == "masked":
            pieces, hidden = Masker(words.tokenizer).hide(pieces)
            labels = hidden.tolist()
        if decoder.reads == "subwords":
            pieces = type(pieces)(
                pieces.subword_ids, pieces.type_ids, pieces.piece_starts, np.arange(len(pieces.subword_ids))
            )
        known: dict[str, list[Any]] = {} if labels is None else {case.task: labels}
        gold = {
            task: decoder.encode(own, vocabulary.ids(decoder.classes(own, texts)))
            for task, own in known.items()
        }
        yield Instance("DATA", decoder.reads, record.where(), texts, pieces, known, gold)


@every_case
def test_columns_show_what_each_sentence_gives_alone(make: Callable[..., Setting], case: Case) -> None:
    setting = make(case)
    assert_same_instances(setting.data.dev["DATA"], list(one_by_one(setting)))
    unlabelled = [
        Instance(own.dataset, own.view, own.source, own.words, own.pieces, {}, own.gold)
        for own in one_by_one(setting)
    ]
    assert_same_instances(setting.data.train["DATA"], unlabelled)


def assert_same_data(found: RunData, expected: RunData) -> None:
    for part in ("train", "dev"):
        assert_same_instances(getattr(found, part)["DATA"], getattr(expected, part)["DATA"])
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
def test_the_cache_gives_what_was_read(
    make: Callable[..., Setting], case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = make(case)
    config: Config = setting.model.config
    cache = tmp_path / "cache"
    first = read_data(config, cache=cache)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(WordTokenizer, "learn", None)
    second = read_data(config, cache=cache)
    for data in (first, second):
        assert_same_data(data, setting.data)
