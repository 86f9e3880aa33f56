"""What a stream can show: colours, width, and tables of rich as text."""

import io
import logging
import os
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

# Files and pipes have no width; tables there are as wide as they need to be.
_UNLIMITED = 1000


def has_colours(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that shows colours, and the user has not set NO_COLOR (no-color.org)."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream is not None and stream.isatty() and not is_plain


def shows_bars(log_level: int) -> bool:
    """Whether a command draws progress bars: on a terminal, unless it is quiet."""
    return log_level <= logging.INFO and sys.stderr.isatty()


def width_of(stream: TextIO | None) -> int | None:
    """The number of columns of a terminal; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if stream is not None and stream.isatty() else None


def as_text(content: "RenderableType", stream: TextIO | None) -> str:
    """Something that rich can show, as the text for a stream; with ANSI codes only on a terminal with colours."""
    # Imported here because --help and errors in flags do not need it.
    from rich.console import Console

    colours, text = has_colours(stream), io.StringIO()
    console = Console(
        file=text,
        width=width_of(stream) or _UNLIMITED,
        force_terminal=colours,
        color_system="standard" if colours else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(content)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
