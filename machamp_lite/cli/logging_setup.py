"""Sends logs to the terminal, and to the log file of a run."""

import logging
from pathlib import Path

from machamp_lite.errors import one_line


class _PlainFormatter(logging.Formatter):
    """Escapes control characters in labels and names, so that the terminal does not execute them."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a message, without control characters; ``mark`` is the prefix of warnings."""
        record.mark = "warning: " if record.levelno == logging.WARNING else ""
        return "\n".join(map(one_line, super().format(record).split("\n")))


def set_up_logging(*, silent: bool = False) -> None:
    """Sends logs to the terminal only, or discards them if ``silent``."""
    handler = logging.StreamHandler()
    # The command prints errors, and that it was stopped, as plain lines: these are logged to the file only.
    handler.addFilter(lambda record: record.levelno < logging.ERROR and not hasattr(record, "is_printed"))
    handler.setFormatter(_PlainFormatter("%(asctime)s %(mark)s%(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("machamp_lite")
    for old in logger.handlers:
        old.close()
    logger.handlers[:] = [handler]
    logger.setLevel(logging.CRITICAL if silent else logging.INFO)
    logger.propagate = False


def log_to(path: Path) -> None:
    """Sends logs also to a file."""
    # A full disk is reported when the next file cannot be saved, so the log does not report it.
    logging.raiseExceptions = False
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("machamp_lite").addHandler(handler)
