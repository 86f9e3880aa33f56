"""Settings of a process that trains or predicts, of what torch is built on; those of its environment come first."""

import ctypes
import os
from contextlib import suppress

# Of glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER, LARGEST_THRESHOLD = -1, 2**25


def limit_onednn_primitives(number: int) -> None:
    """Has oneDNN keep so many of the products in bfloat16 that it prepares, one for each shape; before torch is used.

    Epochs of training bring more shapes than its own 1024. As many products take half a gigabyte.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(number))


def keep_freed_memory() -> None:
    """Has glibc keep freed memory for the next step, which wants as much; elsewhere it does nothing.

    The system would clear each page of it before it lends it again.
    """
    is_set = any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"))
    if is_set or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        library.mallopt(M_TRIM_THRESHOLD, NEVER)
