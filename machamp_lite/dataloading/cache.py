"""Caches the data of a run in one file, so that the next run on the same data need not parse and tokenize it again.

The name of an entry is a hash of everything it depends on, including the source code of this package, so an outdated
entry is never found. Its checksum is verified before it is parsed; if it is damaged, the data files are read again.
"""

import hashlib
import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from machamp_lite.config.schema import Config
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.formats import format_of
from machamp_lite.data.running_text import KEY
from machamp_lite.dataloading.datasets import RunData, data_checksums, data_files, files_of
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import make_vocabularies
from machamp_lite.errors import check_empty_names, first_line
from machamp_lite.files.atomic import replacing_path
from machamp_lite.files.checksums import checksum
from machamp_lite.files.temporaries import remove_dead_temporaries

logger = logging.getLogger(__name__)

# Values of --data_cache that are not a folder.
AUTO, OFF = "auto", "off"
# Smaller data (bytes of all files) is read about as fast as an entry.
MIN_BYTES = 10**6
MAX_AGE_SECONDS = 30 * 24 * 3600
_PREFIX, _SUFFIX = "data-", ".cache"
# The first line of an entry, before its key and the checksum of the rest.
_FIRST_LINE = "machamp_lite data cache"
_MAX_FIRST_LINE_BYTES = 256
_DISTRIBUTIONS = ("numpy", "tokenizers", "transformers")
# Options that do not change how data is read.
_DATASET_OPTIONS = {
    "train_data_path",
    "dev_data_path",
    "sampling_weight",
    "split_mlm",
    "oversample",
    "oversample_scheme",
    "tasks",
}
_TASK_OPTIONS = set(TaskOptions.model_fields) - {"task_type", "column_idx", "ignore_label", "weight_column"}


def cache_folder(choice: str, config: Config) -> Path | None:
    """The folder of the cache for a value of --data_cache (``auto``, ``off`` or a folder); None for no cache."""
    check_empty_names({"--data_cache": choice})
    if choice == OFF:
        return None
    if choice != AUTO:
        return Path(choice)
    try:
        if sum(os.path.getsize(file) for path in data_files(config) for file in files_of(path)) < MIN_BYTES:
            return None
        user_cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (user_cache if user_cache.is_absolute() else Path.home() / ".cache") / "machamp_lite"
    except (OSError, RuntimeError, ValueError):
        # Unreadable files are reported when they are read. Without a home folder there is no cache.
        return None


class DataCache:
    """The cache entry for the data of one run in a folder; ``checksums`` are those of the data files."""

    def __init__(
        self,
        folder: Path,
        *,
        config: Config,
        tokenizer: Any,
        checksums: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.tokenizer = tokenizer
        self.checksums = data_checksums(config) if checksums is None else checksums
        self.key = self._key()
        self.path = folder / f"{_PREFIX}{self.key}{_SUFFIX}"

    def _key(self) -> str:
        """A hash of the data files and of everything that affects how they are read; empty if one cannot be read."""
        digests = [self.checksums[path] for path in data_files(self.config)]
        if not all(digests):
            return ""
        rest = [_config_state(self.config), _program_state(), _tokenizer_state(self.tokenizer)]
        return hashlib.sha256(json.dumps([rest, digests]).encode()).hexdigest()

    def load(self) -> RunData | None:
        """The data of the entry; None if there is none, or if it is damaged."""
        if not self.key or not self.path.is_file():
            return None
        try:
            # Not memory-mapped, because a process that reads a truncated mapped file is killed.
            found, _, content = self.path.read_bytes().partition(b"\n")
        except OSError as error:
            self._warn(first_line(error))
            return None
        if found + b"\n" != _first_line(self.key, content):
            self._warn("its checksum is wrong")
            return None
        try:
            os.utime(self.path)
        except OSError:
            logger.debug("%s: belongs to another user", self.path)
        return self._unpack(load_arrays(content))

    def _warn(self, reason: str) -> None:
        logger.warning("%s: this data cache cannot be used (%s); reading the data files again", self.path, reason)

    def save(self, data: RunData) -> bool:
        """Writes the entry and removes entries that were not used for a month; returns whether it was written."""
        if not self.key:
            return False
        try:
            content = save_arrays(self._pack(data))
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing_path(self.path) as temporary:
                Path(temporary).write_bytes(_first_line(self.key, content) + content)
            _remove_old(self.folder)
        except (OSError, SafetensorError, ValueError) as error:
            reason = getattr(error, "strerror", None) or first_line(error)
            logger.warning("data cache %s: cannot be written (%s)", self.folder, reason)
            return False
        return True

    def _pack(self, data: RunData) -> dict[str, np.ndarray]:
        parts = {"train": data.train, "dev": data.dev}
        document = {
            "vocabularies": {task: vocabulary.as_json() for task, vocabulary in data.vocabularies.items()},
            **{part: {name: store.document() for name, store in parts[part].items()} for part in parts},
        }
        arrays = {"document": np.frombuffer(json.dumps(document).encode(), np.uint8)}
        for part, stores in parts.items():
            for number, store in enumerate(stores.values()):
                arrays |= {f"{part} {number} {name}": array for name, array in store.arrays().items()}
        return arrays

    def _unpack(self, arrays: Mapping[str, np.ndarray]) -> RunData:
        document = json.loads(arrays["document"].tobytes())
        vocabularies = make_vocabularies(self.config, self.tokenizer, document["vocabularies"])
        data = RunData(self.tokenizer, vocabularies, {}, {}, self.checksums)
        for part, stores in (("train", data.train), ("dev", data.dev)):
            for number, (name, store) in enumerate(document[part].items()):
                dataset, start = self.config.datasets[name], f"{part} {number} "
                stores[name] = ExampleStore.load(
                    store,
                    {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)},
                    dataset=name,
                    path=str(dataset.train_data_path if part == "train" else dataset.dev_data_path),
                    tasks=list(dataset.tasks),
                )
        return data


