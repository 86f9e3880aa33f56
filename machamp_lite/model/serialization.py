"""Saves and loads a model as a folder of JSON and safetensors, without code, device, paths or training data.

config.json         format number, params, datasets with their tasks
labels.json         the labels of each task in the order of their ids, and their counts in the training data
model.safetensors   all weights
encoder/            the transformer's config.json and the tokenizer's files
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from machamp_lite.config.schema import Config
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.errors import ConfigError, first_line, is_panic
from machamp_lite.files.atomic import replacing_folder, write_json
from machamp_lite.model import sandbox
from machamp_lite.model.model_folder import (
    CONFIG,
    ENCODER,
    LABELS,
    WEIGHTS,
    find_model_folder,
    first_unknown_file,
    model_metadata,
)
from machamp_lite.model.multitask_model import Model, language_model_kind
from machamp_lite.model.pretrained import import_transformer, load_architecture, load_tokenizer
from machamp_lite.model.safe_loading import (
    WeightsHeader,
    check_encoder_folder,
    check_finite,
    check_links,
    check_shapes,
    current_name,
    limited_size,
    non_finite_buffers,
    read_header,
    read_json,
    unsafe_keys,
)
from machamp_lite.model.saved_config import config_document, labels_document, read_config, read_labels

_TOKENIZER = "tokenizer.json"
# torch's name for the state that a module returns from ``get_extra_state``.
EXTRA_STATE = "_extra_state"
# Memory for the modules of a model without weights.
_BYTES_PER_TENSOR = 2**16


def save_model(model: Model, folder: str | Path) -> None:
    """Writes a model folder, replacing an older one; raises ``ConfigError`` if it contains other files."""
    unknown = first_unknown_file(Path(folder))
    if unknown is not None:
        raise ConfigError(f"{unknown}: was not written with this model; move it out of the folder")
    with replacing_folder(folder) as new:
        write_json(new / CONFIG, config_document(model.config))
        label_weights = {task: model.decoder(task).label_weights() for task in model.tasks}
        write_json(new / LABELS, labels_document(model.vocabularies, label_weights))
        model.pretrained.save_config(new / ENCODER)
        model.tokenizer.tokenizer.save_pretrained(new / ENCODER)
        for path in (new / ENCODER).glob("*config.json"):
            _remove_unsafe_keys(path)
        # Last, because its metadata contains the checksums of the other files.
        weights = {name: value.contiguous() for name, value in weights_of(model).items()}
        save_file(weights, new / WEIGHTS, model_metadata(new))
        # safetensors makes the file readable for its owner only; it gets the permissions of the other files.
        (new / WEIGHTS).chmod((new / CONFIG).stat().st_mode)


def _remove_unsafe_keys(path: Path) -> None:
    """Removes keys with which a pretrained encoder refers to code, which this program does not run."""
    document = read_json(path)
    found = list(unsafe_keys(document))
    for key, parent in found:
        del parent[key]
    if found:
        write_json(path, document)


def weights_of(model: Model) -> dict[str, Tensor]:
    """All parameters and buffers by name; a shared tensor is listed under the first of its names."""
    return {name: value for name, value in state_of(model).items() if not name.endswith(EXTRA_STATE)}


def state_of(model: Model) -> dict[str, Tensor]:
    """As ``weights_of``, with the extra state of modules, which resuming a run requires."""
    first: dict[int, tuple[str, Tensor]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        first.setdefault(id(value), (name, value.detach()))
    return dict(first.values())


def load_best_weights(model: Model, folder: str | Path) -> None:
    """Loads the weights of a model folder into the model that wrote it."""
    _load_weights(model, Path(folder) / WEIGHTS)


def load_average_weights(model: Model, folders: Sequence[str | Path]) -> None:
    """Loads the mean of the weights in several folders of the model (Izmailov et al. 2018); whole numbers are kept."""
    mean: dict[str, Tensor] = {}
    for number, folder in enumerate(folders, start=1):
        for name, value in load_file(Path(folder) / WEIGHTS).items():
            if number == 1:
                mean[name] = value.float() if value.is_floating_point() else value
            elif value.is_floating_point():
                mean[name].lerp_(value.float(), 1 / number)
    # Not strictly: a tensor that has several names is saved under one of them.
    model.load_state_dict({current_name(name): value for name, value in mean.items()}, strict=False)


def _load_weights(model: Model, path: Path) -> None:
    tensors = load_file(path, device=str(model.device))
    # Not strictly: a tensor that has several names is saved under one of them.
    model.load_state_dict({current_name(name): value for name, value in tensors.items()}, strict=False)


def load_model(path: str | Path, *, device: str = "cpu") -> Model:
    """Loads a model for prediction from its folder or run folder; raises ``ConfigError`` that names a bad file.

    The folder is untrusted input, so all other files are checked before memory for the weights is allocated.
    """
    folder = find_model_folder(path)
    check_links(folder)
    config = read_config(folder / CONFIG)
    weights = read_header(folder / WEIGHTS)
    check_encoder_folder(folder / ENCODER, weights)
    has_sandbox = sandbox.is_available()
    if has_sandbox:
        # The other process is a copy of this one, so that code is imported once for both.
        model_type = read_json(folder / ENCODER / "config.json").get("model_type")
        import_transformer(model_type, kind=language_model_kind(config))
        # Sizes in a config can request any amount of memory under too many keys to check them one by one.
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != WEIGHTS)
        size = sum(path.stat().st_size for path in files)
        sandbox.run_in_limited_process(
            lambda: _load_parts(folder, config, weights, check=True),
            name=str(folder),
            max_bytes=sandbox.memory_limit(size) + _BYTES_PER_TENSOR * len(weights.shapes),
        )
    tokenizer, vocabularies = _load_parts(folder, config, weights, check=not has_sandbox)
    model = _build(folder, config, tokenizer, vocabularies, weights)
    _check_tokenizer(model, folder / ENCODER)
    allowed = non_finite_buffers(model)
    try:
        _load_weights(model, weights.path)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ConfigError(f"{weights.path}: cannot be loaded ({first_line(error)})") from None
    check_finite(model, weights.path, allowed=allowed)
    model.folder = folder
    return model.to(device).eval()


def _load_parts(
    folder: Path, config: Config, weights: WeightsHeader, *, check: bool
) -> tuple[Any, dict[str, Vocabulary]]:
    """Loads tokenizer and labels; with ``check``, checks that their model has exactly the tensors of the file."""
    with _any_error_as(f"{folder / ENCODER}: holds no tokenizer that can be loaded"):
        tokenizer = load_tokenizer(str(folder / ENCODER), is_saved_model=True)
    if hasattr(tokenizer, "backend_tokenizer") and not (folder / ENCODER / _TOKENIZER).exists():
        # transformers would create one with an empty vocabulary.
        raise ConfigError(f"{folder / ENCODER / _TOKENIZER}: is missing, expected a complete model folder")
    vocabularies = read_labels(folder / LABELS, config, tokenizer)
    if check:
        with torch.device("meta"):
            check_shapes(_build(folder, config, tokenizer, vocabularies, weights), weights)
    return tokenizer, vocabularies


def _build(
    folder: Path,
    config: Config,
    tokenizer: Any,
    vocabularies: dict[str, Vocabulary],
    weights: WeightsHeader,
) -> Model:
    files = f"{CONFIG}, {LABELS} and {ENCODER}/{CONFIG}"
    try:
        with (
            _any_error_as(f"{folder}: {files} do not describe a model that can be built"),
            limited_size(weights),
        ):
            pretrained = load_architecture(str(folder / ENCODER), kind=language_model_kind(config))
            return Model(config=config, pretrained=pretrained, tokenizer=tokenizer, vocabularies=vocabularies)
    except ConfigError as error:
        if str(error).startswith(str(folder)):
            raise
        raise ConfigError(f"{folder / CONFIG}: {error}") from None


@contextmanager
def _any_error_as(message: str) -> Iterator[None]:
    """Turns any error in reading untrusted files into a ``ConfigError`` with this message and the cause."""
    try:
        yield
    except (ConfigError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise ConfigError(f"{message} ({first_line(error)})") from error


def _check_tokenizer(model: Model, folder: Path) -> None:
    """Raises ``ConfigError`` for a tokenizer with more subwords than the encoder has embeddings."""
    rows = getattr(model.pretrained.subword_embedding, "num_embeddings", None)
    if rows is None:
        return
    largest = max(model.tokenizer.tokenizer.get_vocab().values(), default=0)
    if largest >= rows:
        raise ConfigError(
            f"{folder}: found a subword with the id {largest} in the tokenizer, but the encoder has {rows} embeddings"
        )
