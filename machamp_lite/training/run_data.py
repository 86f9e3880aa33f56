"""The data of a run, read and checked before the first step."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from machamp_lite.batching.instances import Instance, InstanceReader
from machamp_lite.batching.oversampling import draw_chances
from machamp_lite.batching.sampler import Stream
from machamp_lite.config.schema import Config, decoder_class
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.model import Model
from machamp_lite.pretrained import load_tokenizer
from machamp_lite.training.data_warnings import data_warnings
from machamp_lite.training.retraining import label_orders
from machamp_lite.weighting.class_weights import faults_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunData:
    """All instances of a run by dataset, and the vocabularies that its training data gave."""

    tokenizer: Any
    vocabularies: dict[str, Vocabulary]
    train: dict[str, list[Instance]]
    dev: dict[str, list[Instance]]


def read_data(config: Config, former: Model | None = None) -> RunData:
    """Reads and checks all data of a config; raises ``DataError`` with the faults of all files.

    A run that starts from a former model has its tokenizer, and its order of labels where the labels are the same.
    """
    tokenizer = former.tokenizer.tokenizer if former else load_tokenizer(config.params.transformer_model)
    data = _read_files(config, tokenizer)
    orders = label_orders(former, config, data.vocabularies) if former else {}
    if orders:
        # Ids are given while data is read, so that it is read again with those that fit the former weights.
        data = _read_files(config, tokenizer, orders)
    _check_class_weights(config, data)
    for line in data_warnings(config, vocabularies=data.vocabularies, dev=data.dev):
        logger.warning("%s", line)
    return data


def _read_files(config: Config, tokenizer: Any, orders: Mapping[str, Sequence[str]] | None = None) -> RunData:
    """All data, with the labels of some tasks in a given order."""
    orders = orders or {}
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
        masked = [instance for instance in data.train[name] if instance.view == "masked"]
        others = [instance for instance in data.train[name] if instance.view != "masked"]
        if others:
            chances = None
            if dataset.oversample is not None:
                chances = draw_chances(others, dataset, data.vocabularies[dataset.oversample])
            streams.append(Stream(others, chances=chances))
        if masked:
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
