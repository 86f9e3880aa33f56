"""The process of a command: its stopping signals (Ctrl-C, SIGTERM, SIGHUP), standard streams and working folder."""

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from machamp_lite.errors import ConfigError

# A terminal sends SIGHUP when it is closed. Windows does not have it.
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def handling_signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Sets a handler for the stopping signals; those that are ignored, for example under nohup, stay ignored."""
    numbers = []
    if threading.current_thread() is threading.main_thread():
        numbers = [number for number in STOPPING if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether a signal was received; a further Ctrl-C stops at once."""
    received = False

    def receive(number: int, frame: Any) -> None:
        nonlocal received
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received = True

    with handling_signals(receive):
        yield lambda: received
    if received:
        # The signal came after training had called the function for the last time.
        raise KeyboardInterrupt


def stop_with_parent() -> None:
    """Stops this process when its parent ends: standard input is a pipe from it, which ends even after SIGKILL."""

    def wait() -> None:
        # Not sys.stdin, whose lock a thread must not hold when Python exits.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def open_closed_streams() -> None:
    """Opens closed standard streams (``>&-``) on the null device, so that no other file gets their numbers."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Standard output is opened read-only, so that writing to it is an error.
            os.open(os.devnull, os.O_RDONLY if descriptor == 1 else os.O_WRONLY)
    if sys.stderr is None:
        # Otherwise print and tqdm would write to standard output.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def discard_output() -> None:
    """Discards what could not be written to standard output: Python would try again at exit."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def has_process_group() -> bool:
    """Whether this process is one of several that train together."""
    # Not imported here, because that takes seconds.
    distributed = sys.modules.get("torch.distributed")
    return distributed is not None and distributed.is_available() and bool(distributed.is_initialized())


def exit_at_once(code: int) -> NoReturn:
    """Ends the process without what Python and libraries do at exit; output and logs are written."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def check_working_folder() -> None:
    """Raises ``ConfigError`` if the working folder was deleted."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ConfigError("the working folder was deleted; change to another one with cd") from None
