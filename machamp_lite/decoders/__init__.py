"""One file per task type: each module of this folder that defines a decoder is the task type of that name."""

from collections.abc import Mapping
from typing import Any

from machamp_lite.config.schema import Config
from machamp_lite.config.task_types import TASK_TYPES, TaskOptions, class_in
from machamp_lite.data.vocabulary import DATASET_IDS, Vocabulary
from machamp_lite.decoders.base import Decoder

__all__ = ["DECODERS", "Decoder", "decoder_class", "make_vocabularies"]

DECODERS: dict[str, type[Decoder]] = {name: class_in(name, Decoder) for name in TASK_TYPES}


def decoder_class(options: TaskOptions) -> type[Decoder]:
    """The decoder of a task."""
    return DECODERS[options.task_type]


def make_vocabularies(
    config: Config, tokenizer: Any, saved: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Vocabulary]:
    """The vocabularies of all tasks and of dataset ids: empty, or from the ``saved`` results of ``as_json``."""
    factories = {task: decoder_class(options).make_vocabulary for task, options in config.tasks().items()}
    if config.has_dataset_ids:
        factories[DATASET_IDS] = Decoder.make_vocabulary
    return {name: make(tokenizer, **(saved[name] if saved else {})) for name, make in factories.items()}
