"""Runs a command and turns its errors into lines on stderr and an exit code.

Exit codes: 0, 1 (a run failed), 2 (an error in a flag, config or data file), 130 (Ctrl-C, SIGTERM or SIGHUP).
"""

import contextlib
import io
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from machamp_lite.acceleration.garbage_collection import freeze_at_exit
from machamp_lite.cli.process import (
    check_working_folder,
    discard_output,
    exit_at_once,
    handling_signals,
    has_process_group,
    open_closed_streams,
)
from machamp_lite.errors import (
    LINES_SHOWN,
    ConfigError,
    DataError,
    MachampError,
    StoppedError,
    first_line,
    is_out_of_memory,
    is_panic,
    one_line,
)
from machamp_lite.files.streams import DISK_FAULTS


def run_command(command: Callable[[], int]) -> int:
    """Runs a command; returns its exit code, or reports its error."""
    open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Labels and names may contain characters that the terminal cannot show.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        check_working_folder()
        freeze_at_exit()
        # Raises KeyboardInterrupt, also for SIGTERM and SIGHUP.
        with handling_signals(signal.default_int_handler):
            code = command()
            if sys.stdout is not None:
                sys.stdout.flush()
        return code
    except SystemExit:
        raise
    except BaseException as error:
        code = _report(error)
        if has_process_group():
            # Another process may be lost: what gloo and nccl do at exit could wait for it forever.
            exit_at_once(code)
        return code


def _report(error: BaseException) -> int:
    """Prints an error on stderr, and returns the exit code."""
    if isinstance(error, ConfigError | DataError):
        _print_lines(_shortened(error.faults))
        return 2
    if isinstance(error, MachampError):
        _print_lines(error.faults)
        return 130 if isinstance(error, StoppedError) else 1
    if isinstance(error, KeyboardInterrupt):
        _print_lines(["stopped"])
        return 130
    if isinstance(error, BrokenPipeError):
        # The reader of the output has ended (head): the rest is discarded.
        discard_output()
        return 1
    if isinstance(error, OSError) and (error.filename is not None or error.errno in DISK_FAULTS):
        if error.filename is None:
            # Writing to standard output has failed.
            discard_output()
        name = one_line(str(error.filename or "output"))
        _print_lines([f"{name}: {error.strerror or error}"])
        return 1
    if is_out_of_memory(error):
        _print_lines(
            [
                f"out of memory ({first_line(error)}); use a smaller batching.max_tokens, or in prediction a smaller "
                "--batch_size"
            ]
        )
        return 1
    if is_panic(error):
        _print_lines([f"the tokenizer cannot read its input ({first_line(error)})"])
        return 2
    return _report_bug(error)


def _report_bug(error: BaseException) -> int:
    """Prints a traceback, and writes it to the log of a run."""
    logger = logging.getLogger("machamp_lite")
    logger.error("a bug in machamp_lite", exc_info=error)
    files = [handler.baseFilename for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
    where = "".join(f", and in {file}" for file in files)
    # Messages of errors may contain control characters from data files.
    lines = [one_line(line) for line in "".join(traceback.format_exception(error)).splitlines()]
    message = "this is a bug in machamp_lite, not in your files: please report it; the traceback is above"
    _print_lines([*lines, message + where])
    return 1


def _print_lines(lines: Sequence[str]) -> None:
    """Prints lines on stderr; an error that another process reports has no lines."""
    # After SIGHUP, stderr is closed.
    with contextlib.suppress(OSError, ValueError):
        if lines:
            print("\n".join(lines), file=sys.stderr, flush=True)


def _shortened(faults: Sequence[str]) -> list[str]:
    """As many lines as fit on a screen."""
    if len(faults) <= LINES_SHOWN:
        return list(faults)
    return [*faults[: LINES_SHOWN - 1], f"and {len(faults) - LINES_SHOWN + 1} more lines"]
