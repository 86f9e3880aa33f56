"""One training run, from a checked config to a run folder."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from machamp_lite.batching.instances import Instance, InstanceReader
from machamp_lite.batching.oversampling import draw_chances
from machamp_lite.batching.sampler import Sampler
from machamp_lite.config.schema import Config
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.errors import ConfigError, DataError
from machamp_lite.evaluation import ScoreKeeper
from machamp_lite.files import write_json
from machamp_lite.model import Model
from machamp_lite.predictor import predict_file
from machamp_lite.pretrained import load_tokenizer, load_transformer
from machamp_lite.report import describe_data
from machamp_lite.training.checkpoint import FORMAT, load_best_weights, save_model
from machamp_lite.training.optimization import make_optimizer
from machamp_lite.training.state import Progress, load_state, save_state
from machamp_lite.training.trainer import seed_everything, train_epochs
from machamp_lite.weighting.class_weights import faults_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunData:
    """All instances of a run by dataset, and the vocabularies that its training data gave."""

    tokenizer: Any
    vocabularies: dict[str, Vocabulary]
    train: dict[str, list[Instance]]
    dev: dict[str, list[Instance]]


def default_run_folder(dataset_configs: Sequence[str | Path], name: str | None = None) -> Path:
    """Makes ``logs/NAME/DATE_TIME``; NAME is by default the configs' file names joined by dots.

    Raises ``ConfigError`` if it cannot be made.
    """
    name = name or ".".join(Path(path).stem for path in dataset_configs)
    first = folder = Path("logs") / name / time.strftime("%Y.%m.%d_%H.%M.%S")
    number = 1
    try:
        first.parent.mkdir(parents=True, exist_ok=True)
        while not _make_new_folder(folder):
            number += 1
            folder = first.with_name(f"{first.name}_{number}")
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror})") from None
    return folder


def _make_new_folder(folder: Path) -> bool:
    """Makes a folder; False if it is already there, as when another run began in the same second."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def make_run_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Makes a run's folder; raises ``ConfigError`` if a run is already there, unless it may be overwritten."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file, expected a folder")
    if not overwrite and (folder / "params-config.json").exists():
        raise ConfigError(f"{folder}: a run is already here; give another --model_dir, or --overwrite")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{folder}: cannot be written to")
    return folder


def read_data(config: Config) -> RunData:
    """Reads and checks all data of a config; raises ``DataError`` with the faults of all files."""
    tokenizer = load_tokenizer(config.params.transformer_model)
    words = WordTokenizer(tokenizer, max_input_length=config.params.encoder.max_input_length)
    data = RunData(tokenizer, {task: Vocabulary() for task in config.tasks()}, {}, {})
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
    _check_class_weights(config, data)
    for name, dataset in config.datasets.items():
        for column, tasks in dataset.shared_columns().items():
            message = "%s: the tasks %s write the same column %d; outputs have the labels of the last one"
            logger.warning(message, name, ", ".join(tasks), column)
    return data


def check(config: Config) -> list[str]:
    """Reads all data and says what is in it, as lines; nothing is trained or written."""
    data = read_data(config)
    with torch.device("meta"):
        # Without weights: only whether tasks and encoder fit.
        build_model(config, data, reset=True)
    words = WordTokenizer(data.tokenizer, max_input_length=config.params.encoder.max_input_length)
    return describe_data(
        config, tokenizer=words, vocabularies=data.vocabularies, train=data.train, dev=data.dev
    )


def build_model(config: Config, data: RunData, *, reset: bool | None = None) -> Model:
    """The model of a run, its decoders with fresh weights; ``reset`` is for the encoder, by default as params say."""
    params = config.params
    reset = params.reset_transformer_model if reset is None else reset
    return Model(
        config=config,
        transformer=load_transformer(params.transformer_model, reset=reset),
        tokenizer=data.tokenizer,
        vocabularies=data.vocabularies,
    )


