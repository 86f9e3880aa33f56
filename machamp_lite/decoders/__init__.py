"""One file a task type: every module of this folder that defines a decoder is a task type of that name."""

import pkgutil
from importlib import import_module

from machamp_lite.decoders.base import Decoder, TaskConfig

__all__ = ["DECODERS", "Decoder", "TaskConfig"]


def _find_decoders() -> dict[str, type[Decoder]]:
    found = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = import_module(f"{__name__}.{module_info.name}")
        for value in vars(module).values():
            defined_here = isinstance(value, type) and value.__module__ == module.__name__
            if defined_here and issubclass(value, Decoder) and module_info.name != "base":
                found[module_info.name] = value
    return found


DECODERS = _find_decoders()
