"""A model as a folder of JSON and safetensors: nothing in it is code, a device, a path or training data.

config.json         format number, params, datasets with their tasks
labels.json         for each task its labels, in the order of their ids, and how often training showed them
model.safetensors   all weights
encoder/            the transformer's own config.json and the tokenizer's files
"""

import json
from pathlib import Path
from typing import Any

import transformers
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_model as load_weights
from safetensors.torch import save_model as save_weights

from machamp_lite.config.schema import Config, DatasetConfig, Params
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders import DECODERS
from machamp_lite.errors import ConfigError
from machamp_lite.files import replacing_folder, write_json
from machamp_lite.model import Model
from machamp_lite.pretrained import build_transformer, load_tokenizer, only_encoder

FORMAT = 1
_WEIGHTS = "model.safetensors"


class _TaskLabels(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    labels: list[str]
    counts: list[int]


def save_model(model: Model, folder: str | Path) -> None:
    """Writes a model folder, in the place of an older one."""
    with replacing_folder(folder) as place:
        params = model.config.params.model_dump()
        params["transformer_model"] = Path(params["transformer_model"]).name
        datasets = {
            name: dataset.model_dump(exclude={"train_data_path", "dev_data_path"}, exclude_none=True)
            for name, dataset in model.config.datasets.items()
        }
        write_json(place / "config.json", {"format": FORMAT, "params": params, "datasets": datasets})
        labels = {
            task: {"labels": vocabulary.labels, "counts": vocabulary.counts}
            for task, vocabulary in model.vocabularies.items()
        }
        write_json(place / "labels.json", labels)
        save_weights(model, str(place / _WEIGHTS))
        transformer: Any = model.encoder.transformer
        transformer.config.save_pretrained(place / "encoder")
        model.tokenizer.tokenizer.save_pretrained(place / "encoder")


def load_best_weights(model: Model, folder: str | Path) -> None:
    """Loads the weights of a model folder into the model that wrote it."""
    load_weights(model, Path(folder) / _WEIGHTS, device=str(model.device))


def find_model_folder(path: str | Path) -> Path:
    """The model folder itself, or the ``model`` folder of a run; raises ``ConfigError`` if it is neither."""
    path = Path(path)
    for folder in (path / "model", path):
        if (folder / "config.json").is_file() and (folder / "labels.json").is_file():
            return folder
    if not path.exists():
        raise ConfigError(f"{path}: no such folder, expected a run folder or its model folder")
    raise ConfigError(f"{path}: found no model, expected a run folder or its model folder (with config.json)")


def load_model(path: str | Path, *, device: str = "cpu") -> Model:
    """Rebuilds a model from its folder or run folder, ready to predict; raises ``ConfigError`` naming a bad file."""
    folder = find_model_folder(path)
    config = _load_config(folder / "config.json")
    vocabularies = _load_labels(folder / "labels.json", config)
    encoder = str(folder / "encoder")
    try:
        transformer = build_transformer(
            transformers.AutoConfig.from_pretrained(encoder, trust_remote_code=False)
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{encoder}: holds no encoder that can be built ({error})") from None
    model = Model(
        config=config,
        transformer=only_encoder(transformer),
        tokenizer=load_tokenizer(encoder),
        vocabularies=vocabularies,
    )
    weights = folder / _WEIGHTS
    try:
        load_weights(model, weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(
            f"{weights}: does not hold the weights that config.json describes ({first})"
        ) from None
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
    try:
        datasets = {}
        for name, dataset in raw["datasets"].items():
            tasks = {
                task: DECODERS[options["task_type"]].Config.model_validate(options)
                for task, options in dataset["tasks"].items()
            }
            defaults = {"max_sents": None, "max_words": None}
            datasets[name] = DatasetConfig.model_validate({**defaults, **dataset, "tasks": tasks})
        return Config(params=Params.model_validate(raw["params"]), datasets=datasets)
    except ValidationError as error:
        fault = error.errors()[0]
        place = " -> ".join(str(part) for part in fault["loc"])
        raise ConfigError(f"{path}: {place}: {fault['msg']}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: is no config of a model (fault at {error})") from None


def _load_labels(path: Path, config: Config) -> dict[str, Vocabulary]:
    raw = _read_json(path)
    vocabularies = {}
    for task in config.tasks():
        try:
            entry = _TaskLabels.model_validate(raw.get(task))
        except ValidationError as error:
            raise ConfigError(f"{path}: {task}: {error.errors()[0]['msg']}") from None
        if len(set(entry.labels)) != len(entry.labels) or len(entry.labels) != len(entry.counts):
            raise ConfigError(f"{path}: {task}: expected distinct labels and one count a label")
        vocabularies[task] = Vocabulary(entry.labels, entry.counts)
    return vocabularies
