"""Checks the files of a model folder, which are untrusted input, before a model is built from them."""

import json
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from machamp_lite.config.error_messages import show
from machamp_lite.errors import ConfigError

# Far larger than any real tokenizer.json and any list of labels.
MAX_JSON_BYTES = 2**28
MAX_NUMBER = 10**9
# JSON, word lists, templates and SentencePiece models, none of which can contain code.
DATA_ENDINGS = (".json", ".txt", ".model", ".jinja", ".spm", ".bpe", ".vocab")
# Keys that make transformers load code, or parts of a model from elsewhere.
UNSAFE_KEYS = re.compile(
    r"auto_map|custom_\w+|\w*attn_implementation\w*|\w*experts_implementation\w*|quantization_config|"
    r"backbone\w*|use_\w*backbone|use_kernels|kernel_config|init_inputs|\w+_file"
)
TOKENIZER_CLASS = re.compile(
    r"(?!Auto)[A-Z]\w*Tokenizer(Fast)?|TokenizersBackend|PythonBackend|SentencePieceBackend"
)
_LAYERS = re.compile(r".*layers?|depth|n_layer|num_blocks?|block_sizes")
_DTYPES = {
    torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.bool: "BOOL",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
}  # fmt: skip
# While a model is built, it may have more tensors and numbers than were saved, by these factors and constants: parts of
# an encoder that no task uses, such as the decoder of T5, are not saved. Buffers are usually not saved either.
_MAX_RATIO, _MORE_TENSORS, _MORE_NUMBERS, _MAX_BUFFER_NUMBERS = 4, 1000, 10**6, 10**8


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """The shapes and types of all tensors of a safetensors file."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    types: dict[str, str]

    @property
    def numbers(self) -> int:
        """The number of elements of all tensors."""
        return sum(map(math.prod, self.shapes.values()))


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object; raises ``ConfigError`` if the file has something else or is too large."""
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: is not a file, expected JSON")
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ConfigError(f"{path}: found more than {MAX_JSON_BYTES} bytes, expected fewer")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a JSON object")
    return value


def check_links(folder: Path) -> None:
    """Raises ``ConfigError`` for symbolic links in a model folder that lead out of it."""
    root = os.path.realpath(folder)
    for path in sorted((*folder.iterdir(), *(folder / "encoder").glob("*"))):
        if path.is_symlink() and os.path.commonpath([root, os.path.realpath(path)]) != root:
            raise ConfigError(f"{path}: is a link that leads out of the model folder, expected a file")


def check_finite(model: nn.Module, path: Path, *, allowed: Collection[str]) -> None:
    """Raises ``ConfigError`` for weights that are NaN or infinite, except those with ``allowed`` names."""
    for name, tensor in model.state_dict().items():
        # If the sum is finite, all numbers are finite; this is much faster to check. A sum may overflow, though.
        if not tensor.is_floating_point() or name in allowed or torch.isfinite(tensor.sum()):
            continue
        if not torch.isfinite(tensor).all():
            raise ConfigError(f"{path}: '{name}' has weights that are NaN or infinite, expected finite numbers")


def non_finite_buffers(model: nn.Module) -> set[str]:
    """The names of buffers with NaN or infinite numbers."""
    return {name for name, buffer in model.named_buffers() if not torch.isfinite(buffer).all()}


def check_encoder_folder(folder: Path, header: WeightsHeader) -> None:
    """Raises ``ConfigError`` for files that may contain code, for unsafe keys and for impossible sizes."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is not a folder, expected one with the encoder's config and tokenizer")
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_file() or path.suffix not in DATA_ENDINGS:
            raise ConfigError(
                f"{path}: does not belong in a model folder, expected files of {', '.join(DATA_ENDINGS)}"
            )
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ConfigError(f"{path}: found more than {MAX_JSON_BYTES} bytes, expected fewer")
        if path.suffix == ".json":
            _check_document(path, header)


def _check_document(path: Path, header: WeightsHeader) -> None:
    """Checks one JSON file of an encoder."""
    document = read_json(path)
    # The keys of vocabularies are words.
    if path.name.endswith("config.json"):
        for key, _ in unsafe_keys(document):
            raise ConfigError(f"{path}: found the key '{key}', which refers to code or other files; remove it")
    if path.name == "config.json":
        _check_sizes(document, path, header)
    if path.name == "tokenizer_config.json":
        name = document.get("tokenizer_class")
        if name is not None and not (isinstance(name, str) and TOKENIZER_CLASS.fullmatch(name)):
            raise ConfigError(f"{path}: tokenizer_class: found {show(name)}, expected a tokenizer's name")


def unsafe_keys(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The unsafe keys at any depth, each with the object that contains it; keys with empty values are safe."""
    if isinstance(value, dict):
        for key, item in value.items():
            if UNSAFE_KEYS.fullmatch(key) and item not in (None, False, [], {}):
                yield key, value
            else:
                yield from unsafe_keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from unsafe_keys(item)