def _first_line(key: str, content: bytes) -> bytes:
    return f"{_FIRST_LINE} {key} {hashlib.blake2b(content, digest_size=32).hexdigest()}\n".encode()


def _config_state(config: Config) -> list[Any]:
    """The options that affect how data is read, without the paths of files."""
    datasets = [
        (
            name,
            # The suffix of a file may say which format it has.
            [
                path and format_of(path, dataset.format)
                for path in (dataset.train_data_path, dataset.dev_data_path)
            ],
            dataset.model_dump(mode="json", exclude=_DATASET_OPTIONS),
            [
                (task, options.model_dump(mode="json", exclude=_TASK_OPTIONS))
                for task, options in dataset.tasks.items()
            ],
        )
        for name, dataset in config.datasets.items()
    ]
    encoder = config.params.encoder
    return [datasets, encoder.max_input_length, encoder.long_input]


def _program_state() -> list[str]:
    """The versions of the libraries that read data, and the source code of this package."""
    source = hashlib.blake2b()
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*.py")):
        source.update(f"{path.relative_to(package)} {path.stat().st_size}\n".encode())
        source.update(path.read_bytes())
    return [*map(version, _DISTRIBUTIONS), platform.python_version(), source.hexdigest()]


def _tokenizer_state(tokenizer: Any) -> list[Any]:
    """Everything that a tokenizer's output depends on."""
    state = [type(tokenizer).__name__, str(tokenizer.special_tokens_map), list(tokenizer.model_input_names)]
    state.append(str(tokenizer.init_kwargs.get(KEY)))
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return [*state, hashlib.blake2b(backend.to_str().encode()).hexdigest()]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return [*state, *(f"{path.name} {checksum(path)}" for path in files)]


def _remove_old(folder: Path) -> None:
    """Removes entries that were not used for a month, and temporary files of killed processes."""
    remove_dead_temporaries(folder)
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        try:
            is_old = time.time() - path.lstat().st_mtime > MAX_AGE_SECONDS
            if is_old and not path.is_symlink() and _is_entry(path):
                path.unlink()
        except OSError:
            # Another run has removed it, or it belongs to another user.
            continue


def _is_entry(path: Path) -> bool:
    """Whether a file is a cache entry: its first line contains the key in its name."""
    key = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    with path.open("rb") as file:
        return file.readline(_MAX_FIRST_LINE_BYTES).startswith(f"{_FIRST_LINE} {key} ".encode())
