"""Predictions as lines with columns: CoNLL-U, or the columns with which a model was trained."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from machamp_lite.data.raw_text import MISC
from machamp_lite.data.record import EMPTY, Column
from machamp_lite.errors import ConfigError

if TYPE_CHECKING:
    from machamp_lite.api.prediction import Prediction

_COLUMNS, _FORM = 10, 1
# They would begin another column or line.
_BREAKS = re.compile(r"[\t\r\n]+")


def as_text(label: Any) -> str:
    """A label as prediction writes it to a file.

    >>> as_text(("a", "b")), as_text(()), as_text(2.5), as_text((0.25, 0.75))
    ('a|b', '_', '2.5', '0.25|0.75')
    """
    if isinstance(label, tuple):
        return "|".join(one if isinstance(one, str) else f"{one:.4g}" for one in label) or EMPTY
    return label if isinstance(label, str) else f"{label:.6g}"


def to_conllu(prediction: "Prediction") -> str:
    """See ``Prediction.to_conllu``."""
    if not prediction.tokens:
        raise ConfigError("to_conllu: found a prediction without words, expected one with words")
    is_conllu = prediction.columns.inputs == (_FORM,)
    rows = [[str(number), _cell(word), *[EMPTY] * (_COLUMNS - 2)] for number, word in enumerate(prediction.words, 1)]
    misc = _space_after(prediction)
    for task, columns in prediction.columns.words.items():
        cells = _cells(prediction, task)
        has_column = is_conllu and all(isinstance(column, int) and 1 < column < MISC for column in columns)
        if has_column and cells and task not in prediction.spans:
            for column, values in zip(columns, cells, strict=True):
                _fill(rows, int(column), values)
            continue
        names = [task] if len(cells) == 1 else [f"{task}_head", task]
        for name, values in zip(names, cells, strict=True):
            for parts, value in zip(misc, values, strict=True):
                # The column has one attribute per part.
                parts.append(f"{name}={value.replace('|', ',')}")
    for row, parts in zip(rows, misc, strict=True):
        row[MISC] = "|".join(parts) or EMPTY
    return _lines(prediction, rows)


def to_conll(prediction: "Prediction") -> str:
    """See ``Prediction.to_conll``."""
    columns = prediction.columns
    tasks = {**columns.words, **columns.texts}
    names = list(dict.fromkeys([*columns.inputs, *(column for own in tasks.values() for column in own)]))
    numbers: dict[Column, int] = {
        name: name if isinstance(name, int) else position for position, name in enumerate(names)
    }
    width = max(numbers.values(), default=0) + 1
    rows = [[EMPTY] * width for _ in prediction.tokens or [None]]
    inputs = [prediction.words] if prediction.tokens else [(text,) for text in prediction.texts]
    for column, texts in zip(columns.inputs or (0,), inputs, strict=False):
        _fill(rows, numbers.get(column, 0), texts)
    for task, own in tasks.items():
        for column, values in zip(own, _cells(prediction, task), strict=bool(own)):
            _fill(rows, numbers[column], values)
    if prediction.tokens and numbers.get(columns.inputs[0], 0) and 0 not in numbers.values():
        _fill(rows, 0, [str(number) for number in range(1, len(rows) + 1)])
    return _lines(prediction, rows) if prediction.tokens else "".join("\t".join(row) + "\n" for row in rows)


def _cells(prediction: "Prediction", task: str) -> list[Sequence[str]]:
    """The cells of each column of a task, one per word or a single one; empty for a task without labels."""
    labels: Any = prediction.labels.get(task)
    if labels is None:
        return []
    if task in prediction.columns.texts:
        several = len(prediction.columns.texts[task]) > 1
        # Each column has one probability of a distribution.
        cells = [as_text((part,)) for part in labels] if several else [as_text(labels)]
        return [[cell] * (len(prediction.tokens) or 1) for cell in cells]
    values = [as_text(label) for label in labels]
    return [list(map(str, prediction.heads[task])), values] if task in prediction.heads else [values]


def _fill(rows: list[list[str]], column: int, values: Sequence[str]) -> None:
    for row, value in zip(rows, values, strict=True):
        row[column] = _cell(value)


def _cell(text: str) -> str:
    return _BREAKS.sub(" ", text) if text.strip() else EMPTY


def _space_after(prediction: "Prediction") -> list[list[str]]:
    """The attribute of words that no space follows in the text."""
    text = prediction.text
    return [
        ["SpaceAfter=No"] if token.end < len(text) and not text[token.end].isspace() else []
        for token in prediction.tokens
    ]


def _comments(prediction: "Prediction") -> Iterator[str]:
    yield f"# text = {' '.join(prediction.text.split())}"
    for task, columns in prediction.columns.texts.items():
        if not columns and task in prediction.labels:
            yield f"# {task} = {_cell(as_text(prediction.labels[task]))}"


def _lines(prediction: "Prediction", rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"{line}\n" for line in (*_comments(prediction), *map("\t".join, rows), ""))
