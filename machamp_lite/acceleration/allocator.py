"""Settings of the memory allocator and of oneDNN for a process; environment variables of the user have priority.

This module must not import torch: oneDNN reads its settings when it is loaded.
"""

import ctypes
import os
from contextlib import suppress

from machamp_lite.acceleration import disabled

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER, LARGEST_THRESHOLD = -1, 2**25


def limit_onednn_primitives(number: int) -> None:
    """Sets how many primitives oneDNN caches, one per shape of a matrix multiplication in bf16.

    An epoch of training has more shapes than the default of 1024. 4096 primitives take at most half a gigabyte.
    """
    if "primitives" not in disabled():
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(number))


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory for the next step; without glibc it does nothing.

    Returned memory would have to be cleared by the system, page by page, before it can be used again.
    """
    is_set = any(name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"))
    if is_set or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or "allocator" in disabled():
        return
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        library.mallopt(M_TRIM_THRESHOLD, NEVER)
