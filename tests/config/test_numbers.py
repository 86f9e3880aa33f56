"""Numbers that no option has a use for are refused in one plain line, wherever they are written."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.cli import main as cli
from machamp_lite.config import load_config
from machamp_lite.config.loading import DEFAULT_PARAMS, check_saved_config
from machamp_lite.errors import ConfigError

TASK = {"task_type": "seq", "column_idx": 3, "class_weights": {"X": 1.0}}
DATASET: dict[str, Any] = {
    "train_data_path": "train.conllu",
    "word_idx": 1,
    "max_sents": 5,
    "max_words": 5,
    "dataset_embed_idx": 2,
    "tasks": {
        "upos": TASK,
        "tree": {"task_type": "dependency", "column_idx": 6},
        "feats": {"task_type": "multiseq", "column_idx": 5},
        "pairs": {"task_type": "probdistr", "size": 2},
        "mlm": {"task_type": "mlm", "learning_rate": 0.1},
        "reply": {"task_type": "seq2seq", "column_idx": -1},
    },
}
# As in a file; some are not JSON.
ABSURD = ["1e300", "-1e300", "1e39", "1e400", "NaN", "-Infinity", "1" + "0" * 400, "9" * 5000, "true", '"3"']


def all_params() -> dict[str, Any]:
    """Params with a number for every option that may have one."""
    params: dict[str, Any] = json.loads(DEFAULT_PARAMS.read_text())
    params["encoder"]["lora"] = {"rank": 2, "alpha": 1.0, "dropout": 0.1, "target_modules": None}
    params["datasets"] |= {"max_sents": 1, "max_words": 1, "dataset_embed_idx": 1}
    params["training"]["patience"] = 2
    params["decoders"]["default_decoder"]["learning_rate"] = 0.1
    return params


def numbers_of(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The place of each number, and of each list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers_of(item, (*place, key))
    elif isinstance(value, int | float | list) and not isinstance(value, bool):
        yield place


def with_text(document: dict[str, Any], place: tuple[str, ...], text: str) -> str:
    """The JSON of a document, with a text in one place."""
    document = copy.deepcopy(document)
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = "HERE"
    return json.dumps(document).replace('"HERE"', text)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Works in a folder with data and a config."""
    monkeypatch.chdir(tmp_path)
    Path("train.conllu").write_text("1\ta\tb\tX\n")
    Path("c.json").write_text(json.dumps({"UD": DATASET}))


def refused(lines: list[str]) -> None:
    assert lines and all(line.isprintable() and len(line) < 500 for line in lines), lines


PLACES = [*numbers_of(all_params()), *(("UD", *place) for place in numbers_of(DATASET))]


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_absurd_numbers_are_refused(place: tuple[str, ...]) -> None:
    for text in ABSURD:
        overrides = [f"{'.'.join(place)}={text}"]
        with pytest.raises(ConfigError) as caught:
            load_config(
                ["c.json"],
                overrides=[*overrides, "training.patience=null"] if place[0] == "UD" else overrides,
            )
        refused(caught.value.faults)
        assert caught.value.faults[0].startswith("--set "), text


@pytest.mark.parametrize("text", ABSURD)
def test_absurd_numbers_in_files_are_refused(text: str) -> None:
    places = numbers_of(all_params())
    # Jsonnet has to read what is no JSON, and takes its time.
    for place in places if text in ("1e300", "true", '"3"') else list(places)[:3]:
        Path("p.json").write_text(with_text(all_params(), place, text))
        with pytest.raises(ConfigError) as caught:
            load_config(["c.json"], parameters_config="p.json")
        refused(caught.value.faults)


@pytest.mark.parametrize("text", ABSURD[:-3] + ABSURD[-2:])
def test_absurd_numbers_in_the_config_of_a_model_are_refused(text: str) -> None:
    dataset = {key: value for key, value in DATASET.items() if key != "train_data_path"}
    for place in numbers_of(all_params()):
        params = json.loads(with_text(all_params(), place, text))
        with pytest.raises(ConfigError) as caught:
            check_saved_config("m/config.json", params, {"UD": dataset})
        refused(caught.value.faults)


FLAGS = ["--batch_size", "--max_sents", "--topn", "--threshold", "--device"]


@pytest.mark.parametrize("text", [*(text for text in ABSURD if text[0] != "-"), "0x10", "1_000.5"])
def test_absurd_numbers_of_flags_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m").mkdir()
    for flag in FLAGS:
        if flag == "--device" and text.isdecimal() and len(text) < 4000:
            # Is reported once there is a model.
            continue
        assert cli.predict(["m", "train.conllu", "out", flag, text]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        refused([line])
        assert flag in line, line
    for flag in ("--seed",) if text.isdecimal() else ("--seed", "--device"):
        assert cli.train(["--dataset_configs", "c.json", "--check", flag, text]) == 2
        lines = capsys.readouterr().err.splitlines()
        refused(lines)
        assert flag in lines[0]
