"""Warm start: a run starts with the encoder of an earlier model, and with its decoders for unchanged tasks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from machamp_lite.config.schema import Config
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.model.multitask_model import Model


def with_encoder_of(init_model: Model, config: Config) -> Config:
    """The config with the name of the initial model's encoder."""
    name = init_model.config.params.transformer_model
    changes = {"transformer_model": name, "reset_transformer_model": False}
    return config.model_copy(update={"params": config.params.model_copy(update=changes)})


def label_orders(
    init_model: Model, config: Config, vocabularies: Mapping[str, Vocabulary]
) -> dict[str, list[str]]:
    """The order of labels in the initial model, for tasks that have the same labels in another order."""
    old_tasks, orders = init_model.config.tasks(), {}
    for task, task_config in config.tasks().items():
        if task in old_tasks and old_tasks[task].task_type == task_config.task_type:
            old, new = init_model.vocabularies[task].labels, vocabularies[task].labels
            if old != new and set(old) == set(new):
                orders[task] = old
    return orders


def copy_decoders(model: Model, init_model: Model) -> None:
    """Copies the weights of decoders and their layer mixes, except for ``reinitialized_tasks``."""
    reinitialized = reinitialized_tasks(model, init_model)
    with torch.no_grad():
        for task in model.tasks:
            if task not in reinitialized:
                old = dict(_named_parameters(init_model, task))
                for name, parameter in _named_parameters(model, task):
                    parameter.copy_(old[name])


def reinitialized_tasks(model: Model, init_model: Model) -> dict[str, str]:
    """The tasks whose decoders start with new weights, each with the reason; the model may be on the meta device."""
    reasons = {task: _why_reinitialized(model, init_model, task) for task in model.tasks}
    return {task: reason for task, reason in reasons.items() if reason is not None}


def describe(model: Model, init_model: Model) -> list[str]:
    """Lines that say which decoders are kept."""
    reinitialized = reinitialized_tasks(model, init_model)
    lines = [f"task {task}: {_outcome(reinitialized.get(task))}" for task in model.tasks]
    removed = [task for task in init_model.tasks if task not in model.tasks]
    return lines + ([f"not in this run: {', '.join(removed)}"] if removed else [])


def _outcome(reason: str | None) -> str:
    return "keeps its decoder" if reason is None else f"new decoder: {reason}"


def _why_reinitialized(model: Model, init_model: Model, task: str) -> str | None:
    if task not in init_model.tasks:
        return "the initial model does not have it"
    old, new = init_model.config.tasks()[task], model.config.tasks()[task]
    if old.task_type != new.task_type:
        return f"its type has changed from {old.task_type} to {new.task_type}"
    old_labels, new_labels = init_model.vocabularies[task].labels, model.vocabularies[task].labels
    if set(old_labels) != set(new_labels):
        return f"its labels have changed ({_changes(old_labels, new_labels)})"
    old_layers, new_layers = (_layers(each, task) for each in (init_model, model))
    if old_layers != new_layers:
        return f"its layers have changed from {_listed(old_layers)} to {_listed(new_layers)}"
    old_shapes, new_shapes = (_shapes(each, task) for each in (init_model, model))
    if old_shapes != new_shapes:
        changed = sorted(name for name, _ in set(old_shapes.items()) ^ set(new_shapes.items()))
        return f"the shape of {changed[0]} has changed"
    return None


def _changes(old: Sequence[str], new: Sequence[str]) -> str:
    added, removed = set(new) - set(old), set(old) - set(new)
    return ", ".join(f"{len(labels)} {word}" for labels, word in ((added, "new"), (removed, "removed")) if labels)


def _layers(model: Model, task: str) -> tuple[int, ...]:
    return tuple(model.layers[model.tasks.index(task)])


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _named_parameters(model: Model, task: str) -> list[tuple[str, nn.Parameter]]:
    """The weights of a task's decoder and layer mix, without buffers, which follow from config and data."""
    mix: Any = model.mixes[model.tasks.index(task)]
    mixed = [(f"mix.{name}", parameter) for name, parameter in mix.named_parameters()]
    return [*model.decoder(task).named_parameters(), *mixed]


def _shapes(model: Model, task: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in _named_parameters(model, task)}
