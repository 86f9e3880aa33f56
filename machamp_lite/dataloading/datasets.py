"""Reads all data of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from machamp_lite.config.schema import Config, DatasetConfig
from machamp_lite.data.formats import is_dataset_folder
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.dataloading.batch_sampler import Stream
from machamp_lite.dataloading.dataset_reader import DatasetReader
from machamp_lite.dataloading.example_store import ExampleStore
from machamp_lite.decoders import decoder_class, make_vocabularies
from machamp_lite.errors import DataError
from machamp_lite.files.checksums import checksum, checksum_of_text
from machamp_lite.weighting.class_weights import scheme_weights
from machamp_lite.weighting.oversampling import sampling_weights


@dataclass(frozen=True, slots=True)
class RunData:
    """The examples of a run by dataset, and the vocabularies, span schemes and positive labels of its tasks."""

    tokenizer: Any
    vocabularies: dict[str, Vocabulary]
    train: dict[str, ExampleStore]
    dev: dict[str, ExampleStore]
    # Of the data files, by path.
    checksums: Mapping[str, str] = field(default_factory=dict)
    schemes: dict[str, str] = field(default_factory=dict)
    positive_labels: dict[str, str] = field(default_factory=dict)

    @property
    def resolved_options(self) -> dict[str, dict[str, str]]:
        """The options of tasks that were recognised from the training data."""
        found = {task: {"scheme": scheme} for task, scheme in self.schemes.items()}
        for task, label in self.positive_labels.items():
            found.setdefault(task, {})["positive_label"] = label
        return found


def data_files(config: Config) -> list[str]:
    """The paths of the training and dev files of a run."""
    paths = [(dataset.train_data_path, dataset.dev_data_path) for dataset in config.datasets.values()]
    return [path for pair in paths for path in pair if path is not None]


def data_checksums(config: Config) -> dict[str, str]:
    """The checksums of the data files of a run by path; empty for a file that cannot be read."""
    return {path: path_checksum(path) for path in data_files(config)}


def changed_files(checksums: Mapping[str, str]) -> list[str]:
    """The data files that no longer have these checksums."""
    return [path for path, before in checksums.items() if path_checksum(path) != before]


def files_of(path: str) -> list[str]:
    """The file itself, or the files of a folder with a dataset."""
    if not is_dataset_folder(path):
        return [path]
    return sorted(str(file) for file in Path(path).iterdir() if file.is_file())


def path_checksum(path: str) -> str:
    """The checksum of a data file, or of a folder with a dataset; empty if it cannot be read."""
    try:
        checksums = list(map(checksum, files_of(path)))
        return checksums[0] if len(checksums) == 1 else checksum_of_text(" ".join(checksums))
    except (OSError, ValueError):
        return ""


def read_files(
    config: Config,
    tokenizer: Any,
    *,
    checksums: Mapping[str, str],
) -> RunData:
    """Reads all data of a run; raises ``DataError`` with the faults of all files."""
    encoder = config.params.encoder
    words = WordTokenizer(tokenizer, max_input_length=encoder.max_input_length, long_input=encoder.long_input)
    data = RunData(tokenizer, make_vocabularies(config, tokenizer), {}, {}, checksums)
    readers = {
        name: DatasetReader(name=name, config=dataset, tokenizer=words, vocabularies=data.vocabularies)
        for name, dataset in config.datasets.items()
    }
    faults: list[str] = []
    # All training data comes first: its labels must be known before dev data is encoded.
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


def drop_unused_examples(config: Config, data: RunData) -> None:
    """Removes the examples that only tasks with ``loss_weight`` 0 would use."""
    for name, dataset in config.datasets.items():
        tasks = dataset.active().tasks
        if len(tasks) < len(dataset.tasks):
            used = {options.input_type for options in tasks.values()}
            for part in (data.train, data.dev):
                if name in part:
                    part[name] = part[name].of_types(*used)
            if not tasks:
                data.dev.pop(name, None)


def training_streams(config: Config, data: RunData) -> list[Stream]:
    """The training examples per dataset: a stream for ``mlm``, which may be split over epochs, and one of the rest."""
    streams = []
    for name, dataset in config.datasets.items():
        others = data.train[name].of_types("words", "subwords", "raw")
        if len(others):
            weights = None
            if dataset.oversample is not None:
                weights = oversampling_weights(others, dataset, data.vocabularies[dataset.oversample])
            streams.append(Stream(others, sampling_weights=weights, weight=dataset.sampling_weight))
        masked = data.train[name].of_types("masked")
        if len(masked):
            epochs = config.params.training.num_epochs if dataset.split_mlm else 1
            streams.append(Stream(masked, epochs, weight=dataset.sampling_weight))
    return streams


def oversampling_weights(examples: ExampleStore, config: DatasetConfig, vocabulary: Vocabulary) -> np.ndarray:
    """The sampling probability of each example of a dataset with ``oversample``. *Shape:* (examples,)."""
    task = str(config.oversample)
    decoder, no_classes = decoder_class(config.tasks[task]), np.zeros(0, np.int64)
    beta = config.tasks[task].class_weights_beta
    label_weights = np.array(scheme_weights(config.oversample_scheme, vocabulary.counts, beta=beta))
    return sampling_weights(
        (no_classes if gold is None else decoder.class_ids(gold) for gold in examples.gold(task)), label_weights
    )
