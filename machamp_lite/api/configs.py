"""Configs from files or dictionaries; imports no torch."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from machamp_lite.api.arguments import named_arguments
from machamp_lite.config import loading
from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError, shorten

# Datasets by name, or files of them.
DatasetConfigs: TypeAlias = str | Path | Mapping[str, Any] | Sequence[str | Path]
Overrides: TypeAlias = Mapping[str, Any] | Sequence[str] | str


def load_config(
    config: DatasetConfigs,
    *,
    params: str | Path | Mapping[str, Any] | None = None,
    overrides: Overrides = (),
    seed: int | None = None,
) -> Config:
    """Reads and checks a whole config.

    >>> tasks = {"upos": {"task_type": "seq", "column_idx": 3}}
    >>> config = load_config(
    ...     {"EWT": {"train_data_path": "data/ewt/train.conllu", "word_idx": 1, "tasks": tasks}},
    ...     overrides={"training.num_epochs": 3},
    ... )
    >>> config.params.training.num_epochs, list(config.datasets["EWT"].tasks)
    (3, ['upos'])

    Args:
        config: A path or several paths of dataset configs, or a dictionary with the datasets by name.
        params: A path or a dictionary of params, which override the defaults.
        overrides: Single values, such as ``{"training.num_epochs": 3}`` or ``["training.num_epochs=3"]``.
        seed: The random seed, which takes precedence over that of params.

    Raises:
        ConfigError: with one line for each error.
    """
    with named_arguments():
        return read_config(config, params=params, overrides=overrides, seed=seed)


def read_config(
    datasets: DatasetConfigs,
    *,
    params: str | Path | Mapping[str, Any] | None,
    overrides: Overrides,
    seed: int | None,
) -> Config:
    """As ``load_config``; its errors name flags."""
    given = [datasets] if isinstance(datasets, str | Path | Mapping) else datasets
    faults = []
    if not isinstance(given, Sequence) or not all(isinstance(part, str | Path | Mapping) for part in given):
        faults.append(f"--dataset_configs: found {_shown(datasets)}, expected a path, several paths or a dictionary")
    if not isinstance(params, str | Path | Mapping | None):
        faults.append(f"--parameters_config: found {_shown(params)}, expected a path or a dictionary")
    texts = _texts(overrides)
    if texts is None:
        faults.append(f"overrides: found {_shown(overrides)}, expected a dictionary of JSON values, or KEY=VALUE texts")
    if texts is None or faults:
        raise ConfigError(faults)
    return loading.load_config(given, parameters_config=params, overrides=texts, seed=seed)


def _texts(overrides: Overrides) -> list[str] | None:
    """The overrides as ``KEY=VALUE``, as for ``--set``; None for anything else."""
    if isinstance(overrides, Mapping):
        try:
            return [f"{key}={json.dumps(loading.as_json(value))}" for key, value in overrides.items()]
        except TypeError:
            return None
    texts = [overrides] if isinstance(overrides, str) else overrides
    is_list = isinstance(texts, Sequence) and all(isinstance(text, str) for text in texts)
    return list(texts) if is_list else None


def _shown(value: Any) -> str:
    return shorten(repr(value))
