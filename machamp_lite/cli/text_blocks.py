"""Paragraphs, lists and tables, which are shown on a terminal or written as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from machamp_lite.cli.console import as_text

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first ``names`` columns are names, the others are numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int


# A table, a heading, a paragraph or a list.
Block = Table | str | list[str]


def as_terminal_text(blocks: Sequence[Block], stream: TextIO | None) -> str:
    """The text for a stream."""
    return "\n\n".join(as_text(_renderable(block), stream) for block in blocks)


def _renderable(block: Block) -> "RenderableType":
    # Imported here because --help and errors in flags do not need it.
    from rich import table
    from rich.text import Text

    if isinstance(block, str):
        return Text(block.removeprefix("## "), style="bold" if block.startswith("## ") else "")
    if isinstance(block, list):
        return Text("\n".join(block), overflow="fold")
    shown = table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, name in enumerate(block.header):
        shown.add_column(name, justify="left" if number < block.names else "right", overflow="fold")
    for row in block.rows:
        shown.add_row(*map(Text, row))
    return shown


def as_markdown(blocks: Sequence[Block], *, title: str) -> str:
    """The text as a Markdown document."""
    found = [f"# {title}"]
    for block in blocks:
        if isinstance(block, str):
            found.append(block)
        elif isinstance(block, list):
            # As code, because words may look like Markdown.
            found.append("\n".join(f"    {line}" for line in block))
        else:
            rows = [block.header, ["---"] * len(block.header), *block.rows]
            found.append("\n".join(f"| {' | '.join(map(_escaped, row))} |" for row in rows))
    return "\n\n".join(found) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").strip()
