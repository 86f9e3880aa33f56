"""Models with random decoders, and the comparison of an exported model with its source."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from machamp_lite.api.prediction import Prediction
from machamp_lite.api.predictor import Predictor
from machamp_lite.export.onnx_runtime import OnnxModel
from machamp_lite.model.multitask_model import Model


def randomize(model: Model) -> None:
    """Gives decoders random weights, so that labels differ between items, and by more than rounding in their scores."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.decoders.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
        for mix in model.mixes:
            for parameter in mix.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator))


def assert_same_predictions(
    model: Model, exported: OnnxModel, inputs: Sequence[Any], *, dataset: str | None = None, tolerance: float = 1e-5
) -> None:
    """Labels are equal; numbers and probabilities nearly are."""
    expected = Predictor(model).predict(inputs, dataset=dataset, top_k=3)
    found = exported.predict(inputs, dataset=dataset, top_k=3, batch_size=2)
    for one, other in zip(found, expected, strict=True):
        assert one.columns == other.columns
        own, theirs = ({**each.to_dict(), **_probable(each, tolerance)} for each in (one, other))
        assert own == _approximately(theirs, tolerance)


def _probable(prediction: Prediction, tolerance: float) -> dict[str, Any]:
    """The probabilities above a limit, because rounding decides the order of smaller ones."""

    def above(value: Any) -> Any:
        if isinstance(value, dict):
            return {label: each for label, each in value.items() if each > tolerance}
        return list(map(above, value))

    document = prediction.to_dict()
    names = ("probabilities", "head_probabilities")
    return {name: {task: above(each) for task, each in document.get(name, {}).items()} for name in names}


def _approximately(value: Any, tolerance: float) -> Any:
    if isinstance(value, float):
        return pytest.approx(value, abs=tolerance)
    if isinstance(value, dict):
        return {key: _approximately(part, tolerance) for key, part in value.items()}
    return [_approximately(part, tolerance) for part in value] if isinstance(value, list) else value
