"""Scripts that read MaChAmp's metrics.json find every score of a run."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import main as cli
from machamp_lite.config.task_types import BUILT_IN
from machamp_lite.training.score_files import flat_metrics

WORDS: dict[str, dict[str, Any]] = {
    "upos": {"task_type": "seq", "column_idx": 3},
    "lemma": {"task_type": "string2string", "column_idx": 2},
    "tree": {"task_type": "dependency", "column_idx": 6},
    "mood": {"task_type": "classification", "column_idx": -1},
    "feats": {"task_type": "multiseq", "column_idx": 5},
    "slots": {"task_type": "seq_bio", "column_idx": 8},
    "masking": {"task_type": "mlm"},
    "split": {"task_type": "tok"},
}
PAIRS: dict[str, dict[str, Any]] = {
    "topics": {"task_type": "multiclas", "column_idx": 3},
    "sts-b": {"task_type": "regression", "column_idx": 4},
    "shares": {"task_type": "probdistr", "column_idxs": [5, 6]},
}
TEXTS: dict[str, dict[str, Any]] = {"en-en": {"task_type": "seq2seq", "column_idx": 7}}


def with_all_metrics(tasks: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        task: {**options, "additional_metrics": BUILT_IN[options["task_type"]].metrics}
        for task, options in tasks.items()
    }


@pytest.fixture
def train(
    write_config: Callable[..., str],
    tiny_params: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., dict[str, dict[str, Any]]]:
    """Trains with the given datasets in logs/NAME, and returns the content of its JSON files."""
    monkeypatch.chdir(tmp_path)

    def train(name: str, *options: str, **datasets: Any) -> dict[str, dict[str, Any]]:
        flags = ["--dataset_configs", write_config(f"{name}.json", **datasets), "--parameters_config", tiny_params]
        sets = [part for option in options for part in ("--set", option)]
        assert cli.train([*flags, *sets, "--device", "-1", "--name", name]) == 0
        (folder,) = Path("logs", name).iterdir()
        return {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}

    return train


def score_of(name: str, metric: str) -> float:
    """The best score of a metric, as MaChAmp's scripts look it up: in the last folder of logs/NAME."""
    last = sorted(path.name for path in Path("logs", name).iterdir())[-1]
    found = json.loads(Path("logs", name, last, "metrics.json").read_text())[f"best_{metric}"]
    assert isinstance(found, float)
    return found


def minutes_of(name: str) -> int:
    last = sorted(path.name for path in Path("logs", name).iterdir())[-1]
    hours, minutes, _ = json.loads(Path("logs", name, last, "metrics.json").read_text())["time_total"].split(":")
    return int(minutes) + 60 * int(hours)


def test_scripts_find_every_score_of_every_task_type(
    train: Callable[..., Any], dataset: dict[str, Any], pair_dataset: dict[str, Any], encoders: dict[str, str]
) -> None:
    runs = {
        "test.words": {
            "WORDS": {**dataset, "tasks": with_all_metrics(WORDS)},
            "PAIRS": {**pair_dataset, "tasks": with_all_metrics(PAIRS)},
        },
        "test.texts": {"TEXTS": {**pair_dataset, "tasks": with_all_metrics(TEXTS)}},
    }
    shorter = ["decoders.seq2seq.max_output_length=4"]
    for name, datasets in runs.items():
        options = [f"transformer_model={encoders['t5']}"] if name == "test.texts" else []
        files = train(name, *shorter, *options, **datasets)
        history = files["history.json"]
        best = history[files["metrics.json"]["best_epoch"] - 1]
        for key in datasets:
            tasks = files["dataset-configs.json"][key]["tasks"]
            assert list(best["dev"][key]) == list(tasks), "the order of the config"
            for task, options in tasks.items():
                for metric in BUILT_IN[options["task_type"]].metrics:
                    assert score_of(name, f"dev_{task}_{metric}") == best["dev"][key][task][metric]
                # What the tables show can be chosen as the main metric.
                labels = best["labels"][key].get(task, {})
                for average in labels.keys() & {"micro", "macro", "weighted"}:
                    for metric in ("precision", "recall", "f1"):
                        chosen = f"{metric}_{average}"
                        if labels["unit"] == "span":
                            chosen = f"span_{chosen}".removesuffix("_micro")
                        assert score_of(name, f"dev_{task}_{chosen}") == pytest.approx(labels[average][metric])
                assert score_of(name, f"train_{task}_loss") == best["train"][task]
        configs = files["dataset-configs.json"].values()
        assert list(best["train"]) == [task for config in configs for task in config["tasks"]]
        assert score_of(name, "dev_sum") == max(epoch["dev_sum"] for epoch in history)
        assert minutes_of(name) == 0
    assert {task["task_type"] for tasks in (WORDS, PAIRS, TEXTS) for task in tasks.values()} == set(BUILT_IN)


