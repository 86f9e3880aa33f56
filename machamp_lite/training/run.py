"""One training run, from a checked config to a run folder."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machamp_lite.acceleration import accelerate
from machamp_lite.config.schema import Config
from machamp_lite.data_checks.span_schemes import with_schemes
from machamp_lite.dataloading.batch_sampler import BatchSampler
from machamp_lite.dataloading.cache import AUTO, cache_folder
from machamp_lite.dataloading.datasets import RunData, data_checksums, training_streams
from machamp_lite.files.atomic import write_json
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.model.multitask_model import Model, language_model_kind
from machamp_lite.model.precision import resolved
from machamp_lite.model.pretrained import load_transformer, with_language_model
from machamp_lite.model.serialization import load_best_weights, load_model, save_model
from machamp_lite.training import run_folder, warm_start
from machamp_lite.training.checkpoint import (
    SavedState,
    random_states,
    remove_state,
    save_state,
    seed_everything,
    start_state,
)
from machamp_lite.training.data import check_same_data, read_data
from machamp_lite.training.dev_predictions import predict_dev, warn_of_changed_data
from machamp_lite.training.distributed import SINGLE_PROCESS, Processes
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.resume_checks import conditions_of
from machamp_lite.training.run_folder import default_run_folder
from machamp_lite.training.run_folder_lock import check_run_folders, lock_run_folder
from machamp_lite.training.trainer import Trainer
from machamp_lite.training.trainer_state import TrainerState

__all__ = [
    "RunData",
    "build_model",
    "check_run_folders",
    "default_run_folder",
    "lock_run_folder",
    "read_data",
    "seed_everything",
    "train",
    "train_in_locked_folder",
]

logger = logging.getLogger(__name__)


def build_model(
    config: Config, data: RunData, *, init_model: Model | None = None, reset: bool | None = None
) -> Model:
    """The model of a run: new decoders, and the encoder of ``init_model`` if there is one.

    ``reset`` gives a pretrained encoder random weights, by default as the params say.
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

    A folder that holds a run already is refused without ``overwrite`` or ``resume``. With ``resume``, the run continues
    from its last saved state, as if it had never stopped; raises ``ConfigError`` if it cannot. With ``retrain``, it
    starts from the model of that folder. ``data_cache`` is a folder for data that was read, ``auto`` (the user's, for
    large data) or ``off``. ``interrupts`` is a context around the epochs; the function that it returns is asked whether
    to stop. If so, the current step is finished, the state is saved, and ``StoppedError`` is raised. Only the main one
    of several ``processes`` writes. Returns the scores of the best epoch by dataset, in the main process.
    """
    shared: dict[str, Any] = {"resume": resume, "retrain": retrain, "processes": processes}
    with lock_run_folder(folder, config, overwrite=overwrite, **shared) as locked_folder:
        return train_in_locked_folder(
            locked_folder,
            config,
            device=device,
            progress=progress,
            data_cache=data_cache,
            interrupts=interrupts,
            **shared,
        )


def train_in_locked_folder(
    folder: Path,
    config: Config,
    *,
    device: str = "cpu",
    progress: bool = True,
    resume: bool = False,
    retrain: str | Path | None = None,
    data_cache: str = AUTO,
    interrupts: AbstractContextManager[Callable[[], bool]] | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> dict[str, MetricTracker]:
    """As ``train``, in a folder that is checked and locked already."""
    saved = processes.run_on_all_ranks(lambda: SavedState.load(folder / run_folder.STATE)) if resume else None
    with saved.same_threads() if saved else nullcontext():
        seed_everything(config.params.random_seed)
        run = processes.run_on_all_ranks(
            lambda: _load(folder, config, saved, retrain=retrain, data_cache=data_cache, processes=processes)
        )
        check_same_data(run.data, processes)
        run.model.to(device)
        if not processes.is_main_process:
            # Every process has its own dropout; the weights are those of the main process.
            seed_everything(config.params.random_seed + processes.rank)
        accelerate(run.model, seen_subwords=(each.subword_ids() for each in run.data.train.values()))
        _log_model(run.model, processes)
        run.optimizer = make_optimizer(run.model, config.params.training)
        if saved is not None:
            saved.restore(run.model, run.optimizer, rank=processes.rank)
            logger.info("resuming at epoch %d, step %d", run.state.epoch + 1, run.state.step)
        elif processes.is_main_process:
            _prepare_folder(run)
        _train_epochs(run, interrupts or nullcontext(lambda: False), show_bar=progress)
        trackers = _finish(run) if processes.is_main_process else {}
        processes.barrier()
        return trackers


@dataclass(kw_only=True)
class _Run:
    """What a run works with; the config may differ from the given one in the name of the encoder."""

    folder: Path
    config: Config
    data: RunData
    model: Model
    state: TrainerState
    processes: Processes
    optimizer: Any = None

    @property
    def state_folder(self) -> Path:
        return self.folder / run_folder.STATE


def _load(
    folder: Path,
    config: Config,
    saved: SavedState | None,
    *,
    retrain: str | Path | None,
    data_cache: str,
    processes: Processes,
) -> _Run:
    """Loads data and model; writes nothing yet, so that the folder can be used again after faults were corrected."""
    checksums, state = data_checksums(config), TrainerState()
    if saved is None:
        config, init_model = with_init_model(config, retrain)
    else:
        saved.check(conditions_of(config, checksums), world_size=processes.world_size)
        state = saved.trainer_state()
        if processes.is_main_process:
            best_epochs = [epoch for epoch, _ in state.best_epochs]
            run_folder.check_best_epoch(folder, best_epochs)
            run_folder.remove_temporaries(folder)
            run_folder.rotate_checkpoints(folder, best_epochs)
        # The encoder and the order of labels are those at the start of the run, wherever they came from.
        init_model = load_model(saved.folder / run_folder.START)
    cache = cache_folder(data_cache, config)
    data = read_data(config, init_model, cache=cache, writes=processes.is_main_process, checksums=checksums)
    for name, examples in data.train.items():
        dev_sentences = len(data.dev[name].sentences()) if name in data.dev else 0
        logger.info("%s: %d training sentences, %d dev sentences", name, len(examples.sentences()), dev_sentences)
    model = build_model(config, data, init_model=init_model)
    if init_model is not None and saved is None:
        warm_start.copy_decoders(model, init_model)
        logger.info("starts from %s", retrain)
        for line in warm_start.describe(model, init_model):
            logger.info("  %s", line)
    return _Run(folder=folder, config=config, data=data, model=model, state=state, processes=processes)


def with_init_model(config: Config, retrain: str | Path | None) -> tuple[Config, Model | None]:
    """The model that a run starts from, if any, and the config with the name of its encoder."""
    if retrain is None:
        return config, None
    init_model = load_model(retrain)
    return warm_start.with_encoder_of(init_model, config), init_model


def _log_model(model: Model, processes: Processes) -> None:
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    decoders = sum(parameter.numel() for parameter in model.parameters()) - encoder
    logger.info(
        "%s: %.1fM parameters in the encoder, %.1fM in the decoders of %d tasks, on %s in %s",
        model.config.params.transformer_model,
        encoder / 1e6,
        decoders / 1e6,
        len(model.tasks),
        model.device,
        resolved(model.precision, model.device),
    )
    logger.info("sentences are %s", model.encoder.layout.description)
    if processes.world_size > 1:
        logger.info("%d processes", processes.world_size)


def _prepare_folder(run: _Run) -> None:
    """Replaces what an older run has left in the folder."""
    # First, so that a run that is half removed cannot be resumed.
    remove_state(run.state_folder)
    run_folder.remove_temporaries(run.folder)
    # The older model stays until all is ready for the first step.
    start_state(run.state_folder, run.model)
    run_folder.remove_older_run(run.folder)
    run_folder.write_configs(run.folder, run.config)


def _train_epochs(run: _Run, interrupts: AbstractContextManager[Callable[[], bool]], *, show_bar: bool) -> None:
    """Trains the remaining epochs, saving the state and the models of the best epochs."""
    config, model, processes = run.config, run.model, run.processes
    conditions = conditions_of(config, run.data.checksums)

    def save(state: TrainerState) -> None:
        own = random_states(model.device) if processes.world_size > 1 else None
        random_of_others = processes.all_gather_object(own)[1:]
        if processes.is_main_process:
            save_state(
                run.state_folder,
                model=model,
                optimizer=run.optimizer,
                state=state,
                conditions=conditions,
                random_of_others=random_of_others,
            )
        processes.barrier()

    def after_epoch(state: TrainerState) -> None:
        kept = [epoch for epoch, _ in state.best_epochs]
        if processes.is_main_process:
            if state.epoch in kept:
                save_model(model, run_folder.epoch_folder(run.folder, state.epoch))
            write_json(run.folder / run_folder.METRICS, state.metrics)
        save(state)
        if processes.is_main_process:
            run_folder.rotate_checkpoints(run.folder, kept)
            if config.params.training.keep_top_n > 1:
                others = ", ".join(map(str, kept[1:])) or "none yet"
                logger.info("  kept: epoch %d in model/, in epochs/: %s", kept[0], others)

    sampler = BatchSampler(
        training_streams(config, run.data),
        config.params.batching,
        seed=config.params.random_seed,
        processes=processes.world_size,
    )
    with interrupts as should_stop:
        Trainer(
            model=model,
            optimizer=run.optimizer,
            state=run.state,
            sampler=sampler,
            dev=run.data.dev,
            after_epoch=after_epoch,
            save=save,
            should_stop=should_stop,
            show_bar=show_bar,
            processes=processes,
        ).train()


def _finish(run: _Run) -> dict[str, MetricTracker]:
    """Predicts the dev files with the best epoch, and removes the state."""
    load_best_weights(run.model, run.folder / run_folder.MODEL)
    run_folder.write_layer_weights(run.folder, run.model)
    trackers = predict_dev(run.model, run.config, run.folder)
    run_folder.forget_old_checksums(run.folder)
    warn_of_changed_data(run.config, run.data.checksums)
    if not run.config.params.training.keep_state:
        remove_state(run.state_folder)
    return trackers
