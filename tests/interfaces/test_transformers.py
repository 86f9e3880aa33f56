"""The formats of the pipelines of transformers."""

import pytest

from machamp_lite.api.prediction import Prediction, Span, Token
from machamp_lite.errors import ConfigError
from machamp_lite.interfaces.transformers import (
    from_token_classification,
    text_classification,
    token_classification,
)

TEXT = "Anna lives in New York."
ENTITIES = [
    {"entity_group": "per", "score": 0.75, "word": "Anna", "start": 0, "end": 4},
    {"entity_group": "loc", "score": 0.5, "word": "New York", "start": 14, "end": 22},
]


def test_entities_survive_both_ways() -> None:
    prediction = from_token_classification(TEXT, ENTITIES)
    assert prediction.labels["ner"] == ("B-per", "O", "O", "B-loc", "I-loc", "O")
    assert [(span.start, span.end) for span in prediction.spans["ner"]] == [(0, 1), (3, 5)]
    assert token_classification(prediction, "ner") == ENTITIES


def test_words_have_their_labels_and_scores() -> None:
    prediction = Prediction(
        texts=("I ran",),
        tokens=(Token("I", 0, 1), Token("ran", 2, 5)),
        labels={"upos": ("PRON", "VERB"), "ner": ("O", "B-x"), "mood": "glad"},
        probabilities={"upos": ({"PRON": 0.5}, {"VERB": 0.25})},
    )
    assert token_classification(prediction, "upos", aggregation_strategy="none") == [
        {"entity": "PRON", "score": 0.5, "index": 1, "word": "I", "start": 0, "end": 1},
        {"entity": "VERB", "score": 0.25, "index": 2, "word": "ran", "start": 2, "end": 5},
    ]
    # As in the pipeline, whose ignore_labels are ["O"] by default.
    assert [one["index"] for one in token_classification(prediction, "ner", aggregation_strategy="none")] == [2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda one: token_classification(one, "nerr"), "task: found 'nerr'"),
        (lambda one: token_classification(one, "mood", aggregation_strategy="none"), "which labels texts"),
        (lambda one: token_classification(one, "ner", aggregation_strategy="max"), "expected 'simple' or 'none'"),
        (lambda one: token_classification(one, "upos"), "task: found 'upos', which has no spans"),
        (lambda one: text_classification(one, "mood"), "expected a prediction with top_k"),
        (lambda one: text_classification(one, "upos"), "task: found 'upos', which labels words"),
        (lambda one: from_token_classification("a", [{"entity": "B-per"}]), "found no 'entity_group'"),
        (
            lambda one: from_token_classification("a", [{"entity_group": "x", "start": 4, "end": 5, "score": 1}]),
            "found no word from 4 to 5",
        ),
    ],
)
def test_what_does_not_fit_is_reported(call, message: str) -> None:  # type: ignore[no-untyped-def]
    span = Span("per", 0, 1, 0, 1, "a")
    labels = {"mood": "glad", "upos": ("DET",)}
    one = Prediction(texts=("a",), tokens=(Token("a", 0, 1),), labels=labels, spans={"ner": (span,)})
    with pytest.raises(ConfigError, match=message):
        call(one)