def test_each_epoch_has_a_file_and_the_last_one_is_that_of_the_run(
    train: Callable[..., Any], dataset: dict[str, Any]
) -> None:
    files = train("run", "training.num_epochs=3", UD=dataset)
    assert sorted(name for name in files if name.startswith("metrics")) == [
        "metrics.json",
        *(f"metrics_epoch_{number}.json" for number in range(3)),
    ]
    assert files["metrics_epoch_2.json"] == files["metrics.json"]
    for number in range(3):
        flat, epoch = files[f"metrics_epoch_{number}.json"], files["history.json"][number]
        assert flat["epoch"] == f"{number + 1}/3"
        assert flat["dev_upos_accuracy"] == epoch["dev"]["UD"]["upos"]["accuracy"]
        assert flat["train_upos_loss"] == epoch["train"]["upos"]
        assert flat["best_epoch"] <= number + 1
        assert re.fullmatch(r"\d+\.\d{4}", flat["cur_ram"])
        assert re.fullmatch(r"\d+:\d\d:\d\d", flat["time_epoch"])


def test_a_task_of_several_datasets_has_one_score_over_all_of_their_words(
    train: Callable[..., Any], dataset: dict[str, Any], tmp_path: Path
) -> None:
    tasks = {"upos": WORDS["upos"]}
    small = tmp_path / "small.conllu"
    small.write_text("1\tAnna\t_\tPROPN\n2\tsleeps\t_\tVERB\n\n")
    files = train("two", A={**dataset, "tasks": tasks}, B={**dataset, "tasks": tasks, "dev_data_path": str(small)})
    epoch = files["history.json"][-1]
    right, words = 0.0, 0
    for name in ("A", "B"):
        number = epoch["counts"][name]["upos"]["scored_words"]
        right, words = right + number * epoch["dev"][name]["upos"]["accuracy"], words + number
    assert files["metrics.json"]["dev_upos_accuracy"] == pytest.approx(right / words)
    assert files["metrics.json"]["dev_sum"] == pytest.approx(
        sum(epoch["dev"][name]["upos"]["accuracy"] for name in ("A", "B"))
    )


def test_without_dev_data_there_are_losses_and_no_scores(
    train: Callable[..., Any], dataset: dict[str, Any]
) -> None:
    del dataset["dev_data_path"]
    flat = train("run", UD=dataset)["metrics.json"]
    assert flat["best_epoch"] == 2
    assert [key for key in flat if "dev" in key] == []
    assert flat["best_train_upos_loss"] == flat["train_upos_loss"]


def test_times_of_all_epochs_add_up_and_memory_of_a_gpu_is_in_gigabytes() -> None:
    epoch = {"train": {"t": 1.0}, "dev_sum": None, "tasks": {}, "memory": {"max_gpu_mem": 1.5, "cur_ram": 0.25}}
    epochs = [{**epoch, "epoch": number, "seconds": 1800.0, "dev_seconds": 40.5} for number in (1, 2)]
    assert flat_metrics(epochs, best_epoch=1, num_epochs=9) == {
        "epoch": "2/9",
        "best_epoch": 1,
        "max_gpu_mem": "1.5000",
        "cur_ram": "0.2500",
        "time_epoch": "0:30:40",
        "time_total": "1:01:21",
        "best_train_t_loss": 1.0,
        "train_t_loss": 1.0,
    }
