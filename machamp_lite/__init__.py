"""machamp_lite: a config-driven multi-task trainer for NLP.

config = machamp_lite.load_config(["configs/demo.json"])
machamp_lite.train(config, "runs/demo")
model = machamp_lite.load("runs/demo")
machamp_lite.predict_words(model, [["Trains", "run", "late", "."]], dataset="TREEBANK")
machamp_lite.predict_file(model, "in.conllu", "out.conllu", dataset="TREEBANK")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from machamp_lite.errors import ConfigError, DataError, MachampError

if TYPE_CHECKING:
    from machamp_lite.config import load_config
    from machamp_lite.inference.ensembles import load_predictor as load
    from machamp_lite.inference.predictor import predict_file, predict_words
    from machamp_lite.model.multitask_model import Model
    from machamp_lite.training.callbacks import Callback
    from machamp_lite.training.run import train

__version__ = "0.1.0"
__all__ = [
    "Callback",
    "ConfigError",
    "DataError",
    "MachampError",
    "Model",
    "load",
    "load_config",
    "predict_file",
    "predict_words",
    "train",
]

# Imported when first asked for: torch and transformers take seconds, and --help needs neither.
_LAZY = {
    "Callback": ("machamp_lite.training.callbacks", "Callback"),
    "Model": ("machamp_lite.model.multitask_model", "Model"),
    "load": ("machamp_lite.inference.ensembles", "load_predictor"),
    "load_config": ("machamp_lite.config", "load_config"),
    "predict_file": ("machamp_lite.inference.predictor", "predict_file"),
    "predict_words": ("machamp_lite.inference.predictor", "predict_words"),
    "train": ("machamp_lite.training.run", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(import_module(module), attribute)
