"""Thresholds are set for a prediction, tuned on data with one look at it, and stored in a model folder."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.inference.predictor import predict_file
from machamp_lite.inference.thresholds import choose_task, overridden_threshold, save_threshold, tune
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_model
from machamp_lite.training.run import train

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(
    tiny_params: str, treebank: Path, pairs: Path, write_config: Callable[..., str], tmp_path: Path
) -> Path:
    """A barely trained run with tasks of any number of labels a word and a pair, and one of a single label."""
    words = {"feats": {"task_type": "multiseq", "column_idx": 5}}
    texts = {"topics": {"task_type": "multiclas", "column_idx": 3}}
    same = {"same": {"task_type": "classification", "column_idx": 2}}
    datasets = {
        "UD": {"train_data_path": str(treebank), "word_idx": 1, "tasks": words},
        "PAIRS": {"train_data_path": str(pairs), "sent_idxs": [0, 1], "tasks": texts | same},
        "SINGLE": {"train_data_path": str(pairs), "sent_idxs": [1], "tasks": same},
    }
    config = load_config([write_config(**datasets)], parameters_config=tiny_params)
    train(config, tmp_path / "run", progress=False)
    return tmp_path / "run"


@pytest.fixture
def model(run: Path) -> Model:
    """Its model, with probabilities that differ."""
    model = load_model(run)
    torch.manual_seed(1)
    for task in ("feats", "topics"):
        torch.nn.init.normal_(model.decoder(task).scores.weight, std=0.3)
    return model


@pytest.mark.parametrize(
    ("dataset", "task", "name"), [("UD", "feats", "treebank"), ("PAIRS", "topics", "pairs")]
)
@pytest.mark.parametrize("metric", ["multi_acc", "multi_f1_micro", "multi_f1_macro"])
def test_tuning_gives_what_predicting_with_each_threshold_gives(
    model: Model,
    treebank: Path,
    pairs: Path,
    tmp_path: Path,
    dataset: str,
    task: str,
    name: str,
    metric: str,
) -> None:
    source = {"treebank": treebank, "pairs": pairs}[name]
    model.decoder(task).config = model.decoder(task).config.model_copy(
        update={"additional_metrics": [metric]}
    )
    model.config.datasets[dataset].tasks[task] = model.decoder(task).config
    tuned = tune(model, source, dataset=dataset, task=task, metric=metric)
    assert len(tuned.values) == 19
    for threshold, value in list(tuned.values.items())[::3]:
        scores = predict_file(model, source, tmp_path / "out", dataset=dataset, threshold=threshold)
        assert scores[task][metric] == pytest.approx(value)
    assert tuned.values[tuned.best] == max(tuned.values.values())
    # Whole sets of labels are hardly ever right where weights are random.
    assert metric == "multi_acc" or len(set(tuned.values.values())) > 1


def test_a_threshold_is_another_one_for_a_while(model: Model) -> None:
    decoder = model.decoder("topics")
    scores = torch.tensor([[-3.0, 0.1, 3.0]])
    assert decoder.decode(scores, [["a", "b"]])[0][0].count("|") == 1
    with pytest.raises(KeyboardInterrupt), overridden_threshold(model, "PAIRS", 0.01):
        assert decoder.decode(scores, [["a", "b"]])[0][0].count("|") == 2
        raise KeyboardInterrupt
    assert decoder.config.threshold == 0.5
    with overridden_threshold(model, "SINGLE", None):
        pass


def test_a_threshold_for_no_task_is_one_line_and_writes_nothing(
    run: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--dataset", "SINGLE", "--threshold", "0.3", "--device", "-1"]
    assert cli.predict([str(run), str(pairs), str(tmp_path / "out"), *flags]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "--threshold: found no task of type multiseq or multiclas in SINGLE, expected one"
    ]
    assert not (tmp_path / "out").exists()


def test_an_ambiguous_choice_of_task_is_reported(model: Model, pairs: Path, tmp_path: Path) -> None:
    datasets = model.config.datasets
    assert choose_task(datasets["PAIRS"], "PAIRS", None, flag="--task") == "topics"
    for dataset, task, line in [
        ("SINGLE", None, "--task: found no task of type multiseq or multiclas in SINGLE, expected one"),
        (
            "PAIRS",
            "topic",
            "--task: found 'topic', expected one of the tasks of PAIRS with a threshold: topics",
        ),
        (
            "PAIRS",
            "same",
            "--task: found 'same', expected one of the tasks of PAIRS with a threshold: topics",
        ),
    ]:
        with pytest.raises(ConfigError) as caught:
            choose_task(datasets[dataset], dataset, task, flag="--task")
        assert caught.value.faults[0].startswith(line)
    with pytest.raises(
        ConfigError, match=r"^--metric: found 'accuracy', expected one of the metrics of 'topics'"
    ):
        tune(model, pairs, dataset="PAIRS", task="topics", metric="accuracy")
    (tmp_path / "words").write_text("1\tran\n")
    with pytest.raises(DataError):
        tune(model, tmp_path / "words", dataset="UD", task="feats")


def test_a_stored_threshold_is_that_of_the_model_and_changes_nothing_else(run: Path) -> None:
    path = run / "model" / "config.json"
    before = json.loads(path.read_text())
    save_threshold(run / "model", "topics", 0.15)
    after = json.loads(path.read_text())
    assert load_model(run).decoder("topics").config.threshold == 0.15
    after["datasets"]["PAIRS"]["tasks"]["topics"]["threshold"] = 0.5
    assert after == before
    assert {item.name for item in path.parent.iterdir()} == {
        "config.json",
        "labels.json",
        "model.safetensors",
        "encoder",
    }


def test_the_script_prints_a_table_and_stores_the_best(
    run: Path, treebank: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*flags: Any, code: int = 0) -> Any:
        path = ROOT / "scripts" / "tune_threshold.py"
        monkeypatch.setattr("sys.argv", [str(path), *map(str, flags)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(path), run_name="__main__")
        assert ended.value.code == code
        return capsys.readouterr()

    printed = call(run, treebank, "--metric", "multi_f1_micro", "--write").out
    header, _, *rows, best, written = printed.splitlines()
    assert header == "| threshold | multi_f1_micro of feats |"
    assert len(rows) == 19
    assert best.startswith("best: ") and written == f"written: {run / 'model' / 'config.json'}"
    stored = load_model(run).decoder("feats").config.threshold
    assert best.startswith(f"best: {stored:.2f} (")
    *_, line = call(run, treebank, "--task", "x", code=2).err.splitlines()
    assert line.startswith("--task: found 'x', expected one of the tasks of UD")
