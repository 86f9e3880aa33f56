"""The command that prints the JSON Schema of configs."""

from collections.abc import Sequence

from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.parser import Parser
from machamp_lite.files.package_files import SCHEMAS


def schema(arguments: Sequence[str] | None = None, *, prog: str = "schema") -> int:
    """The schema command; returns its exit code."""
    return run_command(lambda: _print_schema(schema_parser(prog).read(arguments).kind))


def schema_parser(prog: str) -> Parser:
    """The arguments of the schema command."""
    parser = Parser(
        prog=prog,
        description="Prints the JSON Schema of a kind of config, with which editors complete and check such files.",
        removed={},
        examples=["datasets > dataset.schema.json"],
    )
    parser.add_argument("kind", choices=list(SCHEMAS), metavar="|".join(SCHEMAS), help="the kind of config")
    return parser


def _print_schema(kind: str) -> int:
    print(SCHEMAS[kind].read_text(encoding="utf-8"), end="")
    return 0
