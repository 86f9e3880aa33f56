"""Reads and checks gold dependency trees: heads in one column, relations in another; which relations roots have."""

import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np

from machamp_lite.data.cells import header_hint
from machamp_lite.data.records import EMPTY, Column, Record
from machamp_lite.data.vocabulary import Vocabulary
from machamp_lite.decoders.base import LabelIssue
from machamp_lite.decoders.label_cells import read_column
from machamp_lite.errors import DataError
from machamp_lite.nn.best_tree import cyclic_words

# The position of the head (0 is the root) and the relation of a word.
Arc = tuple[int, str]
# The position of the head of a word that is not annotated.
NO_HEAD = -1
# In words. The memory and time of training grow with the square.
LONGEST_TREE = 2000
# A relation of more than this share of all roots is allowed for roots, even if mostly other words have it.
MANY_ROOTS = 0.1
# The relation of roots for older models, whose vocabularies do not count the relations of roots.
ROOT = "root"


def read_tree(
    record: Record, *, task: str, columns: Sequence[Column], ignore_label: str | None = None
) -> list[Arc | None] | None:
    """The arc of each word, from the columns of heads and of relations; None if all heads are no labels.

    No labels are ``_`` and the ``ignore_label``; with one, the arc of a word with such a head is None.
    """
    column, relation_column = columns
    heads = record.column(column)
    marks = {EMPTY, ignore_label}
    if marks.issuperset(heads):
        return None
    if len(heads) > LONGEST_TREE:
        raise DataError(
            f"{record.where(0)}: found a sentence of {len(heads)} words, expected at most {LONGEST_TREE} for the "
            f"task '{task}' (dependency); a blank line ends a sentence"
        )
    relations = read_column(record, task=task, column=relation_column)
    positions = _head_positions(record, heads, task=task, column=column, marks=marks if ignore_label else set())
    if not marks.isdisjoint(relations):
        pairs = enumerate(zip(positions, relations, strict=True))
        without = [row for row, (position, relation) in pairs if position != NO_HEAD and relation in marks]
        if without and (ignore_label in relations or len(without) < len(relations) - positions.count(NO_HEAD)):
            row = without[0]
            raise DataError(
                f"{record.where(row)}: found no relation ('{relations[row]}') next to the head '{heads[row]}' (task "
                f"'{task}'), expected one, or none in the whole sentence"
            )
    arcs: list[Arc | None] = list(zip(positions, relations, strict=True))
    if ignore_label is None:
        return arcs
    return [None if position == NO_HEAD else arc for position, arc in zip(positions, arcs, strict=True)]


def _head_positions(
    record: Record, heads: list[str], *, task: str, column: Column, marks: set[str | None]
) -> list[int]:
    """The positions of heads, from their ids; ``NO_HEAD`` for the ``marks`` of words that are not annotated."""
    ids = record.ids or {str(number): number for number in range(1, len(heads) + 1)}
    known: dict[Any, int] = {"0": 0, **ids, **dict.fromkeys(marks, NO_HEAD)}
    positions = list(map(known.get, heads))
    if positions[0] is None and (hint := header_hint(record, 0, heads[0])):
        raise DataError(
            f"{record.where(0)}: found the head '{heads[0]}' in column {column} (task '{task}'), "
            f"expected a number{hint}"
        )
    if None in positions or any(map(operator.eq, positions, itertools.count(1))):
        raise DataError(
            f"{record.where(word - 1)}: found the head '{head}' in column {column} (task "
            f"'{task}'), expected the id of another word of its sentence ({len(heads)} words) or 0{_hint(head, heads)}"
            for word, (head, position) in enumerate(zip(heads, positions, strict=True), start=1)
            if position is None or position == word
        )
    return cast(list[int], positions)


def _hint(head: str, heads: Sequence[str]) -> str:
    if head == EMPTY:
        return "; if only some words are annotated, set ignore_label to '_'"
    # A column of tags has no number at all.
    return "" if any(map(str.isdecimal, heads)) else "; set column_idx to the column of the heads"


