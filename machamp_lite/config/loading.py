"""Reads params and dataset configs, fills in defaults, checks everything, and tells all faults at once."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from machamp_lite.config.columns import check_columns
from machamp_lite.config.documents import (
    DEFAULT_PARAMS,
    apply_overrides,
    deep_merge,
    nearest_file,
    read_jsonnet,
)
from machamp_lite.config.error_messages import ConfigFaults, known_keys, show
from machamp_lite.config.machamp_compat import migrate_dataset, migrate_params
from machamp_lite.config.schema import Config, DatasetConfig, Params
from machamp_lite.config.task_options import TaskChecker
from machamp_lite.config.weighting import check_oversampling
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError

# With what is added to it, a file's name may have 255 bytes.
LONGEST_NAME = 200


def load_config(
    dataset_configs: Sequence[str | Path],
    *,
    parameters_config: str | Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
) -> Config:
    """Reads and checks a whole config.

    ``overrides`` are ``KEY=VALUE`` texts, as of ``--set``. Raises ``ConfigError`` with one line for each fault.
    """
    faults = ConfigFaults()
    params_source = str(parameters_config or DEFAULT_PARAMS)
    raw_params = _read(parameters_config, faults) if parameters_config else {}
    datasets, sources = _read_datasets(dataset_configs, faults)
    apply_overrides(
        overrides,
        params=raw_params,
        params_source=params_source,
        params_keys=known_keys(Params),
        datasets=datasets,
        sources=sources,
        faults=faults,
    )
    if seed is not None:
        raw_params["random_seed"] = seed
        faults.add_flag(params_source, ("random_seed",), "--seed")
    tasks = TaskChecker(faults, params_source)
    params = _check_params(raw_params, params_source, tasks, faults)
    defaults = params.datasets.model_dump() if params else {}
    checked = {
        name: _check_dataset(sources[name], name, raw, defaults=defaults, tasks=tasks, faults=faults)
        for name, raw in datasets.items()
    }
    has_dev_data = any(item is None or item.dev_data_path is not None for item in checked.values())
    if params and params.training.patience is not None and not has_dev_data:
        message = (
            f"found {params.training.patience}, but no dataset has dev_data_path; expected some, or null"
        )
        faults.add(params_source, ["training", "patience"], message)
    if faults.lines or params is None:
        raise ConfigError(faults.lines)
    config = Config(
        params=params,
        datasets={name: item for name, item in checked.items() if item},
        sources=sources,
        params_source=str(parameters_config) if parameters_config else None,
    )
    _check_whole(config, ", ".join(map(str, dataset_configs)) or "dataset configs")
    return config


def check_saved_config(source: str, params: dict[str, Any], datasets: dict[str, Any]) -> Config:
    """The config of a model folder, which names no data files; raises ``ConfigError`` with a line for each fault."""
    faults = ConfigFaults()
    tasks = TaskChecker(faults, source)
    checked_params = _check_params(params, source, tasks, faults)
    defaults = checked_params.datasets.model_dump() if checked_params else {}
    checked = {}
    for name, raw in datasets.items():
        if not isinstance(raw, dict):
            faults.add(source, [name], f"expected an object with a dataset's keys, found {show(raw)}")
        elif told := [key for key in ("train_data_path", "dev_data_path") if raw.get(key) is not None]:
            faults.add(source, [name, told[0]], "a model has no data files, expected no such key")
        else:
            checked[name] = _check_dataset(
                source, name, raw, defaults=defaults, tasks=tasks, faults=faults, has_files=False
            )
    if not faults.lines and None in checked.values():
        faults.add(source, [], "is no config of a model")
    if faults.lines or checked_params is None:
        raise ConfigError(faults.lines)
    return Config(params=checked_params, datasets={name: item for name, item in checked.items() if item})


def _check_whole(config: Config, source: str) -> None:
    if not config.datasets:
        raise ConfigError(f"{source}: no datasets found, expected at least one")
    if not any(task.loss_weight for task in config.tasks().values()):
        raise ConfigError(
            f"{source}: the loss_weight of every task is 0, expected one above 0: nothing would be learnt"
        )


def _read(path: str | Path, faults: ConfigFaults) -> dict[str, Any]:
    try:
        return read_jsonnet(path)
    except ConfigError as error:
        faults.lines.extend(error.faults)
        return {}


def _read_datasets(
    paths: Sequence[str | Path], faults: ConfigFaults
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """All datasets by name, and the file that each is from."""
    datasets: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    for path in map(str, paths):
        for name, raw in _read(path, faults).items():
            if name in datasets:
                faults.add(path, [name], f"this dataset is already in {sources[name]}, expected another name")
            elif not isinstance(raw, dict):
                faults.add(path, [name], f"expected an object with a dataset's keys, found {show(raw)}")
            else:
                datasets[name], sources[name] = raw, path
    return datasets, sources


def _check_params(
    raw: dict[str, Any], source: str, tasks: TaskChecker, faults: ConfigFaults
) -> Params | None:
    defaults = read_jsonnet(DEFAULT_PARAMS)
    raw = migrate_params(raw, faults, source)
    merged = deep_merge(defaults, raw)
    merged["decoders"] = tasks.fill_defaults(defaults["decoders"], raw.get("decoders", {}))
    try:
        return Params.model_validate(merged)
    except ValidationError as error:
        faults.add_validation(source, [], error.errors(), Params)
        return None


def _check_dataset(
    source: str,
    name: str,
    raw: dict[str, Any],
    *,
    defaults: Mapping[str, Any],
    tasks: TaskChecker,
    faults: ConfigFaults,
    has_files: bool = True,
) -> DatasetConfig | None:
    _check_name(source, name, faults)
    raw = migrate_dataset(raw, faults, source, [name])
    has_words, has_sentences = raw.get("word_idx") is not None, raw.get("sent_idxs") is not None
    if has_words == has_sentences and (has_words or not _is_plain_text(raw)):
        found = "both word_idx and sent_idxs" if has_words else "neither word_idx nor sent_idxs"
        faults.add(source, [name], f"found {found}, expected one of them")
    checked_tasks = {
        task: tasks.check(
            source, [name, "tasks", task], options, has_words=has_words, has_sentences=has_sentences
        )
        for task, options in _given_tasks(source, name, raw, faults).items()
    }
    if has_files:
        _check_files(source, name, raw, faults)
    right_tasks = {task: config for task, config in checked_tasks.items() if config}
    if len(right_tasks) == len(checked_tasks):
        oversampled = raw.get("oversample", defaults.get("oversample"))
        check_oversampling(faults, source, name, task=oversampled, tasks=right_tasks, is_trained=has_files)
    try:
        dataset = DatasetConfig.model_validate({**defaults, **raw, "tasks": right_tasks})
    except ValidationError as error:
        # Without valid params there are no defaults, and their absence is no fault of the dataset. What
        # holds of the whole was told already, place by place.
        own = [fault for fault in error.errors() if fault["type"] not in ("missing", "value_error")]
        faults.add_validation(source, [name], own, DatasetConfig)
        return None
    check_columns(faults, source, name, dataset)
    return dataset


def _is_plain_text(raw: Mapping[str, Any]) -> bool:
    """Whether all tasks of a dataset can do without columns."""
    given = raw.get("tasks")
    tasks = given.values() if isinstance(given, dict) else ()
    types = [task.get("task_type") for task in tasks if isinstance(task, dict)]
    return bool(types) and all(
        isinstance(name, str) and name in DECODERS and DECODERS[name].input_type == "masked" for name in types
    )


def _check_name(source: str, name: str, faults: ConfigFaults) -> None:
    """A dataset's name is the name of its output file, and may neither leave the run folder nor be too long."""
    if not name.strip() or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        faults.add(
            source,
            [name],
            "names files of the run folder, expected a name without / and \\, and with no dot in front",
        )
    elif len(name.encode()) > LONGEST_NAME:
        faults.add(source, [name], f"names files, expected a name of at most {LONGEST_NAME} bytes")


def _given_tasks(source: str, name: str, raw: Mapping[str, Any], faults: ConfigFaults) -> Mapping[str, Any]:
    given = raw.get("tasks")
    if not isinstance(given, dict) or not given:
        found = "nothing" if given is None else show(given)
        faults.add(source, [name, "tasks"], f"expected an object with at least one task, found {found}")
        return {}
    return given


def _check_files(source: str, name: str, raw: Mapping[str, Any], faults: ConfigFaults) -> None:
    if raw.get("train_data_path") is None:
        faults.add(source, [name, "train_data_path"], "missing, expected the path of a training file")
    for key in ("train_data_path", "dev_data_path"):
        path = raw.get(key)
        if not isinstance(path, str):
            continue
        if "\0" in path or not os.path.exists(path):
            faults.add(source, [name, key], f"no such file {show(path)}{nearest_file(path)}")
        elif os.path.isdir(path):
            faults.add(source, [name, key], f"'{path}' is a folder, expected a file")
        elif not os.path.isfile(path):
            faults.add(source, [name, key], f"{show(path)} is a pipe or a device, expected a file")
