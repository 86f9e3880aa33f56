"""Loads a model that predicts; torch is imported when its folder has been found."""

from pathlib import Path
from typing import TYPE_CHECKING

from machamp_lite.acceleration.garbage_collection import garbage_collection_paused
from machamp_lite.api.arguments import named_arguments
from machamp_lite.errors import ConfigError
from machamp_lite.model.device import EXPECTED, device_named, find_device
from machamp_lite.model.find_models import find_models

if TYPE_CHECKING:
    from machamp_lite.api.predictor import Predictor


def load(path: str | Path, *, device: str | int = "auto", revision: str | None = None) -> "Predictor":
    """Loads a model that predicts.

        model = machamp_lite.load("runs/mine", device="cpu")

    Args:
        path: A run folder, a model folder, the folder of a group of runs, which predict together as an ensemble, or
            ``user/name``, a model on the Hugging Face hub.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or the number of a GPU.
        revision: A branch, tag or commit on the hub.

    Raises:
        ConfigError: if there is no model, it cannot be read, or there is no such device.
    """
    with named_arguments():
        name = device_name(device)
        found = find_models(path, revision=revision)
        with garbage_collection_paused():
            # Not at the top: they import torch.
            from machamp_lite.api.predictor import Predictor
            from machamp_lite.inference.ensembles import load_found

            return Predictor(load_found(found, device=find_device(name)))


def device_name(device: str | int) -> str | None:
    """The name in torch of the device that an argument names, None for ``auto``; raises ``ConfigError`` for others."""
    name = None if device == "auto" else device_named(str(device))
    if name is None and device != "auto":
        raise ConfigError(f"device: found {device!r}, expected 'auto', {EXPECTED}")
    return name
