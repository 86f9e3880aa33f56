"""Predictions of the dev files with the best epoch, at the end of a run."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from machamp_lite.config.schema import Config
from machamp_lite.dataloading.datasets import changed_files, path_checksum
from machamp_lite.errors import ConfigError, TrainingError
from machamp_lite.files.checksums import checksum
from machamp_lite.files.temporaries import temporary_folder
from machamp_lite.inference.evaluation import MetricTracker
from machamp_lite.inference.predictor import predict_file
from machamp_lite.model.multitask_model import Model
from machamp_lite.training import run_folder

logger = logging.getLogger(__name__)


def predict_dev(model: Model, config: Config, folder: Path) -> dict[str, MetricTracker]:
    """Predicts each dev file into ``DATASET.out``, with scores in ``DATASET.out.eval``."""
    trackers = {}
    for name in run_folder.output_names(config.datasets):
        if os.path.lexists(folder / name) and not run_folder.is_recorded(folder, name):
            raise TrainingError(
                f"{folder / name}: was written by something else during training; move it out of the folder, and "
                "predict the dev files with --resume"
            )
    for name, dataset in config.datasets.items():
        if dataset.dev_data_path is not None and dataset.active().tasks:
            trackers[name] = MetricTracker(model.config.datasets[name].tasks)
            with temporary_folder(folder / run_folder.PREDICTIONS) as temporary:
                _predict_dev_file(model, dataset.dev_data_path, temporary / f"{name}.out", trackers[name])
                written = sorted(temporary.iterdir())
                run_folder.record_dev_checksum(folder, name, path_checksum(dataset.dev_data_path))
                run_folder.record_checksums(folder, {path.name: checksum(path) for path in written})
                run_folder.remove_if_recorded(folder, f"{name}.out.eval")
                for path in written:
                    os.replace(path, folder / path.name)
            logger.info("%s: dev predictions in %s", name, ", ".join(str(folder / path.name) for path in written))
    return trackers


def _predict_dev_file(model: Model, source: str, target: Path, tracker: MetricTracker) -> None:
    """Predicts into a temporary folder; errors name the folder around it."""
    folder = target.parent
    try:
        # Faults of gold labels were reported when they were read.
        predict_file(model, source, target, dataset=target.stem, tracker=tracker, warns=False)
    except ConfigError as error:
        # The config is valid, so this is an error of the disk.
        raise TrainingError(line.replace(str(folder), str(folder.parent)) for line in error.faults) from None


def warn_of_changed_data(config: Config, checksums: Mapping[str, str]) -> None:
    """Warns about data files that have changed since the run read them."""
    changed = changed_files(checksums)
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
