"""Ctrl-C, SIGTERM and SIGHUP, handled where a command can be stopped."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

# A closed terminal sends SIGHUP, which Windows does not have.
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def handling_signals(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Gives the stopping signals to a handler for a while; what is ignored, as under nohup, stays so."""
    numbers = []
    if threading.current_thread() is threading.main_thread():
        numbers = [number for number in STOPPING if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    init_model = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in init_model.items():
            signal.signal(number, old)


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Says whether a signal has asked to stop; a Ctrl-C after it stops at once."""
    asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    with handling_signals(ask):
        yield lambda: asked
    if asked:
        # Too late for training to heed it.
        raise KeyboardInterrupt
