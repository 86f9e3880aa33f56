"""What commands show: bars on terminals only, one table per epoch, warnings once, and everything in the log file."""

import json
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite import progress
from machamp_lite.cli import main as cli
from machamp_lite.cli.console import as_text
from machamp_lite.cli.terminal import epoch_table
from machamp_lite.training.callbacks import EpochEnd

ANSI = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Standard error as a terminal of 80 columns with colours."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    # pytest opens new streams for each phase of a test.
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda stream: stream is sys.stderr)
    return capsys


@pytest.fixture
def arguments(
    write_config: Callable[..., str],
    tiny_params: str,
    dataset: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    """Flags for a small run of two epochs."""
    monkeypatch.chdir(tmp_path)
    config = write_config(UD=dataset)
    return ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1", "--model_dir", "run"]


def test_a_terminal_has_bars_that_are_removed(
    arguments: list[str], terminal: pytest.CaptureFixture[str]
) -> None:
    assert cli.train(arguments) == 0
    text = terminal.readouterr().err
    for bar in ("reading ", "epoch 1/2", "epoch 2/2", "evaluating UD", "predicting UD"):
        assert f"\r{bar}" in text, bar
    # What is left on a line is what was written after the last return.
    lines = [line.rsplit("\r", 1)[-1] for line in text.split("\n")]
    assert not any("%|" in line for line in lines)
    assert cli.predict(["run", "treebank.conllu", "out.conllu"]) == 0
    assert "\rpredicting UD" in terminal.readouterr().err


def test_checks_have_bars_too(arguments: list[str], terminal: pytest.CaptureFixture[str]) -> None:
    assert cli.train([*arguments[:-2], "--check"]) == 0
    assert "\rreading " in terminal.readouterr().err


@pytest.mark.parametrize("flags", [[], ["-q"]], ids=["no terminal", "quiet"])
def test_pipes_and_quiet_commands_have_no_bars_and_no_colours(
    arguments: list[str],
    flags: list[str],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if flags:
        request.getfixturevalue("terminal")
    assert cli.train([*arguments, *flags]) == 0
    assert cli.predict(["run", "treebank.conllu", "out.conllu", *flags]) == 0
    output = capsys.readouterr()
    assert "\r" not in output.err and "\x1b" not in output.err + output.out
    if flags:
        assert output.err == ""
        assert output.out == "model: run/model\nwritten: out.conllu\nscores: out.conllu.eval\n"


def test_errors_are_shown_by_quiet_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.train([*arguments, "-q", "--set", "UD.word_idx=99"]) == 2
    assert capsys.readouterr().err


def test_the_log_file_has_all_that_is_shown_without_colours_and_bars(
    arguments: list[str], terminal: pytest.CaptureFixture[str]
) -> None:
    assert cli.train(arguments) == 0
    log = Path("run/log.txt").read_text(encoding="utf-8")
    assert "\x1b" not in log and "\r" not in log and "%|" not in log
    output = terminal.readouterr()
    assert "\x1b[33m" in output.err, "warnings are yellow"
    for line in ANSI.sub("", output.err + output.out).split("\n"):
        line = line.rsplit("\r", 1)[-1]
        message = re.sub(r"^\d\d:\d\d:\d\d (warning: )?", "", line)
        assert message.rstrip() in log, line


def test_quiet_commands_log_everything_to_the_file(arguments: list[str]) -> None:
    assert cli.train([*arguments, "--quiet"]) == 0
    log = Path("run/log.txt").read_text(encoding="utf-8")
    for part in ("epoch 2: ", "UD upos", "best: epoch ", "WARNING"):
        assert part in log


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_switched_off(
    arguments: list[str],
    terminal: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, value)
    assert cli.train(arguments) == 0
    text = terminal.readouterr().err
    assert "epoch 2: " in text
    assert not ANSI.search(text)


def test_a_warning_is_shown_once_and_counted(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from machamp_lite.cli.logging_setup import log_to, set_up_logging

    set_up_logging()
    warnings = log_to(Path("log.txt"))
    for message in ("same", "same", "other"):
        logging.getLogger("machamp_lite.data").warning("%s", message)
    assert [line[9:] for line in capsys.readouterr().err.splitlines()] == ["warning: same", "warning: other"]
    assert len(Path("log.txt").read_text().splitlines()) == warnings.count() == 2


def test_verbose_commands_show_the_labels_that_are_not_found(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.train([*arguments, "--set", "training.num_epochs=1", "--set", "training.optimizer.lr=1e-9"]) == 0
    assert "recall below 50%" not in capsys.readouterr().err
    assert cli.train([*arguments, "-v", "--overwrite", "--set", "training.optimizer.lr=1e-9"]) == 0
    assert "; recall below 50%: " in capsys.readouterr().err


def test_verbose_predictions_show_what_is_loaded_and_the_speed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.train([*arguments, "--set", "training.num_epochs=1"]) == 0
    capsys.readouterr()
    predict = ["run", "treebank.conllu", "out.conllu", "--device", "-1"]
    assert cli.predict(predict) == 0
    assert " per second" not in capsys.readouterr().err
    assert cli.predict([*predict, "-v"]) == 0
    shown = capsys.readouterr().err
    assert " run/model: " in shown and ", on cpu in fp32" in shown
    assert re.search(r" treebank\.conllu: 4 sentences in \d+\.\d s, \d+ per second", shown)


def test_the_summary_says_where_everything_is_and_what_comes_next(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.train(arguments, prog="machamp-lite train") == 0
    lines = capsys.readouterr().out.splitlines()
    best = max(json.loads(Path("run/history.json").read_text()), key=lambda epoch: epoch["dev_sum"])
    start = next(number for number, line in enumerate(lines) if line.startswith("best: "))
    assert lines[start] == f"best: epoch {best['epoch']} of 2, sum of main metrics {best['dev_sum']:.4f}"
    assert re.fullmatch(r"time: 0:\d\d at \d+ words/s, dev data 0:\d\d", lines[start + 1])
    assert lines[start + 2 :] == [
        "warnings: 1, see the log",
        "predictions: run/UD.out",
        "log: run/log.txt",
        "to predict: machamp-lite predict run INPUT OUTPUT",
        "to compare: machamp-lite compare run OTHER_RUN",
        "model: run/model",
    ]


def test_a_run_without_dev_data_is_compared_on_a_test_file(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.train([*arguments, "--set", "UD.dev_data_path=null"], prog="machamp-lite train") == 0
    assert "to compare: machamp-lite compare run OTHER_RUN --test FILE\n" in capsys.readouterr().out


def epoch(dev: dict[str, Any], *, weight: float = 1.0) -> dict[str, Any]:
    return {"dev": dev, "train": {"a": 0.5, "b": 1.25}, "task_weights": {"a": weight, "b": 1.0}}


def table(*epochs: dict[str, Any]) -> list[str]:
    return as_text(epoch_table(EpochEnd(step=1, history=epochs, is_best=True)), None).splitlines()


def test_the_table_of_an_epoch_has_changes_and_marks_the_best_values() -> None:
    first = epoch({"D": {"a": {"accuracy": 0.5}, "b": {"las": 0.25, "uas": 0.5}}})
    second = epoch({"D": {"a": {"accuracy": 0.75}, "b": {"las": 0.5, "uas": 0.5}}})
    third = epoch({"D": {"a": {"accuracy": 0.625}, "b": {"las": 0.6, "uas": 0.25}}})
    assert table(first) == [
        "task    loss  metric    score",
        "a     0.5000  accuracy  50.00",
        "b     1.2500  las       25.00",
        "              uas       50.00",
    ]
    assert table(first, second, third) == [
        "task    loss  metric    score  change  best",
        "a     0.5000  accuracy  62.50  -12.50",
        "b     1.2500  las       60.00  +10.00  *",
        "              uas       25.00  -25.00",
    ]


def test_less_is_better_for_some_metrics() -> None:
    epochs = [epoch({"D": {"a": {"perplexity": value}}}) for value in (30.0, 20.5)]
    assert table(*epochs)[1:] == [
        "a     0.5000  perplexity  20.5000  -9.5000  *",
        "b     1.2500",
    ]


def test_several_datasets_and_weights_have_columns() -> None:
    dev = {"D": {"a": {"accuracy": 0.5}}, "OTHER": {"a": {"accuracy": 0.25}, "b": {"las": 0.0}}}
    assert table(epoch(dev, weight=0.5)) == [
        "dataset  task  weight    loss  metric    score",
        "D        a      0.500  0.5000  accuracy  50.00",
        "OTHER    a                     accuracy  25.00",
        "OTHER    b      1.000  1.2500  las        0.00",
    ]


def test_without_dev_data_the_table_has_losses() -> None:
    assert table(epoch({})) == ["task    loss", "a     0.5000", "b     1.2500"]


def test_the_table_fits_a_narrow_terminal_and_keeps_its_numbers(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    name = "a_task_with_a_very_long_name_" * 2
    one = {
        "dev": {name: {name: {"accuracy": 0.5}}, "D": {}},
        "train": {name: 0.5},
        "task_weights": {name: 2.0},
    }
    text = as_text(epoch_table(EpochEnd(step=1, history=[one, one], is_best=True)), sys.stderr)
    lines = ANSI.sub("", text).splitlines()
    assert max(map(len, lines)) <= 60
    assert all(number in lines[1] for number in ("0.5000", "50.00", "0.00", "2.000", "…"))


def test_names_are_shown_as_they_are() -> None:
    one = {"dev": {}, "train": {"[red]x": 1.0}, "task_weights": {"[red]x": 1.0}}
    assert table(one)[1] == "[red]x  1.0000"


def test_bars_are_drawn_only_where_they_are_shown(terminal: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(iter("ab"), "hidden")) == ["a", "b"]
    with progress.bar("hidden") as advance:
        advance(1)
    assert terminal.readouterr().err == ""
    with progress.shown():
        assert list(progress.track(iter("ab"), "counting", total=2)) == ["a", "b"]
        with progress.shown(False):
            assert list(progress.track(iter("ab"), "hidden")) == ["a", "b"]
    text = terminal.readouterr().err
    assert "counting" in text and "hidden" not in text


def test_an_error_leaves_no_bar(terminal: pytest.CaptureFixture[str]) -> None:
    kept = []
    with pytest.raises(KeyboardInterrupt), progress.shown():
        # The traceback keeps the iterator alive.
        kept.append(progress.track(iter("ab"), "counting", total=2))
        for _ in kept[0]:
            raise KeyboardInterrupt
    text = terminal.readouterr().err
    assert "counting" in text and not text.rsplit("\r", 1)[-1].strip()
