"""Reads and writes the JSON files of a model folder: the config and the labels."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from machamp_lite.config.loading import check_saved_config
from machamp_lite.config.schema import Config
from machamp_lite.config.task_types import NonNegative, TaskOptions
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.decoders import decoder_class, make_vocabularies
from machamp_lite.errors import ConfigError
from machamp_lite.model.safe_loading import read_json

# Format 1 had other keys in params and labels.
FORMAT = 2

# JSON numbers above 2**53 are not exact.
Count = Annotated[int, Field(ge=0, le=2**53)]


class _TaskLabels(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    labels: list[str]
    counts: list[Count]
    items: Count
    weights: list[NonNegative] | None = None
    # For dependency relations only; older models do not have it.
    root_counts: list[Count] = []


def config_document(config: Config) -> dict[str, Any]:
    """The content of config.json, without paths."""
    params = config.params.model_dump()
    params["transformer_model"] = Path(params["transformer_model"]).name or "encoder"
    datasets = {
        name: dataset.model_dump(exclude={"train_data_path", "dev_data_path"})
        for name, dataset in config.datasets.items()
    }
    return {"format": FORMAT, "params": params, "datasets": datasets}


def read_config(path: Path) -> Config:
    """Reads config.json; raises ``ConfigError`` with a line for each fault."""
    raw = read_json(path)
    found = raw.get("format")
    if isinstance(found, int) and 0 < found < FORMAT:
        raise ConfigError(
            f"{path}: found a model of the older format {found}, expected {FORMAT}; train it again with this version"
        )
    if found != FORMAT or isinstance(found, bool):
        raise ConfigError(f"{path}: found the format {found!r}, expected {FORMAT}")
    if unknown := raw.keys() - {"format", "params", "datasets"}:
        raise ConfigError(f"{path}: unknown key '{min(unknown)}'")
    for key in ("params", "datasets"):
        if not isinstance(raw.get(key), dict) or not raw[key]:
            raise ConfigError(f"{path}: {key}: expected an object")
    _add_pooling(raw["datasets"])
    return check_saved_config(str(path), raw["params"], raw["datasets"])


def _add_pooling(datasets: dict[str, Any]) -> None:
    """Fills in the pooling of models from before there was a choice: null, whatever the defaults are now."""
    for dataset in datasets.values():
        tasks = dataset.get("tasks") if isinstance(dataset, dict) else None
        for options in tasks.values() if isinstance(tasks, dict) else ():
            if isinstance(options, dict):
                options.setdefault("pooling", None)


def labels_document(
    vocabularies: dict[str, Vocabulary], weights: dict[str, list[float] | None]
) -> dict[str, Any]:
    """The content of labels.json."""
    return {
        task: {
            "labels": vocabulary.labels,
            "counts": vocabulary.counts,
            "items": vocabulary.items,
            "weights": weights.get(task),
            **({"root_counts": vocabulary.root_counts} if vocabulary.root_counts else {}),
        }
        for task, vocabulary in vocabularies.items()
    }


def read_labels(path: Path, config: Config, tokenizer: Any) -> dict[str, Vocabulary]:
    """Reads the vocabulary of each task; raises ``ConfigError`` for labels that no data file can contain."""
    raw = read_json(path)
    tasks = config.tasks()
    names = [*tasks, *[DATASET_IDS] * config.has_dataset_ids]
    if unknown := raw.keys() - names:
        raise ConfigError(f"{path}: found labels of '{min(unknown)}', which is not a task in config.json")
    entries = {name: _read_task_labels(raw.get(name), f"{path}: {name}", tasks.get(name)) for name in names}
    saved = {name: entry.model_dump(exclude={"weights"}) for name, entry in entries.items()}
    return make_vocabularies(config, tokenizer, saved)


def _read_task_labels(raw: Any, where: str, config: TaskOptions | None) -> _TaskLabels:
    """Checks the labels of one task."""
    try:
        entry = _TaskLabels.model_validate(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        keys = " -> ".join(map(str, fault["loc"]))
        raise ConfigError(f"{where}{' -> ' * bool(keys)}{keys}: {fault['msg']}") from None
    if len(set(entry.labels)) != len(entry.labels) or len(entry.labels) != len(entry.counts):
        raise ConfigError(f"{where}: expected distinct labels and one count per label")
    if entry.root_counts and len(entry.root_counts) != len(entry.labels):
        raise ConfigError(f"{where} -> root_counts: expected one count per label")
    for label in entry.labels:
        if not _is_label(label, config):
            raise ConfigError(f"{where}: found the label {label[:60]!r}, expected one that a data file can have")
    return entry


def _is_label(label: str, config: TaskOptions | None) -> bool:
    """Whether a task can write a label into a file. A line end would start another row, a tab another column."""
    try:
        label.encode()
    except UnicodeEncodeError:
        return False
    if config is None:
        return True
    if "\n" in label:
        return False
    decoder = decoder_class(config)
    return not ("\t" in label and config.columns()) and bool(re.fullmatch(decoder.label_pattern, label))
