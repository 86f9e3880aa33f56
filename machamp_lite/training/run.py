"""One training run, from a checked config to a run folder."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from machamp_lite.acceleration import accelerate
from machamp_lite.config.schema import Config
from machamp_lite.data.tokenization import WordTokenizer
from machamp_lite.data_checks.span_schemes import with_schemes
from machamp_lite.data_checks.statistics import describe_data
from machamp_lite.dataloading.batch_sampler import BatchSampler
from machamp_lite.dataloading.cache import AUTO, cache_folder
from machamp_lite.dataloading.datasets import RunData, changed_files, data_checksums, training_streams
from machamp_lite.errors import ConfigError, DataError, TrainingError
from machamp_lite.files.atomic import write_json
from machamp_lite.files.checksums import checksum
from machamp_lite.files.temporaries import temporary_folder
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.multitask_model import Model, language_model_kind
from machamp_lite.model.pretrained import load_transformer, with_language_model
from machamp_lite.model.serialization import load_best_weights, load_model, save_model, weights_of
from machamp_lite.training import run_folder
from machamp_lite.training import warm_start as retraining
from machamp_lite.training.checkpoint import (
    START,
    TrainerState,
    check_conditions,
    check_processes,
    load_document,
    progress_of,
    remove_state,
    restore,
    same_threads,
    save_state,
    start_state,
)
from machamp_lite.training.data import check_same_data, read_data
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.randomness import random_states
from machamp_lite.training.resume_checks import conditions_of
from machamp_lite.training.run_folder import default_run_folder
from machamp_lite.training.run_folder_lock import check_run_folders, lock_run_folder
from machamp_lite.training.summary import log_data, log_model
from machamp_lite.training.trainer import seed_everything, train_epochs

__all__ = [
    "RunData",
    "build_model",
    "check",
    "check_all",
    "check_run_folders",
    "default_run_folder",
    "lock_run_folder",
    "read_data",
    "train",
    "train_in",
]

logger = logging.getLogger(__name__)


def check(
    config: Config,
    *,
    retrain: str | Path | None = None,
    data_cache: str = AUTO,
    writes_cache: bool = True,
) -> list[str]:
    """Reads all data and says what is in it, as lines; nothing is trained, and nothing but ``data_cache`` written.

    With ``retrain``, also says what would be taken over from that model.
    """
    config, init_model = _start(config, retrain)
    data = read_data(config, init_model, cache=cache_folder(data_cache, config), writes=writes_cache)
    with torch.device("meta"):
        # Without weights: only whether tasks and encoder fit.
        model = build_model(config, data, init_model=init_model, reset=True)
    encoder = config.params.encoder
    words = WordTokenizer(
        data.tokenizer, max_input_length=encoder.max_input_length, long_input=encoder.long_input
    )
    lines = describe_data(
        config, tokenizer=words, vocabularies=data.vocabularies, train=data.train, dev=data.dev
    )
    if init_model is not None:
        lines += [f"from {retrain}", *(f"  {line}" for line in retraining.describe(model, init_model))]
    return lines


def check_all(configs: Sequence[Config], **options: Any) -> list[str]:
    """As ``check``, for runs one after another; raises one error with the faults of all."""
    lines: list[str] = []
    faults: list[str] = []
    for config in configs:
        try:
            lines += check(config, **options)
        except (ConfigError, DataError) as error:
            faults += error.faults
    if faults:
        raise DataError(dict.fromkeys(faults))
    return lines


def build_model(
    config: Config, data: RunData, *, init_model: Model | None = None, reset: bool | None = None
) -> Model:
    """The model of a run, its decoders with fresh weights and its encoder that of the ``former`` model, if any.

    ``reset`` is for an encoder that is not a former model's, by default as params say.
    """
    params, kind = config.params, language_model_kind(config)
    reset = params.reset_transformer_model if reset is None else reset
    return Model(
        config=with_schemes(config, data.schemes),
        pretrained=with_language_model(init_model.pretrained, kind)
        if init_model
        else load_transformer(params.transformer_model, reset=reset, kind=kind),
        tokenizer=data.tokenizer,
        vocabularies=data.vocabularies,
    )


def train(
    config: Config,
    folder: str | Path,
    *,
    device: str = "cpu",
    progress: bool = True,
    overwrite: bool = False,
    resume: bool = False,
    retrain: str | Path | None = None,
    data_cache: str = AUTO,
    interrupts: AbstractContextManager[Callable[[], bool]] | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> dict[str, MetricTracker]:
    """Trains a model into a run folder, made if need be, and predicts every dev file with its best epoch.

    A folder that holds a run already is refused, unless it is to ``overwrite`` or to ``resume``. With ``resume``, the
    run continues from its last saved state, as if it had never stopped; raises ``ConfigError`` if it cannot. With
    ``retrain``, it starts from the model of that folder. ``data_cache`` is a folder for data that was read, ``auto``
    (the user's, for large data) or ``off``. ``interrupts`` is a context for the epochs whose value is called to ask
    whether to stop: then the running step is finished, the state saved, and ``StoppedError`` raised. Of several
    ``processes``, the first one writes. Returns the scores of the best epoch's predictions, by dataset; only in the
    first process.
    """
    own: dict[str, Any] = {"resume": resume, "retrain": retrain, "processes": processes}
    options: dict[str, Any] = {"device": device, "progress": progress, "data_cache": data_cache}
    with lock_run_folder(folder, config, overwrite=overwrite, **own) as locked_folder:
        return train_in(locked_folder, config, **own, **options, interrupts=interrupts)


def train_in(
    folder: Path, config: Config, *, resume: bool = False, processes: Processes = SINGLE_PROCESS, **options: Any
) -> dict[str, MetricTracker]:
    """As ``train``, in a folder that is checked and locked (``lock_run_folder``)."""
    if not resume:
        return _train(folder, config, None, processes=processes, **options)
    state = folder / run_folder.STATE
    document = processes.together(lambda: load_document(state))
    with same_threads(state, document):
        return _train(folder, config, document, processes=processes, **options)


def _train(
    folder: Path,
    config: Config,
    document: Mapping[str, Any] | None,
    *,
    device: str = "cpu",
    progress: bool = True,
    retrain: str | Path | None = None,
    data_cache: str = AUTO,
    interrupts: AbstractContextManager[Callable[[], bool]] | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> dict[str, MetricTracker]:
    """Trains a new run, or the rest of the run of a state's ``document``."""
    seed_everything(config.params.random_seed)
    state = folder / run_folder.STATE

    def begin() -> tuple[RunData, Model, TrainerState]:
        nonlocal config
        checksums = data_checksums(config)
        if document is not None:
            check_processes(state, document, processes.count)
            check_conditions(state, document, conditions_of(config, checksums))
            done = progress_of(state, document)
            if processes.is_main_process:
                best_epochs = [epoch for epoch, _ in done.best_epochs]
                run_folder.check_best_epoch(folder, best_epochs)
                run_folder.remove_temporaries(folder)
                run_folder.rotate_checkpoints(folder, best_epochs)
            # The encoder and the order of labels are those of the run itself, wherever they came from.
            init_model: Model | None = load_model(state / START)
        else:
            done = TrainerState()
            config, init_model = _start(config, retrain)
        # Before the folder is a run's: once faults of the data are mended, the same folder can be used.
        cache = cache_folder(data_cache, config)
        data = read_data(config, init_model, cache=cache, writes=processes.is_main_process, checksums=checksums)
        log_data(data)
        model = build_model(config, data, init_model=init_model)
        if init_model is not None and document is None:
            retraining.copy_decoders(model, init_model)
            logger.info("starts from %s", retrain)
            for line in retraining.describe(model, init_model):
                logger.info("  %s", line)
        return data, model, done

    data, model, done = processes.together(begin)
    check_same_data(data, processes)
    model.to(device)
    processes.spread(weights_of(model).values())
    if processes.count > 1:
        logger.info("%d processes", processes.count)
    if not processes.is_main_process:
        seed_everything(config.params.random_seed + processes.rank)
    accelerate(model, seen_subwords=(examples.subword_ids() for examples in data.train.values()))
    log_model(model)
    optimizer = make_optimizer(model, config.params.training)
    conditions = conditions_of(config, data.checksums)
    if document is not None:
        restore(state, document, model=model, optimizer=optimizer, process=processes.rank)
        logger.info("resuming in epoch %d after step %d", done.epoch + 1, done.step)
    elif processes.is_main_process:
        # First of all, so that a run that is half removed cannot be resumed.
        remove_state(state)
        run_folder.remove_temporaries(folder)
        # An older model is there until all is ready for the first step.
        start_state(state, model)
        run_folder.remove_older_run(folder)
        run_folder.write_configs(folder, config)

    def save(done: TrainerState) -> None:
        others = processes.gathered(random_states(model.device))[1:] if processes.count > 1 else []
        if processes.is_main_process:
            save_state(
                state,
                model=model,
                optimizer=optimizer,
                progress=done,
                conditions=conditions,
                random_of_others=others,
            )
        processes.wait()

    def after_epoch(done: TrainerState) -> None:
        if not processes.is_main_process:
            save(done)
            return
        kept = [epoch for epoch, _ in done.best_epochs]
        if done.epoch in kept:
            save_model(model, run_folder.epoch_folder(folder, done.epoch))
        write_json(folder / run_folder.METRICS, done.metrics)
        save(done)
        run_folder.rotate_checkpoints(folder, kept)
        if config.params.training.keep_top_n > 1:
            others = ", ".join(map(str, kept[1:])) or "none yet"
            logger.info("  kept: epoch %d in model/, in epochs/: %s", kept[0], others)

    streams = training_streams(config, data)
    with interrupts or nullcontext(lambda: False) as should_stop:
        train_epochs(
            model,
            optimizer=optimizer,
            done=done,
            sampler=BatchSampler(
                streams, config.params.batching, seed=config.params.random_seed, processes=processes.count
            ),
            dev=data.dev,
            after_epoch=after_epoch,
            within_epoch=save,
            should_stop=should_stop,
            show_bar=progress,
            processes=processes,
        )
    trackers = {}
    if processes.is_main_process:
        load_best_weights(model, folder / run_folder.MODEL)
        run_folder.write_layer_weights(folder, model)
        trackers = predict_dev(model, config, folder)
        run_folder.forget_old_checksums(folder)
        _warn_of_changes(config, data)
        if not config.params.training.keep_state:
            remove_state(state)
    processes.wait()
    return trackers


def _start(config: Config, retrain: str | Path | None) -> tuple[Config, Model | None]:
    """The former model of a run that has one, and the config with its encoder's name."""
    if retrain is None:
        return config, None
    init_model = load_model(retrain)
    return retraining.with_encoder_of(init_model, config), init_model


def predict_dev(model: Model, config: Config, folder: Path) -> dict[str, MetricTracker]:
    """Predicts each dev file into ``DATASET.out``, with scores in ``DATASET.out.eval``."""
    trackers = {}
    for name in run_folder.output_names(config.datasets):
        if os.path.lexists(folder / name) and not run_folder.is_recorded(folder, name):
            raise TrainingError(
                f"{folder / name}: was written by something else during training; move it out of the folder, then "
                "--resume predicts the dev files"
            )
    for name, dataset in config.datasets.items():
        if dataset.dev_data_path is not None and dataset.active().tasks:
            trackers[name] = MetricTracker(model.config.datasets[name].tasks)
            with temporary_folder(folder / run_folder.PREDICTIONS) as place:
                _predict_dev_file(model, dataset.dev_data_path, place / f"{name}.out", trackers[name])
                written = sorted(place.iterdir())
                run_folder.record_checksums(folder, {path.name: checksum(path) for path in written})
                run_folder.remove_if_recorded(folder, f"{name}.out.eval")
                for path in written:
                    os.replace(path, folder / path.name)
    return trackers


def _predict_dev_file(model: Model, source: str, target: Path, tracker: MetricTracker) -> None:
    """Predicts into a temporary folder, which errors do not name."""
    folder = target.parent
    try:
        # Faults of gold labels were reported when they were read.
        predict_file(model, source, target, dataset=target.stem, tracker=tracker, warns=False)
    except ConfigError as error:
        # The config was checked: what is wrong now is the disk.
        raise TrainingError(line.replace(str(folder), str(folder.parent)) for line in error.faults) from None


def _warn_of_changes(config: Config, data: RunData) -> None:
    """Says which data files are no longer what the run has read."""
    changed = changed_files(data.checksums)
    for name, dataset in config.datasets.items():
        if dataset.train_data_path in changed:
            logger.warning(
                "%s: has changed during training; the model was trained on its earlier content",
                dataset.train_data_path,
            )
        if dataset.dev_data_path in changed:
            logger.warning(
                "%s: has changed during training; %s.out is predicted from the changed file, while the best epoch was "
                "chosen by its earlier content",
                dataset.dev_data_path,
                name,
            )
