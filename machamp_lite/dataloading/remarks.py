"""Sentences whose gold labels are doubtful, counted by file, task and kind of doubt."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from machamp_lite.data.records import Record
from machamp_lite.decoders.base import Doubt

UNREADABLE = "with labels that cannot be read"


@dataclass(frozen=True, slots=True)
class Remark:
    """How many sentences of a file have the same doubt about the labels of a task.

    ``line`` and ``what`` are those of the first one. Sentences that are ``left_out`` are neither trained on nor scored.
    """

    task: str
    kind: str
    left_out: bool
    sentences: int
    words: int
    line: int
    what: str


class Remarks:
    """Collects the remarks on one file, in the order in which they first come up."""

    def __init__(self, remarks: Iterable[Remark] = ()) -> None:
        self._remarks = {(remark.task, remark.kind): remark for remark in remarks}

    def __iter__(self) -> Iterator[Remark]:
        return iter(self._remarks.values())

    def add(self, record: Record, doubt: Doubt, *, task: str) -> None:
        """Counts one more sentence with a doubt."""
        line = record.first_line + record.row_lines[doubt.row]
        self._add(Remark(task, doubt.kind, doubt.left_out, 1, len(record.rows), line, doubt.what))

    def add_unreadable(self, record: Record, fault: str, *, task: str) -> None:
        """Counts one more sentence that is left out because of a fault, a line that begins with ``file:line:``."""
        place, _, what = fault.removeprefix(f"{record.path}:").partition(": ")
        line = int(place) if place.isdecimal() else record.first_line
        self._add(Remark(task, UNREADABLE, True, 1, len(record.rows), line, what))

    def _add(self, new: Remark) -> None:
        key = (new.task, new.kind)
        first = self._remarks.get(key)
        if first is not None:
            sentences, words = first.sentences + new.sentences, first.words + new.words
            new = Remark(first.task, first.kind, first.left_out, sentences, words, first.line, first.what)
        self._remarks[key] = new


def warnings(remarks: Iterable[Remark], path: str, *, left_out_of: str) -> Iterator[str]:
    """A line for each remark on a file, with the first place and how many sentences are ``left_out_of`` something."""
    for remark in remarks:
        outcome = (
            f"left out of {left_out_of}" if remark.left_out else "used, but a predicted tree has one root"
        )
        yield (
            f"{path}:{remark.line}: {remark.what}; {sentences(remark.sentences)} {remark.kind} "
            f"{'is' if remark.sentences == 1 else 'are'} {outcome} (task '{remark.task}')"
        )


def sentences(number: int) -> str:
    """A number of sentences in words.

    >>> sentences(1), sentences(2)
    ('1 sentence', '2 sentences')
    """
    return f"{number} sentence{'s' * (number != 1)}"
