"""Loads what predicts: a model, or the models of a group of runs as an ensemble."""

from pathlib import Path

from machamp_lite.acceleration import load_accelerated
from machamp_lite.model.ensemble import Ensemble
from machamp_lite.model.find_models import FoundModel, find_models
from machamp_lite.model.multitask_model import Model


def load_found(found: FoundModel, *, device: str = "cpu") -> Model:
    """Loads the model, or an ensemble of those of a group of runs; raises ``ConfigError`` naming a bad file."""
    models = [load_accelerated(folder, device=device) for folder in found.models]
    return Ensemble(models, folder=found.folder) if found.is_group else models[0]


def load_predictor(path: str | Path, *, device: str = "cpu", revision: str | None = None) -> Model:
    """Finds and loads a model, see ``find_models``."""
    return load_found(find_models(path, revision=revision), device=device)
