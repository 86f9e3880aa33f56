"""What loading an encoder may take: its config and its tokenizer are first loaded in a process with limits."""

import contextlib
import logging
import re
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache

from machamp_lite.model import sandbox
from machamp_lite.model.pretrained import load_architecture, load_tokenizer

logger = logging.getLogger(__name__)

# For any tokenizer and model without weights (Canine takes more than half of it), and for each byte of their files.
MOST_BYTES, MOST_BYTES_PER_BYTE = 2**29, 40
WEIGHTS = (".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".pt", ".ot")
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
# What was checked in this process, with the sizes and times of its files.
_CHECKED: set[tuple[Any, ...]] = set()


def check_limits(name: str) -> None:
    """Raises ``ConfigError`` for an encoder on this disk that would take far more memory than its files have bytes.

    All other faults are raised when it is loaded. An encoder that must be downloaded is not checked.
    """
    # Errors of the system are raised again when the encoder is loaded.
    with contextlib.suppress(OSError, ValueError):
        folder = _local_folder(name)
        if folder is None or not sandbox.is_available():
            return
        stats = {path: path.stat() for path in sorted(folder.iterdir())}
        signature = (folder, *((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()))
        if signature in _CHECKED:
            return
        texts = sum(stat.st_size for path, stat in stats.items() if path.suffix not in WEIGHTS)
        sandbox.try_apart(
            lambda: _build_without_weights(str(folder)), place=name, most_bytes=most_bytes_for(texts)
        )
        _CHECKED.add(signature)


def _local_folder(name: str) -> Path | None:
    """The folder that a user named, or that of a copy in the hub's cache."""
    if Path(name).is_dir():
        return Path(name)
    cached = try_to_load_from_cache(name, "config.json") if HUB_NAME.fullmatch(name) else None
    return Path(cached).parent if isinstance(cached, str) else None


def most_bytes_for(size: int) -> int:
    """The memory that files of a tokenizer and a config of this size may take while they are loaded."""
    return MOST_BYTES + MOST_BYTES_PER_BYTE * size


def _build_without_weights(folder: str) -> None:
    for build in (load_tokenizer, load_architecture):
        try:
            with torch.device("meta"):
                build(folder)
        except MemoryError:
            raise
        # A library in Rust raises what is no Exception.
        except BaseException:
            # It is raised again, and reported, when the encoder is loaded.
            logger.debug("%s: %s", folder, build.__name__, exc_info=True)
