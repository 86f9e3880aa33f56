"""Reads params and dataset configs, fills in defaults, checks everything, and reports all errors at once."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from machamp_lite.config.dataset_checks import check_dataset
from machamp_lite.config.error_messages import ErrorCollector, Location, show
from machamp_lite.config.jsonnet import read_jsonnet, without_schema
from machamp_lite.config.machamp_compat import OLD_PARAMS_KEYS, migrate_dataset, migrate_params
from machamp_lite.config.overrides import Documents, apply_overrides, deep_merge, parse_override
from machamp_lite.config.schema import Config, DatasetConfig, Params
from machamp_lite.config.task_options import TaskChecker
from machamp_lite.errors import ConfigError
from machamp_lite.files.package_files import DEFAULT_PARAMS, find_params

logger = logging.getLogger(__name__)

DictOrPath = Mapping[str, Any] | str | Path
# What messages call a config that is a dictionary.
_DICT = "config"


def load_config(
    dataset_configs: Sequence[DictOrPath],
    *,
    parameters_config: DictOrPath | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    is_trained: bool = True,
    warns: bool = True,
) -> Config:
    """Reads and checks a whole config, from files or dictionaries.

    ``overrides`` are ``KEY=VALUE`` texts, as for ``--set``. Without ``is_trained``, the data files need not exist.
    If it ``warns``, it logs a warning for each key without effect. Raises ``ConfigError`` with one line for each error.
    """
    config = _load(dataset_configs, parameters_config, overrides, seed, is_trained=is_trained)
    if warns:
        log_warnings(config.warnings)
    return config


def _load(
    dataset_configs: Sequence[DictOrPath],
    parameters_config: DictOrPath | None,
    overrides: Sequence[str],
    seed: int | None,
    *,
    is_trained: bool = True,
) -> Config:
    errors = ErrorCollector()
    if parameters_config is not None and not isinstance(parameters_config, Mapping):
        parameters_config = find_params(parameters_config) if parameters_config else None
    documents = _read_documents(dataset_configs, parameters_config, errors)
    _check_kinds(documents, parameters_config)
    documents = _migrated(documents, errors)
    apply_overrides(documents, overrides, params_keys=Params.model_fields, errors=errors)
    # The values of overrides may have older keys and names of metrics too.
    documents = _migrated(documents, errors)
    if seed is not None:
        documents.params["random_seed"] = seed
        errors.set_flag(documents.params_source, ("random_seed",), "--seed")
    params, datasets = check_documents(documents, errors, is_trained=is_trained)
    source = ", ".join(map(_name, dataset_configs)) or "dataset configs"
    if not datasets:
        raise ConfigError(f"{source}: no datasets found, expected at least one")
    config = Config(
        params=params,
        datasets=datasets,
        sources={name: path for name, path in documents.sources.items() if path != _DICT},
        params_source=str(parameters_config) if isinstance(parameters_config, str | Path) else None,
        warnings=list(errors.warnings.values()),
    )
    if not any(task.is_on for task in config.tasks().values()):
        raise ConfigError(
            f"{source}: the loss_weight of every task is 0, expected one above 0: nothing would be learnt"
        )
    return config


def load_sequence(
    dataset_configs: Sequence[str | Path],
    *,
    parameters_config: str | Path | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
) -> list[Config]:
    """One config per file, for runs one after another; an override of a dataset applies to the files that have it.

    Raises ``ConfigError`` with the errors of all files.
    """
    datasets = [read_jsonnet(path).keys() for path in dataset_configs]
    known = set().union(*datasets)
    configs, faults = [], []
    for path, own in zip(dataset_configs, datasets, strict=True):
        own_overrides = [text for text in overrides if _first_key(text, known) not in known - own]
        try:
            configs.append(_load([path], parameters_config, own_overrides, seed))
        except ConfigError as error:
            faults.extend(error.faults)
    if faults:
        raise ConfigError(dict.fromkeys(faults))
    log_warnings(line for config in configs for line in config.warnings)
    return configs


def log_warnings(lines: Iterable[str]) -> None:
    """Logs the warnings about keys without effect, each once."""
    for line in dict.fromkeys(lines):
        logger.warning("%s", line)


def check_saved_config(source: str, params: dict[str, Any], datasets: dict[str, Any]) -> Config:
    """The config of a model folder, which names no data files; raises ``ConfigError`` with a line for each error."""
    errors = ErrorCollector()
    checked = {}
    for name, raw in datasets.items():
        where = errors.at(source, name)
        if not isinstance(raw, dict):
            where.add(f"expected an object with a dataset's keys, found {show(raw)}")
        elif paths := [key for key in ("train_data_path", "dev_data_path") if raw.get(key) is not None]:
            where.at(paths[0]).add("a model has no data files, expected no such key")
        else:
            checked[name] = raw
    documents = Documents(params, source, checked, dict.fromkeys(checked, source))
    checked_params, checked_datasets = check_documents(documents, errors, is_trained=False)
    return Config(params=checked_params, datasets=checked_datasets)


def _first_key(override: str, datasets: set[str]) -> str:
    """The first key of an override; empty for an invalid one, which ``load_config`` reports."""
    try:
        return parse_override(override, datasets)[0][0]
    except ConfigError:
        return ""


def _read_documents(
    dataset_configs: Sequence[DictOrPath], parameters_config: DictOrPath | None, errors: ErrorCollector
) -> Documents:
    is_dict = isinstance(parameters_config, Mapping)
    params_source = "params" if is_dict else str(parameters_config or DEFAULT_PARAMS)
    params = _read(parameters_config, errors) if parameters_config else {}
    documents = Documents(params, params_source, {}, {})
    for given in dataset_configs:
        path = _name(given)
        for name, raw in _read(given, errors).items():
            where = errors.at(path, name)
            if name in documents.datasets:
                where.add(f"this dataset is already in {documents.sources[name]}, expected another name")
            elif not isinstance(raw, dict):
                where.add(f"expected an object with a dataset's keys, found {show(raw)}")
            else:
                documents.datasets[name], documents.sources[name] = raw, path
    return documents


def _check_kinds(documents: Documents, parameters_config: DictOrPath | None) -> None:
    """Raises ``ConfigError`` for params that are given as a dataset config, and the reverse."""
    swapped = {
        documents.sources[name]: "--dataset_configs: expected a dataset config, found params; give it with "
        "--parameters_config"
        for name, dataset in documents.datasets.items()
        if name in {*Params.model_fields, *OLD_PARAMS_KEYS} and "tasks" not in dataset
    }
    if parameters_config and any(isinstance(value, dict) and "tasks" in value for value in documents.params.values()):
        swapped[documents.params_source] = (
            "--parameters_config: expected params, found a dataset config; give it with --dataset_configs"
        )
    if swapped:
        raise ConfigError(f"{path}: {fault}" for path, fault in swapped.items())


def _migrated(documents: Documents, errors: ErrorCollector) -> Documents:
    """The documents with the current keys."""
    params = migrate_params(documents.params, errors.at(documents.params_source))
    datasets = {
        name: migrate_dataset(raw, errors.at(documents.sources[name], name))
        for name, raw in documents.datasets.items()
    }
    return replace(documents, params=params, datasets=datasets)


def _name(given: DictOrPath) -> str:
    """What messages call a dataset config."""
    return _DICT if isinstance(given, Mapping) else str(given)


def _read(given: DictOrPath, errors: ErrorCollector) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return without_schema(as_json(given))
    try:
        return read_jsonnet(given)
    except ConfigError as error:
        errors.lines.extend(error.faults)
        return {}


def as_json(value: Any) -> Any:
    """A copy of a value of a dictionary as JSON would have it: tuples are lists, paths are texts."""
    if isinstance(value, Mapping):
        return {str(key): as_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return list(map(as_json, value))
    return str(value) if isinstance(value, Path) else value


def check_documents(
    documents: Documents, errors: ErrorCollector, *, is_trained: bool
) -> tuple[Params, dict[str, DatasetConfig]]:
    """The typed config; raises ``ConfigError`` with all errors.

    ``is_trained`` is false for the config of a model, which names no data files.
    """
    params_location = errors.at(documents.params_source)
    tasks = TaskChecker(params_location)
    params = _check_params(documents.params, params_location, tasks)
    defaults = params.datasets.model_dump() if params else {}
    checked = {
        name: check_dataset(
            errors.at(documents.sources[name], name), raw, defaults, tasks, is_trained=is_trained
        )
        for name, raw in documents.datasets.items()
    }
    datasets = {name: dataset for name, dataset in checked.items() if dataset}
    patience = params.training.patience if params and is_trained else None
    if patience is not None and all(dataset and dataset.dev_data_path is None for dataset in checked.values()):
        message = f"found {patience}, but no dataset has dev_data_path; expected some, or null"
        params_location.at("training", "patience").add(message)
    if errors.lines or params is None:
        raise ConfigError(errors.lines)
    if is_trained and (reason := _task_weighting_fault(params, datasets)):
        params_location.at("training", "task_weighting").warn(reason)
    return params, datasets


def _task_weighting_fault(params: Params, datasets: Mapping[str, DatasetConfig]) -> str | None:
    """Why ``task_weighting`` changes nothing; None if it does, or if it is not set."""
    scheme, batching = params.training.task_weighting, params.batching
    by_dataset = [dataset.active().tasks.keys() for dataset in datasets.values()]
    if scheme not in ("dwa", "random", "famo"):
        return None
    if len(set().union(*by_dataset)) == 1:
        return f"'{scheme}' has no effect with a single task, expected 'static'"
    # It compares the tasks of an update of the model.
    has_single_tasks = all(len(tasks) <= 1 for tasks in by_dataset)
    if scheme == "famo" and has_single_tasks and not batching.diverse and params.training.accumulation_steps == 1:
        return "'famo' has no effect, because each batch has a single task; expected batching.diverse true"
    return None


def _check_params(raw: dict[str, Any], where: Location, tasks: TaskChecker) -> Params | None:
    defaults = read_jsonnet(DEFAULT_PARAMS)
    merged = deep_merge(defaults, raw)
    merged["decoders"] = tasks.merge_decoders(defaults["decoders"], raw.get("decoders", {}))
    try:
        return Params.model_validate(merged)
    except ValidationError as error:
        where.add_validation(error.errors(), Params)
        return None
