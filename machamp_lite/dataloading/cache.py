"""The data of a run as it was read, kept in one file, so that the next run starts without reading it again.

An entry is named by everything it depends on, the program's own source included, and has a checksum: what is stale
is never found, and what is damaged is read anew.
"""

import hashlib
import json
import logging
import os
import platform
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from machamp_lite.config.schema import Config
from machamp_lite.config.task_types import TaskOptions
from machamp_lite.data.running_text import KEY
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.dataloading.example_store import ExampleStore, Table
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import check_empty_names, first_line
from machamp_lite.files.atomic import replacing_path
from machamp_lite.files.checksums import checksum, read_metadata
from machamp_lite.files.temporaries import remove_dead_temporaries
from machamp_lite.training.resume_checks import data_checksums

logger = logging.getLogger(__name__)

# A user's choices beside a folder.
AUTO, OFF = "auto", "off"
# In bytes of all data files: what is smaller is read faster than an entry is worth.
WORTHWHILE = 10**6
KEPT_SECONDS = 30 * 24 * 3600
_NAME, _ENDING = "data-", ".safetensors"
# What safetensors calls the types of columns.
_DTYPES = {
    **{f"{kind.upper()}{8 * size}": np.dtype(f"<{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)},
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "BOOL": np.dtype(bool),
}
_DISTRIBUTIONS = ("numpy", "tokenizers", "transformers")
# Options that have nothing to do with what is read.
_OF_TRAINING = {"train_data_path", "dev_data_path", "split_mlm", "oversample", "oversample_scheme", "tasks"}
_OF_LEARNING = set(TaskOptions.model_fields) - {"task_type", "column_idx"}


@dataclass(frozen=True, slots=True)
class RunData:
    """All instances of a run by dataset, and the vocabularies and schemes of tasks that its training data gave."""

    tokenizer: Any
    vocabularies: dict[str, Vocabulary]
    train: dict[str, ExampleStore]
    dev: dict[str, ExampleStore]
    # Of the bytes of all data files that were read, by path.
    checksums: Mapping[str, str] = field(default_factory=dict)
    schemes: dict[str, str] = field(default_factory=dict)


def cache_folder(choice: str, config: Config) -> Path | None:
    """The folder of the cache that a user's choice (``auto``, ``off`` or a folder) means; None for no cache."""
    check_empty_names({"--data_cache": choice})
    if choice == OFF:
        return None
    if choice != AUTO:
        return Path(choice)
    try:
        if sum(os.path.getsize(path) for path in _paths(config)) < WORTHWHILE:
            return None
        asked = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (asked if asked.is_absolute() else Path.home() / ".cache") / "machamp_lite"
    except (OSError, RuntimeError, ValueError):
        # What is wrong with the files is told when they are read; and who has no home has no cache.
        return None


class DataCache:
    """The entry of the data of one run, whose files have these ``checksums``, in a folder."""

    def __init__(
        self,
        folder: Path,
        *,
        config: Config,
        tokenizer: Any,
        orders: Mapping[str, Sequence[str]],
        checksums: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.tokenizer = tokenizer
        self.checksums = data_checksums(config) if checksums is None else checksums
        self.key = self._key(orders)
        self.path = folder / f"{_NAME}{self.key}{_ENDING}"

    def _key(self, orders: Mapping[str, Sequence[str]]) -> str:
        """Names data and what it is made with; empty where files cannot be read, which their readers report."""
        digests = [self.checksums[path] for path in _paths(self.config)]
        if not all(digests):
            return ""
        rest = [_of_config(self.config, orders), _of_program(), _of_tokenizer(self.tokenizer)]
        return hashlib.sha256(json.dumps([rest, digests]).encode()).hexdigest()

    def load(self) -> RunData | None:
        """The data of the entry; None if there is none, or one that is damaged."""
        if not self.key or not self.path.is_file():
            return None
        try:
            stored, arrays = _read(self.path)
            if stored.get("key") != self.key or stored.get("checksum") != _checksum(arrays):
                raise ValueError("it is not what was written")
            data = self._unpack(arrays)
        except (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            logger.warning(
                "%s: not a whole data cache, reads the data anew (%s)", self.path, first_line(error)
            )
            return None
        try:
            os.utime(self.path)
        except OSError:
            logger.debug("%s: belongs to somebody else", self.path)
        return data

    def save(self, data: RunData) -> bool:
        """Writes the entry, and removes those that nobody used for a month; says whether it is there."""
        if not self.key:
            return False
        arrays = self._pack(data)
        stored = {"key": self.key, "checksum": _checksum(arrays)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing_path(self.path) as temporary:
                save_file(arrays, temporary, stored)
            _remove_old(self.folder)
        except (OSError, SafetensorError, ValueError) as error:
            reason = getattr(error, "strerror", None) or first_line(error)
            logger.warning("data cache %s: cannot be written (%s)", self.folder, reason)
            return False
        return True

    def _pack(self, data: RunData) -> dict[str, np.ndarray]:
        saved = {
            task: {
                "labels": own.labels,
                "counts": own.counts,
                "items": own.items,
                "root_counts": own.root_counts,
            }
            for task, own in data.vocabularies.items()
        }
        arrays = {"vocabularies": np.frombuffer(json.dumps(saved).encode(), np.uint8)}
        for part, every_columns in (("train", data.train), ("dev", data.dev)):
            for number, columns in enumerate(every_columns.values()):
                own = columns.table.arrays()
                arrays |= {
                    f"{part} {number} {name}": np.ascontiguousarray(array) for name, array in own.items()
                }
        return arrays

    def _unpack(self, arrays: Mapping[str, np.ndarray]) -> RunData:
        saved = json.loads(arrays["vocabularies"].tobytes())
        vocabularies = {
            task: decoder_class(options).make_vocabulary(self.tokenizer, **saved[task])
            for task, options in self.config.tasks().items()
        }
        if DATASET_IDS in saved:
            vocabularies[DATASET_IDS] = Vocabulary(**saved[DATASET_IDS])
        data = RunData(self.tokenizer, vocabularies, {}, {}, self.checksums)
        paths = {name: str(dataset.train_data_path) for name, dataset in self.config.datasets.items()}
        self._unpack_part(arrays, "train", paths, data.train)
        dev = {name: dataset.dev_data_path for name, dataset in self.config.datasets.items()}
        self._unpack_part(
            arrays, "dev", {name: path for name, path in dev.items() if path is not None}, data.dev
        )
        return data

    def _unpack_part(
        self,
        arrays: Mapping[str, np.ndarray],
        part: str,
        paths: Mapping[str, str],
        target: dict[str, ExampleStore],
    ) -> None:
        for number, (name, path) in enumerate(paths.items()):
            start = f"{part} {number} "
            own = {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}
            tasks = list(self.config.datasets[name].tasks)
            target[name] = ExampleStore(Table.from_arrays(own), dataset=name, path=path, tasks=tasks)


def _paths(config: Config) -> list[str]:
    """The data files of a run."""
    paths = [(dataset.train_data_path, dataset.dev_data_path) for dataset in config.datasets.values()]
    return [path for pair in paths for path in pair if path is not None]


def _of_config(config: Config, orders: Mapping[str, Sequence[str]]) -> list[Any]:
    """What of a config decides how its data is read; where the files lie does not."""
    datasets = [
        (
            name,
            dataset.dev_data_path is not None,
            dataset.model_dump(mode="json", exclude=_OF_TRAINING),
            [
                (task, options.model_dump(mode="json", exclude=_OF_LEARNING))
                for task, options in dataset.tasks.items()
            ],
        )
        for name, dataset in config.datasets.items()
    ]
    encoder = config.params.encoder
    return [datasets, encoder.max_input_length, encoder.long_input, list(orders.items())]


def _of_program() -> list[str]:
    """The versions of what reads, and the whole source of this package."""
    source = hashlib.blake2b()
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*.py")):
        source.update(f"{path.relative_to(package)} {path.stat().st_size}\n".encode())
        source.update(path.read_bytes())
    return [*map(version, _DISTRIBUTIONS), platform.python_version(), source.hexdigest()]


def _of_tokenizer(tokenizer: Any) -> list[Any]:
    """Everything that a tokenizer's output depends on."""
    own = [type(tokenizer).__name__, str(tokenizer.special_tokens_map), list(tokenizer.model_input_names)]
    own.append(str(tokenizer.init_kwargs.get(KEY)))
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return [*own, hashlib.blake2b(backend.to_str().encode()).hexdigest()]
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return [*own, *(f"{path.name} {checksum(path)}" for path in files)]


def _read(path: Path) -> tuple[Mapping[str, str], dict[str, np.ndarray]]:
    """The metadata and the arrays of an entry.

    They are read, not mapped: a process is killed if it reads a part of a mapped file that was truncated.
    """
    content = np.fromfile(path, np.uint8)
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8:start].tobytes())
    stored = header.pop("__metadata__")
    arrays = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        values = content[start + first : start + last].view(_DTYPES[entry["dtype"]])
        arrays[name] = values.reshape(entry["shape"])
    return stored, arrays


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    total = 0
    for name, array in sorted(arrays.items()):
        total = zlib.crc32(f"{name} {array.dtype.str} {array.shape}\n".encode(), total)
        total = zlib.crc32(array.data, total)
    return str(total)


def _remove_old(folder: Path) -> None:
    """Removes entries that nobody used for a month, and what writers that were killed have left."""
    remove_dead_temporaries(folder)
    for path in folder.glob(f"{_NAME}*{_ENDING}"):
        try:
            is_old = time.time() - path.lstat().st_mtime > KEPT_SECONDS
            if is_old and not path.is_symlink() and _is_entry(path):
                path.unlink()
        except OSError:
            # Another run was faster, or it belongs to somebody else.
            continue


def _is_entry(path: Path) -> bool:
    """Whether a file is an entry: it is named by a key that it holds."""
    return path.name == f"{_NAME}{read_metadata(path).get('key')}{_ENDING}"