def train(
    config: Config, folder: str | Path, *, device: str = "cpu", progress: bool = True, resume: bool = False
) -> dict[str, ScoreKeeper]:
    """Trains a model into a run folder, made if need be, and predicts every dev file with its best epoch.

    With ``resume``, goes on after the last epoch that the folder's run has finished, as if it had never stopped; raises
    ``ConfigError`` if it cannot. Returns what holds the scores of the best epoch's predictions, by dataset.
    """
    seed_everything(config.params.random_seed)
    # Before the folder is a run's: once faults of the data are mended, the same folder can be used.
    data = read_data(config)
    for name, instances in data.train.items():
        logger.info(
            "%s: %d training sentences, %d dev sentences", name, len(instances), len(data.dev.get(name, ()))
        )
    model = build_model(config, data).to(device)
    _log_model(model)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = make_optimizer(model, config.params.training)
    depends_on = _depends_on(config)
    done = Progress()
    if resume:
        done = load_state(folder / "state", model=model, optimizer=optimizer, depends_on=depends_on)
        logger.info("goes on after epoch %d", done.epoch)
    else:
        _remove_older_run(folder, config)
        write_json(folder / "params-config.json", config.params.model_dump())
        write_json(folder / "dataset-configs.json", _dataset_documents(config))

    def after_epoch(done: Progress, is_best: bool) -> None:
        if is_best:
            save_model(model, folder / "model")
        write_json(folder / "metrics.json", done.metrics)
        save_state(folder / "state", model=model, optimizer=optimizer, progress=done, depends_on=depends_on)

    sampler = Sampler(
        list(data.train.values()),
        config.params.batching,
        seed=config.params.random_seed,
        chances=[_draw_chances(name, config, data) for name in data.train],
    )
    train_epochs(
        model,
        optimizer=optimizer,
        done=done,
        sampler=sampler,
        dev=data.dev,
        after_epoch=after_epoch,
        show_bar=progress,
    )
    load_best_weights(model, folder / "model")
    keepers = predict_dev(model, config, folder)
    shutil.rmtree(folder / "state", ignore_errors=True)
    return keepers


def _depends_on(config: Config) -> dict[str, Any]:
    """What must be as it was for a run to go on: versions, and the bytes of its data files."""
    versions = {"torch": torch.__version__, "machamp_lite": FORMAT}
    paths = [path for data in config.datasets.values() for path in (data.train_data_path, data.dev_data_path)]
    return versions | {path: _checksum(path) for path in paths if path}


def _checksum(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_older_run(folder: Path, config: Config) -> None:
    """Takes away what an overwritten run has left, so that nothing of it is taken for the new one's."""
    for name in ("model", "state"):
        shutil.rmtree(folder / name, ignore_errors=True)
    outputs = [f"{name}.out{end}" for name in config.datasets for end in ("", ".eval")]
    for name in ["metrics.json", *outputs]:
        (folder / name).unlink(missing_ok=True)


def predict_dev(model: Model, config: Config, folder: Path) -> dict[str, ScoreKeeper]:
    """Predicts each dev file into ``DATASET.out``, with scores in ``DATASET.out.eval``."""
    keepers = {}
    for name, dataset in config.datasets.items():
        if dataset.dev_data_path is not None:
            keepers[name] = ScoreKeeper(dataset.tasks)
            target = folder / f"{name}.out"
            predict_file(model, dataset.dev_data_path, target, dataset=name, keeper=keepers[name])
    return keepers


def _draw_chances(name: str, config: Config, data: RunData) -> np.ndarray | None:
    task = config.datasets[name].oversample
    if task is None:
        return None
    return draw_chances(data.train[name], config.datasets[name], data.vocabularies[task])


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


def _dataset_documents(config: Config) -> Mapping[str, Any]:
    return {name: dataset.model_dump() for name, dataset in config.datasets.items()}


def _log_model(model: Model) -> None:
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    decoders = sum(parameter.numel() for parameter in model.parameters()) - encoder
    logger.info(
        "%s: %.1fM parameters in the encoder, %.1fM in the decoders of %d tasks, on %s",
        model.config.params.transformer_model,
        encoder / 1e6,
        decoders / 1e6,
        len(model.tasks),
        model.device,
    )
