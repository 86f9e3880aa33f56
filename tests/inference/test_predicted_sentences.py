"""Predictions are read back from the files to which they were written."""

import json
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config.loading import load_config
from machamp_lite.inference.predicted_sentences import PredictedFile, read_predictions

# Of a text and its label, in each format: the file, and how its columns are given.
FORMATS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "d.tsv": ("dogs sleep\t{}\nbooks fell\t{}\n", {"sent_idxs": [0]}, 1),
    "d.csv": ('"dogs, cats",{}\nbooks fell,{}\n', {"sent_idxs": [0]}, 1),
    "d.jsonl": ('{{"t": "dogs", "y": "{}"}}\n{{"t": "books", "y": "{}"}}\n', {"sent_idxs": ["t"]}, "y"),
}


def read_back(folder: Path, name: str, tasks: dict[str, Any], *, gold: str, predicted: str) -> PredictedFile:
    (folder / name).write_text(gold)
    (folder / "D.out").write_text(predicted)
    path = str(folder / name)
    dataset = {"train_data_path": path, "dev_data_path": path, **FORMATS[name][1], "tasks": tasks}
    (folder / "c.json").write_text(json.dumps({"D": dataset}))
    config = load_config([folder / "c.json"]).datasets["D"]
    return read_predictions(config, source=path, predicted=folder / "D.out")


@pytest.mark.parametrize("name", FORMATS)
def test_predictions_have_the_format_of_their_source(name: str, tmp_path: Path) -> None:
    text, _, column = FORMATS[name]
    tasks = {"y": {"task_type": "classification", "column_idx": column}}
    found = read_back(tmp_path, name, tasks, gold=text.format("a", "b"), predicted=text.format("a", "a"))
    assert [(one.gold, one.predicted) for one in found.sentences] == [
        ({"y": ["a"]}, {"y": ["a"]}),
        ({"y": ["b"]}, {"y": ["a"]}),
    ]


def test_labels_in_a_shared_column_are_not_read_back(tmp_path: Path) -> None:
    text = FORMATS["d.tsv"][0].format("a", "b")
    tasks = {name: {"task_type": "classification", "column_idx": 1} for name in ("y", "z")}
    assert not read_back(tmp_path, "d.tsv", tasks, gold=text, predicted=text).tasks
