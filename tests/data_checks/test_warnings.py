"""What of the data is most likely not meant is reported once, by training and by --check."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import main as cli

OTHER_LABELS = ("\tDET\t", "\tXYZ\t"), ("\tAUX\t", "\tABC\t"), ("\tADV\t", "\tNEW\t")


@pytest.fixture
def warned(
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    tiny_params: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., list[str]]:
    def warned(*, check: bool, **changes: Any) -> list[str]:
        tasks = {name: dataset["tasks"][name] for name in ("upos", "mood")}
        config = write_config(UD={**dataset, "tasks": tasks, **changes})
        flags = ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1"]
        ending = ["--check"] if check else ["--model_dir", str(tmp_path / "run"), "--overwrite"]
        assert cli.train([*flags, *ending]) == 0
        lines = [line[9:].removeprefix("warning: ") for line in capsys.readouterr().err.splitlines()]
        return [line for line in lines if re.search(" dev file | of the labels of | only the label ", line)]

    return warned


@pytest.mark.parametrize("check", [True, False])
def test_a_dev_file_that_is_the_training_file(
    warned: Callable[..., list[str]], treebank: Path, tmp_path: Path, check: bool
) -> None:
    copy = tmp_path / "copy"
    shutil.copy(treebank, copy)
    ending = "the training file: its scores do not show how good the model is on new text"
    assert warned(check=check) == [f"UD: the dev file {treebank} is {ending}"]
    assert warned(check=check, dev_data_path=str(copy)) == [
        f"UD: the dev file {copy} has the same content as {treebank}, {ending}"
    ]
    copy.write_text(treebank.read_text() + "\n")
    assert warned(check=check, dev_data_path=str(copy)) == []


@pytest.mark.parametrize("check", [True, False])
def test_a_dev_file_without_labels_of_a_task(
    warned: Callable[..., list[str]], treebank: Path, tmp_path: Path, check: bool
) -> None:
    other = tmp_path / "other"
    other.write_text(re.sub("^# mood = .*\n", "", treebank.read_text(), flags=re.MULTILINE))
    assert warned(check=check, dev_data_path=str(other)) == [
        f"UD: the dev file {other} has no labels of the task 'mood', which therefore has no scores"
    ]


@pytest.mark.parametrize("check", [True, False])
def test_dev_labels_that_training_lacks(
    warned: Callable[..., list[str]], treebank: Path, tmp_path: Path, check: bool
) -> None:
    other, text = tmp_path / "other", treebank.read_text()
    for label, new in OTHER_LABELS:
        text = text.replace(label, new)
    other.write_text(text)
    (line,) = warned(check=check, dev_data_path=str(other))
    assert line == (
        f"UD: task 'upos': 2 of the labels of {other} are not in the training data and count as wrong, "
        "2 times in all: XYZ, ABC"
    )


@pytest.mark.parametrize("check", [True, False])
def test_a_task_with_one_label(
    warned: Callable[..., list[str]], treebank: Path, tmp_path: Path, check: bool
) -> None:
    text = treebank.read_text()
    for label in ("question", "order"):
        text = text.replace(f"mood = {label}", "mood = statement")
    treebank.write_text(text)
    expected = ["task 'mood': found only the label 'statement' in the training data, expected several"]
    assert warned(check=check, dev_data_path=None) == expected
