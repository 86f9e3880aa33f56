"""The positive label of binary metrics: the one in the config, or one that is reported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.errors import ConfigError
from machamp_lite.model.serialization import load_model
from machamp_lite.training.run import read_data, train


@pytest.fixture
def load(
    write_config: Callable[..., str], tiny_params: str, pair_dataset: dict[str, Any], tmp_path: Path
) -> Callable[..., Any]:
    """The config of a dataset of pairs with these labels."""

    def load(labels: str, **options: Any) -> Any:
        path = tmp_path / "labels.tsv"
        path.write_text("".join(f"some text\tmore text\t{label}\n" for label in labels.split()))
        task = {"task_type": "classification", "column_idx": 2, "metric": "f1_binary", **options}
        paths = {"train_data_path": str(path), "dev_data_path": str(path)}
        config = write_config(D={**pair_dataset, **paths, "tasks": {"t": task}})
        return load_config([config], parameters_config=tiny_params, overrides=["training.num_epochs=1"])

    return load


@pytest.mark.parametrize(
    ("labels", "options", "expected", "warning"),
    [
        ("yes no yes", {}, "yes", None),
        ("+ - +", {}, "+", None),
        ("1 0 0", {}, "1", None),
        ("False True", {}, "True", None),
        ("yes no yes", {"positive_label": "no"}, "no", None),
        ("a b c", {"positive_label": "b"}, "b", None),
        (
            "entailment not_entailment",
            {},
            "not_entailment",
            "task 't': f1_binary scores only the label not_entailment, because it is the last one in sorted order of "
            "entailment, not_entailment; set positive_label of the task",
        ),
        (
            "a b c",
            {"metric": "accuracy", "additional_metrics": ["recall_binary", "fbeta_binary"]},
            "c",
            "task 't': recall_binary, fbeta_binary scores only the label c, because it is the last one in sorted order "
            "of a, b, c; set positive_label of the task",
        ),
        ("a b c", {"metric": "f1_macro"}, None, None),
    ],
)
def test_the_positive_label_is_that_of_the_config_or_a_reported_guess(
    load: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    labels: str,
    options: dict[str, Any],
    expected: str | None,
    warning: str | None,
) -> None:
    data = read_data(load(labels, **options))
    assert data.positive_labels.get("t") == expected
    found = [record.message for record in caplog.records if "sorted order" in record.message]
    assert found == ([] if warning is None else [warning])


@pytest.mark.parametrize(
    ("label", "hint"), [("Yes", "did you mean 'yes'?"), ("z", "known: no, yes")], ids=["similar", "other"]
)
def test_an_unknown_positive_label_is_refused(load: Callable[..., Any], label: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_data(load("yes no", positive_label=label))
    (line,) = caught.value.faults
    assert line.endswith(f": D -> tasks -> t -> positive_label: unknown label '{label}'; {hint}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metric": "accuracy", "positive_label": "yes"},
            "positive_label: has no effect on accuracy, expected a metric such as f1_binary",
        ),
        (
            {"beta": 2.0, "additional_metrics": "f1_macro"},
            "beta: has no effect on f1_binary, f1_macro, expected a metric such as fbeta_macro",
        ),
        ({"metric": "fbeta_macro", "beta": 0.0}, "beta: expected a number above 0, found 0"),
        ({"positive_label": 1}, "positive_label: expected a text in quotes, found 1"),
    ],
)
def test_options_that_no_metric_reads_are_refused(
    load: Callable[..., Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load("yes no", **options)
    assert [line.partition(" -> t -> ")[2] for line in caught.value.faults] == [message]


def test_prediction_scores_the_label_that_training_has_chosen(
    load: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    train(load("yes no yes no", additional_metrics=["recall_binary"]), "run", progress=False)
    assert load_model("run").config.tasks()["t"].positive_label == "yes"
    # Without the choice of training, the only label here would be the positive one.
    Path("in").write_text("some text\tmore text\tno\n" * 3)
    assert cli.predict(["run", "in", "out", "--device", "-1"]) == 0, capsys.readouterr().err
    assert json.loads(Path("out.eval").read_text())["t"]["recall_binary"] == 0.0
