"""One row or more per task type, for tests that hold for all of them: a new task type needs one row."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.data.records import FileFormat, Record, read_records
from machamp_lite.model.multitask_model import Model
from machamp_lite.training.run import RunData


@dataclass(frozen=True)
class Case:
    """A dataset with one task; ``unannotated`` removes the labels from a record."""

    task_type: str
    dataset: str
    options: dict[str, Any]
    unannotated: Callable[[Record], None] | None = None
    task: str = "task"
    encoder: str = "wordpiece"


def blank_columns(*columns: int) -> Callable[[Record], None]:
    def blank(record: Record) -> None:
        for column in columns:
            record.set_column(column, ["_"] * len(record.rows))

    return blank


def without_comment(name: str) -> Callable[[Record], None]:
    def rename(record: Record) -> None:
        record.lines[:] = [
            "# other = 1\n" if line.startswith(f"# {name} ") else line for line in record.lines
        ]

    return rename


CASES = [
    Case("seq", "words", {"column_idx": 3}),
    Case("seq_bio", "words", {"column_idx": 8}),
    Case("string2string", "words", {"column_idx": 2}),
    Case("multiseq", "words", {"column_idx": 5}),
    Case("multiclas", "texts", {"column_idx": 3}),
    Case("multiclas", "words", {"column_idx": -1}, without_comment("mood"), task="mood"),
    Case("dependency", "words", {"column_idx": 6}, blank_columns(6, 7)),
    Case("classification", "texts", {"column_idx": 2}, blank_columns(2)),
    Case("classification", "words", {"column_idx": -1}, without_comment("mood"), task="mood"),
    Case("regression", "texts", {"column_idx": 4}, blank_columns(4)),
    Case("regression", "words", {"column_idx": -1}, without_comment("degree"), task="degree"),
    Case("probdistr", "texts", {"column_idxs": [5, 6]}, blank_columns(5, 6)),
    Case("probdistr", "words", {"size": 2}, without_comment("shares"), task="shares"),
    Case("mlm", "words", {}),
    Case("mlm", "texts", {}),
    Case("tok", "words", {}, without_comment("text")),
    Case("seq2seq", "texts", {"column_idx": 7}, blank_columns(7), encoder="t5"),
    Case("seq2seq", "words", {"column_idx": -1}, without_comment("reply"), task="reply", encoder="t5"),
]
IDS = [f"{case.task_type}-{case.dataset}" for case in CASES]
every_case = pytest.mark.parametrize("case", CASES, ids=IDS)


@dataclass
class Setting:
    """An untrained model for a case, with its data."""

    case: Case
    data: RunData
    model: Model
    path: Path

    def records(self) -> list[Record]:
        file_format = FileFormat(word_idx=1) if self.case.dataset == "words" else FileFormat(sent_idxs=(0, 1))
        return [record for record in read_records(self.path, file_format) if record.rows]
