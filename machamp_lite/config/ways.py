"""Named ways of weighting that are compared with each other, and the config of each."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from machamp_lite.config.error_messages import show
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.loading import load_config
from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError, did_you_mean

# A name is also that of a folder.
_NAME = re.compile(r"[\w+-][\w.+-]{0,60}")


@dataclass(frozen=True, slots=True)
class Way:
    """A way of weighting: texts KEY=VALUE that override the config. A key may be an option of the compared task."""

    name: str
    overrides: tuple[str, ...]


def read_ways(path: str | Path) -> list[Way]:
    """The ways in a JSON object ``{NAME: {KEY: VALUE, ...}, ...}``; raises ``ConfigError`` for anything else."""
    ways, faults = [], []
    for name, options in read_jsonnet(path).items():
        if isinstance(options, dict):
            ways.append(Way(name, tuple(f"{key}={json.dumps(value)}" for key, value in options.items())))
        else:
            faults.append(f"{path}: {name}: expected an object with options, found {show(options)}")
    if faults:
        raise ConfigError(faults)
    return ways


def check_ways(ways: Sequence[Way]) -> None:
    """Raises ``ConfigError`` for names that cannot be folders, for repeated names, and for fewer than two ways."""
    names = [way.name for way in ways]
    faults = [
        f"way {show(name)}: expected a name of letters, digits, '.', '_', '+' and '-'"
        for name in names
        if not _NAME.fullmatch(name)
    ]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    faults += [f"way '{name}': found twice, expected different names" for name in repeated]
    if len(ways) < 2:
        faults.append(f"--way: found {len(ways)} of them, expected at least two, the first to compare with")
    if faults:
        raise ConfigError(faults)


def load_ways(
    ways: Sequence[Way],
    dataset_configs: Sequence[str | Path],
    *,
    task: str,
    metric: str | None = None,
    parameters_config: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Config]:
    """The config of each way by its name. ``metric`` becomes the main metric of the task, which selects the best epoch.

    Raises ``ConfigError`` with the errors of all ways.
    """
    check_ways(ways)
    config = load_config(dataset_configs, parameters_config=parameters_config, overrides=overrides)
    if task not in config.tasks():
        raise ConfigError(f"--task: no task {show(task)}{did_you_mean(task, config.tasks())}")
    shared = [*overrides, *_full([f"metric={metric}"] if metric else [], config, task)]
    configs: dict[str, Config] = {}
    faults: list[str] = []
    for way in ways:
        try:
            configs[way.name] = load_config(
                dataset_configs,
                parameters_config=parameters_config,
                overrides=[*shared, *_full(way.overrides, config, task)],
            )
        except ConfigError as error:
            faults += [f"way '{way.name}': {line}" for line in error.faults]
            continue
        twins = [name for name in configs if name != way.name and configs[name] == configs[way.name]]
        faults += [f"way '{way.name}': has the same config as '{twin}', expected another one" for twin in twins[:1]]
        if not configs[way.name].tasks()[task].is_on:
            faults.append(f"way '{way.name}': switches '{task}' off (loss_weight 0), expected a loss_weight above 0")
    if faults:
        raise ConfigError(faults)
    return configs


def _full(overrides: Iterable[str], config: Config, task: str) -> list[str]:
    """The overrides, with an option of the task as the keys of this option in all datasets that have the task."""
    params = type(config.params).model_fields
    datasets = [name for name, dataset in config.datasets.items() if task in dataset.tasks]
    full = []
    for text in overrides:
        key = text.partition("=")[0]
        if "." not in key and key not in params:
            full += [f"{name}.tasks.{task}.{text}" for name in datasets]
        else:
            full.append(text)
    return full
