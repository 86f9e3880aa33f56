"""A task with a loss_weight of 0 is switched off: not trained, predicted, written, scored or counted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from predicted_words import predict_words

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.dataloading.datasets import training_streams
from machamp_lite.errors import ConfigError
from machamp_lite.inference.decision_tuning import tunable_tasks
from machamp_lite.inference.ensembles import load_predictor as load
from machamp_lite.inference.evaluation import evaluate
from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.serialization import save_model
from machamp_lite.training.run import build_model, read_data, train

OFF = "UD.tasks.lemma.loss_weight=0"


@pytest.fixture
def flags(
    dataset: dict[str, Any],
    pair_dataset: dict[str, Any],
    tiny_params: str,
    write_config: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> list[str]:
    monkeypatch.chdir(tmp_path)
    dataset["tasks"] = {
        **dataset["tasks"],
        "feats": {"task_type": "multiseq", "column_idx": 5},
        "mlm": {"task_type": "mlm"},
        "words": {"task_type": "tok"},
    }
    config = write_config(UD=dataset, PAIRS=pair_dataset)
    return ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1"]


@pytest.fixture
def config(flags: list[str]) -> Callable[..., Any]:
    def load(*overrides: str) -> Any:
        return load_config([flags[1]], parameters_config=flags[3], overrides=overrides)

    return load


def off(*tasks: str) -> list[str]:
    return [f"UD.tasks.{task}.loss_weight=0" for task in tasks]


def column(path: str, index: int) -> list[str]:
    rows = [line.split("\t") for line in Path(path).read_text().splitlines() if line and line[0] != "#"]
    return [row[index] for row in rows if row[0].isdecimal()]


def test_it_is_in_no_output_of_a_run(
    flags: list[str], treebank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = treebank.read_text().replace("\tsleep\tVERB", "\tSPOILT\tVERB")
    treebank.write_text(spoilt)
    assert cli.train([*flags, "--model_dir", "run", "--set", OFF]) == 0
    output = capsys.readouterr()
    assert output.err.count("task 'lemma' is switched off (loss_weight 0)") == 1
    assert "UD    lemma" not in output.out and "UD lemma" not in output.out
    for epoch in json.loads(Path("run/history.json").read_text()):
        assert "lemma" not in epoch["train"]
        for kind in ("dev", "labels", "counts"):
            assert "lemma" not in epoch[kind]["UD"] and "upos" in epoch[kind]["UD"]
    assert "lemma" not in json.loads(Path("run/UD.out.eval").read_text())
    assert column("run/UD.out", 2) == column(str(treebank), 2)

    assert cli.predict(["run", str(treebank), "out", "--dataset", "UD", "--device", "-1", "--topn", "2"]) == 0
    output = capsys.readouterr()
    assert output.err.count("task 'lemma' is switched off (loss_weight 0)") == 1
    assert "lemma" not in output.out
    assert "lemma" not in json.loads(Path("out.eval").read_text())
    assert column("out", 2) == column(str(treebank), 2)
    assert "=" in column("out", 3)[0]
    (words,) = predict_words(load("run"), [["dogs", "ran"]], dataset="UD")
    assert "lemma" not in words and "upos" in words


def test_it_does_not_count_in_the_choice_of_the_best_epoch(
    config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []

    def summed(scores: Any, tasks: Any) -> float:
        seen.append({task for own in scores.values() for task in own})
        return 1.0

    monkeypatch.setattr("machamp_lite.training.trainer.sum_of_main_metrics", summed)
    train(config(*off("lemma", "tree"), "training.num_epochs=1"), "run", progress=False)
    assert seen == [{"upos", "mood", "feats", "words", "mlm", "same"}]


def test_dev_evaluation_leaves_it_out(config: Callable[..., Any]) -> None:
    loaded = config(*off("lemma", "words"))
    data = read_data(loaded)
    tracker = evaluate(build_model(loaded, data), "UD", data.dev["UD"])
    assert set(tracker.scores()) == {"upos", "tree", "mood", "feats", "mlm"}
    assert set(tracker.counts()) == set(tracker.scores())


def test_what_only_switched_off_tasks_read_is_not_trained_on(config: Callable[..., Any]) -> None:
    def views(*tasks: str) -> list[int]:
        loaded = config(*off(*tasks))
        return sorted(len(stream.examples) for stream in training_streams(loaded, read_data(loaded)))

    # Sentence pairs, masked text, and words together with raw text.
    assert views() == [4, 4, 8]
    assert views("mlm") == [4, 8]
    assert views("words") == [4, 4, 4]
    assert views("upos", "lemma", "tree", "mood", "feats") == [4, 4, 4]
    assert views("upos", "lemma", "tree", "mood", "feats", "mlm", "words") == [4]


def test_a_dataset_without_active_tasks_is_not_predicted(
    config: Callable[..., Any], treebank: Path
) -> None:
    loaded = config(*off("upos", "lemma", "tree", "mood", "feats", "mlm", "words"))
    train(loaded, "run", progress=False)
    assert not Path("run/UD.out").exists() and Path("run/PAIRS.out").exists()
    with pytest.raises(ConfigError, match=r"^UD: every task is switched off \(loss_weight 0\)"):
        predict_file(load("run"), treebank, "out", dataset="UD")
    assert not Path("out").exists()


def test_raw_text_is_split_without_it(config: Callable[..., Any]) -> None:
    loaded = config(*off("words"))
    model = build_model(loaded, read_data(loaded))
    Path("in").write_text("the dogs sleep\n")
    predict_file(model, "in", "out", dataset="UD", raw_text=True)
    assert column("out", 1) == ["the", "dogs", "sleep"]


def test_a_threshold_is_not_for_it(config: Callable[..., Any]) -> None:
    assert "feats" in tunable_tasks(config().datasets["UD"], "UD", None)
    assert "feats" not in tunable_tasks(config(*off("feats")).datasets["UD"], "UD", None)


def test_it_cannot_be_oversampled(config: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        config("UD.oversample=upos", *off("upos"))
    (line,) = caught.value.faults
    assert "UD -> oversample: 'upos' is switched off (loss_weight 0)" in line


def test_retraining_keeps_its_decoder_for_later(config: Callable[..., Any]) -> None:
    loaded = config(OFF)
    init_model = build_model(loaded, read_data(loaded))
    save_model(init_model, "former")
    train(config(OFF), "off", retrain="former", progress=False)
    assert "lemma" not in json.loads(Path("off/UD.out.eval").read_text())
    kept = load("off").decoder("lemma").state_dict()
    for name, weights in init_model.decoder("lemma").state_dict().items():
        assert kept[name].equal(weights)
    train(config(), "on", retrain="off", progress=False)
    assert "lemma" in json.loads(Path("on/UD.out.eval").read_text())


def test_its_layers_are_not_computed_and_it_causes_no_warnings(
    config: Callable[..., Any], caplog: pytest.LogCaptureFixture, treebank: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text(treebank.read_text().replace("\tbook\t", "\tunheard_of\t"))
    layers = [f"UD.tasks.{task}.layers_to_use=[-1]" for task in ("upos", "tree", "mood", "feats", "words")]
    layers += ["PAIRS.tasks.same.layers_to_use=[-1]", "UD.tasks.lemma.layers_to_use=[1]"]
    changes = [f"UD.dev_data_path={other}", *layers]
    loaded = config(*changes)
    on = build_model(loaded, read_data(loaded))
    assert any("'lemma'" in record.getMessage() for record in caplog.records)
    caplog.clear()
    loaded = config(OFF, *changes)
    model = build_model(loaded, read_data(loaded))
    assert len(model.used_layers) < len(on.used_layers)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert not any("'lemma'" in message for message in warned)
