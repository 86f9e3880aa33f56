"""No task may write where its input is: a config in which one would is refused, also that of a model folder."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config import load_config
from machamp_lite.config.loading import check_saved_config
from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError

SEQ = {"task_type": "seq", "column_idx": 3}
TREE = {"task_type": "dependency", "column_idx": 6}
LABEL = {"task_type": "classification", "column_idx": -1}
SHARES = {"task_type": "probdistr", "column_idxs": [3, 4]}
WORDS = "holds the words (word_idx), and prediction would overwrite them; expected another column"
IDS = "holds the ids of datasets (dataset_embed_idx), and prediction would overwrite them; expected another column"
NAME = "prediction would overwrite the comment '# {} = ', which CoNLL-U reserves; expected another name for the task"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").write_text("1\ta\tb\tX\n")


def words(task: Any, name: str = "t", **changes: Any) -> dict[str, Any]:
    return {"word_idx": 1, "tasks": {name: task}, **changes}


def texts(task: Any, **changes: Any) -> dict[str, Any]:
    return {"sent_idxs": [0, 1], "tasks": {"t": task}, **changes}


REFUSED = {
    "the words": (words({**SEQ, "column_idx": 1}), ["t", "column_idx"], f"found 1, but column 1 {WORDS}"),
    "the words of a first column": (
        words({**SEQ, "column_idx": 0}, word_idx=0),
        ["t", "column_idx"],
        f"found 0, but column 0 {WORDS}",
    ),
    "words by the column of relations": (
        words({**TREE, "column_idx": 0}),
        ["t", "column_idx"],
        f"found 0, but column 1 {WORDS}",
    ),
    "ids of data sets": (
        words({**SEQ, "column_idx": 9}, dataset_embed_idx=9),
        ["t", "column_idx"],
        f"found 9, but column 9 {IDS}",
    ),
    "ids of data sets by the column of relations": (
        words(TREE, dataset_embed_idx=7),
        ["t", "column_idx"],
        f"found 6, but column 7 {IDS}",
    ),
    "ids of data sets of texts": (
        texts(SHARES, dataset_embed_idx=4),
        ["t", "column_idxs"],
        f"found [3, 4], but column 4 {IDS}",
    ),
    **{
        f"the comment {name!r}": (words(LABEL, name), [name], NAME.format(reserved))
        for name, reserved in {
            "text": "text",
            "sent_id": "sent_id",
            "newdoc": "newdoc",
            "newpar": "newpar",
            "newdoc id": "newdoc id",
            "newpar  id": "newpar id",
            "global.columns": "global.columns",
            "global.Entity": "global.Entity",
            " text": "text",
            "text = a": "text",
            "sent_id: b": "sent_id",
        }.items()
    },
    "the comment of a number": (
        words({**LABEL, "task_type": "regression"}, "text"),
        ["text"],
        NAME.format("text"),
    ),
}


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    (line,) = caught.value.faults
    return line


def load(dataset: dict[str, Any]) -> Config:
    Path("c.json").write_text(json.dumps({"D": {"train_data_path": "data", **dataset}}))
    return load_config(["c.json"])


def load_saved(dataset: dict[str, Any]) -> Config:
    """The same as the config of a model folder."""
    good = load(words(SEQ))
    return check_saved_config("m/config.json", good.params.model_dump(), {"D": copy.deepcopy(dataset)})


@pytest.mark.parametrize(("dataset", "place", "message"), REFUSED.values(), ids=REFUSED)
def test_a_task_that_would_overwrite_its_input_is_refused(
    dataset: dict[str, Any], place: list[str], message: str
) -> None:
    shown = " -> ".join(["D", "tasks", *place])
    assert refusal(load, dataset) == f"c.json: {shown}: {message}"
    assert refusal(load_saved, dataset) == f"m/config.json: {shown}: {message}"


ALLOWED = {
    "the first column, which may hold no ids": words({**SEQ, "column_idx": 0}),
    "other names": words(LABEL, "text_en"),
    "a name of a column": words(SEQ, "text"),
    "a task that writes nothing": words({"task_type": "tok"}, "text"),
    "a name of CoNLL-U for a text": {
        **texts({**LABEL, "column_idx": 2}),
        "tasks": {"text": {**LABEL, "column_idx": 2}},
    },
    "a column of texts, which only warns": texts({**LABEL, "column_idx": 1}),
    "an id for the whole data set": words(SEQ, dataset_embed_idx=-1),
}


@pytest.mark.parametrize("dataset", ALLOWED.values(), ids=ALLOWED)
def test_other_columns_and_names_are_taken(dataset: dict[str, Any]) -> None:
    assert load(dataset).datasets.keys() == {"D"}
    assert load_saved(dataset).datasets.keys() == {"D"}
