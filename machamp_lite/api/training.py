"""Training from Python."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machamp_lite.api.arguments import named_arguments
from machamp_lite.api.configs import DatasetConfigs, Overrides, read_config
from machamp_lite.api.loading import device_name
from machamp_lite.api.run import Run
from machamp_lite.config.schema import Config
from machamp_lite.errors import ConfigError, shorten
from machamp_lite.model.device import find_device
from machamp_lite.model.model_folder import find_model_folder
from machamp_lite.training.callbacks import Callback
from machamp_lite.training.resumable import resume_fault


def train(
    config: Config | DatasetConfigs,
    folder: str | Path,
    *,
    params: str | Path | Mapping[str, Any] | None = None,
    overrides: Overrides = (),
    seed: int | None = None,
    device: str | int = "auto",
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
    overwrite: bool = False,
    resume: bool = False,
    retrain: str | Path | None = None,
    data_cache: str | Path = "auto",
) -> Run:
    """Trains a model into a run folder, and predicts the dev data with the best epoch.

    Nothing is printed unless ``progress`` is true; logs go to the logger ``machamp_lite``.

        run = machamp_lite.train("my.json", "runs/mine", overrides={"training.num_epochs": 3})
        run.scores["MY_TREEBANK"]["upos"]["accuracy"]

    Args:
        config: A path or several paths of dataset configs, a dictionary with the datasets by name, or a ``Config``.
        folder: The run folder, which must be new or empty.
        params: A path or a dictionary of params, which override the defaults.
        overrides: Single values, such as ``{"training.num_epochs": 3}`` or ``["training.num_epochs=3"]``.
        seed: The random seed, which takes precedence over that of params.
        device: As in ``load``.
        progress: Whether to draw progress bars.
        callbacks: Their methods are called during the run.
        overwrite: Whether a run that is already in the folder is replaced.
        resume: Whether an interrupted run in the folder is continued.
        retrain: The folder of a model to start from.
        data_cache: A folder for tokenized data, ``auto`` or ``off``.

    Raises:
        ConfigError: for an error in the config, a folder that cannot be used, or something that is no callback.
        DataError: for an error in the data.
        MachampError: if training cannot continue, for example because a loss is NaN.
    """
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ConfigError(f"callbacks: found {shorten(repr(callback))}, expected objects of machamp_lite.Callback")
    if isinstance(config, Config):
        options = {"params": params, "overrides": overrides or None, "seed": seed}
        given = [name for name, value in options.items() if value is not None]
        if faults := [f"{name}: has no effect on a Config; give it to load_config" for name in given]:
            raise ConfigError(faults)
    if resume and overwrite:
        raise ConfigError("overwrite: found together with resume, expected one of them")
    with named_arguments():
        name = device_name(device)
        if resume and (fault := resume_fault(folder)):
            raise ConfigError(f"{folder}: found no run to resume: {fault}")
        if retrain is not None:
            find_model_folder(retrain)
        if not isinstance(config, Config):
            config = read_config(config, params=params, overrides=overrides, seed=seed)
        # Not at the top: it imports torch, and errors in a config are reported before.
        from machamp_lite.training import run

        run.train(
            config,
            folder,
            device=find_device(name),
            progress=progress,
            callbacks=callbacks,
            overwrite=overwrite,
            resume=resume,
            retrain=retrain,
            data_cache=str(data_cache),
        )
    return Run(folder, device)
