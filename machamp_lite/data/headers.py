"""Header lines: names of columns in the first line of a data file."""

import re
from collections.abc import Iterable

from machamp_lite.data.records import Record

# Compared without case, spaces and punctuation: "Sentence #" and "sentence_" are "sentence".
_NAMES = frozenset(
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


def is_column_name(cell: str, tasks: Iterable[str] = ()) -> bool:
    """Whether a cell is the name of a column in a header: a common name, or that of a task.

    >>> is_column_name("Sentence_1"), is_column_name("ran"), is_column_name("Ran", ["ran"])
    (True, False, True)
    """
    name = _plain(cell)
    return name in _NAMES or (name != "" and name in map(_plain, tasks))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def header_hint(record: Record, row: int, cell: str) -> str:
    """The end of an error about a cell that holds no number: in the first line of a file, it may be a header.

    Empty for other lines, and for cells without letters.
    """
    in_first_line = record.first_line + record.row_lines[row] == 1
    if not in_first_line or not any(map(str.isalpha, cell)) or _plain(cell) in ("nan", "inf", "infinity"):
        return ""
    return f"; if the first line is a header, set {SKIP_HEADER}"
