"""How tasks get from probabilities to labels: other decisions for one prediction, and decisions stored in a model."""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from machamp_lite.config.decision_values import decision_value_faults
from machamp_lite.config.error_messages import ErrorCollector
from machamp_lite.config.joint_datasets import find_dataset
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_types import PLAIN_THRESHOLD, TaskOptions
from machamp_lite.data.span_schemes import outside_label, scheme_of
from machamp_lite.errors import ConfigError, did_you_mean, shorten
from machamp_lite.files.atomic import write_json
from machamp_lite.model.model_folder import CONFIG
from machamp_lite.model.multitask_model import Model
from machamp_lite.weighting.class_weights import REST

# The options of tasks that decide, with their values if the most probable label is predicted, or all labels that are
# more probable than not.
PLAIN: dict[str, Any] = {
    "tau": 0.0,
    "offsets": None,
    "costs": None,
    "threshold": PLAIN_THRESHOLD,
    "min_confidence": 0.0,
}
_TASK_TYPES = {
    "tau": "seq or classification",
    "threshold": "multiseq or multiclas",
    "min_confidence": "seq_bio",
}

TaskChanges = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a prediction uses instead of the options of the model, as the flags of ``predict.py`` with these names.

    ``plain`` means no ``tau``, no offsets, no costs and no ``min_confidence``, and a threshold of 0.5.
    """

    threshold: float | None = None
    tau: float | None = None
    min_confidence: float | None = None
    plain: bool = False
    # Options of single tasks, which take precedence over all of the above.
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def check(self, config: DatasetConfig, dataset: str) -> None:
        """Raises ``ConfigError`` for an invalid value, and for an option that no task of the dataset has."""
        values = {"threshold": self.threshold, "tau": self.tau, "min_confidence": self.min_confidence}
        if faults := list(decision_value_faults(**values, plain=self.plain)):
            raise ConfigError(faults)
        tasks = config.active().tasks.values()
        for key in _TASK_TYPES:
            if getattr(self, key) is None:
                continue
            if not any(_has(options, key) for options in tasks):
                raise ConfigError(f"--{key}: found no task of type {_TASK_TYPES[key]} in {dataset}, expected one")

    def changes(self, config: DatasetConfig) -> TaskChanges:
        """The changed options of each task of a dataset."""
        changes: TaskChanges = {}
        for task, options in config.active().tasks.items():
            changed = plain_options(options) if self.plain else {}
            for key in ("threshold", "min_confidence"):
                if getattr(self, key) is not None:
                    changed[key] = getattr(self, key)
            if self.tau is not None:
                changed |= {"tau": self.tau, "offsets": None, "costs": None}
            kept = {key: value for key, value in changed.items() if _has(options, key)}
            changes[task] = {**kept, **self.tasks.get(task, {})}
        return {task: changed for task, changed in changes.items() if changed}


def task_options(model: Model, given: Mapping[str, Mapping[str, Any]], *, flag: str = "--set") -> TaskChanges:
    """Checks options that decide, by task and key; raises ``ConfigError`` with one line for each error."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{flag}: found {shorten(repr(given))}, expected {{task: {{option: value}}}}")
    tasks, checked, faults = model.config.tasks(), TaskChanges(), []
    for task, changed in given.items():
        if task not in tasks:
            faults.append(f"{flag} {task}: unknown task{did_you_mean(task, tasks)}")
            continue
        if not isinstance(changed, Mapping):
            faults.append(f"{flag} {task}: found {shorten(repr(changed))}, expected {{option: value}}")
            continue
        known = [key for key in (*PLAIN, "temperature") if _has(tasks[task], key)]
        if unknown := [key for key in changed if key not in known]:
            faults += [f"{flag} {task}.{key}: is no decision of this task{did_you_mean(key, known)}" for key in unknown]
            continue
        where = ErrorCollector().at(f"{flag} {task}")
        try:
            options = type(tasks[task]).model_validate(tasks[task].model_dump() | {**changed})
        except ValidationError as error:
            where.add_validation(error.errors(), type(tasks[task]))
            faults += [line.replace(f"{flag} {task}: ", f"{flag} {task}.", 1) for line in where.errors.lines]
            continue
        if getattr(options, "costs", None) and (getattr(options, "tau", 0) or getattr(options, "offsets", None)):
            faults.append(f"{flag} {task}: found costs together with tau or offsets, expected one of them")
        faults += [f"{flag} {task}.{fault}" for fault in decision_faults(options, model.vocabularies[task].labels)]
        checked[task] = {key: getattr(options, key) for key in changed}
    if faults:
        raise ConfigError(faults)
    return checked


