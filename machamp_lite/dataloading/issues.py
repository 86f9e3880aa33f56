"""Counts the issues with gold labels of one file by task and kind."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from machamp_lite.data.records import Record
from machamp_lite.decoders.base import LabelIssue
from machamp_lite.errors import counted

UNREADABLE = "with labels that cannot be read"


@dataclass(frozen=True, slots=True)
class IssueCount:
    """How often one kind of issue occurs in the labels of a task, and its first occurrence.

    ``words`` is the number of words in the sentences with the issue.
    """

    task: str
    issue: LabelIssue
    line: int
    occurrences: int
    words: int


class IssueCounter:
    """Counts the issues of one file, in the order in which their kinds first occur."""

    def __init__(self, counts: Iterable[IssueCount] = ()) -> None:
        self._counts = {(count.task, count.issue.kind): count for count in counts}

    def __iter__(self) -> Iterator[IssueCount]:
        return iter(self._counts.values())

    def excluded(self, task: str) -> list[IssueCount]:
        """The issues that exclude labels of a task from training and scores."""
        return [count for count in self if count.task == task and count.issue.excluded]

    def add(self, record: Record, issue: LabelIssue, *, task: str, line: int | None = None) -> None:
        """Counts one issue; by default, its line is that of its row."""
        known = self._counts.get((task, issue.kind))
        if known is None:
            line = record.first_line + record.row_lines[issue.row] if line is None else line
            known = IssueCount(task, issue, line, 0, 0)
        self._counts[task, issue.kind] = replace(
            known, occurrences=known.occurrences + 1, words=known.words + len(record.rows)
        )

    def add_unreadable(self, record: Record, fault: str, *, task: str) -> None:
        """Counts labels that cannot be read; ``fault`` is a message that starts with ``file:line: ``."""
        line, _, message = fault.removeprefix(f"{record.path}:").partition(": ")
        issue = LabelIssue(UNREADABLE, message=message, excluded=True)
        self.add(record, issue, task=task, line=int(line) if line.isdecimal() else record.first_line)

    def warnings(self, path: str, *, excluded_from: str, tasks: Sequence[str] | None = None) -> Iterator[str]:
        """One line per kind of issue of all tasks or of ``tasks``; ``excluded_from`` is "training" or "the scores"."""
        for count in self:
            if tasks is not None and count.task not in tasks:
                continue
            issue, where = count.issue, f"{path}:{count.line}"
            handling = f"left out of {excluded_from}" if issue.excluded else issue.handling
            if issue.message:
                yield (
                    f"{where}: {issue.message}; {counted(count.occurrences, 'sentence')} {issue.kind} "
                    f"{'is' if count.occurrences == 1 else 'are'} {handling} (task '{count.task}')"
                )
            else:
                yield f"task '{count.task}': {issue.kind} ({count.occurrences}, the first in {where}): {handling}"
