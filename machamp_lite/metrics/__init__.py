"""Metrics which add up: sentence by sentence, and over parts of a data set."""

from typing import Any

from machamp_lite.metrics.base import Metric
from machamp_lite.metrics.label_sets import MultiAccuracy, MultiMacroF1, MultiMicroF1, label_set
from machamp_lite.metrics.labels import (
    Accuracy,
    BinaryF1,
    LabelledAttachment,
    MacroF1,
    MicroF1,
    UnlabelledAttachment,
)
from machamp_lite.metrics.numbers import Divergence, MeanDistance, Pearson, Perplexity, Spearman
from machamp_lite.metrics.span_f1 import SpanF1, spans
from machamp_lite.metrics.strings import Bleu, CharacterF

__all__ = ["METRICS", "Metric", "label_set", "spans"]

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
