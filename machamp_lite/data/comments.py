"""The leading lines of a sentence that hold no words: comments, and the document marks of CoNLL-2003."""

import re
from collections.abc import Sequence

_MARK = "-DOCSTART-"
_MARK_LINE = re.compile(rf"{_MARK}(?!\S)")
# A hashtag has no space and no value.
_NO_HASHTAG = re.compile(r"[\s=:]")


def count_leading_lines(lines: Sequence[str], word_idx: int) -> int:
    """How many lines at the start of a sentence are comments or document marks (``-DOCSTART-``)."""
    tabs = lines[-1].count("\t") if lines else 0
    for number, line in enumerate(lines):
        if line.startswith("#"):
            if not _is_comment(line, tabs, word_idx):
                return number
        elif _MARK not in line or not _is_document_mark(line, word_idx):
            return number
    return len(lines)


def _is_comment(line: str, tabs: int, word_idx: int) -> bool:
    """Whether a leading line that starts with ``#`` is a comment, and not a row whose first cell is a word.

    It is one if a space follows the ``#``, if it has no column of words, or if its number of columns is not that of
    the sentence's last line, ``tabs`` + 1. Where words are in the first column, rows that begin with a hashtag may
    have more or fewer columns than the last line.
    """
    columns = line.count("\t")
    if line.startswith("# ") or columns < word_idx:
        return True
    if columns == tabs:
        return False
    return word_idx > 0 or not columns or bool(_NO_HASHTAG.search(line[: line.index("\t")]))


def _is_document_mark(line: str, word_idx: int) -> bool:
    cells = line.rstrip("\r\n").split("\t")
    return bool(_MARK_LINE.match(line)) or (word_idx < len(cells) and cells[word_idx] == _MARK)
