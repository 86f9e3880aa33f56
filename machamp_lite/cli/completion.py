"""The command that prints the script with which a shell completes commands, flags and files."""

import argparse
from collections.abc import Sequence

from machamp_lite.cli.error_reporting import run_command
from machamp_lite.cli.parser import Parser
from machamp_lite.errors import ConfigError, missing_packages_line

SHELLS = ("bash", "zsh", "fish")
# Arguments with these names in the help are paths.
_PATHS = ("FILE", "DIR", "MODEL", "RUN", "CONFIG", "INPUT", "OLD", "NEW")


def completion(arguments: Sequence[str] | None = None, *, prog: str = "completion") -> int:
    """The completion command; returns its exit code."""
    return run_command(lambda: _print_script(completion_parser(prog).read(arguments).shell))


def completion_parser(prog: str) -> Parser:
    """The arguments of the completion command."""
    parser = Parser(
        prog=prog,
        description="Prints a script with which a shell completes the subcommands of machamp-lite, their flags and "
        "files. It requires the package shtab.",
        removed={},
        examples=[
            "bash > ~/.local/share/bash-completion/completions/machamp-lite",
            "zsh > ~/.zfunc/_machamp-lite",
            "fish > ~/.config/fish/completions/machamp-lite.fish",
        ],
    )
    parser.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS), help="the shell")
    return parser


def _print_script(shell: str) -> int:
    try:
        import shtab
    except ImportError:
        raise ConfigError(missing_packages_line("completion", ["shtab"], extra="completion")) from None
    from machamp_lite.cli.commands import COMMANDS, PROG

    program = argparse.ArgumentParser(prog=PROG)
    subparsers = program.add_subparsers()
    for name, command in COMMANDS.items():
        parser = command.parser(f"{PROG} {name}")
        for action in parser._actions:
            if any(part in str(action.metavar) for part in _PATHS):
                # shtab reads this attribute, which argparse does not know.
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        subparsers.add_parser(name, parents=[parser], add_help=False, help=command.summary)
    print(shtab.complete(program, shell))
    return 0
