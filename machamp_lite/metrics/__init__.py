"""Metrics, computed from counts that are added sentence by sentence and can be merged."""

from typing import Any

from machamp_lite.metrics.base import Metric
from machamp_lite.metrics.class_scores import CLASS_SCORES
from machamp_lite.metrics.labels import (
    Accuracy,
    LabelledAttachment,
    MultiAccuracy,
    MultiMacroF1,
    MultiMicroF1,
    UnlabelledAttachment,
    label_set,
)
from machamp_lite.metrics.numbers import (
    Divergence,
    MeanAbsoluteError,
    MeanDistance,
    Pearson,
    Perplexity,
    Spearman,
)
from machamp_lite.metrics.span_f1 import (
    SpanF1,
    SpanMacroF1,
    SpanMacroPrecision,
    SpanMacroRecall,
    SpanPrecision,
    SpanRecall,
)
from machamp_lite.metrics.strings import Bleu, CharacterF

__all__ = ["METRICS", "Metric", "label_set"]

_METRICS: tuple[type[Metric[Any]], ...] = (
    Accuracy,
    *CLASS_SCORES,
    SpanF1,
    SpanPrecision,
    SpanRecall,
    SpanMacroF1,
    SpanMacroPrecision,
    SpanMacroRecall,
    LabelledAttachment,
    UnlabelledAttachment,
    MultiAccuracy,
    MultiMicroF1,
    MultiMacroF1,
    MeanDistance,
    MeanAbsoluteError,
    Pearson,
    Spearman,
    Perplexity,
    Divergence,
    CharacterF,
    Bleu,
)
METRICS = {metric.name: metric for metric in _METRICS}
