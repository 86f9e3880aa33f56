"""Garbage collection that skips what stays anyway: the million objects of imported libraries and loaded models.

This module must not import torch.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from machamp_lite.acceleration import disabled

_NAME = "garbage_collection"


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Pauses garbage collection, for imports and the loading of models."""
    if not gc.isenabled() or _NAME in disabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def freeze_objects() -> None:
    """Excludes all present objects from later collections, which would each stop a server for 0.3 seconds."""
    if _NAME not in disabled():
        gc.collect()
        gc.freeze()


def freeze_at_exit() -> None:
    """Excludes all objects from the collection with which the process ends."""
    if _NAME not in disabled():
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)
