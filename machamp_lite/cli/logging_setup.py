"""Where logs go: to the terminal, and to the file of a run."""

import logging
from pathlib import Path

from machamp_lite.errors import one_line


class _PlainFormatter(logging.Formatter):
    """Shows control characters of labels and names as escapes: a terminal would obey them."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a message, all of it printable."""
        return "\n".join(map(one_line, super().format(record).split("\n")))


def set_up_logging(*, silent: bool = False) -> None:
    """Sends logs to the terminal alone; ``silent``, nowhere."""
    handler = logging.StreamHandler()
    # Errors end a run and are told as plain lines; the log is where they are kept.
    handler.addFilter(lambda record: record.levelno < logging.ERROR)
    handler.setFormatter(_PlainFormatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    logger = logging.getLogger("machamp_lite")
    for old in logger.handlers:
        old.close()
    logger.handlers[:] = [handler]
    logger.setLevel(logging.CRITICAL if silent else logging.INFO)
    logger.propagate = False


def log_to(path: Path) -> None:
    """Sends logs to a file too."""
    # On a full disk, what cannot be saved tells of it; that the log cannot be written is not told on top.
    logging.raiseExceptions = False
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_PlainFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger("machamp_lite").addHandler(handler)
