"""Work on untrusted input in a copy of this process that is limited in memory and time."""

import faulthandler
import json
import logging
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from machamp_lite.errors import ConfigError

try:
    import resource
except ImportError:
    # Windows has neither limits nor fork.
    resource = None  # type: ignore[assignment]

# Of processor time, and of time including waiting.
MOST_SECONDS, MOST_SECONDS_WAITING = 60, 600
_STATUS = Path("/proc/self/status")
_DONE, _REFUSED, _NO_MEMORY, _FAILED = b"d", b"r", b"m", b"f"


def is_available() -> bool:
    """Whether this system has processes that can be copied and whose memory can be limited (Linux has)."""
    return resource is not None and hasattr(os, "fork") and _STATUS.exists()


def try_apart(work: Callable[[], object], *, place: str, most_bytes: int) -> None:
    """Runs work in a copy of this process that may take ``most_bytes`` more memory; its changes in memory are lost.

    Raises ``ConfigError``: that of the work, or one that begins with ``place`` if the work exceeds a limit. The work
    may not use a GPU.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _work_and_leave(work, most_bytes, writing)
    os.close(writing)
    answer, code = b"", 0
    try:
        answer = _read_all(reading)
    finally:
        os.close(reading)
        if not answer:
            # It may still be at work. One that has ended keeps its exit code.
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    kind, text = answer[:1], answer[1:].decode(errors="replace")
    if kind == _REFUSED:
        raise ConfigError(json.loads(text))
    if kind == _FAILED:
        raise RuntimeError(text)
    if kind == _DONE:
        return
    if kind != _NO_MEMORY and code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ConfigError(f"{place}: takes more than {MOST_SECONDS} seconds to load, expected files of a model")
    # A library that gets no memory aborts, or fails in a way of its own.
    raise ConfigError(
        f"{place}: takes more than {most_bytes >> 20} MB of memory to load beside its weights, expected sizes that fit "
        "the files"
    )


def _work_and_leave(work: Callable[[], object], most_bytes: int, writing: int) -> NoReturn:
    """Runs in the copy: it prints and logs nothing, and leaves signals to the parent."""
    answer = _FAILED
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        logging.disable(logging.CRITICAL)
        faulthandler.disable()
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        _limit(most_bytes)
        work()
        answer = _DONE
    except MemoryError:
        answer = _NO_MEMORY
    except ConfigError as error:
        answer = _REFUSED + json.dumps(error.faults).encode()
    except BaseException:
        answer = _FAILED + traceback.format_exc().encode(errors="replace")
    finally:
        with suppress(OSError):
            os.write(writing, answer)
        # Without the cleanup that the parent will do.
        os._exit(0)


def _limit(most_bytes: int) -> None:
    in_use = next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith("VmData"))
    _lower(resource.RLIMIT_DATA, in_use * 1024 + most_bytes)
    _lower(resource.RLIMIT_CPU, MOST_SECONDS)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(kind: int, limit: int) -> None:
    soft, hard = resource.getrlimit(kind)
    if soft == resource.RLIM_INFINITY or soft > limit:
        resource.setrlimit(kind, (limit, hard))


def _read_all(reading: int) -> bytes:
    """What the copy writes until it ends; nothing if it takes too long."""
    end = time.monotonic() + MOST_SECONDS_WAITING
    parts: list[bytes] = []
    while select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(reading, 2**16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return b""
