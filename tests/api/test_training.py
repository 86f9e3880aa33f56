"""Training from Python: configs from files and dictionaries, a run read from its folder, errors that name arguments."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import machamp_lite
from machamp_lite.config import loading

Configs = dict[str, Any]


@pytest.fixture
def datasets(dataset: dict[str, Any]) -> Configs:
    """Datasets with two tasks, as a dictionary."""
    tasks = {task: dataset["tasks"][task] for task in ("upos", "tree")}
    return {"UD": {**dataset, "train_data_path": Path(dataset["train_data_path"]), "tasks": tasks}}


@pytest.fixture
def params(tiny_params: str) -> dict[str, Any]:
    """Params of a tiny encoder, as a dictionary."""
    found: dict[str, Any] = json.loads(Path(tiny_params).read_text(encoding="utf-8"))
    return found


def test_a_dictionary_is_the_config_that_its_file_would_be(
    datasets: Configs, params: dict[str, Any], tiny_params: str, write_config: Callable[..., str]
) -> None:
    as_json = json.loads(json.dumps(datasets, default=str))
    path = write_config(**as_json)
    overrides = ["training.num_epochs=3", "UD.max_sents=2", 'UD.tasks.upos.metric="f1_macro"']
    from_files = loading.load_config([path], parameters_config=tiny_params, overrides=overrides, seed=4)
    schema = {"$schema": "schema.json"}
    for config, own, changes in [
        ({**schema, **datasets}, {**schema, **params}, overrides),
        (datasets, params, {"training.num_epochs": 3, "UD.max_sents": 2, "UD.tasks.upos.metric": "f1_macro"}),
        (path, tiny_params, overrides),
        ([path], params, overrides),
    ]:
        found = machamp_lite.load_config(config, params=own, overrides=changes, seed=4)
        assert (found.datasets, found.params) == (from_files.datasets, from_files.params)
    # The user's objects stay as they are.
    assert json.loads(json.dumps(datasets, default=str)) == as_json and "max_sents" not in datasets["UD"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no config": ({"config": None}, "config: found None, expected a path, several paths or a dictionary"),
    "a number as config": ({"config": [3]}, "config: found [3], expected a path"),
    "bytes as config": ({"config": b"my.json"}, "config: found b'my.json', expected a path"),
    "a list of params": ({"params": ["a"]}, "params: found ['a'], expected a path or a dictionary"),
    "a number as override": ({"overrides": 3}, "overrides: found 3, expected a dictionary of JSON values"),
    "a list of numbers": ({"overrides": [3]}, "overrides: found [3], expected a dictionary of JSON values"),
    "a set": ({"overrides": {"training.num_epochs": {3}}}, "overrides: found {'training.num_epochs': {3}}, expected"),
}


@pytest.mark.parametrize(("options", "line"), WRONG.values(), ids=WRONG)
def test_other_types_are_reported(options: dict[str, Any], line: str, datasets: Configs) -> None:
    with pytest.raises(machamp_lite.ConfigError) as error:
        machamp_lite.load_config(**{"config": datasets, **options})
    assert str(error.value).startswith(line)


def test_an_override_may_be_a_path(datasets: Configs, params: dict[str, Any]) -> None:
    path = datasets["UD"]["train_data_path"]
    config = machamp_lite.load_config(datasets, params=params, overrides={"UD.dev_data_path": path})
    assert config.datasets["UD"].dev_data_path == str(path)


def test_a_run_has_scores_history_model_and_report(
    datasets: Configs, params: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = machamp_lite.train(datasets, tmp_path / "run", params=params, overrides={"training.num_epochs": 2})
    assert run.scores.keys() == {"UD"} and run.scores["UD"].keys() == {"upos", "tree"}
    assert set(run.scores["UD"]["tree"]) == {"las", "uas"} and 0 <= run.scores["UD"]["upos"]["accuracy"] <= 1
    assert len(run.history) == 2 and run.best_epoch in (1, 2)
    assert run.model is run.model
    found = run.model.evaluate(datasets["UD"]["train_data_path"])
    assert all(found[task] == pytest.approx(values) for task, values in run.scores["UD"].items())
    assert run.report() == tmp_path / "run/report.html" and run.report().stat().st_size > 1000
    again = machamp_lite.Run(str(tmp_path / "run"))
    assert again.scores == run.scores and again == machamp_lite.Run(run.folder)
    assert capsys.readouterr() == ("", "")


def test_an_existing_run_is_not_overwritten_unless_asked(
    datasets: Configs, params: dict[str, Any], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"params": params, "overrides": {"training.num_epochs": 1}}
    machamp_lite.train(datasets, tmp_path / "run", **options)
    before = (tmp_path / "run/history.json").read_bytes()
    with pytest.raises(machamp_lite.ConfigError, match="give another folder, or overwrite=True"):
        machamp_lite.train(datasets, tmp_path / "run", **options)
    assert (tmp_path / "run/history.json").read_bytes() == before
    machamp_lite.train(datasets, tmp_path / "run", **options, seed=1, overwrite=True)
    assert (tmp_path / "run/history.json").read_bytes() != before


def test_errors_name_arguments(datasets: Configs, params: dict[str, Any], tmp_path: Path) -> None:
    def fault(config: Any = datasets, **options: Any) -> str:
        with pytest.raises(machamp_lite.MachampError) as error:
            machamp_lite.train(config, tmp_path / "run", **{"params": params, **options})
        assert "--" not in str(error.value)
        assert not (tmp_path / "run" / "history.json").exists()
        return str(error.value)

    assert "UD -> tasks -> upos -> column_idxs" in fault(
        {"UD": {**datasets["UD"], "tasks": {"upos": {"task_type": "seq", "column_idx": 3, "column_idxs": 3}}}}
    ).replace(": ", " -> ")
    assert fault(overrides={"training.num_epoch": 3}).startswith("overrides training.num_epoch=3: ")
    assert fault(overrides="training.num_epoch=3").startswith("overrides training.num_epoch=3: ")
    for callback in (3, machamp_lite.Callback):
        assert fault(callbacks=[callback]).startswith(f"callbacks: found {callback!r}, expected objects of")
    assert fault(device="gpu").startswith("device: found 'gpu', expected 'auto'")
    assert fault(retrain="nowhere").startswith("nowhere")
    config = machamp_lite.load_config(datasets, params=params)
    assert fault(config) == "params: has no effect on a Config; give it to load_config"
    assert fault(config, params=None, seed=0) == "seed: has no effect on a Config; give it to load_config"
    assert fault("missing.json").startswith("missing.json")
    assert fault(resume=True)
    assert fault(resume=True, overwrite=True) == "overwrite: found together with resume, expected one of them"


def test_a_group_that_is_not_finished_is_resumed_by_an_argument(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"runs": []}', encoding="utf-8")
    with pytest.raises(machamp_lite.ConfigError, match="train them with resume=True"):
        machamp_lite.load(tmp_path)


def test_everything_public_is_described() -> None:
    for name in machamp_lite.__all__:
        value = getattr(machamp_lite, name)
        assert value.__doc__ and len(value.__doc__) > 20, name
    with pytest.raises(AttributeError, match="has no attribute 'predictt'"):
        getattr(machamp_lite, "predictt")  # noqa: B009
