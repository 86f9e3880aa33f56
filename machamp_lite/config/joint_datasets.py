"""Tasks of several datasets that are predicted together: the name ``A+B`` means the tasks of the datasets A and B."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.config.task_types import Column, TaskOptions
from machamp_lite.errors import ConfigError, nearest

JOIN = "+"
# The keys of a dataset that prediction does not use. All others, except the tasks, are the layout of its files.
TRAINING_KEYS = {
    "train_data_path",
    "dev_data_path",
    "max_sents",
    "max_words",
    "sampling_weight",
    "split_mlm",
    "oversample",
    "oversample_scheme",
}
NAME_IS_ID = -1


def find_dataset(config: Config, name: str) -> DatasetConfig:
    """The dataset with this name; for ``A+B``, one with the tasks of both.

    Raises ``ConfigError`` for unknown names, and for datasets that cannot be joined.
    """
    if name in config.datasets:
        return config.datasets[name]
    names = name.split(JOIN)
    for part in names:
        if part not in config.datasets:
            found = f"'{part}'" if part == name else f"'{part}' in '{name}'"
            known = ", ".join(config.datasets)
            raise ConfigError(
                f"--dataset: found {found}, expected one of the model's datasets: {known}"
                f"{nearest(part, config.datasets)}"
            )
    datasets = {part: config.datasets[part] for part in names}
    fault = next(_faults(datasets), None)
    if fault is not None:
        raise ConfigError(f"--dataset: found {name}, but {fault}; predict them into different outputs")
    return _joined(list(datasets.values()))


def can_be_joined(config: Config, names: Sequence[str]) -> bool:
    """Whether the tasks of these datasets can be predicted together."""
    return not any(_faults({name: config.datasets[name] for name in names}))


def predict_the_same(datasets: Sequence[DatasetConfig]) -> bool:
    """Whether datasets have the same layout and the same tasks, so that a prediction does not depend on the choice."""
    return all(
        _layout(one) == _layout(other)
        and one.dataset_embed_idx != NAME_IS_ID
        and _tasks(one) == _tasks(other)
        for one, other in pairwise(datasets)
    )


def _tasks(dataset: DatasetConfig) -> dict[str, TaskOptions]:
    """The tasks that are predicted, without the options that may differ and that only training reads."""
    tasks = dataset.active().tasks
    return {task: options.model_copy(update={"weight_column": None}) for task, options in tasks.items()}


def _layout(dataset: DatasetConfig) -> dict[str, Any]:
    return {key: value for key, value in dataset if key not in TRAINING_KEYS and key != "tasks"}


def _joined(datasets: Sequence[DatasetConfig]) -> DatasetConfig:
    tasks = {task: options for dataset in datasets for task, options in dataset.tasks.items()}
    return datasets[0].model_copy(update={"tasks": tasks})


def _faults(datasets: dict[str, DatasetConfig]) -> Iterator[str]:
    """Why datasets cannot be joined."""
    for (one, first), (other, second) in pairwise(datasets.items()):
        for key, value in _layout(first).items():
            if value != getattr(second, key):
                yield f"the {key} of {one} is {value} and that of {other} is {getattr(second, key)}"
    ids = [name for name, dataset in datasets.items() if dataset.dataset_embed_idx == NAME_IS_ID]
    if len(datasets) > 1 and ids:
        yield f"the name {ids[0]} is an input of its tasks (dataset_embed_idx {NAME_IS_ID})"
    written: dict[Column, tuple[str, str]] = {}
    places: dict[str, tuple[str, list[Column]]] = {}
    for name, dataset in datasets.items():
        for task, options in dataset.active().tasks.items():
            other, columns = places.setdefault(task, (name, options.columns()))
            if columns != options.columns():
                yield f"the labels of task '{task}' are in other columns in {name} than in {other}"
                continue
            for column in columns:
                other, other_task = written.setdefault(column, (name, task))
                if other != name and other_task != task:
                    yield f"task '{other_task}' of {other} and task '{task}' of {name} both write column {column}"
