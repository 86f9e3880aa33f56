"""Runs one after another, each starting from the model of the one before."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import main as cli
from machamp_lite.training import run as runs


@pytest.fixture
def flags(tiny_params: str) -> list[str]:
    return ["--parameters_config", tiny_params, "--device", "-1", "--set", "encoder.dropout=0.3"]


def test_each_run_of_a_sequence_starts_from_the_one_before(
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    turned: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    configs = [
        write_config("one.json", WORDS=dataset, PAIRS=pair_dataset),
        write_config("two.json", TURNED={**dataset, "train_data_path": str(turned)}),
    ]
    # An override of one config's dataset is no error in the other config.
    one = ["--set", "PAIRS.max_sents=3", "--sequential"]
    assert cli.train(["--dataset_configs", *configs, *flags, *one, "--name", "both"]) == 0
    (folder,) = Path("logs/both").iterdir()
    assert [path.name for path in sorted(folder.iterdir())] == ["0", "1"]
    log = (folder / "1" / "log.txt").read_text()
    assert f"starts from {folder / '0'}" in log
    assert "task upos: keeps its decoder" in log
    assert "not in this run: same" in log
    assert "starts from" not in (folder / "0" / "log.txt").read_text()
    output = capsys.readouterr().out
    assert [line for line in output.splitlines() if line.startswith("model: ")] == [
        f"model: {folder / number / 'model'}" for number in ("0", "1")
    ]
    # The same with --retrain.
    second = ["--dataset_configs", configs[1], *flags, "--retrain", str(folder / "0"), "--model_dir", "hand"]
    assert cli.train(second) == 0
    for name in ("model/model.safetensors", "TURNED.out"):
        assert Path("hand", name).read_bytes() == (folder / "1" / name).read_bytes()


def test_all_configs_of_a_sequence_are_checked_before_its_first_run(
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    turned: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def errors(*configs: str) -> list[str]:
        arguments = ["--dataset_configs", *configs, *flags, "--sequential", "--model_dir", str(run)]
        assert cli.train(arguments) == 2
        return [line for line in capsys.readouterr().err.splitlines() if not line[:2].isdecimal()]

    run = tmp_path / "run"
    right = write_config("right.json", A=dataset)
    wrong = write_config("wrong.json", B={**dataset, "word_idx": "1"})
    worse = write_config("worse.json", C={**dataset, "tasks": {}})
    assert [line.split(": ")[0] for line in errors(right, wrong, worse)] == [wrong, worse]
    turned.write_text(turned.read_text().replace("\tDET\t", "\t\t"))
    data = write_config("data.json", B={**dataset, "train_data_path": str(turned)})
    (line,) = errors(right, data)
    assert line.startswith(f"{turned}:") and "found an empty label" in line
    assert not run.exists()
    assert cli.train(["--dataset_configs", right, right, *flags, "--sequential", "--check"]) == 0
    assert capsys.readouterr().out.splitlines().count("dataset A") == 2
    (run / "1").mkdir(parents=True)
    (run / "1" / "params-config.json").touch()
    (line,) = errors(right, right)
    assert line.startswith(f"{run / '1'}: a run is already here")


def test_a_stopped_run_of_a_sequence_can_be_resumed(
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    turned: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = write_config("two.json", B={**dataset, "train_data_path": str(turned)})
    configs = [write_config("one.json", A=dataset), other]
    arguments = ["--dataset_configs", *configs, *flags, "--sequential", "--model_dir"]
    assert cli.train([*arguments, str(tmp_path / "whole")]) == 0
    original, calls = runs.save_state, 0

    def stopping(*positional: Any, **options: Any) -> None:
        nonlocal calls
        original(*positional, **options)
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_state", stopping)
        assert cli.train([*arguments, str(tmp_path / "broken")]) == 130
    part = tmp_path / "broken" / "1"
    assert f"python train.py --resume {part}" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "broken" / "0")
    assert cli.train(["--resume", str(part), "--device", "-1"]) == 0
    weights = [tmp_path / name / "1/model/model.safetensors" for name in ("whole", "broken")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert len(json.loads((part / "history.json").read_text())) == 2
