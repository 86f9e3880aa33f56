"""A parser of flags that also reads MaChAmp's flags, dashes for underscores, and abbreviations."""

import argparse
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn

import machamp_lite
from machamp_lite.errors import LONGEST_REASON, ConfigError, nearest, shorten

# The flag that is missing before the names of configs.
_CONFIGS = "--dataset_configs"
# argparse's message.
_NO_NUMBER = re.compile(r"argument (--\w+): invalid (int|float) value: ('.*')", re.DOTALL)


def _is_config(argument: str) -> bool:
    return argument.endswith((".json", ".jsonnet"))


class _Help(argparse.HelpFormatter):
    """Keeps the lines of examples."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(
            line if line.startswith(" ") else super(_Help, self)._fill_text(line, width, indent)
            for line in text.splitlines()
        )


class Parser(argparse.ArgumentParser):
    """A parser that raises ``ConfigError``; it reports unknown flags first, with the nearest known one.

    ``removed`` are flags of MaChAmp without a counterpart, each with what to do instead. ``examples`` are arguments
    that the help shows.
    """

    def __init__(
        self, *, prog: str, description: str, removed: Mapping[str, str], examples: Sequence[str]
    ) -> None:
        lines = ["examples:", *(f"  {prog} {example}" for example in examples)]
        super().__init__(
            prog=prog,
            description=description,
            epilog="\n".join(lines).replace("%", "%%"),
            formatter_class=_Help,
            allow_abbrev=False,
        )
        self._removed = removed
        self.examples = examples
        version = f"machamp_lite {machamp_lite.__version__}"
        self.add_argument("--version", action="version", version=version, help="print the version and exit")

    def copy_flags(self, other: argparse.ArgumentParser, names: Collection[str]) -> None:
        """Adds the flags of another parser that have these names in its result."""
        for action in other._actions:
            if action.dest in names:
                self._add_action(action)

    def error(self, message: str) -> NoReturn:
        if match := _NO_NUMBER.fullmatch(message):
            flag, kind, found = match.groups()
            raise ConfigError(f"{flag}: found {shorten(found)}, expected a {'whole ' * (kind == 'int')}number")
        raise ConfigError(f"{self.prog}: {shorten(message, LONGEST_REASON)}; see --help")

    def read(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parses arguments, by default those of the command line."""
        arguments = list(sys.argv[1:] if arguments is None else arguments)
        end = arguments.index("--") if "--" in arguments else len(arguments)
        flags, others = self.parse_known_args([*map(self._full_flag, arguments[:end]), *arguments[end:]])
        if others:
            self._refuse(others)
        return flags

    def _refuse(self, others: Sequence[str]) -> NoReturn:
        """Reports arguments without a flag, and the flag that is missing if they are configs."""
        found = f"found {' '.join(map(repr, others))} without a flag"
        if _CONFIGS in self._option_string_actions and all(map(_is_config, others)):
            raise ConfigError(f"{self.prog}: {shorten(found, LONGEST_REASON)}, expected {_CONFIGS} {' '.join(others)}")
        self.error(found)

    def _full_flag(self, argument: str) -> str:
        """An argument, with the full name of the flag that it may contain."""
        if not argument.startswith("--"):
            return argument
        given, equals, value = argument.partition("=")
        name = f"--{given[2:].replace('-', '_')}"
        flags = {
            flag: action
            for action in self._actions
            for flag in action.option_strings
            if flag.startswith("--")
        }
        matches = [name] if name in flags else [flag for flag in flags if flag.startswith(name)]
        if name in self._removed:
            raise ConfigError(f"{given}: is not a flag of {self.prog}: {self._removed[name]}")
        if not matches:
            # First those that are not only for users of MaChAmp.
            shown = [next(flag for flag in action.option_strings if flag in flags) for action in flags.values()]
            self.error(f"unknown flag {given}{nearest(name, shown) or nearest(name, flags)}")
        if len({id(flags[flag]) for flag in matches}) > 1:
            self.error(f"{given} could be {' or '.join(matches)}")
        return f"{matches[0]}{equals}{value}"
