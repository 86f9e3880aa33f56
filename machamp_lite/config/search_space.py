"""The search space of hyperparameters: the keys of a config that are searched, and their values."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from machamp_lite.config.error_messages import ErrorCollector, Location, show
from machamp_lite.config.jsonnet import read_jsonnet
from machamp_lite.config.overrides import LONGEST_FLAG, parse_override
from machamp_lite.config.schema import Config
from machamp_lite.config.task_types import StrictModel
from machamp_lite.errors import ConfigError, shorten

# Significant digits of a float, so that the best config can be read.
DIGITS = 4
# Keys that change which items are scored, or how: scores with different values cannot be compared.
SCORED = {
    *("task_type", "column_idx", "column_idxs", "word_idx", "sent_idxs", "scheme", "ignore_label"),
    *("metric", "additional_metrics", "positive_label", "beta"),
    *("dev_data_path", "format", "separator", "quoting", "skip_first_line", "max_sents", "max_words"),
}
# Loads the config with some overrides KEY=VALUE.
LoadConfig = Callable[[Sequence[str]], Config]


class Range(StrictModel):
    """Numbers from ``low`` to ``high``, in steps or on a logarithmic scale."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _check_limits(self) -> "Range":
        if not all(math.isfinite(number) for number in (self.low, self.high, self.step or 1)):
            raise ValueError("expected finite numbers")
        if self.low >= self.high:
            raise ValueError(f"found low {show(self.low)} and high {show(self.high)}, expected low to be below high")
        if self.log and self.low <= 0:
            raise ValueError(f"found low {show(self.low)} with log true, expected a number above 0")
        if self.step is not None and (self.log or not 0 < self.step <= self.high - self.low):
            limit = f"a number above 0 and at most {show(self.high - self.low)}, without log"
            raise ValueError(f"found step {show(self.step)}, expected {limit}")
        return self


class Choices(StrictModel):
    """A list of values."""

    choices: list[Any]

    @model_validator(mode="after")
    def _check_values(self) -> "Choices":
        names = [as_text(value) for value in self.choices]
        if len(names) < 2:
            raise ValueError(f"found {len(names)} of them, expected at least two choices; --set gives a single value")
        if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"found {repeated[0]} twice, expected different choices")
        return self


