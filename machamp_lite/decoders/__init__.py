"""One file per task type: each module of this folder that defines a decoder is the task type of that name."""

from importlib import import_module

from machamp_lite.config.task_types import TASK_TYPES, TaskOptions
from machamp_lite.decoders.base import Decoder

__all__ = ["DECODERS", "Decoder", "decoder_class"]


def _decoder_in(task_type: str) -> type[Decoder]:
    module = import_module(f"{__name__}.{task_type}")
    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Decoder) and value.__module__ == module.__name__
    )


DECODERS = {task_type: _decoder_in(task_type) for task_type in TASK_TYPES}


def decoder_class(options: TaskOptions) -> type[Decoder]:
    """The decoder of a task."""
    return DECODERS[options.task_type]
