"""machamp_lite: a config-driven multi-task trainer for NLP.

run = machamp_lite.train("configs/demo.json", "runs/demo")
model = machamp_lite.load("runs/demo")
prediction = model.predict("Trains run late.")
prediction.labels, prediction.tree(), prediction.to_conllu()
model.predict_file("in.conllu", "out.conllu")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from machamp_lite.errors import ConfigError, DataError, MachampError

if TYPE_CHECKING:
    from machamp_lite.api.configs import load_config
    from machamp_lite.api.loading import load
    from machamp_lite.api.prediction import Prediction, Span, Token, Tree
    from machamp_lite.api.predictor import Predictor
    from machamp_lite.api.run import Run
    from machamp_lite.api.training import train
    from machamp_lite.config.schema import Config
    from machamp_lite.export.onnx_runtime import load_onnx
    from machamp_lite.model.multitask_model import Model
    from machamp_lite.training.callbacks import Callback

__version__ = "0.1.0"
__all__ = [
    "Callback",
    "Config",
    "ConfigError",
    "DataError",
    "MachampError",
    "Model",
    "Prediction",
    "Predictor",
    "Run",
    "Span",
    "Token",
    "Tree",
    "load",
    "load_config",
    "load_onnx",
    "train",
]

# Imported when first asked for: torch and transformers take seconds, and --help needs neither.
_LAZY = {
    "Callback": "training.callbacks",
    "Config": "config.schema",
    "Model": "model.multitask_model",
    "Prediction": "api.prediction",
    "Predictor": "api.predictor",
    "Run": "api.run",
    "Span": "api.prediction",
    "Token": "api.prediction",
    "Tree": "api.prediction",
    "load": "api.loading",
    "load_config": "api.configs",
    "load_onnx": "export.onnx_runtime",
    "train": "api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
