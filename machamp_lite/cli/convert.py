"""The command that writes a config of MaChAmp with the current keys."""

import argparse
import os
from collections.abc import Sequence

from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, check_empty_names, one_line


def convert_config(arguments: Sequence[str] | None = None, *, prog: str = "convert-config") -> int:
    """The convert-config command; returns its exit code."""
    return run_command(lambda: _convert(_flags(arguments, prog)))


def convert_parser(prog: str) -> Parser:
    """The arguments of the convert-config command."""
    parser = Parser(
        prog=prog,
        description="Writes a dataset config or params of MaChAmp with the current keys.",
        removed={},
        examples=["old.json new.json"],
    )
    parser.add_argument("old", metavar="OLD", help="a dataset config or params of any version (jsonnet)")
    parser.add_argument("new", metavar="NEW", help="the file to write (JSON); it must not exist")
    return parser


def _flags(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    flags = convert_parser(prog).read(arguments)
    check_empty_names({"OLD": flags.old, "NEW": flags.new})
    return flags


def _convert(flags: argparse.Namespace) -> int:
    set_up_logging()
    from machamp_lite.config.conversion import converted
    from machamp_lite.files.atomic import write_json

    if os.path.lexists(flags.new):
        raise ConfigError(f"{flags.new}: exists already, expected another name")
    write_json(flags.new, converted(flags.old))
    print(f"written: {one_line(flags.new)}")
    return 0