@dataclass(frozen=True, slots=True)
class Dimension:
    """One key and its values. ``is_whole`` says whether those of a range are whole numbers."""

    key: str
    values: Range | Choices
    is_whole: bool = False

    def override(self, value: Any) -> str:
        """The text KEY=VALUE that sets a value."""
        return f"{self.key}={json.dumps(value)}"

    def contains(self, value: Any) -> bool:
        """Whether the search can find a value."""
        if isinstance(self.values, Choices):
            return as_text(value) in map(as_text, self.values.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        steps = (value - self.values.low) / self.values.step if self.values.step else 0.0
        return self.values.low <= value <= self.values.high and math.isclose(steps, round(steps), abs_tol=1e-9)

    def rounded(self, value: float) -> float:
        """A float of the range with few digits."""
        assert isinstance(self.values, Range)
        return min(max(float(f"{value:.{DIGITS}g}"), self.values.low), self.values.high)


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The searched keys; ``document`` is the content of the file."""

    dimensions: tuple[Dimension, ...]
    document: Mapping[str, Any]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """The texts KEY=VALUE that set the values of a trial, given by key."""
        return [dimension.override(values[dimension.key]) for dimension in self.dimensions if dimension.key in values]

    def names(self) -> dict[str, str]:
        """A short name of each key: its last parts, as many as are needed to distinguish it from the others."""
        keys = [dimension.key for dimension in self.dimensions]
        return {key: _short_name(key, keys) for key in keys}

    def values_in(self, config: Config) -> dict[str, Any] | None:
        """The values that a config has for all keys; None if the search could not find them all."""
        found = {dimension.key: _value_at(config, dimension.key) for dimension in self.dimensions}
        if all(dimension.contains(found[dimension.key]) for dimension in self.dimensions):
            return found
        return None


def load_space(path: str | Path, load: LoadConfig) -> SearchSpace:
    """Reads a search space, and checks every bound and choice with the config that ``load`` gives.

    Raises ``ConfigError`` with a line for each error.
    """
    document = read_jsonnet(path)
    errors = ErrorCollector()
    parsed = {key: _parse(errors.at(str(path), key), value) for key, value in document.items()}
    if not document:
        errors.at(str(path)).add('found no key, expected some, such as "training.optimizer.lr"')
    base = load(())
    for key in document:
        _check_key(errors.at(str(path), key), key, document, base)
    if errors.lines:
        raise ConfigError(errors.lines)
    checked = [_checked(errors.at(str(path), key), key, values, load) for key, values in parsed.items() if values]
    if errors.lines:
        raise ConfigError(errors.lines)
    return SearchSpace(tuple(checked), document)


def as_text(value: Any) -> str:
    """A value as text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parse(where: Location, value: Any) -> Range | Choices | None:
    if not isinstance(value, dict):
        where.add(f'expected an object with "low" and "high" or with "choices", found {show(value)}')
        return None
    model = Choices if "choices" in value else Range
    try:
        return model.model_validate(value)
    except ValidationError as error:
        where.add_validation(error.errors(), model)
        return None


def _check_key(where: Location, key: str, others: Mapping[str, Any], base: Config) -> None:
    try:
        keys, _ = parse_override(f"{key}=0", base.datasets)
    except ConfigError:
        where.add("expected keys joined by dots, for example training.optimizer.lr")
        return
    if keys[-1] in SCORED:
        where.add("changes what is scored, so that trials could not be compared; expected another key")
    outer = [other for other in others if key.startswith(f"{other}.")]
    if outer:
        where.add(f"is a part of {outer[0]}, expected one of them")


def _checked(where: Location, key: str, values: Range | Choices, load: LoadConfig) -> Dimension:
    """The dimension; adds an error for each value that the config does not accept, and for keys without effect."""
    dimension = Dimension(key, values)
    named = (
        [(name, getattr(values, name)) for name in ("low", "high")]
        if isinstance(values, Range)
        else [("choices", value) for value in values.choices]
    )
    configs, faults = [], []
    for name, value in named:
        try:
            configs.append(load([dimension.override(value)]))
        except ConfigError as error:
            faults += [(name, _without_key(line, dimension, value)) for line in error.faults]
    lines = [line for _, line in faults]
    for name, line in faults:
        # The key itself is wrong if all values have the same error.
        (where if lines.count(line) == len(named) else where.at(name)).add(line)
    if faults:
        return dimension
    effective = list(map(_effective, configs))
    if any(effective[number] in effective[:number] for number in range(len(effective))):
        where.add("has no effect: configs with different values are the same; expected a key of a task that is trained")
    if not isinstance(values, Range):
        return dimension
    numbers = (values.low, values.high, values.step or 1)
    if not all(isinstance(number, int) for number in numbers):
        return dimension
    try:
        # Both limits are valid, so that only a key of whole numbers refuses a number between them.
        load([dimension.override(values.low + 0.5)])
    except ConfigError:
        return Dimension(key, values, is_whole=True)
    return dimension


def _without_key(line: str, dimension: Dimension, value: Any) -> str:
    """A message without the flag ``--set`` and without the key, because the line begins with it anyway."""
    flag = f"--set {shorten(dimension.override(value), LONGEST_FLAG)}: "
    return line.removeprefix(flag).removeprefix(f"{' -> '.join(dimension.key.split('.'))}: ")


def _effective(config: Config) -> tuple[Any, Any]:
    """The parts of a config that training depends on: the options of decoders have no effect but on tasks."""
    return config.params.model_dump(exclude={"decoders"}), config.datasets


def _value_at(config: Config, key: str) -> Any:
    """The value of a key, as in ``--set``; None for a key that the config does not have by this name."""
    keys, _ = parse_override(f"{key}=0", config.datasets)
    node: Any
    if keys[0] in config.datasets:
        node = {name: dataset.model_dump() for name, dataset in config.datasets.items()}
    else:
        node = config.params.model_dump()
        decoders = node["decoders"]
        node["decoders"] = {name: {**decoders["default_decoder"], **own} for name, own in decoders.items()}
    for part in keys:
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return node


def _short_name(key: str, keys: Sequence[str]) -> str:
    parts = key.split(".")
    # The options of tasks are named with the task or its type.
    for number in range(2 if parts[0] == "decoders" or "tasks" in parts else 1, len(parts)):
        name = ".".join(parts[-number:])
        if [other for other in keys if other == name or other.endswith(f".{name}")] == [key]:
            return name
    return key
