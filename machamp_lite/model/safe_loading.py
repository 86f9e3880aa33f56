"""What a model folder may hold, checked before anything of it is built: a stranger may have written it."""

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

# Far above the largest tokenizer.json and the longest list of labels that people have.
LARGEST_JSON = 2**28
LARGEST_NUMBER = 10**9
# JSON, word lists, templates and SentencePiece models; nothing that could be code.
DATA_FILES = (".json", ".txt", ".model", ".jinja", ".spm", ".bpe", ".vocab")
# Keys by which transformers would look for code, or for parts of a model elsewhere.
CODE_KEYS = re.compile(
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
# What a task leaves out of an encoder, such as the decoder of T5, is at most so many times what it keeps.
_LEFT_OUT, _SOME_TENSORS, _SOME_NUMBERS, _SOME_BUFFERS = 4, 1000, 10**6, 10**8


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """The shapes and types of all tensors of a safetensors file, which its size was found to fit."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    types: dict[str, str]

    @property
    def numbers(self) -> int:
        """How many numbers there are."""
        return sum(map(math.prod, self.shapes.values()))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises ``ConfigError`` naming the file if it is none, or larger than any that people write."""
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: is no file, expected JSON")
        if path.stat().st_size > LARGEST_JSON:
            raise ConfigError(f"{path}: found more than {LARGEST_JSON} bytes, expected fewer")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a JSON object")
    return value


def check_links(folder: Path) -> None:
    """Raises ``ConfigError`` for links in a model folder that lead out of it."""
    root = os.path.realpath(folder)
    for path in sorted((*folder.iterdir(), *(folder / "encoder").glob("*"))):
        if path.is_symlink() and os.path.commonpath([root, os.path.realpath(path)]) != root:
            raise ConfigError(f"{path}: is a link that leads out of the model folder, expected a file")


def check_finite(model: nn.Module, path: Path, *, unset: Collection[str]) -> None:
    """Raises ``ConfigError`` for weights that are NaN or infinite; those ``unset`` in a new model may be."""
    for name, tensor in model.state_dict().items():
        # A sum is finite only if all its terms are, and is much faster; if it overflows, all are checked.
        if not tensor.is_floating_point() or name in unset or torch.isfinite(tensor.sum()):
            continue
        if not torch.isfinite(tensor).all():
            raise ConfigError(f"{path}: '{name}' has weights that are NaN or infinite, expected finite numbers")


def unset_buffers(model: nn.Module) -> set[str]:
    """The buffers that are not finite before weights are loaded."""
    return {name for name, buffer in model.named_buffers() if not torch.isfinite(buffer).all()}


def check_encoder_folder(folder: Path, header: WeightsHeader) -> None:
    """Raises ``ConfigError`` for files that are no data, for keys that lead to code, and for absurd sizes."""
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is no folder, expected the encoder's config and tokenizer")
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.is_file() or path.suffix not in DATA_FILES:
            raise ConfigError(
                f"{path}: has no place in a model folder, expected files of {', '.join(DATA_FILES)}"
            )
        if path.stat().st_size > LARGEST_JSON:
            raise ConfigError(f"{path}: found more than {LARGEST_JSON} bytes, expected fewer")
        if path.suffix == ".json":
            document = read_json(path)
            # Vocabularies have words for keys.
            if path.name.endswith("config.json"):
                for key, _ in code_keys(document):
                    raise ConfigError(
                        f"{path}: found the key '{key}', which leads out of the model, expected none"
                    )
            if path.name == "config.json":
                _check_sizes(document, path, header)
            if path.name == "tokenizer_config.json":
                name = document.get("tokenizer_class")
                if name is not None and not (isinstance(name, str) and TOKENIZER_CLASS.fullmatch(name)):
                    raise ConfigError(
                        f"{path}: tokenizer_class: found {show(name)}, expected a tokenizer's name"
                    )


def code_keys(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The keys at any depth that lead to code, each with the object that has it; empty values lead nowhere."""
    if isinstance(value, dict):
        for key, item in value.items():
            if CODE_KEYS.fullmatch(key) and item not in (None, False, [], {}):
                yield key, value
            else:
                yield from code_keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from code_keys(item)


def _check_sizes(value: Any, path: Path, header: WeightsHeader, key: str = "") -> None:
    """Refuses numbers that no file of weights could fit, before a config or a layer is made of them."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_sizes(item, path, header, name)
    elif isinstance(value, list):
        for item in value:
            _check_sizes(item, path, header, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        limit = len(header.shapes) if _LAYERS.fullmatch(key) else LARGEST_NUMBER
        if abs(value) > limit:
            raise ConfigError(
                f"{path}: {key}: found {show(value)}, expected at most {limit} beside {header.path.name}"
            )


def read_header(path: Path) -> WeightsHeader:
    """Reads what tensors a file has, and none of their numbers; raises ``ConfigError`` for a damaged file."""
    shapes, types = {}, {}
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: is no file, expected safetensors")
        # It checks that offsets, shapes and types fit each other and the size of the file.
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                part = file.get_slice(name)
                shapes[name], types[name] = tuple(part.get_shape()), str(part.get_dtype())
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as safetensors ({error})") from None
    return WeightsHeader(path, shapes, types)


@contextmanager
def no_larger_than(header: WeightsHeader) -> Iterator[None]:
    """Within it, a module that is made of more parameters than could fit the weights raises ``ConfigError``."""
    tensors, numbers = (
        _LEFT_OUT * len(header.shapes) + _SOME_TENSORS,
        _LEFT_OUT * header.numbers + _SOME_NUMBERS,
    )
    buffers = _SOME_BUFFERS

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal tensors, numbers
        if parameter is not None:
            tensors, numbers = tensors - 1, numbers - parameter.numel()
        spend()

    def count_buffer(module: nn.Module, name: str, buffer: Tensor | None) -> None:
        nonlocal tensors, buffers
        if buffer is not None:
            tensors, buffers = tensors - 1, buffers - buffer.numel()
        spend()

    def spend() -> None:
        if min(tensors, numbers, buffers) < 0:
            raise ConfigError(
                f"{header.path}: has {len(header.shapes)} tensors of {header.numbers} numbers, and what the config "
                "files describe is many times larger"
            )

    hooks = [
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count_buffer),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def check_shapes(model: nn.Module, header: WeightsHeader) -> None:
    """Raises ``ConfigError`` if a file does not have just the tensors of a model, which may be without weights."""
    owners: dict[int, list[str]] = {}
    tensors: Mapping[str, Tensor] = model.state_dict(keep_vars=True)
    for name, tensor in tensors.items():
        owners.setdefault(id(tensor), []).append(name)
    expected = f"{header.path}: does not fit config.json, labels.json and encoder/config.json:"
    for names in owners.values():
        # Of several names of one tensor, a file has one.
        if not any(name in header.shapes for name in names):
            raise ConfigError(f"{expected} has no tensor '{names[0]}'")
    for name, shape in header.shapes.items():
        if name not in tensors:
            raise ConfigError(f"{expected} found a tensor '{name}', expected none of that name")
        wanted = tensors[name]
        if shape != tuple(wanted.shape):
            raise ConfigError(
                f"{expected} found '{name}' of the shape {list(shape)}, expected {list(wanted.shape)}"
            )
        if header.types[name] != _DTYPES.get(wanted.dtype, header.types[name]):
            raise ConfigError(
                f"{expected} found '{name}' of the type {header.types[name]}, expected {wanted.dtype}"
            )