def plain_options(options: TaskOptions) -> dict[str, Any]:
    """The options of a task that decide, with their plain values; empty for task types that have none."""
    return {key: value for key, value in PLAIN.items() if _has(options, key)}


def decision_faults(options: TaskOptions, labels: Sequence[str]) -> Iterator[str]:
    """One line for each unknown label in the options of a task that decide, given the labels of the training data."""
    thresholds, costs = getattr(options, "threshold", None), getattr(options, "costs", None) or {}
    listed = thresholds.keys() - {REST} if isinstance(thresholds, dict) else ()
    named = {f"threshold -> {label}": label for label in sorted(listed)}
    named |= {f"offsets -> {label}": label for label in sorted(getattr(options, "offsets", None) or {})}
    for gold, row in costs.items():
        named |= {f"costs -> {gold}": gold, **{f"costs -> {gold} -> {predicted}": predicted for predicted in row}}
    if getattr(options, "min_confidence", 0) and outside_label(labels, scheme_of(options)) is None:
        yield "min_confidence: found no label outside of spans in the training data, expected one such as O"
    for key, label in named.items():
        if label not in labels:
            yield f"{key}: unknown label '{label}'{did_you_mean(label, labels)}"


def decision_lines(model: Model, datasets: Iterable[str], decision: Decision) -> Iterator[str]:
    """For the log, how each task of some datasets decides, if not by the plain rule."""
    lines = {}
    for dataset in datasets:
        config = find_dataset(model.config, dataset)
        changes = decision.changes(config)
        for task, options in config.active().tasks.items():
            shown = describe_decision(options.model_copy(update=changes.get(task)))
            if shown:
                lines[task] = f"task '{task}' decides by {shown}"
    yield from lines.values()


def describe_decision(options: TaskOptions) -> str:
    """The options by which a task decides; empty for the plain rule."""
    values = {key: getattr(options, key) for key in plain_options(options)}
    names = {"costs": "costs", "offsets": "an offset per label", "threshold": "a threshold per label"}
    return ", ".join(
        names[key] if isinstance(value, dict) else f"{key} {value:g}"
        for key, value in values.items()
        if value != PLAIN[key]
    )


def with_decision(model: Model, dataset: str, decision: Decision) -> Model:
    """The model with the decisions of one prediction, see ``with_options``."""
    return with_options(model, decision.changes(find_dataset(model.config, dataset)))


def with_options(model: Model, changes: Mapping[str, Mapping[str, Any]]) -> Model:
    """A copy in which the decoders of some tasks have other options; it shares all weights with the model.

    So threads can predict with different options at the same time.
    """
    if not changes:
        return model
    changed, decoders = copy.copy(model), list(model.decoders)
    for task, options in changes.items():
        decoder = copy.copy(model.decoder(task))
        decoder.config = decoder.config.model_copy(update=options)
        decoders[model.tasks.index(task)] = decoder
    # The copy would otherwise share the dictionary of its modules.
    changed._modules = {**model._modules, "decoders": nn.ModuleList(decoders)}
    return changed


def change_options(model: Model, changes: TaskChanges) -> None:
    """Changes options of some tasks of a model."""
    model.config = model.config.with_task_options(changes)
    tasks = model.config.tasks()
    for task in changes:
        model.decoder(task).config = tasks[task]


def store_options(folder: str | Path, changes: TaskChanges) -> Path:
    """Writes options of some tasks into the config of a model folder, for every dataset with the task."""
    path = Path(folder) / CONFIG
    config = json.loads(path.read_text(encoding="utf-8"))
    for dataset in config["datasets"].values():
        for task in changes.keys() & dataset["tasks"].keys():
            dataset["tasks"][task] |= changes[task]
    write_json(path, config)
    return path


def _has(options: TaskOptions, key: str) -> bool:
    return key in type(options).model_fields
