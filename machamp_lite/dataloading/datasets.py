"""The data of a run, read and checked before the first step."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from machamp_lite.config.schema import Config
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.data_checks.span_schemes import recognise_schemes, scheme_warnings
from machamp_lite.data_checks.warnings import data_warnings
from machamp_lite.dataloading.batch_sampler import Stream
from machamp_lite.dataloading.cache import DataCache, RunData
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.dataloading.example_store import VIEWS
from machamp_lite.dataloading.oversampling import oversampling_weights
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import ConfigError, DataError, one_line
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.pretrained import load_tokenizer
from machamp_lite.model.sandbox import check_encoder_memory
from machamp_lite.training.distributed import Processes
from machamp_lite.training.resume_checks import changed_files, data_checksums
from machamp_lite.training.warm_start import label_orders
from machamp_lite.weighting.class_weights import faults_of

logger = logging.getLogger(__name__)


def read_data(
    config: Config,
    init_model: Model | None = None,
    *,
    cache: Path | None = None,
    writes: bool = True,
    checksums: Mapping[str, str] | None = None,
) -> RunData:
    """Reads and checks all data of a config; raises ``DataError`` with the faults of all files.

    ``checksums`` are those of the data files just now, by default taken here. A file that no longer has its checksum
    when all is read is a fault too: the checksums of the data are those of the bytes that were read.

    A run that starts from a former model has its tokenizer, and its order of labels where the labels are the same.
    With the folder of a ``cache``, what was read before comes from there; what is new is put there if it ``writes``.
    """
    start = time.perf_counter()
    if init_model is None:
        check_encoder_memory(config.params.transformer_model)
    tokenizer = init_model.tokenizer.tokenizer if init_model else load_tokenizer(config.params.transformer_model)
    checksums = data_checksums(config) if checksums is None else checksums
    read = partial(_read_or_load, config, tokenizer, checksums=checksums, folder=cache, writes=writes)
    data, source = read({})
    orders = label_orders(init_model, config, data.vocabularies) if init_model else {}
    if orders:
        # Ids are given while data is read, so that it is read again with those that fit the former weights.
        data, source = read(orders)
    logger.info("data: %s", source.format(seconds=time.perf_counter() - start))
    _check_class_weights(config, data)
    for task in config.switched_off():
        logger.info("task '%s' is switched off (loss_weight 0): it is neither trained nor predicted", task)
    _drop_switched_off(config, data)
    for line in data_warnings(config, vocabularies=data.vocabularies, train=data.train, dev=data.dev):
        logger.warning("%s", one_line(line))
    data.schemes.update(recognise_schemes(config, data))
    for task, scheme in data.schemes.items():
        logger.info("task '%s': labels in the scheme %s", task, scheme)
    for line in scheme_warnings(config, data):
        logger.warning("%s", one_line(line))
    return data


def _read_or_load(
    config: Config,
    tokenizer: Any,
    orders: Mapping[str, Sequence[str]],
    *,
    checksums: Mapping[str, str],
    folder: Path | None,
    writes: bool,
) -> tuple[RunData, str]:
    """All data, and where it came from: a line with a place for the seconds that it took."""
    cache = None
    if folder is not None:
        cache = DataCache(folder, config=config, tokenizer=tokenizer, orders=orders, checksums=checksums)
    data = None if cache is None else cache.load()
    if cache is not None and data is not None:
        return data, f"from the cache {_plain(cache.path)} in {{seconds:.1f}} s"
    data = _read_files(config, tokenizer, orders, checksums)
    changed = changed_files(checksums)
    if changed:
        raise DataError(
            f"{path}: has changed while it was read; start again once it is complete" for path in changed
        )
    if cache is not None and writes and cache.save(data):
        return data, f"read in {{seconds:.1f}} s, cached in {_plain(cache.path)}"
    return data, "read in {seconds:.1f} s"


def _plain(path: Path) -> str:
    """A path in a text that is yet to be formatted."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _read_files(
    config: Config, tokenizer: Any, orders: Mapping[str, Sequence[str]], checksums: Mapping[str, str]
) -> RunData:
    """All data, with the labels of some tasks in a given order."""
    encoder = config.params.encoder
    words = WordTokenizer(tokenizer, max_input_length=encoder.max_input_length, long_input=encoder.long_input)
    vocabularies = {
        task: decoder_class(task_config).make_vocabulary(tokenizer, labels=orders.get(task, ()))
        for task, task_config in config.tasks().items()
    }
    if config.has_dataset_ids:
        vocabularies[DATASET_IDS] = Vocabulary()
    data = RunData(tokenizer, vocabularies, {}, {}, checksums)
    readers = {
        name: DatasetReader(name=name, config=dataset, tokenizer=words, vocabularies=data.vocabularies)
        for name, dataset in config.datasets.items()
    }
    faults: list[str] = []
    # All training data first: its labels must be known before dev data is encoded.
    for name, dataset in config.datasets.items():
        try:
            data.train[name] = readers[name].read_training(str(dataset.train_data_path))
        except DataError as error:
            faults.extend(error.faults)
    for name, dataset in config.datasets.items():
        if dataset.dev_data_path is not None:
            try:
                data.dev[name] = readers[name].read_evaluation(dataset.dev_data_path)
            except DataError as error:
                faults.extend(error.faults)
    if faults:
        raise DataError(list(dict.fromkeys(faults)))
    return data


def check_same_data(data: RunData, processes: Processes) -> None:
    """Raises ``DataError`` if processes of a run have read different data: files were replaced in between."""
    first = processes.told(dict(data.checksums))

    def check() -> None:
        changed = [path for path, present in data.checksums.items() if first.get(path) != present]
        if changed:
            raise DataError(f"{path}: has changed while it was read; start again" for path in changed)

    processes.together(check)


def _drop_switched_off(config: Config, data: RunData) -> None:
    """Drops instances that only tasks that are switched off read, so that no step is spent on them."""
    for name, dataset in config.datasets.items():
        tasks = dataset.active().tasks
        if len(tasks) < len(dataset.tasks):
            used = [VIEWS.index(options.input_type) for options in tasks.values()]
            for part in (data.train, data.dev):
                if name in part:
                    order = part[name].order
                    part[name] = part[name].take(order[np.isin(part[name].table.views[order], used)])
            if not tasks:
                data.dev.pop(name, None)


def training_streams(config: Config, data: RunData) -> list[Stream]:
    """What training draws from: each dataset with its chances; text of ``mlm`` apart, shared out over the epochs."""
    streams = []
    for name, dataset in config.datasets.items():
        masked = data.train[name].of_view("masked")
        others = data.train[name].of_view("masked", others=True)
        if len(others):
            sampling_weights = None
            if dataset.oversample is not None:
                sampling_weights = oversampling_weights(others, dataset, data.vocabularies[dataset.oversample])
            streams.append(Stream(others, sampling_weights=sampling_weights))
        if len(masked):
            streams.append(Stream(masked, config.params.training.num_epochs if dataset.split_mlm else 1))
    return streams


def _check_class_weights(config: Config, data: RunData) -> None:
    """Raises ``ConfigError`` where weights that the config spells out do not fit the labels of the training data."""
    faults = []
    for name, dataset in config.datasets.items():
        for task, task_config in dataset.tasks.items():
            if isinstance(task_config.class_weights, dict):
                place = f"{config.sources.get(name, name)}: {name} -> tasks -> {task} -> class_weights"
                labels = data.vocabularies[task].labels
                faults += [f"{place}: {fault}" for fault in faults_of(task_config.class_weights, labels)]
    if faults:
        raise ConfigError(faults)
