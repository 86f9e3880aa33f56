"""Predictions in the formats of the pipelines of transformers, and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from machamp_lite.api.prediction import Prediction, Span, Token
from machamp_lite.data.raw_text import split_at_word_boundaries
from machamp_lite.errors import ConfigError, did_you_mean

_OUTSIDE = "O"


def token_classification(
    prediction: Prediction, task: str, *, aggregation_strategy: str = "simple"
) -> list[dict[str, Any]]:
    """The spans or the words of a task as the pipeline "token-classification" returns them.

    With the strategy "simple" it has one object per span, with "none" one per word; words with the label O are left
    out. ``score`` is None for predictions without ``top_k``. The words of the pipeline are subwords; here they are
    words, numbered from 1.

    >>> span = Span("city", 2, 3, 8, 14, "Geneva", 0.75)
    >>> token_classification(Prediction(texts=("I am in Geneva",), spans={"ner": (span,)}), "ner")
    [{'entity_group': 'city', 'score': 0.75, 'word': 'Geneva', 'start': 8, 'end': 14}]

    Raises ``ConfigError`` for a task without such labels.
    """
    if aggregation_strategy not in ("simple", "none"):
        raise ConfigError(f"aggregation_strategy: found {aggregation_strategy!r}, expected 'simple' or 'none'")
    if aggregation_strategy == "simple":
        if task in prediction.labels and task not in prediction.spans:
            expected = "expected a task with spans, or aggregation_strategy='none'"
            raise ConfigError(f"task: found '{task}', which has no spans, {expected}")
        return [
            {
                "entity_group": span.label,
                "score": span.probability,
                "word": span.text,
                "start": span.start_char,
                "end": span.end_char,
            }
            for span in _of_task(prediction.spans, task)
        ]
    labels = _of_task(prediction.labels, task)
    if not _labels_words(prediction, task):
        raise ConfigError(f"task: found '{task}', which labels texts, expected a task that labels words")
    return [
        {
            "entity": label,
            "score": _score(prediction.probabilities.get(task), number - 1, label),
            "index": number,
            "word": token.text,
            "start": token.start,
            "end": token.end,
        }
        for number, (token, label) in enumerate(zip(prediction.tokens, labels, strict=True), 1)
        if label != _OUTSIDE
    ]


def text_classification(prediction: Prediction, task: str) -> list[dict[str, Any]]:
    """The labels of a text as the pipeline "text-classification" returns them with ``top_k``, the best first.

    >>> glad = Prediction(texts=("Hi",), labels={"mood": "glad"}, probabilities={"mood": {"glad": 0.75, "sad": 0.25}})
    >>> text_classification(glad, "mood")
    [{'label': 'glad', 'score': 0.75}, {'label': 'sad', 'score': 0.25}]

    Raises ``ConfigError`` for a task that labels words, and for a prediction without probabilities of the task.
    """
    _of_task(prediction.labels, task)
    if _labels_words(prediction, task):
        raise ConfigError(f"task: found '{task}', which labels words, expected a task that labels texts")
    probabilities = prediction.probabilities.get(task)
    if not isinstance(probabilities, Mapping):
        raise ConfigError(f"task: found no probabilities of a text for '{task}', expected a prediction with top_k")
    ranked = sorted(probabilities.items(), key=lambda pair: -pair[1])
    return [{"label": label, "score": probability} for label, probability in ranked]


def from_token_classification(text: str, entities: Iterable[Mapping[str, Any]], *, task: str = "ner") -> Prediction:
    """A prediction with the spans that the pipeline "token-classification" has found in a text.

    The pipeline must have had an ``aggregation_strategy``. Words are split at Unicode word boundaries, and a span has
    all words that it overlaps.

    >>> found = [{"entity_group": "city", "score": 0.75, "word": "Geneva", "start": 8, "end": 14}]
    >>> from_token_classification("I am in Geneva", found).spans["ner"][0].start
    3
    """
    tokens = tuple(Token(text[start:end], start, end) for start, end in split_at_word_boundaries(text))
    spans, labels = [], [_OUTSIDE] * len(tokens)
    for entity in entities:
        if "entity_group" not in entity:
            raise ConfigError("entities: found no 'entity_group', expected the output of a pipeline that aggregates")
        start, end, label = int(entity["start"]), int(entity["end"]), str(entity["entity_group"])
        inside = [number for number, token in enumerate(tokens) if token.start < end and token.end > start]
        if not inside:
            raise ConfigError(f"entities: found no word from {start} to {end}, expected offsets in the text")
        first, last = inside[0], inside[-1] + 1
        labels[first:last] = [f"B-{label}", *[f"I-{label}"] * (last - first - 1)]
        spans.append(Span(label, first, last, start, end, text[start:end], float(entity["score"])))
    return Prediction(texts=(text,), tokens=tokens, labels={task: tuple(labels)}, spans={task: tuple(spans)})


def _of_task(parts: Mapping[str, Any], task: str) -> Any:
    if task not in parts:
        raise ConfigError(f"task: found '{task}', which this prediction does not have{did_you_mean(task, parts)}")
    return parts[task]


def _labels_words(prediction: Prediction, task: str) -> bool:
    labels: Any = prediction.labels[task]
    return not isinstance(labels, str | float) and len(labels) == len(prediction.tokens)


def _score(probabilities: Any, index: int, label: str) -> float | None:
    if not isinstance(probabilities, Sequence):
        return None
    score: float | None = probabilities[index].get(label)
    return score
