"""The folder of a run: the epochs that are kept, and the other files."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from machamp_lite.cli import main as cli
from machamp_lite.model.model_folder import WEIGHTS, model_metadata
from machamp_lite.model.serialization import load_model
from machamp_lite.training.run_folder import epoch_folder, rotate_checkpoints
from machamp_lite.training.trainer_state import TrainerState


def write_epoch(folder: Path, epoch: int) -> None:
    place = epoch_folder(folder, epoch)
    place.mkdir()
    (place / "number").write_text(str(epoch))
    save_file({}, place / WEIGHTS, model_metadata(place))


def found(folder: Path) -> dict[str, str]:
    return {str(path.parent.relative_to(folder)): path.read_text() for path in folder.rglob("number")}


# The sums of metrics of the epochs, the number of epochs to keep, and the kept epochs by folder.
KEPT = [
    ([1.0, 3.0, 2.0, 4.0], 1, {"model": "4"}),
    ([4.0, 3.0, 2.0, 1.0], 1, {"model": "1"}),
    ([1.0, 3.0, 2.0, 4.0], 2, {"model": "4", "epochs/2": "2"}),
    ([1.0, 3.0, 2.0, 4.0], 3, {"model": "4", "epochs/2": "2", "epochs/3": "3"}),
    ([4.0, 3.0, 2.0, 1.0], 2, {"model": "1", "epochs/2": "2"}),
    ([2.0, 2.0, 2.0], 2, {"model": "1", "epochs/2": "2"}),
    ([1.0, 2.0], 9, {"model": "2", "epochs/1": "1"}),
    # Without dev data the last ones are kept.
    ([None, None, None], 2, {"model": "3", "epochs/2": "2"}),
]


def run_of(sums: list[Any], keep: int, folder: Path) -> Iterator[list[int]]:
    """Saves an epoch and rotates the checkpoints, as the training loop does."""
    state = TrainerState()
    for epoch, total in enumerate(sums, start=1):
        state.finish_epoch(total, keep=keep)
        kept = state.kept_epochs
        if epoch in kept:
            write_epoch(folder, epoch)
        yield kept


@pytest.mark.parametrize(("sums", "keep", "expected"), KEPT)
def test_the_best_epoch_is_the_model_and_the_next_best_are_kept(
    tmp_path: Path, sums: list[Any], keep: int, expected: dict[str, str]
) -> None:
    for kept in run_of(sums, keep, tmp_path):
        rotate_checkpoints(tmp_path, kept)
    assert found(tmp_path) == expected
    assert {path.name for path in tmp_path.iterdir()} == {place.split("/")[0] for place in expected}


@pytest.mark.parametrize(("sums", "keep", "expected"), KEPT)
@pytest.mark.parametrize("operation", range(1, 6))
def test_an_interrupted_rotation_of_checkpoints_is_completed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sums: list[Any],
    keep: int,
    expected: dict[str, str],
    operation: int,
) -> None:
    for kept in run_of(sums, keep, tmp_path):
        done = 0

        def stopped(original: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal done
                done += 1
                if done == operation:
                    raise KeyboardInterrupt
                return original(*arguments, **options)

            return call

        with monkeypatch.context() as stopping:
            stopping.setattr(os, "rename", stopped(os.rename))
            stopping.setattr(os, "unlink", stopped(os.unlink))
            try:
                rotate_checkpoints(tmp_path, kept)
            except KeyboardInterrupt:
                stopping.undo()
                rotate_checkpoints(tmp_path, kept)
    assert found(tmp_path) == expected


@pytest.mark.parametrize(
    ("sums", "best", "since"),
    [
        ([1.0, 2.0, 3.0], 3, 0),
        ([1.0, 3.0, 3.0, 2.0], 2, 2),
        ([None, None], 2, 0),
        ([1.0, float("nan")], 1, 1),
        ([-2.0, -1.0, -3.0], 2, 1),
    ],
)
def test_epochs_without_a_better_sum_are_counted(sums: list[Any], best: int, since: int) -> None:
    state = TrainerState()
    for total in sums:
        state.finish_epoch(total, keep=1)
    assert (state.best_epoch, state.epochs_since_best) == (best, since)


@pytest.fixture
def flags(write_config: Callable[..., str], dataset: dict[str, Any], tiny_params: str) -> list[str]:
    config = write_config(WORDS=dataset)
    return ["--dataset_configs", config, "--parameters_config", tiny_params, "--device", "-1"]


def with_sums(monkeypatch: pytest.MonkeyPatch, *sums: float) -> None:
    """Sets the sums of main metrics of the next epochs."""
    values = iter(sums)
    monkeypatch.setattr("machamp_lite.training.trainer.sum_of_main_metrics", lambda *_: next(values))


def sets(*values: str) -> list[str]:
    return [part for value in values for part in ("--set", value)]


def test_a_kept_epoch_predicts_and_an_overwritten_run_leaves_none(
    flags: list[str],
    tmp_path: Path,
    treebank: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    with_sums(monkeypatch, 1.0, 3.0, 2.0, 4.0)
    several = sets("training.num_epochs=4", "training.keep_top_n=3")
    assert cli.train([*flags, *several, "--model_dir", str(run)]) == 0
    assert {path.name for path in (run / "epochs").iterdir()} == {"2", "3"}
    assert "kept: epoch 4 in model/, in epochs/: 2, 3" in (run / "log.txt").read_text()
    models = [load_model(run / name) for name in ("model", "epochs/2", "epochs/3")]
    weights = [torch.cat([value.flatten() for value in model.parameters()]) for model in models]
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])
    assert cli.predict([str(run / "epochs" / "3"), str(treebank), str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").exists()
    with_sums(monkeypatch, 1.0, 2.0)
    assert cli.train([*flags, "--model_dir", str(run), "--overwrite"]) == 0
    assert not (run / "epochs").exists()


def test_patience_ends_a_run_that_gets_no_better(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with_sums(monkeypatch, 1.0, 2.0, 2.0, 1.5)
    assert (
        cli.train([*flags, *sets("training.num_epochs=9", "training.patience=2"), "--model_dir", str(run)])
        == 0
    )
    assert len(json.loads((run / "history.json").read_text())) == 4
    assert (
        "stopping after epoch 4: the last 2 epochs were no better than epoch 2" in (run / "log.txt").read_text()
    )
    assert (run / "WORDS.out").exists() and not (run / "state").exists()


def test_patience_without_dev_data_is_a_fault(
    flags: list[str],
    write_config: Callable[..., str],
    dataset: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    del dataset["dev_data_path"]
    config = write_config("no_dev.json", WORDS=dataset)
    assert cli.train(["--dataset_configs", config, *flags[2:], *sets("training.patience=2")]) == 2
    assert capsys.readouterr().err == (
        "--set training.patience=2: training -> patience: found 2, but no dataset has dev_data_path; "
        "expected some, or null\n"
    )


def test_the_learnt_weights_of_layers_are_those_of_the_model(flags: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = sets("training.optimizer.lr=0.05", "WORDS.tasks.upos.layers_to_use=[-1]")
    mixed = sets("WORDS.tasks.lemma.layers_to_use=[0,2]")
    assert cli.train([*flags, *options, *mixed, "--model_dir", str(run)]) == 0
    layers = json.loads((run / "layers.json").read_text())
    assert {task: entry["layers"] for task, entry in layers.items()} == {
        "upos": [2],
        "lemma": [0, 2],
        "tree": [0, 1, 2],
        "mood": [0, 1, 2],
    }
    assert layers["upos"] == {"layers": [2], "weights": [1.0], "scale": 1.0}
    assert all(sum(entry["weights"]) == pytest.approx(1.0) for entry in layers.values())
    model = load_model(run)
    mix: Any = model.mixes[model.tasks.index("tree")]
    assert layers["tree"]["weights"] == pytest.approx(mix.weights.softmax(0).tolist())
    assert layers["tree"]["scale"] == pytest.approx(mix.scale.item())
    assert len(set(layers["tree"]["weights"])) > 1, "something was learnt"
