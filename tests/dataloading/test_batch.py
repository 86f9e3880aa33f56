"""Flat batches."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config import load_config
from machamp_lite.data.vocabulary import DATASET_IDS
from machamp_lite.dataloading.batch import Batch, make_batch
from machamp_lite.dataloading.example import Example
from machamp_lite.decoders import DECODERS
from machamp_lite.training.run import read_data

TASKS = {
    "WORDS": {
        "upos": DECODERS["seq"],
        "lemma": DECODERS["string2string"],
        "tree": DECODERS["dependency"],
        "mood": DECODERS["classification"],
    },
    "PAIRS": {"same": DECODERS["classification"]},
}


@pytest.fixture
def examples(
    write_config: Callable[..., str], dataset: dict[str, Any], pair_dataset: dict[str, Any], tiny_params: str
) -> dict[str, list[Example]]:
    config = load_config([write_config(WORDS=dataset, PAIRS=pair_dataset)], parameters_config=tiny_params)
    return read_data(config).train


def batch_of(examples: list[Example], *, only_annotated: bool = True) -> Batch:
    return make_batch(examples, tasks=TASKS, only_annotated=only_annotated)


def test_sentences_lie_end_to_end(examples: dict[str, list[Example]]) -> None:
    batch = batch_of(examples["WORDS"])
    assert batch.subword_ids.tolist() == [
        number for example in examples["WORDS"] for number in example.segments.subword_ids.tolist()
    ]
    assert batch.words == sum(len(example.words) for example in examples["WORDS"])
    assert int(batch.segment_lengths.sum()) == len(batch.subword_ids) == len(batch.type_ids)
    assert batch.segments_per_sentence.tolist() == [1] * len(examples["WORDS"])


def test_word_ends_point_at_the_last_subword_of_each_word(examples: dict[str, list[Example]]) -> None:
    batch = batch_of(examples["WORDS"])
    found = batch.subword_ids[batch.word_ends].tolist()
    expected = [
        int(example.segments.subword_ids[end])
        for example in examples["WORDS"]
        for end in example.segments.word_ends
    ]
    assert found == expected


def test_tasks_of_mixed_batches_know_their_own_items(examples: dict[str, list[Example]]) -> None:
    mixed = [examples["PAIRS"][0], examples["WORDS"][1], examples["PAIRS"][1], examples["WORDS"][0]]
    tasks = batch_of(mixed).tasks
    assert tasks["upos"].sentences == [1, 3]
    assert tasks["upos"].lengths.tolist() == [3, 6]
    # Pairs have no words, so that the words of the batch are all of these two sentences.
    assert tasks["upos"].rows.tolist() == list(range(9))
    assert tasks["same"].rows.tolist() == [0, 2]
    assert tasks["mood"].rows.tolist() == [1, 3]
    assert tasks["tree"].gold.shape == (9, 2)


def test_a_task_of_every_sentence_needs_no_rows(examples: dict[str, list[Example]]) -> None:
    tasks = batch_of(examples["WORDS"]).tasks
    assert tasks["upos"].rows is None
    assert tasks["mood"].rows is None


def test_prediction_covers_sentences_without_gold(examples: dict[str, list[Example]]) -> None:
    bare = [dataclasses.replace(one, labels={}, gold={}) for one in examples["WORDS"]]
    assert batch_of(bare).tasks == {}
    tasks = batch_of(bare, only_annotated=False).tasks
    assert set(tasks) == set(TASKS["WORDS"])
    assert all(items.gold is None for items in tasks.values())


def test_each_distinct_word_is_tokenised_once(
    write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str, tmp_path: Path
) -> None:
    config = load_config([write_config(WORDS=dataset)], parameters_config=tiny_params)
    from machamp_lite.data.tokenization import WordTokenizer
    from machamp_lite.model.pretrained import load_tokenizer

    calls: list[list[str]] = []

    class Counting:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def __call__(self, words: Any, *arguments: Any, **options: Any) -> Any:
            if isinstance(words, list):
                calls.append(words)
            return self.inner(words, *arguments, **options)

    tokenizer = WordTokenizer(
        Counting(load_tokenizer(config.params.transformer_model)), max_input_length=20, long_input="truncate"
    )
    calls.clear()
    tokenizer.cache_words(["a", "dog", "a"])
    tokenizer.sentences([["a", "dog", "a", "dog"]])
    tokenizer.cache_words(["dog", "cat"])
    assert calls == [["a", "dog"], ["cat"]]


def test_each_task_reads_its_own_input(
    write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str
) -> None:
    dataset["tasks"] = {**dataset["tasks"], "words": {"task_type": "tok"}, "text": {"task_type": "mlm"}}
    config = load_config([write_config(WORDS=dataset)], parameters_config=tiny_params)
    examples = read_data(config).train["WORDS"]
    assert [example.input_type for example in examples] == ["masked", "raw", "words"] * 4
    tasks = make_batch(
        examples,
        tasks={"WORDS": {**TASKS["WORDS"], "words": DECODERS["tok"], "text": DECODERS["mlm"]}},
        only_annotated=True,
    ).tasks
    assert tasks["text"].sentences == [0, 3, 6, 9]
    assert tasks["words"].sentences == [1, 4, 7, 10]
    assert tasks["upos"].sentences == tasks["mood"].sentences == [2, 5, 8, 11]


@pytest.mark.parametrize("column", [-1, 9])
def test_words_and_texts_know_their_data_set(
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    tiny_params: str,
    column: int,
) -> None:
    dataset["dataset_embed_idx"] = column
    config = load_config([write_config(WORDS=dataset, PAIRS=pair_dataset)], parameters_config=tiny_params)
    data = read_data(config)
    names = data.vocabularies[DATASET_IDS].labels
    assert names == (["WORDS"] if column < 0 else ["_", "SpaceAfter=No"])
    batch = batch_of([data.train["PAIRS"][0], *data.train["WORDS"]])
    assert batch.word_datasets is not None and batch.sentence_datasets is not None
    assert batch.sentence_datasets.tolist() == [0, 1, 1, 1, 1]
    expected = [1] * batch.words
    if column > 0:
        expected[4] = 2
    assert batch.word_datasets.tolist() == expected
