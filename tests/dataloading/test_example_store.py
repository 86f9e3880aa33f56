"""What a store returns for all examples at once agrees with each example; it is small, and selections agree."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from machamp_lite.config import load_config
from machamp_lite.data.ragged_array import RaggedArray, StringIndex, smallest
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.data_checks.labels import unseen_labels
from machamp_lite.dataloading.batch_sampler import sizes_of
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.dataloading.issues import IssueCounter
from machamp_lite.training.run import read_data

LONG = "".join(f"{number}\tdogs ran\tdog\tNOUN\t_\t_\t0\troot\t_\t_\n" for number in range(1, 90)) + "\n"


@pytest.fixture
def columns(
    write_config: Callable[..., str], dataset: dict[str, Any], treebank: Path, tiny_params: str
) -> ExampleStore:
    """Three views of sentences, one of them without text, one of many pieces and of words with spaces."""
    treebank.write_text(treebank.read_text().replace("# text = Run\n", "") + LONG)
    tasks = {**dataset["tasks"], "cut": {"task_type": "tok"}, "hidden": {"task_type": "mlm"}}
    path = write_config(UD={**dataset, "tasks": tasks})
    return read_data(load_config([path], parameters_config=tiny_params)).dev["UD"]


def test_what_is_said_of_all_is_said_by_each(columns: ExampleStore) -> None:
    every = list(columns)
    assert [example.input_type for example in every[:5]] == ["masked", "raw", "words", "masked", "raw"]
    assert (columns.lengths("segment_starts") > 1).any()
    assert {own.input_type for own in every} == {"words", "masked", "raw"}
    for found, expected in zip(sizes_of(columns), sizes_of(every), strict=True):
        assert found.tolist() == expected.tolist()
    assert columns.lengths("subword_ids").tolist() == [len(example.segments.subword_ids) for example in every]
    assert columns.lengths("words").tolist() == [len(example.words) for example in every]
    for task in columns.tasks:
        assert columns.annotated(task).tolist() == [task in example.gold for example in every]
        for found, example in zip(columns.gold(task), every, strict=True):
            np.testing.assert_array_equal(found, example.gold.get(task))
    ids = np.concatenate([example.segments.subword_ids for example in every])
    assert columns.subword_ids().tolist() == ids.tolist()


def test_slices_and_views_are_the_same_instances(columns: ExampleStore) -> None:
    def summaries(examples: Any) -> list[tuple[str, str]]:
        return [(example.source, example.input_type) for example in examples]

    every = summaries(columns)
    assert summaries(columns[2:7]) == every[2:7] and summaries([columns[-1]]) == every[-1:]
    assert summaries(columns.of_types("words")) == [own for own in every if own[1] == "words"]
    assert summaries(columns.of_types("words", "raw")) == [own for own in every if own[1] != "masked"]
    assert summaries(columns.sentences()) == summaries(columns.of_types("words"))
    assert summaries(columns.of_types("raw").sentences()) == summaries(columns.of_types("raw"))
    with pytest.raises(IndexError):
        columns[len(columns)]


def test_labels_are_counted_and_those_that_training_never_saw_are_found(columns: ExampleStore) -> None:
    counts = Counter(label for example in columns for label in example.labels.get("upos", ()))
    assert columns.label_counts["upos"] == counts
    known = Vocabulary([label for label in counts if label != "PUNCT"])
    assert unseen_labels("upos", known, columns) == {"PUNCT": counts["PUNCT"]}
    assert not unseen_labels("upos", Vocabulary(list(counts)), columns)


def test_a_store_takes_few_bytes_per_word(columns: ExampleStore) -> None:
    arrays = columns.arrays().values()
    assert all(array.itemsize <= 4 for array in arrays)
    assert sum(array.nbytes for array in arrays) < 60 * columns.of_types("words").column("num_words").sum()


@pytest.mark.parametrize("texts", [[], [""], ["", "a", "", "\u3042\x00b"], ["\ud800", "\n"]])
def test_words_are_kept_as_they_are(columns: ExampleStore, texts: list[str]) -> None:
    example = dataclasses.replace(columns[2], words=texts)
    counts = {task: Counter[str]() for task in columns.tasks}
    names: Any = {"dataset": "UD", "path": "path", "tasks": columns.tasks}
    packed = ExampleStore.pack([[example], [], [example]], label_counts=counts, issues=IssueCounter(), **names)
    document = json.loads(json.dumps(packed.document()))
    for store in (packed, ExampleStore.load(document, packed.arrays(), **names)):
        assert [list(one.words) for one in store] == [texts, texts]
        assert [one.labels for one in store] == [example.labels, example.labels]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], "uint8"),
        ([0, 255], "uint8"),
        ([-1, 127], "int8"),
        ([-1, 128], "int16"),
        ([2**16], "uint32"),
        ([2**40], "int64"),
    ],
)
def test_numbers_have_the_smallest_type_that_holds_them(numbers: list[int], expected: str) -> None:
    array = np.array(numbers, dtype=np.int64)
    assert smallest(array).dtype == expected and smallest(array).tolist() == numbers


def test_rows_may_be_empty_anywhere() -> None:
    rows = RaggedArray.of(np.array([1, 2, 3]), np.array([0, 2, 0, 1, 0]))
    assert [rows[number].tolist() for number in range(len(rows))] == [[], [1, 2], [], [3], []]
    assert rows.sums().tolist() == [0, 3, 0, 3, 0]
    assert rows.take(np.array([3, 0, 1])).values.tolist() == [3, 1, 2]


def test_values_are_numbered_as_they_come() -> None:
    assert StringIndex().of(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "byt5", "canine"])
def test_sentences_laid_out_together_are_those_laid_out_alone(encoders: dict[str, str], kind: str) -> None:
    from machamp_lite.model.pretrained import load_tokenizer

    words = WordTokenizer(load_tokenizer(encoders[kind]), max_input_length=24, long_input="truncate")
    sentences = [[], ["the", "dogs"], ["a"] * 40, [], ["sleeping"] * 3, ["x", "", "y"], []]
    together = words.sentences(sentences)
    for number, sentence in enumerate(sentences):
        for name in ("subword_ids", "type_ids", "segment_starts", "word_ends"):
            alone = getattr(words.sentences([sentence])[0], name)
            np.testing.assert_array_equal(getattr(together[number], name), alone)
