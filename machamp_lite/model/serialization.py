"""A model as a folder of JSON and safetensors: nothing in it is code, a device, a path or training data.

config.json         format number, params, datasets with their tasks
labels.json         for each task its labels, in the order of their ids, and how often training showed them
model.safetensors   all weights
encoder/            the transformer's own config.json and the tokenizer's files
"""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model as load_weights
from safetensors.torch import save_file
from torch import Tensor

from machamp_lite.config.schema import Config
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.errors import ConfigError, first_line, is_panic
from machamp_lite.files.atomic import replacing_folder, write_json
from machamp_lite.model import sandbox
from machamp_lite.model.loading_limits import most_bytes_for
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
from machamp_lite.model.pretrained import load_architecture, load_tokenizer
from machamp_lite.model.safe_loading import (
    WeightsHeader,
    check_encoder_folder,
    check_finite,
    check_links,
    check_shapes,
    code_keys,
    no_larger_than,
    read_header,
    read_json,
    unset_buffers,
)
from machamp_lite.model.saved_config import config_document, labels_document, read_config, read_labels

_TOKENIZER = "tokenizer.json"
# For the modules of a model without weights.
_BYTES_PER_TENSOR = 2**16


def save_model(model: Model, folder: str | Path) -> None:
    """Writes a model folder, in the place of an older one; raises ``ConfigError`` if something else is there."""
    unknown = first_unknown_file(Path(folder))
    if unknown is not None:
        raise ConfigError(f"{unknown}: was not written with this model; move it out of the folder")
    with replacing_folder(folder) as place:
        write_json(place / CONFIG, config_document(model.config))
        label_weights = {task: model.decoder(task).label_weights() for task in model.tasks}
        write_json(place / LABELS, labels_document(model.vocabularies, label_weights))
        model.pretrained.save_config(place / ENCODER)
        model.tokenizer.tokenizer.save_pretrained(place / ENCODER)
        for path in (place / ENCODER).glob("*config.json"):
            _leave_out_code(path)
        # Last, for its mark names the other files.
        weights = {name: value.contiguous() for name, value in weights_of(model).items()}
        save_file(weights, place / WEIGHTS, model_metadata(place))
        # safetensors writes for the owner's eyes alone; a model is to be read by whoever reads its folder.
        (place / WEIGHTS).chmod((place / CONFIG).stat().st_mode)


def _leave_out_code(path: Path) -> None:
    """What a pretrained encoder says of code of its own, which was not run, does not go on into a model folder."""
    document = read_json(path)
    found = list(code_keys(document))
    for key, holder in found:
        del holder[key]
    if found:
        write_json(path, document)


def weights_of(model: Model) -> dict[str, Tensor]:
    """All that a model has learnt or remembers, by name; what has several names stands under the first."""
    first: dict[int, tuple[str, Tensor]] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        first.setdefault(id(value), (name, value.detach()))
    return dict(first.values())


def load_best_weights(model: Model, folder: str | Path) -> None:
    """Loads the weights of a model folder into the model that wrote it."""
    load_weights(model, Path(folder) / WEIGHTS, device=str(model.device))


def load_model(path: str | Path, *, device: str = "cpu") -> Model:
    """Rebuilds a model from its folder or run folder, ready to predict; raises ``ConfigError`` naming a bad file.

    A folder may come from anyone: memory for the weights is taken once all else was found to fit them.
    """
    folder = find_model_folder(path)
    check_links(folder)
    config = read_config(folder / CONFIG)
    weights = read_header(folder / WEIGHTS)
    check_encoder_folder(folder / ENCODER, weights)
    checked = sandbox.is_available()
    if checked:
        # A few bytes can request any amount of memory, under more keys than a list could name.
        sizes = sum(
            file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name != WEIGHTS
        )
        most_bytes = most_bytes_for(sizes) + _BYTES_PER_TENSOR * len(weights.shapes)
        sandbox.try_apart(
            lambda: _load_parts(folder, config, weights, check=True), place=str(folder), most_bytes=most_bytes
        )
    tokenizer, vocabularies = _load_parts(folder, config, weights, check=not checked)
    model = _build(folder, config, tokenizer, vocabularies, weights)
    _check_tokenizer(model, folder / ENCODER)
    unset = unset_buffers(model)
    try:
        load_weights(model, weights.path)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ConfigError(f"{weights.path}: cannot be loaded ({first_line(error)})") from None
    check_finite(model, weights.path, unset=unset)
    model.folder = folder
    return model.to(device).eval()


def _load_parts(
    folder: Path, config: Config, weights: WeightsHeader, *, check: bool
) -> tuple[Any, dict[str, Vocabulary]]:
    """Tokenizer and labels; if ``check``, it is checked that a model of them has exactly the tensors of the file."""
    try:
        tokenizer = load_tokenizer(str(folder / ENCODER), is_saved_model=True)
    except (ConfigError, MemoryError):
        raise
    # Whatever transformers raises of files that it did not write.
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise ConfigError(
            f"{folder / ENCODER}: holds no tokenizer that can be loaded ({first_line(error)})"
        ) from None
    if hasattr(tokenizer, "backend_tokenizer") and not (folder / ENCODER / _TOKENIZER).exists():
        # transformers would make one with an empty vocabulary.
        raise ConfigError(f"{folder / ENCODER / _TOKENIZER}: is not there, expected a whole model folder")
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
    try:
        with no_larger_than(weights):
            pretrained = load_architecture(str(folder / ENCODER), kind=language_model_kind(config))
            return Model(config=config, pretrained=pretrained, tokenizer=tokenizer, vocabularies=vocabularies)
    except MemoryError:
        raise
    except ConfigError as error:
        named = str(error).startswith(str(folder))
        raise ConfigError(str(error) if named else f"{folder / CONFIG}: {error}") from None
    # Whatever transformers, torch and decoders raise of numbers and names that do not go together.
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise ConfigError(
            f"{folder}: {CONFIG}, {LABELS} and {ENCODER}/{CONFIG} describe no model that can be built "
            f"({first_line(error)})"
        ) from None


def _check_tokenizer(model: Model, folder: Path) -> None:
    """Raises ``ConfigError`` for a tokenizer with more subwords than the encoder has."""
    try:
        embedding = model.pretrained.encoder.get_input_embeddings()
    except NotImplementedError:
        # Canine has no table of subwords: it hashes characters.
        return
    rows = getattr(embedding, "num_embeddings", None)
    largest = max(model.tokenizer.tokenizer.get_vocab().values(), default=0)
    if rows is not None and largest >= rows:
        raise ConfigError(
            f"{folder}: found a subword with the number {largest} in the tokenizer, but the encoder knows {rows}"
        )
