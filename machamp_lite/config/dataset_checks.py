"""Checks one dataset of a config: its name, files, tasks, and what prediction would overwrite."""

import os
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from machamp_lite.config.error_messages import Location, show
from machamp_lite.config.file_formats import check_file_format
from machamp_lite.config.schema import DatasetConfig
from machamp_lite.config.task_options import TaskChecker, check_oversampling
from machamp_lite.config.task_types import COMMENT, TASK_TYPES, WEIGHT_COMMENT, Column, options_class
from machamp_lite.data.formats import is_dataset_folder
from machamp_lite.errors import nearest_file

# In bytes. File names consist of the name of a dataset and an ending, and are limited to 255 bytes.
LONGEST_NAME = 200
# Comments of CoNLL-U, "# name = value".
_RESERVED_COMMENTS = re.compile(r"text|sent_id|(newdoc|newpar)( id)?|global\..+")


def check_dataset(
    where: Location,
    raw: dict[str, Any],
    defaults: Mapping[str, Any],
    tasks: TaskChecker,
    *,
    is_trained: bool,
) -> DatasetConfig | None:
    """The typed dataset at a location; None if it is not valid. ``defaults`` are empty without valid params."""
    _check_name(where)
    has_words, has_sentences = raw.get("word_idx") is not None, raw.get("sent_idxs") is not None
    given_tasks = raw.get("tasks")
    if not isinstance(given_tasks, dict) or not given_tasks:
        found = "nothing" if given_tasks is None else show(given_tasks)
        where.at("tasks").add(f"expected an object with at least one task, found {found}")
        given_tasks = {}
    if has_words and has_sentences:
        where.add("found both word_idx and sent_idxs, expected one of them")
    elif not (has_words or has_sentences or _is_plain_text(given_tasks)):
        where.add("found neither word_idx nor sent_idxs, expected one of them")
    checked = {
        task: tasks.check(
            where.at("tasks", task), options, has_words=has_words if has_words != has_sentences else None
        )
        for task, options in given_tasks.items()
    }
    valid = {task: options for task, options in checked.items() if options}
    if is_trained:
        _check_files(where, raw)
    if len(valid) == len(checked):
        oversample = raw.get("oversample", defaults.get("oversample"))
        check_oversampling(where.at("oversample"), oversample, valid, is_trained=is_trained)
    try:
        dataset = DatasetConfig.model_validate({**defaults, **raw, "tasks": valid})
    except ValidationError as error:
        # Without valid params there are no defaults, which is not an error of the dataset.
        errors = [item for item in error.errors() if defaults or item["type"] != "missing"]
        where.add_validation(errors, DatasetConfig)
        return None
    _check_written(where, dataset)
    _check_weight_columns(where, dataset)
    check_file_format(where, dataset, raw)
    return dataset


def _is_plain_text(tasks: Mapping[str, Any]) -> bool:
    """Whether no task of a dataset reads columns."""
    types = [task.get("task_type") for task in tasks.values() if isinstance(task, dict)]
    return bool(types) and all(
        name in TASK_TYPES and options_class(name).input_type == "masked" for name in types
    )


def _check_name(where: Location) -> None:
    """Checks a dataset's name, which is the name of its output file in the run folder."""
    name = where.keys[-1]
    if not name.strip() or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        where.add(
            "is part of file names, expected a name without / and \\ and without a leading dot"
        )
    elif len(name.encode()) > LONGEST_NAME:
        where.add(f"is part of file names, expected a name of at most {LONGEST_NAME} bytes")


def _check_files(where: Location, raw: Mapping[str, Any]) -> None:
    if raw.get("train_data_path") is None:
        where.at("train_data_path").add("missing, expected the path of a training file")
    for key in ("train_data_path", "dev_data_path"):
        path = raw.get(key)
        if not isinstance(path, str):
            continue
        if "\0" in path or not os.path.exists(path):
            where.at(key).add(f"no such file {show(path)}{nearest_file(path)}")
        elif os.path.isdir(path):
            if not is_dataset_folder(path):
                where.at(key).add(f"'{path}' is a folder, expected a file")
        elif not os.path.isfile(path):
            where.at(key).add(f"{show(path)} is a pipe or a device, expected a file")


def _check_weight_columns(where: Location, dataset: DatasetConfig) -> None:
    """Adds an error for each task whose weights would be the labels of another task."""
    for task, options in dataset.tasks.items():
        column = options.weight_column
        for other, other_options in dataset.tasks.items():
            columns = other_options.columns()
            is_comment = column == COMMENT and other == WEIGHT_COMMENT and not columns
            if other != task and column is not None and (column in columns or is_comment):
                message = f"found {show(column)}, where the labels of the task '{other}' are; expected another column"
                where.at("tasks", task, "weight_column").add(message)


def _check_written(where: Location, dataset: DatasetConfig) -> None:
    """Adds an error for each task whose predictions would overwrite an input or a comment that CoNLL-U reserves."""
    inputs: dict[Column, str] = {}
    if dataset.dataset_column is not None:
        inputs[dataset.dataset_column] = "the ids of datasets (dataset_embed_idx)"
    if dataset.word_idx is not None:
        inputs[dataset.word_idx] = "the words (word_idx)"
    for task, options in dataset.tasks.items():
        where_task, columns = where.at("tasks", task), options.columns()
        has_several = getattr(options, "column_idxs", None) is not None
        key, shown = ("column_idxs", columns) if has_several else ("column_idx", options.column_idx)
        if overwritten := [column for column in columns if column in inputs]:
            message = (
                f"found {shown}, but column {overwritten[0]} holds {inputs[overwritten[0]]}, and prediction would "
                "overwrite them; expected another column"
            )
            where_task.at(key).add(message)
        comment = " ".join(re.split("[=:]", task, maxsplit=1)[0].split())
        writes_comment = not columns and options.input_type in ("words", "subwords")
        if writes_comment and _RESERVED_COMMENTS.fullmatch(comment):
            message = (
                f"prediction would overwrite the comment '# {comment} = ', which CoNLL-U reserves; "
                "expected another name for the task"
            )
            where_task.add(message)
