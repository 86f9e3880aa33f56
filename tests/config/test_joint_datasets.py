"""``A+B`` has the tasks of both datasets if a file can have the columns of both."""

import json
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config import load_config
from machamp_lite.config.joint_datasets import TRAINING_KEYS, can_be_joined, find_dataset
from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.errors import ConfigError

UPOS = {"upos": {"task_type": "seq", "column_idx": 3}}
NER = {"ner": {"task_type": "seq_bio", "column_idx": 9}}
MOOD = {"mood": {"task_type": "classification", "column_idx": -1}}


def config(tmp_path: Path, **datasets: dict[str, Any]) -> Config:
    (tmp_path / "train").touch()
    defaults = {"train_data_path": str(tmp_path / "train"), "word_idx": 1}
    (tmp_path / "c.json").write_text(json.dumps({name: defaults | one for name, one in datasets.items()}))
    return load_config([tmp_path / "c.json"])


def test_a_joined_dataset_has_the_tasks_of_all(tmp_path: Path) -> None:
    found = config(tmp_path, A={"tasks": UPOS}, B={"tasks": NER | UPOS, "max_sents": 3}, C={"tasks": MOOD})
    assert find_dataset(found, "B") is found.datasets["B"]
    assert list(find_dataset(found, "A+C").tasks) == ["upos", "mood"]
    assert find_dataset(found, "C+B+A").tasks == found.tasks()
    assert find_dataset(found, "A+B").word_idx == 1
    assert can_be_joined(found, ["A", "B", "C"])


def test_a_dataset_whose_name_has_a_plus_keeps_it(tmp_path: Path) -> None:
    found = config(tmp_path, **{"A+B": {"tasks": MOOD}, "A": {"tasks": UPOS}, "B": {"tasks": NER}})
    assert list(find_dataset(found, "A+B").tasks) == ["mood"]


REFUSED = [
    ({"word_idx": 0, "tasks": NER}, "the word_idx of A is 1 and that of B is 0"),
    ({"skip_first_line": True, "tasks": NER}, "the skip_first_line of A is False and that of B is True"),
    (
        {"tasks": {"ner": {"task_type": "seq", "column_idx": 3}}},
        "task 'upos' of A and task 'ner' of B both write column 3",
    ),
    (
        {"tasks": {"tree": {"task_type": "dependency", "column_idx": 2}}},
        "task 'upos' of A and task 'tree' of B both write column 3",
    ),
    (
        {"tasks": {"upos": {"task_type": "seq", "column_idx": 4}}},
        "the labels of task 'upos' are in other columns in B than in A",
    ),
]


@pytest.mark.parametrize(("other", "reason"), REFUSED)
def test_datasets_that_no_file_can_have_both_are_refused(
    other: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    found = config(tmp_path, A={"tasks": UPOS}, B=other)
    with pytest.raises(ConfigError) as caught:
        find_dataset(found, "A+B")
    assert caught.value.faults == [f"--dataset: found A+B, but {reason}; predict them into different outputs"]
    assert not can_be_joined(found, ["A", "B"])


def test_the_name_of_a_dataset_that_tasks_read_is_not_joined(tmp_path: Path) -> None:
    ids = {"dataset_embed_idx": -1}
    found = config(tmp_path, A={"tasks": UPOS, **ids}, B={"tasks": NER, **ids})
    with pytest.raises(ConfigError, match=r"the name A is an input of its tasks \(dataset_embed_idx -1\)"):
        find_dataset(found, "A+B")


@pytest.mark.parametrize(
    ("name", "found"), [("a", "'a'"), ("A+ner", "'ner' in 'A+ner'"), ("A+", "'' in 'A+'"), ("", "''")]
)
def test_an_unknown_name_is_listed_with_the_known_ones(name: str, found: str, tmp_path: Path) -> None:
    datasets = config(tmp_path, A={"tasks": UPOS}, NER={"tasks": NER})
    with pytest.raises(ConfigError) as caught:
        find_dataset(datasets, name)
    (line,) = caught.value.faults
    assert line.startswith(f"--dataset: found {found}, expected one of the model's datasets: A, NER")


def test_every_key_of_a_dataset_is_for_training_or_part_of_the_layout() -> None:
    file_format = {"format", "separator", "quoting", "skip_first_line"}
    layout = {"tasks", "word_idx", "sent_idxs", "dataset_embed_idx"} | file_format
    assert DatasetConfig.model_fields.keys() == TRAINING_KEYS | layout
