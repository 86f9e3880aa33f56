"""Where tasks may write: not over the words, the ids of data sets, or the comments that CoNLL-U reserves."""

import re

from machamp_lite.config.error_messages import ConfigFaults
from machamp_lite.config.schema import DatasetConfig, decoder_class

# Names of comments "# name = value"; also "newdoc id" and all that begin with "global.".
_RESERVED = re.compile(r"text|sent_id|(newdoc|newpar)( id)?|global\..+")


def check_columns(faults: ConfigFaults, source: str, name: str, dataset: DatasetConfig) -> None:
    """Adds a fault for each task of a dataset whose predictions would overwrite an input."""
    inputs = {}
    if dataset.dataset_embed_idx is not None and dataset.dataset_embed_idx >= 0:
        inputs[dataset.dataset_embed_idx] = "the ids of data sets (dataset_embed_idx)"
    if dataset.word_idx is not None:
        inputs[dataset.word_idx] = "the words (word_idx)"
    for task, config in dataset.tasks.items():
        columns = decoder_class(config).columns(config)
        has_several = getattr(config, "column_idxs", None) is not None
        key, shown = ("column_idxs", columns) if has_several else ("column_idx", config.column_idx)
        column = next((column for column in columns if column in inputs), None)
        if column is not None:
            message = (
                f"found {shown}, but column {column} holds {inputs[column]}, and prediction would overwrite them; "
                "expected another column"
            )
            faults.add(source, [name, "tasks", task, key], message)
        reserved = _reserved_name(task)
        writes_comment = not columns and decoder_class(config).input_type in ("words", "subwords")
        if writes_comment and reserved is not None:
            message = (
                f"prediction would overwrite the comment '# {reserved} = ', which CoNLL-U reserves; "
                "expected another name for the task"
            )
            faults.add(source, [name, "tasks", task], message)


def _reserved_name(task: str) -> str | None:
    """The reserved name of the comment that would be written for a task of this name, if it is one."""
    name = " ".join(re.split("[=:]", task, maxsplit=1)[0].split())
    return name if _RESERVED.fullmatch(name) else None
