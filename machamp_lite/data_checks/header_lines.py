"""Headers that are read as data, and first lines of data that are skipped as headers."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from machamp_lite.config.schema import DatasetConfig
from machamp_lite.data.cells import SKIP_HEADER, is_column_name, parse_number
from machamp_lite.data.records import EMPTY, read_records
from machamp_lite.dataloading.example import file_format_of
from machamp_lite.decoders import decoder_class
from machamp_lite.errors import DataError

# Labels of a task that are needed before a label that occurs once says anything.
FEWEST_LABELS = 6

# How often each label of a task is in a file, by task.
LabelCounts = Mapping[str, Counter[str]]


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a file that looks like a header, though it is read as data; its label in each task."""

    path: str
    labels: Mapping[str, str]

    def warning(self, dataset: str, *, both: bool) -> str:
        """A line on it; ``both`` if all files of its dataset have one."""
        tasks = ", ".join(f"'{label}' of task '{task}'" for task, label in self.labels.items())
        remedy = f"set {SKIP_HEADER} for {dataset}"
        if not both:
            remedy += ", for training and dev data alike, or remove the line"
        return f"{self.path}:1: looks like a header that is read as data (the label {tasks} is only there); {remedy}"


def find_header(config: DatasetConfig, path: str, counts: LabelCounts, *, known: LabelCounts) -> Header | None:
    """The header of a file that the config does not skip, if there is one.

    ``counts`` are the labels of the file, ``known`` those of the training data. A header has labels that no other line
    has, and either names columns or has the only labels that occur once.
    """
    row = None if config.skip_first_line else first_row(config, path)
    if row is None:
        return None
    cells = {
        task: cell
        for task, cell in _label_cells(config, row).items()
        if (classes := _classes(config, task, cell))
        and all(counts[task][label] == 1 and known[task][label] <= 1 for label in classes)
    }
    if not cells or len(cells) < len(_label_cells(config, row)):
        return None
    texts = [row[column] for column in config.text_columns() if column < len(row)]
    names_labels = any(is_column_name(cell, config.tasks) for cell in cells.values())
    names_texts = config.word_idx is None and all(map(is_column_name, texts))
    are_alone = all(
        counts[task].total() >= FEWEST_LABELS
        and sum(count == 1 for count in counts[task].values()) == len(_classes(config, task, cell))
        for task, cell in cells.items()
    )
    return Header(path, cells) if names_labels or names_texts or are_alone else None


def skipped_data(config: DatasetConfig, path: str, counts: LabelCounts) -> str | None:
    """A line on the first line of a file that is skipped as a header, though its labels are those of other lines."""
    row = first_row(config, path) if config.skip_first_line else None
    if row is None or row[0].startswith("-DOCSTART-"):
        return None
    cells = _label_cells(config, row)
    numbers = {task: cell for task, cell in _number_cells(config, row) if cell != EMPTY}
    frequent = all(
        (classes := _classes(config, task, cell)) and all(counts[task][label] > 1 for label in classes)
        for task, cell in cells.items()
    )
    if not (cells or numbers) or not frequent or None in map(parse_number, numbers.values()):
        return None
    found = ", ".join(
        f"{'label' if task in cells else 'number'} '{cell}' of task '{task}'"
        for task, cell in {**cells, **numbers}.items()
    )
    return (
        f"{path}:1: is skipped as a header but looks like data ({found}); if it is data, remove {SKIP_HEADER}"
    )


def first_row(config: DatasetConfig, path: str) -> list[str] | None:
    """The cells of the first line of a file; None if it is a comment or blank."""
    layout = replace(file_format_of(config), skip_first_line=False)
    # A file that was changed since it was read is reported elsewhere.
    with contextlib.suppress(DataError):
        for record in islice(read_records(path, layout), 2):
            if record.rows:
                return record.rows[0] if record.first_line + record.row_lines[0] == 1 else None
    return None


def _label_cells(config: DatasetConfig, row: list[str]) -> dict[str, str]:
    """What a row holds in the column of each task whose labels are classes."""
    cells = {}
    for task, options in config.tasks.items():
        columns, are_classes = options.columns(), decoder_class(options).labels_are_classes
        if options.has_classes and are_classes and len(columns) == 1 and columns[0] < len(row):
            cells[task] = row[columns[0]]
    return {task: cell for task, cell in cells.items() if cell != EMPTY}


def _number_cells(config: DatasetConfig, row: list[str]) -> Iterable[tuple[str, str]]:
    """What a row holds in the columns of each task that reads numbers."""
    for task, options in config.tasks.items():
        if options.task_type in ("regression", "probdistr"):
            yield from ((task, row[column]) for column in options.columns() if column < len(row))


def _classes(config: DatasetConfig, task: str, cell: str) -> list[str]:
    return decoder_class(config.tasks[task]).classes([cell], [""])