def _check_sizes(value: Any, path: Path, header: WeightsHeader, key: str = "") -> None:
    """Raises ``ConfigError`` for sizes that cannot agree with the weights."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_sizes(item, path, header, name)
    elif isinstance(value, list):
        for item in value:
            _check_sizes(item, path, header, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        limit = len(header.shapes) if _LAYERS.fullmatch(key) else MAX_NUMBER
        if abs(value) > limit:
            raise ConfigError(
                f"{path}: {key}: found {show(value)}, expected at most {limit} with {header.path.name}"
            )


def current_name(name: str) -> str:
    """The name of a tensor that an older version saved under this name."""
    return re.sub(r"^(decoders\.\d+)\.spread$", r"\1.std", name)


def read_header(path: Path) -> WeightsHeader:
    """Reads the current names, shapes and types of all tensors; raises ``ConfigError`` for a damaged file."""
    shapes, types = {}, {}
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: is not a file, expected safetensors")
        # safe_open checks that offsets, shapes, types and the size of the file agree.
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                part, name = file.get_slice(name), current_name(name)
                shapes[name], types[name] = tuple(part.get_shape()), str(part.get_dtype())
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as safetensors ({error})") from None
    return WeightsHeader(path, shapes, types)


@contextmanager
def limited_size(header: WeightsHeader) -> Iterator[None]:
    """In this context, building a model that is far larger than the weights raises ``ConfigError``."""
    tensors = _MAX_RATIO * len(header.shapes) + _MORE_TENSORS
    numbers = _MAX_RATIO * header.numbers + _MORE_NUMBERS
    buffer_numbers = _MAX_BUFFER_NUMBERS

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal tensors, numbers, buffer_numbers
        tensors -= tensor is not None
        if isinstance(tensor, nn.Parameter):
            numbers -= tensor.numel()
        elif tensor is not None:
            buffer_numbers -= tensor.numel()
        if min(tensors, numbers, buffer_numbers) < 0:
            raise ConfigError(
                f"{header.path}: has {len(header.shapes)} tensors of {header.numbers} numbers, and what the config "
                "files describe is many times larger"
            )

    hooks = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def check_shapes(model: nn.Module, header: WeightsHeader) -> None:
    """Raises ``ConfigError`` if a file does not have exactly the tensors of a model, which may have no weights."""
    owners: dict[int, list[str]] = {}
    tensors: Mapping[str, Tensor] = model.state_dict(keep_vars=True)
    for name, value in tensors.items():
        owners.setdefault(id(value), []).append(name)
    expected = f"{header.path}: does not fit config.json, labels.json and encoder/config.json:"
    for names in owners.values():
        # A file contains a shared tensor under one of its names.
        if not any(name in header.shapes for name in names):
            raise ConfigError(f"{expected} has no tensor '{names[0]}'")
    for name, shape in header.shapes.items():
        if name not in tensors:
            raise ConfigError(f"{expected} found a tensor '{name}', expected none of that name")
        tensor = tensors[name]
        if shape != tuple(tensor.shape):
            raise ConfigError(
                f"{expected} found '{name}' of the shape {list(shape)}, expected {list(tensor.shape)}"
            )
        if header.types[name] != _DTYPES.get(tensor.dtype, header.types[name]):
            raise ConfigError(
                f"{expected} found '{name}' of the type {header.types[name]}, expected {tensor.dtype}"
            )
