"""The data of a run, read and checked before the first step."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machamp_lite.batching.oversampling import draw_chances
from machamp_lite.batching.reader import InstanceReader
from machamp_lite.batching.sampler import Stream
from machamp_lite.config.schema import Config, decoder_class
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.model import Model
from machamp_lite.pretrained import load_tokenizer
from machamp_lite.training.data_cache import DataCache, RunData
from machamp_lite.training.data_warnings import data_warnings
from machamp_lite.training.limits import check_limits
from machamp_lite.training.retraining import label_orders
from machamp_lite.weighting.class_weights import faults_of

logger = logging.getLogger(__name__)


def read_data(
    config: Config, former: Model | None = None, *, cache: Path | None = None, writes: bool = True
) -> RunData:
    """Reads and checks all data of a config; raises ``DataError`` with the faults of all files.

    A run that starts from a former model has its tokenizer, and its order of labels where the labels are the same.
    With the folder of a ``cache``, what was read before comes from there; what is new is put there if it ``writes``.
    """
    start = time.perf_counter()
    if former is None:
        check_limits(config.params.transformer_model)
    tokenizer = former.tokenizer.tokenizer if former else load_tokenizer(config.params.transformer_model)
    data, told = _read_or_load(config, tokenizer, {}, cache, writes)
    orders = label_orders(former, config, data.vocabularies) if former else {}
    if orders:
        # Ids are given while data is read, so that it is read again with those that fit the former weights.
        data, told = _read_or_load(config, tokenizer, orders, cache, writes)
    logger.info("data: %s", told.format(seconds=time.perf_counter() - start))
    _check_class_weights(config, data)
    for line in data_warnings(config, vocabularies=data.vocabularies, dev=data.dev):
        logger.warning("%s", line)
    return data


def _read_or_load(
    config: Config, tokenizer: Any, orders: Mapping[str, Sequence[str]], folder: Path | None, writes: bool
) -> tuple[RunData, str]:
    """All data, and where it came from: a line that wants the seconds that it took."""
    cache = None if folder is None else DataCache(folder, config=config, tokenizer=tokenizer, orders=orders)
    data = None if cache is None else cache.load()
    if cache is not None and data is not None:
        return data, f"from the cache {_plain(cache.path)} in {{seconds:.1f}} s"
    data = _read_files(config, tokenizer, orders)
    if cache is not None and writes and cache.save(data):
        return data, f"read in {{seconds:.1f}} s, cached in {_plain(cache.path)}"
    return data, "read in {seconds:.1f} s"


def _plain(path: Path) -> str:
    """A path in a text that is yet to be formatted."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _read_files(config: Config, tokenizer: Any, orders: Mapping[str, Sequence[str]]) -> RunData:
    """All data, with the labels of some tasks in a given order."""
    encoder = config.params.encoder
    words = WordTokenizer(
        tokenizer, max_input_length=encoder.max_input_length, long_input=encoder.long_input
    )
    vocabularies = {
        task: decoder_class(task_config).make_vocabulary(tokenizer, labels=orders.get(task, ()))
        for task, task_config in config.tasks().items()
    }
    if config.has_dataset_ids:
        vocabularies[DATASET_IDS] = Vocabulary()
    data = RunData(tokenizer, vocabularies, {}, {})
    readers = {
        name: InstanceReader(name=name, config=dataset, tokenizer=words, vocabularies=data.vocabularies)
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


def training_streams(config: Config, data: RunData) -> list[Stream]:
    """What training draws from: each dataset with its chances; text of ``mlm`` apart, shared out over the epochs."""
    streams = []
    for name, dataset in config.datasets.items():
        masked = data.train[name].of_view("masked")
        others = data.train[name].of_view("masked", others=True)
        if len(others):
            chances = None
            if dataset.oversample is not None:
                chances = draw_chances(others, dataset, data.vocabularies[dataset.oversample])
            streams.append(Stream(others, chances=chances))
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
