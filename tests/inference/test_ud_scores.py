"""Official UD scores are those of udtools, for predicted columns only, and never a reason for an error."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from udtools import udeval

from machamp_lite.config import load_config
from machamp_lite.inference import ud_scores
from machamp_lite.inference.ensembles import load_predictor as load
from machamp_lite.inference.predictor import predict_file
from machamp_lite.inference.ud_scores import SCORES, official_scores
from machamp_lite.training.run import train

ALL_COLUMNS = range(2, 8)


@pytest.fixture
def predicted(treebank: Path, tmp_path: Path) -> Path:
    """The treebank with a wrong tag, lemma, relation and head."""
    text = treebank.read_text(encoding="utf-8")
    changes = {"\tPRON\t": "\tDET\t", "\trun\t": "\tran\t", "\tobj\t": "\tnsubj\t", "\t2\tdet": "\t5\tdet"}
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "predicted.conllu"
    path.write_text(text, encoding="utf-8")
    return path


def test_scores_are_those_of_the_official_evaluation(treebank: Path, predicted: Path) -> None:
    files = []
    for path in (treebank, predicted):
        # The column of enhanced dependencies has entities.
        text = re.sub(r"\t[BI]-\w+\t|\tO\t|\t2:conj\t", "\t_\t", path.read_text(encoding="utf-8"))
        text = re.sub(r"^2\.1.*\n", "", text, flags=re.MULTILINE)
        files.append(udeval.load_conllu(io.StringIO(text), str(path), ud_scores.TREEBANK_TYPE))
    evaluation = udeval.evaluate(*files)
    scores = official_scores(treebank, predicted, columns=ALL_COLUMNS)
    assert list(scores) == list(SCORES)
    assert scores == pytest.approx({name: evaluation[name].f1 for name in SCORES}, abs=1e-6)
    assert 0 < scores["LAS"] < scores["UAS"] < 1


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ((6, 7), {"UAS", "LAS", "CLAS"}),
        ((2, 6, 7), {"Lemmas", "UAS", "LAS", "CLAS", "BLEX"}),
        ((3, 5, 6, 7), {"UPOS", "UFeats", "UAS", "LAS", "CLAS", "MLAS"}),
    ],
)
def test_scores_of_columns_that_are_copied_from_gold_are_left_out(
    columns: tuple[int, ...], expected: set[str], treebank: Path, predicted: Path
) -> None:
    assert set(official_scores(treebank, predicted, columns=columns)) == expected


INVALID = {
    "a cycle": ("\t0\troot", "\t1\troot"),
    "two roots": ("\t2\tdet", "\t0\tdet"),
    "no head": ("\t2\tdet", "\t_\tdet"),
    "other words": ("\tThe\t", "\tA\t"),
    "ranked heads": ("\t2\tdet", "\t2=0.9|5=0.1\tdet"),
}


@pytest.mark.parametrize("change", INVALID.values(), ids=INVALID)
def test_a_file_that_is_not_valid_has_no_official_scores(
    change: tuple[str, str], treebank: Path, predicted: Path
) -> None:
    predicted.write_text(treebank.read_text(encoding="utf-8").replace(*change, 1), encoding="utf-8")
    assert official_scores(treebank, predicted, columns=ALL_COLUMNS) == {}
    assert official_scores(predicted, treebank, columns=ALL_COLUMNS) == {}


def test_predictions_of_a_treebank_have_official_scores(
    dataset: dict[str, Any],
    write_config: Callable[..., str],
    tiny_params: str,
    treebank: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = load_config([write_config(UD=dataset)], parameters_config=tiny_params)
    train(config, tmp_path / "run", progress=False)

    def scores(path: Path) -> dict[str, Any]:
        return json.loads(path.read_text(encoding="utf-8"))["tree"]

    official = scores(tmp_path / "run" / "UD.out.eval")["ud"]
    assert set(official) == {"UPOS", "Lemmas", "UAS", "LAS", "CLAS", "BLEX"}
    assert official == official_scores(treebank, tmp_path / "run" / "UD.out", columns=(2, 3, 6, 7))
    # Relations of this treebank have no subtypes.
    assert official["LAS"] == pytest.approx(scores(tmp_path / "run" / "UD.out.eval")["las"], abs=1e-6)
    model, output = load(tmp_path / "run"), tmp_path / "output"
    predict_file(model, treebank, output, dataset="UD", top_n=2)
    assert "ud" not in scores(Path(f"{output}.eval"))
    monkeypatch.setattr(ud_scores, "find_spec", lambda name: None)
    predict_file(model, treebank, output, dataset="UD")
    assert "ud" not in scores(Path(f"{output}.eval")) and "las" in scores(Path(f"{output}.eval"))
