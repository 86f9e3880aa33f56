"""What clients send: JSON with texts or words, or a file like CoNLL-U; and checks that it is not too much."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from machamp_lite.config.error_messages import ErrorCollector
from machamp_lite.data.records import Record
from machamp_lite.errors import counted
from machamp_lite.serving.batching import Item
from machamp_lite.serving.limits import Limits, count_words
from machamp_lite.serving.refusals import RefusedError

# The most labels per item with their probabilities.
MAX_LABELS = 100
INPUTS = ("text", "texts", "words", "sentences")
# Only for the description: an empty input has its own message.
_NOT_EMPTY: dict[str, Any] = {"minLength": 1, "minItems": 1}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = Field(None, description="The name of the model; required if there are several.")
    dataset: str | None = Field(None, description="The dataset whose tasks are predicted (default: those that fit).")


class PredictBody(_Body):
    """The body of ``POST /predict``: exactly one of text, texts, words and sentences."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in INPUTS]
        }
    )

    text: str | None = Field(None, description="A text.", examples=["Trains run late ."], json_schema_extra=_NOT_EMPTY)
    texts: list[str] | None = Field(None, description="Several texts.", json_schema_extra=_NOT_EMPTY)
    words: list[str] | None = Field(
        None, description="The words of a sentence, or the texts of a row.", json_schema_extra=_NOT_EMPTY
    )
    sentences: list[list[str]] | None = Field(
        None, description="The words of sentences, or the texts of rows.", json_schema_extra=_NOT_EMPTY
    )
    tasks: list[str] | None = Field(None, description="The tasks to predict (default: all of the dataset).")
    top_k: int | None = Field(None, ge=1, le=MAX_LABELS, description="The number of labels with their probabilities.")

    def inputs(self) -> list[Any]:
        """The inputs of the model; raises ``RefusedError`` unless there is exactly one kind."""
        given = [name for name in INPUTS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise RefusedError(422, f"request: found {found}, expected one of {', '.join(INPUTS)}")
        value = getattr(self, given[0])
        if not value:
            raise RefusedError(422, f"request: {given[0]}: found nothing, expected at least one word")
        return list(value) if given[0] in ("texts", "sentences") else [value]


class ConlluQuery(_Body):
    """The parameters of ``POST /predict/conllu``."""

    topn: int | None = Field(None, ge=1, le=MAX_LABELS, description="The number of labels per item.", strict=False)


class PredictKind(NamedTuple):
    """The options of a prediction; requests with equal ones are predicted together."""

    dataset: str
    tasks: tuple[str, ...] | None
    top_k: int | None
    html: bool


class ConlluKind(NamedTuple):
    """The dataset of a file, and its number of labels per item."""

    dataset: str
    topn: int | None


def read_json(body: bytes) -> PredictBody:
    """Reads a JSON body; raises ``RefusedError`` that names each fault."""
    try:
        return PredictBody.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error, PredictBody) from None


def read_query(query: Mapping[str, str]) -> ConlluQuery:
    """Reads the parameters of a URL; raises ``RefusedError`` that names each fault."""
    try:
        return ConlluQuery.model_validate(dict(query))
    except ValidationError as error:
        raise _refusal(error, ConlluQuery) from None


def _refusal(error: ValidationError, model: type[BaseModel]) -> RefusedError:
    errors = error.errors(include_url=False)
    for one in errors:
        if one["type"] == "json_invalid":
            reason = str(one.get("ctx", {}).get("error", one["msg"]))
            return RefusedError(400, f"request: is not JSON ({reason})")
    collector = ErrorCollector()
    collector.at("request").add_validation(errors, model)
    return RefusedError(422, collector.lines)


def input_items(body: PredictBody, limits: Limits) -> list[Item]:
    """The inputs of a JSON body; raises ``RefusedError`` if they are too much."""
    items = [
        Item(value, sum(map(count_words, [value] if isinstance(value, str) else value)))
        for value in body.inputs()
    ]
    _check_size(items, limits)
    return items


def record_items(records: Sequence[Record], limits: Limits) -> list[Item]:
    """The sentences of a file, without its empty lines; raises ``RefusedError`` if they are too much."""
    items = [Item(record, sum(map(count_words, record.words))) for record in records if record.rows]
    _check_size(items, limits)
    return items


def _check_size(items: Sequence[Item], limits: Limits) -> None:
    words = sum(item.num_words for item in items)
    for number, noun, limit in ((len(items), "sentence", limits.max_sentences), (words, "word", limits.max_words)):
        if number > limit:
            found = counted(number, noun)
            raise RefusedError(413, f"request: found {found}, expected at most {limit}; send several requests")
