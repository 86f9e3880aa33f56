"""Predictions as JSON lines and as CoNLL-U are those of the Python API."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.api.loading import load
from machamp_lite.api.prediction import Prediction
from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.model.serialization import save_model
from machamp_lite.training.run import build_model, read_data


@pytest.fixture
def folder(
    dataset: dict[str, Any], write_config: Callable[..., str], tiny_params: str, tmp_path: Path
) -> Path:
    config = load_config([write_config(UD=dataset)], parameters_config=tiny_params)
    save_model(build_model(config, read_data(config)), tmp_path / "model")
    return tmp_path / "model"


def test_each_line_is_the_prediction_of_a_sentence(folder: Path, treebank: Path, tmp_path: Path) -> None:
    flags = ["--output_format", "jsonl", "--topn", "2", "--device", "-1"]
    assert cli.predict([str(folder), str(treebank), str(tmp_path / "out"), *flags]) == 0
    lines = (tmp_path / "out").read_text(encoding="utf-8").splitlines()
    expected = list(load(folder, device="cpu").stream_file(treebank, top_k=2))
    assert [Prediction.from_dict(json.loads(line)).labels for line in lines] == [one.labels for one in expected]
    assert [json.loads(line)["text"] for line in lines] == [one.text for one in expected]
    assert not (tmp_path / "out.eval").exists()


def test_raw_text_becomes_conllu_on_standard_output(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").write_text("The dogs ran.\n\nWho?\n", encoding="utf-8")
    flags = ["--raw_text", "--output_format", "conllu", "--device", "-1", "--max_sents", "1"]
    assert cli.predict([str(folder), str(tmp_path / "in"), "-", *flags]) == 0
    out = capfd.readouterr().out
    assert out == load(folder, device="cpu").predict("The dogs ran.").to_conllu()


@pytest.mark.parametrize("flags", [["--sep", "/"], ["--confidence"], ["--output_format", "conllu", "--topn", "2"]])
def test_flags_without_effect_are_errors(
    flags: list[str], folder: Path, treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(folder), str(treebank), str(tmp_path / "out"), "--output_format", "jsonl", *flags]
    assert cli.predict(given) == 2
    assert "has no effect with --output_format" in capsys.readouterr().err
