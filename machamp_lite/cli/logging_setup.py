"""Sends logs to the terminal, and to the log file of a run."""

import logging
import sys
from pathlib import Path
from typing import TextIO

from machamp_lite import progress
from machamp_lite.cli.console import as_text, has_colours
from machamp_lite.errors import one_line

_YELLOW, _PLAIN = "\033[33m", "\033[0m"


class _Formatter(logging.Formatter):
    """Formats records for a stream, or for a file if it is None.

    Control characters in labels and names are escaped, so that the terminal does not execute them. A record may have a
    ``table`` of rich, which is written below its message.
    """

    def __init__(self, *, time: str | None, mark: str, stream: TextIO | None = None) -> None:
        super().__init__(f"%(asctime)s %({mark})s%(message)s", datefmt=time)
        self.stream = stream

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record; ``mark`` and ``level`` are prefixes of the message."""
        is_warning = record.levelno == logging.WARNING
        record.mark, record.level = "warning: " if is_warning else "", f"{record.levelname} "
        text = "\n".join(map(one_line, super().format(record).split("\n")))
        if is_warning and has_colours(self.stream):
            text = f"{_YELLOW}{text}{_PLAIN}"
        table = getattr(record, "table", None)
        return text if table is None else f"{text}\n{as_text(table, self.stream)}"


class _TerminalHandler(logging.StreamHandler):
    """Writes to standard error without disturbing progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        with progress.paused():
            super().emit(record)


class WarningsOnce(logging.Filter):
    """Leaves out repeated warnings."""

    def __init__(self) -> None:
        super().__init__()
        self._warnings: set[str] = set()

    def count(self) -> int:
        """The number of different warnings so far."""
        return len(self._warnings)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        before = self.count()
        self._warnings.add(record.getMessage())
        return self.count() > before


def set_up_logging(level: int = logging.INFO, *, silent: bool = False, shows_errors: bool = False) -> None:
    """Sends logs of a level to the terminal only, or discards them if ``silent``.

    Errors are left out unless ``shows_errors``, because a command that ends prints its error itself.
    """
    handler = _TerminalHandler()
    handler.setLevel(level)
    # The command prints errors, and that it was stopped, as plain lines: these are logged to the file only.
    handler.addFilter(lambda record: shows_errors or record.levelno < logging.ERROR)
    handler.addFilter(lambda record: not hasattr(record, "is_printed"))
    handler.addFilter(WarningsOnce())
    handler.setFormatter(_Formatter(time="%H:%M:%S", mark="mark", stream=sys.stderr))
    logger = logging.getLogger("machamp_lite")
    for old in logger.handlers:
        old.close()
    logger.handlers[:] = [handler]
    # The log file of a run has all messages, also if the terminal shows only errors.
    logger.setLevel(logging.CRITICAL if silent else min(level, logging.INFO))
    logger.propagate = False


def log_to(path: Path) -> WarningsOnce:
    """Sends logs also to a file; returns the filter that counts its warnings."""
    # A full disk is reported when the next file cannot be saved, so the log does not report it.
    logging.raiseExceptions = False
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Formatter(time=None, mark="level"))
    warnings = WarningsOnce()
    handler.addFilter(warnings)
    logging.getLogger("machamp_lite").addHandler(handler)
    return warnings
