"""Search spaces: the keys and values of a file are checked with the config before anything is trained."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from machamp_lite.config import load_config
from machamp_lite.config.schema import Config
from machamp_lite.config.search_space import Choices, Dimension, Range, SearchSpace, load_space
from machamp_lite.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
LR, BATCH_SIZE = "training.optimizer.lr", "batching.batch_size"


@pytest.fixture
def read(write_config: Callable[..., str], dataset: dict[str, Any], tmp_path: Path) -> Callable[..., SearchSpace]:
    """Reads a space, given by its keys."""
    config = write_config(UD=dataset)

    def load(overrides: Sequence[str]) -> Config:
        return load_config([config], overrides=overrides, warns=False)

    def read_space(document: dict[str, Any]) -> SearchSpace:
        path = tmp_path / "space.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return load_space(path, load)

    return read_space


def test_numbers_are_whole_if_the_key_has_whole_numbers(read: Callable[..., SearchSpace]) -> None:
    space = read(
        {
            BATCH_SIZE: {"low": 8, "high": 64, "step": 8},
            "UD.tasks.upos.loss_weight": {"low": 1, "high": 3},
            "decoders.dependency.dropout": {"low": 0, "high": 0.5},
            "training.patience": {"low": 2, "high": 9, "log": True},
            "encoder.dropout": {"choices": [0, 0.5]},
        }
    )
    assert [dimension.is_whole for dimension in space.dimensions] == [True, False, False, True, False]


def test_values_become_overrides_of_the_config(read: Callable[..., SearchSpace]) -> None:
    space = read({LR: {"low": 0.001, "high": 0.1}, "UD.tasks.upos.class_weights": {"choices": [None, {"*": 2}]}})
    assert space.overrides({LR: 0.01, "UD.tasks.upos.class_weights": {"*": 2}}) == [
        "training.optimizer.lr=0.01",
        'UD.tasks.upos.class_weights={"*": 2}',
    ]
    assert space.overrides({}) == []


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "found no key"),
        ({"training.optimiser.lr": {"low": 0.1, "high": 1}}, "unknown key; did you mean 'optimizer'?"),
        ({"optimizer.lr": {"low": 0.1, "high": 1}}, "did you mean 'training.optimizer.lr'?"),
        ({"UD.tasks.uposs.loss_weight": {"low": 0.1, "high": 1}}, "no such task; did you mean 'upos'?"),
        ({LR: {"low": -1, "high": 1}}, f"{LR} -> low: expected a number above 0 or 'auto', found -1"),
        ({LR: {"low": 1, "high": 1}}, "expected low to be below high"),
        ({LR: {"low": "a", "high": 1}}, f"{LR} -> low: expected"),
        ({LR: {"low": 0.1}}, f"{LR} -> high: missing"),
        ({LR: {"low": 0.1, "high": 1, "lg": True}}, "lg: unknown key; did you mean 'log'?"),
        ({LR: {"low": 0.1, "high": 1, "log": True, "step": 0.1}}, "found step 0.1"),
        ({LR: {"low": 0.1, "high": 1, "step": 2}}, "found step 2"),
        ({"encoder.dropout": {"low": 0, "high": 0.5, "log": True}}, "found low 0 with log true"),
        ({"encoder.dropout": {"low": 0, "high": 1}}, "encoder.dropout -> high: expected a number below 1"),
        ({BATCH_SIZE: {"low": 8, "high": 64.5}}, f"{BATCH_SIZE} -> high: expected a whole number, found 64.5"),
        ({LR: {"choices": [0.1]}}, "found 1 of them, expected at least two"),
        ({LR: {"choices": [0.1, 0.1]}}, "found 0.1 twice"),
        ({"UD.tasks.upos.pooling": {"choices": ["first", "frist"]}}, "did you mean 'first'?"),
        ({LR: 0.1}, "expected an object"),
        ({"UD.tasks.upos.metric": {"choices": ["accuracy", "f1_macro"]}}, "changes what is scored"),
        ({"decoders.seq_bio.pooling": {"choices": ["first", "last"]}}, "has no effect"),
        ({"": {"choices": [1, 2]}}, "expected keys joined by dots"),
        (
            {"training.optimizer": {"choices": [{}, {"lr": 1}]}, LR: {"low": 0.1, "high": 1}},
            "is a part of training.optimizer",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(
    read: Callable[..., SearchSpace], document: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read(document)
    assert any(message in line for line in error.value.faults), error.value
    assert all("space.json: " in line for line in error.value.faults)


def test_a_misspelt_key_is_reported_once(read: Callable[..., SearchSpace]) -> None:
    with pytest.raises(ConfigError) as error:
        read({"training.optimiser.lr": {"low": 0.1, "high": 1}, "batching.batchsize": {"choices": [1, 2, 3]}})
    assert len(error.value.faults) == 2


@pytest.mark.parametrize(
    ("values", "inside", "outside"),
    [
        (Range(low=8, high=64, step=8), [8, 32, 64], [12, 72, "auto", None]),
        (Range(low=0.1, high=0.7, step=0.2), [0.3, 0.7], [0.4]),
        (Range(low=1, high=2), [1, 1.5], [True, 0.5]),
        (Choices(choices=[None, "balanced", {"*": 2}]), [None, {"*": 2}], ["null!", 2]),
    ],
)
def test_whether_the_search_can_find_a_value(
    values: Range | Choices, inside: list[Any], outside: list[Any]
) -> None:
    dimension = Dimension("key", values)
    assert [dimension.contains(value) for value in [*inside, *outside]] == [True] * len(inside) + [False] * len(outside)


def test_floats_have_few_digits_and_stay_in_their_range() -> None:
    dimension = Dimension("key", Range(low=0.12354, high=0.9))
    assert [dimension.rounded(value) for value in (0.123541, 0.4567891, 0.9)] == [0.12354, 0.4568, 0.9]


def test_names_are_as_short_as_they_can_be() -> None:
    keys = {
        LR: "lr",
        "D.tasks.slots.pooling": "slots.pooling",
        "decoders.seq.dropout": "seq.dropout",
        "encoder.dropout": "encoder.dropout",
        "D.tasks.other.dropout": "other.dropout",
        "E.tasks.slots.loss_weight": "E.tasks.slots.loss_weight",
        "D.tasks.slots.loss_weight": "D.tasks.slots.loss_weight",
    }
    space = SearchSpace(tuple(Dimension(key, Choices(choices=[1, 2])) for key in keys), {})
    assert space.names() == keys


def test_the_default_is_in_the_space_only_if_all_its_values_are(
    read: Callable[..., SearchSpace], write_config: Callable[..., str], dataset: dict[str, Any]
) -> None:
    config = load_config([write_config(UD=dataset)])
    inside = {BATCH_SIZE: {"low": 8, "high": 64, "step": 8}, "decoders.seq.class_weights": {"choices": [None, "sqrt"]}}
    assert read(inside).values_in(config) == {BATCH_SIZE: 32, "decoders.seq.class_weights": None}
    # The default is "auto".
    assert read({**inside, LR: {"low": 0.1, "high": 1}}).values_in(config) is None


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "spaces").glob("*.json")), ids=lambda path: path.name)
def test_the_spaces_of_the_package_fit_their_configs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    def load(overrides: Sequence[str]) -> Config:
        return load_config([Path("configs") / path.name], overrides=overrides, warns=False)

    assert load_space(path, load).dimensions
