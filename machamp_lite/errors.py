"""What goes wrong because of what a user wrote, and how it is said."""

from collections.abc import Iterable
from difflib import get_close_matches

# As many as a person reads at once; of the faults of one file one fewer, with a line on how many there are.
LINES_SHOWN = 20
FAULTS_SHOWN = LINES_SHOWN - 1
LONGEST_REASON = 300
LONGEST_VALUE = 60


class MachampError(Exception):
    """A user's error: one plain line for each fault found.

    *Attributes:* ``faults``, the lines, each with where, what was found and what was expected.
    """

    def __init__(self, faults: str | Iterable[str]) -> None:
        self.faults = [one_line(fault) for fault in ([faults] if isinstance(faults, str) else faults)]
        super().__init__("\n".join(self.faults))


class ConfigError(MachampError):
    """Something in a config, a flag or a model folder cannot be used."""


class DataError(MachampError):
    """Something in a data file cannot be used."""


class TrainingError(MachampError):
    """Training cannot go on, for example because a loss is no longer a number."""


class StoppedError(MachampError):
    """Training was asked to stop, and has saved where it stands."""


class LostProcessError(TrainingError):
    """Another process of the run has ended or cannot be reached."""


class FaultList:
    """Collects the faults of one file; the first nineteen are kept, all are counted."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.count = 0

    def add(self, fault: str) -> None:
        """Notes one fault."""
        self.count += 1
        if len(self.shown) < FAULTS_SHOWN:
            self.shown.append(fault)

    def lines(self, path: str) -> list[str]:
        """The kept faults, and how many there were if there were more."""
        if self.count <= len(self.shown):
            return self.shown
        return [*self.shown, f"{path}: {self.count} faults in all; the first {len(self.shown)} are listed"]


def shorten(text: str, longest: int = LONGEST_VALUE) -> str:
    """A text, cut if it is long."""
    return text if len(text) <= longest else text[: longest - 3] + "..."


def one_line(text: str) -> str:
    """A text without line breaks and other characters that cannot be printed, which are shown as escapes."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def is_panic(error: BaseException) -> bool:
    """Whether an error is that of a library in Rust which met what it did not expect; these are no ``Exception``."""
    return type(error).__name__ == "PanicException"


def first_line(error: BaseException) -> str:
    """The first line that an error of a library says, for the end of one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip('.')[:LONGEST_REASON]}" if lines else type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error line that offers the nearest known name, if one is near."""
    hint = did_you_mean(name, known)
    return hint if "did you mean" in hint else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error line that offers the nearest known name, or lists the known ones."""
    options = sorted(known)
    # As if case did not matter; with it, "Balanced" is nearer to nothing.
    folded = {option.casefold(): option for option in reversed(options)}
    near = get_close_matches(name, options, n=1, cutoff=0.6) or [
        folded[key] for key in get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    ]
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(options)}" if 0 < len(options) <= 30 else ""
