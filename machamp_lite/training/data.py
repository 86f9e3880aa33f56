"""Reads the data of a run from its files or from the cache, and checks it."""

import logging
import time
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from machamp_lite.config.schema import Config
from machamp_lite.data_checks.labels import positive_label_warnings, positive_labels
from machamp_lite.data_checks.span_schemes import recognise_schemes, scheme_warnings
from machamp_lite.data_checks.warnings import data_warnings
from machamp_lite.data_checks.weights import weight_warnings
from machamp_lite.dataloading.cache import DataCache
from machamp_lite.dataloading.datasets import (
    RunData,
    changed_files,
    data_checksums,
    drop_unused_examples,
    read_files,
)
from machamp_lite.errors import ConfigError, DataError, did_you_mean, one_line
from machamp_lite.inference.decisions import decision_faults
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.pretrained import load_tokenizer
from machamp_lite.model.sandbox import check_encoder_memory
from machamp_lite.training.distributed import Processes
from machamp_lite.training.model_setup import check_encoder_of_run
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

    ``checksums`` are those of the data files, by default computed here. A file that changes while it is read is a fault
    too, so that the checksums of the data are those of the bytes that were read.

    A run that starts from an ``init_model`` uses its tokenizer. ``cache`` is a folder from which data is loaded, if it
    was cached, or where it is saved, if ``writes`` is true.
    """
    if init_model is None:
        check_encoder_memory(config.params.transformer_model)
    tokenizer = init_model.tokenizer.tokenizer if init_model else load_tokenizer(config.params.transformer_model)
    check_encoder_of_run(config, init_model)
    checksums = data_checksums(config) if checksums is None else checksums
    data = _read_or_load(config, tokenizer, checksums=checksums, folder=cache, writes=writes)
    _check_labels_of_options(config, data)
    for task in config.switched_off():
        logger.info("task '%s' is switched off (loss_weight 0): it is neither trained nor predicted", task)
    drop_unused_examples(config, data)
    for line in chain(
        data_warnings(config, vocabularies=data.vocabularies, train=data.train, dev=data.dev),
        weight_warnings(config, vocabularies=data.vocabularies, train=data.train),
        positive_label_warnings(config, data.vocabularies),
    ):
        logger.warning("%s", one_line(line))
    data.positive_labels.update(positive_labels(config, data.vocabularies))
    data.schemes.update(recognise_schemes(config, data))
    for task, scheme in data.schemes.items():
        logger.info("task '%s': labels in the scheme %s", task, scheme)
    for line in scheme_warnings(config, data):
        logger.warning("%s", one_line(line))
    return data


def _read_or_load(
    config: Config,
    tokenizer: Any,
    *,
    checksums: Mapping[str, str],
    folder: Path | None,
    writes: bool,
) -> RunData:
    """All data, from the cache if possible."""
    start = time.perf_counter()
    cache = None
    if folder is not None:
        cache = DataCache(folder, config=config, tokenizer=tokenizer, checksums=checksums)
        data = cache.load()
        if data is not None:
            logger.info("data: from the cache %s in %.1f s", cache.path, time.perf_counter() - start)
            return data
    data = read_files(config, tokenizer, checksums=checksums)
    changed = changed_files(checksums)
    if changed:
        raise DataError(
            f"{path}: has changed while it was read; start again once it is complete" for path in changed
        )
    cached = f", cached in {cache.path}" if cache is not None and writes and cache.save(data) else ""
    logger.info("data: read in %.1f s%s", time.perf_counter() - start, cached)
    return data


def check_same_data(data: RunData, processes: Processes) -> None:
    """Raises ``DataError`` if the processes of a run have read different data, because files were replaced."""
    first = processes.broadcast_object(dict(data.checksums))

    def check() -> None:
        changed = [path for path, checksum in data.checksums.items() if first.get(path) != checksum]
        if changed:
            raise DataError(f"{path}: has changed while it was read; start again" for path in changed)

    processes.run_on_all_ranks(check)


def _check_labels_of_options(config: Config, data: RunData) -> None:
    """Raises ``ConfigError`` for labels in the options of tasks that do not fit those of the training data."""
    faults = []
    for name, dataset in config.datasets.items():
        for task, options in dataset.tasks.items():
            where = f"{config.sources.get(name, name)}: {name} -> tasks -> {task}"
            labels = data.vocabularies[task].labels
            if isinstance(options.class_weights, dict):
                faults += [f"{where} -> class_weights: {fault}" for fault in faults_of(options.class_weights, labels)]
            faults += [f"{where} -> {fault}" for fault in decision_faults(options, labels)]
            label = options.positive_label
            if options.has_positive_label and label is not None and label not in labels:
                faults.append(f"{where} -> positive_label: unknown label '{label}'{did_you_mean(label, labels)}")
    if faults:
        raise ConfigError(faults)
