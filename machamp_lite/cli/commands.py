"""The command ``machamp-lite`` with its subcommands."""

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import machamp_lite
from machamp_lite.cli.arguments import evaluate_parser, predict_parser
from machamp_lite.cli.compare import compare, compare_parser
from machamp_lite.cli.compare_weights import compare_weights, compare_weights_parser
from machamp_lite.cli.completion import completion, completion_parser
from machamp_lite.cli.convert import convert_config, convert_parser
from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.export import export, export_parser
from machamp_lite.cli.main import check, evaluate, predict, train
from machamp_lite.cli.parser import Parser
from machamp_lite.cli.push import card, card_parser, push, push_parser
from machamp_lite.cli.report import report, report_parser
from machamp_lite.cli.schema import schema, schema_parser
from machamp_lite.cli.serve import serve, serve_parser
from machamp_lite.cli.train_arguments import check_parser, train_parser
from machamp_lite.cli.tune import tune, tune_parser
from machamp_lite.cli.tune_decisions import tune_decisions, tune_decisions_parser
from machamp_lite.errors import ConfigError, did_you_mean

PROG = "machamp-lite"


class Command(Protocol):
    """A subcommand: runs with its arguments, and returns its exit code. ``prog`` is its name in messages."""

    def __call__(self, arguments: Sequence[str], *, prog: str) -> int: ...


class Subcommand(NamedTuple):
    """One row of ``machamp-lite --help``; ``parser`` makes the parser of a name of the program."""

    run: Command
    parser: Callable[[str], Parser]
    summary: str


COMMANDS = {
    "check": Subcommand(check, check_parser, "check and describe configs and their data"),
    "train": Subcommand(train, train_parser, "train a model"),
    "predict": Subcommand(predict, predict_parser, "write the labels of a trained model into files"),
    "evaluate": Subcommand(evaluate, evaluate_parser, "print the scores of a model on files with gold labels"),
    "serve": Subcommand(serve, serve_parser, "serve models over HTTP, with a page to try them"),
    "compare": Subcommand(compare, compare_parser, "compare the predictions of two runs, with tests of significance"),
    "compare-weights": Subcommand(
        compare_weights, compare_weights_parser, "compare ways of weighting over several seeds"
    ),
    "tune": Subcommand(tune, tune_parser, "search for good hyperparameters"),
    "report": Subcommand(report, report_parser, "write an HTML report of one or several runs"),
    "tune-decisions": Subcommand(
        tune_decisions, tune_decisions_parser, "tune how tasks decide, on a file with gold labels"
    ),
    "export": Subcommand(export, export_parser, "write the encoder, or the model as ONNX, for other programs"),
    "card": Subcommand(card, card_parser, "print the model card of a run"),
    "push": Subcommand(push, push_parser, "push a model to the Hugging Face hub"),
    "convert-config": Subcommand(convert_config, convert_parser, "write a config of MaChAmp with the current keys"),
    "schema": Subcommand(schema, schema_parser, "print the JSON Schema of configs, for editors"),
    "completion": Subcommand(completion, completion_parser, "print the completion script of a shell"),
}


def main(arguments: Sequence[str] | None = None, *, prog: str = PROG) -> int:
    """Runs the subcommand that the first argument names; returns its exit code. ``prog`` is how it was started."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name = arguments[0].replace("_", "-") if arguments else "--help"
    if name in COMMANDS:
        return COMMANDS[name].run(arguments[1:], prog=f"{prog} {name}")
    return run_command(lambda: _help(name, prog))


def train_alone() -> int:
    """The program ``machamp-lite-train``."""
    return main(["train", *sys.argv[1:]])


def predict_alone() -> int:
    """The program ``machamp-lite-predict``."""
    return main(["predict", *sys.argv[1:]])


def _help(name: str, prog: str) -> int:
    if name == "--version":
        print(f"machamp_lite {machamp_lite.__version__}")
        return 0
    if name not in ("--help", "-h", "help"):
        raise ConfigError(f"{prog}: unknown command '{name}'{did_you_mean(name, [*COMMANDS, '--version'])}")
    rows = "\n".join(f"  {name:<16}{command.summary}" for name, command in COMMANDS.items())
    print(f"usage: {prog} [--version] COMMAND ...\n\n{rows}\n\n{prog} COMMAND --help describes a command.")
    return 0
