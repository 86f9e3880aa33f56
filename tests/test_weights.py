"""Weights from config to loss, file and screen."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.dataloading.datasets import oversampling_weights
from machamp_lite.errors import ConfigError
from machamp_lite.model.multitask_model import Model
from machamp_lite.training import run as runs
from machamp_lite.training.check import check
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.train_step import train_step

ROWS = [("dog", "X"), ("cat", "X"), ("ran", "Y"), ("the", "X"), ("he", "Z"), ("a", "X"), ("they", "Y")]


@pytest.fixture
def uneven(tmp_path: Path) -> str:
    """Sentences of one word with labels X, Y and Z, 4, 2 and 1 times."""
    path = tmp_path / "uneven.conll"
    path.write_text("".join(f"# mood = {label}\n{word}\t{label}\n\n" for word, label in ROWS))
    return str(path)


@pytest.fixture
def load(uneven: str, write_config: Callable[..., str], tiny_params: str) -> Callable[..., Any]:
    def load(*overrides: str, **dataset: Any) -> Any:
        tasks = {
            "tag": {"task_type": "seq", "column_idx": 1},
            "mood": {"task_type": "classification", "column_idx": -1},
        }
        whole = {"train_data_path": uneven, "dev_data_path": uneven, "word_idx": 0, "tasks": tasks, **dataset}
        return load_config([write_config(D=whole)], parameters_config=tiny_params, overrides=overrides)

    return load


def loss_of(config: Any, task: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Any]:
    """The loss of a task, its scores and its gold ids."""
    runs.seed_everything(1)
    data = runs.read_data(config)
    model = runs.build_model(config, data).eval()
    batch = model.batch(data.train["D"], only_annotated=True)
    scores = model(batch)
    return model.losses(batch, scores)[task], scores[task], batch.tasks[task].gold, data.vocabularies[task]


@pytest.mark.parametrize("task", ["tag", "mood"])
def test_balanced_weights_are_those_of_scikit_learn_in_the_loss_of_torch(
    load: Callable[..., Any], task: str
) -> None:
    loss, scores, gold, vocabulary = loss_of(load(f"D.tasks.{task}.class_weights=balanced"), task)
    labels = [label for _, label in ROWS]
    weights = compute_class_weight("balanced", classes=np.array(vocabulary.labels), y=labels)
    expected = torch.nn.CrossEntropyLoss(weight=torch.tensor(weights, dtype=torch.float32))(scores, gold)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    plain = loss_of(load(), task)[0]
    assert plain.item() == pytest.approx(torch.nn.functional.cross_entropy(scores, gold).item(), rel=1e-5)
    assert loss.item() != pytest.approx(plain.item(), rel=1e-3)


@pytest.mark.parametrize(
    "option", ["focal_gamma=2", "label_smoothing=0.2", "logit_adjustment=1", "class_weights=sqrt"]
)
def test_every_option_changes_the_loss_and_not_the_scores(load: Callable[..., Any], option: str) -> None:
    loss, scores, *_ = loss_of(load(f"D.tasks.tag.{option}"), "tag")
    plain, plain_scores, *_ = loss_of(load(), "tag")
    assert torch.equal(scores, plain_scores)
    assert loss.item() != pytest.approx(plain.item(), rel=1e-3)


@pytest.mark.parametrize("task_type", ["seq", "seq_bio", "string2string", "dependency", "classification"])
def test_every_head_takes_class_weights(
    task_type: str, write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str
) -> None:
    dataset["tasks"] = {**dataset["tasks"], "spans": {"task_type": "seq_bio", "column_idx": 8}}
    task = next(name for name, options in dataset["tasks"].items() if options["task_type"] == task_type)

    def loss(*overrides: str) -> float:
        config = load_config([write_config(D=dataset)], parameters_config=tiny_params, overrides=overrides)
        return loss_of(config, task)[0].item()

    # Weights of 1 change nothing, balanced ones do.
    assert loss(f'D.tasks.{task}.class_weights={{"*": 1}}') == pytest.approx(loss(), rel=1e-6)
    assert loss(f"D.tasks.{task}.class_weights=balanced") != pytest.approx(loss(), rel=1e-4)


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ({"X": 1, "Y": 2}, ["'Z'"]),
        ({"X": 1, "Y": 2, "Z": 1, "W": 3}, ["'W'"]),
        ({"X": 1, "Y": -2, "Z": 1}, ["Y: ", "-2"]),
        ({"*": 0}, ["0"]),
    ],
)
def test_weights_that_do_not_fit_the_labels_are_reported_with_their_place(
    load: Callable[..., Any], weights: dict[str, float], parts: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        runs.read_data(load(f"D.tasks.tag.class_weights={json.dumps(weights)}"))
    (line,) = caught.value.faults
    assert "D -> tasks -> tag -> class_weights" in line
    assert all(part in line for part in parts)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"class_weights": "balanced", "logit_adjustment": 1.0}, "logit_adjustment"),
        ({"focal_gamma": 1.0, "logit_adjustment": 1.0}, "logit_adjustment"),
        ({"focal_gamma": 1.0, "label_smoothing": 0.1}, "focal_gamma"),
        ({"class_weights": "balanced", "class_weights_beta": 0.9}, "class_weights_beta"),
        ({"class_weights": "ballanced"}, "class_weights"),
        ({"focal_gamma": -1}, "focal_gamma"),
        ({"label_smoothing": 1}, "label_smoothing"),
    ],
)
def test_options_that_cannot_be_combined_are_reported(
    load: Callable[..., Any], options: dict[str, Any], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(*(f"D.tasks.tag.{name}={value}" for name, value in options.items()))
    (line,) = caught.value.faults
    assert f"D -> tasks -> tag -> {key}: " in line
    assert "expected" in line


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["D.oversample=tga"], "no task 'tga' in this dataset; did you mean 'tag'?"),
        (["D.oversample=tag", "D.tasks.tag.class_weights=sqrt"], "'tag' has class_weights too"),
        (["D.oversample=tag", "D.tasks.tag.logit_adjustment=1"], "'tag' has logit_adjustment too"),
    ],
)
def test_oversampling_without_effect_is_reported(
    load: Callable[..., Any], overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match="D -> oversample: ") as caught:
        load(*overrides)
    assert message in str(caught.value)


@pytest.mark.parametrize("task", ["tag", "mood"])
def test_balanced_oversampling_draws_every_label_equally_often(load: Callable[..., Any], task: str) -> None:
    config = load(f"D.oversample={task}")
    data = runs.read_data(config)
    sampling_weights = oversampling_weights(data.train["D"], config.datasets["D"], data.vocabularies[task])
    by_label: dict[str, float] = {}
    for (_, label), chance in zip(ROWS, sampling_weights, strict=True):
        by_label[label] = by_label.get(label, 0.0) + chance
    assert by_label == pytest.approx({"X": 1 / 3, "Y": 1 / 3, "Z": 1 / 3})


def test_check_shows_oversampling(load: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    lines = check(load("D.oversample=tag"), data_cache="off")
    # Each of the three labels gets a third of seven draws.
    assert [line for line in lines if "oversampling" in line] == [
        "  oversampling by task tag (balanced): on average, a sentence is drawn 0.58 to 2.3 times per epoch, depending "
        "on its rarest label"
    ]


def test_weights_are_in_the_model_and_on_the_screen(
    load: Callable[..., Any],
    tmp_path: Path,
    write_config: Callable[..., str],
    uneven: str,
    tiny_params: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs.train(load("D.tasks.tag.class_weights=balanced"), tmp_path / "run", progress=False)
    labels = json.loads((tmp_path / "run" / "model" / "labels.json").read_text())
    assert labels["tag"]["labels"] == ["X", "Y", "Z"]
    assert labels["tag"]["counts"] == [4, 2, 1]
    assert labels["tag"]["weights"] == pytest.approx([7 / 12, 7 / 6, 7 / 3])
    assert labels["mood"]["weights"] is None
    config = tmp_path / "config.json"
    flags = ["--dataset_configs", str(config), "--parameters_config", tiny_params, "--check"]
    assert cli.train([*flags, "--set", "D.tasks.tag.class_weights=balanced"]) == 0
    printed = capsys.readouterr()
    shown = [line.split() for line in printed.out.splitlines()]
    # Balanced weights give each of the three labels a third of the loss.
    assert ["Z", "1", "14.3%", "1", "2.333", "33.3%"] in shown
    assert ["X", "4", "57.1%", "4", "0.5833", "33.3%"] in shown
    assert "largest weight / smallest: 4.0".split() in shown
    assert "warning: task 'tag': 3 labels with fewer than 5 items" in printed.err


@pytest.mark.parametrize("scheme", ["static", "uncertainty", "dwa", "random"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_logged_total_is_the_mean_of_what_was_minimised(
    load: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    accumulation: int,
) -> None:
    config = load(
        f"training.task_weighting={scheme}",
        "D.tasks.mood.loss_weight=0.5",
        "training.num_epochs=4",
        "batching.batch_size=2",
        f"training.accumulation_steps={accumulation}",
    )
    totals: list[float] = []
    original = Model.total_loss

    def total_loss(model: Model, losses: Any) -> Any:
        total = original(model, losses)
        totals.append(total.item())
        return total

    monkeypatch.setattr(Model, "total_loss", total_loss)
    runs.train(config, tmp_path / "run", progress=False)
    epochs = json.loads((tmp_path / "run" / "history.json").read_text())
    assert len(totals) == 16
    for number, epoch in enumerate(epochs):
        minimised = totals[4 * number : 4 * number + 4]
        assert epoch["total_loss"] == pytest.approx(sum(minimised) / 4, rel=1e-5)
        if scheme in ("static", "dwa"):
            total = sum(epoch["task_weights"][task] * loss for task, loss in epoch["train"].items())
            assert epoch["total_loss"] == pytest.approx(total, rel=1e-5)
    last = epochs[-1]["task_weights"]
    if scheme == "static":
        assert last == {"mood": 0.5, "tag": 1.0}
    else:
        assert last["tag"] != 1.0


def test_learnt_weights_of_tasks_have_no_decay_and_move(load: Callable[..., Any]) -> None:
    config = load("training.task_weighting=uncertainty")
    data = runs.read_data(config)
    model = runs.build_model(config, data)
    optimizer = make_optimizer(model)
    learnt = list(model.task_weights.parameters())
    (group,) = [group for group in optimizer.param_groups if any(one is learnt[0] for one in group["params"])]
    assert group["weight_decay"] == 0
    assert len(group["params"]) == len(learnt) == 2
    train_step(model, [data.train["D"]], optimizer)
    assert all(parameter.item() != 0 for parameter in learnt)


def test_scores_of_labels_are_in_every_file_of_scores(load: Callable[..., Any], tmp_path: Path) -> None:
    runs.train(load(), tmp_path / "run", progress=False)
    written = json.loads((tmp_path / "run" / "D.out.eval").read_text())["tag"]["labels"]
    assert {label: row["support"] for label, row in written["labels"].items() if row["support"]} == {
        "X": 4,
        "Y": 2,
        "Z": 1,
    }
    assert set(written) == {"unit", "labels", "macro", "weighted", "confusion", "confusions"}
    epochs = json.loads((tmp_path / "run" / "history.json").read_text())
    assert set(epochs[0]["labels"]["D"]) == {"tag", "mood"}


@pytest.mark.parametrize("task_type", ["mlm", "seq2seq", "tok", "regression", "probdistr"])
def test_tasks_without_classes_refuse_class_weights_and_say_why(
    load: Callable[..., Any], task_type: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        place = "size=2" if task_type == "probdistr" else "column_idx=-1"
        overrides = (f"task_type={task_type}", place, "class_weights=balanced")
        load('D.tasks.tag={"column_idx": -1}', *(f"D.tasks.tag.{override}" for override in overrides))
    (line,) = [fault for fault in caught.value.faults if "class_weights: " in fault]
    assert f"D -> tasks -> tag -> class_weights: '{task_type}' does not have this option: its " in line
