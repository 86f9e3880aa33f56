"""Metrics, computed from counts that are added sentence by sentence and can be merged."""

from typing import Any

from machamp_lite.metrics.base import Metric
from machamp_lite.metrics.labels import (
    Accuracy,
    BinaryF1,
    LabelledAttachment,
    MacroF1,
    MicroF1,
    MultiAccuracy,
    MultiMacroF1,
    MultiMicroF1,
    UnlabelledAttachment,
    label_set,
)
from machamp_lite.metrics.numbers import Divergence, MeanDistance, Pearson, Perplexity, Spearman
from machamp_lite.metrics.span_f1 import SpanF1
from machamp_lite.metrics.strings import Bleu, CharacterF

__all__ = ["METRICS", "Metric", "label_set"]

METRICS: dict[str, type[Metric[Any]]] = {
    metric.name: metric
    for metric in (
        Accuracy,
        MicroF1,
        MacroF1,
        BinaryF1,
        SpanF1,
        LabelledAttachment,
        UnlabelledAttachment,
        MultiAccuracy,
        MultiMicroF1,
        MultiMacroF1,
        MeanDistance,
        Pearson,
        Spearman,
        Perplexity,
        Divergence,
        CharacterF,
        Bleu,
    )
}
