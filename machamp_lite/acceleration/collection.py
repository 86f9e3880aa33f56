"""Start and end of a process without searching for garbage: imports make a million objects, which all stay.

This module must not import torch.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from machamp_lite.acceleration import disabled


@contextmanager
def without_collection() -> Iterator[None]:
    """In this context Python does not search for garbage; it is for imports and the loading of models."""
    if not gc.isenabled() or "collection" in disabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def end_without_collection() -> None:
    """Makes the process end without a search of all objects that it has."""
    if "collection" not in disabled():
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)
