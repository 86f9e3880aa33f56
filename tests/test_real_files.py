"""Whole treebanks through training and prediction, against the official UD evaluation."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from udtools import udeval

from machamp_lite.config import load_config
from machamp_lite.inference.ensembles import load_predictor as load
from machamp_lite.inference.predictor import predict_file
from machamp_lite.inference.ud_scores import TREEBANK_TYPE
from machamp_lite.training.run import train

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
TASKS = {
    "upos": {"task_type": "seq", "column_idx": 3},
    "lemma": {"task_type": "string2string", "column_idx": 2},
    "feats": {"task_type": "seq", "column_idx": 5},
    "dependency": {"task_type": "dependency", "column_idx": 6},
}


@pytest.fixture
def run(write_config: Callable[..., str], tiny_params: str, tmp_path: Path) -> Callable[[Path], Path]:
    """Trains a tiny model on the beginning of a treebank."""

    def run(training: Path) -> Path:
        dataset: dict[str, Any] = {"train_data_path": str(training), "word_idx": 1, "tasks": TASKS}
        config = load_config(
            [write_config(UD=dataset)], parameters_config=tiny_params, overrides=["UD.max_sents=200"]
        )
        train(config, tmp_path / "run", progress=False)
        return tmp_path / "run"

    return run


def official_scores(gold: Path, system: Path) -> dict[str, float]:
    evaluation = udeval.evaluate(
        udeval.load_conllu_file(str(gold), TREEBANK_TYPE), udeval.load_conllu_file(str(system), TREEBANK_TYPE)
    )
    return {name: 100 * evaluation[name].f1 for name in ("UPOS", "Lemmas", "UAS", "LAS")}


def without_subtypes(source: Path, target: Path) -> Path:
    """A treebank with relations cut at the colon, as the official LAS cuts them."""
    lines = source.read_text(encoding="utf-8").split("\n")
    rows = [line.split("\t") for line in lines]
    cut = [[*row[:7], row[7].split(":")[0], *row[8:]] if len(row) == 10 else row for row in rows]
    target.write_text("\n".join("\t".join(row) for row in cut), encoding="utf-8")
    return target


def treebanks() -> list[Any]:
    shared = ROOT.parent / "shared" / "data"
    absent = pytest.mark.skipif(not shared.is_dir(), reason="published data sets are not next to the checkout")
    atis, ewt = shared / "ud-english-atis" / "en_atis-ud-", shared / "ud-english-ewt" / "en_ewt-ud-"
    sample = ROOT / "data" / "ewt"
    return [
        pytest.param(sample / "train.conllu", sample / "test.conllu", id="sample"),
        pytest.param(Path(f"{atis}train.conllu"), Path(f"{atis}test.conllu"), id="atis", marks=absent),
        pytest.param(Path(f"{ewt}dev.conllu"), Path(f"{ewt}test.conllu"), id="ewt", marks=absent),
    ]


@pytest.mark.parametrize(("training", "test"), treebanks())
def test_scores_agree_with_the_official_evaluation_and_the_rest_of_the_file_is_untouched(
    training: Path, test: Path, run: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder, output = run(training), tmp_path / "out.conllu"
    scores = predict_file(load(folder), test, output)
    ours = {
        "UPOS": scores["upos"]["accuracy"],
        "Lemmas": scores["lemma"]["accuracy"],
        "UAS": scores["dependency"]["uas"],
    }
    official = official_scores(test, output)
    for name, value in ours.items():
        assert 100 * value == pytest.approx(official[name], abs=0.01), name

    predicted, gold = output.read_text(encoding="utf-8"), test.read_text(encoding="utf-8")
    assert restore(predicted, gold, columns=(2, 3, 5, 6, 7)) == gold
    assert predicted != gold

    cut_gold = without_subtypes(test, tmp_path / "gold.conllu")
    cut_output = without_subtypes(output, tmp_path / "cut.conllu")
    agreed = sum(
        one[6:8] == other[6:8] for one, other in zip(word_rows(cut_gold), word_rows(cut_output), strict=True)
    )
    assert 100 * agreed / len(word_rows(cut_gold)) == pytest.approx(official["LAS"], abs=0.01)
    assert json.loads(Path(f"{output}.eval").read_text())["dependency"]["las"] * 100 <= official["LAS"] + 0.01


def word_rows(path: Path) -> list[list[str]]:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")]
    return [row for row in rows if len(row) == 10 and row[0].isdigit()]


def restore(predicted: str, gold: str, *, columns: tuple[int, ...]) -> str:
    """The predicted file with some columns of its word rows taken from the gold file."""
    lines = []
    for line, gold_line in zip(predicted.split("\n"), gold.split("\n"), strict=True):
        row, gold_row = line.split("\t"), gold_line.split("\t")
        if re.fullmatch(r"\d+", row[0]):
            for column in columns:
                row[column] = gold_row[column]
        lines.append("\t".join(row))
    return "\n".join(lines)
