"""Which ways of weighting go together, and which a task type has."""

from collections.abc import Mapping, Sequence
from typing import Any

from machamp_lite.config.error_messages import ConfigFaults, show
from machamp_lite.decoders import DECODERS, Decoder, TaskConfig
from machamp_lite.errors import did_you_mean

# Each answers the same unevenness: two of them would correct for it twice, or work against each other.
_CONFLICTS = (
    ("logit_adjustment", "class_weights", "both correct for how frequent labels are"),
    ("logit_adjustment", "focal_gamma", "the focal factor would be taken from adjusted probabilities"),
    (
        "focal_gamma",
        "label_smoothing",
        "one lets confident items count less, the other keeps all from being confident",
    ),
)


def check_weighting(
    faults: ConfigFaults,
    source: str,
    path: Sequence[str],
    *,
    config: TaskConfig,
    decoder: type[Decoder],
    defaults: Mapping[str, Any],
) -> None:
    """Notes what a task's weighting options cannot mean; ``defaults`` are those of its task type."""
    for key, reason in decoder.unsupported_options.items():
        if getattr(config, key):
            faults.add(source, [*path, key], f"'{config.task_type}' does not have this option: {reason}")
    for one, other, reason in _CONFLICTS:
        if getattr(config, one) and getattr(config, other):
            found = f"found {show(getattr(config, one))} beside {other} {show(getattr(config, other))}"
            faults.add(source, [*path, one], f"{found}, expected one of them: {reason}")
    is_own = config.class_weights_beta != defaults["class_weights_beta"]
    if is_own and config.class_weights != "effective":
        message = f"has no effect with class_weights {show(config.class_weights)}, expected class_weights 'effective'"
        faults.add(source, [*path, "class_weights_beta"], message)


def check_oversampling(
    faults: ConfigFaults,
    source: str,
    name: str,
    *,
    task: Any,
    tasks: Mapping[str, TaskConfig],
    is_trained: bool,
) -> None:
    """Adds the faults of a dataset's ``oversample``; if the config ``is_trained``, the task may not be switched off."""
    if not isinstance(task, str):
        return
    place = [name, "oversample"]
    if task not in tasks:
        faults.add(source, place, f"no task {show(task)} in this dataset{did_you_mean(task, tasks)}")
        return
    if is_trained and not tasks[task].is_on:
        message = f"'{task}' is switched off (loss_weight 0), expected a task that is trained, or null"
        faults.add(source, place, message)
    if not DECODERS[tasks[task].task_type].has_classes:
        message = f"'{task}' ({tasks[task].task_type}) has no labels that could be rare"
        faults.add(source, place, message)
    for key in ("class_weights", "logit_adjustment"):
        if getattr(tasks[task], key):
            message = (
                f"'{task}' has {key} too, expected one of them: both correct for how frequent labels are"
            )
            faults.add(source, place, message)
