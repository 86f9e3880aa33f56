"""The command that writes the report of runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.logging_setup import set_up_logging
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, check_empty_names, one_line
from machamp_lite.reporting import MAX_SENTENCES


def report(arguments: Sequence[str] | None = None, *, prog: str = "report") -> int:
    """The report command; returns its exit code."""
    return run_command(lambda: _report(_flags(arguments, prog)))


def report_parser(prog: str) -> Parser:
    """The arguments of the report command."""
    parser = Parser(
        prog=prog,
        description="Writes one HTML file with the scores, learning curves, labels and errors of runs; it needs no "
        "network.",
        removed={},
        examples=[
            "runs/first",
            "runs/first runs/second --out comparison.html",
        ],
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="the folder of a run; several are compared")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the file to write (default: report.html in the run folder, if there is one run)",
    )
    parser.add_argument(
        "--sentences",
        metavar="N",
        type=int,
        default=MAX_SENTENCES,
        help=f"sentences with errors per task; a quarter as many have none (default: {MAX_SENTENCES})",
    )
    return parser


def _flags(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    flags = report_parser(prog).read(arguments)
    check_empty_names(
        {"--out": flags.out, **{f"RUN {number}": run for number, run in enumerate(flags.runs, start=1)}}
    )
    if flags.sentences < 1:
        raise ConfigError(f"--sentences: found {flags.sentences}, expected at least 1")
    if flags.out is not None and not Path(flags.out).parent.is_dir():
        raise ConfigError(f"--out: the folder {Path(flags.out).parent} does not exist")
    if flags.out is None and len(flags.runs) > 1:
        raise ConfigError("--out: is missing, expected the file to write for several runs")
    return flags


def _report(flags: argparse.Namespace) -> int:
    set_up_logging()
    from machamp_lite.files.run_files import REPORT
    from machamp_lite.reporting.history import read_history

    folders = [Path(run) for run in flags.runs]
    for folder in folders:
        read_history(folder)
    # It imports torch.
    from machamp_lite.reporting.page import write_report

    target = folders[0] / REPORT if flags.out is None else Path(flags.out)
    write_report(folders, target, max_sentences=flags.sentences)
    print(f"written: {one_line(str(target))}")
    return 0
