"""Recognises numbers and column names in the cells of data files."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from machamp_lite.data.record import Record

# The largest float32 is 3.4e38, and the difference of two numbers must be finite too.
LARGEST = 1e38
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

# Compared without case, spaces and punctuation: "Sentence #" and "sentence_" count as "sentence".
_COLUMN_NAMES = frozenset(
    """
    answer aspect body category class comment content context deprel document emotion feats feature features form
    gold goldlabel head headline heads hypothesis id idx index input intent intents label labels language lemma lemmas
    message mood morph ner nertag nertags nerlabel output paragraph passage polarity pos postag postags prediction
    premise question question1 rating relation review score scores sent sent1 sentence sentence1 sentence2 sentenceid
    sentences sentiment similarity slot slots source split stance summary tag tags target text text1 textid texts title
    token tokenid tokens topic topics tweet
    tweetid type upos utterance word wordid words xpos
    """.split()
)
SKIP_HEADER = '"skip_first_line": true'


def parse_number(text: str) -> float | None:
    """The decimal number in a cell, written in the digits 0 to 9; None for anything else.

    >>> parse_number("-1.5e3"), parse_number("1_000"), parse_number("nan")
    (-1500.0, None, None)
    """
    # Python's float() also accepts underscores, "nan", "inf" and the digits of every script.
    if not _DECIMAL.fullmatch(text.strip(" ")):
        return None
    number = float(text)
    return number if abs(number) <= LARGEST else None


def expected_number(text: str) -> str:
    """The end of an error message about a cell that is not a number.

    >>> expected_number("1,5")
    'expected a number with a decimal point and no other separators'
    """
    if re.fullmatch(r"[+-]?[0-9][0-9 .,'_]*", text) and parse_number(text) is None and not text.isdecimal():
        return "expected a number with a decimal point and no other separators"
    if _DECIMAL.fullmatch(text.strip(" ")):
        return f"expected a number from {-LARGEST:g} to {LARGEST:g}"
    if text.isnumeric():
        return "expected a number in the digits 0 to 9"
    return "expected a number"


def is_column_name(cell: str, tasks: Iterable[str] = ()) -> bool:
    """Whether a cell is a common column name or the name of one of the tasks.

    >>> is_column_name("Sentence_1"), is_column_name("ran"), is_column_name("Ran", ["ran"])
    (True, False, True)
    """
    name = _normalized(cell)
    return name in _COLUMN_NAMES or (name != "" and name in map(_normalized, tasks))


def _normalized(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def header_hint(record: "Record", row: int, cell: str) -> str:
    """The end of an error message about a cell that is not a number, if the row may be a header.

    Empty unless the row is the first line of the file and the cell has letters.
    """
    is_first_line = record.first_line + record.row_lines[row] == 1
    if (
        not is_first_line
        or not any(map(str.isalpha, cell))
        or _normalized(cell) in ("nan", "inf", "infinity")
    ):
        return ""
    return f"; if the first line is a header, set {SKIP_HEADER}"