def head_ids(record: Record) -> list[str]:
    """The ids of all possible heads by position, 0 for the root."""
    return ["0", *(record.ids or map(str, range(1, len(record.rows) + 1)))]


def check_ids(record: Record, *, task: str) -> None:
    """Raises ``DataError`` if the ids to which heads refer repeat within the sentence, or count from 0."""
    if record.ids is not None:
        if "0" in record.ids:
            row = record.ids["0"] - 1
            raise DataError(
                f"{record.where(row)}: found the id '0', expected ids that count from 1: for the task '{task}' "
                "(dependency) the head 0 is the root"
            )
        return
    numbers = record.column(0)
    distinct = len(set(numbers))
    if numbers == record.words or distinct in (1, len(numbers)) or not all(map(str.isdecimal, numbers)):
        # The column contains the words, the number of a document, or other texts: heads are positions.
        return
    first_rows: dict[str, int] = {}
    row = next(row for row, number in enumerate(numbers) if first_rows.setdefault(number, row) != row)
    cause = (
        f"a blank line is missing before line {record.first_line + record.row_lines[row]}"
        if numbers[row] == numbers[0]
        else "each word needs a different id"
    )
    raise DataError(
        f"{record.where(row)}: found the id '{numbers[row]}' a second time in one sentence, to which the heads of "
        f"the task '{task}' (dependency) refer: {cause}"
    )


def tree_issues(
    trees: Sequence[Sequence[Arc | None]], *, task: str, column: Column
) -> Iterator[tuple[int, LabelIssue]]:
    """The index and the issue of each tree with a cycle, or without exactly one root.

    If some words are not annotated, one of them may be the root.
    """
    lengths = np.array([len(arcs) for arcs in trees], dtype=np.int64)
    heads = np.array([NO_HEAD if arc is None else arc[0] for arcs in trees for arc in arcs], dtype=np.int64)
    if not len(heads):
        return
    starts = np.cumsum(lengths) - lengths
    roots, cyclic = np.add.reduceat(heads == 0, starts, dtype=np.int64), cyclic_words(heads, lengths)
    where = f"in column {column} (task '{task}')"
    missing = np.add.reduceat(heads == NO_HEAD, starts, dtype=np.int64)
    for index in np.flatnonzero((roots > 1) | ((roots == 0) & (missing == 0)) | (cyclic > 0)).tolist():
        if roots[index] == 0 and not missing[index]:
            yield index, LabelIssue("without a root", 0, f"no word has the head 0 {where}", excluded=True)
        elif cyclic[index]:
            message = f"the heads form a cycle {where}, expected a tree"
            yield index, LabelIssue("with a cycle", int(cyclic[index]) - 1, message, excluded=True)
        else:
            second = [row for row, arc in enumerate(trees[index]) if arc is not None and arc[0] == 0][1]
            message = f"found {roots[index]} words with the head 0 {where}, expected one root"
            handling = "used, but a predicted tree has one root"
            yield index, LabelIssue("with several roots", second, message, handling)


def allowed_relations(vocabulary: Vocabulary) -> np.ndarray:
    """Whether roots (row 0) and other words (row 1) can have each relation. *Shape:* (2, R).

    A relation belongs to roots if most words that have it are roots, so that a few errors in the training data have no
    effect. It is also allowed for roots if many roots have it.
    """
    counts = np.array(vocabulary.counts, dtype=np.int64)
    root_counts = np.array(vocabulary.root_counts, dtype=np.int64)
    if not len(root_counts):
        root_counts = np.array([label == ROOT for label in vocabulary.labels], dtype=bool) * counts
    are_roots = 2 * root_counts > counts
    allowed_for_roots = are_roots | (root_counts > MANY_ROOTS * root_counts.sum())
    allowed = np.stack([allowed_for_roots, ~are_roots & (counts > 0)])
    # If a row would allow no relation, it allows all: all sentences have one word, or "root" is not a label.
    return allowed | ~allowed.any(1, keepdims=True)
