"""The command ``machamp-lite`` with its subcommands."""

import sys
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from machamp_lite.cli.compare import compare
from machamp_lite.cli.compare_weights import compare_weights
from machamp_lite.cli.convert import convert_config
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.main import predict, train
from machamp_lite.cli.report import report
from machamp_lite.cli.schema import schema
from machamp_lite.cli.tune_decisions import tune_decisions
from machamp_lite.errors import ConfigError, did_you_mean

PROG = "machamp-lite"


class Command(Protocol):
    """A subcommand: runs with its arguments, and returns its exit code. ``prog`` is its name in messages."""

    def __call__(self, arguments: Sequence[str], *, prog: str) -> int: ...


class Subcommand(NamedTuple):
    """One row of ``machamp-lite --help``."""

    run: Command
    summary: str


COMMANDS = {
    "train": Subcommand(train, "train a model"),
    "predict": Subcommand(predict, "write the labels of a trained model into files"),
    "compare": Subcommand(compare, "compare the predictions of two runs, with tests of significance"),
    "compare-weights": Subcommand(compare_weights, "compare ways of weighting over several seeds"),
    "report": Subcommand(report, "write an HTML report of one or several runs"),
    "tune-decisions": Subcommand(tune_decisions, "tune how tasks decide, on a file with gold labels"),
    "convert-config": Subcommand(convert_config, "write a config of MaChAmp with the current keys"),
    "schema": Subcommand(schema, "print the JSON Schema of configs, for editors"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the subcommand that the first argument names; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0].replace("_", "-") if arguments else "--help"
    if name in COMMANDS:
        return COMMANDS[name].run(arguments[1:], prog=f"{PROG} {name}")
    return run_command(lambda: _help(name))


def train_alone() -> int:
    """The program ``machamp-lite-train``."""
    return main(["train", *sys.argv[1:]])


def predict_alone() -> int:
    """The program ``machamp-lite-predict``."""
    return main(["predict", *sys.argv[1:]])


def _help(name: str) -> int:
    if name not in ("--help", "-h", "help"):
        raise ConfigError(f"{PROG}: unknown command '{name}'{did_you_mean(name, COMMANDS)}")
    rows = "\n".join(f"  {name:<16}{command.summary}" for name, command in COMMANDS.items())
    print(f"usage: {PROG} COMMAND ...\n\n{rows}\n\n{PROG} COMMAND --help describes a command.")
    return 0
