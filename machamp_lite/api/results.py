"""How the results of decoders become predictions, with torch and with ONNX Runtime; imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from machamp_lite.api.prediction import Columns, Prediction, Span
from machamp_lite.api.sentences import Sentence, spans_of
from machamp_lite.data.span_schemes import Scheme
from machamp_lite.data.span_schemes import Span as WordSpan


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """The labels of one task for the items of a sentence, its words or the sentence itself.

    ``ranked`` has the best labels of each item with their probabilities. With ``has_heads``, labels are pairs of a head
    and a relation, and ``ranked`` has pairs, too. ``as_value`` converts a label to that of a ``Prediction``.
    """

    labels: Sequence[Any]
    ranked: Sequence[Any] | None
    has_heads: bool
    as_value: Callable[[Any], Any]
    scheme: Scheme | None
    span_probabilities: Mapping[WordSpan, float]


def make_prediction(sentence: Sentence, columns: Columns, results: Mapping[str, TaskResult]) -> Prediction:
    """The prediction of a sentence from the results of its tasks; a sentence without words has none."""
    labels: dict[str, Any] = {} if results else dict.fromkeys(columns.words, ())
    heads: dict[str, tuple[int, ...]] = {}
    spans: dict[str, tuple[Span, ...]] = {}
    probabilities: dict[str, Any] = {}
    head_probabilities: dict[str, tuple[Mapping[int, float], ...]] = {}
    for task, result in results.items():
        own, ranked = result.labels, result.ranked
        if result.has_heads:
            heads[task] = tuple(head for head, _ in own)
            own = [relation for _, relation in own]
            if ranked is not None:
                head_probabilities[task] = tuple(dict(best) for best, _ in ranked)
                ranked = [best for _, best in ranked]
        if result.scheme is not None:
            spans[task] = spans_of(sentence, own, result.scheme, result.span_probabilities)
        values = tuple(map(result.as_value, own))
        labels_words = task in columns.words
        labels[task] = values if labels_words else values[0]
        if ranked is not None:
            items = tuple(map(dict, ranked))
            probabilities[task] = items if labels_words else items[0]
    return Prediction(
        texts=sentence.texts,
        tokens=sentence.tokens,
        labels=labels,
        heads=heads,
        spans=spans,
        probabilities=probabilities,
        head_probabilities=head_probabilities,
        columns=columns,
    )
