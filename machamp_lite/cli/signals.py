"""Handles the signals that stop a command: Ctrl-C, SIGTERM and SIGHUP."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

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
        # It came after the last time that training called the function.
        raise KeyboardInterrupt
