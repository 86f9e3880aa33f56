"""One training run, from a checked config to a run folder."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch

from machamp_lite import progress as progress_bars
from machamp_lite.acceleration import accelerate
from machamp_lite.config.schema import Config
from machamp_lite.dataloading.batch_sampler import BatchSampler
from machamp_lite.dataloading.cache import AUTO, cache_folder
from machamp_lite.dataloading.datasets import RunData, data_checksums, training_streams
from machamp_lite.dataloading.example import Example
from machamp_lite.errors import counted
from machamp_lite.inference.calibration import fit_temperatures
from machamp_lite.inference.decisions import change_options, store_options
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.model.multitask_model import Model
from machamp_lite.model.serialization import load_average_weights, load_best_weights, load_model, save_model
from machamp_lite.reporting.page import write_run_report
from machamp_lite.training import run_folder, warm_start
from machamp_lite.training.callbacks import Callback, TrainEnd, TrainStart
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
from machamp_lite.training.environment import encoder_origin, environment_document
from machamp_lite.training.epoch_log import EpochLog
from machamp_lite.training.model_setup import build_model, log_model, with_init_model
from machamp_lite.training.optimizer import make_optimizer
from machamp_lite.training.progress_bar import ProgressBar
from machamp_lite.training.resume_checks import conditions_of
from machamp_lite.training.run_folder_lock import lock_run_folder
from machamp_lite.training.score_files import write_scores
from machamp_lite.training.trackers import make_trackers
from machamp_lite.training.trainer import Trainer
from machamp_lite.training.trainer_state import TrainerState

logger = logging.getLogger(__name__)


def train(
    config: Config,
    folder: str | Path,
    *,
    device: str = "cpu",
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
    overwrite: bool = False,
    resume: bool = False,
    retrain: str | Path | None = None,
    data_cache: str = AUTO,
) -> dict[str, MetricTracker]:
    """Trains a model into a run folder, predicts every dev file with the best epoch, and returns its scores by dataset.

    The folder is created if necessary. If it already contains a run, ``overwrite`` or ``resume`` is required.
    ``progress`` shows progress bars. See ``TrainingRun`` for the other arguments.
    """
    with (
        lock_run_folder(folder, config, overwrite=overwrite, resume=resume, retrain=retrain) as locked_folder,
        progress_bars.shown(progress),
    ):
        return TrainingRun(
            config=config,
            folder=locked_folder,
            device=device,
            callbacks=[EpochLog(), ProgressBar(), *callbacks],
            resume=resume,
            retrain=retrain,
            data_cache=data_cache,
        ).train()


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """A run in a folder that is already checked and locked.

    With ``resume``, it continues from its last saved state; the result is the same as without the interruption. With
    ``retrain``, it starts from the model of that folder. ``data_cache`` is a folder for tokenized data, ``auto`` (the
    user's cache folder, for large data) or ``off``. ``interrupts`` is a context around the epochs. It returns a
    function that is called after each step; if the result is true, the state is saved and ``StoppedError`` is raised.
    Only the main one of several ``processes`` writes files and calls the ``callbacks``.
    """

    config: Config
    folder: Path
    device: str = "cpu"
    callbacks: Sequence[Callback] = ()
    resume: bool = False
    retrain: str | Path | None = None
    data_cache: str = AUTO
    interrupts: AbstractContextManager[Callable[[], bool]] = field(
        default_factory=lambda: nullcontext(lambda: False)
    )
    processes: Processes = SINGLE_PROCESS

    @property
    def state_folder(self) -> Path:
        """The folder of the state from which the run can be resumed."""
        return self.folder / run_folder.STATE

    def train(self) -> dict[str, MetricTracker]:
        """Trains the remaining epochs; returns the scores of the best epoch by dataset, in the main process."""
        processes, seed = self.processes, self.config.params.random_seed
        experiment_trackers = processes.run_on_all_ranks(lambda: make_trackers(self.config.params.training.trackers))
        saved = processes.run_on_all_ranks(lambda: SavedState.load(self.state_folder)) if self.resume else None
        with saved.same_threads() if saved else nullcontext():
            seed_everything(seed)
            loaded = processes.run_on_all_ranks(lambda: self._load(saved))
            data, model = loaded.data, loaded.model
            check_same_data(data, processes)
            model.to(self.device)
            if not processes.is_main_process:
                # Dropout differs between processes; the weights are those of the main process.
                seed_everything(seed + processes.rank)
            log_model(model, processes)
            accelerate(model, seen_subwords=(examples.subword_ids() for examples in data.train.values()))
            logger.info("sentences are %s", model.encoder.layout.description)
            optimizer = make_optimizer(model)
            if saved is not None:
                saved.restore(model, optimizer, rank=processes.rank)
                logger.info("resuming at epoch %d, step %d", loaded.state.epoch + 1, loaded.state.step)
            elif processes.is_main_process:
                self._prepare_folder(loaded)
            callbacks = [*self.callbacks, *experiment_trackers] if processes.is_main_process else []
            trainer = self._make_trainer(loaded, optimizer, callbacks)
            with self._calling_callbacks(trainer):
                with self.interrupts as trainer.should_stop:
                    trainer.train()
                trackers = self._finish(loaded) if processes.is_main_process else {}
                processes.barrier()
            return trackers

    @contextmanager
    def _calling_callbacks(self, trainer: Trainer) -> Iterator[None]:
        """Calls the callbacks at the start and at the end of a run."""
        state = trainer.state
        start = TrainStart(
            folder=self.folder, config=self.config, step=state.step, steps=trainer.steps, history=tuple(state.metrics)
        )
        for callback in trainer.callbacks:
            callback.on_train_start(start)
        is_complete = False
        try:
            yield
            is_complete = True
        finally:
            end = TrainEnd(
                folder=self.folder, best_epoch=state.best_epoch, history=state.metrics, is_complete=is_complete
            )
            for callback in trainer.callbacks:
                callback.on_train_end(end)

    def _load(self, saved: SavedState | None) -> "_Loaded":
        """Loads data and model; writes nothing yet, so that the folder can be used again after an error."""
        checksums = data_checksums(self.config)
        if saved is None:
            config, init_model = with_init_model(self.config, self.retrain)
            state = TrainerState()
        else:
            config = self.config
            saved.check(conditions_of(config, checksums), world_size=self.processes.world_size)
            state = saved.trainer_state()
            if self.processes.is_main_process:
                run_folder.check_best_epoch(self.folder, state.kept_epochs)
                run_folder.remove_temporaries(self.folder)
                run_folder.rotate_checkpoints(self.folder, state.kept_epochs)
            # With the encoder at the start of the run.
            init_model = load_model(saved.folder / run_folder.START)
        data = read_data(
            config,
            init_model,
            cache=cache_folder(self.data_cache, config),
            writes=self.processes.is_main_process,
            checksums=checksums,
        )
        for name, examples in data.train.items():
            dev_sentences = len(data.dev[name].sentences()) if name in data.dev else 0
            sizes = [counted(len(examples.sentences()), "training sentence"), counted(dev_sentences, "dev sentence")]
            logger.info("%s: %s", name, ", ".join(sizes))
        model = build_model(config, data, init_model=init_model)
        if init_model is not None and saved is None:
            warm_start.copy_decoders(model, init_model)
            logger.info("starts from %s", self.retrain)
            for line in warm_start.describe(model, init_model):
                logger.info("  %s", line)
        return _Loaded(config, data, model, state)

    def _prepare_folder(self, loaded: "_Loaded") -> None:
        """Replaces the files of an earlier run."""
        # First, so that a run that is removed only in part cannot be resumed.
        remove_state(self.state_folder)
        run_folder.remove_temporaries(self.folder)
        # The earlier model is kept until everything is ready for the first step.
        start_state(self.state_folder, loaded.model)
        run_folder.remove_older_run(self.folder)
        run_folder.write_configs(self.folder, loaded.config)
        environment = environment_document(
            loaded.data,
            device=self.device,
            processes=self.processes,
            encoder=encoder_origin(loaded.config.params, loaded.model.pretrained.encoder, retrain=self.retrain),
        )
        run_folder.write_environment(self.folder, environment)

    def _make_trainer(
        self, loaded: "_Loaded", optimizer: torch.optim.Optimizer, callbacks: Sequence[Callback]
    ) -> Trainer:
        """A trainer of the remaining epochs, which saves the state and the models of the best epochs."""
        config, model, processes = loaded.config, loaded.model, self.processes
        conditions = conditions_of(config, loaded.data.checksums)

        def save(state: TrainerState) -> None:
            random_state = random_states(model.device) if processes.world_size > 1 else None
            random_of_others = processes.all_gather_object(random_state)[1:]
            if processes.is_main_process:
                save_state(
                    self.state_folder,
                    model=model,
                    optimizer=optimizer,
                    state=state,
                    conditions=conditions,
                    random_of_others=random_of_others,
                )
            processes.barrier()

        def after_epoch(state: TrainerState) -> None:
            kept = state.kept_epochs
            if processes.is_main_process:
                if state.epoch in kept:
                    save_model(model, run_folder.epoch_folder(self.folder, state.epoch))
                write_scores(self.folder, state, num_epochs=config.params.training.num_epochs)
            save(state)
            if processes.is_main_process:
                run_folder.rotate_checkpoints(self.folder, kept)
                if config.params.training.keep_top_n > 1:
                    others = ", ".join(map(str, kept[1:])) or "none yet"
                    logger.info("  kept: epoch %d in model/, in epochs/: %s", kept[0], others)

        def load_average(epochs: Sequence[int]) -> None:
            # The first one is the best.
            others = [run_folder.epoch_folder(self.folder, epoch) for epoch in epochs[1:]]
            load_average_weights(model, [self.folder / run_folder.MODEL, *others])

        sampler = BatchSampler(
            training_streams(config, loaded.data),
            config.params.batching,
            seed=config.params.random_seed,
            processes=processes.world_size,
        )
        return Trainer(
            model=model,
            optimizer=optimizer,
            state=loaded.state,
            sampler=sampler,
            dev=loaded.data.dev,
            after_epoch=after_epoch,
            save=save,
            load_average=load_average,
            callbacks=callbacks,
            processes=processes,
        )

    def _finish(self, loaded: "_Loaded") -> dict[str, MetricTracker]:
        """Predicts the dev files with the best epoch, and removes the state."""
        config, model = loaded.config, loaded.model
        load_best_weights(model, self.folder / run_folder.MODEL)
        run_folder.write_layer_weights(self.folder, model)
        if config.params.training.calibrate:
            _calibrate(model, loaded.data.dev, self.folder / run_folder.MODEL)
        trackers = predict_dev(model, config, self.folder)
        run_folder.forget_old_checksums(self.folder)
        warn_of_changed_data(config, loaded.data.checksums)
        if not config.params.training.keep_state:
            remove_state(self.state_folder)
        if config.params.training.report:
            write_run_report(self.folder)
        return trackers


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Data, model and state before the next step. With ``retrain``, the config names the encoder of that model."""

    config: Config
    data: RunData
    model: Model
    state: TrainerState


def _calibrate(model: Model, dev: Mapping[str, Sequence[Example]], folder: Path) -> None:
    """Stores the temperatures of tasks in a model folder, and logs them. No label changes."""
    tasks = model.config.tasks().items()
    fitted = fit_temperatures(
        model, dev, [task for task, options in tasks if options.is_on and options.is_calibrated_in_training]
    )
    if fitted:
        changes = {task: {"temperature": fit.temperature} for task, fit in fitted.items()}
        change_options(model, changes)
        store_options(folder, changes)
    for task, fit in fitted.items():
        logger.info("task '%s': %s", task, fit)
