"""Tries to load untrusted files in a copy of this process with limited memory and time."""

import contextlib
import faulthandler
import json
import logging
import os
import re
import select
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch
from huggingface_hub import try_to_load_from_cache

from machamp_lite.errors import ConfigError
from machamp_lite.model.pretrained import load_architecture, load_tokenizer

try:
    import resource
except ImportError:
    # Windows has neither limits nor fork. For mypy, a module cannot be None.
    resource = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

# CPU time and wall-clock time.
MAX_SECONDS, MAX_SECONDS_WAITING = 60, 600
# The memory for any tokenizer and any model without weights (Canine takes more than half of it), and the additional
# memory per byte of their files.
MAX_BYTES, MAX_BYTES_PER_BYTE = 2**29, 40
WEIGHTS_ENDINGS = (".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".pt", ".ot")
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
# The encoders that this process has checked, with the sizes and times of their files.
_CHECKED: set[tuple[Any, ...]] = set()

_STATUS = Path("/proc/self/status")
# The first byte of the copied process's answer.
_DONE, _REFUSED, _NO_MEMORY, _FAILED = b"d", b"r", b"m", b"f"


def is_available() -> bool:
    """Whether this system can copy a process and limit its memory, as Linux can."""
    return resource is not None and hasattr(os, "fork") and _STATUS.exists()


def memory_limit(size: int) -> int:
    """The bytes of memory for loading a tokenizer and a config whose files have ``size`` bytes."""
    return MAX_BYTES + MAX_BYTES_PER_BYTE * size


def check_encoder_memory(name: str) -> None:
    """Raises ``ConfigError`` if loading a local encoder takes far more memory than the size of its files suggests.

    All other errors are raised when it is loaded. An encoder that must be downloaded is not checked.
    """
    # System errors are raised again when the encoder is loaded.
    with contextlib.suppress(OSError, ValueError):
        folder = _local_folder(name)
        if folder is None or not is_available():
            return
        stats = {path: path.stat() for path in sorted(folder.iterdir())}
        signature = (folder, *((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()))
        if signature in _CHECKED:
            return
        size = sum(stat.st_size for path, stat in stats.items() if path.suffix not in WEIGHTS_ENDINGS)
        run_in_limited_process(
            lambda: _build_without_weights(str(folder)), name=name, max_bytes=memory_limit(size)
        )
        _CHECKED.add(signature)


def _local_folder(name: str) -> Path | None:
    """The folder itself, or the folder in the cache of the hub."""
    if Path(name).is_dir():
        return Path(name)
    cached = try_to_load_from_cache(name, "config.json") if HUB_NAME.fullmatch(name) else None
    return Path(cached).parent if isinstance(cached, str) else None


def _build_without_weights(folder: str) -> None:
    for build in (load_tokenizer, load_architecture):
        try:
            with torch.device("meta"):
                build(folder)
        except MemoryError:
            raise
        # Panics of libraries in Rust are BaseExceptions. All errors are raised again when the encoder is loaded.
        except BaseException:
            logger.debug("%s: %s", folder, build.__name__, exc_info=True)


def run_in_limited_process(work: Callable[[], object], *, name: str, max_bytes: int) -> None:
    """Runs a function, which must not use a GPU, in a copy of this process that may take ``max_bytes`` more memory.

    Raises the ``ConfigError`` that the function raises, or one that begins with ``name`` if it exceeds a limit.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _run_and_exit(work, max_bytes, writing)
    os.close(writing)
    answer, code = b"", 0
    try:
        answer = _read_all(reading)
    finally:
        os.close(reading)
        if not answer:
            # The copy may still be running. If it has ended, it keeps its exit code.
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    kind, text = answer[:1], answer[1:].decode(errors="replace")
    if kind == _REFUSED:
        document = json.loads(text)
        refusal = ConfigError(document["faults"])
        # Python prints notes below an uncaught error, so that a bug in a decoder can be found.
        refusal.add_note(document["traceback"])
        raise refusal
    if kind == _FAILED:
        raise RuntimeError(text)
    if kind == _DONE:
        return
    if kind != _NO_MEMORY and code in (-signal.SIGXCPU, -signal.SIGKILL):
        raise ConfigError(f"{name}: takes more than {MAX_SECONDS} seconds to load, expected files of a model")
    # A library that runs out of memory may also abort, or raise any error.
    raise ConfigError(
        f"{name}: takes more than {max_bytes >> 20} MB of memory to load, without its weights; expected sizes that "
        "agree with the files"
    )


def _run_and_exit(work: Callable[[], object], max_bytes: int, writing: int) -> NoReturn:
    """Runs in the copied process: prints and logs nothing, and leaves signals to its parent."""
    answer = _FAILED
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        logging.disable(logging.CRITICAL)
        faulthandler.disable()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        _set_limits(max_bytes)
        work()
        answer = _DONE
    except MemoryError:
        answer = _NO_MEMORY
    except ConfigError as error:
        answer = _REFUSED + json.dumps({"faults": error.faults, "traceback": traceback.format_exc()}).encode()
    except BaseException:
        answer = _FAILED + traceback.format_exc().encode(errors="replace")
    finally:
        with contextlib.suppress(OSError):
            os.write(writing, answer)
        # Skips the cleanup functions of the parent.
        os._exit(0)


def _set_limits(max_bytes: int) -> None:
    status = _STATUS.read_text().splitlines()
    in_use = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
    _lower(resource.RLIMIT_DATA, in_use * 1024 + max_bytes)
    _lower(resource.RLIMIT_CPU, MAX_SECONDS)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(kind: int, limit: int) -> None:
    soft, hard = resource.getrlimit(kind)
    if soft == resource.RLIM_INFINITY or soft > limit:
        resource.setrlimit(kind, (limit, hard))


def _read_all(reading: int) -> bytes:
    """Reads what the copied process writes until it ends; empty if it takes too long."""
    end = time.monotonic() + MAX_SECONDS_WAITING
    parts: list[bytes] = []
    while select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(reading, 2**16)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return b""
