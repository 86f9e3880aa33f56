"""One file per task type: each module of this folder that defines a decoder is the task type of that name."""

from machamp_lite.config.task_types import TASK_TYPES, TaskOptions, class_in
from machamp_lite.decoders.base import Decoder

__all__ = ["DECODERS", "Decoder", "decoder_class"]

DECODERS: dict[str, type[Decoder]] = {name: class_in(name, Decoder) for name in TASK_TYPES}


def decoder_class(options: TaskOptions) -> type[Decoder]:
    """The decoder of a task."""
    return DECODERS[options.task_type]
