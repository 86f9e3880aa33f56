"""A model as a folder of JSON and safetensors: nothing in it is code, a device, a path or training data.

config.json         format number, params, datasets with their tasks
labels.json         for each task its labels, in the order of their ids, and how often training showed them
model.safetensors   all weights
encoder/            the transformer's own config.json and the tokenizer's files
"""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_model as load_weights
from safetensors.torch import save_model as save_weights

from machamp_lite.config.faults import ConfigFaults
from machamp_lite.config.schema import Config, DatasetConfig, Params, decoder_class
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.decoders import DECODERS, Decoder
from machamp_lite.errors import ConfigError
from machamp_lite.files import replacing_folder, write_json
from machamp_lite.model import Model, language_model_kind
from machamp_lite.pretrained import load_architecture, load_tokenizer

FORMAT = 1
Checked = TypeVar("Checked", bound=BaseModel)
_CONFIG = "config.json"
_LABELS = "labels.json"
_WEIGHTS = "model.safetensors"
_ENCODER = "encoder"


class _TaskLabels(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    labels: list[str]
    counts: list[int]
    items: int
    weights: list[float] | None = None


def save_model(model: Model, folder: str | Path) -> None:
    """Writes a model folder, in the place of an older one."""
    with replacing_folder(folder) as place:
        params = model.config.params.model_dump()
        params["transformer_model"] = Path(params["transformer_model"]).name
        datasets = {
            name: dataset.model_dump(exclude={"train_data_path", "dev_data_path"})
            for name, dataset in model.config.datasets.items()
        }
        write_json(place / _CONFIG, {"format": FORMAT, "params": params, "datasets": datasets})
        labels = {
            task: {
                "labels": vocabulary.labels,
                "counts": vocabulary.counts,
                "items": vocabulary.items,
                "weights": model.decoder(task).label_weights() if task in model.tasks else None,
            }
            for task, vocabulary in model.vocabularies.items()
        }
        write_json(place / _LABELS, labels)
        save_weights(model, str(place / _WEIGHTS))
        # safetensors writes for the owner's eyes alone; a model is to be read by whoever reads its folder.
        (place / _WEIGHTS).chmod((place / _CONFIG).stat().st_mode)
        model.pretrained.save_config(place / _ENCODER)
        model.tokenizer.tokenizer.save_pretrained(place / _ENCODER)


def load_best_weights(model: Model, folder: str | Path) -> None:
    """Loads the weights of a model folder into the model that wrote it."""
    load_weights(model, Path(folder) / _WEIGHTS, device=str(model.device))


def find_model_folder(path: str | Path) -> Path:
    """The model folder itself, or the ``model`` folder of a run; raises ``ConfigError`` if it is neither."""
    path = Path(path)
    for folder in (path / "model", path):
        missing = [name for name in (_CONFIG, _LABELS, _WEIGHTS, _ENCODER) if not (folder / name).exists()]
        if not missing:
            return folder
        if _CONFIG not in missing or _WEIGHTS not in missing:
            raise ConfigError(
                [f"{folder / name}: is not there, expected a whole model folder" for name in missing]
            )
    if not path.exists():
        raise ConfigError(f"{path}: no such folder, expected a run folder or its model folder")
    raise ConfigError(f"{path}: found no model, expected a run folder or its model folder (with {_CONFIG})")


def load_model(path: str | Path, *, device: str = "cpu") -> Model:
    """Rebuilds a model from its folder or run folder, ready to predict; raises ``ConfigError`` naming a bad file."""
    folder = find_model_folder(path)
    config = _load_config(folder / _CONFIG)
    encoder = str(folder / _ENCODER)
    tokenizer = load_tokenizer(encoder)
    vocabularies = _load_labels(folder / _LABELS, config, tokenizer)
    pretrained = load_architecture(encoder, kind=language_model_kind(config))
    try:
        model = Model(config=config, pretrained=pretrained, tokenizer=tokenizer, vocabularies=vocabularies)
    except ConfigError as error:
        raise ConfigError(f"{folder / _CONFIG}: {error}") from None
    weights = folder / _WEIGHTS
    try:
        load_weights(model, weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        # The first line of torch's message says only that there are faults.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[1] if len(lines) > 1 else lines[0]
        raise ConfigError(f"{weights}: does not fit {_CONFIG} and {_LABELS} ({reason})") from None
    return model.to(device).eval()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a JSON object")
    return value


def _load_config(path: Path) -> Config:
    raw = _read_json(path)
    if raw.get("format") != FORMAT:
        raise ConfigError(f"{path}: found the format {raw.get('format')!r}, expected {FORMAT}")
    faults = ConfigFaults()
    datasets: dict[str, DatasetConfig] = {}
    try:
        for name, dataset in raw["datasets"].items():
            tasks = {}
            for task, options in dataset["tasks"].items():
                place = ["datasets", name, "tasks", task]
                checked = _validated(DECODERS[options["task_type"]].Config, options, place, path, faults)
                if checked is not None:
                    tasks[task] = checked
            checked_dataset = _validated(
                DatasetConfig, {**dataset, "tasks": tasks}, ["datasets", name], path, faults
            )
            if checked_dataset is not None:
                datasets[name] = checked_dataset
        params = _validated(Params, raw["params"], ["params"], path, faults)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: is no config of a model (fault at {error})") from None
    if faults.lines or params is None:
        raise ConfigError(faults.lines)
    return Config(params=params, datasets=datasets)


def _validated(
    model: type[Checked], value: Any, place: list[str], path: Path, faults: ConfigFaults
) -> Checked | None:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults.add_validation(str(path), place, error.errors(), model)
        return None


def _load_labels(path: Path, config: Config, tokenizer: Any) -> dict[str, Vocabulary]:
    raw = _read_json(path)
    vocabularies = {}
    kinds = {task: decoder_class(task_config).make_vocabulary for task, task_config in config.tasks().items()}
    if config.has_dataset_ids:
        kinds[DATASET_IDS] = Decoder.make_vocabulary
    for task, make_vocabulary in kinds.items():
        try:
            entry = _TaskLabels.model_validate(raw.get(task))
        except ValidationError as error:
            raise ConfigError(f"{path}: {task}: {error.errors()[0]['msg']}") from None
        if len(set(entry.labels)) != len(entry.labels) or len(entry.labels) != len(entry.counts):
            raise ConfigError(f"{path}: {task}: expected distinct labels and one count a label")
        vocabularies[task] = make_vocabulary(
            tokenizer, labels=entry.labels, counts=entry.counts, items=entry.items
        )
    return vocabularies
